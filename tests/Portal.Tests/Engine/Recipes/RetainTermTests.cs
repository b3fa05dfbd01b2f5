using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Recipes;

/// <summary>ReMax with a retain term on the toy world: "please" is rewarded on apples and bread, and all other prompts shall be answered as before. The term itself against text by text, token by token.</summary>
public sealed class RetainTermTests : IDisposable
{
    private static readonly TrainRlooPolicy Spec = new()
    {
        Baseline = AdvantageBaseline.Greedy, SamplesPerPrompt = 2, Temperature = 1, TokensMax = 24, HeldOutPrompts = 0, NormalizeAdvantages = false, RetainPrompts = 12,
        Optimization = new OptimizationSpec { LearningRate = 3e-3, BatchSize = 4, AccumulationSteps = 2, Epochs = 1_000, StepsMax = 30, Schedule = Schedule.Constant, CheckpointEverySteps = 5 },
    };

    private static readonly RewardTerm Please = new(new RewardFunction("please", answer => answer.Text.Contains("please", StringComparison.Ordinal) ? 1 : 0));

    private static readonly AskedPrompt[] Learnt = [.. AskedAbout("apple", "bread")], Others = [.. AskedAbout("candle", "drum", "egg", "feather", "glove", "hammer")];

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void With_the_greedy_answer_as_baseline_it_learns_from_one_sample_too(int samples)
    {
        var seen = new SeenProgress();
        using var model = ToyWorld.Base();

        TrainRlooPolicyRecipe.Run(Spec with { SamplesPerPrompt = samples, Optimization = Spec.Optimization with { LearningRate = 5e-3 } }, model, ToyWorld.Tokenizer, new TrainingSplit<AskedPrompt>(Learnt, []), [Please], folders.Context(seen));

        var rewards = seen.Points.Where(point => point.Name == "mean_reward").Select(point => point.Value).ToList();
        Assert.True(rewards[..5].Average() < 0.8 && rewards[^5..].Average() > 0.9, string.Join(' ', rewards.Select(value => value.ToString("F2"))));
        Assert.Equal(30, seen.Points.Count(point => point.Name == "greedy_reward"));
        Assert.DoesNotContain(seen.Points, point => point.Name is "prompts_without_spread" or "retained_kl_nats");
    }

    /// <summary>The greedy answer's reward, which every answer has, makes every advantage 0: nothing moves.</summary>
    [Fact]
    public void What_is_as_good_as_the_greedy_answer_teaches_nothing()
    {
        using var model = ToyWorld.Base();
        var before = ToyWorld.Weights(model);
        TrainRlooPolicyRecipe.Run(Spec with { Beta = 0, Optimization = Spec.Optimization with { StepsMax = 2 } }, model, ToyWorld.Tokenizer, new TrainingSplit<AskedPrompt>(Learnt, []),
            [new RewardTerm(new RewardFunction("constant", _ => 3))], folders.Context());
        Assert.Equal(before, ToyWorld.Weights(model));
    }

    [Fact]
    public void A_retain_term_keeps_the_other_prompts_answers_much_nearer_to_what_they_were()
    {
        var (free, held) = (Trained(0), Trained(1));
        Assert.True(held < 0.25 * free, $"on the others {held:F3} nats with the term and {free:F3} without");

        double Trained(double weight)
        {
            var seen = new SeenProgress();
            using var own = new RunFolders();
            using var before = ToyWorld.Base();
            using var model = ToyWorld.Base();
            TrainRlooPolicyRecipe.Run(Spec with { RetainWeight = weight, LossLevel = PolicyLossLevel.Sequence, Optimization = Spec.Optimization with { StepsMax = 60 } }, model, ToyWorld.Tokenizer,
                new TrainingSplit<AskedPrompt>(Learnt, []), [Please], own.Context(seen), Others);
            // The divergence of the answers that the world knows, weighed alike: other texts than those the term saw, and none of its code.
            var nats = Others.SelectMany(prompt => new[] { ToyWorld.Good(prompt.Key, 0), ToyWorld.Bad(prompt.Key, 0) }.Select(answer => Math.Abs(ToyWorld.LogProb(model, prompt.Key, answer) - ToyWorld.LogProb(before, prompt.Key, answer)))).Average();
            Assert.Equal(weight > 0 ? 60 : 0, seen.Points.Count(point => point.Name == "retained_kl_nats"));
            if (weight > 0)
                Assert.Equal(0, seen.Points.Single(point => point is { Name: "retained_kl_nats", Step: 1 }).Value, 1e-5); // it begins at its reference
            return nats;
        }
    }

    [Fact]
    public void A_killed_run_goes_on_with_the_same_retained_prompts_and_ends_the_same()
    {
        var spec = Spec with { RetainWeight = 1, RetainPrompts = 3, UpdatesPerStep = 2, Optimization = Spec.Optimization with { StepsMax = 10 } };
        using var own = new RunFolders();
        var untouched = new SeenProgress();
        var whole = Run(own.Context(untouched));
        Assert.Throws<SeenProgress.Killed>(() => Run(folders.Context(new SeenProgress(dieAfterStep: 7))));
        var seen = new SeenProgress();
        var resumed = Run(folders.Context(seen));
        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 5 of 10", StringComparison.Ordinal));
        Assert.Equal(Retained(untouched)[5..], Retained(seen));
        Assert.Equal(whole, resumed);

        float[] Run(RecipeContext context)
        {
            using var model = ToyWorld.Base();
            TrainRlooPolicyRecipe.Run(spec, model, ToyWorld.Tokenizer, new TrainingSplit<AskedPrompt>(Learnt, []), [Please], context, Others);
            return ToyWorld.Weights(model);
        }

        static double[] Retained(SeenProgress progress) => [.. progress.Points.Where(point => point.Name == "retained_kl_nats").Select(point => point.Value)];
    }

    /// <summary>Loss and gradients of all micro-batches together against every text read alone, without batch and padding, its divergences summed over the vocabulary; and against finite differences.</summary>
    [Theory]
    [InlineData(PolicyLossLevel.Token)]
    [InlineData(PolicyLossLevel.Sequence)]
    public void Its_gradient_is_that_of_the_divergences_text_by_text(PolicyLossLevel level)
    {
        var spec = Spec with { LossLevel = level, RetainWeight = 0.7, RetainPrompts = 5, Temperature = 0.9 };
        using var scope = NewDisposeScope();
        using var reference = ToyWorld.Base();
        using var model = ToyWorld.Base();
        Move(model);
        var rollouts = new PolicyRollouts(spec, model, reference, ToyWorld.Tokenizer, [Please], folders.Context());
        var term = new RetainTerm(spec, model, reference, rollouts, rollouts.Encode(Others));

        var texts = term.Write(step: 3);
        var (loss, nats) = (0.0, 0.0);
        foreach (var rows in new[] { texts.Take(2), texts.Skip(2) })
        {
            var part = term.Part([.. rows], texts);
            part.Loss.backward();
            (loss, nats) = (loss + part.Loss.item<float>(), nats + part.KlNats);
        }

        Assert.Equal(5, texts.Count);
        Assert.NotEqual(texts.Select(text => string.Join(' ', text.Ids)), term.Write(step: 4).Select(text => string.Join(' ', text.Ids)));
        Assert.Equal(texts.Select(text => string.Join(' ', text.Ids)), term.Write(step: 3).Select(text => string.Join(' ', text.Ids)));
        var gradients = Gradients(model);
        var brute = BruteForce();
        brute.backward();
        Assert.Equal(brute.item<float>(), loss, 1e-5);
        Assert.Equal(level is PolicyLossLevel.Token ? loss * texts.Sum(text => text.Mask.Count(isDrawn => isDrawn)) / 0.7 : loss * 5 / 0.7, nats, 1e-3);
        var wanted = Gradients(model);
        Assert.True(wanted.Max(Math.Abs) > 1e-2, "the gradient is nearly 0, so nothing is compared");
        Assert.Equal(wanted, gradients, (a, b) => Math.Abs(a - b) < 1e-4);
        Assert.All(reference.parameters(), parameter => Assert.True(parameter.grad is null));
        // Along its own direction the loss rises by the gradient's square, to first order.
        var square = wanted.Sum(value => (double)value * value);
        var step = 1e-3 / Math.Sqrt(square);
        using (no_grad())
        {
            var (up, down) = (At(step), At(-step));
            Assert.Equal(square, (up - down) / (2 * step), 0.02 * square); // float32 leaves two digits
        }

        Tensor BruteForce()
        {
            var sum = zeros(1);
            foreach (var text in texts)
            {
                var ids = tensor(text.Ids.Select(id => (long)id).ToArray()).unsqueeze(0);
                var (policy, before) = (model.Logits(model.Hidden(ids)).squeeze(0).div(0.9).log_softmax(-1), reference.Logits(reference.Hidden(ids)).squeeze(0).detach().div(0.9).log_softmax(-1));
                for (var at = 1; at < text.Ids.Length; at++)
                    if (text.Mask[at])
                        sum = sum + policy[at - 1].exp().mul(policy[at - 1].sub(before[at - 1])).sum();
            }
            return sum.mul(0.7 / (level is PolicyLossLevel.Token ? texts.Sum(text => text.Mask.Count(isDrawn => isDrawn)) : texts.Count)).squeeze();
        }

        double At(double by)
        {
            Along(by);
            var value = BruteForce().item<float>();
            Along(-by);
            return value;
        }

        void Along(double by)
        {
            var at = 0;
            foreach (var (_, parameter) in model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
            {
                var count = (int)parameter.numel();
                parameter.add_(tensor(wanted[at..(at + count)]).reshape(parameter.shape), by);
                at += count;
            }
        }
    }

    [Fact]
    public void Without_a_prompt_to_hold_on_to_it_does_not_begin()
    {
        using var model = ToyWorld.Model();
        var refused = Assert.Throws<CannotTrain>(() => TrainRlooPolicyRecipe.Run(Spec with { RetainWeight = 0.5 }, model, ToyWorld.Tokenizer, new TrainingSplit<AskedPrompt>(Learnt, []), [Please], folders.Context()));
        Assert.StartsWith("retainWeight is 0.5, and there is no prompt to hold on to: 0 were given", refused.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<AskedPrompt> AskedAbout(params string[] things) => ToyWorld.Prompts.Where(prompt => things.Any(prompt.Contains)).Select(prompt => new AskedPrompt(prompt, ToyWorld.TurnsOf(prompt)));

    /// <summary>The gradients there are, in the order of names; cleared.</summary>
    private static float[] Gradients(nn.Module model)
    {
        float[] all = [.. model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal).SelectMany(p => p.parameter.grad!.contiguous().data<float>().ToArray())];
        model.zero_grad();
        return all;
    }

    private static void Move(nn.Module model)
    {
        using var noGrad = no_grad();
        using var random = new Generator(8);
        foreach (var (_, parameter) in model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
            parameter.add_(randn(parameter.shape, generator: random), 0.05f);
    }
}
