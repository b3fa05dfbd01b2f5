using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Registry;
using Portal.Web.Accounts;
using Portal.Web.Registry;

namespace Portal.Web.Datasets;

/// <summary>A frozen set of judgements: rules, rows, who judged, and the versions that learned from it.</summary>
/// <param name="Dropped">Judgements seen but not used, by reason, most first.</param>
/// <param name="Rows">A page of the manifest, in order.</param>
/// <param name="Changes">Numbers of the requests that changed rows of the page.</param>
public sealed record DatasetVersionView(DatasetVersion Version, string ProjectName, bool IsSynthetic, IReadOnlyList<(string Reason, int Count)> Dropped, FeedbackOrigin Feedback,
    IReadOnlyList<VersionLink> Models, int? JobNumber, IReadOnlyList<DatasetRow> Rows, IReadOnlyDictionary<UnlearningRequestId, int> Changes);

/// <summary>Loads one dataset version and a page of its manifest.</summary>
[Needs(Permission.Review)]
public sealed class ShowDatasetVersion(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 50;

    /// <param name="page">0 for the first <see cref="RowsMax"/> rows.</param>
    public async Task<Outcome<DatasetVersionView>> Handle(ClaimsPrincipal user, DatasetVersionId id, int page, CancellationToken stop)
    {
        // Readers of models follow their lineage to here: reviewers, auditors and admins.
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is not null)
            asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id, stop) is not { } version)
            return new Problem("version", "This dataset version is gone.", ProblemKind.NotFound);
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == version.ProjectId, stop);
        var models = await db.ModelVersions.AsNoTracking().Where(m => m.DatasetVersionId == id).OrderBy(m => m.CreatedAt).Take(RowsMax)
            .Select(m => new VersionLink(m.Id, m.Kind, m.Number, m.Method, m.Status)).ToListAsync(stop);
        var first = Math.Clamp(page, 0, 1_000_000) * RowsMax;
        // The primary key (DatasetVersionId, Ordinal) is the order of the manifest.
        var rows = await db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == id && r.Ordinal >= first && r.Ordinal < first + RowsMax).OrderBy(r => r.Ordinal).ToListAsync(stop);
        var requests = rows.Select(row => row.ChangedBy).OfType<UnlearningRequestId>().Distinct().ToList();
        var changes = await db.UnlearningRequests.AsNoTracking().Where(r => requests.Contains(r.Id)).ToDictionaryAsync(r => r.Id, r => r.Number, stop);
        var dropped = JsonSerializer.Deserialize<Dictionary<string, int>>(version.DroppedJson) ?? [];
        return new DatasetVersionView(version, project.Name, project.IsSynthetic, [.. dropped.OrderByDescending(d => d.Value).Select(d => (d.Key, d.Value))],
            await ShowModel.FeedbackOf(db, id, stop), models,
            version.JobId is { } job ? await db.Jobs.Where(j => j.Id == job).Select(j => (int?)j.Number).FirstOrDefaultAsync(stop) : null, rows, changes);
    }
}
