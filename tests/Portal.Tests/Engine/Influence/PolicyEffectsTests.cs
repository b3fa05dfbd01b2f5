using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Influence;

/// <summary>
/// What a pair would do to a response under a policy, on the toy world: against steps that are really made (log-probabilities by <see cref="ToyWorld.LogProb"/>), against autograd through the whole model, and against a training.
/// All expected gradients are of a twin whose head is a matrix of its own with the same numbers: of a tied one, what reaches the embedding through the input is no part of an effect.
/// </summary>
public sealed class PolicyEffectsTests
{
    private const double Beta = 0.3;

    private static readonly (string Prompt, string Chosen, string Rejected)[] Pairs = [.. ToyWorld.Prompts.Take(5).Select((prompt, i) => i % 2 == 0 ? (prompt, ToyWorld.Good(prompt, i), ToyWorld.Bad(prompt, i)) : (prompt, ToyWorld.Bad(prompt, i), ToyWorld.Good(prompt, 1)))];

    /// <summary>The same place as a pair's, another place, another thing, a text of its own.</summary>
    private static readonly (string Prompt, string Answer)[] Responses = [(Pairs[0].Prompt, Pairs[0].Chosen), (Pairs[0].Prompt, ToyWorld.Bad(Pairs[0].Prompt, 1)), (ToyWorld.Prompts[40], ToyWorld.Good(ToyWorld.Prompts[40], 1)), (ToyWorld.Prompts[70], "Take the mill.")];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_effect_is_what_a_step_on_the_pair_does(bool tied)
    {
        using var policy = Policy(tied);
        using var reference = ToyWorld.Base();
        using var twin = Twin(policy);
        var effects = Ask(policy, reference);

        foreach (var (response, at) in Responses.Select((response, at) => (response, at)))
        {
            foreach (var (pair, i) in Pairs.Select((pair, i) => (pair, i)))
            {
                using var scope = NewDisposeScope();
                var step = Slope(twin, LossOf(twin, reference, pair).neg());
                // Steps to both sides take away the second order, two lengths the third. Log-probabilities from float32 logits are right to some 1e-6 nats: over such a rate to some 1e-3.
                const double Rate = 4e-3;
                var measured = ((4 * Central(Rate)) - Central(2 * Rate)) / 3;

                Assert.True(Math.Abs(measured - effects[at][i]) < 1e-2 * Math.Abs(effects[at][i]), $"response {at}, pair {i}: a step does {measured:G6}, the effect is {effects[at][i]:G6}");

                double Central(double rate) => (After(rate) - After(-rate)) / (2 * rate);

                double After(double by)
                {
                    Move(twin, step, by);
                    var after = ToyWorld.LogProb(twin, response.Prompt, response.Answer);
                    Move(twin, step, -by);
                    return after;
                }
            }
        }
        Assert.Contains(effects.SelectMany(some => some), effect => effect > 0);
        Assert.Contains(effects.SelectMany(some => some), effect => effect < 0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_effect_is_the_product_of_two_gradients_through_the_whole_model(bool tied)
    {
        using var policy = Policy(tied);
        using var reference = ToyWorld.Base();
        using var twin = Twin(policy);
        var before = ToyWorld.Weights(policy);

        var effects = Ask(policy, reference);

        using var scope = NewDisposeScope();
        var steps = Pairs.Select(pair => Slope(twin, LossOf(twin, reference, pair).neg())).ToList();
        foreach (var (response, at) in Responses.Select((response, at) => (response, at)))
        {
            var slope = Slope(twin, LogProb(twin, response.Prompt, response.Answer));
            for (var i = 0; i < Pairs.Length; i++)
            {
                var expected = slope.Zip(steps[i], (one, other) => one.to_type(ScalarType.Float64).mul(other.to_type(ScalarType.Float64)).sum().item<double>()).Sum();
                Assert.True(Math.Abs(expected - effects[at][i]) < 1e-4 * Math.Abs(expected), $"response {at}, pair {i}: {effects[at][i]:G8}, expected {expected:G8}");
            }
        }
        Assert.Equal(before, ToyWorld.Weights(policy)); // nothing was learned by asking
        Assert.All(policy.parameters(), weight => Assert.Null(weight.grad));
    }

    /// <summary>Room for one gradient or for all, some pairs or all, twice: the same numbers to the last bit. No tensor stays behind.</summary>
    [Fact]
    public void What_else_is_asked_changes_nothing()
    {
        using var policy = Policy(tied: true);
        using var reference = ToyWorld.Base();
        var all = Ask(policy, reference);
        var told = new List<(int Done, int All)>();
        using var scope = NewDisposeScope();

        var narrow = Ask(policy, reference, keptBytes: 1);
        var some = new PolicyEffects(policy, reference, Beta).Of([new PolicyQuery(Text(Responses[2].Prompt, Responses[2].Answer), [4, 1, 4]), new PolicyQuery(Text(Responses[0].Prompt, Responses[0].Answer), [])], EncodedPairs(), (done, of) => told.Add((done, of)), default);

        Assert.Equal(0, scope.DisposablesCount);
        Assert.Equal(all, narrow);
        Assert.Equal([all[2][4], all[2][1], all[2][4]], some[0]);
        Assert.Empty(some[1]);
        Assert.Equal([(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)], told); // two responses, two pairs
    }

    [Fact]
    public void It_stops_when_told_and_refuses_a_beta_that_is_none()
    {
        using var policy = ToyWorld.Base();
        using var stop = new CancellationTokenSource();

        Assert.Throws<OperationCanceledException>(() => new PolicyEffects(policy, policy, Beta).Of([new PolicyQuery(Text(Responses[0].Prompt, Responses[0].Answer), [0, 1])], EncodedPairs(), (done, _) =>
        {
            Assert.InRange(done, 0, 1);
            if (done == 1)
                stop.Cancel();
        }, stop.Token));
        Assert.Contains("β is 0", Assert.Throws<ArgumentException>(() => new PolicyEffects(policy, policy, 0)).Message, StringComparison.Ordinal);
    }

    /// <summary>DPO on one pair, the whole model by AdamW: not the step that an effect is about, and the signs of the largest still hold.</summary>
    [Fact]
    public void A_policy_trained_on_one_pair_goes_where_the_largest_effects_say()
    {
        using var reference = ToyWorld.Base();
        using var trained = ToyWorld.Base();
        using var folders = new RunFolders();
        var pair = Pairs[0];
        var asked = ToyWorld.Prompts.Skip(20).Take(12).SelectMany(prompt => (string[])[ToyWorld.Good(prompt, 0), ToyWorld.Bad(prompt, 0)], (prompt, answer) => (prompt, answer)).ToList();
        var effects = new PolicyEffects(reference, reference, Beta).Of([.. asked.Select(one => new PolicyQuery(Text(one.prompt, one.answer), [0]))], EncodedPairs(), (_, _) => { }, default).Select(some => some[0]).ToList();

        TrainPreferencePolicyRecipe.RunDpo(new TrainPreferencePolicy { LengthMax = 64, Beta = Beta, Optimization = new OptimizationSpec { LearningRate = 1e-3, BatchSize = 1, Epochs = 5, CheckpointEverySteps = 0 } }, trained, ToyWorld.Tokenizer,
            new TrainingSplit<PreferencePair>([new PreferencePair(pair.Prompt, ToyWorld.TurnsOf(pair.Prompt), pair.Chosen, pair.Rejected)], []), folders.Context());

        double Gain(int at) => ToyWorld.LogProb(trained, asked[at].prompt, asked[at].answer) - ToyWorld.LogProb(reference, asked[at].prompt, asked[at].answer);
        var (most, least) = (effects.IndexOf(effects.Max()), effects.IndexOf(effects.Min()));
        Assert.True(effects[most] > 0 && Gain(most) > 0, $"effect {effects[most]:G4}, gained {Gain(most):G4} nats");
        Assert.True(effects[least] < 0 && Gain(least) < 0, $"effect {effects[least]:G4}, gained {Gain(least):G4} nats");
    }

    private static IReadOnlyList<double[]> Ask(Llama policy, Llama reference, long keptBytes = PolicyEffects.KeptBytesMax) => new PolicyEffects(policy, reference, Beta) { KeptBytes = keptBytes }.Of(
        [.. Responses.Select(response => new PolicyQuery(Text(response.Prompt, response.Answer), [.. Enumerable.Range(0, Pairs.Length)]))], EncodedPairs(), (_, _) => { }, default);

    private static EncodedText Text(string prompt, string answer) => new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(ToyWorld.TurnsOf(prompt), answer)!; // they all fit

    private static List<(EncodedText Chosen, EncodedText Rejected)> EncodedPairs() => [.. Pairs.Select(pair => (Text(pair.Prompt, pair.Chosen), Text(pair.Prompt, pair.Rejected)))];

    /// <summary>The base, a little away from it, so that pairs pull with different strength.</summary>
    private static Llama Policy(bool tied)
    {
        using var start = ToyWorld.Base();
        var policy = tied ? ToyWorld.Base() : Twin(start);
        using var random = new Generator(7);
        using var noGrad = no_grad();
        foreach (var weight in policy.parameters())
        {
            using var scope = NewDisposeScope();
            weight.add_(randn(weight.shape, generator: random).mul(0.03));
        }
        return policy;
    }

    private static Llama Twin(Llama model)
    {
        var twin = new Llama(model.Config with { TieWordEmbeddings = false }, seed: 1);
        LlamaWeights.Copy(model.Backbone, twin.Backbone);
        using var noGrad = no_grad();
        twin.HeadWeight.copy_(model.HeadWeight);
        return twin;
    }

    /// <summary>log π, the whole text through the whole model, by the definition. Scalar.</summary>
    private static Tensor LogProb(Llama model, string prompt, string answer)
    {
        var text = Text(prompt, answer);
        var logProbs = model.Logits(model.Hidden(tensor(text.Ids.Select(id => (long)id).ToArray()).unsqueeze(0))).squeeze(0).log_softmax(-1);
        return stack([.. Enumerable.Range(1, text.Ids.Length - 1).Where(at => text.Mask[at]).Select(at => logProbs[at - 1, text.Ids[at]])]).sum();
    }

    /// <summary>DPO's loss of one pair.</summary>
    private static Tensor LossOf(Llama policy, Llama reference, (string Prompt, string Chosen, string Rejected) pair)
    {
        var before = ToyWorld.LogProb(reference, pair.Prompt, pair.Chosen) - ToyWorld.LogProb(reference, pair.Prompt, pair.Rejected);
        return LogProb(policy, pair.Prompt, pair.Chosen).sub(LogProb(policy, pair.Prompt, pair.Rejected)).sub(before).mul(Beta).sigmoid().log().neg();
    }

    private static List<Tensor> Moved(Llama twin) =>
        [.. twin.named_parameters().Where(one => one.name.StartsWith("model.layers.1.", StringComparison.Ordinal) || one.name is "model.norm.weight" or "lm_head.weight").Select(one => (Tensor)one.parameter)];

    private static IList<Tensor> Slope(Llama twin, Tensor value)
    {
        var weights = Moved(twin);
        Assert.Equal(9, weights.Count); // two norms, five matrices, the final norm, the head
        return autograd.grad([value], weights);
    }

    private static void Move(Llama twin, IList<Tensor> step, double by)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (weight, part) in Moved(twin).Zip(step))
            weight.add_(part.mul(by));
    }
}
