using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Storage;

namespace Portal.Tests.Data;

/// <summary>An empty database with every migration, made once in a test run; each test gets a copy. Migrating takes half a second, copying none. <see cref="MigrationsTests"/> and every portal that tests start migrate by themselves.</summary>
internal static class MigratedDatabase
{
    private static readonly Lazy<byte[]> sqlite = new(() =>
    {
        var directory = new DataDirectory(Directory.CreateTempSubdirectory("portal-template-").FullName);
        try
        {
            directory.Create();
            Migrate(new PortalDataOptions(directory, null));
            return File.ReadAllBytes(directory.Database);
        }
        finally
        {
            Directory.Delete(directory.Root, recursive: true);
        }
    });

    /// <summary>Puts SQLite's into an installation's folder.</summary>
    public static void CopyTo(DataDirectory directory) => File.WriteAllBytes(directory.Database, sqlite.Value);

    /// <summary>Migrates, and lets go of the database.</summary>
    public static void Migrate(PortalDataOptions options)
    {
        using (var services = new ServiceCollection().AddPortalData(options).BuildServiceProvider())
        using (var db = services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext())
        {
            db.Database.Migrate();
            if (options.PostgresConnection is null)
                db.Database.ExecuteSqlRaw("PRAGMA wal_checkpoint(TRUNCATE)"); // all of it in the one file that is copied
        }
        SqliteConnection.ClearAllPools();
    }
}
