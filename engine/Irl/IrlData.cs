using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>Everything an audit's methods read, standardised once.</summary>
public sealed class IrlData
{
    private IrlData(FeatureScale scale, PairMatrix train, PairMatrix holdout, PairMatrix test, CandidateMatrix candidates, double[]? repeats, double logRatioNoise) =>
        (Scale, Train, Holdout, Test, Candidates, RepeatDifference, LogRatioNoise) = (scale, train, holdout, test, candidates, repeats, logRatioNoise);

    public FeatureScale Scale { get; }
    public PairMatrix Train { get; }
    public PairMatrix Holdout { get; }
    public PairMatrix Test { get; }

    /// <summary>Completions of test prompts by which rewards are compared; may hold none.</summary>
    public CandidateMatrix Candidates { get; }

    /// <summary>For each training pair, the mean z of its prompt's repeated completions: audited − base. [n · d]; null where nothing was sampled again.</summary>
    public double[]? RepeatDifference { get; }

    /// <summary>Standard deviation of what is noise in a pair's log-ratio, nats; 0 where log-probabilities are exact. See <see cref="FailureScreens"/>.</summary>
    public double LogRatioNoise { get; }

    /// <summary>Checks and standardises.</summary>
    /// <param name="repeats">More completions of training prompts; null or empty: none. Where there are some, each training prompt needs them.</param>
    /// <exception cref="CannotTrain">Leakage, features of different widths or not finite, bad weights, or a prompt without repeats; the message names the prompt.</exception>
    public static IrlData Prepare(IrlSplit split, IReadOnlyList<PromptCandidates> candidates, IReadOnlyList<PromptRepeats>? repeats = null, double logRatioNoise = 0)
    {
        if (!(logRatioNoise >= 0) || double.IsInfinity(logRatioNoise))
            throw new CannotTrain($"logRatioNoise is {logRatioNoise}; it is a standard deviation in nats, at least 0.");
        IrlSplit.Refuse(IrlSplit.Leaks(split.Train, split.Holdout, split.Test, candidates));
        var width = split.Train[0].Audited.Length;
        if (width == 0)
            throw new CannotTrain("The completions have no features.");
        foreach (var (part, pairs) in new[] { ("train", split.Train), ("hold-out", split.Holdout), ("test", split.Test) })
        {
            for (var i = 0; i < pairs.Count; i++)
            {
                Check(pairs[i].Audited, width, $"Pair {i} of {part} (prompt '{pairs[i].PromptId}'), the audited completion");
                Check(pairs[i].Base, width, $"Pair {i} of {part} (prompt '{pairs[i].PromptId}'), the base's completion");
                if (pairs[i].LogRatio is { } ratio && !double.IsFinite(ratio))
                    throw new CannotTrain($"Pair {i} of {part} (prompt '{pairs[i].PromptId}') has the log-ratio {ratio}; leave it out where it is unknown.");
            }
        }
        foreach (var prompt in candidates)
        {
            for (var k = 0; k < prompt.Features.Count; k++)
                Check(prompt.Features[k], width, $"Candidate {k} of prompt '{prompt.PromptId}'");
        }
        var scale = FeatureScale.Learn([.. split.Train.SelectMany(pair => new[] { pair.Audited, pair.Base })]);
        return new IrlData(scale, PairMatrix.Of(split.Train, scale), PairMatrix.Of(split.Holdout, scale), PairMatrix.Of(split.Test, scale), CandidateMatrix.Of(candidates, scale),
            repeats is null or [] ? null : SideMeans(split.Train, repeats, scale), logRatioNoise);
    }

    /// <summary>The same data with training and hold-out pairs turned round at random; test and candidates stay as they are.</summary>
    internal IrlData WithShuffledLabels(SeededRandom random) =>
        new(Scale, Train.Swapped(Coins(Train.Count, random.Split("train"))), Holdout.Swapped(Coins(Holdout.Count, random.Split("hold-out"))), Test, Candidates, RepeatDifference, LogRatioNoise);

    private static bool[] Coins(int count, SeededRandom random) => [.. Enumerable.Range(0, count).Select(_ => random.Chance(0.5))];

    private static double[] SideMeans(IReadOnlyList<IrlPair> train, IReadOnlyList<PromptRepeats> repeats, FeatureScale scale)
    {
        var d = scale.Width;
        var byPrompt = repeats.ToDictionary(prompt => prompt.PromptId, StringComparer.Ordinal);
        var (means, z) = (new double[train.Count * d], new double[d]);
        for (var i = 0; i < train.Count; i++)
        {
            if (!byPrompt.TryGetValue(train[i].PromptId, out var prompt) || prompt.Audited.Count == 0 || prompt.Base.Count == 0)
                throw new CannotTrain($"Prompt '{train[i].PromptId}' has no repeated completions of both policies, although others have.");
            foreach (var (side, sign) in new[] { (prompt.Audited, 1.0), (prompt.Base, -1.0) })
            {
                foreach (var completion in side)
                {
                    Check(completion, d, $"A repeated completion of prompt '{prompt.PromptId}'");
                    scale.Apply(completion, z);
                    System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(z, sign / side.Count, means.AsSpan(i * d, d), means.AsSpan(i * d, d));
                }
            }
        }
        return means;
    }

    private static void Check(float[] features, int width, string what)
    {
        if (features.Length != width)
            throw new CannotTrain($"{what} has {features.Length} features; the others have {width}.");
        for (var j = 0; j < width; j++)
        {
            if (!float.IsFinite(features[j]))
                throw new CannotTrain($"{what}: feature {j} is {features[j]}.");
        }
    }
}
