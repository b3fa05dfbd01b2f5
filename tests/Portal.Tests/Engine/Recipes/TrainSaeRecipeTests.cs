using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Tests.Engine.Sae;
using TorchSharp;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

public sealed class TrainSaeRecipeTests : IDisposable
{
    private static readonly TrainSae Spec = new() { Layer = 1, Expansion = 4, K = 4, BatchVectors = 64, Steps = 120, LearningRate = 5e-3, DeadAfterVectors = 2_000, LengthMax = 64, CheckpointEverySteps = 50 };

    private readonly RunFolders folders = new();
    private readonly Llama model = ToyWorld.Base();

    private static TrainingSplit<ResponseText> Rows { get; } = ToyWorld.Split((prompt, v) => new ResponseText(prompt, ToyWorld.TurnsOf(prompt), v == 0 ? ToyWorld.Good(prompt, prompt.Length) : ToyWorld.Bad(prompt, prompt.Length)));

    public void Dispose()
    {
        model.Dispose();
        folders.Dispose();
    }

    [Fact]
    public void Codes_keep_what_the_states_hold_and_the_report_stands_beside_its_controls()
    {
        var (sae, report) = Run(Spec, folders);
        using (sae)
        {
            var fvu = report.Find(MetricNames.SaeFvu).Value;
            Assert.True(report.Losses[^1] < 0.5 * report.Losses[0], $"{report.Losses[0]:F3} to {report.Losses[^1]:F3}");
            // The toy's few different states are easy for any code; whether an SAE beats its controls is shown on the demo's base, in the study.
            Assert.InRange(fvu, 0, 0.05);
            Assert.All(new[] { MetricNames.RandomEncoderBaseline, MetricNames.PrincipalComponentsBaseline }, name => Assert.InRange(report.Find(name).Value, 0, 1));
            Assert.InRange(report.Find(MetricNames.SaeActive).Value, 1, Spec.K);
            Assert.InRange(report.Find(MetricNames.SaeDeadShare, "all").Value, 0, 0.9);
            Assert.True(report.Find(MetricNames.SaeDeadShare, "all/response-end").Value >= report.Find(MetricNames.SaeDeadShare, "all").Value);
            using var saved = SaeFolder.Load(folders.Artefacts);
            Assert.Equal(sae.Config, saved.Config);
            Assert.Null(saved.Config.ProblemWith(16, 2, LlamaWeights.Hash(model.Backbone), Portal.Engine.Tokenizers.TokenizerFolder.Hash(ToyWorld.Tokenizer)));
            Assert.Equal(ToyWorld.Weights(sae), ToyWorld.Weights(saved));
            Assert.True(File.Exists(Path.Combine(folders.Artefacts, TrainSaeRecipe.UseFile)));
        }
    }

    [Fact]
    public void A_killed_run_goes_on_as_if_nothing_had_happened()
    {
        using var own = new RunFolders();
        var (whole, uninterrupted) = Run(Spec, own);
        Assert.Throws<SeenProgress.Killed>(() => Run(Spec, folders, new SeenProgress(dieAfterStep: 70)));
        var seen = new SeenProgress();

        var (resumed, report) = Run(Spec, folders, seen);

        using (whole)
        using (resumed)
        {
            Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 50 of 120", StringComparison.Ordinal));
            Assert.Equal(uninterrupted.Losses, report.Losses);
            Assert.Equal(ToyWorld.Weights(whole), ToyWorld.Weights(resumed));
        }
    }

    [Fact]
    public void The_authors_recipe_reads_ends_of_sentences_only()
    {
        var (sae, report) = Run(Spec with { EndShare = 0, AuxiliaryCoefficient = 0, UseRelu = false, Selection = SaeSelection.TopK, Steps = 5 }, folders);

        sae.Dispose();
        Assert.All(report.Losses, loss => Assert.InRange(loss, 0, 10));
        Assert.False(sae.Config.UseRelu);
    }

    [Fact]
    public void Tensors_do_not_pile_up()
    {
        var live = new Dictionary<int, long>();
        var statistics = DisposeScopeManager.Statistics;
        var (sae, _) = Run(Spec with { CheckpointEverySteps = 0, Steps = 40 }, folders, new SeenProgress { AfterStep = step => live[step] = statistics.ThreadTotalLiveCount });

        sae.Dispose();
        Assert.Equal(live[3], live[30]);
    }

    [Theory]
    [InlineData(0, "Rate(0)", 0.1)] // 10 steps of warm-up in 200: a tenth at the first
    [InlineData(9, "Rate(9)", 1)]
    [InlineData(100, "Rate(100)", 1)]
    [InlineData(160, "Rate(160)", 1)] // the last fifth begins
    [InlineData(180, "Rate(180)", 0.5)]
    [InlineData(199, "Rate(199)", 0.025)]
    public void The_rate_warms_up_stays_and_falls(int step, string what, double expected) => Assert.True(Math.Abs(TrainSaeRecipe.Rate(step, 200) - expected) < 1e-9, what);

    public static TheoryData<TrainSae, string> Wrong => new()
    {
        { Spec with { K = 100 }, "SAE: k is 100; it must lie between 1 and the 64 latents." },
        { Spec with { Layer = 3 }, "layer: the model has 2 blocks; 3 were asked for." },
        { Spec with { EndShare = 1.5 }, "endShare is 1.5; it must lie between 0 and 1." },
        { Spec with { Steps = 0 }, "steps and batchVectors must be at least 1; they are 0 and 64." },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void A_spec_that_cannot_be_is_refused_by_field(TrainSae spec, string message)
    {
        var error = Assert.Throws<CannotTrain>(() => Run(spec, folders));

        Assert.Equal(message, error.Message);
        Assert.Empty(Directory.EnumerateFiles(folders.Artefacts));
    }

    [Fact]
    public void Texts_without_a_sentence_need_a_share_of_ends_of_1()
    {
        var rows = new TrainingSplit<ResponseText>([.. Rows.Train.Select(row => row with { Response = "yes" })], []);

        Assert.Contains("No response has a sentence", Assert.Throws<CannotTrain>(() => TrainSaeRecipe.Run(Spec, model.Backbone, ToyWorld.Tokenizer, rows, folders.Checkpoints, folders.Context())).Message, StringComparison.Ordinal);
        var (sae, _) = TrainSaeRecipe.Run(Spec with { EndShare = 1, Steps = 3, Expansion = 1 }, model.Backbone, ToyWorld.Tokenizer, rows, folders.Checkpoints, folders.Context());
        sae.Dispose();
    }

    private (TopKSae Sae, TrainingReport Report) Run(TrainSae spec, RunFolders where, SeenProgress? progress = null) =>
        TrainSaeRecipe.Run(spec, model.Backbone, ToyWorld.Tokenizer, Rows, Path.Combine(where.Checkpoints, "states"), where.Context(progress));
}
