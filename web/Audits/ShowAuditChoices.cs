using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>A version that can be chosen.</summary>
/// <param name="Parent">The policy it was trained from; null for a base model.</param>
public sealed record AuditChoice(ModelVersionId Id, string Label, string Method, ModelVersionId? Parent, bool Serves, bool IsRetired);

/// <summary>An endpoint that can be chosen.</summary>
/// <param name="HasConsent">Texts of people may be sent to it.</param>
/// <param name="GivesLogProbs">A trial got the probability of a text it gave; null: not tried, or not asked for.</param>
public sealed record AuditEndpointChoice(PolicyEndpointId Id, string Name, bool HasConsent, bool? GivesLogProbs);

/// <summary>What the wizard offers. Newest first.</summary>
/// <param name="SecondsEach">Seconds a completion of the project's last audit took, everything included; null where none has run.</param>
public sealed record AuditChoices(ProjectId ProjectId, string ProjectName, bool IsSynthetic, IReadOnlyList<AuditChoice> Policies, IReadOnlyList<AuditEndpointChoice> Endpoints, IReadOnlyList<AuditChoice> Rewards,
    IReadOnlyList<AuditChoice> Saes, IReadOnlyList<string> Lexicons, int Prompts, double? SecondsEach);

/// <summary>Loads what can be audited, against what, and read by what.</summary>
[Needs(Permission.Audit)]
public sealed class ShowAuditChoices(IDbContextFactory<PortalDbContext> contexts, Access access, DataDirectory directory)
{
    private const int VersionsMax = 500, LexiconsMax = 50;

    public async Task<Outcome<AuditChoices>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop) is not { } project)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        // Over (ProjectId, Kind, Number).
        var versions = await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == projectId).OrderByDescending(v => v.CreatedAt).ThenByDescending(v => v.Id).Take(VersionsMax)
            .Select(v => new { v.Id, v.Kind, v.Number, v.Method, v.ParentId, v.Status }).ToListAsync(stop);
        var choices = versions.ToLookup(v => v.Kind, v => new AuditChoice(v.Id, $"{v.Kind.Noun()} v{v.Number}", v.Method, v.ParentId, project.CurrentOf(v.Kind) == v.Id, v.Status is ModelStatus.Retired));
        var endpoints = await db.PolicyEndpoints.AsNoTracking().Where(e => e.ProjectId == projectId && e.RetiredAt == null).OrderBy(e => e.Name)
            .Select(e => new AuditEndpointChoice(e.Id, e.Name, e.ConsentAt != null, e.ScoresGivenTexts)).ToListAsync(stop);
        return new AuditChoices(projectId, project.Name, project.IsSynthetic, [.. choices[ModelKind.Policy]], endpoints, [.. choices[ModelKind.RewardModel]], [.. choices[ModelKind.SparseAutoencoder]], Lexicons(),
            await db.Prompts.CountAsync(p => p.ProjectId == projectId, stop), await SecondsEach(db, projectId, stop));
    }

    private string[] Lexicons() => Directory.Exists(directory.Lexicons)
        ? [.. Directory.EnumerateFiles(directory.Lexicons, "*.json").Select(Path.GetFileNameWithoutExtension).OfType<string>().Where(AuditReward.IsLexiconName).Order(StringComparer.Ordinal).Take(LexiconsMax)] : [];

    private static async Task<double?> SecondsEach(PortalDbContext db, ProjectId project, CancellationToken stop)
    {
        var last = await (from audit in db.PolicyAudits.AsNoTracking()
                          where audit.ProjectId == project
                          join job in db.Jobs on audit.JobId equals job.Id
                          where job.State == JobState.Succeeded
                          orderby audit.Number descending
                          select new { job.Id, job.StartedAt, job.FinishedAt }).FirstOrDefaultAsync(stop);
        if (last is not { StartedAt: { } from, FinishedAt: { } to })
            return null;
        var texts = await db.AuditTexts.CountAsync(t => t.JobId == last.Id, stop);
        return texts == 0 ? null : Math.Max(0, (to - from).TotalSeconds) / texts;
    }
}
