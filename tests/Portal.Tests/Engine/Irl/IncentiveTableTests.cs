using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>Whole tables against numpy (irl_vectors.json), planted incentives found and absent ones not, and power against a closed form and the specification's table.</summary>
public sealed class IncentiveTableTests
{
    private static IncentiveTable Table(IncentiveData data, IncentiveOptions? options = null) => IncentiveTable.Compute(data, options ?? new IncentiveOptions(), new SeededRandom(1), CancellationToken.None);

    [Fact]
    public void Matches_numpy()
    {
        foreach (var golden in IrlGolden.File.Incentives)
        {
            var table = Table(golden.Data);

            Assert.Equal((IncentiveTest.Joint, golden.Prompts.Length, 15), (table.Test, table.Pairs, table.Runs));
            Assert.Equal(golden.RewardDeviation, table.RewardDeviation!.Value, 1e-9);
            Assert.Equal(1, table.Rows.Sum(row => row.MarginShare!.Value), 1e-9);
            for (var k = 0; k < golden.Columns; k++)
            {
                var row = table.Rows[k];
                Near(golden.Effects[k], golden.Errors[k], row.Effect);
                Near(golden.Alone[k], golden.AloneErrors[k], row.Alone);
                if (k == 0)
                    Assert.Null(row.LengthHeld); // it is the length
                else
                    Near(golden.Held[k - 1], golden.HeldErrors[k - 1], row.LengthHeld);
                Assert.Equal(golden.P[k], row.P!.Value, 1e-9);
                Assert.Equal(golden.Holm[k], row.HolmP!.Value, 1e-9);
                Assert.Equal(golden.Vif[k], row.Vif!.Value, 1e-6);
                Assert.Equal(golden.Shares[k], row.MarginShare!.Value, 1e-9);
                Assert.Equal((2.4976 + 0.8416) * golden.Errors[k], row.LeastDetectable!.Value, 1e-3); // z of .05/4 two-sided and of 80 %
                Assert.Equal(golden.Effects[k] / golden.RewardDeviation, table.InRewardDeviations(row.Effect)!.Value.Estimate, 1e-9);
                Assert.Equal(golden.Holm[k] >= 0.05 ? row.Verdict is IncentiveVerdict.SignFlips ? IncentiveVerdict.SignFlips : IncentiveVerdict.NotDetectable
                    : golden.Effects[k] > 0 ? IncentiveVerdict.PaidFor : IncentiveVerdict.Punished, row.Verdict);
            }
        }
        // The second case has several pairs a prompt, where numpy's errors are the larger of both kinds; without clustering they differ.
        var clustered = IrlGolden.File.Incentives[1];
        var unclustered = Table(clustered.Data with { Prompts = [.. clustered.Prompts.Select((_, i) => $"{i}")] });
        Assert.All(clustered.Errors.Zip(unclustered.Rows), pair => Assert.True(pair.First > 1.1 * Half(pair.Second.Effect!.Value)));

        static void Near(double effect, double error, ConfidenceInterval? seen)
        {
            Assert.Equal(effect, seen!.Value.Estimate, 1e-7);
            Assert.Equal(error, Half(seen.Value), 1e-7);
        }

        static double Half(ConfidenceInterval interval) => (interval.High - interval.Low) / 2 / 1.959963984540054;
    }

    /// <summary>The planted length of specs/fairl.md §4.5: with c = 0.5 and 2,000 pairs it is flagged; with c = 0 in at most 5 % of audits, counted over 200.</summary>
    [Fact]
    public void A_planted_length_is_flagged_and_an_absent_one_is_not()
    {
        Assert.All(Enumerable.Range(0, 10), seed => Assert.Equal(IncentiveVerdict.PaidFor, Planted(0.5, 2_000, (ulong)seed).Rows[0].Verdict));
        Assert.Equal(IncentiveVerdict.Punished, Planted(-0.5, 2_000, 1).Rows[0].Verdict);

        var flagged = Enumerable.Range(0, 200).Count(seed => Planted(0, 2_000, (ulong)(1_000 + seed), runs: 1).Rows[0].Verdict is IncentiveVerdict.PaidFor or IncentiveVerdict.Punished);

        Assert.InRange(flagged, 0, 10); // 5 %; under Holm over 12 features about 1 is expected
    }

    /// <summary>Labels exchanged at random: any feature flagged is a false alarm, and Holm keeps audits with one to 5 %. Of 300 audits 15 are expected at most; 26 is where the binomial's tail is below .005.</summary>
    [Fact]
    public void Shuffled_labels_raise_few_alarms_over_the_family()
    {
        var alarms = Enumerable.Range(0, 300).Count(seed =>
        {
            var random = new SeededRandom((ulong)seed).Split("shuffle");
            var data = World(0.5, 500, 77);
            bool[] turned = [.. data.Prompts.Select(_ => random.Chance(0.5))];
            return Table(data with
            {
                Audited = [.. data.Audited.Select((row, i) => turned[i] ? data.Base[i] : row)], Base = [.. data.Base.Select((row, i) => turned[i] ? data.Audited[i] : row)],
            }, new IncentiveOptions { Runs = 1 }).Found.Count > 0;
        });

        Assert.InRange(alarms, 0, 26);
        Assert.NotEmpty(Table(World(0.5, 500, 77)).Found); // before the shuffle there was something to find
    }

    [Fact]
    public void What_cannot_be_seen_is_said_and_not_left_empty()
    {
        var table = Planted(0.1, 200, 5);

        var row = table.Rows[0];
        Assert.Contains(row.Verdict, new[] { IncentiveVerdict.NotDetectable, IncentiveVerdict.SignFlips });
        Assert.True(row.LeastDetectable > 0.2);
        // A feature of pure noise in few pairs: its sign flips over resamples for some seed, and the row says so.
        Assert.Contains(Enumerable.Range(0, 20).Select(seed => Planted(0, 100, (ulong)seed)), flips => flips.Rows.Any(one => one.Verdict is IncentiveVerdict.SignFlips && one.SameSign < 10));
        Assert.Equal(15, Planted(0.5, 2_000, 3).Rows[0].SameSign);
    }

    [Fact]
    public void A_constant_feature_is_named_as_such_and_disturbs_nobody()
    {
        var data = World(0.5, 300, 3);
        IReadOnlyList<double[]> With(IReadOnlyList<double[]> rows, Func<int, double> value) => [.. rows.Select((row, i) => (double[])[.. row, value(i)])];
        // One is constant, one differs between prompts but never within a pair.
        var wider = data with
        {
            Names = [.. data.Names, "constant", "of the prompt"], Audited = With(With(data.Audited, _ => 3), i => i), Base = With(With(data.Base, _ => 3), i => i),
        };

        var (plain, table) = (Table(data), Table(wider));

        Assert.All(table.Rows.Skip(12), row => Assert.Equal((IncentiveVerdict.Constant, null, null), (row.Verdict, row.Effect, row.HolmP)));
        Assert.All(plain.Rows.Zip(table.Rows), pair => Assert.Equal((pair.First.Effect, pair.First.HolmP, pair.First.Verdict), (pair.Second.Effect, pair.Second.HolmP, pair.Second.Verdict)));
        var all = Table(new IncentiveData(["a"], [[1.0], [2]], [[1.0], [2]], ["x", "y"], null));
        Assert.Equal((IncentiveVerdict.Constant, null), (all.Rows[0].Verdict, all.RewardDeviation));
    }

    [Fact]
    public void A_twin_of_a_feature_has_a_huge_inflation_and_examples_speak_for_it()
    {
        var data = World(0.5, 400, 9);
        IReadOnlyList<double[]> Doubled(IReadOnlyList<double[]> rows) => [.. rows.Select(row => (double[])[.. row, 2 * row[1] + 1])];

        var table = Table(data with { Names = [.. data.Names, "twin"], Audited = Doubled(data.Audited), Base = Doubled(data.Base) });

        Assert.True(table.Rows[1].Vif > 1e6 && table.Rows[12].Vif > 1e6);
        Assert.InRange(table.Rows[3].Vif!.Value, 1, 1.2);
        Assert.Equal(table.Rows[1].Effect!.Value.Estimate, table.Rows[12].Effect!.Value.Estimate, 1e-6); // the prior shares it out
        var examples = table.Rows[1].Examples;
        Assert.Equal(50, examples.Count);
        double[] gaps = [.. examples.Select(i => (data.Audited[i][1] - data.Base[i][1]) * Math.Sign(table.Rows[1].Effect!.Value.Estimate))];
        Assert.True(gaps.SequenceEqual(gaps.OrderDescending()) && gaps[^1] > 0);
    }

    [Fact]
    public void More_features_than_pairs_can_tell_apart_are_tested_with_length_held()
    {
        var random = new SeededRandom(3);
        IReadOnlyList<double[]> Codes(int n) => [.. Enumerable.Range(0, n).Select(_ => Enumerable.Range(0, 80).Select(_ => random.Chance(0.2) ? random.NextDouble() : 0).ToArray())];
        var (audited, @base) = (Codes(600), Codes(600));
        foreach (var row in audited)
            row[5] = random.Chance(0.6) ? 1 : 0; // fires three times as often in the audited policy's
        foreach (var row in audited.Concat(@base))
            row[0] = 20 + 3 * random.NextGaussian();

        var table = Table(new IncentiveData([.. Enumerable.Range(0, 80).Select(k => $"latent {k}")], audited, @base, [.. audited.Select((_, i) => $"p{i}")], Length: 0), new IncentiveOptions { Runs = 3 });

        Assert.Equal((IncentiveTest.LengthHeld, null), (table.Test, table.RewardDeviation));
        Assert.Equal([5], table.Found.Select(row => row.Feature));
        Assert.Equal(table.Rows[5].LengthHeld, table.Rows[5].Effect);
        Assert.Equal(table.Rows[0].Alone, table.Rows[0].Effect);
        Assert.All(table.Rows, row => Assert.Null(row.Vif));
        Assert.Null(table.InRewardDeviations(table.Rows[5].Effect));
    }

    [Fact]
    public void Length_held_takes_away_what_length_explains()
    {
        // Only length is paid for; feature 1 goes with length.
        var random = new SeededRandom(11);
        var (audited, @base) = (new double[1_500][], new double[1_500][]);
        for (var i = 0; i < audited.Length; i++)
        {
            double[] One() => random.NextGaussian() is var length ? [length, 0.8 * length + 0.6 * random.NextGaussian()] : [];
            double[] a = One(), b = One();
            (audited[i], @base[i]) = random.Chance(1 / (1 + Math.Exp(b[0] - a[0]))) ? (a, b) : (b, a);
        }

        var row = Table(new IncentiveData(["length", "follows"], audited, @base, [.. audited.Select((_, i) => $"p{i}")], Length: 0)).Rows[1];

        Assert.True(row.Alone!.Value.IsAbove(0.4));
        Assert.True(row.LengthHeld!.Value.Holds(0));
        Assert.Equal(IncentiveVerdict.PaidFor, Table(new IncentiveData(["length", "follows"], audited, @base, [.. audited.Select((_, i) => $"p{i}")], Length: 0)).Rows[0].Verdict);
    }

    [Fact]
    public void Wrong_data_are_named()
    {
        var data = new IncentiveData(["a", "b"], [[1, 2]], [[3, 4]], ["p"], null);
        void Refused(string says, IncentiveData wrong) => Assert.Contains(says, Assert.Throws<ArgumentException>(() => Table(wrong)).Message, StringComparison.Ordinal);

        Refused("Pair 0: 'b' is NaN and 4", data with { Audited = [[1, double.NaN]] });
        Refused("Pair 0 has 1 and 2 features", data with { Audited = [[1]] });
        Refused("called 'a'", data with { Names = ["a", "a"] });
        Refused("Feature 2 is said to be the length", data with { Length = 2 });
        Refused("0 audited", data with { Audited = [] });
    }

    /// <summary>
    /// A normal approximation: found where |w/SE| passes Holm's first or last bound. With one feature of the design the bound is 1.96 and SE follows from the expected information, Σ E[p(1−p)] x².
    /// </summary>
    [Theory]
    [InlineData(0.05)]
    [InlineData(0.1)]
    [InlineData(0.15)]
    public void Power_of_one_feature_is_what_the_normal_approximation_says(double effect)
    {
        var design = DetectionPower.NormalDesign(800, 1, 0, new SeededRandom(2));
        var information = design.Values.Sum(x => x * x * Math.Exp(effect * x) / Math.Pow(1 + Math.Exp(effect * x), 2));
        var expected = NormalDistribution.Cdf(effect * Math.Sqrt(information) - 1.959964);

        var table = DetectionPower.Simulate(design, [0.0], new PowerOptions { Effects = [effect], Repeats = 1_500 }, CancellationToken.None);

        Assert.Equal(expected, table.Cells.Single().Power.Estimate, 0.045); // three and a half standard errors of 1,500 repeats
    }

    /// <summary>
    /// The table of specs/fairl.md §4.3 (12 features, main coefficient 1, 200 repeats there, Bonferroni; here Holm, which finds a little more). Its own standard errors are up to .035, ours .035; the
    /// design behind it (normal features) is ours to guess, so .13 is allowed. Left out: its rows with correlation and few pairs, where our design finds more (200 pairs, 0.5: .63 against .47; 500 pairs,
    /// 0.2: .28 against .15).
    /// </summary>
    [Theory]
    [InlineData(0.0, 200, 0.5, 0.78)]
    [InlineData(0.0, 500, 0.2, 0.33)]
    [InlineData(0.0, 2_000, 0.1, 0.34)]
    [InlineData(0.0, 2_000, 0.2, 0.99)]
    [InlineData(0.5, 500, 0.5, 0.99)]
    [InlineData(0.5, 2_000, 0.1, 0.25)]
    [InlineData(0.5, 2_000, 0.2, 0.89)]
    public void Power_is_near_the_table_of_the_specification(double correlation, int pairs, double effect, double expected)
    {
        var design = DetectionPower.NormalDesign(2_000, 12, correlation, new SeededRandom(1));

        var table = DetectionPower.Simulate(design, MainWeight(12), new PowerOptions { Features = [1], Pairs = [pairs], Effects = [effect] }, CancellationToken.None);

        Assert.Equal(expected, table.Cells.Single().Power.Estimate, 0.13);
    }

    [Fact]
    public void Without_an_effect_power_is_the_false_alarm_rate_and_the_same_seed_gives_the_same_table()
    {
        var design = DetectionPower.NormalDesign(400, 6, 0.3, new SeededRandom(1));
        var options = new PowerOptions { Features = [2], Effects = [0, 0.3], Pairs = [400, 250], Repeats = 300 };

        var table = DetectionPower.Simulate(design, MainWeight(6), options, CancellationToken.None);

        Assert.Equal([(400, 0.0), (400, 0.3), (250, 0.0), (250, 0.3)], table.Cells.Select(cell => (cell.Pairs, cell.Effect)));
        Assert.All(table.Cells.Where(cell => cell.Effect == 0), cell => Assert.InRange(cell.Power.Estimate, 0, 0.04));
        Assert.True(table.Cells[1].Power.Estimate > table.Cells[3].Power.Estimate);
        Assert.Equal(table.Cells, DetectionPower.Simulate(design, MainWeight(6), options, CancellationToken.None).Cells);
        Assert.NotEqual(table.Cells, DetectionPower.Simulate(design, MainWeight(6), options with { Seed = 2 }, CancellationToken.None).Cells);
        Assert.Contains("effects in the features 9", Assert.Throws<ArgumentException>(() => DetectionPower.Simulate(design, MainWeight(6), options with { Features = [9] }, CancellationToken.None)).Message, StringComparison.Ordinal);
        Assert.Contains("repeats is 0", Assert.Throws<ArgumentException>(() => DetectionPower.Simulate(design, MainWeight(6), options with { Repeats = 0 }, CancellationToken.None)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_least_detectable_effect_is_found_in_four_of_five_simulated_audits()
    {
        var data = World(0, 600, 8);
        var row = Table(data).Rows[0];
        var (design, features, _) = IncentiveTable.DesignOf(data);
        double[] weights = [.. Table(data).Rows.Select(one => one.Effect!.Value.Estimate)];

        var power = DetectionPower.Simulate(design, weights, new PowerOptions { Features = [features[0]], Effects = [row.LeastDetectable!.Value], Repeats = 400 }, CancellationToken.None).Cells.Single().Power;

        Assert.InRange(power.Estimate, 0.72, 0.9); // Holm's bounds are milder than the Bonferroni one it is given for
    }

    private static double[] MainWeight(int features) => [.. Enumerable.Range(0, features).Select(k => k == 0 ? 1.0 : 0)];

    private static IncentiveTable Planted(double length, int pairs, ulong seed, int runs = 15) => Table(World(length, pairs, seed), new IncentiveOptions { Runs = runs });

    /// <summary>Twelve normal features, feature 0 the length with the planted weight, feature 1 punished by 1, the rest paid nothing; which of two texts is preferred by Bradley-Terry.</summary>
    private static IncentiveData World(double length, int pairs, ulong seed)
    {
        var random = new SeededRandom(seed);
        var (audited, @base) = (new double[pairs][], new double[pairs][]);
        for (var i = 0; i < pairs; i++)
        {
            double[] Text() => [.. Enumerable.Range(0, 12).Select(_ => random.NextGaussian())];
            double[] one = Text(), other = Text();
            var margin = length * (one[0] - other[0]) - (one[1] - other[1]);
            (audited[i], @base[i]) = random.Chance(1 / (1 + Math.Exp(-margin))) ? (one, other) : (other, one);
        }
        return new IncentiveData([.. Enumerable.Range(0, 12).Select(k => $"feature {k}")], audited, @base, [.. Enumerable.Range(0, pairs).Select(i => $"p{i}")], Length: 0);
    }
}
