using Microsoft.Data.Sqlite;

namespace Portal.Tests.Data.Sqlite;

/// <summary>A database file in a folder of its own, deleted at the end. Connections are not pooled, so closing closes.</summary>
public sealed class SqliteFile : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("portal-sqlite-").FullName;

    public string Path => System.IO.Path.Combine(folder, "test.db");

    public SqliteConnection Open(string options = "")
    {
        var connection = new SqliteConnection($"Data Source={Path};Pooling=False;{options}");
        connection.Open();
        return connection;
    }

    public static SqliteConnection OpenMemory()
    {
        var connection = new SqliteConnection("Data Source=:memory:");
        connection.Open();
        return connection;
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}

internal static class SqliteCalls
{
    public static int Execute(this SqliteConnection connection, string sql, params (string Name, object? Value)[] parameters)
    {
        using var command = Command(connection, sql, parameters);
        return command.ExecuteNonQuery();
    }

    /// <summary>The first cell of the first row, as Microsoft.Data.Sqlite gives it (DBNull for NULL, null for no row).</summary>
    public static object? Scalar(this SqliteConnection connection, string sql, params (string Name, object? Value)[] parameters)
    {
        using var command = Command(connection, sql, parameters);
        return command.ExecuteScalar();
    }

    /// <summary>The first column of all rows.</summary>
    public static List<T> Column<T>(this SqliteConnection connection, string sql)
    {
        using var command = Command(connection, sql, []);
        using var reader = command.ExecuteReader();
        var values = new List<T>();
        while (reader.Read())
        {
            values.Add(reader.GetFieldValue<T>(0));
        }
        return values;
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql, (string Name, object? Value)[] parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var (name, value) in parameters)
        {
            command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        }
        return command;
    }
}
