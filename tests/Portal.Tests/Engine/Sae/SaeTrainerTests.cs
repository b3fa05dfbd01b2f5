using Portal.Engine.Models;
using Portal.Engine.Sae;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

/// <summary>
/// Gradients by hand against PyTorch's autograd and Adam (sae_vectors.json). The golden run is in float64, ours in float32: losses of a step agree
/// to 2e-6; weights after up to 25 steps to 2e-4, some of it because Adam's first steps divide a gradient by its own size.
/// </summary>
public sealed class SaeTrainerTests
{
    public static TheoryData<string> Cases => [.. SaeCase.All.Select(one => one.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Matches_the_golden_run(string name)
    {
        var golden = SaeCase.All.Single(one => one.Name == name);
        using var sae = golden.Sae();
        using var trainer = new SaeTrainer(sae, golden.Options);

        for (var step = 0; step < golden.Steps; step++)
        {
            var dead = trainer.Dead;
            var seen = trainer.Step(golden.Normalised(step), [.. golden.Positions(step)], golden.LearningRate);
            Assert.True(Math.Abs(golden.Nmse[step] - seen.Nmse) < 2e-6 * (step + 1), $"step {step}: NMSE {seen.Nmse}, golden {golden.Nmse[step]}");
            Assert.True(Math.Abs(golden.AuxLoss[step] - seen.AuxiliaryLoss) < 2e-6 * (step + 1), $"step {step}: auxiliary {seen.AuxiliaryLoss}, golden {golden.AuxLoss[step]}");
            if (golden.Aux > 0)
                Assert.Equal(golden.Dead[step], dead);
        }

        foreach (var (weight, expected) in sae.Weights().Zip([golden.End.Encoder, golden.End.Bias, golden.End.Decoder, golden.End.PreBias]))
            Assert.True(SaeValues.Distance(Floats(weight), expected) < 2e-4, $"{SaeValues.Distance(Floats(weight), expected)}");
    }

    /// <summary>The control of the test above: one golden weight moved by a hundredth is seen.</summary>
    [Fact]
    public void A_perturbed_golden_run_does_not_match()
    {
        var golden = SaeCase.All[0];
        golden = golden with { Start = golden.Start with { Encoder = [golden.Start.Encoder[0] + 0.01, .. golden.Start.Encoder[1..]] } };
        using var sae = golden.Sae();
        using var trainer = new SaeTrainer(sae, golden.Options);

        for (var step = 0; step < golden.Steps; step++)
            trainer.Step(golden.Normalised(step), [.. golden.Positions(step)], golden.LearningRate);

        Assert.True(SaeValues.Distance(Floats(sae.EncoderWeight), golden.End.Encoder) > 2e-3);
    }

    [Theory]
    [InlineData("auxiliary loss")]
    [InlineData("batch topk")]
    public void A_run_that_was_saved_and_loaded_goes_on_as_if_it_had_not_been(string name)
    {
        var golden = SaeCase.All.Single(one => one.Name == name);
        using var whole = golden.Sae();
        using var uninterrupted = new SaeTrainer(whole, golden.Options);
        using var parted = golden.Sae();
        using var state = new MemoryStream();
        using (var before = new SaeTrainer(parted, golden.Options))
        {
            Run(before, golden, 0, 6);
            before.Save(state);
        }
        state.Position = 0;
        using var after = new SaeTrainer(parted, golden.Options);
        after.Load(state);

        Run(uninterrupted, golden, 0, golden.Steps);
        Run(after, golden, 6, golden.Steps);
        uninterrupted.Finish();
        after.Finish();

        foreach (var (one, other) in whole.Weights().Zip(parted.Weights()))
            Assert.Equal(Floats(one), Floats(other));
        Assert.Equal(whole.Config.Threshold, parted.Config.Threshold);
        Assert.Equal(golden.Selection == "BatchTopK", whole.Config.Threshold is > 0);
    }

    [Fact]
    public void The_number_of_threads_changes_nothing()
    {
        var golden = SaeCase.All.Single(one => one.Name == "auxiliary loss");
        var threads = get_num_threads();
        var weights = new List<IReadOnlyList<double>>();
        try
        {
            foreach (var count in new[] { 1, 4 })
            {
                set_num_threads(count);
                using var sae = golden.Sae();
                using var trainer = new SaeTrainer(sae, golden.Options);
                Run(trainer, golden, 0, golden.Steps);
                weights.Add([.. sae.Weights().SelectMany(Floats)]);
            }
        }
        finally
        {
            set_num_threads(threads);
        }

        Assert.Equal(weights[0], weights[1]);
    }

    [Fact]
    public void After_training_the_decoder_has_rows_of_norm_1()
    {
        var golden = SaeCase.All[0];
        using var sae = golden.Sae();
        using var trainer = new SaeTrainer(sae, golden.Options);
        Run(trainer, golden, 0, 3);

        trainer.Finish();

        Assert.All(Floats(sae.DecoderWeight).Chunk(golden.Width), row => Assert.Equal(1, Math.Sqrt(row.Sum(value => value * value)), 5));
    }

    private static void Run(SaeTrainer trainer, SaeCase golden, int from, int to)
    {
        for (var step = from; step < to; step++)
            trainer.Step(golden.Normalised(step), [.. golden.Positions(step)], golden.LearningRate);
    }

    private static double[] Floats(Tensor weight) => [.. weight.detach().ToFloats().Select(value => (double)value)];
}
