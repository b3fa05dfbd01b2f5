using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Statistics;

namespace Portal.Engine.Evaluation;

/// <summary>One sampled answer with what was read off it.</summary>
/// <param name="LogProb">Its log-probability under the policy that wrote it, nats.</param>
/// <param name="BaseLogProb">The same under the base policy; their difference estimates the divergence.</param>
/// <param name="Reward">Score by the reward model; null where there is none.</param>
public sealed record SampledAnswer(string PromptKey, IReadOnlyList<Turn> Prompt, string Text, int LengthTokens, bool Finished, double LogProb, double BaseLogProb,
    double? Reward);

/// <summary>
/// A policy against the one before it, on the same prompts, with the same number of samples and seeds. Differences are bootstrapped by
/// prompt, because samples of one prompt are alike.
/// </summary>
public static class PolicyComparison
{
    /// <summary>The figures of one policy on its own.</summary>
    public static IReadOnlyList<Measurement> Measure(IReadOnlyList<SampledAnswer> answers, long seed)
    {
        var random = new SeededRandom((ulong)seed).Split("policy");
        var prompts = Prompts(answers);
        var rows = new List<Measurement>();
        if (answers.Count == 0)
            return rows;
        foreach (var (name, of) in Figures)
            if (Values(answers, of) is { } values)
                rows.Add(Measurement.Of(name, "held-out", Bootstrap.Mean(values, prompts, random)));
        return rows;
    }

    /// <summary>Change of each figure from <paramref name="before"/> to <paramref name="after"/>, pair by pair.</summary>
    /// <exception cref="ArgumentException">The two are not of the same prompts in the same order.</exception>
    public static IReadOnlyList<Measurement> Compare(IReadOnlyList<SampledAnswer> before, IReadOnlyList<SampledAnswer> after, long seed)
    {
        if (!Prompts(before).SequenceEqual(Prompts(after), StringComparer.Ordinal))
            throw new ArgumentException($"The two policies answered different prompts: {before.Count} and {after.Count} answers.");
        var random = new SeededRandom((ulong)seed).Split("comparison");
        var rows = new List<Measurement>();
        foreach (var (name, of) in Figures)
            if (before.Count > 0 && Values(before, of) is { } first && Values(after, of) is { } second)
                rows.Add(Measurement.Of($"change/{name}", "held-out", Bootstrap.PairedDifference(second, first, Prompts(before), random)));
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

    private static readonly IReadOnlyList<(string Name, Func<SampledAnswer, double?> Of)> Figures =
    [
        ("mean_reward", answer => answer.Reward),
        ("length_tokens", answer => answer.LengthTokens),
        ("unfinished_share", answer => answer.Finished ? 0 : 1),
        ("repetition_share", answer => RepetitionShare(answer.Text)),
        // k1 on the policy's own samples: unbiased, and negative on average only by chance (specs/rlhf.md §1.6).
        ("kl_nats", answer => answer.LogProb - answer.BaseLogProb),
    ];

    private static string[] Prompts(IReadOnlyList<SampledAnswer> answers) => [.. answers.Select(answer => answer.PromptKey)];

    private static double[]? Values(IReadOnlyList<SampledAnswer> answers, Func<SampledAnswer, double?> of)
    {
        var values = answers.Select(of).ToList();
        return values.Any(value => value is null) ? null : [.. values.Select(value => value!.Value)]; // none is null here
    }
}
