using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;

namespace Portal.Web.SaeFeatures;

/// <summary>The labels that hold: of each feature the newest version, unless it withdraws.</summary>
internal static class FeatureLabels
{
    /// <summary>Those of some features. Uses the unique index (ModelVersionId, Latent, Version).</summary>
    public static async Task<IReadOnlyDictionary<int, FeatureLabel>> Of(PortalDbContext db, ModelVersionId model, IReadOnlyCollection<int> latents, CancellationToken stop)
    {
        if (latents.Count == 0)
            return new Dictionary<int, FeatureLabel>();
        var all = await db.FeatureLabels.AsNoTracking().Where(label => label.ModelVersionId == model && latents.Contains(label.Latent)).ToListAsync(stop);
        return all.GroupBy(label => label.Latent).Select(versions => versions.MaxBy(label => label.Version)!) // no group is empty
            .Where(label => label.Text.Length > 0).ToDictionary(label => label.Latent);
    }

    /// <summary>All of one model, as a query: the same rule in SQL.</summary>
    public static IQueryable<FeatureLabel> Current(PortalDbContext db, ModelVersionId model) => db.FeatureLabels.AsNoTracking().Where(label =>
        label.ModelVersionId == model && label.Text != ""
        && !db.FeatureLabels.Any(later => later.ModelVersionId == model && later.Latent == label.Latent && later.Version > label.Version));

    /// <summary>Those whose text holds some words, whatever the capitals.</summary>
    public static IQueryable<FeatureLabel> Saying(PortalDbContext db, ModelVersionId model, string words)
    {
        var lower = words.ToLowerInvariant();
        return Current(db, model).Where(label => label.Text.ToLower().Contains(lower));
    }
}
