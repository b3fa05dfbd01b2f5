namespace Portal.Data.Feedback;

/// <summary>A question put to annotators: one pair of responses, or one response, to a prompt.</summary>
public sealed class AnnotationTask
{
    public required TaskId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required TaskKind Kind { get; init; }
    public required TaskPurpose Purpose { get; init; }
    public required PromptId PromptId { get; init; }

    /// <summary>The first response, in the order of making; which side it is shown on is the assignment's business.</summary>
    public required ResponseId FirstResponseId { get; init; }

    /// <summary>The second response; null exactly when the task is binary.</summary>
    public required ResponseId? SecondResponseId { get; init; }

    /// <summary>How many judgements are wanted; 1 or more. May be changed at any time.</summary>
    public required int VotesWanted { get; init; }

    /// <summary>Judgements still missing; 0 when done. Kept by <see cref="CountVote"/> and <see cref="UncountVote"/>.</summary>
    public int VotesMissing { get; private set; }

    public TaskState State { get; private set; } = TaskState.Open;

    /// <summary>Higher is offered sooner; ties by id.</summary>
    public int Priority { get; init; }

    /// <summary>For a blind comparison: the candidate whose release it informs. Null otherwise.</summary>
    public ModelVersionId? CandidateId { get; init; }

    public ImportId? ImportId { get; init; }

    /// <summary>The job that made the task; null for imported ones.</summary>
    public JobId? JobId { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>A new task, all its votes missing.</summary>
    /// <exception cref="ArgumentException">The responses do not fit the kind, or no vote is wanted.</exception>
    public static AnnotationTask Create(TaskId id, ProjectId project, TaskKind kind, PromptId prompt, ResponseId first, ResponseId? second,
        int votesWanted, DateTimeOffset at, TaskPurpose purpose = TaskPurpose.Collect, int priority = 0, ModelVersionId? candidate = null,
        ImportId? import = null, JobId? job = null)
    {
        if (votesWanted < 1)
            throw new ArgumentException($"A task wants at least 1 vote, not {votesWanted}.", nameof(votesWanted));
        if (kind is TaskKind.Pairwise == second is null)
            throw new ArgumentException("A pairwise task has two responses, a binary task one.", nameof(second));
        if (first == second)
            throw new ArgumentException("The two responses of a pair must differ.", nameof(second));
        return new AnnotationTask
        {
            Id = id, ProjectId = project, Kind = kind, Purpose = purpose, PromptId = prompt, FirstResponseId = first,
            SecondResponseId = second, VotesWanted = votesWanted, VotesMissing = votesWanted, Priority = priority,
            CandidateId = candidate, ImportId = import, JobId = job, CreatedAt = at,
        };
    }

    /// <summary>One more judgement is stored. Surplus judgements (after the last wanted one) change nothing here.</summary>
    public void CountVote()
    {
        if (VotesMissing > 0 && --VotesMissing == 0 && State is TaskState.Open)
            State = TaskState.Done;
    }

    /// <summary>A judgement was taken back (undo): its place is open again.</summary>
    public void UncountVote()
    {
        VotesMissing = Math.Min(VotesWanted, VotesMissing + 1);
        if (State is TaskState.Done)
            State = TaskState.Open;
    }

    /// <summary>Takes the task out of the queue; its judgements stay.</summary>
    public void Withdraw() => State = TaskState.Withdrawn;
}

/// <summary>Where a task stands.</summary>
public enum TaskState { Open = 1, Done = 2, Withdrawn = 3 }

/// <summary>Why a task exists; only <see cref="Collect"/> feeds training.</summary>
public enum TaskPurpose
{
    /// <summary>Its judgements become training data.</summary>
    Collect = 1,
    /// <summary>Old against new policy, names hidden: informs a release, never training.</summary>
    BlindComparison = 2,
}

/// <summary>
/// One annotator's lease on one task, and the screen as it was shown: which response stood left, in which layout, drawn by which seed.
/// </summary>
/// <remarks>
/// (TaskId, AnnotatorId) is unique: nobody sees a task twice. (TaskId, Slot) is unique: never more leases and judgements than votes
/// wanted. A lease that ran out frees its slot when the next person takes the task; the late judgement is kept and marked surplus.
/// </remarks>
public sealed class Assignment
{
    public required AssignmentId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required TaskId TaskId { get; init; }
    public required AnnotatorId AnnotatorId { get; init; }

    /// <summary>Place among the wanted votes, 0-based; null once given back or overtaken.</summary>
    public int? Slot { get; private set; }

    /// <summary>The response shown on the left (or alone).</summary>
    public required ResponseId LeftResponseId { get; init; }

    /// <summary>The response shown on the right; null for binary tasks.</summary>
    public required ResponseId? RightResponseId { get; init; }

    /// <summary>The seed that decided the sides: a function of annotator and task, so that a revisit shows the same.</summary>
    public required long SideSeed { get; init; }

    public required DateTimeOffset TakenAt { get; init; }

    /// <summary>When the lease ends unless activity renews it.</summary>
    public DateTimeOffset ExpiresAt { get; private set; }

    public AssignmentState State { get; private set; } = AssignmentState.Leased;

    /// <summary>A lease taken now.</summary>
    public static Assignment Take(AssignmentId id, AnnotationTask task, AnnotatorId annotator, int slot, long sideSeed, DateTimeOffset now,
        TimeSpan lease)
    {
        var swap = task.SecondResponseId is not null && (sideSeed & 1) == 1;
        return new Assignment
        {
            Id = id, ProjectId = task.ProjectId, TaskId = task.Id, AnnotatorId = annotator, Slot = slot, SideSeed = sideSeed,
            LeftResponseId = swap ? task.SecondResponseId!.Value : task.FirstResponseId, // swap implies a second response
            RightResponseId = swap ? task.FirstResponseId : task.SecondResponseId,
            TakenAt = now, ExpiresAt = now + lease,
        };
    }

    /// <summary>Activity prolongs the lease.</summary>
    public void Renew(DateTimeOffset now, TimeSpan lease)
    {
        if (State is AssignmentState.Leased)
            ExpiresAt = now + lease;
    }

    /// <summary>Another person took the place of a lease that had run out. The annotator may still submit: the vote is then surplus.</summary>
    public void Overtake() => Slot = null;

    /// <summary>Takes the lease again after it ran out or was skipped, in the given slot.</summary>
    public void Retake(int slot, DateTimeOffset now, TimeSpan lease)
    {
        Slot = slot;
        State = AssignmentState.Leased;
        ExpiresAt = now + lease;
    }

    /// <summary>A judgement was stored for this assignment.</summary>
    public void MarkSubmitted() => State = AssignmentState.Submitted;

    /// <summary>The annotator passed the task on; the place is free for others.</summary>
    public void MarkSkipped()
    {
        State = AssignmentState.Skipped;
        Slot = null;
    }

    /// <summary>Undo: the judgement was taken back and the screen is open again.</summary>
    public void Reopen(DateTimeOffset now, TimeSpan lease)
    {
        State = AssignmentState.Leased;
        ExpiresAt = now + lease;
    }
}

/// <summary>Where an assignment stands; whether a lease has run out is told by its time, never by a sweeper.</summary>
public enum AssignmentState { Leased = 1, Submitted = 2, Skipped = 3 }

/// <summary>What happened around a task besides judgements. Append-only.</summary>
public sealed class TaskEvent
{
    public long Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required TaskId TaskId { get; init; }
    public required AnnotatorId AnnotatorId { get; init; }
    public required TaskEventKind Kind { get; init; }

    /// <summary>For a skip, the reason code chosen; null when none was given.</summary>
    public string? Reason { get; init; }

    public required DateTimeOffset At { get; init; }
}

/// <summary>Sorts of task events.</summary>
public enum TaskEventKind { Taken = 1, Skipped = 2, Undone = 3, UsedDifferences = 4, UsedRaw = 5 }

/// <summary>What an annotator has typed or chosen but not submitted. Erased on submit.</summary>
public sealed class Draft
{
    public required AssignmentId AssignmentId { get; init; }
    public required AnnotatorId AnnotatorId { get; init; }

    /// <summary>The form as JSON, at most 32 kB; shown only to its author.</summary>
    public required string Body { get; set; }

    /// <summary>The browser's clock; of two drafts the later client time wins.</summary>
    public required DateTimeOffset ClientTime { get; set; }

    public required DateTimeOffset SavedAt { get; set; }
}
