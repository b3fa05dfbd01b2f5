using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Web.Accounts;

namespace Portal.Web.Jobs;

/// <summary>A job with its place on the path of a vote.</summary>
/// <param name="AskedBy">Display name; null when the system asked.</param>
/// <param name="DatasetId">The dataset version this job froze; null while it has none.</param>
/// <param name="HeldOutRows">n of the held-out curves; 0 while not known.</param>
/// <param name="ModelLabel">The version that came out of it, and <paramref name="ModelId"/>; null while there is none.</param>
/// <param name="Baselines">Held-out accuracies of simple rules, measured with the finished model.</param>
/// <param name="MayAct">May cancel and start again.</param>
public sealed record RunView(ShownJob Shown, bool IsSynthetic, string? AskedBy, DatasetVersionId? DatasetId, int? DatasetNumber, int HeldOutRows, ModelVersionId? ModelId,
    string? ModelLabel, IReadOnlyList<(string Name, double Value)> Baselines, bool MayAct, DateTimeOffset AsOf);

/// <summary>Loads one job with what it learned from and what came out. The page asks again when rows of the job change.</summary>
[Needs(Permission.Audit)]
public sealed class ShowRun(IDbContextFactory<PortalDbContext> contexts, ShowJob show, Access access, TimeProvider time)
{
    public async Task<Outcome<RunView>> Handle(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var shown = await show.Handle(user, id, stop);
        if (shown.Refusal is { } gone)
            return gone;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var about = await (from j in db.Jobs.AsNoTracking()
                           join p in db.Projects on j.ProjectId equals p.Id
                           where j.Id == id
                           select new { p.IsSynthetic, AskedBy = db.Users.Where(a => a.Id == j.CreatedBy).Select(a => a.DisplayName).FirstOrDefault() }).FirstAsync(stop);
        var dataset = await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(d => d.JobId == id, stop);
        var model = await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(m => m.JobId == id, stop);
        if (dataset is null && model?.DatasetVersionId is { } learnedFrom)
            dataset = await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(d => d.Id == learnedFrom, stop);
        var baselines = new List<(string, double)>();
        if (model is not null)
            foreach (var row in await db.EvaluationResults.AsNoTracking().Where(r => r.ModelVersionId == model.Id && r.Part == MetricNames.HeldOut
                         && (r.Name == MetricNames.LengthBaseline || r.Name == MetricNames.BagOfWordsBaseline)).ToListAsync(stop))
                baselines.Add((row.Name, row.Value));
        return new RunView(shown.Value, about.IsSynthetic, about.AskedBy, dataset?.Id, dataset?.Number, dataset?.RowsHeldOut ?? 0, model?.Id, model?.Label, baselines,
            asked.Value.May(Permission.Administer), time.GetUtcNow());
    }
}
