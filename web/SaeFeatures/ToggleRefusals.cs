using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;

namespace Portal.Web.SaeFeatures;

/// <summary>What the handlers of toggle sets refuse alike.</summary>
internal static class ToggleRefusals
{
    public static readonly Problem Gone = new("set", "This toggle set is gone.", ProblemKind.NotFound);

    public static readonly Problem NoModel = new("model", "This project has no such reward model.", ProblemKind.NotFound);

    public static readonly Problem NotDescribed = new("model", "The features of this reward model were not described yet. Describe them on the train page first.", ProblemKind.Conflict);

    public static readonly Problem Overtaken =
        new("set", "Somebody changed this set since the page was opened. Nothing was changed now: load the page again, look, then decide.", ProblemKind.Conflict);

    public static readonly Problem NotYours = new("set", "This draft belongs to somebody else, who cannot be its second person too. Make a copy to change it.", ProblemKind.Forbidden);

    public static Problem Retired(ModelVersion version) =>
        new("model", $"{version.Label} is retired and cannot serve again, so its features cannot be toggled. Make a set for a version that can serve.", ProblemKind.Conflict);
}

/// <summary>A reward model whose features can be toggled, and how many it has.</summary>
/// <param name="Latents">M.</param>
internal sealed record ToggledModel(ModelVersion Version, int Latents)
{
    /// <summary>Asks that it is there, may serve, and that it or what toggles made it of was described.</summary>
    public static Outcome<ToggledModel> Find(PortalDbContext db, ModelVersionId id)
    {
        if (db.ModelVersions.FirstOrDefault(v => v.Id == id && v.Kind == ModelKind.RewardModel) is not { } version)
            return ToggleRefusals.NoModel;
        if (version.Status is ModelStatus.Retired)
            return ToggleRefusals.Retired(version);
        return ToggledVersions.LineOf(db, version)?.Description is { } description ? new ToggledModel(version, description.Latents) : ToggleRefusals.NotDescribed;
    }
}

/// <summary>The audit events of toggle sets: ids and keyed hashes, never a text.</summary>
internal static class ToggleAudit
{
    public static void Append(PortalDbContext db, ContentHasher hasher, DateTimeOffset at, Guid by, string action, ToggleSet set, object? more = null) =>
        AuditChain.Append(db, at, by, action, "toggleSet", $"{set.Id}", new
        {
            number = set.Number, model = $"{set.ModelVersionId}", author = set.Author, togglesHash = hasher.Hash(set.TogglesJson), nameHash = hasher.Hash(set.Name),
            reasonHash = hasher.Hash(set.Reason), targetHash = hasher.Hash(set.Target), more,
        });
}
