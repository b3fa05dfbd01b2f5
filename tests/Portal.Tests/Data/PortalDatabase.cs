using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Storage;

namespace Portal.Tests.Data;

/// <summary>An installation's database for one test, set up as the portal sets it up: real SQLite in a folder of its own, or real Postgres.</summary>
public sealed class PortalDatabase : IDisposable
{
    private readonly string root;
    private readonly ServiceProvider services;

    /// <param name="postgres">Null for SQLite.</param>
    /// <param name="migrate">False leaves the database empty.</param>
    /// <param name="folder">Where to make the installation's folder; null for the system's place for temporary files.</param>
    public PortalDatabase(PostgresFixture? postgres = null, bool migrate = true, string? folder = null)
    {
        root = folder is null ? System.IO.Directory.CreateTempSubdirectory("portal-data-").FullName : System.IO.Directory.CreateDirectory(Path.Combine(folder, "portal-data")).FullName;
        Directory = new DataDirectory(root);
        Directory.Create();
        services = new ServiceCollection().AddPortalData(new PortalDataOptions(Directory, postgres?.CreateDatabase(migrate))).BuildServiceProvider();
        if (migrate && postgres is null)
            MigratedDatabase.CopyTo(Directory);
    }

    public DataDirectory Directory { get; }

    public IServiceProvider Services => services;

    public IDbContextFactory<PortalDbContext> Contexts => services.GetRequiredService<IDbContextFactory<PortalDbContext>>();

    public WriteQueue Writes => services.GetRequiredService<WriteQueue>();

    public PortalDbContext Open() => Contexts.CreateDbContext();

    public void Dispose()
    {
        services.Dispose();
        SqliteConnection.ClearAllPools();
        System.IO.Directory.Delete(root, recursive: true);
    }
}
