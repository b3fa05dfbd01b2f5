using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Registry;

/// <summary>Has a candidate and the policy that serves answer the same prompts, and makes blind pairs of the answers.</summary>
[Needs(Permission.Administer)]
public sealed class StartBlindVote(IDbContextFactory<PortalDbContext> contexts, StartJob start, ReleaseOptions limits, Access access)
{
    /// <summary>Of each policy: where both write the same, their next answers make the pair, and a young candidate often writes the same.</summary>
    private const int ResponsesPerPrompt = 4;

    /// <returns>The job that makes the pairs.</returns>
    public async Task<Outcome<JobId>> Handle(ClaimsPrincipal user, ModelVersionId candidateId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == candidateId, stop) is not { } candidate)
            return ReleaseRefusals.NoVersion;
        var current = await db.Projects.Where(p => p.Id == candidate.ProjectId).Select(p => p.CurrentPolicyId).FirstAsync(stop);
        if (candidate.Kind is not ModelKind.Policy)
            return new Problem("version", "Blind pairs compare policies: a reward model writes nothing.");
        if (current is null || current == candidateId)
            return new Problem("version", "Blind pairs compare a candidate with another policy that serves, and there is none.", ProblemKind.Conflict);
        if (await db.Tasks.AnyAsync(t => t.CandidateId == candidateId, stop))
            return new Problem("version", "The blind pairs of this candidate exist already. Load the page again to vote.", ProblemKind.Conflict);
        // The policy that serves is named, so that the pairs compare what this person saw even when somebody releases another one meanwhile.
        var spec = new SampleResponses
        {
            PolicyId = current, CandidateId = candidateId, Prompts = limits.BlindVotesMin, ResponsesPerPrompt = ResponsesPerPrompt, PairsPerPrompt = 1, Tasks = TaskKinds.Pairwise,
        };
        return await start.Handle(user, candidate.ProjectId, spec, null, stop);
    }
}
