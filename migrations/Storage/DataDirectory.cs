using System.Security.Cryptography;

namespace Portal.Data.Storage;

/// <summary>
/// The folder that holds everything an installation remembers: database, models, uploads, keys. Web and engine get the same path and
/// derive the rest from it.
/// </summary>
public sealed record DataDirectory(string Root)
{
    public string Database => Path.Combine(Root, "portal.db");
    public string QueueDatabase => Path.Combine(Root, "queue.db");
    public string Models => Path.Combine(Root, "models");
    public string Features => Path.Combine(Root, "features");
    /// <summary>Reports of audits, a folder each.</summary>
    public string Audits => Path.Combine(Root, "audits");

    /// <summary>Lists of words that audits count, put there by an operator: NAME.json.</summary>
    public string Lexicons => Path.Combine(Root, "lexicons");

    public string Checkpoints => Path.Combine(Root, "checkpoints");
    public string Uploads => Path.Combine(Root, "uploads");
    public string Exports => Path.Combine(Root, "exports");
    public string Keys => Path.Combine(Root, "keys");
    public string Backups => Path.Combine(Root, "backups");
    public string Logs => Path.Combine(Root, "logs");

    /// <summary>The engine's HTTP door: a Unix socket only this user can open.</summary>
    public string EngineSocket => Path.Combine(Root, "engine.sock");

    /// <summary>The secret between portal and engine, 32 random bytes; mode 0600.</summary>
    public string EngineToken => Path.Combine(Keys, "engine-token");

    /// <summary>What portal and engine send each other as a bearer token, made on first use: 64 hex digits.</summary>
    public string ReadEngineToken() => Convert.ToHexStringLower(Secret("engine-token"));

    /// <summary>What the process of a job wrote besides its rows: library messages, stack traces.</summary>
    public string JobLog(int number) => Path.Combine(Logs, $"job-{number}.log");

    /// <summary>The demo's and the first admin's sign-ins; mode 0600.</summary>
    public string SignIns => Path.Combine(Root, "sign-ins.txt");

    /// <summary>Makes the folders; those with secrets are closed to other users.</summary>
    public void Create()
    {
        foreach (var folder in new[] { Root, Models, Features, Audits, Lexicons, Checkpoints, Uploads, Exports, Keys, Backups, Logs })
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Reads a secret of 32 random bytes, made on first use with mode 0600. Two processes that race get the same one.</summary>
    public byte[] Secret(string name)
    {
        var path = Path.Combine(Keys, name);
        if (!File.Exists(path))
        {
            var fresh = path + "." + Guid.NewGuid().ToString("N");
            WritePrivate(fresh, RandomNumberGenerator.GetBytes(32));
            try
            {
                File.Move(fresh, path, overwrite: false);
            }
            catch (IOException) when (File.Exists(path))
            {
                File.Delete(fresh); // another process was faster: its secret counts
            }
        }
        return File.ReadAllBytes(path);
    }

    /// <summary>Writes a file that only this user can read.</summary>
    public static void WritePrivate(string path, ReadOnlySpan<byte> bytes)
    {
        using var file = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.Write(bytes);
        file.Flush(flushToDisk: true);
    }
}
