// dotnet run --project migrations/Scaffold -- NAME
//
// Compares the model of Portal.Data with the last snapshot of each provider and writes what is missing as migration NAME into
// migrations/Sqlite and migrations/Postgres. A provider without changes gets no file. Nothing connects to a database.
// Before the first release a migration may be made again: delete its files (and the snapshot, if it was the first), run this anew.

using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;
using Microsoft.EntityFrameworkCore.Design.Internal;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Migrations.Design;
using Microsoft.EntityFrameworkCore.Migrations.Internal;
using Microsoft.EntityFrameworkCore.Sqlite.Design.Internal;
using Microsoft.Extensions.DependencyInjection;
using Npgsql.EntityFrameworkCore.PostgreSQL.Design.Internal;
using Portal.Data;

if (args is not [var name] || !name.All(char.IsAsciiLetterOrDigit) || name.Length == 0 || !char.IsAsciiLetterUpper(name[0]))
{
    Console.Error.WriteLine("Usage: dotnet run --project migrations/Scaffold -- NAME   (NAME as AddJudgementMargins: ASCII letters and digits, a capital first)");
    return 2;
}

var migrations = FindMigrations();
using (var sqlite = new SqlitePortalDbContext(new DbContextOptionsBuilder<SqlitePortalDbContext>().UseSqlite("Data Source=:memory:").Options))
{
    Write(sqlite, new SqliteDesignTimeServices(), "Sqlite");
}
using (var postgres = new PostgresPortalDbContext(new DbContextOptionsBuilder<PostgresPortalDbContext>().UseNpgsql("Host=none").Options))
{
    Write(postgres, new NpgsqlDesignTimeServices(), "Postgres");
}
return 0;

void Write(PortalDbContext db, IDesignTimeServices provider, string folderName)
{
    if (!db.Database.HasPendingModelChanges())
    {
        Console.WriteLine($"{folderName}: no changes");
        return;
    }

    var services = new ServiceCollection();
    services.AddEntityFrameworkDesignTimeServices();
    // Before the provider's, which only add what is missing: the model and its services must be those of this context.
    services.AddDbContextDesignTimeServices(db);
    provider.ConfigureDesignTimeServices(services);
    services.AddSingleton<ISnapshotModelProcessor>(new LastModel(db));
    using var built = services.BuildServiceProvider();
    var scaffolder = built.GetRequiredService<IMigrationsScaffolder>();
    var migration = scaffolder.ScaffoldMigration(name, rootNamespace: "Portal.Data", subNamespace: folderName);

    var folder = Directory.CreateDirectory(Path.Combine(migrations, folderName)).FullName;
    Save($"{migration.MigrationId}.cs", migration.MigrationCode);
    Save($"{migration.MigrationId}.Designer.cs", migration.MetadataCode);
    Save($"{migration.SnapshotName}.cs", migration.SnapshotCode);

    void Save(string file, string code)
    {
        File.WriteAllText(Path.Combine(folder, file), code.ReplaceLineEndings("\n"));
        Console.WriteLine($"{folderName}: {file}");
    }
}

// The sources this was built from: the folder beside the solution above the build's output.
static string FindMigrations()
{
    for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
    {
        if (File.Exists(Path.Combine(folder.FullName, "Portal.sln")))
        {
            return Path.Combine(folder.FullName, "migrations");
        }
    }
    throw new DirectoryNotFoundException($"No Portal.sln above {AppContext.BaseDirectory}: run the tool from its repository.");
}

/// <summary>
/// The model of the last snapshot. The processor of the Design package answers null for it here, and a second migration would make every table
/// again.
/// </summary>
file sealed class LastModel(PortalDbContext db) : ISnapshotModelProcessor
{
    public IModel? Process(IReadOnlyModel? model, bool resetVersion = false) =>
        model is null ? null : db.GetService<IModelRuntimeInitializer>().Initialize((IModel)model, designTime: true, validationLogger: null);
}
