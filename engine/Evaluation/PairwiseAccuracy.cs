using Portal.Engine.Statistics;

namespace Portal.Engine.Evaluation;

/// <summary>One held-out comparison and what a model says about it.</summary>
/// <param name="PromptKey">Pairs of one prompt have the same key.</param>
/// <param name="Difference">Score of the response that people preferred, less the other's; finite. Unused for a tie.</param>
/// <param name="IsTie">People preferred neither (tie, both good, both bad): counted, not scored.</param>
public readonly record struct ScoredPair(string PromptKey, double Difference, bool IsTie = false);

/// <summary>How often a model prefers what people prefer.</summary>
/// <param name="Pairs">Pairs with a preference: what the accuracy rests on.</param>
/// <param name="Prompts">Different prompts among them.</param>
/// <param name="Ties">Pairs left out because people preferred neither.</param>
/// <param name="EqualScores">Pairs on which the model's scores are the same; each counts as half right.</param>
/// <param name="Wilson">Accuracy with Wilson's interval, as if all pairs were independent.</param>
/// <param name="ByPrompt">Accuracy with the bootstrap interval by prompt: the honest one where prompts have several pairs.</param>
/// <param name="Scored">Right (1), half (½) or wrong (0), pair by pair in the order given, with its prompt: for paired comparisons of two models.</param>
public sealed record PairwiseAccuracyResult(int Pairs, int Prompts, int Ties, int EqualScores, ConfidenceInterval Wilson, ConfidenceInterval ByPrompt, IReadOnlyList<(string PromptKey, double Right)> Scored)
{
    /// <summary>The accuracy, 0 to 1; chance is 0.5.</summary>
    public double Accuracy => Wilson.Estimate;
}

/// <summary>Held-out accuracy of anything that scores responses, with its intervals.</summary>
public static class PairwiseAccuracy
{
    /// <summary>The accuracy, or null where no pair has a preference: there is nothing to say then.</summary>
    /// <param name="pairs">Held-out pairs only.</param>
    /// <param name="random">For the bootstrap; the same seed gives the same interval.</param>
    /// <exception cref="ArgumentException">A difference is not finite; the message names the pair.</exception>
    public static PairwiseAccuracyResult? Compute(IEnumerable<ScoredPair> pairs, SeededRandom random)
    {
        var scored = new List<(string PromptKey, double Right)>();
        int ties = 0, equal = 0, index = 0;
        foreach (ScoredPair pair in pairs)
        {
            index++;
            if (pair.IsTie)
            {
                ties++;
                continue;
            }

            if (!double.IsFinite(pair.Difference)) throw new ArgumentException($"Pair {index} (prompt {pair.PromptKey}) has the score difference {pair.Difference}.", nameof(pairs));
            if (pair.Difference == 0) equal++;
            scored.Add((pair.PromptKey, pair.Difference > 0 ? 1 : pair.Difference < 0 ? 0 : 0.5));
        }

        if (scored.Count == 0) return null;
        double[] right = [.. scored.Select(entry => entry.Right)];
        string[] prompts = [.. scored.Select(entry => entry.PromptKey)];
        return new PairwiseAccuracyResult(scored.Count, prompts.Distinct(StringComparer.Ordinal).Count(), ties, equal,
            WilsonInterval.Compute(right.Sum(), right.Length), Bootstrap.Mean(right, prompts, random), scored);
    }

    /// <summary>How much more often the first model is right than the second, on the same pairs, with the bootstrap interval by prompt.</summary>
    /// <exception cref="ArgumentException">The results are not of the same pairs in the same order.</exception>
    public static ConfidenceInterval Difference(PairwiseAccuracyResult first, PairwiseAccuracyResult second, SeededRandom random)
    {
        if (!first.Scored.Select(entry => entry.PromptKey).SequenceEqual(second.Scored.Select(entry => entry.PromptKey), StringComparer.Ordinal))
            throw new ArgumentException($"The two results are not of the same pairs: {first.Pairs} and {second.Pairs} pairs, or another order of prompts.");
        return Bootstrap.PairedDifference([.. first.Scored.Select(entry => entry.Right)], [.. second.Scored.Select(entry => entry.Right)], [.. first.Scored.Select(entry => entry.PromptKey)], random);
    }
}
