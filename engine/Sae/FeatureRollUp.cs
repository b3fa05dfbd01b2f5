using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Serving;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>A judgement that a reward model was trained on, by the codes of its two answers.</summary>
/// <param name="Chosen">Number of the answer that counts as the better one, within <see cref="FeatureCodes.Responses"/>.</param>
/// <param name="Rejected">Number of the other one.</param>
public readonly record struct CodedJudgement(PromptId PromptId, int Chosen, int Rejected);

/// <summary>
/// Which features tell the better answer from the other one in the pairs that explain responses, more than in all pairs trained on: what the explained responses were taught to be, in words that have labels.
/// </summary>
/// <remarks>
/// A feature is on a pair's chosen side where it fires (z &gt; 0) at the end of the chosen answer and not at that of the other; on its rejected side the other way round. With ω the weight of a judgement, its mean
/// over the explanations, all ω together 1:
/// <code>
/// weight w = Σ ω_i x_i      data share p = Σ x_i / n      x_i: judgement i has the feature on that side
/// </code>
/// Order: by how far w lies above p, KL(w ‖ p), the log-likelihood ratio by which corpora are compared for their words (Dunning 1993). The difference w − p would put
/// features first that most pairs have, the ratio w/p those of three pairs.
/// <para>
/// Thousands of features and sides are looked at, and some of them stand out by luck. Listed are those that luck does not explain: if the explaining prompts were drawn by luck, each with the weight it has (the judgements of a
/// prompt are alike, so they are one draw; explanations that all lead to one pair are little more than one), a weight of w or more would be at most as probable as <see cref="HoeffdingBound"/> says. Times the number of features and sides
/// looked at (Bonferroni) it bounds how often any of them would stand out so far: <see cref="FeatureWeight.Chance"/>. It is a bound and not the probability itself: what is listed stands out, and so may others that are not.
/// Features that fire together are listed together.
/// </para>
/// Checked against brute force, figures by hand, a planted cause and explanations by luck.
/// </remarks>
public static class FeatureRollUp
{
    /// <summary>Features that may be listed are looked for among this many that stand out most.</summary>
    private const int CandidatesMax = 100;

    /// <summary>Adds up.</summary>
    /// <param name="trained">All judgements trained on that have codes.</param>
    /// <param name="explanations">Their rows are places in <paramref name="trained"/>. Each counts alike; one without weight does not count.</param>
    /// <returns>The listed features, those that stand out most first; and how many features and sides any judgement has.</returns>
    public static (IReadOnlyList<FeatureWeight> Items, int LookedAt) Of(FeatureCodes codes, IReadOnlyList<CodedJudgement> trained, IReadOnlyList<WeighedPairs> explanations, CancellationToken stop)
    {
        var sides = new Sides(codes);
        var judgements = new int[2 * codes.Latents]; // a place is a latent and a side
        foreach (var judgement in trained)
            foreach (var place in sides.Of(judgement))
                judgements[place]++;
        var lookedAt = judgements.Count(count => count > 0);
        stop.ThrowIfCancellationRequested();

        var (weights, seen, draws) = Weigh(sides, trained, explanations, judgements.Length);
        stop.ThrowIfCancellationRequested();
        var items = Enumerable.Range(0, judgements.Length).Where(place => seen[place] > 0)
            .Select(place => (Place: place, Weight: Math.Min(1, weights[place]), Share: (double)judgements[place] / trained.Count)) // rounding may leave more than 1
            .Where(one => one.Weight > one.Share).OrderByDescending(one => HoeffdingBound.Divergence(one.Weight, one.Share)).ThenBy(one => one.Place).Take(CandidatesMax)
            .Select(one => new FeatureWeight(one.Place / 2, one.Place % 2 == 0 ? PairSide.Chosen : PairSide.Rejected, one.Weight, one.Share, judgements[one.Place], seen[one.Place],
                Math.Min(1, lookedAt * HoeffdingBound.AtLeast(draws, one.Share, one.Weight))))
            .Where(item => item.Chance <= FeatureRollUpRequest.ChanceMax).Take(FeatureRollUpRequest.ListedMax).ToList();
        return (items, lookedAt);
    }

    /// <summary>Of each feature and side its weight and the explanations with any; and of each prompt its weight.</summary>
    private static (double[] Weights, int[] Seen, double[] OfPrompts) Weigh(Sides sides, IReadOnlyList<CodedJudgement> trained, IReadOnlyList<WeighedPairs> explanations, int places)
    {
        var (ofRow, seen, met, counted) = (new Dictionary<int, double>(), new int[places], new HashSet<int>(), 0);
        foreach (var explanation in explanations)
        {
            var sum = explanation.Pairs.Sum(pair => Math.Max(0, pair.Weight));
            if (sum <= 0)
                continue;
            counted++;
            met.Clear();
            foreach (var (row, weight) in explanation.Pairs.Where(pair => pair.Weight > 0))
            {
                ofRow[row] = ofRow.GetValueOrDefault(row) + weight / sum;
                foreach (var place in sides.Of(trained[row]))
                    if (met.Add(place))
                        seen[place]++;
            }
        }
        var (weights, ofPrompt) = (new double[places], new Dictionary<PromptId, double>());
        foreach (var (row, weight) in ofRow)
        {
            ofPrompt[trained[row].PromptId] = ofPrompt.GetValueOrDefault(trained[row].PromptId) + weight / counted;
            foreach (var place in sides.Of(trained[row]))
                weights[place] += weight / counted;
        }
        return (weights, seen, [.. ofPrompt.Values]);
    }

    /// <summary>Features on the sides of judgements: twice the latent for the chosen side, one more for the rejected.</summary>
    private sealed class Sides(FeatureCodes codes)
    {
        private readonly List<int> places = [];

        /// <summary>Those of one judgement, until the next is asked for. A response has few codes: it is searched through.</summary>
        public List<int> Of(CodedJudgement judgement)
        {
            places.Clear();
            Add(judgement.Chosen, judgement.Rejected, 0);
            Add(judgement.Rejected, judgement.Chosen, 1);
            return places;
        }

        private void Add(int response, int other, int side)
        {
            for (var i = response * codes.Width; i < (response + 1) * codes.Width; i++)
                if (codes.Values[i] > 0 && !Fires(other, codes.Indices[i]))
                    places.Add(2 * codes.Indices[i] + side);
        }

        private bool Fires(int response, int latent)
        {
            for (var i = response * codes.Width; i < (response + 1) * codes.Width; i++)
                if (codes.Indices[i] == latent && codes.Values[i] > 0)
                    return true;
            return false;
        }
    }
}
