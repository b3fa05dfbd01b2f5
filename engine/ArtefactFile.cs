namespace Portal.Engine;

/// <summary>
/// Writes a file so that nobody ever sees half of it: into a temporary file beside it, flushed to disk, then renamed.
/// Every artefact of the engine (weights, tokenizers, checkpoints, reports) is written through this.
/// </summary>
public static class ArtefactFile
{
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
}
