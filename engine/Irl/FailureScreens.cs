using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>Which failures may teach.</summary>
public enum FailureScreen
{
    /// <summary>Those whose log-ratio exceeds twice its noise. White box, and the best of the three.</summary>
    LogRatio,
    /// <summary>Those on whose prompts the audited side also scores higher over repeated samples. Black box.</summary>
    RepeatSampling,
    /// <summary>Those that a reward trained on other prompts does not contradict with confidence. Needs nothing but the pairs.</summary>
    OutOfFold,
}

/// <summary>
/// Keeps wrong-label pairs and ties from being taught as failures. A failure is either informative or mislabelled (the policy wrote the worse completion this time), and among sampled pairs the second
/// kind is common; weighting it up teaches noise.
/// </summary>
/// <remarks>
/// "The single most important addition" (specs/fairl.md §1.7). The log-ratio must clear its noise: with 69 % exact ties and a noise of 1, dl &gt; 0 lets half of the ties through. Ours, not the paper's.
/// </remarks>
public static class FailureScreens
{
    public const int Folds = 5;

    /// <summary>Scaled out-of-fold margin below which a pair counts as contradicted.</summary>
    public const double OutOfFoldMin = -0.5;

    /// <summary>How many deviations of its noise a log-ratio must exceed.</summary>
    public const double NoiseFactor = 2;

    /// <summary>Noise of log-ratios that were measured twice: the deviation of their mean, from the differences of the halves.</summary>
    /// <param name="halves">Two estimates of the same dl each, at least one pair.</param>
    public static double NoiseFromHalves(IReadOnlyCollection<(double First, double Second)> halves)
    {
        if (halves.Count == 0)
            throw new ArgumentException("There are no halves to measure noise on.", nameof(halves));
        return Math.Sqrt(halves.Average(half => (half.First - half.Second) * (half.First - half.Second))) / 2; // Var(mean) = Var(difference) / 4
    }

    /// <summary>Noise from pairs whose two completions both came from the base, where a preference has no reason to be: the root mean square of their dl. An upper bound, since some of it is reward.</summary>
    /// <param name="logRatios">At least one.</param>
    public static double NoiseFromBasePairs(IReadOnlyCollection<double> logRatios)
    {
        if (logRatios.Count == 0)
            throw new ArgumentException("There are no pairs of base completions to measure noise on.", nameof(logRatios));
        return Math.Sqrt(logRatios.Average(ratio => ratio * ratio));
    }

    /// <summary>The verdict on every training pair that does not depend on the reward of the moment; for <see cref="FailureScreen.RepeatSampling"/> see <see cref="BySideMeans"/>.</summary>
    /// <returns>[n] over all training pairs; those outside <c>task.Rows</c> are None.</returns>
    /// <exception cref="CannotTrain">The data lack what the screen looks at.</exception>
    internal static ScreenReason[] Fixed(FailureScreen screen, IrlTask task, IPairObjective objective, SeededRandom random, CancellationToken stop) => screen switch
    {
        FailureScreen.LogRatio => ByLogRatio(task),
        FailureScreen.OutOfFold => OutOfFold(task, objective, random, stop),
        FailureScreen.RepeatSampling => task.Data.RepeatDifference is not null ? new ScreenReason[task.Data.Train.Count]
            : throw new CannotTrain("The screen by repeated sampling needs more completions of the training prompts (at least 4 a policy), and there are none. Screen out of fold instead."),
    };

    /// <summary>The verdict on one pair by the mean scores of its prompt's sides, under a linear reward.</summary>
    internal static ScreenReason BySideMeans(IrlData data, int pair, double[] theta) =>
        TensorPrimitives.Dot<double>(data.RepeatDifference.AsSpan(pair * theta.Length, theta.Length), theta) > 0 ? ScreenReason.None : ScreenReason.SideMeansDisagree;

    private static ScreenReason[] ByLogRatio(IrlTask task)
    {
        var ratios = task.Data.Train.LogRatios;
        if (!task.Rows.Any(row => ratios[row] is not null))
            throw new CannotTrain("The screen by log-ratio needs both policies' log-probabilities, and no training pair has them. Screen out of fold, or by repeated sampling.");
        return [.. ratios.Select(dl => dl is null ? ScreenReason.NoLogRatio : dl > NoiseFactor * task.Data.LogRatioNoise ? ScreenReason.None : ScreenReason.LogRatioTooSmall)];
    }

    private static ScreenReason[] OutOfFold(IrlTask task, IPairObjective objective, SeededRandom random, CancellationToken stop)
    {
        var train = task.Data.Train;
        List<string> prompts = [.. task.Rows.Select(row => train.Prompts[row]).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (prompts.Count < Folds)
            throw new CannotTrain($"The screen out of fold needs {Folds} training prompts at least; there are {prompts.Count}.");
        random.Split("folds").Shuffle(prompts);
        var foldOf = prompts.Index().ToDictionary(entry => entry.Item, entry => entry.Index % Folds, StringComparer.Ordinal);
        var reasons = new ScreenReason[train.Count];
        for (var fold = 0; fold < Folds; fold++)
        {
            int[] kept = [.. task.Rows.Where(row => foldOf[train.Prompts[row]] != fold)], left = [.. task.Rows.Where(row => foldOf[train.Prompts[row]] == fold).Distinct()];
            var (theta, _) = LinearIrl.Train(objective, train, kept, task.Data.Holdout, task.Convergence, random.Split(fold), stop);
            var margins = new double[left.Length];
            DenseProducts.Rows(train.Difference, left, theta, train.Width, margins);
            var scale = Failures.Scale(margins);
            for (var i = 0; i < left.Length; i++)
                reasons[left[i]] = margins[i] / scale < OutOfFoldMin ? ScreenReason.ContradictedOutOfFold : ScreenReason.None;
        }
        return reasons;
    }
}
