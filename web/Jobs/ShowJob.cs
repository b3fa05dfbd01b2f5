using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Web.Accounts;

namespace Portal.Web.Jobs;

/// <summary>One curve of a job.</summary>
public sealed record Curve(string Name, IReadOnlyList<CurvePoint> Points);

/// <summary>One point of a curve.</summary>
public readonly record struct CurvePoint(int Step, double Value);

/// <summary>One line of a job's log.</summary>
public sealed record LogLine(long Id, DateTimeOffset At, JobEventLevel Level, string Message);

/// <summary>All that the page of a job shows.</summary>
/// <param name="SpecJson">What was asked for, word by word.</param>
/// <param name="Waiting">Jobs that stand before it in the queue; 0 when it runs or is over.</param>
/// <param name="After">The job it waits for; null when there is none.</param>
/// <param name="Resumes">How often it was taken up after a crash.</param>
/// <param name="Curves">At most <see cref="ShowJob.PointsMax"/> points each, evenly thinned, the last one always there.</param>
/// <param name="Log">The last <see cref="ShowJob.LinesMax"/> lines, oldest first.</param>
public sealed record ShownJob(JobRow Row, string SpecJson, int Waiting, JobRow? After, int Resumes, DateTimeOffset? HeartbeatAt, IReadOnlyList<Curve> Curves,
    IReadOnlyList<LogLine> Log);

/// <summary>One job with its curves and the end of its log.</summary>
[Needs(Permission.Audit)]
public sealed class ShowJob(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int PointsMax = 400;
    public const int LinesMax = 200;

    public async Task<Outcome<ShownJob>> Handle(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id, stop) is not { } job)
            return new Problem("job", "This job is gone.", ProblemKind.NotFound);
        var waiting = job.State is JobState.Queued
            ? await db.Jobs.CountAsync(j => j.Number < job.Number && (j.State == JobState.Queued || j.State == JobState.Running), stop)
            : 0;
        var before = job.AfterJobId is { } after ? await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == after, stop) : null;
        // Over the primary key (JobId, Name, Step).
        var points = await db.MetricPoints.AsNoTracking().Where(p => p.JobId == id).OrderBy(p => p.Name).ThenBy(p => p.Step)
            .Select(p => new { p.Name, p.Step, p.Value }).ToListAsync(stop);
        var curves = points.GroupBy(p => p.Name).Select(g => new Curve(g.Key, Thin([.. g.Select(p => new CurvePoint(p.Step, p.Value))]))).ToList();
        // Over IX_JobEvents_JobId_Id, from its end.
        var lines = await db.JobEvents.AsNoTracking().Where(e => e.JobId == id).OrderByDescending(e => e.Id).Take(LinesMax)
            .Select(e => new LogLine(e.Id, e.At, e.Level, e.Message)).ToListAsync(stop);
        lines.Reverse();
        return new ShownJob(await RowOf(db, job, stop), job.SpecJson, waiting, before is null ? null : await RowOf(db, before, stop), job.Resumes,
            job.HeartbeatAt, curves, lines);
    }

    /// <summary>The id behind the number people know a job by; null when there is none.</summary>
    public async Task<Outcome<JobId>> Find(ClaimsPrincipal user, int number, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.Jobs.Where(j => j.Number == number).Select(j => (JobId?)j.Id).FirstOrDefaultAsync(stop) is { } id
            ? id
            : new Problem("job", $"There is no job {number}.", ProblemKind.NotFound);
    }

    /// <summary>Evenly spread points, the last among them.</summary>
    internal static IReadOnlyList<CurvePoint> Thin(IReadOnlyList<CurvePoint> points)
    {
        if (points.Count <= PointsMax)
            return points;
        var stride = (points.Count + PointsMax - 1) / PointsMax;
        return [.. points.Where((_, i) => (points.Count - 1 - i) % stride == 0)];
    }

    private static async Task<JobRow> RowOf(PortalDbContext db, Job j, CancellationToken stop)
    {
        var project = await db.Projects.Where(p => p.Id == j.ProjectId).Select(p => p.Name).FirstOrDefaultAsync(stop) ?? "";
        return new JobRow(j.Id, j.Number, j.ProjectId, project, j.Kind, j.State, j.Step, j.StepsTotal, j.Phase, j.SecondsLeft,
            j.CancelAskedAt is not null && j.State is JobState.Running, j.CreatedAt, j.StartedAt, j.FinishedAt, j.FailReason, j.ResultPath);
    }
}
