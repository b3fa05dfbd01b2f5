namespace Portal.Data.Feedback;

using System.Text.Json;
using Portal.Data.Registry;

/// <summary>
/// A project: one set of guidelines, its prompts, tasks and judgements, and the two models that serve it.
/// </summary>
/// <remarks>
/// A project has at most one current reward model and one current policy. <see cref="Release"/> and <see cref="RollBack"/> are the only
/// way to move those pointers; both leave a <see cref="ReleaseRecord"/>, and their callers an audit event in the same transaction. An erasure
/// that retires what serves, and has nothing to put in its place, empties them (<see cref="StopServing"/>).
/// </remarks>
public sealed class Project
{
    public const int NameLengthMax = 120;
    public const int GuidelinesLengthMax = 50_000;
    public const int VotesPerTaskMax = 25;
    public const int JobsPerDayMax = 1_000;
    public const int ProtectedTopicsMax = 50, TopicLengthMax = 200;

    public required ProjectId Id { get; init; }

    /// <summary>Shown everywhere; 1 to 120 characters, unique in the installation.</summary>
    public required string Name { get; set; }

    /// <summary>Markdown, shown to annotators in the guidelines drawer. May be empty.</summary>
    public string Guidelines { get; private set; } = "";

    /// <summary>Grows by one with each change of the guidelines; judgements carry the version that was shown.</summary>
    public int GuidelinesVersion { get; private set; } = 1;

    /// <summary>What annotators should know before they start ("may contain insults"); null when there is nothing to warn of.</summary>
    public string? ContentWarning { get; set; }

    /// <summary>Which kinds of tasks annotators are offered.</summary>
    public TaskKinds TaskKinds { get; set; } = TaskKinds.Pairwise | TaskKinds.Binary;

    /// <summary>How many judgements a task wants; 1 to 25. Applies to tasks made from now on.</summary>
    public int VotesPerTask { get; set; } = 1;

    /// <summary>True when rows of this project were made by simulated annotators or sampled worlds; every page and export says so.</summary>
    public bool IsSynthetic { get; init; }

    /// <summary>How many training jobs may be started per UTC day.</summary>
    public int JobsPerDay { get; set; } = 50;

    /// <summary>Topics whose judgements are not forgotten on one person's word (refusals of harm, say), as a JSON list; null when there is none.</summary>
    public string? ProtectedTopicsJson { get; private set; }

    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? ArchivedAt { get; set; }

    /// <summary>The reward model that scores today; null before the first release.</summary>
    public ModelVersionId? CurrentRewardModelId { get; private set; }

    /// <summary>The policy that answers today; null before the first release.</summary>
    public ModelVersionId? CurrentPolicyId { get; private set; }

    /// <summary>Guards against two people changing the project at once.</summary>
    public int RowVersion { get; private set; }

    /// <summary>Replaces the guidelines; a real change makes a new version.</summary>
    public void ChangeGuidelines(string markdown)
    {
        if (markdown.Length > GuidelinesLengthMax)
            throw new ArgumentException($"Guidelines have {markdown.Length} characters, at most {GuidelinesLengthMax} are kept.", nameof(markdown));
        if (markdown == Guidelines)
            return;
        Guidelines = markdown;
        GuidelinesVersion++;
        RowVersion++;
    }

    /// <summary>
    /// Replaces everything an admin can set. <see cref="RowVersion"/> grows, so that of two admins who edit at once the second is told.
    /// </summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it.</exception>
    public void Change(string name, string guidelines, string? contentWarning, TaskKinds taskKinds, int votesPerTask, int jobsPerDay)
    {
        if (name.Length is 0 or > NameLengthMax)
            throw new ArgumentException($"A name has 1 to {NameLengthMax} characters, not {name.Length}.", nameof(name));
        if (taskKinds is TaskKinds.None)
            throw new ArgumentException("A project offers at least one kind of task.", nameof(taskKinds));
        if (votesPerTask is < 1 or > VotesPerTaskMax)
            throw new ArgumentException($"A task wants 1 to {VotesPerTaskMax} votes, not {votesPerTask}.", nameof(votesPerTask));
        if (jobsPerDay is < 0 or > JobsPerDayMax)
            throw new ArgumentException($"A day has 0 to {JobsPerDayMax} jobs, not {jobsPerDay}.", nameof(jobsPerDay));
        ChangeGuidelines(guidelines);
        (Name, ContentWarning, TaskKinds, VotesPerTask, JobsPerDay) = (name, contentWarning, taskKinds, votesPerTask, jobsPerDay);
        RowVersion++;
    }

    /// <summary>Topics whose judgements need a second approval before a model forgets them; sorted.</summary>
    public IReadOnlyList<string> ProtectedTopics() => ProtectedTopicsJson is { } json ? JsonSerializer.Deserialize<List<string>>(json)! : []; // we wrote it

    /// <summary>Replaces them.</summary>
    /// <exception cref="ArgumentException">There are more than <see cref="ProtectedTopicsMax"/>, or one is longer than <see cref="TopicLengthMax"/>.</exception>
    public void Protect(IEnumerable<string> topics)
    {
        List<string> kept = [.. topics.Select(topic => topic.Trim()).Where(topic => topic.Length > 0).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (kept.Count > ProtectedTopicsMax || kept.Exists(topic => topic.Length > TopicLengthMax))
            throw new ArgumentException($"At most {ProtectedTopicsMax} topics of at most {TopicLengthMax} characters are protected.", nameof(topics));
        if (kept.SequenceEqual(ProtectedTopics()))
            return;
        ProtectedTopicsJson = kept.Count == 0 ? null : JsonSerializer.Serialize(kept);
        RowVersion++;
    }

    /// <summary>Takes the project out of every list, or puts it back. Nothing in it is removed.</summary>
    public void Archive(DateTimeOffset? at)
    {
        ArchivedAt = at;
        RowVersion++;
    }

    /// <summary>The version of this kind that serves today, or null.</summary>
    public ModelVersionId? CurrentOf(ModelKind kind) => kind switch
    {
        ModelKind.RewardModel => CurrentRewardModelId,
        ModelKind.Policy => CurrentPolicyId,
        ModelKind.SparseAutoencoder => null,
    };

    /// <summary>Makes a version the one that serves.</summary>
    /// <param name="version">A candidate or earlier version of this project, with its files in place.</param>
    /// <param name="reason">Why, in the releasing person's words; kept. Not empty.</param>
    /// <param name="approver">The second person, where one was asked; null where none was.</param>
    /// <returns>The record to store beside the change, or why the version cannot serve.</returns>
    public Outcome<ReleaseRecord> Release(ReleaseId id, ModelVersion version, string reason, Guid by, Guid? approver, DateTimeOffset at)
    {
        if (version.ProjectId != Id)
            return new Problem("version", "This version belongs to another project.", ProblemKind.NotFound);
        if (version.Kind is ModelKind.SparseAutoencoder)
            return new Problem("version", $"{version.Label} serves inside a reward model; release the reward model that reads its features.", ProblemKind.Conflict);
        if (version.Status is ModelStatus.Retired)
            return new Problem("version", $"{version.Label} is retired and cannot serve.", ProblemKind.Conflict);
        if (CurrentOf(version.Kind) == version.Id)
            return new Problem("version", $"{version.Label} already serves.", ProblemKind.Conflict);
        if (string.IsNullOrWhiteSpace(reason))
            return new Problem("reason", "Say in a few words why this version should serve; the reason is kept in the audit log.");
        if (approver == by)
            return new Problem("approver", "The approver must be a second person.");
        return Move(id, version, reason.Trim(), by, approver, at, isRollBack: false);
    }

    /// <summary>Puts back the version that served before the last release of this kind.</summary>
    /// <param name="last">The release that made the current version serve.</param>
    /// <param name="previous">The version that release replaced.</param>
    public Outcome<ReleaseRecord> RollBack(ReleaseId id, ReleaseRecord last, ModelVersion previous, string reason, Guid by, DateTimeOffset at)
    {
        if (CurrentOf(last.Kind) != last.ToVersionId || last.FromVersionId != previous.Id)
            return new Problem("version", "Somebody changed what serves since this page was opened. Look again, then decide.", ProblemKind.Conflict);
        if (previous.Status is ModelStatus.Retired)
            return new Problem("version", $"{previous.Label} is retired and cannot serve again: a roll-back never leads back to what an erasure or an admin has retired.", ProblemKind.Conflict);
        if (string.IsNullOrWhiteSpace(reason))
            return new Problem("reason", "Say in a few words why you roll back; the reason is kept in the audit log.");
        return Move(id, previous, reason.Trim(), by, approver: null, at, isRollBack: true);
    }

    /// <summary>Nothing of this kind serves any more: what served was retired by an erasure.</summary>
    public void StopServing(ModelKind kind)
    {
        if (kind is ModelKind.RewardModel)
            CurrentRewardModelId = null;
        else
            CurrentPolicyId = null;
        RowVersion++;
    }

    private ReleaseRecord Move(ReleaseId id, ModelVersion version, string reason, Guid by, Guid? approver, DateTimeOffset at, bool isRollBack)
    {
        var record = new ReleaseRecord
        {
            Id = id,
            ProjectId = Id,
            Kind = version.Kind,
            FromVersionId = CurrentOf(version.Kind),
            ToVersionId = version.Id,
            Reason = reason,
            By = by,
            Approver = approver,
            At = at,
            IsRollBack = isRollBack,
        };
        if (version.Kind is ModelKind.RewardModel)
            CurrentRewardModelId = version.Id;
        else
            CurrentPolicyId = version.Id;
        version.MarkReleased();
        RowVersion++;
        return record;
    }
}

/// <summary>Kinds of tasks, as a set.</summary>
[Flags]
public enum TaskKinds
{
    None = 0,
    Pairwise = 1,
    Binary = 2,
}

/// <summary>The kind of one task.</summary>
public enum TaskKind
{
    /// <summary>Which of two responses is better.</summary>
    Pairwise = 1,
    /// <summary>Whether one response is good.</summary>
    Binary = 2,
}
