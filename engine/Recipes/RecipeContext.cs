using Portal.Data.Jobs;

namespace Portal.Engine.Recipes;

/// <summary>
/// What a recipe is given besides its spec and its data: where to say how far it is, where to put what it makes, and when to stop. It knows
/// no queue and no database, so the same recipe runs as a job, from the command line and in a test.
/// </summary>
/// <remarks>
/// A recipe calls, every step and in this order: <see cref="ThrowIfStopped"/>, its own step, <see cref="Report"/>, <see cref="Metric"/>. It
/// is used by one thread, the recipe's own; the receiver of the progress sees to being quick (it may be called thousands of times a second).
/// </remarks>
/// <example><code>
/// for (var step = checkpoint.Step; step &lt; total; step++)
/// {
///     context.ThrowIfStopped();
///     var loss = TrainOn(batches[step]);
///     context.Report(step + 1, total, "training");
///     context.Metric("loss", step + 1, loss);
/// }
/// </code></example>
public sealed class RecipeContext
{
    private readonly TimeProvider time;
    private readonly IRecipeProgress progress;
    private string phase = "";
    private long phaseStarted;
    private int phaseFirstStep;

    /// <param name="artefactFolder">Where results go; made when it is missing.</param>
    /// <param name="checkpointFolder">Where a half-done run is kept; made when it is missing. Not empty means: resume from it.</param>
    /// <param name="seed">Seeds everything random in the recipe.</param>
    /// <param name="progress">Who is told.</param>
    /// <param name="time">The clock behind "time left".</param>
    /// <param name="stop">Somebody wants the recipe to end early.</param>
    public RecipeContext(string artefactFolder, string checkpointFolder, long seed, IRecipeProgress progress, TimeProvider time,
        CancellationToken stop)
    {
        Directory.CreateDirectory(artefactFolder);
        Directory.CreateDirectory(checkpointFolder);
        (ArtefactFolder, CheckpointFolder, Seed, Stop) = (artefactFolder, checkpointFolder, seed, stop);
        (this.progress, this.time) = (progress, time);
    }

    /// <summary>The same run in other folders: for a recipe that is one part of a larger run.</summary>
    public RecipeContext At(string artefactFolder, string checkpointFolder) => new(artefactFolder, checkpointFolder, Seed, progress, time, Stop);

    /// <summary>The folder for results (weights, tokenizer, report), this run's alone. Files in it are written through <see cref="ArtefactFile"/>.</summary>
    public string ArtefactFolder { get; }

    /// <summary>The folder for checkpoints. It outlives a crash: a run that finds a whole checkpoint in it goes on from there.</summary>
    public string CheckpointFolder { get; }

    /// <summary>Seeds everything random; the same seed on the same data gives the same result.</summary>
    public long Seed { get; }

    /// <summary>Asks the recipe to end early; pass it on to what waits, poll it with <see cref="ThrowIfStopped"/> where nothing waits.</summary>
    public CancellationToken Stop { get; }

    /// <summary>Call it at the start of every step: ends the recipe when somebody cancelled it.</summary>
    /// <exception cref="OperationCanceledException">Somebody did.</exception>
    public void ThrowIfStopped() => Stop.ThrowIfCancellationRequested();

    /// <summary>How far the recipe is. The time left is computed here, from the pace since the phase began (or was resumed).</summary>
    /// <param name="step">Finished steps, 0 to <paramref name="stepsTotal"/>.</param>
    /// <param name="stepsTotal">All steps of this phase; 0 while not known.</param>
    /// <param name="phase">What it is doing, for people: "training", "evaluating".</param>
    public void Report(int step, int stepsTotal, string phase)
    {
        if (phase != this.phase)
            (this.phase, phaseStarted, phaseFirstStep) = (phase, time.GetTimestamp(), step);
        var done = step - phaseFirstStep;
        double? secondsLeft = done > 0 && stepsTotal > 0
            ? time.GetElapsedTime(phaseStarted).TotalSeconds / done * Math.Max(0, stepsTotal - step)
            : null;
        progress.Report(step, stepsTotal, phase, secondsLeft);
    }

    /// <summary>One point of a curve.</summary>
    /// <param name="name">The metric's standard name: "loss", "accuracy", "heldout/accuracy", "tokens_per_second".</param>
    /// <param name="step">Finished steps when it was measured.</param>
    /// <param name="value">Finite.</param>
    /// <exception cref="CannotTrain">The value is NaN or infinite: the run has diverged, and the message says what to change.</exception>
    public void Metric(string name, int step, double value)
    {
        if (!double.IsFinite(value))
            throw new CannotTrain(
                $"Training diverged at step {step}: {name} is {value}. Lower the learning rate, warm up longer or clip gradients harder, then start again.");
        progress.Metric(name, step, value);
    }

    /// <summary>A line of the log for people. Ids, counts and durations; never the text of a prompt or response.</summary>
    public void Log(string message) => progress.Log(JobEventLevel.Info, message);

    /// <summary>A line of the log about something that people should look at.</summary>
    public void Warn(string message) => progress.Log(JobEventLevel.Warning, message);
}

/// <summary>Who is told how far a recipe is: the queue's rows, the terminal, or a test.</summary>
public interface IRecipeProgress
{
    /// <summary>Steps finished and to do, the phase in words, and the seconds left (null while not known).</summary>
    void Report(int step, int stepsTotal, string phase, double? secondsLeft);

    /// <summary>One point of a curve; the value is finite. The same name and step again replaces the point (a resumed run).</summary>
    void Metric(string name, int step, double value);

    /// <summary>A log line.</summary>
    void Log(JobEventLevel level, string message);
}
