using System.Data.Common;
using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Migrations;
using Portal.Data;
using Portal.Data.Annotators;
using Xunit;

namespace Portal.Tests.Data;

/// <summary>The generated migrations of both providers: complete, and applicable to databases with rows in them.</summary>
[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class MigrationsTests(PostgresFixture postgres)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void No_model_change_waits_for_a_migration(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null, migrate: false);
        using var db = database.Open();

        Assert.False(db.Database.HasPendingModelChanges(), "Run: dotnet run --project migrations/Scaffold -- NAME");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Migrated_tables_take_what_the_model_writes(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        var at = new DateTimeOffset(2026, 3, 1, 12, 0, 0, 123, TimeSpan.FromHours(2));
        var id = new AnnotatorId(Guid.CreateVersion7());
        using (var db = database.Open())
        {
            db.Annotators.Add(new Annotator { Id = id, Pseudonym = "heron-12", CreatedAt = at });
            db.SaveChanges();
        }

        using var again = database.Open();
        var read = again.Annotators.Single(a => a.Id == id && a.CreatedAt <= at);

        Assert.Equal(at, read.CreatedAt);
        Assert.Empty(again.Database.GetPendingMigrations());
    }

    /// <summary>Step by step: migrate, put one more row into every table, go on; no table that stays loses a row.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Each_migration_applies_to_a_populated_older_database(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null, migrate: false);
        using var db = database.Open();
        var migrator = db.GetService<IMigrator>();
        var assembly = db.GetService<IMigrationsAssembly>();
        var initializer = db.GetService<IModelRuntimeInitializer>();
        var provider = db.Database.ProviderName!; // Both contexts have one.
        var rows = new Dictionary<string, long>();
        Assert.NotEmpty(assembly.Migrations);

        var step = 0;
        foreach (var (id, type) in assembly.Migrations)
        {
            migrator.Migrate(id);

            var model = initializer.Initialize((IModel)assembly.CreateMigration(type, provider).TargetModel, designTime: true, validationLogger: null);
            var tables = model.GetRelationalModel().Tables.ToList();
            foreach (var table in tables.Where(t => rows.ContainsKey(t.Name)))
            {
                Assert.True(rows[table.Name] == Count(db, table), $"{id} lost rows of {table.Name}.");
            }
            Populate(db, tables, ++step);
            var more = tables.ToDictionary(t => t.Name, t => Count(db, t));
            Assert.All(more, r => Assert.Equal(rows.GetValueOrDefault(r.Key) + 1, r.Value)); // a table of this migration has its first row now
            rows = more;
        }
    }

    private static long Count(DbContext db, ITable table)
    {
        using var command = Command(db, $"SELECT count(*) FROM \"{table.Name}\"");
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    /// <summary>One row with made-up values into every table, referenced tables first; a foreign key takes its principal's value.</summary>
    private static void Populate(DbContext db, List<ITable> tables, int step)
    {
        var written = new Dictionary<IColumnBase, object>();
        var waiting = new List<ITable>(tables);
        while (waiting.Count > 0)
        {
            var table = waiting.FirstOrDefault(t => t.ForeignKeyConstraints.All(f => f.PrincipalTable == t || !waiting.Contains(f.PrincipalTable)));
            Assert.True(table is not null, $"Tables refer to each other in a circle: {string.Join(", ", waiting.Select(t => t.Name))}");
            waiting.Remove(table);

            var columns = table.Columns.Where(c => !c.IsNullable || table.ForeignKeyConstraints.Any(f => f.PrincipalTable != table && f.Columns.Contains(c))).ToList();
            using var command = Command(db, $"INSERT INTO \"{table.Name}\" ({string.Join(", ", columns.Select(c => $"\"{c.Name}\""))}) VALUES ({string.Join(", ", columns.Select((_, i) => $"@p{i}"))})");
            foreach (var (column, i) in columns.Select((c, i) => (c, i)))
            {
                var key = table.ForeignKeyConstraints.FirstOrDefault(f => f.Columns.Contains(column));
                written[column] = key is null || key.PrincipalTable == table
                    ? Value(column, step)
                    : written[key.PrincipalColumns[key.Columns.ToList().IndexOf(column)]];
                var parameter = command.CreateParameter();
                parameter.ParameterName = $"@p{i}";
                parameter.Value = written[column];
                command.Parameters.Add(parameter);
            }
            command.ExecuteNonQuery();
        }
    }

    private static object Value(IColumn column, int step)
    {
        var type = column.StoreTypeMapping.Converter?.ProviderClrType ?? column.StoreTypeMapping.ClrType;
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type switch
        {
            _ when type == typeof(string) => $"text {step}",
            _ when type == typeof(Guid) => Guid.NewGuid(),
            _ when type == typeof(bool) => step % 2 == 0,
            _ when type == typeof(byte[]) => new byte[] { 1, 2 },
            _ when type == typeof(DateTimeOffset) => new DateTimeOffset(2026, 1, 1, 0, 0, step, TimeSpan.Zero),
            _ when type == typeof(DateTime) => new DateTime(2026, 1, 1, 0, 0, step, DateTimeKind.Utc),
            _ => Convert.ChangeType(step, type, CultureInfo.InvariantCulture),
        };
    }

    private static DbCommand Command(DbContext db, string sql)
    {
        db.Database.OpenConnection();
        var command = db.Database.GetDbConnection().CreateCommand();
        command.CommandText = sql;
        return command;
    }
}
