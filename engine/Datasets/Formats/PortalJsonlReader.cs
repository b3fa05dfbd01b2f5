using System.Globalization;
using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>Parses lines of the portal's lossless JSONL, and checks the counts of its <c>end</c> line.</summary>
/// <remarks>References between lines are not resolved here, since that needs all ids in memory: whoever stores the lines does it with the database.</remarks>
internal sealed class PortalJsonlReader
{
    private readonly SortedDictionary<string, long> counts = new(StringComparer.Ordinal);

    /// <summary>Whether the end line has come.</summary>
    public bool Ended { get; private set; }

    /// <summary>The line as a record; null and problems in <paramref name="fields"/> where it is not one.</summary>
    public PortalRecord? Parse(RowFields fields)
    {
        string? type = fields.Text("type");
        int? version = fields.OptionalInt("version", 1, int.MaxValue);
        if (version is null && !fields.Failed) fields.Refuse("version", $"is missing; it must be {PortalRecord.Version}.");
        if (fields.Failed) return null;
        if (version > PortalRecord.Version)
        {
            fields.Refuse("version", $"is {version}, newer than this portal reads ({PortalRecord.Version}); update it first.");
            return null;
        }

        if (Ended)
        {
            fields.Refuse(null, "stands behind the end line.");
            return null;
        }

        // Counted even where the line is refused below, so that the end line's counts can only fail for lines that are really missing.
        if (type != "end") counts[type!] = counts.GetValueOrDefault(type!) + 1; // not null: Text refuses otherwise
        PortalRecord? record = type switch
        {
            "project" => Project(fields),
            "prompt" => Prompt(fields),
            "response" => Response(fields),
            "task" => Task(fields),
            "pairwise" => Pairwise(fields),
            "binary" => Binary(fields),
            "skip" => Skip(fields),
            "flag" => Flag(fields),
            "end" => End(fields),
            _ => Unknown(fields, type!),
        };
        if (fields.Failed || record is null) return null;
        return record with { Extra = Unclaimed(fields) };
    }

    private static PortalRecord? Unknown(RowFields fields, string type)
    {
        fields.Refuse("type", $"is \"{RowFields.Shorten(type)}\"; known are project, prompt, response, task, pairwise, binary, skip, flag and end.");
        return null;
    }

    // `!` below: Text, Messages and the word readers write a problem where they return null, and then the record is thrown away.
    private static ProjectRecord Project(RowFields f) => new(f.Text("id")!, f.Text("name")!)
    {
        Guidelines = f.OptionalText("guidelines"), ContentWarning = f.OptionalText("content_warning"), TaskKinds = Texts(f, "task_kinds"),
        VotesPerTask = f.OptionalInt("votes_per_task", 1, int.MaxValue), ExportedAt = Time(f, "exported_at"), Generator = f.OptionalText("generator"),
    };

    private static PromptRecord Prompt(RowFields f)
    {
        IReadOnlyList<Message>? messages = f.Messages("messages");
        if (messages is not null) Conversation.CheckPrompt(f, "messages", messages);
        return new(f.Text("id")!, messages!)
        {
            Source = f.OptionalText("source"), ExternalId = f.OptionalText("external_id"), Tags = Texts(f, "tags"), CreatedAt = Time(f, "created_at"),
        };
    }

    private static ResponseRecord Response(RowFields f) => new(f.Text("id")!, f.Text("prompt_id")!, f.Text("text")!)
    {
        ModelVersion = f.OptionalText("model_version"), Sampling = Map(f, "sampling"), Source = f.OptionalText("source"), CreatedAt = Time(f, "created_at"),
    };

    private static TaskRecord Task(RowFields f)
    {
        IReadOnlyList<string> responses = Texts(f, "response_ids");
        if (responses.Count == 0 && !f.Failed) f.Refuse("response_ids", "is missing or empty; it must list the responses to judge.");
        return new(f.Text("id")!, f.Text("prompt_id")!, f.Text("kind")!, responses)
        {
            VotesWanted = f.OptionalInt("votes_wanted", 0, int.MaxValue), State = f.OptionalText("state"), Gold = f.Has("gold") ? f.Bool("gold") : null,
            CreatedAt = Time(f, "created_at"),
        };
    }

    private static PairwiseRecord Pairwise(RowFields f)
    {
        string? a = f.Text("response_a_id"), b = f.Text("response_b_id"), left = f.OptionalText("shown_left_id");
        if (a is not null && a == b) f.Refuse("response_b_id", "is the same response as `response_a_id`.");
        if (left is not null && left != a && left != b) f.Refuse("shown_left_id", $"is \"{RowFields.Shorten(left)}\", which is neither of the two responses.");
        PairVerdict? verdict = f.Text("verdict") is { } word ? PairWord(f, word) : null;
        int? strength = f.OptionalInt("strength", 1, 3);
        if (strength is not null && verdict is not (null or PairVerdict.FirstBetter or PairVerdict.SecondBetter))
            f.Refuse("strength", "is set although the verdict prefers neither response.");
        return new(f.Text("id")!, f.Text("prompt_id")!, a!, b!, verdict ?? default, f.Text("annotator")!)
        {
            TaskId = f.OptionalText("task_id"), Strength = strength, ShownLeftId = left, Layout = f.OptionalText("layout"), Seed = f.OptionalText("seed"),
            Rationale = f.OptionalText("rationale"), Source = f.OptionalText("source"), Supersedes = f.OptionalText("supersedes"),
            Weight = f.OptionalNumber("weight"), ShownAt = Time(f, "shown_at"), JudgedAt = Time(f, "judged_at"),
        };
    }

    private static BinaryRecord Binary(RowFields f)
    {
        BinaryVerdict? verdict = f.Text("verdict") switch
        {
            null => null,
            "good" => BinaryVerdict.Good,
            "bad" => BinaryVerdict.Bad,
            "unsure" => BinaryVerdict.Unsure,
            var word => RefuseWord<BinaryVerdict>(f, word, "good, bad and unsure"),
        };
        return new(f.Text("id")!, f.Text("prompt_id")!, f.Text("response_id")!, verdict ?? default, f.Text("annotator")!)
        {
            TaskId = f.OptionalText("task_id"), Rationale = f.OptionalText("rationale"), Reasons = Texts(f, "reasons"), Source = f.OptionalText("source"),
            Supersedes = f.OptionalText("supersedes"), Weight = f.OptionalNumber("weight"), ShownAt = Time(f, "shown_at"), JudgedAt = Time(f, "judged_at"),
        };
    }

    private static SkipRecord Skip(RowFields f) => new(f.Text("id")!, f.Text("task_id")!, f.Text("annotator")!)
    {
        Reason = f.OptionalText("reason"), SkippedAt = Time(f, "skipped_at"),
    };

    private static FlagRecord Flag(RowFields f) => new(f.Text("id")!, f.Text("subject_type")!, f.Text("subject_id")!, f.Text("annotator")!)
    {
        Reason = f.OptionalText("reason"), Note = f.OptionalText("note"), State = f.OptionalText("state"), FlaggedAt = Time(f, "flagged_at"),
    };

    private EndRecord? End(RowFields f)
    {
        Ended = true;
        var said = new SortedDictionary<string, long>(StringComparer.Ordinal);
        if (f.Element("counts") is not { ValueKind: JsonValueKind.Object } element)
        {
            f.Refuse("counts", "is missing; it must be an object with the number of lines of each type.");
            return null;
        }

        foreach (JsonProperty entry in element.EnumerateObject())
        {
            if (entry.Value.ValueKind == JsonValueKind.Number && entry.Value.TryGetInt64(out long count)) said[entry.Name] = count;
            else f.Refuse("counts." + RowFields.Shorten(entry.Name), "must be a whole number.");
        }

        foreach (string type in said.Keys.Union(counts.Keys))
        {
            long expected = said.GetValueOrDefault(type), seen = counts.GetValueOrDefault(type);
            if (expected != seen) f.Refuse("counts", $"says {expected:N0} lines of type {RowFields.Shorten(type)}, but {seen:N0} came: lines were lost or added.");
        }

        return new EndRecord(said);
    }

    private static PairVerdict? PairWord(RowFields f, string word) => word switch
    {
        "a" => PairVerdict.FirstBetter,
        "b" => PairVerdict.SecondBetter,
        "tie" => PairVerdict.Tie,
        "both_good" => PairVerdict.BothGood,
        "both_bad" => PairVerdict.BothBad,
        "cannot_judge" => PairVerdict.CannotJudge,
        _ => RefuseWord<PairVerdict>(f, word, "a, b, tie, both_good, both_bad and cannot_judge"),
    };

    private static T? RefuseWord<T>(RowFields f, string word, string known)
        where T : struct
    {
        f.Refuse("verdict", $"is \"{RowFields.Shorten(word)}\"; known are {known}.");
        return null;
    }

    private static DateTimeOffset? Time(RowFields f, string name)
    {
        string? text = f.OptionalText(name);
        if (text is null) return null;
        if (DateTimeOffset.TryParseExact(text, ["O", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mm:ssK"], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time)) return time;
        f.Refuse(name, $"is \"{RowFields.Shorten(text)}\"; it must be a time like 2026-01-31T12:00:00+00:00.");
        return null;
    }

    private static IReadOnlyList<string> Texts(RowFields f, string name)
    {
        if (f.Element(name) is not { } list) return [];
        if (list.ValueKind != JsonValueKind.Array)
        {
            f.Refuse(name, $"must be a list of texts, not {RowFields.Name(list.ValueKind)}.");
            return [];
        }

        var texts = new List<string>();
        foreach (JsonElement item in list.EnumerateArray())
            if (f.StringOf($"{name}[{texts.Count}]", item, mayBeEmpty: true) is { } text) texts.Add(text);
            else break;
        return texts;
    }

    private static IReadOnlyDictionary<string, string> Map(RowFields f, string name)
    {
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (f.Element(name) is not { } element) return map;
        if (element.ValueKind != JsonValueKind.Object)
        {
            f.Refuse(name, $"must be an object of texts, not {RowFields.Name(element.ValueKind)}.");
            return map;
        }

        foreach (JsonProperty entry in element.EnumerateObject())
            if (f.StringOf($"{name}.{RowFields.Shorten(entry.Name)}", entry.Value, mayBeEmpty: true) is { } text) map[entry.Name] = text;

        return map;
    }

    // Unlike RowFields.Rest, texts stay JSON here, so that 1 and "1" come out again as they came in.
    private static IReadOnlyDictionary<string, string> Unclaimed(RowFields f)
    {
        var extra = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string name in f.Unused().ToList()) extra[name] = f.Element(name)?.GetRawText() ?? "null";
        return extra;
    }
}
