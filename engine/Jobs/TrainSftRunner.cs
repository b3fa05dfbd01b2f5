using Portal.Data.JobSpecs;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// Supervised fine-tuning needs dialogues to imitate, and the portal collects judgements: it has no job of this kind. The recipe runs on
/// files, from the command line.
/// </summary>
public sealed class TrainSftRunner : IJobRunner<TrainSft>
{
    /// <inheritdoc/>
    /// <exception cref="CannotTrain">Always, with the command that does it.</exception>
    public Task<JobResult> Run(TrainSft spec, JobRun run) => throw new CannotTrain(
        "Supervised fine-tuning has no job, since a project holds judgements and no dialogues to imitate. Run it on a file: engine train sft --model FOLDER --data FILE --out FOLDER.");
}
