using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Registry;
using Portal.Web.Train;

namespace Portal.Web.Unlearning;

/// <summary>Ways to a policy that follows the reward model that forgot.</summary>
public enum PolicyRepair
{
    /// <summary>DPO from the project's base policy, on the judged pairs as the new reward model orders them: nothing of the old policy remains (docs/evidence-unlearning.md).</summary>
    FromBase = 1,
    /// <summary>
    /// ReMax from the policy that serves, on the flagged prompt and those most like it, held close to what it is there, and closer on the other prompts: where what it learned from people shall stay.
    /// </summary>
    FromServing = 2,
}

/// <summary>
/// Has a policy trained with the reward model that forgot. Its page compares it with the one before, blind as well, and releases it; an unlearnt reward model alone changes no answer.
/// </summary>
[Needs(Permission.Administer)]
public sealed class RepairPolicy(WriteQueue writes, Access access, StartJob start, ContentHasher hasher, TimeProvider time)
{
    /// <param name="steps">At most so many; null: as many as the way needs.</param>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, UnlearningRequestId id, PolicyRepair how, int? steps, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (steps is < 1 or > 10_000)
            return new Problem("steps", "Train for 1 to 10,000 steps.");
        if (!Enum.IsDefined(how))
            return new Problem("how", "There is no such way to train it.");
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
                // Whoever decides reads old and new answers to the flagged prompt and those most like it.
                var prompt = (from e in db.Explanations where e.Id == request.ExplanationId join r in db.Responses on e.ResponseId equals r.Id select (PromptId?)r.PromptId).FirstOrDefault();
                var evaluation = new EvaluationSpec { LikeId = prompt };
                var dpo = StartRelabelledPolicy.SpecBy(reward);
                // All that one person gave is about no prompt: then all are learnt on, and none is left to be held.
                var remax = TrainRlooPolicy.Repair with { ParentId = policy, RewardModelId = reward, LikeId = prompt, RetainWeight = prompt is null ? 0 : TrainRlooPolicy.Repair.RetainWeight };
                JobSpec spec = how is PolicyRepair.FromBase
                    ? dpo with { Optimization = dpo.Optimization with { StepsMax = steps ?? dpo.Optimization.StepsMax }, Evaluation = evaluation }
                    : remax with { Optimization = remax.Optimization with { StepsMax = steps ?? remax.Optimization.StepsMax }, Evaluation = evaluation };
                var started = StartedJob.In(db, () => start.Start(db, asked.Value, request.ProjectId, spec, null));
                if (started.Refusal is { } unstarted)
                    return unstarted;
                if (request.Repair(started.Value.Id, earlier is { IsOver: false }) is { } problem)
                    return problem;
                UnlearningAudit.Append(db, hasher, time.GetUtcNow(), asked.Value.AccountId, "unlearning.repair", request, new { job = $"{started.Value.Id}", policy = $"{policy}", how = how.ToString() });
                return started;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return UnlearningRefusals.Overtaken;
        }
    }
}
