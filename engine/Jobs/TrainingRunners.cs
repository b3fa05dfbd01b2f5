namespace Portal.Engine.Jobs;

/// <summary>The runners of jobs that compute: those that train, those that change what was trained or erase what it was trained on, and those that sample, compare, describe and audit.</summary>
public static class TrainingRunners
{
    /// <summary>Registers them.</summary>
    public static JobRunners AddTo(JobRunners runners) => runners
        .Add(() => new TrainSftRunner())
        .Add(() => new TrainRewardModelRunner())
        .Add(() => new TrainPreferencePolicyRunner())
        .Add(() => new TrainRlooPolicyRunner())
        .Add(() => new TrainSaeRunner())
        .Add(() => new TrainSarmRunner())
        .Add(() => new PublishTogglesRunner())
        .Add(() => new CompareBestOfNRunner())
        .Add(() => new SampleResponsesRunner())
        .Add(() => new DescribeFeaturesRunner())
        .Add(() => new AuditRewardRunner())
        .Add(() => new CheckReRlRunner())
        .Add(() => new MeasureDriftRunner())
        .Add(() => new ExplainResponsesRunner())
        .Add(() => new UnlearnPairsRunner())
        .Add(() => new EraseDataRunner());
}
