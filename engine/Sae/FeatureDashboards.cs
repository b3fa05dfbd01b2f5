using Portal.Data.SaeFeatures;
using TorchSharp;

namespace Portal.Engine.Sae;

/// <summary>What the dashboards of a reward model's latents are made from.</summary>
public sealed record DashboardData
{
    /// <summary>Codes of all responses, each at its end and its sentence ends.</summary>
    public required FeatureFirings Firings { get; init; }

    /// <summary>w. [M].</summary>
    public required float[] HeadWeights { get; init; }

    /// <summary>Directions of the latents. [M, d].</summary>
    public required torch.Tensor Decoder { get; init; }

    /// <summary>Rewards of the responses, in their order.</summary>
    public required IReadOnlyList<double> Rewards { get; init; }

    public required IReadOnlyList<CodedPair> Pairs { get; init; }
    public required IReadOnlyList<PairVote> Votes { get; init; }

    /// <summary>See <see cref="FeatureContextPicker.Pick"/>.</summary>
    public required int ContextsPerFeature { get; init; }

    public required long Seed { get; init; }
}

/// <summary>Everything that is counted about one latent; the members are those of <see cref="SaeFeature"/>.</summary>
public sealed record FeatureDashboard
{
    public required int Latent { get; init; }
    public required int FiringAtEnd { get; init; }
    public required int FiringAtSentence { get; init; }
    public required double ActivationMax { get; init; }
    public required double ActivationMean { get; init; }
    public required double HeadWeight { get; init; }
    public required double ContributionMean { get; init; }
    public required double GapContribution { get; init; }
    public required int PairsDiffering { get; init; }
    public required double? RewardAuc { get; init; }
    public required ActivationHistogram Histogram { get; init; }
    public required IReadOnlyList<RelatedFeature> Related { get; init; }
    public required IReadOnlyList<VoterShare> Voters { get; init; }
    public required IReadOnlyList<PickedContext> Contexts { get; init; }
}

/// <summary>Dashboards of all latents at once, from codes that lie in memory: turned round once, then latent by latent.</summary>
public static class FeatureDashboards
{
    /// <summary>Steps of a histogram.</summary>
    public const int Steps = 24;

    /// <summary>Builds them.</summary>
    /// <returns>[M], in the order of the latents.</returns>
    /// <exception cref="ArgumentException">A response has no end or two, or lengths differ.</exception>
    public static IReadOnlyList<FeatureDashboard> Build(DashboardData data, FeaturePostings postings, CancellationToken stop)
    {
        var (firings, m) = (data.Firings, data.Firings.Latents);
        if (data.HeadWeights.Length != m || data.Decoder.shape[0] != m)
            throw new ArgumentException($"There are {data.HeadWeights.Length} weights and {data.Decoder.shape[0]} directions for {m} latents.");
        var (isEnd, endOf) = Ends(firings, data.Rewards.Count);
        var related = RelatedFeatures.Find(data.Decoder, firings, postings, isEnd, stop);
        var effects = PairEffects.Of(firings, endOf, data.Pairs, data.Votes, stop);
        var ranks = Midranks(data.Rewards);
        var dashboards = new FeatureDashboard[m];
        Parallel.For(0, m, new ParallelOptions { CancellationToken = stop }, latent => dashboards[latent] = One(latent, data, postings, isEnd, ranks, related[latent], effects));
        return dashboards;
    }

    /// <summary>Which places are ends, and where each response's is.</summary>
    public static (bool[] IsEnd, int[] EndOf) Ends(FeatureFirings firings, int responses)
    {
        var (isEnd, endOf) = (new bool[firings.Places.Count], new int[responses]);
        Array.Fill(endOf, -1);
        for (var place = 0; place < isEnd.Length; place++)
        {
            if (firings.Places[place].Position is not ContextPosition.End)
                continue;
            isEnd[place] = true;
            var response = firings.Places[place].Response;
            endOf[response] = endOf[response] < 0 ? place : throw new ArgumentException($"Response {response} has two ends.");
        }
        return Array.IndexOf(endOf, -1) is >= 0 and var missing ? throw new ArgumentException($"Response {missing} has no end.") : (isEnd, endOf);
    }

    private static FeatureDashboard One(int latent, DashboardData data, FeaturePostings postings, bool[] isEnd, double[] ranks, IReadOnlyList<RelatedFeature> related, PairEffects effects)
    {
        var responses = data.Rewards.Count;
        var (atEnd, atSentence) = (new List<(int Place, float Activation)>(), new List<(int Place, float Activation)>());
        var places = postings.PlacesOf(latent);
        var values = postings.ValuesOf(latent);
        var (all, rankSum) = (0.0, 0.0);
        for (var i = 0; i < places.Length; i++)
        {
            if (isEnd[places[i]])
                all += values[i];
            if (!(values[i] > 0))
                continue;
            (isEnd[places[i]] ? atEnd : atSentence).Add((places[i], values[i]));
            if (isEnd[places[i]])
                rankSum += ranks[data.Firings.Places[places[i]].Response];
        }
        var seed = (ulong)data.Seed * 0x9E3779B97F4A7C15UL + (ulong)latent;
        ulong HashOf(int place) => data.Firings.Places[place].TextHash;
        var fires = atEnd.Count;
        return new FeatureDashboard
        {
            Latent = latent, FiringAtEnd = fires, FiringAtSentence = atSentence.Count, HeadWeight = data.HeadWeights[latent],
            ActivationMax = fires == 0 ? 0 : atEnd.Max(one => one.Activation), ActivationMean = fires == 0 ? 0 : atEnd.Average(one => (double)one.Activation),
            ContributionMean = responses == 0 ? 0 : data.HeadWeights[latent] * all / responses,
            GapContribution = data.Pairs.Count == 0 ? 0 : data.HeadWeights[latent] * effects.GapSum[latent] / data.Pairs.Count, PairsDiffering = effects.Differing[latent],
            // Mann and Whitney's U from the sum of ranks.
            RewardAuc = fires == 0 || fires == responses ? null : (rankSum - fires * (fires + 1.0) / 2) / ((double)fires * (responses - fires)),
            Histogram = HistogramOf(atEnd, atSentence), Related = related, Voters = effects.Voters[latent],
            Contexts =
            [
                .. FeatureContextPicker.Pick(atEnd, HashOf, data.ContextsPerFeature, seed), .. FeatureContextPicker.Pick(atSentence, HashOf, data.ContextsPerFeature, seed),
            ],
        };
    }

    private static ActivationHistogram HistogramOf(List<(int Place, float Activation)> atEnd, List<(int Place, float Activation)> atSentence)
    {
        var highest = atEnd.Concat(atSentence).Select(one => one.Activation).DefaultIfEmpty(0).Max();
        return new ActivationHistogram(highest, Counts(atEnd), Counts(atSentence));

        int[] Counts(List<(int Place, float Activation)> some)
        {
            var counts = new int[Steps];
            foreach (var (_, activation) in some)
                counts[Math.Min(Steps - 1, (int)((double)activation / highest * Steps))]++;
            return counts;
        }
    }

    /// <summary>Ranks from 1, equal rewards sharing the mean of theirs.</summary>
    private static double[] Midranks(IReadOnlyList<double> rewards)
    {
        var order = Enumerable.Range(0, rewards.Count).OrderBy(i => rewards[i]).ToArray();
        var ranks = new double[rewards.Count];
        for (var start = 0; start < order.Length;)
        {
            var end = start;
            while (end < order.Length && rewards[order[end]] == rewards[order[start]])
                end++;
            for (var i = start; i < end; i++)
                ranks[order[i]] = (start + 1 + end) / 2.0;
            start = end;
        }
        return ranks;
    }
}
