using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.SaeFeatures;

/// <summary>A feature in two sets.</summary>
/// <param name="Left">Its factor in the first set; 1 where that says nothing.</param>
/// <param name="Right">The same of the second.</param>
public sealed record ToggleDifference(int Latent, string? Label, double Left, double Right)
{
    public bool Differs => Left != Right;
}

/// <summary>One of the two sets that are compared.</summary>
/// <param name="Proposed">The preview of its proposal; null where it was not proposed.</param>
public sealed record ComparedSet(ToggleSetId Id, int Number, string Name, string Reason, string Target, ToggleSetState State, string Author, DateTimeOffset CreatedAt, TogglePreviewResponse? Proposed);

/// <summary>Two sets of one reward model side by side: what differs first, then what they share.</summary>
public sealed record ToggleSetDiff(ComparedSet Left, ComparedSet Right, int ModelNumber, ModelVersionId ModelId, IReadOnlyList<ToggleDifference> Features)
{
    public TableFile Table() => TableFile.Of($"toggle-sets-{Left.Number}-{Right.Number}", ["feature", "label", $"factor_set_{Left.Number}", $"factor_set_{Right.Number}", "differs"],
        Features.Select(f => (IReadOnlyList<object?>)[f.Latent, f.Label, f.Left, f.Right, f.Differs]));
}

/// <summary>Compares two toggle sets of one reward model, feature by feature.</summary>
[Needs(Permission.Review)]
public sealed class DiffToggleSets(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<ToggleSetDiff>> Handle(ClaimsPrincipal user, ToggleSetId left, ToggleSetId right, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var sets = await db.ToggleSets.AsNoTracking().Where(s => s.Id == left || s.Id == right).ToDictionaryAsync(s => s.Id, stop);
        if (!sets.TryGetValue(left, out var first) || !sets.TryGetValue(right, out var second))
            return ToggleRefusals.Gone;
        if (first.ModelVersionId != second.ModelVersionId)
            return new Problem("set", $"Sets {first.Number} and {second.Number} are of different reward models: feature 12 of one has nothing to do with feature 12 of the other.", ProblemKind.Conflict);
        var (one, other) = (first.Toggles().ToDictionary(t => t.Latent, t => t.Multiplier), second.Toggles().ToDictionary(t => t.Latent, t => t.Multiplier));
        List<int> latents = [.. one.Keys.Union(other.Keys)];
        var model = await db.ModelVersions.AsNoTracking().FirstAsync(v => v.Id == first.ModelVersionId, stop);
        var labels = await FeatureLabels.Of(db, (await ToggledVersions.LineOfAsync(db, model, stop))?.Root.Id ?? model.Id, latents, stop);
        var people = new[] { first.Author, second.Author };
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        return new ToggleSetDiff(Compared(first), Compared(second), model.Number, model.Id,
        [
            .. latents.Select(latent => new ToggleDifference(latent, labels.GetValueOrDefault(latent)?.Text, one.GetValueOrDefault(latent, 1), other.GetValueOrDefault(latent, 1)))
                .OrderByDescending(feature => feature.Differs).ThenBy(feature => feature.Latent),
        ]);

        ComparedSet Compared(ToggleSet set) => new(set.Id, set.Number, set.Name, set.Reason, set.Target, set.State, names.GetValueOrDefault(set.Author, "?"), set.CreatedAt,
            set.PreviewJson is { } json ? System.Text.Json.JsonSerializer.Deserialize<TogglePreviewResponse>(json, ServingJson.Options) : null);
    }
}
