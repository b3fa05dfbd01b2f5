using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>A pair that flips, with its texts as they are stored now.</summary>
/// <param name="Question">What both answer; null once erased.</param>
/// <param name="Chosen">The response that people preferred; null once erased.</param>
/// <param name="Rejected">The other one; null once erased.</param>
public sealed record FlipText(FlippedPair Pair, string? Question, string? Chosen, string? Rejected);

/// <summary>A preview and the texts of the flipped pairs it lists, in its order.</summary>
public sealed record TogglePreview(TogglePreviewResponse Response, IReadOnlyList<FlipText> Flips)
{
    /// <summary>Looks the texts up, by key.</summary>
    internal static async Task<TogglePreview> With(PortalDbContext db, TogglePreviewResponse response, CancellationToken stop)
    {
        var texts = (await XrayTexts.Load(db, [.. response.Flipped.SelectMany(pair => new[] { pair.ChosenId, pair.RejectedId }).Distinct()], stop)).ToDictionary(text => text.Id);
        return new(response,
        [
            .. response.Flipped.Select(pair =>
            {
                var (chosen, rejected) = (texts.GetValueOrDefault(pair.ChosenId), texts.GetValueOrDefault(pair.RejectedId));
                return new FlipText(pair, chosen is { Prompt.Count: > 0 } ? Conversation.LastQuestion(chosen.Prompt) : null, chosen?.Text, rejected?.Text);
            }),
        ]);
    }
}

/// <summary>Asks the engine what toggles would change. Stores nothing.</summary>
[Needs(Permission.Review)]
public sealed class PreviewToggles(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    /// <summary>Flipped pairs that a page lists.</summary>
    public const int FlipsShown = 50;

    /// <summary>Flipped pairs that a file lists: as many as the door gives.</summary>
    public const int FlipsInFiles = 500;

    public async Task<Outcome<TogglePreview>> Handle(ClaimsPrincipal user, ModelVersionId model, IReadOnlyList<Toggle> toggles, string target, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var answer = await Ask(db, engine, model, toggles, target, FlipsShown, stop);
        return answer.Refusal is { } why ? why : await TogglePreview.With(db, answer.Value, stop);
    }

    /// <summary>For handlers that have checked who asks.</summary>
    internal static async Task<Outcome<TogglePreviewResponse>> Ask(PortalDbContext db, EngineClient engine, ModelVersionId model, IReadOnlyList<Toggle> toggles, string target,
        int flipsMax, CancellationToken stop)
    {
        var found = ToggledModel.Find(db, model);
        if (found.Refusal is { } unusable)
            return unusable;
        if (toggles.Count == 0)
            return new Problem("toggles", "Toggle at least one feature first.");
        if (ToggleSet.Check(toggles, found.Value.Latents) is { } problem)
            return problem;
        return await engine.PreviewToggles(new TogglePreviewRequest($"{model}", toggles, target.Trim(), flipsMax), stop);
    }
}
