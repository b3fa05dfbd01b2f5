using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;

namespace Portal.Web.SaeFeatures;

/// <summary>A reward model made of features.</summary>
/// <param name="Serves">It scores responses now.</param>
/// <param name="DescribedId">The version whose features these are: itself, or the one whose weights toggles changed to make it.</param>
/// <param name="Description">The newest description of those features; null when nobody has had them described.</param>
public sealed record FeatureVersion(ModelVersionId Id, int Number, string Method, bool Serves, ModelVersionId DescribedId, FeatureDescriptionId? Description)
{
    /// <summary>False for a version that toggles made: it shares the features, not the weights.</summary>
    public bool IsItself => Id == DescribedId;
}

/// <summary>Finds the reward models of a project that can be read feature by feature.</summary>
internal static class FeatureVersions
{
    /// <summary>How <see cref="ModelVersion.Method"/> of a reward model that reads an SAE begins.</summary>
    public const string Method = "SARM";

    public static readonly Problem None = new("version", "This project has no reward model with features yet.", ProblemKind.NotFound);

    public static readonly Problem Unknown = new("version", "This project has no such reward model with features.", ProblemKind.NotFound);

    /// <summary>All of them, newest first. A project has hundreds of versions at most, found over (ProjectId, Kind, Number).</summary>
    public static async Task<IReadOnlyList<FeatureVersion>> Load(PortalDbContext db, ProjectId project, CancellationToken stop)
    {
        var models = await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.RewardModel)
            .OrderByDescending(v => v.Number).Select(v => new { v.Id, v.Number, v.Method }).ToListAsync(stop);
        var ids = models.ConvertAll(model => model.Id);
        var serves = await db.Projects.AsNoTracking().Where(p => p.Id == project).Select(p => p.CurrentRewardModelId).FirstOrDefaultAsync(stop);
        var descriptions = await db.FeatureDescriptions.AsNoTracking().Where(d => ids.Contains(d.ModelVersionId)).Select(d => new { d.Id, d.ModelVersionId, d.At }).ToListAsync(stop);
        var newest = descriptions.GroupBy(d => d.ModelVersionId).ToDictionary(g => g.Key, g => g.OrderByDescending(d => d.At).ThenByDescending(d => d.Id.Value).First().Id);
        var toggled = (await db.ToggleSets.AsNoTracking().Where(s => s.ProjectId == project && s.PublishedVersionId != null)
            .Select(s => new { Made = s.PublishedVersionId!.Value, From = s.ModelVersionId }).ToListAsync(stop)).ToDictionary(s => s.Made, s => s.From); // filtered
        return
        [
            .. models.Where(model => newest.ContainsKey(model.Id) || toggled.ContainsKey(model.Id) || model.Method.StartsWith(Method, StringComparison.OrdinalIgnoreCase))
                .Select(model =>
                {
                    var described = model.Id;
                    for (var step = 0; step < toggled.Count && !newest.ContainsKey(described) && toggled.TryGetValue(described, out var from); step++)
                        described = from; // toggles of toggles end at what was trained
                    return new FeatureVersion(model.Id, model.Number, model.Method, model.Id == serves, described, newest.TryGetValue(described, out var found) ? found : null);
                }),
        ];
    }

    /// <summary>The wanted version; without a wish the one that serves, else the newest described one, else the newest. Null when the wish is none of them, or there is none.</summary>
    public static FeatureVersion? Choose(IReadOnlyList<FeatureVersion> versions, ModelVersionId? wanted) => wanted is { } id
        ? versions.FirstOrDefault(version => version.Id == id)
        : versions.FirstOrDefault(version => version.Serves) ?? versions.FirstOrDefault(version => version.Description is not null) ?? versions.FirstOrDefault();
}
