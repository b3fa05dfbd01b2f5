using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;
using static TorchSharp.torch;

namespace Portal.Engine.Unlearning;

/// <summary>
/// How quickly a model learns back what it unlearnt, from a few of the pairs that went: what is only hidden comes back sooner than it comes to a model that never saw it. Source: specs/xrlhf.md §5.3 (a tenth of S, one epoch,
/// beside gold).
/// </summary>
public static class Relearning
{
    /// <summary>Steps that the pairs are learnt in, once over them.</summary>
    public const int Steps = 5;

    /// <summary>Learns some pairs, at the training's rate.</summary>
    /// <param name="model">Changed in place.</param>
    /// <param name="some">Pairs of S; those longer than the window are left out.</param>
    /// <param name="measure">Of the behaviour, of the model as it is then.</param>
    /// <returns>Measured before and after each step: 1 + <see cref="Steps"/> numbers, fewer where there are fewer pairs.</returns>
    /// <exception cref="CannotTrain">No pair fits the window.</exception>
    public static IReadOnlyList<double> Run(LlamaReward model, ITokenizer tokenizer, IReadOnlyList<PreferencePair> some, TrainRewardModel training, Func<double> measure, RecipeContext context)
    {
        var encoder = new DialogueEncoder(tokenizer, Math.Min(training.LengthMax, model.ContextLength), training.Overlong);
        var pairs = TrainRewardModelRecipe.Encode(encoder, some);
        if (pairs.Count == 0)
            throw new CannotTrain("There is no pair to learn again: none fits the training's window.");
        var spec = training.Optimization with { BatchSize = (pairs.Count + Steps - 1) / Steps, AccumulationSteps = 1, Epochs = 1, StepsMax = null, WarmupSteps = 0, Schedule = Schedule.Constant };
        List<double> curve = [measure()];
        var total = (pairs.Count + spec.BatchSize - 1) / spec.BatchSize;
        using var optimization = new Optimization(model.Backbone.parameters(), [model.ScoreWeight], spec, total);
        foreach (var (step, batches) in StepsOf.Run([.. pairs.Select(TrainRewardModelRecipe.LengthOf)], spec, context.Seed, 0, total))
        {
            context.ThrowIfStopped();
            model.train();
            using (NewDisposeScope())
            {
                var (chosen, rejected, _) = TrainRewardModelRecipe.Rewards(model, tokenizer.PadId, [.. batches[0].Select(i => pairs[i])]);
                optimization.Accumulate(Losses.BradleyTerryLoss.Compute(chosen, rejected), share: 1, step);
            }
            optimization.Step(step);
            model.eval();
            curve.Add(measure());
        }
        return curve;
    }
}
