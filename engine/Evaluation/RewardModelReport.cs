using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Statistics;

namespace Portal.Engine.Evaluation;

/// <summary>One measured number with what is needed to read it; becomes an evaluation row.</summary>
/// <param name="Name">The metric's standard name.</param>
/// <param name="Part">On which rows: "held-out", "held-out/directions", "train".</param>
/// <param name="Low">95 % interval; null where none can be given.</param>
/// <param name="Count">How many units it rests on.</param>
public sealed record Measurement(string Name, string Part, double Value, double? Low, double? High, int Count)
{
    /// <summary>A number from an interval of the statistics folder.</summary>
    public static Measurement Of(string name, string part, ConfidenceInterval interval) =>
        new(name, part, interval.Estimate, interval.Low, interval.High, interval.Count);

    /// <summary>The same from an interval by prompt: without its ends where it rests on fewer than <see cref="MetricNames.PromptsForInterval"/> prompts.</summary>
    public static Measurement OfPrompts(string name, string part, ConfidenceInterval byPrompt, int prompts) =>
        prompts < MetricNames.PromptsForInterval ? new(name, part, byPrompt.Estimate, null, null, prompts) : Of(name, part, byPrompt);
}

/// <summary>What is said about a reward model on held-out pairs: accuracy, per topic too, calibration, and the baselines beside it.</summary>
public static class RewardModelReport
{
    /// <summary>A topic with fewer pairs gets no row of its own: its interval would span almost everything.</summary>
    public const int TopicPairsMin = 20;

    /// <param name="differences">Chosen minus rejected reward, pair by pair, as <paramref name="heldOut"/>.</param>
    /// <param name="training">What the model was trained on: the baselines learn from the same.</param>
    public static IReadOnlyList<Measurement> Measure(IReadOnlyList<double> differences, IReadOnlyList<PreferencePair> heldOut,
        IReadOnlyList<PreferencePair> training, long seed, CancellationToken stop)
    {
        var random = new SeededRandom((ulong)seed).Split("report");
        var rows = new List<Measurement>();
        AddAccuracy(MetricNames.PairwiseAccuracy, MetricNames.HeldOut, Enumerable.Range(0, heldOut.Count));
        foreach (var topic in heldOut.Select((pair, i) => (pair.Topic, Index: i)).Where(entry => entry.Topic is not null).GroupBy(entry => entry.Topic).OrderBy(group => group.Key, StringComparer.Ordinal))
            if (topic.Count() >= TopicPairsMin)
                AddAccuracy(MetricNames.PairwiseAccuracy, $"held-out/{topic.Key}", topic.Select(entry => entry.Index));
        var calibration = Calibration.OfPreferences(differences);
        rows.Add(new Measurement(MetricNames.CalibrationError, MetricNames.HeldOut, calibration.ExpectedCalibrationError, null, null, calibration.Count));
        rows.Add(new Measurement(MetricNames.Brier, MetricNames.HeldOut, calibration.Brier, null, null, calibration.Count));
        rows.Add(new Measurement(MetricNames.LogLoss, MetricNames.HeldOut, calibration.LogLoss, null, null, calibration.Count));
        var baselines = Baselines.Evaluate([.. training.Select(TextOf)], [.. heldOut.Select(TextOf)], random, stop);
        if (baselines.Length is { } length)
            rows.Add(Measurement.OfPrompts(MetricNames.LengthBaseline, MetricNames.HeldOut, length.ByPrompt, length.Prompts));
        if (baselines.BagOfWords is { } words)
            rows.Add(Measurement.OfPrompts(MetricNames.BagOfWordsBaseline, MetricNames.HeldOut, words.ByPrompt, words.Prompts));
        return rows;

        void AddAccuracy(string name, string part, IEnumerable<int> indexes)
        {
            if (PairwiseAccuracy.Compute(indexes.Select(i => new ScoredPair(heldOut[i].PromptKey, differences[i])), random) is { } accuracy)
                rows.Add(Measurement.OfPrompts(name, part, accuracy.ByPrompt, accuracy.Prompts));
        }

        static TextPair TextOf(PreferencePair pair) => new(pair.PromptKey, pair.Chosen, pair.Rejected);
    }
}
