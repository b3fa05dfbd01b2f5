using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Web.Accounts;

namespace Portal.Web.Explain;

/// <summary>What there is of an explanation of a response.</summary>
/// <param name="Latest">Null where nobody explained it yet.</param>
/// <param name="Job">A job that explains it and has not ended; null for none.</param>
public sealed record FoundExplanation(ExplanationId? Latest, ExplanationConfidence? Confidence, JobId? Job, int? JobNumber);

/// <summary>Finds the newest explanation of a response, or the job that makes one.</summary>
[Needs(Permission.Review)]
public sealed class FindExplanation(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<FoundExplanation>> Handle(ClaimsPrincipal user, ResponseId response, FlagId? flag, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Responses.AsNoTracking().Where(r => r.Id == response).Select(r => (ProjectId?)r.ProjectId).FirstOrDefaultAsync(stop) is not { } project)
            return new Problem("response", "This response is gone.", ProblemKind.NotFound);
        // Over IX_Explanations_ResponseId.
        var latest = await db.Explanations.AsNoTracking().Where(e => e.ResponseId == response).OrderByDescending(e => e.At).Select(e => new { e.Id, e.Confidence }).FirstOrDefaultAsync(stop);
        // Over IX_Jobs_ProjectId_Number; at most StartExplanation.OpenMax of them.
        var open = await db.Jobs.AsNoTracking().Where(j => j.ProjectId == project && j.Kind == nameof(ExplainResponses) && (j.State == JobState.Queued || j.State == JobState.Running)).ToListAsync(stop);
        var job = open.FirstOrDefault(job => JobSpec.FromJson(job.SpecJson) is ExplainResponses spec && (spec.ResponseIds.Contains(response) || (flag is { } id && spec.FlagIds.Contains(id))));
        return new FoundExplanation(latest?.Id, latest?.Confidence, job?.Id, job?.Number);
    }
}
