using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>
/// Whole audits on the bandit simulation of specs/fairl.md §4.4 with a reward that only the test knows: the assertions of §4.5 that need no language model, and no others (failure-aware IRL is nowhere
/// asserted to be better).
/// </summary>
public sealed class RewardAuditTests
{
    private static readonly RewardAuditOptions quick = new() { Seeds = 2, Bootstraps = 2, Methods = [new MaxEntropyIrl(), new BayesianIrl(), new ShuffledLabels(new MaxEntropyIrl())] };

    private static IReadOnlyList<MethodResult> Run(BanditWorld world, RewardAuditOptions options) => RewardAudit.Run(world.Data, options, null, CancellationToken.None);

    private static double Distance(BanditWorld world, MethodResult result) => RewardDistance.Compute(world.Data.Candidates.Sets, result.MeanScores, world.Truth)!.Value.Starc;

    [Fact]
    public void The_worlds_are_as_hard_as_the_specifications()
    {
        // §4.4: about 11 % wrong labels at β = .5 and 24 % at 1; 69 % exact ties and 5 % wrong labels in the toxicity-like world.
        Assert.InRange(BanditWorld.Draw(1, BanditKind.Linear, 3_000, 12, 0.5).WrongLabels, 0.05, 0.16);
        Assert.InRange(BanditWorld.Draw(1, BanditKind.Linear, 3_000, 12, 1).WrongLabels, 0.18, 0.30);
        var ties = BanditWorld.Draw(1, BanditKind.Ties, 3_000, 12, 0.5);
        Assert.InRange(ties.Ties, 0.5, 0.8);
        Assert.InRange(ties.WrongLabels, 0.0, 0.08);
    }

    [Theory]
    [InlineData((int)BanditKind.Linear, 0.5)]
    [InlineData((int)BanditKind.Linear, 1)]
    [InlineData((int)BanditKind.Ties, 0.5)]
    [InlineData((int)BanditKind.NonLinear, 0.5)]
    public void Guarded_reweighting_is_at_most_a_hair_worse_than_max_entropy(int kind, double beta)
    {
        var options = new RewardAuditOptions { Seeds = 2, Bootstraps = 3, Methods = [new MaxEntropyIrl(), new FailureAwareIrl(new FailureAwareOptions())] };
        foreach (var seed in new ulong[] { 1, 2 })
        {
            var world = BanditWorld.Draw(seed, (BanditKind)kind, 800, 12, beta);
            var results = Run(world, options);

            var (plain, aware) = (Distance(world, results[0]), Distance(world, results[1]));
            Assert.True(aware <= plain + 0.02, $"{(BanditKind)kind}, β {beta}, seed {seed}: reweighted {aware:F3}, max-entropy {plain:F3}");
        }
    }

    [Fact]
    public void A_policy_trained_on_the_negated_reward_is_called_the_opposite()
    {
        var world = BanditWorld.Draw(3, BanditKind.Linear, 800, 12, 0.5, sign: -1);

        var result = Run(world, quick)[0];

        var comparison = RewardAudit.Compare(world.Data.Candidates.Sets, result, world.Truth, new SeededRandom(1), CancellationToken.None);
        Assert.True(comparison.Distance!.Value.Low > 0.9);
        Assert.All(comparison.ByRun, distance => Assert.True(distance > 0.9));
        Assert.True(comparison.Ranks.Spearman!.Value.High < -0.8);
        Assert.True(comparison.Regret!.Value.Estimate > 0.8);
        var verdict = AuditVerdict.Judge(Evidence(world, result) with { Distance = comparison.Distance });
        Assert.Contains("the opposite", verdict.Faithful.Sentence, StringComparison.Ordinal);
        // The control: the same policy against its own reward is near.
        Assert.True(RewardAudit.Compare(world.Data.Candidates.Sets, result, [.. world.Truth.Select(r => -r)], new SeededRandom(1), CancellationToken.None).Distance!.Value.High < 0.3);
    }

    /// <summary>
    /// An audit whose training and hold-out labels were shuffled once, five times over: AUC of −R for bad texts (r* below its median) on average, and the verdict of each. The same world unshuffled is
    /// the control, and so is the control that every audit runs, which shuffles anew for each run.
    /// </summary>
    [Fact]
    public void Shuffled_labels_are_at_chance_and_grey()
    {
        var (areas, distances) = (new List<double>(), new List<double>());
        var options = quick with { Methods = [new MaxEntropyIrl(), new ShuffledLabels(new MaxEntropyIrl())], Bootstraps = 3 };
        for (var shuffle = 1ul; shuffle <= 5; shuffle++)
        {
            var world = BanditWorld.Draw(40 + shuffle, BanditKind.Linear, 800, 64, 0.5);
            var shuffled = RewardAudit.Run(world.Data.WithShuffledLabels(new SeededRandom(shuffle)), options with { Methods = [new MaxEntropyIrl()] }, null, CancellationToken.None)[0];
            var audit = Run(world, options);
            var median = Bootstrap.Quantile([.. world.Truth.Order()], 0.5);
            bool[] isBad = [.. world.Truth.Select(r => r < median)];
            double Area(MethodResult result) => AreaUnderCurve.Compute([.. result.MeanScores.Select(r => -r)], isBad)!.Value;

            areas.Add(Area(shuffled));
            foreach (var without in new[] { shuffled, audit[1] })
            {
                distances.Add(Distance(world, without));
                Assert.True(AuditVerdict.Judge(Evidence(world, without)).IsGrey, $"shuffle {shuffle}, {without.Method}: {without.Measures!.Accuracy.Accuracy} {without.Measures.Undetermined.Share}");
            }
            Assert.True(Area(audit[0]) > 0.8, $"shuffle {shuffle}: {Area(audit[0]):F3}");
            Assert.DoesNotContain(VerdictReasonKind.AtChance, AuditVerdict.Judge(Evidence(world, audit[0])).Reasons.Select(reason => reason.Kind));
        }
        Assert.InRange(areas.Average(), 0.45, 0.55);
        Assert.InRange(distances.Average(), 0.6, 0.8); // about .7: at right angles
    }

    [Fact]
    public void An_audit_of_a_clear_world_is_judged_and_repeats()
    {
        var world = BanditWorld.Draw(5, BanditKind.Linear, 1_500, 8, 0.4);
        var options = new RewardAuditOptions { Seeds = 2, Bootstraps = 3 };
        var (calls, highest) = (0, 0);

        var results = RewardAudit.Run(world.Data, options, (done, of) =>
        {
            Interlocked.Increment(ref calls);
            InterlockedMax(ref highest, done);
            Assert.Equal(60, of);
        }, CancellationToken.None);

        Assert.Equal((60, 60), (calls, highest)); // ten methods, six runs each
        Assert.Equal(IrlMethods.Offered.Concat(IrlMethods.Controls).Select(method => method.Name), results.Select(result => result.Method));
        Assert.All(results, result => Assert.Equal((6, null), (result.Runs.Count, result.WhyNot)));
        var reweighted = results[0];
        Assert.False(AuditVerdict.Judge(Evidence(world, reweighted)).IsGrey);
        Assert.Equal(LightState.Yes, AuditVerdict.Judge(Evidence(world, reweighted)).Identifiable.State);
        var comparison = RewardAudit.Compare(world.Data.Candidates.Sets, reweighted, world.Truth, new SeededRandom(1), CancellationToken.None);
        Assert.True(comparison.Distance!.Value.High < 0.25 && comparison.Distance.Value.Holds(comparison.Distance.Value.Estimate));
        Assert.Equal(6, comparison.ByRun.Count);
        Assert.True(RunSpread.Of(comparison.ByRun).Deviation > 0);
        Assert.True(reweighted.Measures!.ByRound.Count > 1);
        Assert.All(results.Where(result => result.Method != "bayesian-laplace"), result => Assert.Null(result.Measures!.MedianInformation));
        Assert.True(results.Single(result => result.Method == "bayesian-laplace").Measures!.MedianInformation > 0);
        Assert.InRange(results.Single(result => result.Method == "random-head").Measures!.Ambiguity.Ensemble!.Value.Estimate, 0.5, 0.85); // directions at right angles: √½

        // Again, and without the others: the same numbers to the last digit.
        foreach (var again in RewardAudit.Run(world.Data, options with { Methods = [new MaxEntropyIrl(), new BayesianIrl(), new ShuffledLabels(new MaxEntropyIrl())] }, null, CancellationToken.None))
            Assert.Equal(results.Single(result => result.Method == again.Method).MeanScores, again.MeanScores);
    }

    [Fact]
    public void Runs_share_resamples_over_methods_and_count_alike()
    {
        var world = BanditWorld.Draw(6, BanditKind.Linear, 300, 6, 0.5);

        var results = Run(world, quick);

        var (trained, solved) = (results[0], results[1]);
        Assert.Equal([(0, 0), (0, 1), (1, 0), (1, 1)], trained.Runs.Select(run => (run.Seed, run.Bootstrap)));
        Assert.Equal([(0, 0), (0, 1), (1, 0), (1, 1)], solved.Runs.Select(run => (run.Seed, run.Bootstrap)));
        Assert.Equal(4, solved.Runs.Select(run => run.Fit.Reward.Theta[0]).Distinct().Count()); // so each has a resample of its own
        // The same one for every method: the reported run is that of the method alone on the seed's resample.
        var random = new SeededRandom(1);
        var task = new IrlTask(world.Data, world.Data.Train.Resample(random.Split(1).Split(0)), new ConvergenceRule());
        Assert.Equal(new BayesianIrl().Fit(task, random, CancellationToken.None).Reward.Theta, solved.Runs[2].Fit.Reward.Theta);
        Assert.Equal(new MaxEntropyIrl().Fit(task, random.Split(1).Split(0).Split("fit"), CancellationToken.None).Reward.Theta, trained.Runs[2].Fit.Reward.Theta);
        // A common scale: c(R) has a mean square of 1 over prompts, so no run outweighs another.
        foreach (var run in trained.Runs)
        {
            var sums = RewardDistance.Sums(world.Data.Candidates.Sets, run.Scores, run.Scores);
            Assert.Equal(1, Enumerable.Range(0, world.Data.Candidates.Sets.Prompts).Average(prompt => sums[3 * prompt]), 1e-9);
        }
        Assert.All(trained.MeanScores.Select((mean, i) => (mean, trained.Runs.Average(run => run.Scores[i]))), pair => Assert.Equal(pair.Item2, pair.mean, 1e-12));
    }

    [Fact]
    public void A_method_that_cannot_run_says_why_and_the_others_do()
    {
        var world = BanditWorld.Draw(6, BanditKind.Linear, 300, 6, 0.5);
        IrlPair[] Blind(IReadOnlyList<IrlPair> pairs) => [.. pairs.Select(pair => pair with { LogRatio = null })];
        var data = IrlData.Prepare(IrlSplit.Of(Blind(world.Split.Train), Blind(world.Split.Holdout), Blind(world.Split.Test)), world.TestCandidates);

        var results = RewardAudit.Run(data, quick with { Methods = [new LogRatioReward(), new MaxEntropyIrl()] }, null, CancellationToken.None);

        Assert.Contains("log-probabilities", results[0].WhyNot!, StringComparison.Ordinal);
        Assert.Empty(results[0].Runs);
        Assert.Null(results[0].Measures);
        Assert.Equal((null, 4), (results[1].WhyNot, results[1].Runs.Count));
    }

    [Fact]
    public void Without_candidates_scores_are_missing_and_the_verdict_is_grey()
    {
        var world = BanditWorld.Draw(6, BanditKind.Linear, 300, 6, 0.5);
        var data = IrlData.Prepare(world.Split, []);

        var result = RewardAudit.Run(data, quick, null, CancellationToken.None)[0];

        Assert.Null(result.Measures!.Ambiguity.Ensemble);
        Assert.Empty(result.MeanScores);
        var verdict = AuditVerdict.Judge(new AuditEvidence { Facts = AuditFacts.Of(world.Split.Train, world.Split.Holdout, world.Split.Test, []), Accuracy = result.Measures.Accuracy, Undetermined = result.Measures.Undetermined });
        Assert.Contains(VerdictReasonKind.OneCompletionPerPrompt, verdict.Reasons.Select(reason => reason.Kind));
    }

    [Fact]
    public void Wrong_options_and_a_stop_are_heard()
    {
        var world = BanditWorld.Draw(6, BanditKind.Linear, 300, 6, 0.5);

        Assert.Contains("seeds is 0", Assert.Throws<ArgumentException>(() => Run(world, quick with { Seeds = 0 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Run(world, quick with { Methods = [new MaxEntropyIrl(), new MaxEntropyIrl()] }));
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        Assert.Throws<OperationCanceledException>(() => RewardAudit.Run(world.Data, quick, null, stopped.Token));
    }

    private static AuditEvidence Evidence(BanditWorld world, MethodResult result) => new()
    {
        Facts = AuditFacts.Of(world.Split.Train, world.Split.Holdout, world.Split.Test, world.TestCandidates),
        Accuracy = result.Measures!.Accuracy, Undetermined = result.Measures.Undetermined, Ambiguity = result.Measures.Ambiguity, Calibration = result.Measures.Calibration,
    };

    private static void InterlockedMax(ref int target, int value)
    {
        int seen;
        while ((seen = Volatile.Read(ref target)) < value && Interlocked.CompareExchange(ref target, value, seen) != seen)
        {
        }
    }
}
