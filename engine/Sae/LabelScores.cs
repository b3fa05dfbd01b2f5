using System.Globalization;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>How well a pattern tells where a feature fires, on contexts that nothing was made from.</summary>
/// <param name="Detection">Balanced accuracy of "the context has the pattern" for "the feature fires"; null with a reason.</param>
/// <param name="Fuzzing">The same for "is the strongest stretch of its text"; null where too few texts have one.</param>
/// <param name="ScoredOn">Contexts that detection rests on; those there are, where that is too few.</param>
public sealed record LabelScore(Estimated? Detection, double? Fuzzing, int ScoredOn, string? WhyNot);

/// <summary>
/// Detection and fuzzing without a language model: the label's pattern reads the contexts in place of a reader.
/// <code>balanced accuracy = (hits / contexts where it fires + correct rejections / contexts where it does not) / 2      0.5 is chance, whatever the shares</code>
/// </summary>
/// <remarks>After delphi's scores of the same names (specs/sarm.md §4). Intervals draw whole prompts, because responses to one prompt are alike.</remarks>
public static class LabelScores
{
    /// <summary>Contexts of either kind below which nothing is scored.</summary>
    public const int EachMin = FeatureLabel.ContextsEachMin;

    private const int Resamples = 1_000;

    /// <summary>Scores a pattern.</summary>
    /// <param name="has">Whether a context has the pattern; null where its text is gone.</param>
    /// <param name="promptOf">The prompt of each response, as a number.</param>
    public static LabelScore Score(LabelContexts contexts, Func<LabelContext, bool?> has, Func<int, int> promptOf, long seed)
    {
        var fuzzing = Tally(contexts.Stretches, has, promptOf) is { IsEnough: true } stretches ? stretches.BalancedAccuracy : (double?)null;
        var tally = Tally(contexts.Contexts, has, promptOf);
        if (!tally.IsEnough)
            return new LabelScore(null, fuzzing, tally.Firing + tally.Silent, string.Create(CultureInfo.InvariantCulture,
                $"Held out are {tally.Firing} contexts where the feature fires and {tally.Silent} where it does not; {EachMin} of each are needed for a score."));
        var (low, high) = tally.Prompts.Count < MetricNames.PromptsForInterval ? (null, null) : Interval(tally.Prompts, seed);
        return new LabelScore(new Estimated(tally.BalancedAccuracy, low, high), fuzzing, tally.Firing + tally.Silent, null);
    }

    /// <summary>What a pattern got right, prompt by prompt.</summary>
    private sealed record Counted(IReadOnlyList<(int Hits, int Firing, int Rejections, int Silent)> Prompts)
    {
        public int Firing { get; } = Prompts.Sum(prompt => prompt.Firing);
        public int Silent { get; } = Prompts.Sum(prompt => prompt.Silent);
        public bool IsEnough => Firing >= EachMin && Silent >= EachMin;
        public double BalancedAccuracy => ((double)Prompts.Sum(prompt => prompt.Hits) / Firing + (double)Prompts.Sum(prompt => prompt.Rejections) / Silent) / 2;
    }

    private static Counted Tally(IReadOnlyList<LabelContext> contexts, Func<LabelContext, bool?> has, Func<int, int> promptOf)
    {
        var prompts = new SortedDictionary<int, (int Hits, int Firing, int Rejections, int Silent)>();
        foreach (var context in contexts)
        {
            if (has(context) is not { } found)
                continue;
            var (hits, firing, rejections, silent) = prompts.GetValueOrDefault(promptOf(context.Response));
            prompts[promptOf(context.Response)] = context.Fires ? (hits + (found ? 1 : 0), firing + 1, rejections, silent) : (hits, firing, rejections + (found ? 0 : 1), silent + 1);
        }
        return new Counted([.. prompts.Values]);
    }

    private static (double? Low, double? High) Interval(IReadOnlyList<(int Hits, int Firing, int Rejections, int Silent)> prompts, long seed)
    {
        var random = new SeededRandom((ulong)seed).Split("label score");
        var drawn = new List<double>(Resamples);
        for (var resample = 0; resample < Resamples; resample++)
        {
            var (hits, firing, rejections, silent) = (0, 0, 0, 0);
            for (var i = 0; i < prompts.Count; i++)
            {
                var prompt = prompts[random.NextInt(prompts.Count)];
                (hits, firing, rejections, silent) = (hits + prompt.Hits, firing + prompt.Firing, rejections + prompt.Rejections, silent + prompt.Silent);
            }
            if (firing > 0 && silent > 0)
                drawn.Add(((double)hits / firing + (double)rejections / silent) / 2);
        }
        drawn.Sort();
        return drawn.Count == 0 ? (null, null) : (Bootstrap.Quantile(drawn, 0.025), Bootstrap.Quantile(drawn, 0.975));
    }
}
