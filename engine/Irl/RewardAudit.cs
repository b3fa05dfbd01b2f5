using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>How an audit is run.</summary>
public sealed record RewardAuditOptions
{
    public IReadOnlyList<IIrlMethod> Methods { get; init; } = [.. IrlMethods.Offered, .. IrlMethods.Controls];

    /// <summary>Each decides starts, orders of pairs and resamples of its own.</summary>
    public int Seeds { get; init; } = 5;

    /// <summary>Resamples of the training prompts by each seed; all methods get the same ones.</summary>
    public int Bootstraps { get; init; } = 3;

    /// <summary>From which all chance of the audit follows.</summary>
    public long Seed { get; init; } = 1;

    public ConvergenceRule Convergence { get; init; } = new();
}

/// <summary>One run of a method.</summary>
/// <param name="Calibration">The best scale of its hold-out margins: σ of a scaled margin is its probability.</param>
/// <param name="Scores">R of all candidates at a common scale: c(R) has mean square 1 over prompts (0 for a reward that tells none apart). [Count].</param>
/// <param name="TestMargins">Margins of the test pairs, as the reward gives them. [n].</param>
public sealed record MethodRun(int Seed, int Bootstrap, IrlFit Fit, PlattScaling Calibration, double[] Scores, double[] TestMargins)
{
    /// <summary>What brought R to that scale: a new text's score is this times R. 1 without candidates, 0 for a reward that tells none apart.</summary>
    public required double Factor { get; init; }
}

/// <summary>What a number was over the runs: all are shown, none is chosen.</summary>
public readonly record struct RunSpread(double Mean, double Deviation, double Least, double Greatest)
{
    /// <summary>Of at least one number; the deviation is that of a sample (0 for one).</summary>
    public static RunSpread Of(IReadOnlyList<double> values) => new(values.Average(), SampleDeviation.Of(values), values.Min(), values.Max());
}

/// <summary>What is known of a method without any reference reward. All of it is measured on test prompts.</summary>
/// <param name="Accuracy">Of the runs' mean margins, against the policy label.</param>
/// <param name="AccuracyByRun">Each run's own share.</param>
/// <param name="HoldoutNll">Each run's calibrated hold-out loss, by which it was stopped.</param>
/// <param name="Calibration">Of the runs' mean probabilities, in 15 quantile bins.</param>
/// <param name="Entropies">Pair by pair over the runs.</param>
/// <param name="MedianInformation">A_post, nats: mean over runs, where the method has a posterior.</param>
/// <param name="ByRound">A_ens of the runs' rewards after each round, where the method has rounds (a run that ended earlier stays as it was). Empty elsewhere.</param>
public sealed record MethodMeasures(PairAccuracy Accuracy, IReadOnlyList<double> AccuracyByRun, IReadOnlyList<double> HoldoutNll, CalibrationReport Calibration, IReadOnlyList<PairEntropy> Entropies,
    EnsembleAmbiguity Ambiguity, UndeterminedPairs Undetermined, double? MedianInformation, IReadOnlyList<ConfidenceInterval?> ByRound);

/// <summary>A method's runs and what they amount to.</summary>
/// <param name="Runs">Seed by seed, each with its resamples; empty where the method could not run.</param>
/// <param name="WhyNot">Why it could not run; null where it did.</param>
/// <param name="MeanScores">Mean of the runs' scores of all candidates: the ensemble's reward.</param>
/// <param name="Measures">Null where it could not run.</param>
public sealed record MethodResult(string Method, IReadOnlyList<MethodRun> Runs, string? WhyNot, double[] MeanScores, MethodMeasures? Measures);

/// <summary>How a method's rewards compare with a reference.</summary>
/// <param name="Distance">d_STARC of the ensemble's mean, with its interval over prompts.</param>
/// <param name="ByRun">d_STARC of each run.</param>
/// <param name="Global">The global variant of the ensemble's mean.</param>
public sealed record ReferenceComparison(ConfidenceInterval? Distance, IReadOnlyList<double> ByRun, ConfidenceInterval? Global, ConfidenceInterval? Regret, RankAgreement Ranks);

/// <summary>
/// A whole audit on features that are there: every method, on the same resamples and seeds, with its controls. Nothing in here knows a reward that is not recovered; a reference comes in afterwards, to
/// be compared with.
/// </summary>
public static class RewardAudit
{
    /// <summary>Runs all methods.</summary>
    /// <param name="progress">Told how many of all runs are done; from any thread. Null: nobody.</param>
    /// <returns>In the order of the methods; the same numbers for the same seed whatever the number of threads.</returns>
    public static IReadOnlyList<MethodResult> Run(IrlData data, RewardAuditOptions options, Action<int, int>? progress, CancellationToken stop)
    {
        if (options.Seeds < 1 || options.Bootstraps < 1 || options.Methods.Select(method => method.Name).Distinct(StringComparer.Ordinal).Count() != options.Methods.Count)
            throw new ArgumentException($"seeds is {options.Seeds} and bootstraps {options.Bootstraps}, at least 1 each; and no method may be listed twice.", nameof(options));
        var random = new SeededRandom((ulong)options.Seed);
        // Every run has a resample of its own: a method that is solved, and so gives one answer for a resample, is as far from agreeing with itself as it would be on other prompts.
        (int Seed, int Bootstrap, int[] Rows)[] runs =
            [.. from seed in Enumerable.Range(0, options.Seeds) from bootstrap in Enumerable.Range(0, options.Bootstraps) select (seed, bootstrap, data.Train.Resample(random.Split(seed).Split(bootstrap)))];
        _ = data.Train.DifferenceColumns; // made before the threads start, which would wait for each other
        var fits = new MethodRun[options.Methods.Count * runs.Length];
        var whyNot = new string?[options.Methods.Count];
        var done = 0;
        Parallel.For(0, fits.Length, new ParallelOptions { CancellationToken = stop, MaxDegreeOfParallelism = Environment.ProcessorCount }, at =>
        {
            var (method, (seed, bootstrap, rows)) = (at / runs.Length, runs[at % runs.Length]);
            if (Volatile.Read(ref whyNot[method]) is null)
            {
                try
                {
                    fits[at] = MakeRun(data, options.Methods[method].Fit(new IrlTask(data, rows, options.Convergence), random.Split(seed).Split(bootstrap).Split("fit"), stop), seed, bootstrap);
                }
                catch (CannotTrain why) // one method less, and the reason stands in the report
                {
                    Volatile.Write(ref whyNot[method], why.Message);
                }
            }
            progress?.Invoke(Interlocked.Increment(ref done), fits.Length);
        });
        return [.. options.Methods.Select((method, i) => Result(data, method.Name, whyNot[i] is null ? fits[(i * runs.Length)..((i + 1) * runs.Length)] : [], whyNot[i], random.Split("measures"), stop))];
    }

    /// <summary>Compares a method with a reference: a trained reward model's scores, or in a demo world the truth's.</summary>
    /// <param name="reference">Scores of all candidates. [Count].</param>
    public static ReferenceComparison Compare(CandidateSets sets, MethodResult result, double[] reference, SeededRandom random, CancellationToken stop) =>
        new(RewardDistance.Interval(sets, result.MeanScores, reference, random), [.. result.Runs.Select(run => RewardDistance.Compute(sets, run.Scores, reference)).OfType<RewardDistanceResult>().Select(distance => distance.Starc)],
            RewardDistance.GlobalInterval(sets, result.MeanScores, reference, random), RewardDistance.Regret(sets, result.MeanScores, reference, random), RankAgreement.Compute(sets, result.MeanScores, reference, random, stop));

    private static MethodRun MakeRun(IrlData data, IrlFit fit, int seed, int bootstrap)
    {
        var scores = fit.Reward.Scores(data.Candidates.Features);
        var factor = FactorOf(data.Candidates.Sets, scores);
        TensorPrimitives.Multiply(scores, factor, scores);
        return new MethodRun(seed, bootstrap, fit, PlattScaling.OfMargins(fit.Reward.Margins(data.Holdout)), scores, fit.Reward.Margins(data.Test)) { Factor = factor };
    }

    // Brings c(R) to a mean square of 1 over prompts: rewards of different scale count alike in a mean.
    private static double FactorOf(CandidateSets sets, double[] scores)
    {
        if (sets.Prompts == 0)
            return 1;
        var centred = RewardDistance.Centred(sets, scores);
        var square = 0.0;
        for (var i = 0; i < centred.Length; i++)
            square += sets.Weights[i] * centred[i] * centred[i];
        return square > 0 ? 1 / Math.Sqrt(square / sets.Prompts) : 0;
    }

    private static MethodResult Result(IrlData data, string method, MethodRun[] runs, string? whyNot, SeededRandom random, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        if (whyNot is not null)
            return new MethodResult(method, [], whyNot, [], null);
        var (sets, test) = (data.Candidates.Sets, data.Test);
        double[][] probabilities = [.. runs.Select(run => run.TestMargins.Select(run.Calibration.Probability).ToArray())];
        double[][] byPair = [.. Enumerable.Range(0, test.Count).Select(pair => probabilities.Select(run => run[pair]).ToArray())];
        // The mean probability as log-odds: its sign orders the pair, its size says how surely.
        double[] odds = [.. byPair.Select(pair => pair.Average()).Select(p => Math.Log(Math.Max(p, 1e-12) / Math.Max(1 - p, 1e-12)))];
        var posteriors = runs.Select(run => run.Fit.Posterior).OfType<LogisticPosterior>().ToArray();
        var measures = new MethodMeasures(RewardClassification.AgainstPolicy(odds, test.Prompts, random), [.. runs.Select(run => RewardClassification.AgainstPolicy(run.TestMargins))],
            [.. runs.Select(run => run.Fit.Failures?.Accepted.HoldoutNll ?? run.Fit.Trace.HoldoutNll)], Calibration.OfPreferencesByQuantile(odds), [.. byPair.Select(pair => RewardUncertainty.OfRuns(pair))],
            Ambiguity.OfRuns(sets, [.. runs.Select(run => run.Scores)], random), Ambiguity.Undetermined([.. runs.Select(run => run.TestMargins)], test.Prompts, random),
            posteriors.Length == 0 ? null : posteriors.Average(posterior => RewardUncertainty.MedianInformation(posterior, test)), ByRound(data, runs, random));
        return new MethodResult(method, runs, null, Mean(runs, sets.Count), measures);
    }

    private static IReadOnlyList<ConfidenceInterval?> ByRound(IrlData data, MethodRun[] runs, SeededRandom random)
    {
        FailureAwareRun[] aware = [.. runs.Select(run => run.Fit.Failures).OfType<FailureAwareRun>()];
        var rounds = aware.Length == 0 ? 0 : aware.Max(run => run.Rounds.Count);
        return rounds < 2 ? [] : [.. Enumerable.Range(0, rounds).Select(round => Ambiguity.OfRuns(data.Candidates.Sets,
            [.. aware.Select(run => run.Rounds[Math.Min(round, run.Rounds.Count - 1)].Reward.Scores(data.Candidates.Features))], random).Ensemble)];
    }

    private static double[] Mean(MethodRun[] runs, int count)
    {
        var mean = new double[count];
        foreach (var run in runs)
            TensorPrimitives.MultiplyAdd(run.Scores, 1.0 / runs.Length, mean, mean);
        return mean;
    }
}
