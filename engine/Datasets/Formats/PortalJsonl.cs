using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// One line of the portal's own lossless JSONL: an object with <c>"type"</c> and <c>"version": 1</c>. What one portal writes, another
/// reads back the same: a round trip changes nothing, order of lines included.
/// </summary>
/// <remarks>
/// The format, in the order in which a writer should put the lines, so that a reader can store each line when it comes:
/// <c>project</c> (once, first), <c>prompt</c>, <c>response</c>, <c>task</c>, <c>pairwise</c>, <c>binary</c>, <c>skip</c>, <c>flag</c>, <c>end</c>
/// (once, last: the counts of all others, so that a file that was cut is recognised).
/// Ids are text and mean nothing outside the file. Judgements name responses by id, never by side; the side is beside them. Times are ISO 8601 with offset.
/// Absent fields are null; unknown fields are kept in <see cref="Extra"/> and written again.
/// </remarks>
public abstract record PortalRecord
{
    /// <summary>The version that this code writes and the highest that it reads.</summary>
    public const int Version = 1;

    /// <summary>The line's <c>type</c>.</summary>
    public abstract string Type { get; }

    /// <summary>Fields that this version does not know, by name: their JSON.</summary>
    public IReadOnlyDictionary<string, string> Extra { get; init; } = Nothing;

    private static readonly IReadOnlyDictionary<string, string> Nothing = new Dictionary<string, string>();
}

/// <summary>What the file is about: the project's settings.</summary>
public sealed record ProjectRecord(string Id, string Name) : PortalRecord
{
    public override string Type => "project";
    public string? Guidelines { get; init; }
    public string? ContentWarning { get; init; }

    /// <summary>"pairwise", "binary", …</summary>
    public IReadOnlyList<string> TaskKinds { get; init; } = [];
    public int? VotesPerTask { get; init; }
    public DateTimeOffset? ExportedAt { get; init; }

    /// <summary>Program and version that wrote the file.</summary>
    public string? Generator { get; init; }
}

/// <summary>A conversation that wants a response.</summary>
public sealed record PromptRecord(string Id, IReadOnlyList<Message> Messages) : PortalRecord
{
    public override string Type => "prompt";
    public string? Source { get; init; }

    /// <summary>The id that it had where it came from.</summary>
    public string? ExternalId { get; init; }
    public IReadOnlyList<string> Tags { get; init; } = [];
    public DateTimeOffset? CreatedAt { get; init; }
}

/// <summary>One answer to a prompt.</summary>
public sealed record ResponseRecord(string Id, string PromptId, string Text) : PortalRecord
{
    public override string Type => "response";

    /// <summary>The model version that wrote it; null where a person did or nobody knows.</summary>
    public string? ModelVersion { get; init; }

    /// <summary>How it was sampled (temperature, seed, …), as text.</summary>
    public IReadOnlyDictionary<string, string> Sampling { get; init; } = new Dictionary<string, string>();
    public string? Source { get; init; }
    public DateTimeOffset? CreatedAt { get; init; }
}

/// <summary>A question put to annotators: one or two responses to judge.</summary>
public sealed record TaskRecord(string Id, string PromptId, string Kind, IReadOnlyList<string> ResponseIds) : PortalRecord
{
    public override string Type => "task";
    public int? VotesWanted { get; init; }
    public string? State { get; init; }
    public bool? Gold { get; init; }
    public DateTimeOffset? CreatedAt { get; init; }
}

/// <summary>What somebody said about two responses. Append-only: a change is a new line that names the old one in <see cref="Supersedes"/>.</summary>
public sealed record PairwiseRecord(string Id, string PromptId, string ResponseAId, string ResponseBId, PairVerdict Verdict, string Annotator) : PortalRecord
{
    public override string Type => "pairwise";
    public string? TaskId { get; init; }

    /// <summary>1 slightly, 2 better, 3 much better; only where one is preferred.</summary>
    public int? Strength { get; init; }

    /// <summary>The response that stood on the left (or on top).</summary>
    public string? ShownLeftId { get; init; }
    public string? Layout { get; init; }

    /// <summary>Seed of the side's draw, as text since it has 64 bits.</summary>
    public string? Seed { get; init; }
    public string? Rationale { get; init; }

    /// <summary>"people", "imported", "simulated", a judge's name, …</summary>
    public string? Source { get; init; }
    public string? Supersedes { get; init; }
    public double? Weight { get; init; }
    public DateTimeOffset? ShownAt { get; init; }
    public DateTimeOffset? JudgedAt { get; init; }

    /// <summary>The preferred response's id; null where the verdict prefers neither.</summary>
    public string? PreferredId => Verdict switch
    {
        PairVerdict.FirstBetter => ResponseAId,
        PairVerdict.SecondBetter => ResponseBId,
        PairVerdict.Tie or PairVerdict.BothGood or PairVerdict.BothBad or PairVerdict.CannotJudge => null,
    };
}

/// <summary>What somebody said about one response. Append-only, as <see cref="PairwiseRecord"/>.</summary>
public sealed record BinaryRecord(string Id, string PromptId, string ResponseId, BinaryVerdict Verdict, string Annotator) : PortalRecord
{
    public override string Type => "binary";
    public string? TaskId { get; init; }
    public string? Rationale { get; init; }
    public IReadOnlyList<string> Reasons { get; init; } = [];
    public string? Source { get; init; }
    public string? Supersedes { get; init; }
    public double? Weight { get; init; }
    public DateTimeOffset? ShownAt { get; init; }
    public DateTimeOffset? JudgedAt { get; init; }
}

/// <summary>Somebody passed a task over.</summary>
public sealed record SkipRecord(string Id, string TaskId, string Annotator) : PortalRecord
{
    public override string Type => "skip";
    public string? Reason { get; init; }
    public DateTimeOffset? SkippedAt { get; init; }
}

/// <summary>Somebody reported something: the subject is a prompt, response or task of this file.</summary>
public sealed record FlagRecord(string Id, string SubjectType, string SubjectId, string Annotator) : PortalRecord
{
    public override string Type => "flag";
    public string? Reason { get; init; }
    public string? Note { get; init; }
    public string? State { get; init; }
    public DateTimeOffset? FlaggedAt { get; init; }
}

/// <summary>The last line: how many lines of each type came before it.</summary>
public sealed record EndRecord(IReadOnlyDictionary<string, long> Counts) : PortalRecord
{
    public override string Type => "end";
}
