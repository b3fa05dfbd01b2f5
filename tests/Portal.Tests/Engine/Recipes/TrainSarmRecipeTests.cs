using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

public sealed class TrainSarmRecipeTests : IDisposable
{
    private static readonly TrainSarm Spec = new()
    {
        LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 3e-3, HeadLearningRate = 3e-2, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 5 },
    };

    private readonly RunFolders folders = new();
    private readonly Llama model = ToyWorld.Base();

    private SaeConfig Shape => new()
    {
        Width = 16, Latents = 64, K = 8, Layer = 2, ModelHash = LlamaWeights.Hash(model.Backbone), TokenizerHash = TokenizerFolder.Hash(ToyWorld.Tokenizer),
    };

    public void Dispose()
    {
        model.Dispose();
        folders.Dispose();
    }

    /// <summary>Where nothing but the head learns, meanings cannot drift; where the body learns, they do, and the report says how far.</summary>
    [Fact]
    public void The_report_says_what_training_did_to_the_features()
    {
        var (head, fitted) = Run(Spec with { Mode = SarmMode.Head });
        head.Dispose();
        using var own = new RunFolders();
        var (body, trained) = TrainSarmRecipe.Run(Spec, model.Backbone, TopKSae.Fresh(Shape, seed: 2), ToyWorld.Tokenizer, ToyWorld.Pairs(), own.Context());
        body.Dispose();

        // The base writes "please" and "never" alike and an untrained encoder reads it: the head alone can do little, the body learns the rule.
        Assert.InRange(fitted.Find(MetricNames.PairwiseAccuracy).Value, 0.6, 0.9);
        Assert.InRange(trained.Find(MetricNames.PairwiseAccuracy).Value, 0.9, 1);
        Assert.Equal(fitted.Find("before/" + MetricNames.SaeFvu, "ends").Value, fitted.Find(MetricNames.SaeFvu, "ends").Value);
        Assert.Equal(1, fitted.Find(MetricNames.SarmContextOverlap, "ends").Value);
        Assert.Equal(fitted.Find("before/" + MetricNames.SaeFvu, "ends").Value, trained.Find("before/" + MetricNames.SaeFvu, "ends").Value, 1e-9);
        Assert.NotEqual(trained.Find("before/" + MetricNames.SaeFvu, "ends").Value, trained.Find(MetricNames.SaeFvu, "ends").Value, 1e-3);
        Assert.InRange(trained.Find(MetricNames.SarmLiveLatents, "ends").Value, 1, 64);
    }

    [Fact]
    public void The_fitted_head_is_saved_and_gives_the_reported_order()
    {
        var (sarm, report) = Run(Spec with { Mode = SarmMode.Head });
        using (sarm)
        using (var back = SarmFolder.Load(folders.Artefacts))
        {
            var scorer = new Portal.Engine.Evaluation.RewardScorer(back, ToyWorld.Tokenizer);
            var pairs = ToyWorld.Pairs().HeldOut;
            var chosen = scorer.Score([.. pairs.Select(pair => (pair.Prompt, pair.Chosen))], CancellationToken.None);
            var rejected = scorer.Score([.. pairs.Select(pair => (pair.Prompt, pair.Rejected))], CancellationToken.None);

            var right = chosen.Zip(rejected, (one, other) => one > other ? 1.0 : one == other ? 0.5 : 0).Average();

            Assert.Equal(report.Find(MetricNames.PairwiseAccuracy).Value, right, 1e-9);
        }
    }

    [Fact]
    public void A_killed_run_goes_on_as_if_nothing_had_happened()
    {
        using var own = new RunFolders();
        var (whole, uninterrupted) = TrainSarmRecipe.Run(Spec, model.Backbone, TopKSae.Fresh(Shape, seed: 2), ToyWorld.Tokenizer, ToyWorld.Pairs(), own.Context());
        Assert.Throws<SeenProgress.Killed>(() => Run(Spec, new SeenProgress(dieAfterStep: 8)));
        var seen = new SeenProgress();

        var (resumed, report) = Run(Spec, seen);

        using (whole)
        using (resumed)
        {
            Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 5", StringComparison.Ordinal));
            Assert.Equal(uninterrupted.Losses, report.Losses);
            Assert.All(ToyWorld.Weights(whole).Zip(ToyWorld.Weights(resumed)), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
        }
    }

    [Fact]
    public void An_SAE_of_another_model_or_tokenizer_is_refused_before_anything_is_read()
    {
        Refused(Shape with { ModelHash = "other" }, "The SAE was trained on another model");
        Refused(Shape with { TokenizerHash = "other" }, "The SAE was trained with another tokenizer");
        Refused(Shape with { Layer = 3 }, "The SAE reads after block 3; the model has 2.");
        Refused(Shape with { Width = 8 }, "The SAE reads states of 8 numbers; the model's have 16.");

        void Refused(SaeConfig config, string message)
        {
            using var sae = new TopKSae(config);
            var error = Assert.Throws<CannotTrain>(() => TrainSarmRecipe.Run(Spec, model.Backbone, sae, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context()));
            Assert.StartsWith(message, error.Message);
            Assert.Empty(Directory.EnumerateFiles(folders.Artefacts));
        }
    }

    [Fact]
    public void Dead_latents_and_a_penalty_of_nothing_are_said()
    {
        using var dead = new TopKSae(Shape); // all weights 0: no latent is ever above 0
        Assert.StartsWith("All latents are dead at the ends", Assert.Throws<CannotTrain>(() => TrainSarmRecipe.Run(Spec with { Mode = SarmMode.Head }, model.Backbone, dead, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context())).Message);
        Assert.StartsWith("headL2 is 0", Assert.Throws<CannotTrain>(() => Run(Spec with { Mode = SarmMode.Head, HeadL2 = 0 })).Message);
        Assert.StartsWith("No pair can be trained on: 0 were given", Assert.Throws<CannotTrain>(() => TrainSarmRecipe.Run(Spec with { Mode = SarmMode.Head }, model.Backbone, TopKSae.Fresh(Shape, 1), ToyWorld.Tokenizer,
            new TrainingSplit<PreferencePair>([], ToyWorld.Pairs().HeldOut), folders.Context())).Message);
    }

    private (SarmReward Model, TrainingReport Report) Run(TrainSarm spec, SeenProgress? progress = null) =>
        TrainSarmRecipe.Run(spec, model.Backbone, TopKSae.Fresh(Shape, seed: 2), ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context(progress));
}
