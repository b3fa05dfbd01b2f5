using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Explain;

/// <summary>What somebody wants explained.</summary>
/// <param name="Flags">Flagged responses, by their flags.</param>
/// <param name="Responses">Other responses.</param>
/// <param name="RewardModel">Null for the one that serves, or else the newest.</param>
public sealed record ExplanationInput(IReadOnlyList<FlagId> Flags, IReadOnlyList<ResponseId> Responses, ModelVersionId? RewardModel = null, QueryMode Mode = QueryMode.Centred, FeatureSpace Space = FeatureSpace.RewardState, double Locality = 0);

/// <summary>Asks the engine which judgements make a reward model like some responses.</summary>
[Needs(Permission.Review)]
public sealed class StartExplanation(WriteQueue writes, StartJob start, Access access, TimeProvider time)
{
    /// <summary>Explanations of a project that wait or run at a time.</summary>
    public const int OpenMax = 5;

    /// <returns>The job; or which flag, response or model cannot be explained and why.</returns>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ProjectId project, ExplanationInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var spec = new ExplainResponses { FlagIds = [.. input.Flags.Distinct()], ResponseIds = [.. input.Responses.Distinct()], RewardModelId = input.RewardModel, Mode = input.Mode, Space = input.Space, Locality = input.Locality };
        if (SpecChecks.Of(spec) is { Count: > 0 } problems)
            return new Refusal(problems);
        return await writes.WriteAsync<StartedJob>(db =>
        {
            if (Model(db, project, input.RewardModel) is not { } model)
                return input.RewardModel is null ? new Problem("rewardModel", "This project has no reward model yet. Train one first.", ProblemKind.NotFound)
                    : new Problem("rewardModel", "This project has no such reward model, or it is retired.", ProblemKind.NotFound);
            if (model.DatasetVersionId is null)
                return new Problem("rewardModel", $"{model.Label} was not trained on judgements of this project, so no judgement can explain it.", ProblemKind.Conflict);
            if (spec.Space is FeatureSpace.SarmCodes && !model.HasFeatures)
                return new Problem("space", $"{model.Label} reads no sparse features; explain it by the state its head reads.", ProblemKind.Conflict);
            if (Texts(db, project, spec) is { } problem)
                return problem;
            db.LockJobs();
            if (db.Jobs.Count(j => j.ProjectId == project && j.Kind == nameof(ExplainResponses) && (j.State == JobState.Queued || j.State == JobState.Running)) >= OpenMax)
                return new Problem("project", $"{OpenMax} explanations wait or run in this project already. Start this one when one of them has ended.", ProblemKind.TooMuch);
            var started = StartedJob.In(db, () => start.Start(db, asked.Value, project, spec with { RewardModelId = model.Id }, null));
            if (started.Refusal is null)
                AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "explanation.start", "job", $"{started.Value.Id}", new { job = started.Value.Number, flags = spec.FlagIds.Select(id => $"{id}"), responses = spec.ResponseIds.Select(id => $"{id}"), mode = spec.Mode.ToString() });
            return started;
        }, stop);
    }

    /// <summary>The reward model that a job of this input would explain; null where there is none.</summary>
    internal static ModelVersion? Model(PortalDbContext db, ProjectId project, ModelVersionId? named)
    {
        var models = db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.RewardModel && v.Status != ModelStatus.Retired);
        if (named is { } id)
            return models.FirstOrDefault(v => v.Id == id);
        var current = db.Projects.Where(p => p.Id == project).Select(p => p.CurrentRewardModelId).FirstOrDefault();
        return (current is { } serving ? models.FirstOrDefault(v => v.Id == serving) : null) ?? models.OrderByDescending(v => v.Number).FirstOrDefault();
    }

    private static Problem? Texts(PortalDbContext db, ProjectId project, ExplainResponses spec)
    {
        var flags = db.Flags.AsNoTracking().Where(f => f.ProjectId == project && spec.FlagIds.Contains(f.Id)).ToList();
        if (flags.Count < spec.FlagIds.Count)
            return new Problem("flags", "One of these flags is gone, or belongs to another project.", ProblemKind.NotFound);
        if (flags.FirstOrDefault(flag => flag.State is FlagState.Dismissed) is not null)
            return new Problem("flags", "One of these flags was dismissed: nobody holds the response to be bad any more.", ProblemKind.Conflict);
        if (spec.Mode is QueryMode.Comparison && (spec.ResponseIds.Count > 0 || flags.Any(flag => flag.PreferredId is null)))
            return new Problem("mode", "A comparison needs a better answer, and not all of these have one. Compare with other answers instead.", ProblemKind.Conflict);
        List<ResponseId> ids = [.. spec.ResponseIds.Concat(flags.Select(flag => flag.ResponseId)).Distinct()];
        var found = (from r in db.Responses.AsNoTracking()
                     where r.ProjectId == project && ids.Contains(r.Id)
                     join c in db.Contents on r.ContentId equals c.Id
                     join p in db.Prompts on r.PromptId equals p.Id
                     join pc in db.Contents on p.ContentId equals pc.Id
                     select new { r.Id, r.ModelVersionId, IsThere = c.Text != null && pc.Text != null }).ToList();
        if (found.Count < ids.Count)
            return new Problem("responses", "One of these responses is gone, or belongs to another project.", ProblemKind.NotFound);
        if (found.Any(response => !response.IsThere))
            return new Problem("responses", "The text of one of these responses, or of its prompt, was erased; what is not there cannot be explained.", ProblemKind.Conflict);
        var writers = found.Select(response => response.ModelVersionId).OfType<ModelVersionId>().Distinct().ToList();
        return db.ModelVersions.AsNoTracking().FirstOrDefault(v => writers.Contains(v.Id) && v.Status == ModelStatus.Retired) is { } retired
            ? new Problem("responses", $"{retired.Label}, which wrote one of these responses, is retired: nobody is answered by it any more, and nothing can be released for it.", ProblemKind.Conflict)
            : null;
    }
}
