using Portal.Engine.Statistics;

namespace Portal.Engine.Evaluation;

/// <summary>A comparison as text.</summary>
/// <param name="PromptKey">Pairs of one prompt have the same key.</param>
/// <param name="Chosen">What people preferred; for a tie, either.</param>
/// <param name="Rejected">The other response.</param>
/// <param name="IsTie">People preferred neither.</param>
public sealed record TextPair(string PromptKey, string Chosen, string Rejected, bool IsTie = false);

/// <summary>What a reward model must beat, measured on the same held-out pairs.</summary>
/// <param name="Length">Knows only which response is longer; null where no held-out pair has a preference.</param>
/// <param name="LengthWeight">Positive where training preferred the longer one.</param>
/// <param name="BagOfWords">Knows only which words occur; null likewise.</param>
/// <param name="Vocabulary">Words that it knows.</param>
/// <param name="TrainingPairs">Pairs with a preference that both were trained on.</param>
public sealed record BaselineReport(PairwiseAccuracyResult? Length, double LengthWeight, PairwiseAccuracyResult? BagOfWords, int Vocabulary, int TrainingPairs);

/// <summary>Length-only and bag-of-words baselines: learnt on the training split, judged on the held-out one, as the reward model is.</summary>
public static class Baselines
{
    /// <summary>Trains both and measures them.</summary>
    /// <param name="training">Pairs of the training split; at least one with a preference. Ties are left out.</param>
    /// <param name="heldOut">Pairs of the held-out split, in the order in which the reward model is measured, so that differences can be paired.</param>
    /// <param name="random">For the bootstrap.</param>
    /// <param name="stop">Looked at between steps.</param>
    /// <param name="l2">Penalty of the bag of words per weight (mean loss + λ/2 ‖w‖²). 1e-3 suits some thousand pairs.</param>
    /// <exception cref="ArgumentException">No training pair has a preference, or a held-out prompt also stands in training.</exception>
    public static BaselineReport Evaluate(IReadOnlyList<TextPair> training, IReadOnlyList<TextPair> heldOut, SeededRandom random, CancellationToken stop, double l2 = 1e-3)
    {
        TextPair[] decided = [.. training.Where(pair => !pair.IsTie)];
        if (decided.Length == 0) throw new ArgumentException("No training pair has a preference, so the baselines have nothing to learn from.", nameof(training));
        HashSet<string> trained = training.Select(pair => pair.PromptKey).ToHashSet(StringComparer.Ordinal);
        if (heldOut.FirstOrDefault(pair => trained.Contains(pair.PromptKey)) is { } leak)
            throw new ArgumentException($"Prompt {leak.PromptKey} stands in training and in the held-out pairs; split by prompt first.", nameof(heldOut));

        LengthBaseline length = LengthBaseline.Fit([.. decided.Select(pair => (pair.Chosen, pair.Rejected))], stop);
        BagOfWords words = BagOfWords.Learn(decided.SelectMany(pair => new[] { pair.Chosen, pair.Rejected }));
        SparseVector[] rows = [.. decided.Select(pair => words.Difference(pair.Chosen, pair.Rejected))];
        LogisticModel model = LogisticRegression.Fit(rows, [.. Enumerable.Repeat(true, rows.Length)], Math.Max(1, words.Words.Count), l2, intercept: false, stop, tolerance: 1e-5); // far below what an accuracy can show

        return new BaselineReport(
            PairwiseAccuracy.Compute(heldOut.Select(pair => new ScoredPair(pair.PromptKey, length.Difference(pair.Chosen, pair.Rejected), pair.IsTie)), random), length.Weight,
            PairwiseAccuracy.Compute(heldOut.Select(pair => new ScoredPair(pair.PromptKey, model.Score(words.Difference(pair.Chosen, pair.Rejected)), pair.IsTie)), random), words.Words.Count, decided.Length);
    }
}
