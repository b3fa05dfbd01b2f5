using System.Diagnostics;
using System.Globalization;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Tests.Engine.Jobs;

/// <summary>
/// Stands in for training in the tests of the queue: counts steps, keeps a checkpoint after each, and ends with a number that every step
/// went into. The number of steps is the spec's StepsMax, the seconds of a step its LearningRate; the seed chooses how it misbehaves.
/// </summary>
internal sealed class CountingRunner : IJobRunner<TrainRewardModel>
{
    /// <summary>Its process dies two steps after it began, every time.</summary>
    public const long Dies = 13;

    /// <summary>Does not care about being asked to stop, and has a child of its own.</summary>
    public const long Stubborn = 14;

    public const long CannotTrain = 15;
    public const long Throws = 16;

    /// <summary>Finds, while it stores its result, that what the result rests on has changed.</summary>
    public const long Overtaken = 17;

    public static TrainRewardModel Spec(int steps, double secondsPerStep = 0.02, long seed = 1) => new()
    {
        Seed = seed, Optimization = new OptimizationSpec { StepsMax = steps, LearningRate = secondsPerStep },
    };

    /// <summary>What an uninterrupted run ends with.</summary>
    public static ulong Result(int steps)
    {
        ulong state = 1;
        for (var step = 0; step < steps; step++)
            state = Next(state, step);
        return state;
    }

    public Task<JobResult> Run(TrainRewardModel spec, JobRun run)
    {
        if (spec.Seed == CannotTrain)
            throw new CannotTrain("There is no usable pair among 12 judgements.");
        if (spec.Seed == Throws)
            throw new InvalidTimeZoneException("The spring is broken.");
        var context = run.RecipeContext(spec.Seed);
        var total = spec.Optimization.StepsMax ?? 10;
        var checkpoint = Path.Combine(context.CheckpointFolder, "state.txt");
        var (begin, state) = Read(checkpoint);
        if (spec.Seed == Stubborn)
            Process.Start("sleep", "1000");
        context.Log($"Begins at step {begin}.");
        Console.Error.WriteLine($"Begins at step {begin}."); // reaches the log file even when this process dies before its first row
        for (var step = begin; step < total; step++)
        {
            if (spec.Seed != Stubborn)
                context.ThrowIfStopped();
            if (spec.Seed == Dies && step == begin + 2)
                Process.GetCurrentProcess().Kill();
            Thread.Sleep(TimeSpan.FromSeconds(spec.Optimization.LearningRate));
            state = Next(state, step);
            context.Report(step + 1, total, "training");
            context.Metric("loss", step + 1, 1.0 / (step + 1));
            ArtefactFile.Write(checkpoint, stream => stream.Write(System.Text.Encoding.ASCII.GetBytes($"{step + 1} {state}")));
        }
        File.WriteAllText(Path.Combine(context.ArtefactFolder, "weights"), $"{state}");
        var at = run.Time.GetUtcNow();
        return Task.FromResult(new JobResult($"/models/{run.ModelFolder}",
            db =>
            {
                db.JobEvents.Add(new JobEvent { JobId = run.JobId, At = at, Level = JobEventLevel.Info, Message = $"Result {state}" });
                if (spec.Seed == Overtaken)
                    throw new CannotTrain("Somebody else was faster.");
            }));
    }

    /// <summary>Leaves a mark, so that a test sees whether the queue asked for it.</summary>
    public Task Discard(TrainRewardModel spec, JobRun run) => File.WriteAllTextAsync(Mark(run.Directory, run.JobId, "discarded"), "");

    public Task Clean(TrainRewardModel spec, JobRun run) => File.WriteAllTextAsync(Mark(run.Directory, run.JobId, "cleaned"), "");

    /// <summary>Which of the two marks a job left.</summary>
    public static (bool Discarded, bool Cleaned) Marks(DataDirectory directory, JobId job) => (File.Exists(Mark(directory, job, "discarded")), File.Exists(Mark(directory, job, "cleaned")));

    private static string Mark(DataDirectory directory, JobId job, string what) => Path.Combine(directory.Uploads, $"{job.Value:N}.{what}");

    private static ulong Next(ulong state, int step) => state * 6364136223846793005UL + (ulong)step;

    private static (int Step, ulong State) Read(string checkpoint)
    {
        if (!File.Exists(checkpoint))
            return (0, 1);
        var parts = File.ReadAllText(checkpoint).Split(' ');
        return (int.Parse(parts[0], CultureInfo.InvariantCulture), ulong.Parse(parts[1], CultureInfo.InvariantCulture));
    }
}
