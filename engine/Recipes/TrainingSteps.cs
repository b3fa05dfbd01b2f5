using System.Diagnostics;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using TorchSharp;
using TorchSharp.Modules;

namespace Portal.Engine.Recipes;

/// <summary>What a recipe has to say about its held-out rows after some steps.</summary>
/// <param name="Value">What early stop goes by; higher is better.</param>
/// <param name="Name">It in words: "held-out loss".</param>
/// <param name="Points">The curves' points.</param>
internal sealed record HeldOutFigures(double Value, string Name, params IReadOnlyList<(string Name, double Value)> Points)
{
    /// <summary>The best weights are kept even where the spec has no patience.</summary>
    public bool KeepsBest { get; init; }
}

/// <summary>How many examples a recipe had, and what became of the over-long ones.</summary>
internal sealed record ExampleCounts(int Train, int HeldOut, int Filtered, int Truncated);

/// <summary>
/// What surrounds a recipe's own gradients: it takes up where a killed run stood, moves the weights, tells the curves, looks at the held-out
/// rows, keeps checkpoints and writes the report. The loop and the gradients are the recipe's own.
/// </summary>
internal sealed class TrainingSteps : IDisposable
{
    private readonly RecipeContext context;
    private readonly JobSpec spec;
    private readonly OptimizationSpec options;
    private readonly IReadOnlyList<int> lengths;
    private readonly string fingerprint;
    private readonly Optimization optimization;
    private readonly Checkpoint checkpoint;
    private readonly Stopwatch watch;
    private readonly List<double> losses;
    private readonly int stepsTotal;
    private RunState state;
    private long tokensSeen;

    /// <param name="model">Whose weights are kept in checkpoints; put into training mode.</param>
    /// <param name="body">Parameters at the learning rate.</param>
    /// <param name="head">Parameters at the head's rate; may be empty.</param>
    /// <param name="lengths">Length of each training example, tokens.</param>
    /// <param name="fingerprint">What the run is; see <see cref="Checkpoint.Fingerprint"/>.</param>
    public TrainingSteps(RecipeContext context, JobSpec spec, OptimizationSpec options, torch.nn.Module model, IEnumerable<Parameter> body,
        IEnumerable<Parameter> head, IReadOnlyList<int> lengths, string fingerprint)
    {
        (this.context, this.spec, this.options, this.lengths, this.fingerprint) = (context, spec, options, lengths, fingerprint);
        stepsTotal = Optimization.StepsTotal(options, (lengths.Count + options.BatchSize - 1) / options.BatchSize);
        optimization = new Optimization(body, head, options, stepsTotal);
        checkpoint = new Checkpoint(context.CheckpointFolder, fingerprint, model);
        state = checkpoint.Resume(optimization.Load) ?? new RunState(0);
        if (state.Step > 0)
            context.Log($"Resumed at step {state.Step} of {stepsTotal}.");
        model.train();
        losses = [.. state.Losses];
        watch = Stopwatch.StartNew();
    }

    /// <summary>Finished steps.</summary>
    public int Done => state.Step;

    /// <summary>The steps still to do: number (0-based) and micro-batches of example indices. Ends the recipe when somebody cancelled it.</summary>
    public IEnumerable<(int Step, IReadOnlyList<int[]> Batches)> Rest(bool keepOrder = false)
    {
        foreach (var step in StepsOf.Run(lengths, options, spec.Seed, state.Step, stepsTotal, keepOrder))
        {
            context.ThrowIfStopped();
            yield return step;
        }
    }

    /// <inheritdoc cref="Optimization.Accumulate"/>
    public double Accumulate(torch.Tensor loss, double share, int step) => optimization.Accumulate(loss, share, step);

    /// <summary>The KL coefficient of a recipe whose coefficient follows a budget; kept in checkpoints. Null elsewhere.</summary>
    public double? KlCoefficient
    {
        get => state.KlCoefficient;
        set => state = state with { KlCoefficient = value };
    }

    /// <summary>Divergences of the newest steps, of a recipe that stops at a budget; kept in checkpoints.</summary>
    public IReadOnlyList<double> NewestKl
    {
        get => state.NewestKl;
        set => state = state with { NewestKl = value };
    }

    /// <summary>An update within a step, for a recipe that passes more than once over what a step is about. The last pass ends by <see cref="Finish"/>.</summary>
    public void Update(int step) => optimization.Step(step);

    /// <summary>Ends a step whose gradients are there.</summary>
    /// <param name="tokens">Real tokens read in it.</param>
    /// <param name="evaluate">Measures the held-out rows; called where the spec says so. Null when there are none.</param>
    /// <param name="measured">Further points of the training curves.</param>
    /// <returns>False when nothing got better for as long as the spec allows: the recipe ends here.</returns>
    public bool Finish(int step, double loss, long tokens, Func<HeldOutFigures>? evaluate, params IReadOnlyList<(string Name, double Value)> measured)
    {
        var norm = optimization.Step(step);
        losses.Add(loss);
        tokensSeen += tokens;
        var done = step + 1;
        Tell(done, [("loss", loss), .. measured, ("grad_norm", norm), ("learning_rate", optimization.LearningRate(step)),
            ("tokens_per_second", tokensSeen / watch.Elapsed.TotalSeconds)]);
        context.Report(done, stepsTotal, "training");
        state = state with { Step = done };
        if (evaluate is not null && IsDue(options.EvaluateEverySteps))
        {
            var heldOut = evaluate();
            Tell(done, heldOut.Points);
            state = EarlyStop.Next(state, heldOut, options, checkpoint);
            if (EarlyStop.IsDue(state, options))
            {
                context.Log($"Stopped at step {done}: no better {heldOut.Name} in {state.EvaluationsWithoutGain} evaluations.");
                return false;
            }
        }
        if (IsDue(options.CheckpointEverySteps))
            checkpoint.Save(optimization.Save, state with { Losses = losses });
        return true;
    }

    /// <inheritdoc cref="EarlyStop.KeepBest"/>
    public int KeepBest(double last) => EarlyStop.KeepBest(state, last, checkpoint);

    /// <summary>Writes the report beside the weights.</summary>
    /// <param name="recipe">The spec's name.</param>
    /// <param name="kept">The step the kept weights come from.</param>
    public TrainingReport Write(string recipe, int kept, ExampleCounts examples, TimeSpan taken, IReadOnlyList<Measurement> measurements)
    {
        var report = new TrainingReport
        {
            Recipe = recipe, Spec = spec.ToJson(), Fingerprint = fingerprint, Steps = state.Step, KeptStep = kept,
            ExamplesTrain = examples.Train, ExamplesHeldOut = examples.HeldOut, Filtered = examples.Filtered, Truncated = examples.Truncated,
            Seconds = taken.TotalSeconds, Losses = losses, Measurements = measurements,
        };
        report.Write(context.ArtefactFolder);
        return report;
    }

    public void Dispose() => optimization.Dispose();

    /// <summary>Every so many steps, but not after the last one: the end has its own.</summary>
    private bool IsDue(int everySteps) => everySteps > 0 && state.Step % everySteps == 0 && state.Step < stepsTotal;

    private void Tell(int done, IReadOnlyList<(string Name, double Value)> points)
    {
        foreach (var (name, value) in points)
            context.Metric(name, done, value);
    }
}
