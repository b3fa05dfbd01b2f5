using System.Text.Json;

namespace Portal.Data.Erasure;

/// <summary>What is erased of whom.</summary>
public enum ErasureKind
{
    /// <summary>Of a person who judged: the link to the account, free texts, drafts, and the name judgements are kept under. The votes stay, as nobody's.</summary>
    AnnotatorLink = 1,
    /// <summary>The same and the votes: every judgement goes, and so does what was trained on it.</summary>
    AnnotatorLabels = 2,
    /// <summary>Of prompts: their texts, the responses to them, the judgements on those, and what was trained on them.</summary>
    Prompts = 3,
}

/// <summary>Where a request stands. What its job is doing is told by the job.</summary>
public enum ErasureState
{
    /// <summary>Somebody asked; a second person has to decide.</summary>
    Waiting = 1,
    /// <summary>Approved: its job waits, or ended before it began to remove.</summary>
    Approved = 2,
    /// <summary>The job began to remove: there is no way back, only on. It may be run again where it ended early.</summary>
    Running = 3,
    /// <summary>Everything is removed, and there is a proof.</summary>
    Done = 4,
    Refused = 5,
    /// <summary>Taken back by who asked, before anything was removed.</summary>
    Withdrawn = 6,
}

/// <summary>
/// Asks that what belongs to a person be removed: rows, texts, caches, files, and models that learned from them. From the question over a second person's word and a job to a proof that holds no content.
/// </summary>
/// <remarks>
/// Not unlearning, which is about quality and keeps the rows (<see cref="Unlearning.UnlearningRequest"/>): nothing that was removed can be rolled back to, and swapping labels is no way to do it, since it trains on the data again.
/// Whoever asked never decides. Source: specs/xrlhf.md §6.3.
/// </remarks>
public sealed class ErasureRequest
{
    public const int ReasonLengthMax = 1_000;
    public const int NoteLengthMax = 1_000;

    /// <summary>Prompts of one request.</summary>
    public const int PromptsMax = 200;

    /// <summary>A reward model whose head was freed of the data at once is replaced, body and all, within so many days.</summary>
    public const int BodyDueDays = 30;

    public required ErasureRequestId Id { get; init; }

    /// <summary>Where it was asked for, and of prompts where they are. What an annotator gave goes from all projects.</summary>
    public required ProjectId ProjectId { get; init; }

    /// <summary>1, 2, 3 ... in the installation.</summary>
    public required int Number { get; init; }

    public required ErasureKind Kind { get; init; }

    /// <summary>Whose; null for prompts (<see cref="ErasurePrompt"/>).</summary>
    public required AnnotatorId? AnnotatorId { get; init; }

    /// <summary>Why, in the words of who asks. It is kept, so it must not hold what is to be erased; the form says so.</summary>
    public required string Reason { get; init; }

    /// <summary>What it would remove, as counted when it was asked for (<see cref="ErasureRadius"/> as JSON).</summary>
    public required string RadiusJson { get; init; }

    public required Guid RequestedBy { get; init; }
    public required DateTimeOffset RequestedAt { get; init; }
    public ErasureState State { get; private set; } = ErasureState.Waiting;

    /// <summary>Who approved or refused; null before.</summary>
    public Guid? DecidedBy { get; private set; }
    public DateTimeOffset? DecidedAt { get; private set; }

    /// <summary>Their words. A refusal always has them.</summary>
    public string? DecisionNote { get; private set; }

    /// <summary>The newest job; null before it was approved.</summary>
    public JobId? JobId { get; private set; }

    /// <summary>How far the job is (<see cref="ErasureWork"/> as JSON), so that a run after a crash goes on; null before and after.</summary>
    public string? WorkJson { get; private set; }

    /// <summary>What was done (<see cref="ErasureProof"/> as JSON), byte for byte what <see cref="ProofSha256"/> is of; null before.</summary>
    public string? ProofJson { get; private set; }

    /// <summary>Hexadecimal; the audit chain holds it too.</summary>
    public string? ProofSha256 { get; private set; }
    public DateTimeOffset? FinishedAt { get; private set; }

    /// <summary>When the bodies of reward models that were freed at their heads only have to be replaced; null where there are none.</summary>
    public DateTimeOffset? BodyDueAt { get; private set; }

    /// <summary>Guards against two people changing it at once.</summary>
    public int RowVersion { get; private set; }

    /// <summary>Waits or runs: what it is about belongs to no other request meanwhile.</summary>
    public bool IsOpen => State is ErasureState.Waiting or ErasureState.Approved or ErasureState.Running;

    /// <summary>What was counted when it was asked for.</summary>
    public ErasureRadius Radius() => JsonSerializer.Deserialize<ErasureRadius>(RadiusJson)!; // stored with the request

    /// <summary>How far the job is; a fresh one before it began.</summary>
    public ErasureWork Work() => WorkJson is { } json ? JsonSerializer.Deserialize<ErasureWork>(json)! : new ErasureWork(); // we wrote it

    /// <summary>A second person agrees.</summary>
    /// <param name="job">Makes the job, in the same write.</param>
    /// <returns>What is wrong; null when it was noted.</returns>
    public Problem? Approve(Guid by, string? note, DateTimeOffset at, Func<Outcome<JobId>> job)
    {
        if (FourEyes.Check(State is ErasureState.Waiting, RequestedBy, by, note, NoteLengthMax) is { } problem)
            return problem;
        var started = job();
        if (started.Refusal is { } refusal)
            return refusal.Problems[0];
        (State, DecidedBy, DecidedAt, DecisionNote, JobId) = (ErasureState.Approved, by, at, FourEyes.Words(note), started.Value);
        RowVersion++;
        return null;
    }

    /// <summary>A second person does not.</summary>
    public Problem? Refuse(Guid by, string? note, DateTimeOffset at)
    {
        if (FourEyes.Check(State is ErasureState.Waiting, RequestedBy, by, note, NoteLengthMax) is { } problem)
            return problem;
        if (FourEyes.Words(note) is not { } words)
            return FourEyes.Wordless;
        (State, DecidedBy, DecidedAt, DecisionNote) = (ErasureState.Refused, by, at, words);
        RowVersion++;
        return null;
    }

    /// <summary>Whoever asked takes it back, as long as nothing was removed.</summary>
    /// <param name="isJobUnderWay">The job may still begin.</param>
    public Problem? Withdraw(Guid by, bool isJobUnderWay)
    {
        if (by != RequestedBy)
            return new Problem("", "Only whoever asked for it takes it back.", ProblemKind.Forbidden);
        if (State is ErasureState.Running)
            return new Problem("", "It has begun to remove, and what is removed does not come back. It can only be brought to its end.", ProblemKind.Conflict);
        if (State is not (ErasureState.Waiting or ErasureState.Approved))
            return new Problem("", "Nothing waits here any more.", ProblemKind.Conflict);
        if (isJobUnderWay)
            return new Problem("", "Its job is under way. Cancel it on its page first.", ProblemKind.Conflict);
        State = ErasureState.Withdrawn;
        RowVersion++;
        return null;
    }

    /// <summary>Another job, where the last one ended early.</summary>
    /// <param name="isJobUnderWay">The last one may still go on.</param>
    public Problem? RunAgain(bool isJobUnderWay, Func<Outcome<JobId>> job)
    {
        if (State is not (ErasureState.Approved or ErasureState.Running))
            return new Problem("", "There is nothing to run again.", ProblemKind.Conflict);
        if (isJobUnderWay)
            return new Problem("", "Its job is under way.", ProblemKind.Conflict);
        var started = job();
        if (started.Refusal is { } refusal)
            return refusal.Problems[0];
        JobId = started.Value;
        RowVersion++;
        return null;
    }

    /// <summary>The job goes on: from now on there is no way back.</summary>
    public void Note(ErasureWork work)
    {
        (State, WorkJson) = (ErasureState.Running, JsonSerializer.Serialize(work));
        RowVersion++;
    }

    /// <summary>All is removed.</summary>
    public void Finish(ErasureProof proof, DateTimeOffset at)
    {
        ProofJson = proof.ToJson();
        (State, WorkJson, ProofSha256, FinishedAt) = (ErasureState.Done, null, ErasureProof.HashOf(ProofJson), at);
        BodyDueAt = proof.Serving.Any(one => one.BodyJob is not null) ? at.AddDays(BodyDueDays) : null;
        RowVersion++;
    }
}

/// <summary>A prompt that shall be erased.</summary>
public sealed class ErasurePrompt
{
    public required ErasureRequestId RequestId { get; init; }
    public required PromptId PromptId { get; init; }
}
