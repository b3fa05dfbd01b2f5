using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Web.Accounts;

namespace Portal.Web.Registry;

/// <summary>The order in which pairs of samples are shown.</summary>
public enum SampleOrder
{
    /// <summary>By a fixed seed: what a reader sees first was not picked by how it looks.</summary>
    Random,
    /// <summary>The candidate's largest losses of reward first.</summary>
    Losses,
    /// <summary>Its largest gains first.</summary>
    Gains,
    /// <summary>The prompt that the version was made for, then those most like it; no others. For versions that were made for one.</summary>
    Similar,
}

/// <summary>One sample of one version.</summary>
/// <param name="Text">Empty once erased.</param>
public sealed record ShownSample(ResponseId ResponseId, string Text, double? Reward, int LengthTokens);

/// <summary>The same prompt, seed and place, answered by both versions.</summary>
/// <param name="Index">0-based, in the order asked for ...</param>
/// <param name="Count">... of so many.</param>
public sealed record SamplePair(int Index, int Count, IReadOnlyList<Turn> Prompt, string? Topic, ShownSample Before, ShownSample After);

/// <summary>What the results page shows besides the version itself.</summary>
/// <param name="Before">The version it is compared with; null when nothing was compared.</param>
/// <param name="Pair">Null when no pair of samples is stored.</param>
/// <param name="Orders">Those that there is something to show in.</param>
public sealed record ResultsView(ModelView Model, VersionLink? Before, IReadOnlyList<Comparison> Comparisons, IReadOnlyList<Gate> Warnings,
    IReadOnlyList<Gate> Gates, SamplePair? Pair, IReadOnlyList<SampleOrder> Orders);

/// <summary>Before and after: the numbers, the same prompts side by side, and what people said without knowing which is which.</summary>
[Needs(Permission.Review)]
public sealed class ShowResults(IDbContextFactory<PortalDbContext> contexts, ShowModel model, Access access, ReleaseOptions limits)
{
    /// <param name="index">0-based place in the chosen order; outside the range the nearest is shown.</param>
    public async Task<Outcome<ResultsView>> Handle(ClaimsPrincipal user, ModelVersionId id, SampleOrder order, int index, CancellationToken stop)
    {
        var asked = await ModelReaders.Check(access, user, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var shown = await model.Handle(user, id, stop);
        if (shown.Refusal is { } gone)
            return gone;
        var view = shown.Value;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var (before, pair, isMadeForPrompt) = await PairAt(db, id, order, index, stop);
        var links = await ShowModel.Links(db, [before], stop);
        return new ResultsView(view, before is { } b ? links.GetValueOrDefault(b) : view.ComparedWith, Comparison.Of(view.Values),
            Gates.OverOptimisation(view.Values, limits), Gates.Of(view.Version.Kind, view.Values, view.Votes, limits), pair,
            [.. Enum.GetValues<SampleOrder>().Where(wanted => isMadeForPrompt || wanted is not SampleOrder.Similar)]);
    }

    private static async Task<(ModelVersionId? Before, SamplePair? Pair, bool IsMadeForPrompt)> PairAt(PortalDbContext db, ModelVersionId candidate, SampleOrder order, int index,
        CancellationToken stop)
    {
        // A few thousand short rows at most (300 prompts x 4 samples x 2): ordered here, texts loaded for one pair only.
        var samples = await db.EvaluationSamples.AsNoTracking().Where(s => s.CandidateId == candidate).ToListAsync(stop);
        var pairs = (from after in samples
                     where after.SampledFromId == candidate
                     join earlier in samples.Where(s => s.SampledFromId != candidate) on (after.PromptId, after.Ordinal) equals (earlier.PromptId, earlier.Ordinal)
                     select (Before: earlier, After: after)).ToList();
        if (pairs.Count == 0)
            return (null, null, false);
        var gain = ((EvaluationSample Before, EvaluationSample After) pair) => pair.After.Reward - pair.Before.Reward ?? 0;
        var drawn = pairs.OrderBy(p => Lot(p.After)).ToList();
        var ordered = order switch
        {
            SampleOrder.Random => drawn,
            SampleOrder.Losses => drawn.OrderBy(gain).ToList(),
            SampleOrder.Gains => drawn.OrderByDescending(gain).ToList(),
            SampleOrder.Similar when pairs.Exists(p => p.After.SimilarRank is not null) => [.. drawn.Where(p => p.After.SimilarRank is not null).OrderBy(p => p.After.SimilarRank).ThenBy(p => p.After.Ordinal)],
            SampleOrder.Similar => drawn,
        };
        var at = Math.Clamp(index, 0, ordered.Count - 1);
        var (first, second) = ordered[at];
        var prompt = await (from p in db.Prompts.AsNoTracking()
                            join c in db.Contents on p.ContentId equals c.Id
                            where p.Id == second.PromptId
                            select new { p.Topic, c.Text }).FirstOrDefaultAsync(stop);
        var texts = await (from r in db.Responses.AsNoTracking()
                           join c in db.Contents on r.ContentId equals c.Id
                           where r.Id == first.ResponseId || r.Id == second.ResponseId
                           select new { r.Id, c.Text }).ToDictionaryAsync(x => x.Id, x => x.Text ?? "", stop);
        return (first.SampledFromId, new SamplePair(at, ordered.Count, Conversation.Parse(prompt?.Text), prompt?.Topic, Shown(first), Shown(second)), pairs.Exists(p => p.After.SimilarRank is not null));

        ShownSample Shown(EvaluationSample s) => new(s.ResponseId, texts.GetValueOrDefault(s.ResponseId, ""), s.Reward, s.LengthTokens);
    }

    /// <summary>A lot that is the same on every visit and knows nothing of the texts.</summary>
    private static string Lot(EvaluationSample sample) =>
        Convert.ToHexString(SHA256.HashData(Encoding.ASCII.GetBytes($"{sample.PromptId}/{sample.Ordinal}"))[..8]);
}
