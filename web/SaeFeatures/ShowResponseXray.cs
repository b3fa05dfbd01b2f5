using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Api;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>One feature's part in a reward.</summary>
/// <param name="Label">Null where nobody has named it.</param>
public sealed record XrayPart(int Latent, string? Label, double Activation, double Weight, double Contribution);

/// <summary>One response taken apart.</summary>
/// <param name="Version">The reward model; null where the project has none with features.</param>
/// <param name="Xray">The engine's answer; null where it could not be asked (no version, text erased) or refused.</param>
/// <param name="Parts">The features that are not 0 at the end, largest |contribution| first; together the reward.</param>
/// <param name="Labels">Of the parts and of the features with heat, where they have one.</param>
/// <param name="Refused">Why the engine did not answer.</param>
public sealed record ResponseXrayView(XrayText Response, IReadOnlyList<FeatureVersion> Versions, FeatureVersion? Version, FeatureXray? Xray, IReadOnlyList<XrayPart> Parts,
    IReadOnlyDictionary<int, string> Labels, Refusal? Refused);

/// <summary>Asks the engine which features make the reward of a stored response.</summary>
[Needs(Permission.Review)]
public sealed class ShowResponseXray(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    private static readonly IReadOnlyDictionary<int, string> None = new Dictionary<int, string>();

    /// <param name="wanted">The reward model; null as in <see cref="FeatureVersions.Choose"/>.</param>
    /// <param name="heat">A feature whose heat is wanted besides that of the largest contributions; null for none.</param>
    public async Task<Outcome<ResponseXrayView>> Handle(ClaimsPrincipal user, ResponseId id, ModelVersionId? wanted, int? heat, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await XrayTexts.Load(db, [id], stop) is not [var response])
            return XrayTexts.Gone;
        var versions = await FeatureVersions.Load(db, response.ProjectId, stop);
        var version = FeatureVersions.Choose(versions, wanted);
        if (version is null && wanted is not null)
            return FeatureVersions.Unknown;
        if (version is null || response.IsErased)
            return new ResponseXrayView(response, versions, version, null, [], None, null);
        ScoreItem[] item = [new(response.Prompt, response.Text!)]; // not erased
        var answer = await engine.Xray(new FeatureXrayRequest($"{version.Id}", item), stop);
        if (answer.Refusal is null && heat is >= 0 and { } latent && latent < answer.Value.Latents && answer.Value.Items[0].Heat.All(shown => shown.Latent != latent))
            answer = await engine.Xray(new FeatureXrayRequest($"{version.Id}", item, [latent, .. answer.Value.Items[0].Heat.Take(FeatureXrayRequest.HeatMax - 1).Select(shown => shown.Latent)]), stop);
        if (answer.Refusal is { } why)
            return new ResponseXrayView(response, versions, version, null, [], None, why);
        var xray = answer.Value.Items[0];
        var labels = await FeatureLabels.Of(db, version.Line.Root.Id, [.. xray.Active.Select(a => a.Latent).Union(xray.Heat.Select(h => h.Latent))], stop);
        return new ResponseXrayView(response, versions, version, xray,
            [.. xray.Active.Select(a => new XrayPart(a.Latent, labels.GetValueOrDefault(a.Latent)?.Text, a.Activation, a.Weight, a.Contribution))],
            labels.ToDictionary(label => label.Key, label => label.Value.Text), null);
    }

    /// <summary>Where in the response a feature fires, as a file: the tokens' places, without the tokens.</summary>
    public async Task<Outcome<TableFile>> Heat(ClaimsPrincipal user, ResponseId id, ModelVersionId? wanted, int feature, CancellationToken stop)
    {
        var shown = await Handle(user, id, wanted, feature, stop);
        if ((shown.Refusal ?? shown.Value.Refused) is { } refusal)
            return refusal;
        if (shown.Value.Xray is not { } xray)
            return Nothing(shown.Value);
        return xray.Heat.FirstOrDefault(heat => heat.Latent == feature) is { } heat
            ? TableFile.Of($"response-{id}-feature-{feature}-tokens", ["token", "activation"], heat.Activations.Index().Where(token => token.Item > 0).Select(token => (IReadOnlyList<object?>)[token.Index + 1, token.Item]))
            : new Problem("feature", $"There is no feature {feature} in this reward model.", ProblemKind.NotFound);
    }

    /// <summary>The same parts as a file.</summary>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, ResponseId id, ModelVersionId? wanted, CancellationToken stop)
    {
        var shown = await Handle(user, id, wanted, null, stop);
        if ((shown.Refusal ?? shown.Value.Refused) is { } refusal)
            return refusal;
        if (shown.Value.Xray is null)
            return Nothing(shown.Value);
        return TableFile.Of($"response-{id}", ["feature", "label", "activation", "weight", "contribution"],
            shown.Value.Parts.Select(part => (IReadOnlyList<object?>)[part.Latent, part.Label, part.Activation, part.Weight, part.Contribution]));
    }

    /// <summary>Why there is nothing to put into a file, though the engine refused nothing.</summary>
    private static Problem Nothing(ResponseXrayView view) => view.Version is null ? FeatureVersions.None : new Problem("response", "This text was erased.", ProblemKind.NotFound);
}
