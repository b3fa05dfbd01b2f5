using Portal.Data;
using Portal.Data.SaeFeatures;

namespace Portal.Engine.Sae;

/// <summary>One person's preference.</summary>
/// <param name="Preferred">Number of the response they preferred.</param>
/// <param name="Other">Number of the one they did not.</param>
public readonly record struct PairVote(AnnotatorId Annotator, int Preferred, int Other);

/// <summary>What judged pairs say about each latent: how much it adds to the gap, in how many pairs it can, and whose votes favour it.</summary>
/// <param name="GapSum">Σ over pairs of z_chosen − z_rejected. [M].</param>
/// <param name="Differing">Pairs whose two responses differ. [M].</param>
/// <param name="Voters">[M]; empty below <see cref="SaeFeature.VotersMin"/> people.</param>
public sealed record PairEffects(double[] GapSum, int[] Differing, IReadOnlyList<IReadOnlyList<VoterShare>> Voters)
{
    /// <summary>Voters listed for a feature at most: those with the largest excess either way.</summary>
    public const int VotersMax = 40;

    /// <summary>Adds up pairs and votes.</summary>
    /// <param name="endOf">For each response the place of its end.</param>
    /// <param name="votes">Every vote on a pair that is a preference, of pairs without a majority too.</param>
    public static PairEffects Of(FeatureFirings firings, int[] endOf, IReadOnlyList<CodedPair> pairs, IReadOnlyList<PairVote> votes, CancellationToken stop)
    {
        var m = firings.Latents;
        var (gap, differing, difference) = (new double[m], new int[m], new PairDifference(firings, endOf));
        foreach (var pair in pairs)
        {
            foreach (var (latent, value) in difference.Of(pair.Chosen, pair.Rejected))
            {
                gap[latent] += value;
                differing[latent]++;
            }
        }
        stop.ThrowIfCancellationRequested();
        var annotators = votes.Select(vote => vote.Annotator).Distinct().Order(Comparer<AnnotatorId>.Create((a, b) => a.Value.CompareTo(b.Value))).ToList();
        var numberOf = annotators.Index().ToDictionary(entry => entry.Item, entry => entry.Index);
        var all = new int[annotators.Count];
        var counts = new Dictionary<int, (int Votes, int Favours)>[m];
        foreach (var vote in votes)
        {
            var who = numberOf[vote.Annotator];
            all[who]++;
            foreach (var (latent, value) in difference.Of(vote.Preferred, vote.Other))
            {
                var own = counts[latent] ??= [];
                var (given, favours) = own.GetValueOrDefault(who);
                own[who] = (given + 1, favours + (value > 0 ? 1 : 0));
            }
        }
        return new PairEffects(gap, differing, [.. counts.Select(own => Shares(own, annotators, all, votes.Count))]);
    }

    private static IReadOnlyList<VoterShare> Shares(Dictionary<int, (int Votes, int Favours)>? own, List<AnnotatorId> annotators, int[] all, int total)
    {
        if (own is null || own.Count < SaeFeature.VotersMin || own.Values.Sum(count => count.Favours) is not (> 0 and var favours))
            return [];
        return [.. own.Select(entry => new VoterShare(annotators[entry.Key], entry.Value.Votes, (double)entry.Value.Favours / favours,
                (double)entry.Value.Favours / favours - (double)all[entry.Key] / total))
            .OrderByDescending(share => Math.Abs(share.Excess)).ThenBy(share => share.AnnotatorId.Value).Take(VotersMax)
            .OrderByDescending(share => share.Excess).ThenBy(share => share.AnnotatorId.Value)];
    }

    /// <summary>z_one − z_other, sparse.</summary>
    private sealed class PairDifference(FeatureFirings firings, int[] endOf)
    {
        private readonly double[] scratch = new double[firings.Latents];
        private readonly List<int> touched = [];

        public List<(int Latent, double Value)> Of(int one, int other)
        {
            touched.Clear();
            Add(endOf[one], 1);
            Add(endOf[other], -1);
            var differing = new List<(int, double)>(touched.Count);
            foreach (var latent in touched)
            {
                if (scratch[latent] != 0)
                    differing.Add((latent, scratch[latent]));
                scratch[latent] = 0;
            }
            return differing;
        }

        private void Add(int place, double sign)
        {
            var latents = firings.LatentsOf(place);
            var values = firings.ValuesOf(place);
            for (var i = 0; i < latents.Length; i++)
            {
                if (scratch[latents[i]] == 0)
                    touched.Add(latents[i]);
                scratch[latents[i]] += sign * values[i];
            }
        }
    }
}
