using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;

namespace Portal.Engine.Recipes;

/// <summary>The steps of a run: which micro-batches each holds, over all epochs, from a given step on.</summary>
internal static class StepsOf
{
    /// <summary>Step numbers (0-based) with their micro-batches of example indices. The last step of an epoch may hold fewer micro-batches.</summary>
    public static IEnumerable<(int Step, IReadOnlyList<int[]> Batches)> Run(IReadOnlyList<int> lengths, OptimizationSpec options, long seed,
        int fromStep, int stepsTotal, bool keepOrder = false)
    {
        var step = 0;
        for (var epoch = 0; epoch < options.Epochs; epoch++)
            foreach (var batches in BatchOrder.Epoch(lengths, options.BatchSize, seed, epoch, keepOrder).Chunk(options.AccumulationSteps))
            {
                if (step >= stepsTotal)
                    yield break;
                if (step >= fromStep)
                    yield return (step, batches);
                step++;
            }
    }
}

/// <summary>Keeping the best weights, and stopping when nothing gets better.</summary>
internal static class EarlyStop
{
    /// <summary>Books one evaluation; saves the weights when it is the best so far.</summary>
    public static RunState Next(RunState state, HeldOutFigures heldOut, OptimizationSpec options, Checkpoint checkpoint)
    {
        if (options.Patience is null && !heldOut.KeepsBest)
            return state; // the last weights are kept
        if (state.BestValue is { } best && heldOut.Value <= best)
            return state with { EvaluationsWithoutGain = state.EvaluationsWithoutGain + 1 };
        checkpoint.SaveBest();
        return state with { BestStep = state.Step, BestValue = heldOut.Value, EvaluationsWithoutGain = 0 };
    }

    /// <summary>Puts the best weights back when they are better than the last ones.</summary>
    /// <param name="last">The held-out figure of the last weights; higher is better.</param>
    /// <returns>The step the kept weights come from.</returns>
    public static int KeepBest(RunState state, double last, Checkpoint checkpoint)
    {
        if (state.BestStep is not { } best || state.BestStep == state.Step || !(state.BestValue > last))
            return state.Step;
        checkpoint.RestoreBest();
        return best;
    }

    /// <summary>True when as many evaluations as the spec allows brought nothing better.</summary>
    public static bool IsDue(RunState state, OptimizationSpec options) => options.Patience is { } patience && state.EvaluationsWithoutGain >= patience;
}
