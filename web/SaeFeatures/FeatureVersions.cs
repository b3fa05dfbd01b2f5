using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;

namespace Portal.Web.SaeFeatures;

/// <summary>A reward model made of features.</summary>
/// <param name="Line">It, and whose features, labels and description it has.</param>
/// <param name="Serves">It scores responses now.</param>
public sealed record FeatureVersion(FeatureLine Line, bool Serves)
{
    public ModelVersionId Id => Line.Version.Id;
    public int Number => Line.Version.Number;
    public string Method => Line.Version.Method;

    /// <summary>The newest description of its features; null when nobody has had them described.</summary>
    public FeatureDescription? Description => Line.Description;

    /// <summary>The version that was described, or should be: itself, or one that toggles made it of.</summary>
    public LineVersion Described => Line.Described;

    /// <summary>False for a version that toggles made and nobody described: it shares the features, not the weights.</summary>
    public bool IsItself => Id == Described.Id;
}

/// <summary>Finds the reward models of a project that can be read feature by feature.</summary>
internal static class FeatureVersions
{
    public static readonly Problem None = new("version", "This project has no reward model with features yet.", ProblemKind.NotFound);

    public static readonly Problem Unknown = new("version", "This project has no such reward model with features.", ProblemKind.NotFound);

    /// <summary>All of them, newest first.</summary>
    public static async Task<IReadOnlyList<FeatureVersion>> Load(PortalDbContext db, ProjectId project, CancellationToken stop)
    {
        var serves = await db.Projects.AsNoTracking().Where(p => p.Id == project).Select(p => p.CurrentRewardModelId).FirstOrDefaultAsync(stop);
        return
        [
            .. (await ToggledVersions.LinesOf(db, project, stop)).Where(line => line.Version.HasFeatures)
                .Select(line => new FeatureVersion(line, line.Version.Id == serves)),
        ];
    }

    /// <summary>The wanted version; without a wish the one that serves, else the newest described one, else the newest. Null when the wish is none of them, or there is none.</summary>
    public static FeatureVersion? Choose(IReadOnlyList<FeatureVersion> versions, ModelVersionId? wanted) => wanted is { } id
        ? versions.FirstOrDefault(version => version.Id == id)
        : versions.FirstOrDefault(version => version.Serves) ?? versions.FirstOrDefault(version => version.Description is not null) ?? versions.FirstOrDefault();
}
