using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Projects;
using Portal.Web.Shell;

namespace Portal.Web.Home;

/// <summary>Something that waits for a person.</summary>
/// <param name="Key">Names the texts <c>Waits.{Key}</c> and <c>Waits.{Key}.Button</c>.</param>
/// <param name="Since">When the oldest of them came; null where nobody knows.</param>
public sealed record Waiting(string Key, int Count, DateTimeOffset? Since, string Href);

/// <summary>How far a project's first round is, read from its rows.</summary>
/// <param name="Judged">Judgements that count, from anywhere.</param>
/// <param name="ByPeople">Those of people.</param>
/// <param name="Policies">Policies that learned from judgements.</param>
/// <param name="Released">True once such a policy was released.</param>
public sealed record FirstRun(int Prompts, int Responses, int Judged, int ByPeople, int RewardModels, int Policies, bool Released, ModelVersionId? LatestPolicy);

/// <summary>One part of the installation.</summary>
/// <param name="Key">"Portal", "Engine" or "Disk".</param>
/// <param name="Detail">What was found, for people.</param>
public sealed record HealthLine(string Key, bool IsWell, string Detail);

/// <summary>What Home shows. Parts that the person's role does not open are empty.</summary>
/// <param name="Days">Judgements of each of the last 14 UTC days, oldest first.</param>
public sealed record HomeView(ProjectId ProjectId, string ProjectName, bool IsSynthetic, string PersonName, FirstRun FirstRun, IReadOnlyList<Waiting> Waits,
    IReadOnlyList<(DateOnly Day, int Count)> Days, IReadOnlyList<HealthLine> Health, bool MayAdminister, bool SeesModels, DateTimeOffset AsOf);

/// <summary>What waits for this person, how far the project is, and whether anything is wrong.</summary>
[Needs(Permission.Use)]
public sealed class ShowHome(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine, DataDirectory directory, TimeProvider time)
{
    public const int Days = 14;

    /// <summary>Below this the disk is called full: an import of the largest size and a model still fit.</summary>
    private const long FreeBytesMin = 2L << 30;

    public async Task<Outcome<HomeView>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop) is not { } project)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        var now = time.GetUtcNow();
        return new HomeView(project.Id, project.Name, project.IsSynthetic, person.DisplayName, await Round(db, project, stop), await Waits(db, project, person, now, stop),
            await PerDay(db, projectId, now, stop), person.May(Permission.Administer) ? await Health(stop) : [], person.May(Permission.Administer),
            person.May(Permission.Review) || person.May(Permission.Audit), now);
    }

    private static async Task<FirstRun> Round(PortalDbContext db, Project project, CancellationToken stop)
    {
        var pairs = db.PairwiseJudgements.Where(j => j.ProjectId == project.Id && j.SupersededAt == null);
        var singles = db.BinaryJudgements.Where(j => j.ProjectId == project.Id && j.SupersededAt == null);
        var trained = db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project.Id && v.Kind == ModelKind.Policy && v.DatasetVersionId != null);
        return new FirstRun(
            await db.Prompts.CountAsync(p => p.ProjectId == project.Id, stop), await db.Responses.CountAsync(r => r.ProjectId == project.Id, stop),
            await pairs.CountAsync(stop) + await singles.CountAsync(stop),
            await pairs.CountAsync(j => j.Source == JudgementSource.Person, stop) + await singles.CountAsync(j => j.Source == JudgementSource.Person, stop),
            await db.ModelVersions.CountAsync(v => v.ProjectId == project.Id && v.Kind == ModelKind.RewardModel, stop), await trained.CountAsync(stop),
            await trained.AnyAsync(v => v.Status != ModelStatus.Candidate, stop),
            await trained.OrderByDescending(v => v.Number).Select(v => (ModelVersionId?)v.Id).FirstOrDefaultAsync(stop));
    }

    private static async Task<IReadOnlyList<Waiting>> Waits(PortalDbContext db, Project project, Person person, DateTimeOffset now, CancellationToken stop)
    {
        var waits = new List<Waiting>();
        if (person.May(Permission.Review))
        {
            var flags = db.Flags.AsNoTracking().Where(f => f.ProjectId == project.Id && f.State == FlagState.Open);
            if (await flags.CountAsync(stop) is > 0 and var count)
                waits.Add(new("Flags", count, await flags.MinAsync(f => (DateTimeOffset?)f.At, stop), "review"));
        }
        if (person.May(Permission.Administer))
        {
            var failed = db.Jobs.AsNoTracking().Where(j => j.ProjectId == project.Id && j.State == JobState.Failed).OrderByDescending(j => j.Number);
            // Only a failure that nothing newer has made good.
            if (await failed.FirstOrDefaultAsync(stop) is { } last && !await db.Jobs.AnyAsync(j => j.ProjectId == project.Id && j.Kind == last.Kind && j.Number > last.Number, stop))
                waits.Add(new("Failed", 1, last.FinishedAt, $"jobs/{last.Id}"));
            var newest = await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project.Id && v.Kind == ModelKind.Policy).OrderByDescending(v => v.Number).FirstOrDefaultAsync(stop);
            if (newest is { Status: ModelStatus.Candidate, DatasetVersionId: not null })
                waits.Add(new("Candidate", 1, newest.CreatedAt, $"models/{newest.Id}/results"));
            // What one asked for is decided by another.
            var unlearning = db.UnlearningRequests.AsNoTracking().Where(r => r.ProjectId == project.Id && r.State == UnlearningState.Waiting && r.RequestedBy != person.AccountId && r.FirstApprover != person.AccountId);
            if (await unlearning.CountAsync(stop) is > 0 and var toForget)
                waits.Add(new("Unlearning", toForget, await unlearning.MinAsync(r => (DateTimeOffset?)r.RequestedAt, stop), "unlearning"));
            var erasures = db.ErasureRequests.AsNoTracking().Where(r => r.ProjectId == project.Id && r.State == ErasureState.Waiting && r.RequestedBy != person.AccountId);
            if (await erasures.CountAsync(stop) is > 0 and var toErase)
                waits.Add(new("Erasure", toErase, await erasures.MinAsync(r => (DateTimeOffset?)r.RequestedAt, stop), "erasure"));
            foreach (var body in await Bodies(db, project, now, stop))
                waits.Add(body);
        }
        if (person.May(Permission.Vote))
        {
            var waiting = LoadFrame.WaitingFor(db, person.AnnotatorId).Where(t => t.ProjectId == project.Id);
            foreach (var (kind, key, place) in new[] { (TaskKind.Pairwise, "Pairs", "annotate"), (TaskKind.Binary, "Singles", "judge") })
                if (await waiting.CountAsync(t => t.Kind == kind, stop) is > 0 and var count)
                    waits.Add(new(key, count, null, $"{place}/{project.Id}"));
        }
        return [.. waits.OrderBy(w => w.Since ?? DateTimeOffset.MaxValue)];
    }

    /// <summary>Reward models that an erasure freed at their heads only, and whose bodies are not trained again yet: until when it must be done, and where that day has passed.</summary>
    private static async Task<IReadOnlyList<Waiting>> Bodies(PortalDbContext db, Project project, DateTimeOffset now, CancellationToken stop)
    {
        var freed = await db.ErasureRequests.AsNoTracking().Where(r => r.ProjectId == project.Id && r.BodyDueAt != null && r.ProofJson != null).ToListAsync(stop); // erasures are few
        var jobs = freed.ToDictionary(r => r.Id, r => ErasureProof.FromJson(r.ProofJson!).Serving.Select(change => change.BodyJob).OfType<JobId>().ToList());
        var wanted = jobs.Values.SelectMany(ids => ids).Distinct().ToList();
        var done = (await db.Jobs.AsNoTracking().Where(j => wanted.Contains(j.Id) && j.State == JobState.Succeeded).Select(j => j.Id).ToListAsync(stop)).ToHashSet();
        return [.. freed.Where(r => !jobs[r.Id].TrueForAll(done.Contains)).GroupBy(r => r.BodyDueAt < now)
            .Select(group => new Waiting(group.Key ? "BodyOverdue" : "Body", group.Count(), group.Min(r => r.FinishedAt), group.Count() == 1 ? $"erasure/{group.First().Id}" : "erasure"))];
    }

    /// <summary>Two index ranges a day over (ProjectId, SubmittedAt): grouping by day is not the same SQL on both databases.</summary>
    private static async Task<IReadOnlyList<(DateOnly, int)>> PerDay(PortalDbContext db, ProjectId projectId, DateTimeOffset now, CancellationToken stop)
    {
        var days = new List<(DateOnly, int)>(Days);
        for (var back = Days - 1; back >= 0; back--)
        {
            var start = new DateTimeOffset(now.UtcDateTime.Date.AddDays(-back), TimeSpan.Zero);
            var end = start.AddDays(1);
            days.Add((DateOnly.FromDateTime(start.UtcDateTime),
                await db.PairwiseJudgements.CountAsync(j => j.ProjectId == projectId && j.SubmittedAt >= start && j.SubmittedAt < end && j.SupersededAt == null, stop)
                + await db.BinaryJudgements.CountAsync(j => j.ProjectId == projectId && j.SubmittedAt >= start && j.SubmittedAt < end && j.SupersededAt == null, stop)));
        }
        return days;
    }

    private async Task<IReadOnlyList<HealthLine>> Health(CancellationToken stop)
    {
        var models = await engine.Models(stop);
        var free = new DriveInfo(directory.Root).AvailableFreeSpace;
        return
        [
            new("Portal", true, ""), // it has just read the rows above
            new("Engine", models.Refusal is null, models.Refusal?.ToString() ?? ""),
            new("Disk", free >= FreeBytesMin, (free / (double)(1L << 30)).ToString("N1", System.Globalization.CultureInfo.CurrentCulture)),
        ];
    }
}
