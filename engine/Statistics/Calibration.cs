namespace Portal.Engine.Statistics;

/// <summary>One bar of a reliability diagram.</summary>
/// <param name="From">Lower end of the bin, inclusive.</param>
/// <param name="To">Upper end, exclusive but for the last bin.</param>
/// <param name="Count">Predictions in it.</param>
/// <param name="MeanPredicted">Mean prediction; null where the bin is empty.</param>
/// <param name="Observed">Share that came true, with Wilson's interval; null where the bin is empty.</param>
public sealed record ReliabilityBin(double From, double To, int Count, double? MeanPredicted, ConfidenceInterval? Observed);

/// <summary>Whether predicted probabilities come true as often as they say.</summary>
/// <param name="Count">Predictions.</param>
/// <param name="ExpectedCalibrationError">Σ over bins of share of predictions × |mean predicted − observed|, 0 to 1. Depends on the bins, and is biased upwards when they are thin.</param>
/// <param name="Brier">Mean squared difference between prediction and outcome, 0 (perfect) to 1; 0.25 is "always one half".</param>
/// <param name="LogLoss">Mean −ln p(outcome), nats; ln 2 ≈ 0.693 is "always one half".</param>
/// <param name="Bins">All bins, empty ones too.</param>
public sealed record CalibrationReport(int Count, double ExpectedCalibrationError, double Brier, double LogLoss, IReadOnlyList<ReliabilityBin> Bins);

/// <summary>Calibration of probabilities against outcomes, in bins of equal width or of equally many predictions.</summary>
/// <remarks>
/// Bins of equal width show where predictions lie; with quantile bins each holds about as many, so that no bar rests on a handful (equal predictions stay together, and some bins may be empty).
/// Sources: Brier 1950; Guo et al. 2017 (1706.04599) eq. 3 for the calibration error; quantile bins as the Alignment Auditor's.
/// </remarks>
public static class Calibration
{
    /// <summary>Quantile bins where nothing else is said.</summary>
    public const int QuantileBins = 15;

    /// <summary>Calibration of predicted probabilities in [0, 1] of an event that came true or not. [N], N ≥ 1.</summary>
    /// <exception cref="ArgumentException">Nothing to judge, lengths differ, or a prediction lies outside [0, 1].</exception>
    public static CalibrationReport OfProbabilities(IReadOnlyList<double> predicted, IReadOnlyList<bool> cameTrue, int bins = 10) => Compute(predicted, cameTrue, 0, bins, quantiles: false);

    /// <summary>The same with bins that hold equally many predictions.</summary>
    /// <inheritdoc cref="OfProbabilities"/>
    public static CalibrationReport OfProbabilitiesByQuantile(IReadOnlyList<double> predicted, IReadOnlyList<bool> cameTrue, int bins = QuantileBins) => Compute(predicted, cameTrue, 0, bins, quantiles: true);

    /// <summary>
    /// Calibration of a reward model's preferences: with d = r(chosen) − r(rejected) it says with confidence σ(|d|) that the higher one is better, and is right where d &gt; 0.
    /// </summary>
    /// <remarks>
    /// The confidence lies in [0.5, 1], and so do the bins. (Giving every pair as "chosen first" would make every outcome true, and calibration meaningless.) A difference of 0
    /// is a confidence of one half that is right half the time: it is counted once as right and once as wrong with half the weight each.
    /// Brier and log-loss are those of σ(d) for "the chosen one is better".
    /// </remarks>
    public static CalibrationReport OfPreferences(IReadOnlyList<double> differences, int bins = 10) => OfPreferences(differences, bins, quantiles: false);

    /// <summary>The same with bins that hold equally many pairs.</summary>
    /// <inheritdoc cref="OfPreferences(IReadOnlyList{double}, int)"/>
    public static CalibrationReport OfPreferencesByQuantile(IReadOnlyList<double> differences, int bins = QuantileBins) => OfPreferences(differences, bins, quantiles: true);

    private static CalibrationReport OfPreferences(IReadOnlyList<double> differences, int bins, bool quantiles)
    {
        var predicted = new List<double>();
        var right = new List<bool>();
        var weight = new List<double>();
        foreach (double d in differences)
        {
            if (!double.IsFinite(d)) throw new ArgumentException($"A reward difference is {d}.", nameof(differences));
            double confidence = 1 / (1 + Math.Exp(-Math.Abs(d)));
            if (d == 0)
            {
                predicted.AddRange([confidence, confidence]);
                right.AddRange([true, false]);
                weight.AddRange([0.5, 0.5]);
                continue;
            }

            predicted.Add(confidence);
            right.Add(d > 0);
            weight.Add(1);
        }

        CalibrationReport report = Compute(predicted, right, 0.5, bins, quantiles, weight);
        // ln(1 + e^{-d}) without overflow, also where σ(d) underflows.
        return report with { LogLoss = differences.Average(d => Math.Max(-d, 0) + double.LogP1(Math.Exp(-Math.Abs(d)))) };
    }

    private static CalibrationReport Compute(IReadOnlyList<double> predicted, IReadOnlyList<bool> cameTrue, double from, int binCount, bool quantiles, IReadOnlyList<double>? weight = null)
    {
        if (predicted.Count == 0 || predicted.Count != cameTrue.Count) throw new ArgumentException($"Predictions and outcomes must be equally many and at least one; they are {predicted.Count} and {cameTrue.Count}.");
        if (binCount < 1) throw new ArgumentException($"At least one bin is needed, not {binCount}.", nameof(binCount));
        double[] sorted = quantiles ? [.. predicted.Order()] : [];
        double[] ends = [.. Enumerable.Range(0, binCount + 1).Select(b => quantiles ? Bootstrap.Quantile(sorted, b / (double)binCount) : from + (1 - from) * b / binCount)];
        var weights = new double[binCount];
        var sums = new double[binCount];
        var hits = new double[binCount];
        double brier = 0, logLoss = 0, total = 0;
        for (int i = 0; i < predicted.Count; i++)
        {
            double p = predicted[i], outcome = cameTrue[i] ? 1 : 0, w = weight?[i] ?? 1;
            if (!(p >= from && p <= 1)) throw new ArgumentException($"Prediction {i} is {p}, outside [{from}, 1].", nameof(predicted));
            int bin = quantiles ? EndsUpTo(ends, p) : Math.Min(binCount - 1, (int)((p - from) / (1 - from) * binCount));
            weights[bin] += w;
            sums[bin] += w * p;
            hits[bin] += w * outcome;
            brier += w * (p - outcome) * (p - outcome);
            logLoss -= w * Math.Log(Math.Max(cameTrue[i] ? p : 1 - p, 1e-300));
            total += w;
        }

        double error = 0;
        var bins = new List<ReliabilityBin>();
        for (int b = 0; b < binCount; b++)
        {
            double low = ends[b], high = ends[b + 1];
            int count = (int)Math.Round(weights[b]); // whole, but for half-weighted zeros, which always come in twos
            if (weights[b] > 0) error += weights[b] / total * Math.Abs(sums[b] - hits[b]) / weights[b];
            bins.Add(count == 0 ? new ReliabilityBin(low, high, 0, null, null)
                : new ReliabilityBin(low, high, count, sums[b] / weights[b], WilsonInterval.Compute(Math.Min(hits[b], count), count)));
        }

        return new CalibrationReport((int)Math.Round(total), error, brier / total, logLoss / total, bins);
    }

    // How many of the inner ends are not above p: the bin it falls into.
    private static int EndsUpTo(double[] ends, double p)
    {
        int below = 1, above = ends.Length - 1;
        while (below < above)
        {
            int middle = (below + above) / 2;
            if (ends[middle] <= p) below = middle + 1;
            else above = middle;
        }

        return below - 1;
    }
}
