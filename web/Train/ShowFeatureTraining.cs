using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;

namespace Portal.Web.Train;

/// <summary>A version that can be chosen in a form.</summary>
/// <param name="Label">"reward model v3".</param>
public sealed record ChoosableVersion(ModelVersionId Id, string Label, string Method, bool IsReward, bool Serves);

/// <summary>A sparse autoencoder that a reward model can read with.</summary>
/// <param name="OfReward">It was trained on the states of a trained reward model: the head alone is then enough.</param>
public sealed record ChoosableSae(ModelVersionId Id, int Number, string Of, bool OfReward);

/// <summary>A reward model made of features.</summary>
/// <param name="DescribedAt">When its features were last described; null for never.</param>
public sealed record DescribableModel(ModelVersionId Id, int Number, string Method, bool Serves, DateTimeOffset? DescribedAt);

/// <summary>What the forms of features offer. Newest first; the retired are left out.</summary>
public sealed record FeatureTrainingView(ProjectId ProjectId, bool IsSynthetic, IReadOnlyList<ChoosableVersion> Models, IReadOnlyList<ChoosableSae> Saes, IReadOnlyList<DescribableModel> Rewards);

/// <summary>Loads what an SAE can be trained on, what can read one, and what can be described.</summary>
[Needs(Permission.Administer)]
public sealed class ShowFeatureTraining(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    private const int VersionsMax = 500;

    public async Task<Outcome<FeatureTrainingView>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop) is not { } project)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        // Over (ProjectId, Kind, Number).
        var versions = await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == projectId).OrderByDescending(v => v.CreatedAt).Take(VersionsMax)
            .Select(v => new { v.Id, v.Kind, v.Number, v.Method, v.ParentId, v.Status, HasFeatures = v.Kind == ModelKind.RewardModel && v.FilesJson.Contains(ModelVersion.FeatureHeadEntry) }).ToListAsync(stop);
        var byId = versions.ToDictionary(v => v.Id);
        var usable = versions.Where(v => v.Status is not ModelStatus.Retired).ToList();
        var described = (await db.FeatureDescriptions.AsNoTracking().Where(d => d.ProjectId == projectId).Select(d => new { d.ModelVersionId, d.At }).ToListAsync(stop))
            .GroupBy(d => d.ModelVersionId).ToDictionary(g => g.Key, g => g.Max(d => d.At));
        // One that toggles made shares the features of another and is described with it.
        var readers = usable.Where(v => v.HasFeatures && v.Method != ToggledVersions.Method).ToList();
        return new FeatureTrainingView(projectId, project.IsSynthetic,
            [
                .. usable.Where(v => v.Kind is not ModelKind.SparseAutoencoder && !v.HasFeatures).OrderByDescending(v => v.Kind is ModelKind.RewardModel)
                    .Select(v => new ChoosableVersion(v.Id, $"{v.Kind.Noun()} v{v.Number}", v.Method, v.Kind is ModelKind.RewardModel, project.CurrentOf(v.Kind) == v.Id)),
            ],
            [
                .. usable.Where(v => v.Kind is ModelKind.SparseAutoencoder)
                    .Select(v => (Sae: v, Of: Parent(v.ParentId))).Select(pair => new ChoosableSae(pair.Sae.Id, pair.Sae.Number, pair.Of is { } of ? $"{of.Kind.Noun()} v{of.Number}" : "?", pair.Of?.Kind is ModelKind.RewardModel)),
            ],
            [.. readers.Select(v => new DescribableModel(v.Id, v.Number, v.Method, project.CurrentRewardModelId == v.Id, described.TryGetValue(v.Id, out var at) ? at : null))]);

        (ModelKind Kind, int Number)? Parent(ModelVersionId? id) => id is { } known && byId.TryGetValue(known, out var version) ? (version.Kind, version.Number) : null;
    }
}
