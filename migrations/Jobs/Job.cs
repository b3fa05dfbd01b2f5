namespace Portal.Data.Jobs;

/// <summary>
/// Something a person asked of the engine, and how far it is. The only state about work that pages read: the engine's own queue is its
/// private matter.
/// </summary>
public sealed class Job
{
    /// <summary>A crashed job is resumed from its checkpoint at most this often; then it fails.</summary>
    public const int ResumesMax = 2;

    public required JobId Id { get; init; }

    /// <summary>1, 2, 3 ... in the installation, for people to talk about.</summary>
    public required int Number { get; init; }

    public required ProjectId ProjectId { get; init; }

    /// <summary>The stem of the spec: "TrainRewardModel".</summary>
    public required string Kind { get; init; }

    /// <summary>The whole spec as JSON (<see cref="JobSpecs.JobSpec"/>).</summary>
    public required string SpecJson { get; init; }

    /// <summary>The job that must succeed first; null when this one may start at once.</summary>
    public JobId? AfterJobId { get; init; }

    public required Guid? CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public JobState State { get; private set; } = JobState.Queued;
    public DateTimeOffset? StartedAt { get; private set; }
    public DateTimeOffset? FinishedAt { get; private set; }

    /// <summary>When somebody asked to cancel; null when nobody did.</summary>
    public DateTimeOffset? CancelAskedAt { get; private set; }

    /// <summary>How often it was taken up again after a crash.</summary>
    public int Resumes { get; private set; }

    /// <summary>Progress, 0-based count of finished steps, and how many there will be; 0 while not known.</summary>
    public int Step { get; private set; }
    public int StepsTotal { get; private set; }

    /// <summary>What it is doing now, for people: "training", "evaluating". Empty before it starts.</summary>
    public string Phase { get; private set; } = "";

    /// <summary>Expected seconds to the end; null while not known.</summary>
    public double? SecondsLeft { get; private set; }

    /// <summary>Why it failed, readable, no stack trace; null otherwise.</summary>
    public string? FailReason { get; private set; }

    /// <summary>What came out, as the path of a page ("/models/..."); null while nothing did.</summary>
    public string? ResultPath { get; private set; }

    /// <summary>Last sign of life of the process that runs it.</summary>
    public DateTimeOffset? HeartbeatAt { get; private set; }

    public bool IsOver => State is JobState.Succeeded or JobState.Failed or JobState.Cancelled;

    /// <summary>A person wants it stopped. A queued job is cancelled at once, a running one is asked.</summary>
    public void AskCancel(DateTimeOffset at)
    {
        if (IsOver)
            return;
        CancelAskedAt ??= at;
        if (State is JobState.Queued)
            Finish(JobState.Cancelled, at);
    }

    public void Start(DateTimeOffset at)
    {
        if (State is not JobState.Queued)
            throw new InvalidOperationException($"Job {Number} is {State}, not queued.");
        (State, StartedAt, HeartbeatAt) = (JobState.Running, StartedAt ?? at, at);
    }

    public void Report(int step, int stepsTotal, string phase, double? secondsLeft, DateTimeOffset at)
    {
        if (State is not JobState.Running)
            return; // a late report of a process that is being stopped
        (Step, StepsTotal, Phase, SecondsLeft, HeartbeatAt) = (step, stepsTotal, phase, secondsLeft, at);
    }

    /// <summary>The process running it is gone. Queues it again, or fails it when it was resumed too often.</summary>
    /// <returns>True when it will be taken up again.</returns>
    public bool Crashed(string how, DateTimeOffset at)
    {
        if (State is not JobState.Running)
            return false;
        if (CancelAskedAt is not null)
        {
            Finish(JobState.Cancelled, at);
            return false;
        }
        if (Resumes >= ResumesMax)
        {
            Fail($"The worker stopped {Resumes + 1} times ({how}). It was resumed {Resumes} times from its checkpoint and is not tried again.", at);
            return false;
        }
        Resumes++;
        (State, Phase, SecondsLeft) = (JobState.Queued, "", null);
        return true;
    }

    /// <summary>The engine is being stopped: the job waits for the next start and goes on from its checkpoint. No crash, so none is counted.</summary>
    public void PutBack(DateTimeOffset at)
    {
        if (State is not JobState.Running)
            return;
        if (CancelAskedAt is not null)
            Finish(JobState.Cancelled, at);
        else
            (State, Phase, SecondsLeft) = (JobState.Queued, "", null);
    }

    public void Succeed(string? resultPath, DateTimeOffset at)
    {
        ResultPath = resultPath;
        Finish(JobState.Succeeded, at);
    }

    public void Fail(string reason, DateTimeOffset at)
    {
        FailReason = reason;
        Finish(JobState.Failed, at);
    }

    public void Cancelled(DateTimeOffset at) => Finish(JobState.Cancelled, at);

    private void Finish(JobState state, DateTimeOffset at)
    {
        if (IsOver)
            throw new InvalidOperationException($"Job {Number} is already {State}.");
        (State, FinishedAt, SecondsLeft) = (state, at, null);
    }
}

/// <summary>Where a job stands.</summary>
public enum JobState { Queued = 1, Running = 2, Succeeded = 3, Failed = 4, Cancelled = 5 }

/// <summary>A line of a job's log. Append-only.</summary>
public sealed class JobEvent
{
    public long Id { get; init; }
    public required JobId JobId { get; init; }
    public required DateTimeOffset At { get; init; }
    public required JobEventLevel Level { get; init; }

    /// <summary>One line for people; ids, counts and durations, never a prompt or response.</summary>
    public required string Message { get; init; }
}

/// <summary>How serious a log line is.</summary>
public enum JobEventLevel { Info = 1, Warning = 2, Error = 3 }

/// <summary>One point of a curve. Append-only; a resumed job overwrites the points after its checkpoint.</summary>
public sealed class MetricPoint
{
    public required JobId JobId { get; init; }

    /// <summary>The metric's standard name: "loss", "accuracy", "heldout/accuracy", "tokens_per_second".</summary>
    public required string Name { get; init; }

    public required int Step { get; init; }

    /// <summary>The value; NaN is never stored (a diverged run fails instead).</summary>
    public required double Value { get; init; }
}
