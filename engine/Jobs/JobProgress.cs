using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Storage;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// Turns what a recipe reports into rows: one small transaction a second at most (heartbeat, step, points, log lines together), then a
/// notice to the portal that there is something to look at. The recipe never waits for either.
/// </summary>
/// <remarks>
/// Rows are the truth: when the database cannot be reached, lines and points wait in memory (the oldest points go first when there are too
/// many) and are written with the next second that works. The notice says nothing but the job's id, and nobody minds when it is lost.
/// </remarks>
public sealed class JobProgress : IRecipeProgress, IAsyncDisposable
{
    /// <summary>Points of one metric in one transaction at most; a faster recipe's curve is thinned evenly, its last point kept.</summary>
    public const int PointsPerWriteMax = 50;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private const int PointsWaitingMax = 5_000;
    private const int LinesWaitingMax = 2_000;
    private const int LineLengthMax = 2_000;

    private readonly Lock gate = new();
    private readonly JobId job;
    private readonly WriteQueue writes;
    private readonly TimeProvider time;
    private readonly PortalNotice notice;
    private readonly CancellationTokenSource ending = new();
    private readonly Task loop;

    private (int Step, int Total, string Phase, double? SecondsLeft) latest = (0, 0, "starting", null);
    private List<(string Name, int Step, double Value)> points = [];
    private List<(DateTimeOffset At, JobEventLevel Level, string Message)> lines = [];

    /// <summary>Starts the loop that writes.</summary>
    public JobProgress(JobId job, WriteQueue writes, TimeProvider time, PortalNotice notice)
    {
        (this.job, this.writes, this.time, this.notice) = (job, writes, time, notice);
        loop = Task.Run(WriteEachSecond);
    }

    /// <inheritdoc/>
    public void Report(int step, int stepsTotal, string phase, double? secondsLeft)
    {
        lock (gate)
            latest = (step, stepsTotal, phase, secondsLeft);
    }

    /// <inheritdoc/>
    public void Metric(string name, int step, double value)
    {
        lock (gate)
        {
            points.Add((name, step, value));
            if (points.Count > PointsWaitingMax)
                points.RemoveRange(0, points.Count - PointsWaitingMax);
        }
    }

    /// <inheritdoc/>
    public void Log(JobEventLevel level, string message)
    {
        lock (gate)
        {
            if (lines.Count < LinesWaitingMax)
                lines.Add((time.GetUtcNow(), level, message.Length <= LineLengthMax ? message : message[..LineLengthMax] + " ..."));
        }
    }

    /// <summary>
    /// Writes what has gathered, whatever the time. Called at the end, before the job's last state is written.
    /// </summary>
    public async Task Flush(CancellationToken stop)
    {
        (int Step, int Total, string Phase, double? SecondsLeft) progress;
        List<(string Name, int Step, double Value)> pointsNow;
        List<(DateTimeOffset At, JobEventLevel Level, string Message)> linesNow;
        lock (gate)
        {
            (progress, pointsNow, linesNow) = (latest, points, lines);
            (points, lines) = ([], []);
        }
        try
        {
            await writes.WriteAsync(db => Write(db, progress, Thin(pointsNow), linesNow), stop);
        }
        catch
        {
            lock (gate)
            {
                points.InsertRange(0, pointsNow);
                lines.InsertRange(0, linesNow);
            }
            throw;
        }
        await notice.Send(job, stop);
    }

    /// <summary>Ends the loop. What has not been flushed is written once more, as far as the database can be reached.</summary>
    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        await loop;
        try
        {
            await Flush(CancellationToken.None);
        }
        catch (Exception e) when (e is DbUpdateException or System.Data.Common.DbException or ObjectDisposedException)
        {
            await Console.Error.WriteLineAsync($"The last progress rows could not be written: {e.Message}");
        }
        ending.Dispose();
    }

    /// <summary>At most <see cref="PointsPerWriteMax"/> points a metric, evenly spread, the last always among them.</summary>
    internal static IReadOnlyList<(string Name, int Step, double Value)> Thin(List<(string Name, int Step, double Value)> points)
    {
        if (points.Count <= PointsPerWriteMax)
            return points;
        return [.. points.GroupBy(p => p.Name).SelectMany(metric =>
        {
            var all = metric.ToList();
            var stride = (all.Count + PointsPerWriteMax - 1) / PointsPerWriteMax;
            return all.Where((_, i) => (all.Count - 1 - i) % stride == 0);
        })];
    }

    private void Write(PortalDbContext db, (int Step, int Total, string Phase, double? SecondsLeft) progress,
        IReadOnlyList<(string Name, int Step, double Value)> pointsNow, List<(DateTimeOffset At, JobEventLevel Level, string Message)> linesNow)
    {
        if (db.Jobs.FirstOrDefault(j => j.Id == job) is not { } row)
            return;
        row.Report(progress.Step, progress.Total, progress.Phase, progress.SecondsLeft, time.GetUtcNow());
        db.JobEvents.AddRange(linesNow.Select(l => new JobEvent { JobId = job, At = l.At, Level = l.Level, Message = l.Message }));
        foreach (var (name, step, value) in pointsNow)
            db.Database.ExecuteSql(
                $"""
                 INSERT INTO "MetricPoints" ("JobId", "Name", "Step", "Value") VALUES ({job.Value}, {name}, {step}, {value})
                 ON CONFLICT ("JobId", "Name", "Step") DO UPDATE SET "Value" = excluded."Value"
                 """);
    }

    private async Task WriteEachSecond()
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            do
            {
                try
                {
                    await Flush(ending.Token);
                }
                catch (Exception e) when (e is DbUpdateException or System.Data.Common.DbException)
                {
                    // A busy or absent database must not end hours of training: the rows wait for the next second.
                    await Console.Error.WriteLineAsync($"{time.GetUtcNow():u} Progress rows wait: {e.Message}");
                }
            }
            while (await timer.WaitForNextTickAsync(ending.Token));
        }
        catch (OperationCanceledException)
        {
            // The end, see DisposeAsync.
        }
    }
}
