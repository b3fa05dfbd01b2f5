using Portal.Engine.Evaluation;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Evaluation;

/// <summary>Counts by hand; baselines on data whose cause is planted here.</summary>
public sealed class PairwiseAccuracyTests
{
    [Fact]
    public void Ties_are_left_out_and_equal_scores_are_half_right()
    {
        ScoredPair[] pairs = [new("a", 1), new("a", -2), new("b", 0), new("b", 3), new("c", 5, IsTie: true), new("c", double.NaN, IsTie: true)];

        PairwiseAccuracyResult result = PairwiseAccuracy.Compute(pairs, new SeededRandom(1))!;

        Assert.Equal((4, 2, 2, 1, 2.5 / 4), (result.Pairs, result.Prompts, result.Ties, result.EqualScores, result.Accuracy));
        Assert.Equal(WilsonInterval.Compute(2.5, 4), result.Wilson);
        Assert.Equal(2, result.ByPrompt.Count);
        // Two prompts with means .5 and .75: resamples give .5, .625 or .75 only.
        Assert.Equal((0.5, 0.75), (result.ByPrompt.Low, result.ByPrompt.High));
    }

    [Fact]
    public void Nothing_to_judge_is_said_by_null_and_nan_is_an_error()
    {
        Assert.Null(PairwiseAccuracy.Compute([new("a", 1, IsTie: true)], new SeededRandom(1)));
        Assert.Null(PairwiseAccuracy.Compute([], new SeededRandom(1)));
        Assert.Contains("Pair 2 (prompt b)", Assert.Throws<ArgumentException>(() => PairwiseAccuracy.Compute([new("a", 1), new("b", double.NaN)], new SeededRandom(1))).Message);
    }

    [Fact]
    public void Two_models_are_compared_pair_by_pair()
    {
        PairwiseAccuracyResult good = PairwiseAccuracy.Compute([.. Enumerable.Range(0, 50).Select(i => new ScoredPair($"p{i}", 1))], new SeededRandom(1))!;
        PairwiseAccuracyResult half = PairwiseAccuracy.Compute([.. Enumerable.Range(0, 50).Select(i => new ScoredPair($"p{i}", i % 2 == 0 ? 1 : -1))], new SeededRandom(1))!;

        ConfidenceInterval difference = PairwiseAccuracy.Difference(good, half, new SeededRandom(1));

        Assert.Equal(0.5, difference.Estimate);
        Assert.True(difference.IsAbove(0.3));
        PairwiseAccuracyResult other = PairwiseAccuracy.Compute([new("x", 1)], new SeededRandom(1))!;
        Assert.Throws<ArgumentException>(() => PairwiseAccuracy.Difference(good, other, new SeededRandom(1)));
    }

    [Fact]
    public void Baselines_find_a_planted_word_and_only_the_words_baseline_does()
    {
        // The preferred response holds "please"; lengths are drawn alike, so length knows nothing.
        List<TextPair> all = Planted(400, "please", "always", longer: false);

        BaselineReport report = Baselines.Evaluate([.. all.Take(300)], [.. all.Skip(300)], new SeededRandom(2), CancellationToken.None);

        Assert.True(report.BagOfWords!.Accuracy > 0.95, $"bag of words {report.BagOfWords.Accuracy}");
        Assert.InRange(report.Length!.Accuracy, 0.3, 0.7);
        Assert.Equal((300, 100), (report.TrainingPairs, report.Length.Pairs));
    }

    [Fact]
    public void Baselines_find_planted_length()
    {
        List<TextPair> all = Planted(200, "word", "other", longer: true);

        BaselineReport report = Baselines.Evaluate([.. all.Take(100)], [.. all.Skip(100), new TextPair("tie", "a", "b", IsTie: true)], new SeededRandom(2), CancellationToken.None);

        Assert.Equal((1.0, 1), (report.Length!.Accuracy, report.Length.Ties));
        Assert.True(report.LengthWeight > 0);
    }

    [Fact]
    public void A_prompt_in_both_splits_is_refused()
    {
        List<TextPair> all = Planted(10, "please", "always", longer: false);

        Assert.Contains("stands in training and in the held-out", Assert.Throws<ArgumentException>(() => Baselines.Evaluate(all, [all[3]], new SeededRandom(1), CancellationToken.None)).Message);
        Assert.Contains("nothing to learn from", Assert.Throws<ArgumentException>(() => Baselines.Evaluate([all[0] with { IsTie = true }], [], new SeededRandom(1), CancellationToken.None)).Message);
    }

    private static List<TextPair> Planted(int count, string good, string bad, bool longer)
    {
        string[] words = ["the", "sky", "is", "blue", "and", "green", "or", "red"];
        var random = new SeededRandom(3);
        return [.. Enumerable.Range(0, count).Select(i => new TextPair($"p{i}", Sentence(good, longer ? 12 : 3), Sentence(bad, 3)))];

        string Sentence(string word, int least) => string.Join(' ', Enumerable.Range(0, least + random.NextInt(6)).Select(_ => random.Pick(words)).Append(word));
    }
}
