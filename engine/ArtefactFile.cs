namespace Portal.Engine;

/// <summary>
/// Writes a file so that nobody ever sees half of it: into a temporary file beside it, flushed to disk, then renamed.
/// Every artefact of the engine (weights, tokenizers, checkpoints, reports) is written through this.
/// </summary>
public static class ArtefactFile
{
    /// <summary>Copies the files of a folder, those in folders of its own too, each flushed before it has its name. A copy that was stopped half way is whole once it is made again.</summary>
    /// <param name="to">Is made where it is not there; files of other names stay in it.</param>
    /// <param name="wanted">Which files, by their path within the folder; null for all.</param>
    public static void CopyFolder(string from, string to, Func<string, bool>? wanted, CancellationToken stop)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(from, file)).Where(file => wanted is null || wanted(file)))
        {
            stop.ThrowIfCancellationRequested();
            using var source = File.OpenRead(Path.Combine(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(to, file))!); // within `to`: never a root
            Write(Path.Combine(to, file), source.CopyTo);
        }
    }

    /// <summary>
    /// Calls <paramref name="write"/> with the new file's stream and puts the file in place of an older one. When it throws,
    /// a full disk included, the older file is untouched and the temporary one is gone.
    /// </summary>
    public static void Write(string path, Action<Stream> write)
    {
        var temporary = $"{path}.{Environment.ProcessId}.new";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>
    /// Makes a whole folder so that nobody ever sees half of it: filled under another name, then renamed in place of an older one. When <paramref name="fill"/> throws, the older one is untouched and the new one is gone.
    /// </summary>
    /// <param name="fill">Given the folder to fill; it flushes what it writes.</param>
    public static void WriteFolder(string folder, Action<string> fill)
    {
        var fresh = $"{folder}.{Environment.ProcessId}.new";
        if (Directory.Exists(fresh))
            Directory.Delete(fresh, recursive: true);
        Directory.CreateDirectory(fresh);
        try
        {
            fill(fresh);
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
            Directory.Move(fresh, folder);
        }
        catch
        {
            Directory.Delete(fresh, recursive: true);
            throw;
        }
    }
}
