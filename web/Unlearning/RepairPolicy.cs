using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Unlearning;

/// <summary>
/// Has the policy that serves trained on with the reward model that forgot, held close to what it is. Its page compares it with the one before, blind as well, and releases it; an unlearnt reward model alone changes no answer.
/// </summary>
[Needs(Permission.Administer)]
public sealed class RepairPolicy(WriteQueue writes, Access access, StartJob start, ContentHasher hasher, TimeProvider time)
{
    /// <summary>How far it may go from the policy it starts from, nats per answer. Source: specs/xrlhf.md §2.2 C: without the KL term the flagged prompts improve and all others get worse.</summary>
    public const double KlBudgetNats = 3;

    /// <summary>Steps where nobody says otherwise; the budget mostly ends it before.</summary>
    public const int StepsDefault = 60;

    /// <param name="steps">At most so many.</param>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, UnlearningRequestId id, int steps, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (steps is < 1 or > 10_000)
            return new Problem("steps", "Train for 1 to 10,000 steps.");
        try
        {
            return await writes.WriteAsync<StartedJob>(db =>
            {
                db.LockJobs();
                if (db.UnlearningRequests.FirstOrDefault(r => r.Id == id) is not { } request)
                    return UnlearningRefusals.Gone;
                var policy = db.Projects.Where(p => p.Id == request.ProjectId).Select(p => p.CurrentPolicyId).First();
                if (policy is null)
                    return new Problem("policy", "No policy serves in this project, so there is none to repair.", ProblemKind.Conflict);
                var earlier = db.Jobs.AsNoTracking().FirstOrDefault(j => j.Id == request.RepairJobId);
                if (request.VersionId is not { } reward)
                    return new Problem("", "There is no reward model to train the policy with yet.", ProblemKind.Conflict);
                var spec = new TrainRlooPolicy { ParentId = policy, RewardModelId = reward, NormalizeReward = true, KlBudgetNats = KlBudgetNats };
                // Whoever decides reads old and new answers to the flagged prompt and those most like it.
                var prompt = (from e in db.Explanations where e.Id == request.ExplanationId join r in db.Responses on e.ResponseId equals r.Id select (PromptId?)r.PromptId).FirstOrDefault();
                spec = spec with { Optimization = spec.Optimization with { StepsMax = steps }, Evaluation = spec.Evaluation with { LikeId = prompt } };
                var started = StartedJob.In(db, () => start.Start(db, asked.Value, request.ProjectId, spec, null));
                if (started.Refusal is { } unstarted)
                    return unstarted;
                if (request.Repair(started.Value.Id, earlier is { IsOver: false }) is { } problem)
                    return problem;
                UnlearningAudit.Append(db, hasher, time.GetUtcNow(), asked.Value.AccountId, "unlearning.repair", request, new { job = $"{started.Value.Id}", policy = $"{policy}" });
                return started;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return UnlearningRefusals.Overtaken;
        }
    }
}
