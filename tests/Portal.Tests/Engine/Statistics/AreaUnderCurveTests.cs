using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Areas against all comparisons counted one by one; false discovery rates against the example of the paper that defined them.</summary>
public sealed class AreaUnderCurveTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_is_the_share_of_comparisons_won_with_ties_as_halves(bool hasStrata)
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            var (scores, labels, strata) = Drawn(seed, 60);
            double won = 0, compared = 0;
            for (int i = 0; i < scores.Length; i++)
            {
                for (int j = 0; j < scores.Length; j++)
                {
                    if (!labels[i] || labels[j] || (hasStrata && strata[i] != strata[j])) continue;
                    compared++;
                    won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
                }
            }

            Assert.Equal(won / compared, AreaUnderCurve.Compute(scores, labels, hasStrata ? strata : null)!.Value, 1e-12);
        }
    }

    [Fact]
    public void Without_a_comparison_there_is_no_area()
    {
        Assert.Null(AreaUnderCurve.Compute([1, 2], [true, true]));
        Assert.Null(AreaUnderCurve.Compute([1, 2], [true, false], [0, 1]));
        Assert.Null(AreaUnderCurve.Interval([1, 2], [true, true], null, new SeededRandom(1)));
        Assert.Throws<ArgumentException>(() => AreaUnderCurve.Compute([1, double.NaN], [true, false]));
        Assert.Throws<ArgumentException>(() => AreaUnderCurve.Compute([1, 2], [true]));
    }

    [Fact]
    public void Saying_everything_five_times_within_its_group_makes_nobody_surer()
    {
        var (scores, labels, _) = Drawn(3, 80);
        string[] groups = [.. scores.Select((_, i) => $"p{i / 2}")];
        var once = AreaUnderCurve.Interval(scores, labels, groups, new SeededRandom(7), resamples: 300)!.Value;
        var often = AreaUnderCurve.Interval(Five(scores), Five(labels), Five(groups), new SeededRandom(7), resamples: 300)!.Value;

        Assert.Equal(once.Estimate, often.Estimate, 1e-12);
        Assert.Equal((once.Low, once.High, once.Count), (often.Low, often.High, often.Count));
        Assert.Equal(40, once.Count);

        static T[] Five<T>(T[] values) => [.. Enumerable.Repeat(values, 5).SelectMany(value => value)];
    }

    [Fact]
    public void The_interval_is_as_wide_as_the_areas_of_fresh_samples_are_spread()
    {
        // Normal scores one apart: AUC = Φ(1/√2) = 0.7602. Standard deviation over 400 fresh samples of 60 + 60, against the width of their intervals.
        var random = new SeededRandom(11);
        var intervals = Enumerable.Range(0, 400).Select(i =>
        {
            bool[] labels = [.. Enumerable.Range(0, 120).Select(at => at < 60)];
            double[] scores = [.. labels.Select(label => random.NextGaussian() + (label ? 1 : 0))];
            return AreaUnderCurve.Interval(scores, labels, null, new SeededRandom((ulong)i), resamples: 200)!.Value;
        }).ToList();
        double mean = intervals.Average(interval => interval.Estimate), deviation = Math.Sqrt(intervals.Average(interval => Math.Pow(interval.Estimate - mean, 2)));

        Assert.Equal(0.7602, mean, 0.008); // four standard errors of the mean
        Assert.Equal(2 * 1.96 * deviation, intervals.Average(interval => interval.High - interval.Low), 0.02);
        Assert.InRange(intervals.Count(interval => interval.Holds(0.7602)) / 400.0, 0.90, 0.985);
    }

    [Fact] // Benjamini and Hochberg 1995, section 3.2; the adjusted values by hand: p m / rank, then the least of those behind
    public void Q_matches_the_papers_example()
    {
        double[] p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0];
        double[] expected = [0.0015, 0.003, 0.0095, 0.035625, 0.0603, 0.0298 * 15 / 7, 0.0298 * 15 / 7, 0.0645, 0.0765, 0.486, 0.4262 * 15 / 11, 0.714875, 0.6528 * 15 / 13, 0.7590 * 15 / 14, 1];
        int[] order = [.. Enumerable.Range(0, p.Length).OrderBy(i => i * 7 % 15)]; // any order in, the same order out

        double[] q = BenjaminiHochberg.Adjust([.. order.Select(i => p[i])]);

        for (int i = 0; i < q.Length; i++) Assert.Equal(expected[order[i]], q[i], 1e-12);
        Assert.Equal(4, q.Count(value => value <= 0.05)); // as in the paper
        Assert.Empty(BenjaminiHochberg.Adjust([]));
        Assert.Throws<ArgumentException>(() => BenjaminiHochberg.Adjust([0.5, 1.1]));
    }

    private static (double[] Scores, bool[] Labels, int[] Strata) Drawn(ulong seed, int count)
    {
        var random = new SeededRandom(seed);
        return ([.. Enumerable.Range(0, count).Select(_ => (double)random.NextInt(12))], [.. Enumerable.Range(0, count).Select(_ => random.Chance(0.4))],
            [.. Enumerable.Range(0, count).Select(_ => random.NextInt(4))]);
    }
}
