using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;

namespace Portal.Web.SaeFeatures;

/// <summary>The features of one reward model as tables show them: a description's rows, with the weights of the version that is shown.</summary>
/// <param name="Root">The version that labels belong to.</param>
/// <param name="Factors">What toggles since the description multiply weights by, feature by feature; the others keep the described weight.</param>
internal sealed record DescribedFeatures(FeatureDescription Description, ModelVersionId Root, IReadOnlyDictionary<int, double> Factors)
{
    /// <summary>Null where nobody has had the features described.</summary>
    public static async Task<DescribedFeatures?> Of(PortalDbContext db, FeatureLine? line, CancellationToken stop) =>
        line is { Description: { } description } ? new DescribedFeatures(description, line.Root.Id, await ToggledVersions.FactorsOf(db, line, stop)) : null;

    /// <inheritdoc cref="Of(PortalDbContext, FeatureLine?, CancellationToken)"/>
    public static async Task<DescribedFeatures?> Of(PortalDbContext db, ModelVersion version, CancellationToken stop) => await Of(db, await ToggledVersions.LineOfAsync(db, version, stop), stop);

    /// <summary>m_i: weight, contributions and gaps of the version shown are those of the description times this.</summary>
    public double Factor(int latent) => Factors.GetValueOrDefault(latent, 1);
}
