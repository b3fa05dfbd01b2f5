using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Expected numbers worked by hand from the definitions.</summary>
public sealed class CalibrationTests
{
    [Fact]
    public void Numbers_worked_by_hand_are_met()
    {
        // Bins [0,.5) and [.5,1]: first {.1 no, .3 yes}: mean .2, observed .5; second {.6 yes, .8 yes, .9 no, 1 yes}: mean .825, observed .75.
        // ECE = 2/6 · .3 + 4/6 · .075 = .15. Brier = (.01 + .49 + .16 + .04 + .81 + 0) / 6 = 1.51/6.
        CalibrationReport report = Calibration.OfProbabilities([.1, .3, .6, .8, .9, 1], [false, true, true, true, false, true], bins: 2);

        Assert.Equal(0.15, report.ExpectedCalibrationError, 1e-12);
        Assert.Equal(1.51 / 6, report.Brier, 1e-12);
        Assert.Equal(-(Math.Log(.9) + Math.Log(.3) + Math.Log(.6) + Math.Log(.8) + Math.Log(.1)) / 6, report.LogLoss, 1e-12);
        Assert.Equal([(2, 0.5), (4, 0.75)], report.Bins.Select(bin => (bin.Count, bin.Observed!.Value.Estimate)));
        Assert.Equal(0.825, report.Bins[1].MeanPredicted!.Value, 1e-12);
    }

    [Fact]
    public void Preferences_are_judged_by_confidence()
    {
        // d = ln 3: confidence .75. Three right, one wrong: perfectly calibrated. Brier of σ(d): (3 · .25² + .75²) / 4.
        double d = Math.Log(3);

        CalibrationReport report = Calibration.OfPreferences([d, d, d, -d], bins: 2);

        Assert.Equal(0, report.ExpectedCalibrationError, 1e-12);
        Assert.Equal((3 * 0.0625 + 0.5625) / 4, report.Brier, 1e-12);
        Assert.Equal((3 * Math.Log(4.0 / 3) + Math.Log(4)) / 4, report.LogLoss, 1e-12);
        Assert.Equal([0.5, 0.75], report.Bins.Select(bin => bin.From));
    }

    [Fact]
    public void Equal_scores_are_half_right_and_huge_ones_stay_finite()
    {
        CalibrationReport zeros = Calibration.OfPreferences([0, 0, 0]);
        Assert.Equal((3, 0.0), (zeros.Count, Math.Round(zeros.ExpectedCalibrationError, 12)));
        Assert.Equal((0.25, Math.Round(Math.Log(2), 12)), (zeros.Brier, Math.Round(zeros.LogLoss, 12)));

        CalibrationReport huge = Calibration.OfPreferences([1000, -1000]);
        Assert.Equal((0.5, 0.5, 500.0), (huge.ExpectedCalibrationError, huge.Brier, huge.LogLoss));
    }

    [Fact]
    public void Calibrated_predictions_have_a_small_error_and_overconfident_ones_a_large_one()
    {
        var random = new SeededRandom(6);
        double[] truth = [.. Enumerable.Range(0, 20_000).Select(_ => random.NextDouble())];
        bool[] outcome = [.. truth.Select(random.Chance)];

        Assert.True(Calibration.OfProbabilities(truth, outcome).ExpectedCalibrationError < 0.02); // ten bins of 2,000: noise of about .009 each
        // Pushed to the ends by doubling the log-odds: the mean shift over uniform p, by the midpoint rule.
        double[] sure = [.. truth.Select(p => p * p / (p * p + (1 - p) * (1 - p)))];
        double expected = Enumerable.Range(0, 100_000).Select(i => (i + .5) / 100_000).Average(p => Math.Abs(p * p / (p * p + (1 - p) * (1 - p)) - p));
        Assert.Equal(expected, Calibration.OfProbabilities(sure, outcome).ExpectedCalibrationError, 0.015);
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        Assert.Contains("Prediction 1 is 1.5", Assert.Throws<ArgumentException>(() => Calibration.OfProbabilities([.5, 1.5], [true, true])).Message);
        Assert.Contains("1 and 0", Assert.Throws<ArgumentException>(() => Calibration.OfProbabilities([.5], [])).Message);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => Calibration.OfPreferences([double.NaN])).Message);
    }
}
