using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Engine.Statistics;

namespace Portal.Engine.Evaluation;

/// <summary>One sampled answer with what was read off it.</summary>
/// <param name="LogProb">Its log-probability under the policy that wrote it, nats.</param>
/// <param name="BaseLogProb">The same under the base policy.</param>
/// <param name="Reward">Score by the reward model; null where there is none.</param>
public sealed record SampledAnswer(string PromptKey, IReadOnlyList<Turn> Prompt, string Text, int LengthTokens, bool Finished, double LogProb, double BaseLogProb,
    double? Reward)
{
    /// <summary>Its part in the estimate of the policy's divergence from the base, nats.</summary>
    public double KlNats => LogProb - BaseLogProb;
}

/// <summary>A number read off one answer; null where it cannot be read.</summary>
public sealed record Figure(string Name, Func<SampledAnswer, double?> Of);

/// <summary>
/// A policy against the one before it, on the same prompts, with the same number of samples and seeds. Differences are bootstrapped by
/// prompt, because samples of one prompt are alike.
/// </summary>
public static class PolicyComparison
{
    /// <summary>With fewer prompts no interval is given.</summary>
    public const int PromptsMin = MetricNames.PromptsForInterval;

    /// <summary>The figures of one policy on its own.</summary>
    /// <param name="prefix">Before each figure's name: nothing for the candidate, <see cref="MetricNames.BeforePrefix"/> for the version before it.</param>
    /// <param name="more">Figures besides the usual ones.</param>
    public static IReadOnlyList<Measurement> Measure(IReadOnlyList<SampledAnswer> answers, long seed, string prefix = "",
        IReadOnlyList<Figure>? more = null)
    {
        var random = new SeededRandom((ulong)seed).Split("policy");
        var prompts = Prompts(answers);
        var rows = new List<Measurement>();
        if (answers.Count == 0)
            return rows;
        foreach (var figure in Figures.Concat(more ?? []))
            if (Values(answers, figure) is { } values)
                rows.Add(Row(prefix + figure.Name, Bootstrap.Mean(values, prompts, random), prompts));
        return rows;
    }

    /// <summary>Change of each figure from <paramref name="before"/> to <paramref name="after"/>, answer by answer.</summary>
    /// <exception cref="ArgumentException">The two are not of the same prompts in the same order.</exception>
    public static IReadOnlyList<Measurement> Compare(IReadOnlyList<SampledAnswer> before, IReadOnlyList<SampledAnswer> after, long seed,
        IReadOnlyList<Figure>? more = null)
    {
        if (!Prompts(before).SequenceEqual(Prompts(after), StringComparer.Ordinal))
            throw new ArgumentException($"The two policies answered different prompts: {before.Count} and {after.Count} answers.");
        var random = new SeededRandom((ulong)seed).Split("comparison");
        var prompts = Prompts(before);
        var rows = new List<Measurement>();
        foreach (var figure in Figures.Concat(more ?? []))
            if (before.Count > 0 && Values(before, figure) is { } first && Values(after, figure) is { } second)
                rows.Add(Row(MetricNames.ChangePrefix + figure.Name, Bootstrap.PairedDifference(second, first, prompts, random), prompts));
        return rows;
    }

    /// <summary>Share of words that stand in a run of four words which the text holds more than once; 0 for a text that repeats nothing.</summary>
    public static double RepetitionShare(string text)
    {
        var words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < 8)
            return 0;
        var runs = Enumerable.Range(0, words.Length - 3).GroupBy(i => string.Join(' ', words[i..(i + 4)]), StringComparer.Ordinal);
        var repeated = new bool[words.Length];
        foreach (var run in runs.Where(run => run.Count() > 1))
            foreach (var start in run)
                repeated.AsSpan(start, 4).Fill(true);
        return repeated.Count(is_ => is_) / (double)words.Length;
    }

    private static readonly IReadOnlyList<Figure> Figures =
    [
        new(MetricNames.MeanReward, answer => answer.Reward),
        new(MetricNames.LengthTokens, answer => answer.LengthTokens),
        new(MetricNames.UnfinishedShare, answer => answer.Finished ? 0 : 1),
        new(MetricNames.RepetitionShare, answer => RepetitionShare(answer.Text)),
        // k1 on the policy's own samples: unbiased, and negative on average only by chance (specs/rlhf.md §1.6).
        new(MetricNames.KlNats, answer => answer.KlNats),
    ];

    private static Measurement Row(string name, ConfidenceInterval interval, string[] prompts) =>
        Measurement.OfPrompts(name, MetricNames.HeldOut, interval, prompts.Distinct(StringComparer.Ordinal).Count());

    private static string[] Prompts(IReadOnlyList<SampledAnswer> answers) => [.. answers.Select(answer => answer.PromptKey)];

    private static double[]? Values(IReadOnlyList<SampledAnswer> answers, Figure figure)
    {
        var values = answers.Select(figure.Of).ToList();
        return values.Any(value => value is null) ? null : [.. values.Select(value => value!.Value)]; // none is null here
    }
}
