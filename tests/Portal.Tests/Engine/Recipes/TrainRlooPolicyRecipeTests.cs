using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Recipes;

/// <summary>Reinforcement on the toy world: "please" is worth 1. What must stop a run is made to happen, each time.</summary>
public sealed class TrainRlooPolicyRecipeTests : IDisposable
{
    private static readonly TrainRlooPolicy Spec = new()
    {
        SamplesPerPrompt = 4, Temperature = 1, TokensMax = 24, HeldOutPrompts = 16,
        Optimization = new OptimizationSpec { LearningRate = 5e-3, BatchSize = 4, AccumulationSteps = 2, Epochs = 1_000, StepsMax = 30, Schedule = Schedule.Constant, CheckpointEverySteps = 5 },
    };

    private static readonly RewardTerm Please = new(new RewardFunction("please", answer => answer.Text.Contains("please", StringComparison.Ordinal) ? 1 : 0));

    private static readonly TrainingSplit<AskedPrompt> Prompts = new(
        [.. ToyWorld.Verdicts().Train.DistinctBy(row => row.PromptKey).Select(row => new AskedPrompt(row.PromptKey, row.Prompt))],
        [.. ToyWorld.Verdicts().HeldOut.DistinctBy(row => row.PromptKey).Select(row => new AskedPrompt(row.PromptKey, row.Prompt))]);

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Theory]
    [InlineData(PolicyLossLevel.Token, 1)]
    [InlineData(PolicyLossLevel.Sequence, 2)]
    public void It_learns_what_is_rewarded_and_stays_near_its_start(PolicyLossLevel level, int updates)
    {
        var seen = new SeenProgress();
        using var before = ToyWorld.Base();
        using var model = ToyWorld.Base();

        var report = TrainRlooPolicyRecipe.Run(Spec with { LossLevel = level, UpdatesPerStep = updates }, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context(seen));

        var start = seen.Points.Single(point => point is { Name: "heldout/mean_reward", Step: 0 }).Value;
        Assert.InRange(start, 0.2, 0.8);
        var reached = report.Find(MetricNames.PolicyReward);
        Assert.True(reached.Value > 0.9 && reached.Low > start, $"held-out reward went from {start:F2} to {reached.Value:F2} ({reached.Low:F2} to {reached.High:F2})");
        using var stored = HuggingFaceFolder.LoadLanguageModel(folders.Artefacts);
        var gains = ToyWorld.Verdicts().HeldOut.Select(row => (row.IsGood, Gain: ToyWorld.LogProb(stored, row.PromptKey, row.Response) - ToyWorld.LogProb(before, row.PromptKey, row.Response))).ToList();
        Assert.True(gains.Where(row => row.IsGood).Average(row => row.Gain) > gains.Where(row => !row.IsGood).Average(row => row.Gain) + 2);
        // The curves: the divergence begins at 0 and is then above it, and everything that is watched is there each step.
        Assert.Equal(0, Point("kl_nats", 1), 1e-4);
        Assert.Equal(0, Point("kl_nats_k3", 1), 1e-4);
        Assert.True(Point("kl_nats_k3", 30) > 0.05);
        Assert.InRange(report.Find(MetricNames.PolicyKlNats).Value, 0.05, 10);
        Assert.True(Point("entropy", 30) < Point("entropy", 1));
        Assert.All(["mean_reward", "reward_deviation", "prompts_without_spread", "length_tokens", "unfinished_share", "repetition_share", "distinct_2", "loss", "grad_norm"],
            name => Assert.Equal(Enumerable.Range(1, 30), seen.Points.Where(point => point.Name == name).Select(point => point.Step)));
        Assert.Contains(seen.Points, point => point.Name == "reward_length_correlation");
        Assert.Equal(updates > 1, seen.Points.Any(point => point is { Name: "clip_share", Value: > 0 }));
        Assert.Contains("\"seed\":1", report.Spec, StringComparison.Ordinal);

        double Point(string name, int step) => seen.Points.Single(point => point.Name == name && point.Step == step).Value;
    }

    [Fact]
    public void A_killed_run_goes_on_as_if_nothing_had_happened()
    {
        var spec = Spec with { KlBudgetNats = 0.05, KlControl = KlControl.Adapt, KlHorizon = 32, UpdatesPerStep = 2, NormalizeReward = true, Optimization = Spec.Optimization with { StepsMax = 12 } };
        using var own = new RunFolders();
        var untouched = new SeenProgress();
        var (whole, uninterrupted) = Run(own.Context(untouched));
        Assert.Throws<SeenProgress.Killed>(() => Run(folders.Context(new SeenProgress(dieAfterStep: 8))));
        var seen = new SeenProgress();

        var (resumed, report) = Run(folders.Context(seen));

        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 5 of 12", StringComparison.Ordinal));
        Assert.Equal(uninterrupted.Losses, report.Losses);
        Assert.Equal(whole, resumed);
        var coefficients = untouched.Points.Where(point => point.Name == "kl_coefficient").Select(point => point.Value).ToList();
        Assert.True(coefficients.Distinct().Count() > 6, "the coefficient hardly moved, so its part of the checkpoint is not tested");
        Assert.Equal(coefficients.Skip(5), seen.Points.Where(point => point.Name == "kl_coefficient").Select(point => point.Value));

        (float[] Weights, TrainingReport Report) Run(RecipeContext context)
        {
            using var model = ToyWorld.Base();
            var done = TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [Please], context);
            return (ToyWorld.Weights(model), done);
        }
    }

    [Fact]
    public void A_checkpoint_of_another_reward_is_not_taken_up()
    {
        var spec = Spec with { Optimization = Spec.Optimization with { StepsMax = 6 } };
        using var model = ToyWorld.Base();
        Assert.Throws<SeenProgress.Killed>(() => TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context(new SeenProgress(dieAfterStep: 6))));
        var seen = new SeenProgress();
        TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [Please with { Weight = 2 }], folders.Context(seen));
        Assert.DoesNotContain(seen.Lines, line => line.StartsWith("Resumed", StringComparison.Ordinal));
    }

    /// <summary>The same run without a budget goes far beyond it.</summary>
    [Fact]
    public void A_spent_KL_budget_ends_the_run_and_its_weights_are_kept()
    {
        const double budget = 0.2;
        var slow = Spec with { Optimization = Spec.Optimization with { LearningRate = 1e-3 } };
        var free = Divergences(slow, out _, out _);
        Assert.True(free[^1] > 2 * budget, $"without a budget the divergence reached {string.Join(' ', free.Select(nats => nats.ToString("F3")))} only, so nothing is tested");

        var kept = Divergences(slow with { KlBudgetNats = budget }, out var report, out var lines);

        Assert.InRange(report.Steps, 2, 25);
        Assert.Equal(report.Steps, report.Losses.Count);
        Assert.Contains(lines, line => line.StartsWith($"Stopped after step {report.Steps}: the divergence", StringComparison.Ordinal));
        Assert.All(kept, divergence => Assert.True(divergence <= budget)); // steps that were made
        Assert.InRange(report.Find(MetricNames.PolicyKlNats, "train").Value, budget, 2 * budget); // the answers that ended it
        Assert.Equal(free.Take(report.Steps), kept);

        // Over four steps: the run ends where the mean of the newest four of the free run's divergences is first above the budget, and so does one that was killed on the way.
        var ends = Enumerable.Range(0, free.Length).First(step => free[Math.Max(0, step - 3)..(step + 1)].Average() > budget);
        Assert.True(ends > report.Steps);
        Divergences(slow with { KlBudgetNats = budget, KlBudgetSteps = 4 }, out var steadier, out _);
        Assert.Equal(ends, steadier.Steps);
        Assert.Equal(ends, Resumed(slow with { KlBudgetNats = budget, KlBudgetSteps = 4, Optimization = slow.Optimization with { CheckpointEverySteps = ends - 1 } }, dieAfterStep: ends).Steps);
    }

    /// <summary>The free run says where the budget is spent on held-out prompts and which evaluated weights are nearest to it; the matched one ends there and keeps those, killed on the way or not.</summary>
    [Fact]
    public void A_budget_that_is_to_be_matched_is_looked_at_on_held_out_prompts_and_the_nearest_weights_are_kept()
    {
        const int every = 2;
        var slow = Spec with { Optimization = Spec.Optimization with { LearningRate = 1e-3, EvaluateEverySteps = every } };
        var seen = new SeenProgress();
        using (var own = new RunFolders())
        {
            using var free = ToyWorld.Base();
            TrainRlooPolicyRecipe.Run(slow, free, ToyWorld.Tokenizer, Prompts, [Please], own.Context(seen));
        }
        var heldOut = seen.Points.Where(point => point is { Name: "heldout/kl_nats", Step: > 0 }).ToDictionary(point => point.Step, point => point.Value);
        // Between what the first evaluation above .15 found and the highest before it: which of the two is nearer depends on where the budget lies.
        var spent = heldOut.Where(point => point.Value > 0.15).Min(point => point.Key);
        var (highest, before) = heldOut.Where(point => point.Key < spent).MaxBy(point => point.Value);
        foreach (var (budget, nearest) in new[] { (heldOut[spent] - 0.1 * (heldOut[spent] - before), spent), (before + 0.1 * (heldOut[spent] - before), highest) })
        {
            var spec = slow with { KlBudgetNats = budget, KlControl = KlControl.Match };
            Divergences(spec, out var report, out var lines);

            Assert.Equal((spent, nearest), (report.Steps, report.KeptStep));
            Assert.Contains(lines, line => line.StartsWith($"Stopped after step {spent}: on held-out prompts the divergence", StringComparison.Ordinal));
            Assert.Equal(heldOut[nearest], report.Find(MetricNames.PolicyKlNats).Value, 1e-9);
        }
        // Killed after the step that spends it, with a checkpoint of that very step: what goes on must not take another one.
        var exact = slow with { KlBudgetNats = before + 0.5 * (heldOut[spent] - before), KlControl = KlControl.Match, Optimization = slow.Optimization with { CheckpointEverySteps = spent } };
        Assert.Equal(spent, Resumed(exact, dieAfterStep: null, dieWithLine: "Stopped after").Steps);
        Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(exact, ToyWorld.Base(), ToyWorld.Tokenizer, new TrainingSplit<AskedPrompt>(Prompts.Train, []), [Please], folders.Context()));
    }

    private TrainingReport Resumed(TrainRlooPolicy spec, int? dieAfterStep, string? dieWithLine = null)
    {
        Assert.Throws<SeenProgress.Killed>(() => Once(new SeenProgress(dieAfterStep) { DieWithLine = dieWithLine }));
        var seen = new SeenProgress();
        var report = Once(seen);
        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed", StringComparison.Ordinal));
        return report;

        TrainingReport Once(SeenProgress progress)
        {
            using var model = ToyWorld.Base();
            return TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context(progress));
        }
    }

    [Fact]
    public void A_coefficient_that_follows_the_budget_holds_the_policy_back()
    {
        const double budget = 0.05;
        var slow = Spec with { Optimization = Spec.Optimization with { LearningRate = 1e-3, StepsMax = 40 } };
        var free = Divergences(slow, out _, out _);
        var held = Divergences(slow with { KlBudgetNats = budget, KlControl = KlControl.Adapt, KlHorizon = 32 }, out var report, out _); // 32 answers a step: beta moves by at most a fifth
        Assert.Equal(40, report.Steps);
        Assert.True(held[^5..].Average() < 0.5 * free[^5..].Average(), $"with the budget of {budget} {string.Join(' ', held.Select(nats => nats.ToString("F3")))}, without {string.Join(' ', free.Select(nats => nats.ToString("F3")))}");
    }

    private double[] Divergences(TrainRlooPolicy spec, out TrainingReport report, out IReadOnlyList<string> lines)
    {
        var seen = new SeenProgress();
        using var own = new RunFolders();
        using var model = ToyWorld.Base();
        report = TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [Please], own.Context(seen));
        lines = seen.Lines;
        return [.. seen.Points.Where(point => point.Name == "kl_nats_k3").Select(point => point.Value)];
    }

    /// <summary>Weights that move between sampling and training: the reward, which is asked in between, does it.</summary>
    [Fact]
    public void Log_probabilities_that_are_not_those_of_sampling_end_the_run()
    {
        using var model = ToyWorld.Base();
        var asked = 0;
        var meddling = new RewardTerm(new RewardFunction("meddling", answer =>
        {
            if (++asked == 32 * 2 + 1)
                Move(model, 0.01f);
            return answer.LengthTokens;
        }));

        var refused = Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(Spec, model, ToyWorld.Tokenizer, Prompts with { HeldOut = [] }, [meddling], folders.Context()));

        Assert.Matches("^Step 3 cannot be learned from: before any weight has moved, token [0-9]+ of [0-9]+ of an answer to prompt [0-9]+ is [0-9.]+ times as likely", refused.Message);
        Assert.Contains("times as likely as when it was written; it must be 1 within 0.0001", refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folders.Artefacts));
    }

    /// <summary>A policy that is moved after its reference was taken of it.</summary>
    [Fact]
    public void A_policy_that_does_not_begin_at_its_reference_ends_the_run()
    {
        using var model = ToyWorld.Base();
        var refused = Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(Spec, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context(new Meddler(() => Move(model, 0.01f)))));
        Assert.StartsWith("The policy is not its own reference: before any weight has moved, log-probabilities of answers differ from the reference's by ", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_reward_that_is_no_number_is_refused_by_name_step_prompt_and_answer(double bad)
    {
        using var model = ToyWorld.Base();
        var (key, asked) = (Prompts.Train[16].Turns, 0);
        var broken = new RewardTerm(new RewardFunction("broken", answer => ReferenceEquals(answer.Prompt, key) && ++asked == 3 ? bad : 1));
        var refused = Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(Spec, model, ToyWorld.Tokenizer, Prompts with { HeldOut = [] }, [Please, broken], folders.Context()));
        Assert.Matches($"^The reward broken gives {(double.IsNaN(bad) ? "NaN" : ".+")} to answer 3 of 4 to prompt 17 \\(step [1-8]\\); it must be a number", refused.Message); // 64 prompts in 8 steps
    }

    [Fact]
    public void Sources_may_have_no_opinion_but_not_all_on_everything()
    {
        using var model = ToyWorld.Base();
        var spec = Spec with { Optimization = Spec.Optimization with { StepsMax = 2 } };
        var silent = new RewardTerm(new RewardFunction("silent", _ => null));
        var refused = Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [silent], folders.Context()));
        Assert.StartsWith("No reward (silent) has an opinion on any of the 32 answers of held-out prompts", refused.Message, StringComparison.Ordinal);

        using var own = new RunFolders();
        var (seen, number) = (new SeenProgress(), 0);
        var rare = new RewardTerm(new RewardFunction("rare", answer => ++number % 2 == 0 ? answer.LengthTokens : null));
        TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [silent, rare], own.Context(seen));
        Assert.Equal(2, seen.Points.Count(point => point.Name == "mean_reward"));
    }

    [Fact]
    public void Rewards_are_normalised_penalised_and_limited_in_this_order()
    {
        var unfinished = double.NaN;
        // Two tokens are hardly an answer, so most are unfinished; a constant cannot be normalised.
        var spec = Spec with { TokensMax = 2, Optimization = Spec.Optimization with { StepsMax = 1 } };
        var ten = new RewardTerm(new RewardFunction("ten", _ => 10), 0.5);
        Assert.Equal(5, MeanReward(spec, ten), 1e-12);
        var penalised = MeanReward(spec with { UnfinishedPenalty = 2 }, ten);
        Assert.InRange(unfinished, 0.5, 1);
        Assert.Equal(5 - 2 * unfinished, penalised, 1e-12);
        Assert.Equal(4 - unfinished, MeanReward(spec with { UnfinishedPenalty = 2, RewardLimit = 4 }, ten), 1e-12); // 5 − 2 where unfinished, else 4
        Assert.StartsWith("normalizeReward: ", Assert.Throws<CannotTrain>(() => MeanReward(spec with { NormalizeReward = true }, ten)).Message, StringComparison.Ordinal);
        // The same reward in another unit is the same after normalising, and the penalty is in units of its deviation.
        var length = new RewardFunction("length", answer => answer.Text.Length);
        var whole = Spec with { NormalizeReward = true, Optimization = Spec.Optimization with { StepsMax = 1 } };
        var normal = MeanReward(whole, new RewardTerm(length));
        Assert.InRange(normal, -1, 1);
        Assert.Equal(normal, MeanReward(whole, new RewardTerm(length, 1_000)), 1e-9);

        double MeanReward(TrainRlooPolicy spec, RewardTerm reward)
        {
            using var own = new RunFolders();
            using var model = ToyWorld.Base();
            var seen = new SeenProgress();
            TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts with { HeldOut = [] }, [reward], own.Context(seen));
            unfinished = seen.Points.Single(point => point.Name == "unfinished_share").Value;
            return seen.Points.Single(point => point.Name == "mean_reward").Value;
        }
    }

    [Fact]
    public void Eight_micro_batches_of_one_prompt_give_the_gradient_of_one_of_eight()
    {
        // Eight times the same prompt, so that the order in which micro-batches are drawn changes nothing. With so large an epsilon AdamW's first step shows the gradient itself.
        TrainingSplit<AskedPrompt> same = new([.. Enumerable.Repeat(Prompts.Train[0], 8)], []);
        var optimization = Spec.Optimization with { LearningRate = 1, Epsilon = 1, GradientNormMax = 0, StepsMax = 1, CheckpointEverySteps = 0 };
        foreach (var level in Enum.GetValues<PolicyLossLevel>())
        {
            var (whole, parts, wrong) = (Step(8, 1), Step(1, 8), Step(1, 4));
            Assert.True(Distance(whole, parts) < 1e-5, $"{level}: the gradients differ by {Distance(whole, parts)}");
            Assert.True(Distance(whole, wrong) > 1e-3, $"{level}: four of the eight cannot have the gradient of all");

            float[] Step(int batch, int accumulation)
            {
                using var own = new RunFolders();
                using var model = ToyWorld.Base();
                TrainRlooPolicyRecipe.Run(Spec with { LossLevel = level, Optimization = optimization with { BatchSize = batch, AccumulationSteps = accumulation } }, model, ToyWorld.Tokenizer, same,
                    [new RewardTerm(new RewardFunction("length", answer => answer.Text.Length))], own.Context());
                return ToyWorld.Weights(model);
            }
        }

        static double Distance(float[] a, float[] b) => a.Zip(b, (x, y) => Math.Abs((double)x - y)).Max();
    }

    /// <summary>Equal rewards teach nothing, so nothing gets better: the second look is the last.</summary>
    [Fact]
    public void It_stops_early_when_held_out_prompts_gain_nothing()
    {
        var seen = new SeenProgress();
        using var model = ToyWorld.Base();
        var before = ToyWorld.Weights(model);
        var report = TrainRlooPolicyRecipe.Run(Spec with { Beta = 0, Optimization = Spec.Optimization with { EvaluateEverySteps = 2, Patience = 1 } }, model, ToyWorld.Tokenizer, Prompts,
            [new RewardTerm(new RewardFunction("constant", _ => 3))], folders.Context(seen));
        Assert.Equal((4, 2), (report.Steps, seen.Points.Count(point => point.Name == "heldout/mean_reward" && point.Step > 0)));
        Assert.Contains(seen.Lines, line => line.Contains("no better held-out reward less the cost of divergence", StringComparison.Ordinal));
        Assert.All(seen.Points.Where(point => point.Name == "prompts_without_spread"), point => Assert.Equal(1, point.Value));
        Assert.Equal(before, ToyWorld.Weights(model));
    }

    [Fact]
    public void A_cancelled_run_ends_at_once()
    {
        using var stop = new CancellationTokenSource();
        using var model = ToyWorld.Base();
        var seen = new SeenProgress { AfterStep = step => { if (step == 2) stop.Cancel(); } };
        Assert.Throws<OperationCanceledException>(() => TrainRlooPolicyRecipe.Run(Spec, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context(seen, stop.Token)));
        Assert.Equal(2, seen.Points.Where(point => point.Name == "loss").Max(point => point.Step));
    }

    [Fact]
    public void No_tensor_is_left_behind_from_step_to_step()
    {
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        var live = new Dictionary<int, long>();
        using var model = ToyWorld.Base();
        TrainRlooPolicyRecipe.Run(Spec with { UpdatesPerStep = 2 }, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context(new SeenProgress { AfterStep = step => live[step] = statistics.ThreadTotalLiveCount }));
        Assert.Equal(live[3], live[30]);
    }

    public static TheoryData<TrainRlooPolicy, string> BadSpecs => new()
    {
        { new TrainRlooPolicy { SamplesPerPrompt = 1 }, "samplesPerPrompt is 1; it must be at least 2" },
        { new TrainRlooPolicy { SamplesPerPrompt = 0, Baseline = AdvantageBaseline.Greedy }, "samplesPerPrompt is 0; it must be at least 1" },
        { new TrainRlooPolicy { AdvantageLimit = 0 }, "advantageLimit is 0" },
        { new TrainRlooPolicy { RetainWeight = -1 }, "retainWeight is -1" },
        { new TrainRlooPolicy { RetainPrompts = 0 }, "retainPrompts is 0" },
        { new TrainRlooPolicy { Temperature = 0 }, "temperature is 0; it must be above 0" },
        { new TrainRlooPolicy { Beta = double.NaN }, "beta is NaN" },
        { new TrainRlooPolicy { KlBudgetNats = 0 }, "klBudgetNats is 0" },
        { new TrainRlooPolicy { KlBudgetSteps = 0 }, "klBudgetSteps is 0" },
        { new TrainRlooPolicy { Beta = 0, KlBudgetNats = 1, KlControl = KlControl.Adapt }, "beta is 0, and klControl is Adapt" },
        { new TrainRlooPolicy { KlControl = KlControl.Match }, "klControl is Match, and klBudgetNats is left out" },
        { new TrainRlooPolicy { KlControl = KlControl.Match, KlBudgetNats = 1, Optimization = new OptimizationSpec { EvaluateEverySteps = 0 } }, "klControl is Match: optimization.evaluateEverySteps" },
        { new TrainRlooPolicy { KlControl = KlControl.Match, KlBudgetNats = 1, Optimization = new OptimizationSpec { EvaluateEverySteps = 1, Patience = 2 } }, "klControl is Match: optimization.evaluateEverySteps" },
        { new TrainRlooPolicy { UpdatesPerStep = 0 }, "updatesPerStep is 0" },
        { new TrainRlooPolicy { ClipLow = 1 }, "clipLow is 1" },
    };

    [Theory]
    [MemberData(nameof(BadSpecs))]
    public void Settings_that_make_no_sense_are_refused_by_field(TrainRlooPolicy spec, string message)
    {
        using var model = ToyWorld.Model();
        Assert.StartsWith(message, Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, Prompts, [Please], folders.Context())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_prompt_or_a_reward_there_is_nothing_to_learn()
    {
        using var model = ToyWorld.Model();
        TrainingSplit<AskedPrompt> tooLong = new([new AskedPrompt("long", ToyWorld.TurnsOf(string.Join(' ', Enumerable.Repeat("May I take the apple?", 40))))], []);
        Assert.StartsWith("There is no prompt to learn on: 1 were given, 1 fill the model's context of 64 tokens",
            Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(Spec, model, ToyWorld.Tokenizer, tooLong, [Please], folders.Context())).Message, StringComparison.Ordinal);
        Assert.StartsWith("There is no reward", Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(Spec, model, ToyWorld.Tokenizer, Prompts, [], folders.Context())).Message, StringComparison.Ordinal);
    }

    /// <summary>What is watched, on answers that can be counted by hand.</summary>
    [Fact]
    public void The_monitors_count_what_they_say()
    {
        var rollout = Of(("the cat the cat", 1.0), ("a dog", 3.0), ("the cat", null), ("", 2.0));
        Assert.Equal(3.0 / 5, rollout.Distinct2, 1e-12); // the cat ×3, cat the, a dog
        Assert.Equal(2, rollout.MeanReward, 1e-12);
        Assert.Equal(1, rollout.RewardDeviation, 1e-12);
        // Lengths 4, 2, 0 with rewards 1, 3, 2: deviations (2, 0, −2) and (−1, 1, 0), so r = −2 / √(8 · 2).
        Assert.Equal(-0.5, rollout.RewardLengthCorrelation!.Value, 1e-12);
        Assert.Null(Of(("a b", 1.0), ("a b c", 1.0)).RewardLengthCorrelation); // constant rewards
        Assert.Equal(1, Of(("a", 1.0)).Distinct2);

        static Rollout Of(params IReadOnlyList<(string Text, double? Reward)> rows) => new([], [.. rows.Select(row => new WrittenAnswer([], row.Text,
            [.. row.Text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select((_, i) => i)], Finished: false))], [], [], [], [], [.. rows.Select(row => row.Reward)]);
    }

    private static void Move(nn.Module model, float by)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters())
            parameter.add_(randn_like(parameter), by);
    }

    /// <summary>Does something when the look at held-out prompts before the first step is told.</summary>
    private sealed class Meddler(Action meddle) : IRecipeProgress
    {
        public void Report(int step, int stepsTotal, string phase, double? secondsLeft)
        {
        }

        public void Metric(string name, int step, double value)
        {
            if (name == "heldout/mean_reward" && step == 0)
                meddle();
        }

        public void Log(JobEventLevel level, string message)
        {
        }
    }
}
