using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Web.Accounts;
using Portal.Web.Components;

namespace Portal.Web.Registry;

/// <summary>One version in the list.</summary>
/// <param name="Number">1, 2, 3 ... within its kind.</param>
/// <param name="Dataset">Number of the dataset version it learned from; null for a base model.</param>
/// <param name="Headline">The number a person looks at first: held-out accuracy, or the change of the mean reward; null where none was measured.</param>
/// <param name="Baselines">The baselines measured beside it (reward models).</param>
/// <param name="ServesSince">When it was put where it serves now; null unless it serves.</param>
public sealed record ModelRow(ModelVersionId Id, ModelKind Kind, int Number, string Method, ModelStatus Status, bool IsSynthetic, DateTimeOffset CreatedAt,
    DatasetVersionId? DatasetId, int? Dataset, MetricValue? Headline, IReadOnlyList<MetricValue> Baselines, DateTimeOffset? ServesSince)
{
    public bool Serves => ServesSince is not null;
}

/// <summary>What the models page shows.</summary>
/// <param name="Rows">A page of versions, newest first.</param>
public sealed record ModelList(ModelRow? RewardModel, ModelRow? Policy, IReadOnlyList<ModelRow> Rows, int Total);

/// <summary>The two versions that serve, and all versions of a project.</summary>
[Needs(Permission.Review)]
public sealed class ListModels(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 50;

    /// <param name="page">0 for the newest <see cref="RowsMax"/> versions.</param>
    public async Task<Outcome<ModelList>> Handle(ClaimsPrincipal user, ProjectId projectId, int page, CancellationToken stop)
    {
        var asked = await ModelReaders.Check(access, user, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var project = await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop);
        if (project is null)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        // (ProjectId, Kind, Number) finds a project's versions; there are hundreds at most.
        var versions = db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == projectId);
        var total = await versions.CountAsync(stop);
        var shown = await versions.OrderByDescending(v => v.CreatedAt).ThenByDescending(v => v.Id).Skip(Math.Max(0, page) * RowsMax).Take(RowsMax).ToListAsync(stop);
        ModelVersionId?[] current = [project.CurrentRewardModelId, project.CurrentPolicyId];
        var serving = await versions.Where(v => v.Id == project.CurrentRewardModelId || v.Id == project.CurrentPolicyId).ToListAsync(stop);
        var all = shown.Concat(serving).DistinctBy(v => v.Id).ToList();
        var ids = all.ConvertAll(v => v.Id);
        var datasetIds = all.Where(v => v.DatasetVersionId is not null).Select(v => v.DatasetVersionId!.Value).Distinct().ToList(); // filtered
        var datasets = await db.DatasetVersions.AsNoTracking().Where(d => datasetIds.Contains(d.Id)).ToDictionaryAsync(d => d.Id, d => d.Number, stop);
        var results = await db.EvaluationResults.AsNoTracking()
            .Where(r => ids.Contains(r.ModelVersionId) && r.Part == MetricNames.HeldOut).ToListAsync(stop);
        var releases = await db.Releases.AsNoTracking().Where(r => r.ProjectId == projectId && current.Contains(r.ToVersionId))
            .GroupBy(r => r.ToVersionId).Select(g => new { g.Key, At = g.Max(r => r.At) }).ToListAsync(stop);
        var rows = all.ToDictionary(v => v.Id, v => new ModelRow(v.Id, v.Kind, v.Number, v.Method, v.Status, v.IsSynthetic, v.CreatedAt, v.DatasetVersionId,
            v.DatasetVersionId is { } d && datasets.TryGetValue(d, out var number) ? number : null,
            HeadlineOf(v.Kind, results.Where(r => r.ModelVersionId == v.Id)), BaselinesOf(results.Where(r => r.ModelVersionId == v.Id)),
            current.Contains(v.Id) ? releases.FirstOrDefault(r => r.Key == v.Id)?.At ?? v.CreatedAt : null));
        return new ModelList(Serving(project.CurrentRewardModelId), Serving(project.CurrentPolicyId), [.. shown.Select(v => rows[v.Id])], total);

        ModelRow? Serving(ModelVersionId? id) => id is { } serves ? rows.GetValueOrDefault(serves) : null;
    }

    internal static MetricValue? HeadlineOf(ModelKind kind, IEnumerable<EvaluationResult> results)
    {
        var name = kind switch
        {
            ModelKind.RewardModel => MetricNames.PairwiseAccuracy,
            ModelKind.Policy => MetricNames.ChangePrefix + MetricNames.MeanReward,
            ModelKind.SparseAutoencoder => MetricNames.SaeFvu,
        };
        return results.Where(r => r.Name == name && r.Part == MetricNames.HeldOut).OrderByDescending(r => r.Id).Select(MetricValue.From).FirstOrDefault();
    }

    internal static IReadOnlyList<MetricValue> BaselinesOf(IEnumerable<EvaluationResult> results) =>
    [
        .. results.Where(r => r.Part == MetricNames.HeldOut && r.Name is MetricNames.LengthBaseline or MetricNames.BagOfWordsBaseline)
            .OrderBy(r => r.Value).Select(MetricValue.From),
    ];
}
