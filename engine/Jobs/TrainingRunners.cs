namespace Portal.Engine.Jobs;

/// <summary>The runners of jobs that compute: those that train, those that change what was trained, and the one that samples.</summary>
public static class TrainingRunners
{
    /// <summary>Registers them.</summary>
    public static JobRunners AddTo(JobRunners runners) => runners
        .Add(() => new TrainSftRunner())
        .Add(() => new TrainRewardModelRunner())
        .Add(() => new TrainPreferencePolicyRunner())
        .Add(() => new TrainSaeRunner())
        .Add(() => new TrainSarmRunner())
        .Add(() => new PublishTogglesRunner())
        .Add(() => new SampleResponsesRunner());
}
