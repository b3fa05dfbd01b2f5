using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Train;

/// <summary>
/// Asks the engine for something: stores a job row that carries the spec. The engine finds it within a second, or when it is started.
/// </summary>
[Needs(Permission.Administer)]
public sealed class StartJob(WriteQueue writes, Access access, IdFactory ids, TimeProvider time)
{
    /// <summary>Starts one job.</summary>
    /// <param name="after">A job of this project that must succeed first; null when this one may start at once.</param>
    /// <returns>The job's id; or what is wrong, field by field, or that the day's quota is used up.</returns>
    public async Task<Outcome<JobId>> Handle(ClaimsPrincipal user, ProjectId project, JobSpec spec, JobId? after, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var problems = SpecChecks.Of(spec);
        if (problems.Count > 0)
            return new Refusal(problems);
        return await writes.WriteAsync<Outcome<JobId>>(db => Start(db, asked.Value, project, spec, after), stop);
    }

    /// <summary>Inside a write of a handler that has checked permission and spec: stores the job (an import makes its own row with it).</summary>
    internal Outcome<JobId> Start(PortalDbContext db, Person person, ProjectId project, JobSpec spec, JobId? after)
    {
        db.LockJobs();
        var now = time.GetUtcNow();
        if (db.Projects.AsNoTracking().FirstOrDefault(p => p.Id == project) is not { } found)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        if (found.ArchivedAt is not null)
            return new Problem("project", "This project is archived; open it again first.", ProblemKind.Conflict);
        if (Missing(db, project, spec) is { } missing)
            return missing;
        if (after is { } first && db.Jobs.AsNoTracking().FirstOrDefault(j => j.Id == first && j.ProjectId == project) is not { State: not (JobState.Failed or JobState.Cancelled) })
            return new Problem("after", "The job that has to succeed first is gone, or did not succeed.", ProblemKind.Conflict);
        if (spec.IsTraining && OverQuota(db, project, found.JobsPerDay, now) is { } over)
            return over;
        return AskForJob.Add(db, ids.New<JobId>(), project, spec, after, person.AccountId, now).Id;
    }

    private static Problem? OverQuota(PortalDbContext db, ProjectId project, int perDay, DateTimeOffset now)
    {
        var midnight = new DateTimeOffset(now.UtcDateTime.Date, TimeSpan.Zero);
        var kinds = JobSpec.TrainingKinds.ToList();
        // Over IX_Jobs_ProjectId_Number: a project has few jobs.
        var today = db.Jobs.Count(j => j.ProjectId == project && kinds.Contains(j.Kind) && j.CreatedAt >= midnight);
        return today < perDay
            ? null
            : new Problem("project", $"This project has started {today} training jobs today (UTC), which is all its quota of {perDay}. Go on tomorrow, or raise the quota.",
                ProblemKind.TooMuch);
    }

    /// <summary>A model the spec names that this project does not have, or of the wrong kind.</summary>
    private static Problem? Missing(PortalDbContext db, ProjectId project, JobSpec spec)
    {
        (string Field, ModelVersionId? Id, ModelKind Kind)[] named = spec switch
        {
            TrainSft sft => [("parentId", sft.ParentId, ModelKind.Policy)],
            TrainRewardModel reward => [("backboneId", reward.BackboneId, ModelKind.Policy)],
            TrainPreferencePolicy policy =>
            [
                ("parentId", policy.ParentId, ModelKind.Policy), ("rewardModelId", policy.RewardModelId, ModelKind.RewardModel), ("relabelledById", policy.RelabelledById, ModelKind.RewardModel),
            ],
            TrainRlooPolicy rloo => [("parentId", rloo.ParentId, ModelKind.Policy), ("rewardModelId", rloo.RewardModelId, ModelKind.RewardModel), ("scoredById", rloo.ScoredById, ModelKind.RewardModel)],
            TrainSarm sarm => [("saeId", sarm.SaeId, ModelKind.SparseAutoencoder)],
            DescribeFeatures describe => [("rewardModelId", describe.RewardModelId, ModelKind.RewardModel)],
            CompareBestOfN compare => [("policyId", compare.PolicyId, ModelKind.Policy), ("beforeId", compare.BeforeId, ModelKind.RewardModel), ("afterId", compare.AfterId, ModelKind.RewardModel)],
            ExplainResponses explain => [("rewardModelId", explain.RewardModelId, ModelKind.RewardModel)],
            SampleResponses sample => [("policyId", sample.PolicyId, ModelKind.Policy), ("candidateId", sample.CandidateId, ModelKind.Policy)],
            _ => [],
        };
        if (spec is TrainSae { ModelId: { } read } && !db.ModelVersions.Any(v => v.Id == read && v.ProjectId == project && v.Kind != ModelKind.SparseAutoencoder && v.Status != ModelStatus.Retired))
            return new Problem("modelId", "This project has no such policy or reward model, or it is retired.", ProblemKind.NotFound);
        if (spec is TrainRlooPolicy { RewardModelId: null } && !db.ModelVersions.Any(v => v.ProjectId == project && v.Kind == ModelKind.RewardModel && v.Status != ModelStatus.Retired))
            return new Problem("rewardModelId", "This project has no reward model to learn from yet. Train one first.", ProblemKind.NotFound);
        if (spec is TrainRlooPolicy { LikeId: { } like } && !db.Prompts.Any(p => p.Id == like && p.ProjectId == project))
            return new Problem("likeId", "This project has no such prompt.", ProblemKind.NotFound);
        if (spec is PublishToggles toggles && !db.ToggleSets.Any(s => s.Id == toggles.ToggleSetId && s.ProjectId == project))
            return new Problem("toggleSetId", "This project has no such toggle set.", ProblemKind.NotFound);
        if (spec is UnlearnPairs unlearn && !db.UnlearningRequests.Any(r => r.Id == unlearn.RequestId && r.ProjectId == project))
            return new Problem("requestId", "This project has no such request.", ProblemKind.NotFound);
        if (spec is EraseData erase && !db.ErasureRequests.Any(r => r.Id == erase.RequestId && r.ProjectId == project))
            return new Problem("requestId", "This project has no such request.", ProblemKind.NotFound);
        foreach (var (field, id, kind) in named)
            if (id is { } version && !db.ModelVersions.Any(v => v.Id == version && v.ProjectId == project && v.Kind == kind && v.Status != ModelStatus.Retired))
                return new Problem(field, $"This project has no such {kind.Noun()}, or it is retired.", ProblemKind.NotFound);
        return null;
    }
}
