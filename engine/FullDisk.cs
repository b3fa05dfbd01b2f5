using System.Data.Common;
using Microsoft.Data.Sqlite;

namespace Portal.Engine;

/// <summary>Tells a full disk from other surprises, in whatever shape it comes up: a file, SQLite or Postgres.</summary>
public static class FullDisk
{
    private const int NoSpaceLeft = 28, QuotaExceeded = 122; // errno; .NET keeps it as the HResult
    private const int SqliteFull = 13;
    private const string PostgresDiskFull = "53100";

    /// <summary>A sentence for people that names the file (or the database) and says what to do; null when the failure is another one.</summary>
    public static string? Explain(Exception failure)
    {
        for (var cause = failure; cause is not null; cause = cause.InnerException)
            if (cause is IOException { HResult: NoSpaceLeft or QuotaExceeded } or SqliteException { SqliteErrorCode: SqliteFull } or DbException { SqlState: PostgresDiskFull })
                return $"The disk is full: {cause.Message.TrimEnd('.')}. Nothing half-written is used. Make room, then start it again.";
        return null;
    }
}
