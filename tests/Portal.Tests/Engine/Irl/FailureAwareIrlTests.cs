using Portal.Engine;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>What each mode does and must not do: the guard, the curriculum, the screens, the two paths.</summary>
public sealed class FailureAwareIrlTests
{
    private static readonly Lazy<BanditWorld> world = new(() => BanditWorld.Draw(31, BanditKind.Linear, 700, 10, beta: 1));

    private static IrlTask Task => new(world.Value.Data, world.Value.Data.Train.Resample(new SeededRandom(2)), new ConvergenceRule());

    private static int[] Identical => [.. Task.Rows.Distinct().Where(row => world.Value.Split.Train[row] is var pair && pair.Audited.AsSpan().SequenceEqual(pair.Base))];

    private static IrlFit Fit(FailureAwareOptions options, ulong seed = 1, IrlTask? task = null) => new FailureAwareIrl(options).Fit(task ?? Task, new SeededRandom(seed), CancellationToken.None);

    [Theory]
    [InlineData(FailureAwareMode.Reweight, FailureAwareObjective.MaxEntropy)]
    [InlineData(FailureAwareMode.Reweight, FailureAwareObjective.MaxMargin)]
    [InlineData(FailureAwareMode.Screened, FailureAwareObjective.MaxEntropy)]
    [InlineData(FailureAwareMode.PaperReading, FailureAwareObjective.MaxEntropy)]
    [InlineData(FailureAwareMode.PaperReading, FailureAwareObjective.MaxMargin)]
    public void What_is_returned_is_never_worse_on_the_hold_out_than_the_start(FailureAwareMode mode, FailureAwareObjective from)
    {
        for (var seed = 1ul; seed <= 3; seed++)
        {
            var fit = Fit(new FailureAwareOptions { Mode = mode, Objective = from, Weight = 3, FailureTemperature = 0.5 }, seed); // the settings that do harm
            var run = fit.Failures!;

            Assert.True(run.Rounds.Count > 1);
            Assert.True(run.Accepted.HoldoutNll <= run.Rounds[0].HoldoutNll);
            Assert.Equal(run.Rounds.Min(round => round.HoldoutNll), run.Accepted.HoldoutNll);
            Assert.Equal(run.Accepted.HoldoutNll, PlattScaling.OfMargins(fit.Reward.Margins(world.Value.Data.Holdout)).LogLoss, 1e-12);
            Assert.All(run.Rounds, round => Assert.Equal(round.HoldoutNll, PlattScaling.OfMargins(round.Reward.Margins(world.Value.Data.Holdout)).LogLoss, 1e-12)); // no round's weights moved afterwards
            Assert.Equal(fit.Trace.HoldoutNll, run.Rounds[0].HoldoutNll);
        }
    }

    /// <summary>Negative control of the guard: without it these settings do raise the hold-out loss somewhere.</summary>
    [Fact]
    public void Without_the_guard_the_last_round_is_returned_and_may_be_worse()
    {
        var runs = Enumerable.Range(1, 3).Select(seed => Fit(new FailureAwareOptions { Weight = 3, FailureTemperature = 0.5, IsGuarded = false }, (ulong)seed).Failures!).ToArray();

        Assert.All(runs, run => Assert.Equal(run.Rounds[^1].Round, run.Accepted.Round));
        Assert.Contains(runs, run => run.Accepted.HoldoutNll > run.Rounds[0].HoldoutNll);
    }

    [Fact]
    public void Off_is_the_base_method_with_a_list()
    {
        var (off, plain) = (Fit(new FailureAwareOptions { Mode = FailureAwareMode.Off }), new MaxEntropyIrl().Fit(Task, new SeededRandom(1), CancellationToken.None));

        Assert.Equal(plain.Reward.Theta, off.Reward.Theta);
        Assert.Single(off.Failures!.Rounds);
        // The list, from the definition.
        int[] pairs = [.. Task.Rows.Distinct()];
        var margins = off.Reward.Margins(world.Value.Data.Train);
        double[] sizes = [.. pairs.Select(pair => Math.Abs(margins[pair])).Order()];
        var scale = (sizes[(sizes.Length - 1) / 2] + sizes[sizes.Length / 2]) / 2;
        Assert.Equal(pairs.Where(pair => margins[pair] / scale < 0.25).OrderBy(pair => margins[pair]).ThenBy(pair => pair), off.Failures.Rows.Select(row => row.Pair));
        Assert.All(off.Failures.Rows, row => Assert.Equal((margins[row.Pair] < 0 ? FailureKind.Misclassified : FailureKind.NearTie, 0, ScreenReason.None), (row.Kind, row.Round, row.Screen)));
    }

    [Fact]
    public void Every_mode_starts_from_the_converged_base_method()
    {
        var plain = new MaxEntropyIrl().Fit(Task, new SeededRandom(1), CancellationToken.None);

        foreach (var mode in Enum.GetValues<FailureAwareMode>())
        {
            var start = Fit(new FailureAwareOptions { Mode = mode }).Failures!.Rounds[0].Reward;
            Assert.Equal(plain.Reward.Theta, start.Theta);
            Assert.Equal(plain.Reward.Scores(world.Value.Data.Candidates.Features), start.Scores(world.Value.Data.Candidates.Features)); // also with a correction: it starts silent
        }
    }

    [Fact]
    public void The_curriculum_grows_over_the_rounds_and_the_rows_know_their_round()
    {
        var run = Fit(new FailureAwareOptions { IsGuarded = false, Rounds = 4 }).Failures!;

        for (var t = 1; t < run.Rounds.Count; t++)
        {
            var round = run.Rounds[t];
            Assert.Equal(round.Failing, round.Misclassified + round.NearTies);
            Assert.Equal(0, round.ScreenedOut);
            Assert.InRange(round.Admitted, (int)(round.Failing * Math.Min(1, t / 4.0)), (int)(round.Failing * Math.Min(1, t / 4.0)) + 1 + Identical.Length); // equal margins come in together
        }
        Assert.Equal(run.Rounds[1].Admitted, run.Rows.Count(row => row.Round == 1));
        Assert.All(run.Rows, row => Assert.Equal(row.Margin, row.BaseMargin, 1e-12)); // one path only
    }

    [Fact]
    public void A_screened_pair_is_never_trained_on_as_a_failure()
    {
        var run = Fit(new FailureAwareOptions { Mode = FailureAwareMode.Screened, IsGuarded = false }).Failures!;

        Assert.Equal(FailureScreen.LogRatio, run.Screen);
        Assert.Contains(run.Rows, row => row.Screen is ScreenReason.LogRatioTooSmall);
        Assert.Contains(run.Rows, row => row.Round > 0);
        Assert.All(run.Rows.Where(row => row.Screen is not ScreenReason.None), row => Assert.Equal(0, row.Round));
        Assert.All(run.Rows, row => Assert.Equal(row.Screen is ScreenReason.None, world.Value.Data.Train.LogRatios[row.Pair] > 2));
        Assert.All(run.Rounds.Skip(1), round => Assert.True(round.Admitted + round.ScreenedOut <= round.Failing));
        // Without log-ratios the next screen is taken, and one that was asked for by name is not replaced.
        var blind = IrlData.Prepare(IrlSplit.Of(Blind(world.Value.Split.Train), Blind(world.Value.Split.Holdout), Blind(world.Value.Split.Test)), world.Value.TestCandidates);
        var task = new IrlTask(blind, Task.Rows, Task.Convergence);
        Assert.Equal(FailureScreen.OutOfFold, Fit(new FailureAwareOptions { Mode = FailureAwareMode.Screened }, task: task).Failures!.Screen);
        Assert.Throws<CannotTrain>(() => Fit(new FailureAwareOptions { Mode = FailureAwareMode.Screened, Screen = FailureScreen.LogRatio }, task: task));

        static IrlPair[] Blind(IReadOnlyList<IrlPair> pairs) => [.. pairs.Select(pair => pair with { LogRatio = null })];
    }

    [Fact]
    public void The_screen_by_repeats_works_in_a_run()
    {
        var split = world.Value.Split;
        PromptRepeats[] repeats = [.. split.Train.Select(pair => new PromptRepeats(pair.PromptId, [pair.Audited, pair.Audited], [pair.Base, pair.Base]))];
        var data = IrlData.Prepare(split, world.Value.TestCandidates, repeats);

        var run = Fit(new FailureAwareOptions { Mode = FailureAwareMode.Screened, Screen = FailureScreen.RepeatSampling, IsGuarded = false }, task: new IrlTask(data, Task.Rows, Task.Convergence)).Failures!;

        // Repeats that only say what the pair says: every misclassified pair is contradicted, near ties on the right side are kept; where both policies wrote the same, nothing speaks for the audited one.
        Assert.Equal(run.Rounds[1].Misclassified + Identical.Length, run.Rounds[1].ScreenedOut);
        Assert.Contains(run.Rows, row => row.Round > 0);
    }

    [Fact]
    public void The_papers_two_paths_differ_after_training_and_the_base_can_be_shown_alone()
    {
        var fit = Fit(new FailureAwareOptions { Mode = FailureAwareMode.PaperReading, IsGuarded = false });
        var features = world.Value.Data.Candidates.Features;

        Assert.NotNull(fit.Reward.Correction);
        Assert.NotEqual(fit.Reward.Scores(features), (fit.Reward with { Lambda = 0 }).Scores(features));
        Assert.Contains(fit.Failures!.Rows, row => Math.Abs(row.Margin - row.BaseMargin) > 1e-6);
        Assert.Equal(new RecoveredReward(fit.Reward.Theta).Scores(features), (fit.Reward with { Lambda = 0 }).Scores(features));
    }

    [Fact]
    public void Where_there_are_no_failures_nothing_is_changed()
    {
        // Every pair the same step in the same direction: all margins equal their median, so none fails.
        IrlPair[] Pairs(string part, int count) => [.. Enumerable.Range(0, count).Select(i => new IrlPair($"{part}{i}", [i % 7 + 1, 0], [i % 7, 0]))];
        var data = IrlData.Prepare(IrlSplit.Of(Pairs("a", 60), Pairs("b", 20), Pairs("c", 20)), []);

        var run = Fit(new FailureAwareOptions(), task: new IrlTask(data, [.. Enumerable.Range(0, 60)], new ConvergenceRule())).Failures!;

        Assert.Single(run.Rounds);
        Assert.Empty(run.Rows);
    }
}
