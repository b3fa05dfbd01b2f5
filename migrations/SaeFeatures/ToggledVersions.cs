using Microsoft.EntityFrameworkCore;
using Portal.Data.Registry;

namespace Portal.Data.SaeFeatures;

/// <summary>
/// Reward models made by toggles. They have the SAE, so the features and their labels, of the model they were made of, and weights of their own.
/// </summary>
/// <remarks>
/// Labels belong to the root, the first version that no toggles made. A description (contexts, codes) holds for every version from the root on, because none of what it
/// reads changes: whoever needs one takes the newest of the version itself, else of the version it was made of, and so on. What it says about weights and rewards is of the version it was
/// made for.
/// </remarks>
public static class ToggledVersions
{
    /// <summary>How a version says that toggles made it (<see cref="ModelVersion.Method"/>).</summary>
    public const string Method = "toggles";

    /// <summary>The version, the one it was made of by toggles, and so on to the root, which is the last.</summary>
    public static async Task<IReadOnlyList<ModelVersion>> Line(PortalDbContext db, ModelVersion version, CancellationToken stop)
    {
        var line = new List<ModelVersion> { version };
        while (line[^1] is { Method: Method, ParentId: { } parent } && line.All(above => above.Id != parent)
               && await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == parent && v.ProjectId == version.ProjectId, stop) is { } above)
            line.Add(above);
        return line;
    }

    /// <summary>The description that holds for a version: its own newest one, else that of the nearest version it was made of; null where none was described.</summary>
    public static async Task<FeatureDescription?> DescriptionOf(PortalDbContext db, ModelVersion version, CancellationToken stop)
    {
        foreach (var one in await Line(db, version, stop))
            if (await db.FeatureDescriptions.AsNoTracking().Where(d => d.ModelVersionId == one.Id).OrderByDescending(d => d.At).ThenByDescending(d => d.Id).FirstOrDefaultAsync(stop) is { } description)
                return description;
        return null;
    }
}
