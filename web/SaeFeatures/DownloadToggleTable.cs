using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Api;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>The tables of a toggle set's page.</summary>
public enum ToggleTable { Features, Accuracy, Controls, Dose, Rewards, Flips }

/// <summary>A table of a toggle set as a file: of the proposal where there is one, else of the saved draft, previewed afresh.</summary>
[Needs(Permission.Review)]
public sealed class DownloadToggleTable(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    public async Task<Outcome<TableFile>> Handle(ClaimsPrincipal user, ToggleSetId id, ToggleTable table, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ToggleSets.AsNoTracking().FirstOrDefaultAsync(s => s.Id == id, stop) is not { } set)
            return ToggleRefusals.Gone;
        var name = $"toggle-set-{set.Number}-{table.ToString().ToLowerInvariant()}";
        if (table is ToggleTable.Features)
            return Features(name, set, await DescribedFeatures.Of(db, await db.ModelVersions.AsNoTracking().FirstAsync(v => v.Id == set.ModelVersionId, stop), stop) is { } described
                ? await ToggledFeature.Load(db, described, [.. set.Toggles().Select(toggle => toggle.Latent)], stop) : []);
        if (set.PreviewJson is { } json && JsonSerializer.Deserialize<TogglePreviewResponse>(json, ServingJson.Options) is { } stored)
            return Of(name, table, stored);
        var fresh = await PreviewToggles.Ask(db, engine, set.ModelVersionId, set.Toggles(), set.Target, PreviewToggles.FlipsInFiles, stop);
        return fresh.Refusal is { } why ? why : Of(name, table, fresh.Value);
    }

    private static TableFile Features(string name, ToggleSet set, IReadOnlyList<ToggledFeature> features)
    {
        var known = features.ToDictionary(feature => feature.Latent);
        return TableFile.Of(name, ["feature", "factor", "label", "label_detection", "head_weight", "firing", "responses", "mean_contribution"], set.Toggles().Select(toggle =>
        {
            var feature = known.GetValueOrDefault(toggle.Latent);
            return (IReadOnlyList<object?>)[toggle.Latent, toggle.Multiplier, feature?.Label, feature?.Detection, feature?.HeadWeight, feature?.Firing, feature?.Responses, feature?.ContributionMean];
        }));
    }

    /// <summary>Ids and numbers; the texts of the flipped pairs stay on their pages.</summary>
    private static TableFile Of(string name, ToggleTable table, TogglePreviewResponse preview) => table switch
    {
        ToggleTable.Accuracy => TableFile.Of(name, ["part", "pairs", "prompts", "before", "before_low", "before_high", "after", "after_low", "after_high", "change", "change_low", "change_high"],
            new (string Part, AccuracyChange? Of)[] { ("all", preview.AllPairs), ("on_target", preview.OnTarget), ("off_target", preview.OffTarget), ("firing", preview.Firing) }
                .Where(row => row.Of is not null)
                .Select(row => (IReadOnlyList<object?>)[row.Part, row.Of!.Pairs, row.Of.Prompts, .. Cells(row.Of.Before), .. Cells(row.Of.After), .. Cells(row.Of.Change)])), // filtered
        ToggleTable.Controls => TableFile.Of(name, ["kind", "on_target", "on_target_low", "on_target_high", "off_target", "off_target_low", "off_target_high", "flips", "count", "says"],
            preview.Controls.Select(control => (IReadOnlyList<object?>)[control.Kind, .. Cells(control.OnTarget), .. Cells(control.OffTarget), control.Flips, control.Count, control.Says])),
        ToggleTable.Dose => TableFile.Of(name, ["strength", "on_target", "on_target_low", "on_target_high", "off_target", "off_target_low", "off_target_high", "all_pairs", "all_pairs_low", "all_pairs_high", "flips"],
            preview.Dose.Select(dose => (IReadOnlyList<object?>)[dose.Strength, dose.OnTarget, dose.OnTargetRange?.Low, dose.OnTargetRange?.High, dose.OffTarget,
                dose.OffTargetRange?.Low, dose.OffTargetRange?.High, dose.AllPairs, dose.AllPairsRange?.Low, dose.AllPairsRange?.High, dose.Flips])),
        ToggleTable.Rewards => TableFile.Of(name, ["from", "to", "before", "after"],
            preview.Rewards.Before.Select((count, bin) => (IReadOnlyList<object?>)[preview.Rewards.Edges[bin], preview.Rewards.Edges[bin + 1], count, preview.Rewards.After[bin]])),
        ToggleTable.Flips => TableFile.Of(name, ["prompt", "chosen", "rejected", "gap_before", "gap_after", "flip_point", "agreed_before"],
            preview.Flipped.Select(pair => (IReadOnlyList<object?>)[$"{pair.PromptId}", $"{pair.ChosenId}", $"{pair.RejectedId}", pair.Before, pair.After, pair.FlipPoint, pair.AgreedBefore])),
        ToggleTable.Features => throw new ArgumentException("Features do not come from a preview.", nameof(table)),
    };

    private static object?[] Cells(Estimated? number) => [number?.Value, number?.Low, number?.High];
}
