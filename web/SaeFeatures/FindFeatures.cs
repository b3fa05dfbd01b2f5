using System.Globalization;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;

namespace Portal.Web.SaeFeatures;

/// <summary>A feature as the toggle studio shows it.</summary>
/// <param name="Label">What it is said to mean; null without a label.</param>
/// <param name="Detection">How well the label tells where it fires on held-out contexts, 0 to 1; null where unscored.</param>
/// <param name="HeadWeight">w_i of the reward model that is toggled, before this set's own factor.</param>
/// <param name="Firing">Responses at whose end it fires, of <paramref name="Responses"/>.</param>
/// <param name="ContributionMean">Mean of w_i z_i over all ends.</param>
public sealed record ToggledFeature(int Latent, string? Label, double? Detection, double HeadWeight, int Firing, int Responses, double ContributionMean)
{
    /// <summary>Features of a described model, in the order of their numbers. By primary key.</summary>
    internal static async Task<IReadOnlyList<ToggledFeature>> Load(PortalDbContext db, DescribedFeatures of, IReadOnlyCollection<int> latents, CancellationToken stop)
    {
        var description = of.Description;
        var labels = await FeatureLabels.Of(db, of.Root, latents, stop);
        var rows = await db.SaeFeatures.AsNoTracking().Where(f => f.DescriptionId == description.Id && latents.Contains(f.Latent)).OrderBy(f => f.Latent).ToListAsync(stop);
        return
        [
            .. rows.Select(f => new ToggledFeature(f.Latent, labels.GetValueOrDefault(f.Latent)?.Text, labels.GetValueOrDefault(f.Latent)?.Detection, of.Factor(f.Latent) * f.HeadWeight, f.FiringAtEnd,
                description.Responses, of.Factor(f.Latent) * f.ContributionMean)),
        ];
    }
}

/// <summary>Finds features to toggle: by number, or by words of their label.</summary>
[Needs(Permission.Review)]
public sealed class FindFeatures(IDbContextFactory<PortalDbContext> contexts, Access access, FeatureRanks ranks)
{
    public const int RowsMax = 12;

    /// <param name="typed">A number, or words; blank finds what contributes most to what people chose.</param>
    public async Task<Outcome<IReadOnlyList<ToggledFeature>>> Handle(ClaimsPrincipal user, ModelVersionId model, string typed, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        typed = typed.Trim();
        if (typed.Length > FeatureLabel.TextLengthMax)
            return new Problem("find", $"The search has {typed.Length} characters; a label has at most {FeatureLabel.TextLengthMax}.");
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == model, stop) is not { } version)
            return ToggleRefusals.NoModel;
        if (await DescribedFeatures.Of(db, version, stop) is not { } features)
            return ToggleRefusals.NotDescribed;
        List<int> latents;
        if (int.TryParse(typed, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            if (number >= features.Description.Latents)
                return new Problem("find", $"There is no feature {number}: this reward model has the features 0 to {features.Description.Latents - 1}.");
            latents = [number];
        }
        else if (typed.Length == 0)
        {
            latents = [.. (await FeatureTable.PageOf(db, features, new FeatureFilter(FeatureFires.End, Sort: FeatureSort.Gap), ranks, stop)).Take(RowsMax)];
        }
        else
        {
            latents = await FeatureLabels.Saying(db, features.Root, typed).OrderBy(label => label.Latent).Take(RowsMax).Select(label => label.Latent).ToListAsync(stop);
        }
        var found = (await ToggledFeature.Load(db, features, latents, stop)).ToDictionary(feature => feature.Latent);
        return new Outcome<IReadOnlyList<ToggledFeature>>.Done([.. latents.Where(found.ContainsKey).Select(latent => found[latent])]); // an interface does not convert by itself
    }
}
