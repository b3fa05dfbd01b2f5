using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Evaluation;

/// <summary>The n answers to one prompt under two reward models.</summary>
/// <param name="Before">Rewards under the first model, answer by answer.</param>
/// <param name="After">Rewards under the second.</param>
public sealed record BestOfNChoice(string PromptKey, IReadOnlyList<Turn> Prompt, IReadOnlyList<string> Answers, IReadOnlyList<double> Before, IReadOnlyList<double> After)
{
    /// <summary>The answer that the first model picks: highest reward, first among equals.</summary>
    public int BestBefore => BestOfN.Best(Before);

    /// <summary>The answer that the second model picks.</summary>
    public int BestAfter => BestOfN.Best(After);
}

/// <summary>
/// What a policy would say if the best of n answers were taken under one reward model, and under another: the same prompts, seeds and answers, so that the models alone differ. The quickest look at what
/// a toggle does to a policy, without training one.
/// </summary>
public static class BestOfN
{
    /// <summary>Lets a policy write n answers to each prompt, and both models score all of them.</summary>
    /// <param name="n">At least 2.</param>
    /// <param name="told">Prompts written, after each few.</param>
    /// <exception cref="CannotTrain">n is below 2, or sampling is greedy, so that all answers are one.</exception>
    public static IReadOnlyList<BestOfNChoice> Ask(Llama policy, ITokenizer tokenizer, IReadOnlyList<AskedPrompt> prompts, int n, SamplingSpec sampling, RewardScorer before, RewardScorer after,
        CancellationToken stop, Action<int>? told = null)
    {
        if (n < 2)
            throw new CannotTrain($"n is {n}; the best of fewer than 2 answers is no choice.");
        if (sampling.Temperature == 0)
            throw new CannotTrain("sampling.temperature is 0, which gives the same answer each time; there would be nothing to choose from.");
        var texts = PolicySamples.Texts(policy, tokenizer, prompts, n, sampling, stop, told);
        List<(IReadOnlyList<Turn> Prompt, string Answer)> items = [.. prompts.SelectMany((prompt, i) => texts[i].Select(text => (prompt.Turns, text)))];
        var (first, second) = (before.Score(items, stop), after.Score(items, stop));
        return [.. prompts.Select((prompt, i) => new BestOfNChoice(prompt.Key, prompt.Turns, texts[i], [.. first.Skip(i * n).Take(n)], [.. second.Skip(i * n).Take(n)]))];
    }

    /// <summary>The highest, first among equals.</summary>
    /// <exception cref="ArgumentException">No rewards, or one that is no number.</exception>
    public static int Best(IReadOnlyList<double> rewards)
    {
        if (rewards.Count == 0 || rewards.Any(reward => !double.IsFinite(reward)))
            throw new ArgumentException($"the best of {rewards.Count} rewards, all of which must be numbers", nameof(rewards));
        var best = 0;
        for (var i = 1; i < rewards.Count; i++)
            if (rewards[i] > rewards[best])
                best = i;
        return best;
    }

    /// <summary>A figure of the picked answers (a phrase is there: 1, else 0; a length) under the first model, under the second, and its change, by prompt.</summary>
    /// <param name="choices">At least one.</param>
    public static (ConfidenceInterval Before, ConfidenceInterval After, ConfidenceInterval Change) Compare(IReadOnlyList<BestOfNChoice> choices, Func<BestOfNChoice, int, double> figure, long seed)
    {
        var random = new SeededRandom((ulong)seed).Split("best of n");
        string[] prompts = [.. choices.Select(choice => choice.PromptKey)];
        double[] before = [.. choices.Select(choice => figure(choice, choice.BestBefore))], after = [.. choices.Select(choice => figure(choice, choice.BestAfter))];
        return (Bootstrap.Mean(before, prompts, random), Bootstrap.Mean(after, prompts, random), Bootstrap.PairedDifference(after, before, prompts, random));
    }

    /// <summary>How often the second model picks another text, with its interval by prompt.</summary>
    public static Measurement Changed(IReadOnlyList<BestOfNChoice> choices, long seed)
    {
        double[] changed = [.. choices.Select(choice => choice.Answers[choice.BestBefore] == choice.Answers[choice.BestAfter] ? 0.0 : 1.0)];
        string[] prompts = [.. choices.Select(choice => choice.PromptKey)];
        return Measurement.OfPrompts(MetricNames.BestOfNChanged, MetricNames.HeldOut, Bootstrap.Mean(changed, prompts, new SeededRandom((ulong)seed).Split("best of n")), prompts.Distinct(StringComparer.Ordinal).Count());
    }
}
