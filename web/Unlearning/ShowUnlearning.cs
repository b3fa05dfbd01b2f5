using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Explain;
using Portal.Web.Registry;

namespace Portal.Web.Unlearning;

/// <summary>A pair that a request is about, with its texts as they are stored now, the way round the model goes by it before.</summary>
/// <param name="Number">Of the judgement within its dataset version, as pages call the pair.</param>
/// <param name="Question">What both answer; empty once erased, as the answers are null.</param>
/// <param name="Annotator">By pseudonym.</param>
public sealed record ForgottenPair(JudgementId Judgement, int Number, string Question, string? Chosen, string? Rejected, string Annotator);

/// <summary>The job that makes the version.</summary>
public sealed record UnlearningJob(JobId Id, int Number, JobState State, string Phase, string? FailReason);

/// <summary>A request with all that its page shows.</summary>
/// <param name="Pairs">The first <see cref="ShowUnlearning.PairsMax"/> of those that go.</param>
/// <param name="Response">The response that the pairs explain; null once erased.</param>
/// <param name="By">Who asked, who approved first of two, and who decided.</param>
/// <param name="Serving">The reward model that serves today, and the one a roll-back would put back.</param>
/// <param name="Repair">The newest job that trains the policy with it; null for none.</param>
/// <param name="Repaired">The policy that job made; null before.</param>
/// <param name="IsMine">Who looks has asked for it.</param>
/// <param name="MayDecide">Their role would allow a decision.</param>
/// <param name="HasApproved">They gave the first of two approvals.</param>
public sealed record UnlearningView(UnlearningRequest Request, UnlearningPreview Preview, IReadOnlyList<ForgottenPair> Pairs, string Question, string? Response, ModelVersion Model, ModelVersion? Made, UnlearningJob? Job, string By, string? FirstApprover, string? Decider,
    VersionLink? Serving, VersionLink? RestoredByRollBack, UnlearningJob? Repair, ModelVersion? Repaired, bool IsMine, bool MayDecide, bool HasApproved)
{
    public bool IsStuck => Made is null && Job is { State: JobState.Failed or JobState.Cancelled };
}

/// <summary>Reads one request.</summary>
[Needs(Permission.Review)]
public sealed class ShowUnlearning(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    /// <summary>Pairs that the page shows.</summary>
    public const int PairsMax = 25;

    public async Task<Outcome<UnlearningView>> Handle(ClaimsPrincipal user, UnlearningRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.UnlearningRequests.AsNoTracking().FirstOrDefaultAsync(r => r.Id == id, stop) is not { } request)
            return UnlearningRefusals.Gone;
        var serving = await db.Projects.Where(p => p.Id == request.ProjectId).Select(p => p.CurrentRewardModelId).FirstAsync(stop);
        var restored = serving is { } now ? RollBackModel.Target(db, request.ProjectId, ModelKind.RewardModel, now) : null;
        var links = await ShowModel.Links(db, [serving, restored], stop);
        var versions = await db.ModelVersions.AsNoTracking().Where(v => v.Id == request.RewardModelId || v.Id == request.VersionId).ToDictionaryAsync(v => v.Id, stop);
        var people = new[] { request.RequestedBy, request.FirstApprover ?? request.RequestedBy, request.DecidedBy ?? request.RequestedBy };
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var jobs = await db.Jobs.AsNoTracking().Where(j => j.Id == request.JobId || j.Id == request.RepairJobId).Select(j => new UnlearningJob(j.Id, j.Number, j.State, j.Phase, j.FailReason)).ToListAsync(stop);
        var job = jobs.Find(one => one.Id == request.JobId);
        // The policy that a job makes has the job's id.
        var repaired = request.RepairJobId is { } repair ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == ModelVersionId.From(repair.Value), stop) : null;
        var explained = await (from e in db.Explanations
                               where e.Id == request.ExplanationId
                               join r in db.Responses on e.ResponseId equals r.Id
                               join c in db.Contents on r.ContentId equals c.Id
                               join p in db.Prompts on r.PromptId equals p.Id
                               join pc in db.Contents on p.ContentId equals pc.Id
                               select new { c.Text, Prompt = pc.Text }).FirstOrDefaultAsync(stop);
        var ids = await db.UnlearningPairs.Where(p => p.RequestId == id).Select(p => p.JudgementId).ToListAsync(stop);
        return new UnlearningView(request, JsonSerializer.Deserialize<UnlearningPreview>(request.PreviewJson, ServingJson.Options)!, await Pairs(db, versions[request.RewardModelId], request.DatasetVersionId, ids, stop), // stored with the request
            Conversation.LastQuestion(Conversation.Parse(explained?.Prompt)), explained?.Text, versions[request.RewardModelId], request.VersionId is { } made ? versions.GetValueOrDefault(made) : null, job, Name(request.RequestedBy)!,
            Name(request.FirstApprover), Name(request.DecidedBy), Link(serving), Link(restored), jobs.Find(one => one.Id == request.RepairJobId), repaired, request.RequestedBy == person.AccountId, person.May(Permission.Administer), request.FirstApprover == person.AccountId);

        string? Name(Guid? who) => who is { } account ? names.GetValueOrDefault(account, "?") : null;
        VersionLink? Link(ModelVersionId? wanted) => wanted is { } w ? links.GetValueOrDefault(w) : null;
    }

    /// <summary>Texts of some pairs of the data a model was trained on, in its order.</summary>
    internal static async Task<IReadOnlyList<ForgottenPair>> Pairs(PortalDbContext db, ModelVersion model, DatasetVersionId dataset, IReadOnlyList<JudgementId> judgements, CancellationToken stop) =>
        [.. (await PairText.Read(db, model, dataset, judgements, stop, PairsMax)).Select(pair => new ForgottenPair(pair.Judgement, pair.Number, Conversation.LastQuestion(pair.Prompt), pair.Chosen, pair.Rejected, pair.Annotator))];
}
