using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Engine.Jobs;

namespace Portal.Engine.Erasure;

/// <summary>Makes a database keep nothing of rows that were removed: no free page, no old page in a write-ahead log, no statistics with values of columns.</summary>
/// <remarks>
/// SQLite overwrites what is deleted (<c>secure_delete</c>) in the pages it was in; the log keeps older pages until it is truncated, and only building the file anew leaves no slack. PostgreSQL keeps old rows until a table is
/// rewritten. What PostgreSQL has written to its own write-ahead log, and replicas and archives of it, are the database administrator's: the server reuses those files in its own time (docs/security.md).
/// </remarks>
internal static class CompactDatabase
{
    /// <summary>Tables that an erasure touches and that hold words.</summary>
    private static readonly Type[] Touched =
    [
        typeof(Data.Feedback.Content), typeof(Data.Feedback.Prompt), typeof(Data.Feedback.Response), typeof(Data.Feedback.PairwiseJudgement), typeof(Data.Feedback.BinaryJudgement), typeof(Data.Feedback.Draft), typeof(Data.Feedback.Assignment),
        typeof(Data.Feedback.TaskEvent), typeof(Data.Annotators.Annotator), typeof(Data.Annotators.AnnotatorAccount), typeof(Data.Datasets.DatasetRow), typeof(Data.Datasets.DatasetVersion), typeof(Data.Datasets.Import), typeof(Data.Datasets.ImportProblem),
        typeof(Data.Jobs.Job), typeof(Data.Jobs.JobEvent), typeof(Data.Explanations.ExplainingPair), typeof(Data.Explanations.PairMark), typeof(Data.Unlearning.UnlearningPair), typeof(Data.SaeFeatures.SaeFeature), typeof(Data.SaeFeatures.FeatureLabel),
        typeof(Data.SaeFeatures.FeatureContext), typeof(Data.Audits.AuditTextRow), typeof(Data.Erasure.ErasureRequest),
    ];

    /// <returns>What was done, as the proof says it.</returns>
    /// <exception cref="CannotTrain">Somebody reads the database all the time; nothing is lost, and the job can be run again.</exception>
    public static async Task<string> Run(JobRun run, TimeSpan patience)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        db.Database.SetCommandTimeout(TimeSpan.FromHours(2)); // a large table is rewritten row by row
        if (db is not SqlitePortalDbContext)
            return await Postgres(db, run.Stop);
        var since = Stopwatch.GetTimestamp();
        while (!await Sqlite(db, run.Stop))
        {
            if (Stopwatch.GetElapsedTime(since) > patience)
                throw new CannotTrain("The database is read without a pause, so its log could not be emptied of old pages. What was to be erased is erased; run the request again, at a quieter time, to finish it.");
            await Task.Delay(TimeSpan.FromMilliseconds(200), run.Time, run.Stop);
        }
        return "sqlite: vacuum, log truncated";
    }

    private static async Task<bool> Sqlite(PortalDbContext db, CancellationToken stop)
    {
        try
        {
            await db.Database.ExecuteSqlAsync($"VACUUM", stop);
        }
        catch (SqliteException e) when (e.SqliteErrorCode is 5 or 6) // busy, locked: somebody writes
        {
            return false;
        }
        await db.Database.OpenConnectionAsync(stop);
        await using var checkpoint = db.Database.GetDbConnection().CreateCommand();
        checkpoint.CommandText = "PRAGMA wal_checkpoint(TRUNCATE)";
        await using var answer = await checkpoint.ExecuteReaderAsync(stop);
        return await answer.ReadAsync(stop) && answer.GetInt64(0) == 0; // 1: a reader still needs the old pages
    }

    private static async Task<string> Postgres(PortalDbContext db, CancellationToken stop)
    {
        foreach (var table in Touched.Select(type => db.Model.FindEntityType(type)!.GetTableName()!)) // all are tables of the model
        {
            // Names of our own model. ANALYZE replaces the samples of values that the planner keeps.
#pragma warning disable EF1002
            await db.Database.ExecuteSqlRawAsync($"VACUUM (FULL, ANALYZE) \"{table}\"", stop);
#pragma warning restore EF1002
        }
        // The samples' own old rows: a table of the server's, which not every user may rewrite.
        var may = await db.Database.SqlQuery<bool>($"""SELECT rolsuper AS "Value" FROM pg_roles WHERE rolname = current_user""").SingleAsync(stop);
        if (may)
            await db.Database.ExecuteSqlAsync($"VACUUM FULL pg_catalog.pg_statistic", stop);
        return may ? "postgres: vacuum full of its tables and statistics" : "postgres: vacuum full of its tables";
    }
}
