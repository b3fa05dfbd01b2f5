using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;

namespace Portal.Web.Explain;

/// <summary>Explanations together, by feature.</summary>
/// <param name="Version">Whose features; null where none of the project are described.</param>
/// <param name="Found">Null where there is no version, or the engine did not answer.</param>
/// <param name="Labels">Of the features listed, by latent.</param>
/// <param name="Refused">Why the engine did not answer.</param>
public sealed record RolledUpFeatures(FeatureVersion? Version, FeatureRollUpResponse? Found, IReadOnlyDictionary<int, FeatureLabel> Labels, Refusal? Refused)
{
    public static RolledUpFeatures None { get; } = new(null, null, new Dictionary<int, FeatureLabel>(), null);
}

/// <summary>Asks the engine which features the pairs of a reward model's explanations have more often than the data.</summary>
[Needs(Permission.Review)]
public sealed class RollUpFeatures(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    /// <param name="explained">The reward model of the explanations.</param>
    public async Task<Outcome<RolledUpFeatures>> Handle(ClaimsPrincipal user, ProjectId project, ModelVersionId explained, AttributionMethod by, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (Choose(await FeatureVersions.Load(db, project, stop), explained) is not { } version)
            return RolledUpFeatures.None;
        var answer = await engine.RollUpFeatures(new FeatureRollUpRequest($"{version.Id}", $"{explained}", by), stop);
        if (answer.Refusal is { } why)
            return RolledUpFeatures.None with { Version = version, Refused = why };
        var labels = await FeatureLabels.Of(db, version.Line.Root.Id, [.. answer.Value.Items.Select(item => item.Latent).Distinct()], stop);
        return new RolledUpFeatures(version, answer.Value, labels, null);
    }

    /// <summary>The explained model where its own features are described: they are what it was taught in. Else the newest description, of a model that can still be used where there is one.</summary>
    private static FeatureVersion? Choose(IReadOnlyList<FeatureVersion> versions, ModelVersionId explained)
    {
        var described = versions.Where(version => version.Description is not null).ToList();
        return described.Find(version => version.Id == explained)
            ?? described.Where(version => version.IsItself).OrderBy(version => version.Line.Version.Status is ModelStatus.Retired).ThenByDescending(version => version.Description?.At).FirstOrDefault();
    }
}
