using Microsoft.EntityFrameworkCore;

namespace Portal.Data.Storage;

/// <summary>Brings an installation's database up to this program's version, once per start and before anybody is served.</summary>
public static class DatabaseSetup
{
    /// <summary>
    /// Creates or migrates the database. An existing SQLite database is copied to the backups folder before it is changed. Refuses to start
    /// on an empty database where there was a full one: a wrong path or a lost volume must not look like "all projects are gone".
    /// </summary>
    /// <returns>The path of the backup that was made; null when none was needed.</returns>
    /// <exception cref="InvalidOperationException">The database of this installation is missing; the message says what to do.</exception>
    public static string? Prepare(PortalDbContext db, PortalDataOptions options, DateTimeOffset now)
    {
        options.Directory.Create();
        var marker = Path.Combine(options.Directory.Keys, "installed");
        var isNew = !options.UsesPostgres && !File.Exists(options.Directory.Database);
        if (isNew && File.Exists(marker))
            throw new InvalidOperationException(
                $"The database {options.Directory.Database} is missing although this installation had one (marker {marker}). "
                + "Restore it from the backups folder, or run `./run reset` to begin anew.");
        var pending = db.Database.GetPendingMigrations().ToList();
        string? backup = null;
        if (!isNew && !options.UsesPostgres && pending.Count > 0)
        {
            backup = Path.Combine(options.Directory.Backups, $"portal-{now:yyyyMMdd-HHmmss}.db");
            db.Database.ExecuteSql($"VACUUM INTO {backup}");
            File.SetUnixFileMode(backup, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        if (pending.Count > 0)
            db.Database.Migrate();
        if (!options.UsesPostgres)
        {
            db.Database.ExecuteSql($"PRAGMA journal_mode=WAL");
            File.SetUnixFileMode(options.Directory.Database, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        if (!File.Exists(marker))
            DataDirectory.WritePrivate(marker, "A database was made here; see DatabaseSetup.\n"u8);
        return backup;
    }
}
