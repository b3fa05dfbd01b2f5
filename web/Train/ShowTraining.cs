using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Web.Accounts;

namespace Portal.Web.Train;

/// <summary>What there is to learn from, under one choice of rules.</summary>
/// <param name="Pairs">Preferences: what a reward model and DPO learn from.</param>
/// <param name="LeftOut">Ties, both good, both bad, cannot judge: they make no pair.</param>
/// <param name="Good">Single responses called good ...</param>
/// <param name="Bad">... and bad: what KTO learns from.</param>
/// <param name="Prompts">Different prompts among the pairs.</param>
public sealed record UsableCounts(int Pairs, int LeftOut, int Good, int Bad, int Prompts);

/// <summary>What the train page shows before anything is chosen.</summary>
public sealed record TrainingView(ProjectId ProjectId, string ProjectName, bool IsSynthetic, string? RewardModel, string? Policy, bool HasBase, bool HasReward, int JobsToday, int JobsPerDay);

/// <summary>Loads what the form of a training needs to know.</summary>
[Needs(Permission.Administer)]
public sealed class ShowTraining(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public async Task<Outcome<TrainingView>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop) is not { } project)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        var current = await db.ModelVersions.AsNoTracking().Where(v => v.Id == project.CurrentPolicyId || v.Id == project.CurrentRewardModelId).ToListAsync(stop);
        var hasBase = await db.ModelVersions.AnyAsync(v => v.ProjectId == projectId && v.Kind == Portal.Data.Registry.ModelKind.Policy, stop);
        var hasReward = await db.ModelVersions.AnyAsync(v => v.ProjectId == projectId && v.Kind == Portal.Data.Registry.ModelKind.RewardModel && v.Status != Portal.Data.Registry.ModelStatus.Retired, stop);
        return new TrainingView(project.Id, project.Name, project.IsSynthetic, current.Find(v => v.Id == project.CurrentRewardModelId)?.Label,
            current.Find(v => v.Id == project.CurrentPolicyId)?.Label, hasBase, hasReward, await Used(db, projectId, time.GetUtcNow(), stop), project.JobsPerDay);
    }

    /// <summary>Counts judgements that would be used now, as the data set's rules choose them. Surplus and superseded ones never count.</summary>
    public async Task<Outcome<UsableCounts>> Count(ClaimsPrincipal user, ProjectId projectId, DatasetRules rules, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var collected = db.Tasks.Where(t => t.ProjectId == projectId && t.Purpose == TaskPurpose.Collect);
        var pairs = from j in Chosen(db.PairwiseJudgements.AsNoTracking(), projectId, rules)
                    join t in collected on j.TaskId equals t.Id
                    select new { j.Verdict, t.PromptId };
        var byVerdict = await pairs.GroupBy(j => j.Verdict).Select(g => new { g.Key, Count = g.Count() }).ToListAsync(stop);
        var prompts = await pairs.Where(j => j.Verdict == PairwiseVerdict.Preferred).Select(j => j.PromptId).Distinct().CountAsync(stop);
        var singles = await (from j in Chosen(db.BinaryJudgements.AsNoTracking(), projectId, rules)
                             join t in collected on j.TaskId equals t.Id
                             group j by j.Verdict into same
                             select new { same.Key, Count = same.Count() }).ToListAsync(stop);
        return new UsableCounts(byVerdict.Where(v => v.Key is PairwiseVerdict.Preferred).Sum(v => v.Count), byVerdict.Where(v => v.Key is not PairwiseVerdict.Preferred).Sum(v => v.Count),
            singles.Where(v => v.Key is BinaryVerdict.Good).Sum(v => v.Count), singles.Where(v => v.Key is BinaryVerdict.Bad).Sum(v => v.Count), prompts);
    }

    /// <summary>Training jobs started since midnight UTC, whatever became of them. Over IX_Jobs_ProjectId_Number.</summary>
    private static Task<int> Used(PortalDbContext db, ProjectId projectId, DateTimeOffset now, CancellationToken stop)
    {
        var midnight = new DateTimeOffset(now.UtcDateTime.Date, TimeSpan.Zero);
        var kinds = JobSpec.TrainingKinds.ToList();
        return db.Jobs.CountAsync(j => j.ProjectId == projectId && kinds.Contains(j.Kind) && j.CreatedAt >= midnight, stop);
    }

    private static IQueryable<T> Chosen<T>(IQueryable<T> judgements, ProjectId projectId, DatasetRules rules) where T : Judgement
    {
        judgements = judgements.Where(j => j.ProjectId == projectId && j.SupersededAt == null && !j.IsSurplus);
        if (!rules.IncludeSimulated)
            judgements = judgements.Where(j => j.Source != JudgementSource.Simulated);
        if (!rules.IncludeImported)
            judgements = judgements.Where(j => j.Source != JudgementSource.Imported);
        return judgements;
    }
}
