using Microsoft.EntityFrameworkCore;
using Portal.Data.Registry;

namespace Portal.Data.SaeFeatures;

/// <summary>A reward model as one step of a line of toggles.</summary>
/// <param name="ParentId">What it was made of, whichever way.</param>
/// <param name="HasFeatures">As <see cref="ModelVersion.HasFeatures"/>.</param>
public sealed record LineVersion(ModelVersionId Id, int Number, string Method, ModelStatus Status, ModelVersionId? ParentId, bool HasFeatures);

/// <summary>A reward model with the versions whose features and labels it has.</summary>
/// <param name="Versions">The version, the one it was made of by toggles, and so on to the root, the first that no toggles made, which is the last.</param>
/// <param name="Description">The description that holds: the newest one of the first of <paramref name="Versions"/> that has any; null where none was described.</param>
public sealed record FeatureLine(IReadOnlyList<LineVersion> Versions, FeatureDescription? Description)
{
    public LineVersion Version => Versions[0];

    /// <summary>Labels belong to it.</summary>
    public LineVersion Root => Versions[^1];

    /// <summary>The version whose weights and rewards the description states; the root where there is no description.</summary>
    public LineVersion Described => Versions.FirstOrDefault(version => version.Id == Description?.ModelVersionId) ?? Root;
}

/// <summary>
/// Reward models made by toggles. They have the SAE, so the features and their labels, of the model they were made of, and weights of their own.
/// </summary>
/// <remarks>
/// Labels belong to the root. A description (contexts, codes) holds for every version that toggles made of the described one, because none of what it reads changes. What it says about weights
/// and rewards is of the version it was made for; <see cref="FactorsOf"/> tells what lies between. A project has hundreds of reward models at most, so its lines are read together, in two
/// queries: over (ProjectId, Kind, Number) and over (ModelVersionId, At).
/// </remarks>
public static class ToggledVersions
{
    /// <summary>How a version says that toggles made it (<see cref="ModelVersion.Method"/>).</summary>
    public const string Method = "toggles";

    /// <summary>The lines of all reward models of a project, newest first.</summary>
    public static async Task<IReadOnlyList<FeatureLine>> LinesOf(PortalDbContext db, ProjectId project, CancellationToken stop)
    {
        var versions = await Versions(db, project).ToListAsync(stop);
        return Lines(versions, await Descriptions(db, versions).ToListAsync(stop));
    }

    /// <summary>The line of one reward model; null for another kind of model.</summary>
    public static async Task<FeatureLine?> LineOfAsync(PortalDbContext db, ModelVersion version, CancellationToken stop) =>
        (await LinesOf(db, version.ProjectId, stop)).FirstOrDefault(line => line.Version.Id == version.Id);

    /// <summary>The same inside a write, which is not asynchronous.</summary>
    public static FeatureLine? LineOf(PortalDbContext db, ModelVersion version)
    {
        var versions = Versions(db, version.ProjectId).ToList();
        return Lines(versions, Descriptions(db, versions).ToList()).FirstOrDefault(line => line.Version.Id == version.Id);
    }

    /// <summary>The description that holds for a version: its own newest one, else that of the nearest version it was made of by toggles; null where none was described.</summary>
    public static async Task<FeatureDescription?> DescriptionOf(PortalDbContext db, ModelVersion version, CancellationToken stop) => (await LineOfAsync(db, version, stop))?.Description;

    /// <summary>What the toggles between the described version and this one multiply its weights by; features that are not named keep the described weight.</summary>
    /// <remarks>Of the sets that made the versions between the two, over PublishedVersionId: a set and its version are one write, so each such version has one.</remarks>
    public static async Task<IReadOnlyDictionary<int, double>> FactorsOf(PortalDbContext db, FeatureLine line, CancellationToken stop)
    {
        var factors = new Dictionary<int, double>();
        List<ModelVersionId?> made = [.. line.Versions.TakeWhile(version => version.Id != line.Described.Id).Select(version => (ModelVersionId?)version.Id)];
        if (made.Count == 0)
            return factors;
        foreach (var set in await db.ToggleSets.AsNoTracking().Where(s => made.Contains(s.PublishedVersionId)).ToListAsync(stop))
            foreach (var toggle in set.Toggles())
                factors[toggle.Latent] = factors.GetValueOrDefault(toggle.Latent, 1) * toggle.Multiplier;
        return factors;
    }

    private static IQueryable<LineVersion> Versions(PortalDbContext db, ProjectId project) => db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.RewardModel)
        .OrderByDescending(v => v.Number).Select(v => new LineVersion(v.Id, v.Number, v.Method, v.Status, v.ParentId, v.FilesJson.Contains(ModelVersion.FeatureHeadEntry)));

    private static IQueryable<FeatureDescription> Descriptions(PortalDbContext db, List<LineVersion> versions)
    {
        var ids = versions.ConvertAll(version => version.Id);
        return db.FeatureDescriptions.AsNoTracking().Where(d => ids.Contains(d.ModelVersionId));
    }

    private static IReadOnlyList<FeatureLine> Lines(List<LineVersion> versions, List<FeatureDescription> descriptions)
    {
        var known = versions.ToDictionary(version => version.Id);
        var newest = descriptions.GroupBy(d => d.ModelVersionId).ToDictionary(own => own.Key, own => own.OrderByDescending(d => d.At).ThenByDescending(d => d.Id.Value).First());
        return versions.ConvertAll(version =>
        {
            var line = new List<LineVersion> { version };
            while (line[^1] is { Method: Method, ParentId: { } parent } && known.TryGetValue(parent, out var above) && !line.Contains(above))
                line.Add(above);
            return new FeatureLine(line, line.Select(one => newest.GetValueOrDefault(one.Id)).FirstOrDefault(description => description is not null));
        });
    }
}
