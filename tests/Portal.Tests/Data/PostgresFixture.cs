using System.Diagnostics;
using Npgsql;
using Portal.Data;
using Portal.Data.Storage;
using Xunit;

namespace Portal.Tests.Data;

/// <summary>
/// A PostgreSQL cluster of the test run's own: made on first use, reached through a socket in its folder (no port to collide on),
/// gone at the end. Join it with <c>[Collection(PostgresFixture.Collection)]</c> and take it as a constructor argument.
/// </summary>
/// <remarks>
/// The server hangs on a pipe: when the test run ends in whatever way, killed included, the shell that holds the other end stops the
/// server and deletes the folder. Nothing is synced to disk. PostgreSQL refuses to run as root, so then it runs as "postgres" or "nobody".
/// </remarks>
public sealed class PostgresFixture : IDisposable
{
    public const string Collection = "Postgres";

    private const string User = "portal";

    private const string Script = """
        set -e
        folder=$(mktemp -d -t portal-pg-XXXXXX)
        trap 'rm -rf "$folder"' EXIT
        "$1/initdb" -D "$folder/data" -U portal -A trust -E UTF8 --no-locale --no-sync >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
        "$1/postgres" -D "$folder/data" -c listen_addresses= -c unix_socket_directories="$folder" -c fsync=off -c full_page_writes=off \
          -c synchronous_commit=off -c deadlock_timeout=100ms -c max_connections=500 >>"$folder/log" 2>&1 &
        server=$!
        until "$1/pg_isready" -q -h "$folder"; do
          kill -0 $server 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
          sleep 0.05
        done
        echo "$folder"
        cat >/dev/null
        kill -QUIT $server
        wait $server || true
        """;

    private readonly Process shell;
    private readonly string folder;
    private readonly Lock making = new();
    private string? template;
    private int databases;

    public PostgresFixture()
    {
        var start = new ProcessStartInfo
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/", // The other user may not see ours.
        };
        string[] command = [.. AsOrdinaryUser(), "sh", "-c", Script, "sh", Binaries()];
        start.FileName = command[0];
        foreach (var argument in command[1..])
        {
            start.ArgumentList.Add(argument);
        }
        shell = Process.Start(start)!; // Null only where UseShellExecute may reuse a process.
        folder = shell.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"PostgreSQL did not start: {shell.StandardError.ReadToEnd()}");
    }

    /// <summary>Makes a database and returns its connection string.</summary>
    /// <param name="migrated">With every migration and no row; else empty.</param>
    public string CreateDatabase(bool migrated)
    {
        if (!migrated)
            return Create("template1");
        lock (making)
        {
            if (template is null)
            {
                var first = Create("template1");
                MigratedDatabase.Migrate(new PortalDataOptions(new DataDirectory(Path.GetTempPath()), first));
                using var connection = new NpgsqlConnection(first);
                NpgsqlConnection.ClearPool(connection); // a database that somebody is connected to cannot be copied
                template = connection.Database;
            }
            return Create(template);
        }
    }

    private string Create(string from)
    {
        var name = $"test{Interlocked.Increment(ref databases)}";
        using var connection = new NpgsqlConnection(ConnectionString("postgres"));
        connection.Open();
        using var command = new NpgsqlCommand($"CREATE DATABASE {name} TEMPLATE {from} STRATEGY FILE_COPY", connection);
        command.ExecuteNonQuery();
        return ConnectionString(name);
    }

    public void Dispose()
    {
        NpgsqlConnection.ClearAllPools();
        shell.StandardInput.Close();
        shell.WaitForExit();
        shell.Dispose();
    }

    private string ConnectionString(string database) => $"Host={folder};Username={User};Database={database};Include Error Detail=true;Maximum Pool Size=20;Connection Idle Lifetime=4;Connection Pruning Interval=2";

    private static string Binaries()
    {
        // Debian keeps them out of the path, one folder a version.
        const string Debian = "/usr/lib/postgresql";
        var versions = Directory.Exists(Debian) ? Directory.GetDirectories(Debian).OrderByDescending(v => int.Parse(Path.GetFileName(v), null)).Select(v => $"{v}/bin") : [];
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        return versions.Concat(path).FirstOrDefault(folder => File.Exists($"{folder}/initdb") && File.Exists($"{folder}/postgres"))
            ?? throw new FileNotFoundException("PostgreSQL is not installed (no initdb). ./test installs it; on Debian: apt-get install postgresql.");
    }

    private static string[] AsOrdinaryUser()
    {
        if (Environment.UserName != "root")
        {
            return [];
        }
        var user = File.ReadLines("/etc/passwd").Any(line => line.StartsWith("postgres:", StringComparison.Ordinal)) ? "postgres" : "nobody";
        return ["runuser", "-u", user, "--"];
    }
}

[CollectionDefinition(PostgresFixture.Collection)]
public sealed class PostgresTests : ICollectionFixture<PostgresFixture>;
