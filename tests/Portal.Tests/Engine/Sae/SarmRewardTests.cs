using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

public sealed class SarmRewardTests : IDisposable
{
    private static readonly TrainRewardModel Spec = new()
    {
        LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 3e-3, HeadLearningRate = 3e-2, BatchSize = 16, Epochs = 6, CheckpointEverySteps = 0 },
    };

    private readonly RunFolders folders = new();
    private readonly Llama model = ToyWorld.Base();

    public void Dispose()
    {
        model.Dispose();
        folders.Dispose();
    }

    [Fact]
    public void The_contributions_add_up_to_the_reward_of_every_response()
    {
        using var sarm = Sarm();
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        sarm.HeadWeight.copy_(randn(sarm.HeadWeight.shape, generator: new Generator().manual_seed(3)));
        var texts = ToyWorld.Prompts.SelectMany((prompt, i) => new[] { ToyWorld.Good(prompt, i), ToyWorld.Bad(prompt, i) }
            .Select(answer => new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(ToyWorld.TurnsOf(prompt), answer)!)).ToList(); // all fit
        using var batch = PaddedBatch.Of(texts, ToyWorld.Tokenizer.PadId, CPU);

        var rewards = sarm.Rewards(batch.Ids, batch.LastPositions).ToFloats();

        // Each text alone, its contributions added in double precision.
        for (var i = 0; i < texts.Count; i++)
        {
            var codes = sarm.Codes(tensor(texts[i].Ids.Select(id => (long)id).ToArray()).unsqueeze(0), tensor(new[] { texts[i].Ids.Length - 1L }));
            var parts = sarm.Contributions(codes).ToFloats();
            Assert.True(Math.Abs(parts.Sum(part => (double)part) - rewards[i]) < 1e-5, $"{i}: {parts.Sum(part => (double)part)} and {rewards[i]}");
        }
        Assert.True(rewards.Distinct().Count() > 20, "different texts get different rewards");
    }

    [Fact]
    public void A_fresh_head_gives_every_text_0_and_moves_nothing_but_itself()
    {
        using var sarm = Sarm();
        using var batch = PaddedBatch.Of([Text(0, good: true), Text(0, good: false)], ToyWorld.Tokenizer.PadId, CPU);
        using var scope = NewDisposeScope();
        var rewards = sarm.Rewards(batch.Ids, batch.LastPositions);
        BradleyTerryLoss.Compute(rewards.narrow(0, 0, 1), rewards.narrow(0, 1, 1)).backward();

        Assert.All(rewards.detach().ToFloats(), reward => Assert.Equal(0, reward));
        Assert.True(sarm.HeadWeight.grad!.abs().max().item<float>() > 0); // the head moves
        Assert.True(sarm.Backbone.EmbeddingWeight.grad!.abs().max().item<float>() == 0); // and the body does not yet
        Assert.All(sarm.Sae.parameters(), weight => Assert.False(weight.requires_grad));
    }

    /// <summary>States and head of a Bradley-Terry loss through normaliser and selection, float64, central differences.</summary>
    [Fact]
    public void Gradients_of_the_loss_are_those_of_finite_differences()
    {
        using var scope = NewDisposeScope();
        var sae = (TopKSae)TopKSae.Fresh(new SaeConfig { Width = 8, Latents = 24, K = 4, Layer = 0 }, seed: 6).to(ScalarType.Float64);
        var random = new Random(8);
        var (states, head) = (Draw(6 * 8), Draw(24));
        var (atStates, atHead) = (tensor(states, [6, 8], requires_grad: true), tensor(head, requires_grad: true));
        Loss(atStates, atHead).backward();

        Check(states, Values(atStates.grad!), x => Loss(tensor(x, [6, 8]), tensor(head)).item<double>()); // both have one after backward
        Check(head, Values(atHead.grad!), x => Loss(tensor(states, [6, 8]), tensor(x)).item<double>());

        double[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2 - 1)];

        Tensor Loss(Tensor at, Tensor weights)
        {
            var codes = sae.Encode(at, SaePosition.ResponseEnd);
            var rewards = codes.Values.mul(weights.index_select(0, codes.Indices.flatten()).view(codes.Indices.shape)).sum(-1);
            return BradleyTerryLoss.Compute(rewards.narrow(0, 0, 3), rewards.narrow(0, 3, 3));
        }

        static void Check(double[] at, double[] gradient, Func<double[], double> loss)
        {
            const double step = 1e-6;
            for (var i = 0; i < at.Length; i++)
            {
                var (up, down) = ((double[])at.Clone(), (double[])at.Clone());
                (up[i], down[i]) = (up[i] + step, down[i] - step);
                var numeric = (loss(up) - loss(down)) / (2 * step);
                Assert.True(Math.Abs(numeric - gradient[i]) <= 1e-4 * Math.Max(1e-3, Math.Abs(numeric)), $"{i}: {gradient[i]} and by differences {numeric}");
            }
        }
    }

    /// <summary>
    /// Mode 0 against the same head trained as a recipe trains heads, by gradient descent through the model itself, with the same penalty: both
    /// converge to the one answer of a convex problem, and rewards agree to 1e-4.
    /// </summary>
    [Fact]
    public void Mode_0_is_logistic_regression_on_the_differences_of_codes()
    {
        const double l2 = 0.01;
        using var sarm = Sarm();
        using var scope = NewDisposeScope();
        var pairs = ToyWorld.Pairs().Train.Take(60).ToList();
        var (chosen, rejected) = (Codes(pairs.Select(pair => pair.Chosen)), Codes(pairs.Select(pair => pair.Rejected)));
        var fitted = SarmHead.Fit(SarmHead.Rows(chosen), SarmHead.Rows(rejected), sarm.Sae.Config.Latents, l2, CancellationToken.None);

        // Nesterov's method on the model's own rewards; 1/L with L from the largest row.
        var dense = (Dense(chosen) - Dense(rejected)).to_type(ScalarType.Float64);
        var w = zeros(sarm.Sae.Config.Latents, ScalarType.Float64);
        var (before, rate) = (w.clone(), 1 / (0.25 * dense.square().sum(-1).max().item<double>() + l2));
        for (var step = 0; step < 20_000; step++)
        {
            using var inner = NewDisposeScope();
            var ahead = w + (w - before) * (step / (step + 3.0));
            var pull = dense.t().mv((-dense.mv(ahead)).sigmoid()).div(-pairs.Count) + ahead * l2;
            before = w;
            w = (ahead - pull * rate).MoveToOuterDisposeScope();
        }

        var difference = dense.mv(w - tensor(fitted.Weights)).abs().max().item<double>();
        Assert.True(fitted.GradientNorm < 1e-6, $"{fitted.GradientNorm}");
        Assert.True(difference < 1e-4, $"rewards differ by {difference}");
        Assert.True(dense.mv(w).abs().max().item<double>() > 0.1, "there is something to compare");

        SparseCodes Codes(IEnumerable<string> answers)
        {
            using var noGrad = no_grad();
            using var batch = PaddedBatch.Of([.. answers.Zip(pairs, (answer, pair) => new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(pair.Prompt, answer)!)], ToyWorld.Tokenizer.PadId, CPU); // all fit
            return sarm.Codes(batch.Ids, batch.LastPositions);
        }

        Tensor Dense(SparseCodes codes) => zeros(codes.Values.shape[0], sarm.Sae.Config.Latents).scatter(1, codes.Indices, codes.Values);
    }

    [Fact]
    public void A_head_cannot_be_fitted_where_no_latent_tells_the_answers_apart()
    {
        List<SparseVector> same = [new([1, 4], [0.5, 2]), new([], [])];

        Assert.StartsWith("All latents are dead at the ends", Assert.Throws<CannotTrain>(() => SarmHead.Fit(same, same, 8, 0.1, CancellationToken.None)).Message);
        Assert.StartsWith("A head needs pairs", Assert.Throws<CannotTrain>(() => SarmHead.Fit([], [], 8, 0.1, CancellationToken.None)).Message);
    }

    [Fact]
    public void Training_moves_body_and_head_never_the_SAE_and_comes_back_from_disk()
    {
        using var sarm = Sarm();
        var (frozen, body) = (ToyWorld.Weights(sarm.Sae), ToyWorld.Weights(sarm.Backbone));

        var report = TrainRewardModelRecipe.Run(Spec, TrainSarmRecipe.Trained(sarm, ToyWorld.Tokenizer), ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context());

        Assert.True(report.Find(MetricNames.PairwiseAccuracy).Value > 0.9, $"{report.Find(MetricNames.PairwiseAccuracy).Value}");
        Assert.Equal(frozen, ToyWorld.Weights(sarm.Sae));
        Assert.NotEqual(body, ToyWorld.Weights(sarm.Backbone));
        using var back = SarmFolder.Load(folders.Artefacts);
        Assert.Equal(ToyWorld.Weights(sarm), ToyWorld.Weights(back));
        Assert.Equal(sarm.Sae.Config, back.Sae.Config);
        Assert.True(SarmFolder.Is(folders.Artefacts));
    }

    [Fact]
    public void A_head_or_an_SAE_of_another_shape_is_refused_by_file()
    {
        using var sarm = Sarm();
        SarmFolder.Save(sarm, folders.Artefacts, ToyWorld.Tokenizer);
        using (var other = TopKSae.Fresh(sarm.Sae.Config with { Latents = 12 }, 1))
            SaeFolder.Save(other, Path.Combine(folders.Artefacts, "sae"), "toy");
        Assert.Contains("reward_head.safetensors: score.weight is [1, 64]; [1, 12] is expected.", Assert.Throws<InvalidDataException>(() => SarmFolder.Load(folders.Artefacts)).Message, StringComparison.Ordinal);
        using (var other = TopKSae.Fresh(sarm.Sae.Config with { Layer = 2 }, 1))
            SaeFolder.Save(other, Path.Combine(folders.Artefacts, "sae"), "toy");
        Assert.Contains("after block 2; the decoder beside it gives 16 after block 1", Assert.Throws<InvalidDataException>(() => SarmFolder.Load(folders.Artefacts)).Message, StringComparison.Ordinal);
    }

    private static EncodedText Text(int prompt, bool good) => new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter)
        .Answer(ToyWorld.TurnsOf(ToyWorld.Prompts[prompt]), good ? ToyWorld.Good(ToyWorld.Prompts[prompt], 0) : ToyWorld.Bad(ToyWorld.Prompts[prompt], 0))!; // fits

    /// <summary>The base model's first block under a fresh SAE of 64 latents.</summary>
    private SarmReward Sarm() => new(LlamaWeights.Truncated(model.Backbone, 1), TopKSae.Fresh(new SaeConfig { Width = 16, Latents = 64, K = 8, Layer = 1, ModelHash = LlamaWeights.Hash(model.Backbone) }, seed: 2));

    private static double[] Values(Tensor values)
    {
        using var data = values.detach().contiguous().data<double>();
        return data.ToArray();
    }
}
