using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>Writes the portal's lossless JSONL line by line; <see cref="Finish"/> adds the <c>end</c> line. Memory: one line.</summary>
/// <remarks>Does not own the stream. A text that holds half a surrogate pair cannot be written as UTF-8 and is an <see cref="ArgumentException"/>.</remarks>
public sealed class PortalJsonlWriter(Stream target)
{
    /// <summary>Readable UTF-8: only what JSON itself demands is escaped. The files are data, never put into HTML.</summary>
    internal static readonly JsonWriterOptions LineOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly SortedDictionary<string, long> counts = new(StringComparer.Ordinal);
    private bool finished;

    /// <summary>Lines written so far, by type.</summary>
    public IReadOnlyDictionary<string, long> Counts => counts;

    /// <summary>Writes one line. An <see cref="EndRecord"/> read from another file is ignored: this writer counts for itself.</summary>
    public void Write(PortalRecord record)
    {
        if (finished) throw new InvalidOperationException("The end line has been written; nothing can follow it.");
        if (record is EndRecord) return;
        counts[record.Type] = counts.GetValueOrDefault(record.Type) + 1;
        WriteLine(record);
    }

    /// <summary>Writes the end line and flushes the stream.</summary>
    public void Finish()
    {
        if (finished) return;
        WriteLine(new EndRecord(counts));
        finished = true;
        target.Flush();
    }

    private void WriteLine(PortalRecord record)
    {
        using (var json = new Utf8JsonWriter(target, LineOptions))
        {
            json.WriteStartObject();
            json.WriteString("type", record.Type);
            json.WriteNumber("version", PortalRecord.Version);
            var line = new Line(json);
            switch (record)
            {
                case ProjectRecord x: WriteProject(line, x); break;
                case PromptRecord x: WritePrompt(line, x); break;
                case ResponseRecord x: WriteResponse(line, x); break;
                case TaskRecord x: WriteTask(line, x); break;
                case PairwiseRecord x: WritePairwise(line, x); break;
                case BinaryRecord x: WriteBinary(line, x); break;
                case SkipRecord x: WriteSkip(line, x); break;
                case FlagRecord x: WriteFlag(line, x); break;
                case EndRecord x: WriteEnd(json, x); break;
                default: throw new ArgumentException($"No line type for {record.GetType().Name}.", nameof(record));
            }

            foreach ((string name, string raw) in record.Extra)
            {
                json.WritePropertyName(name);
                json.WriteRawValue(raw);
            }

            json.WriteEndObject();
        }

        target.WriteByte((byte)'\n');
    }

    private static void WriteProject(Line line, ProjectRecord x)
    {
        line.Text("id", x.Id);
        line.Text("name", x.Name);
        line.Text("guidelines", x.Guidelines);
        line.Text("content_warning", x.ContentWarning);
        line.Texts("task_kinds", x.TaskKinds);
        line.Number("votes_per_task", x.VotesPerTask);
        line.Time("exported_at", x.ExportedAt);
        line.Text("generator", x.Generator);
    }

    private static void WritePrompt(Line line, PromptRecord x)
    {
        line.Text("id", x.Id);
        line.Messages("messages", x.Messages);
        line.Text("source", x.Source);
        line.Text("external_id", x.ExternalId);
        line.Texts("tags", x.Tags);
        line.Time("created_at", x.CreatedAt);
    }

    private static void WriteResponse(Line line, ResponseRecord x)
    {
        line.Text("id", x.Id);
        line.Text("prompt_id", x.PromptId);
        line.Text("text", x.Text);
        line.Text("model_version", x.ModelVersion);
        line.Map("sampling", x.Sampling);
        line.Text("source", x.Source);
        line.Time("created_at", x.CreatedAt);
    }

    private static void WriteTask(Line line, TaskRecord x)
    {
        line.Text("id", x.Id);
        line.Text("prompt_id", x.PromptId);
        line.Text("kind", x.Kind);
        line.Texts("response_ids", x.ResponseIds);
        line.Number("votes_wanted", x.VotesWanted);
        line.Text("state", x.State);
        line.Flag("gold", x.Gold);
        line.Time("created_at", x.CreatedAt);
    }

    private static void WritePairwise(Line line, PairwiseRecord x)
    {
        line.Text("id", x.Id);
        line.Text("task_id", x.TaskId);
        line.Text("prompt_id", x.PromptId);
        line.Text("response_a_id", x.ResponseAId);
        line.Text("response_b_id", x.ResponseBId);
        line.Text("verdict", PortalWords.Of(x.Verdict));
        line.Number("strength", x.Strength);
        line.Text("annotator", x.Annotator);
        line.Text("shown_left_id", x.ShownLeftId);
        line.Text("layout", x.Layout);
        line.Text("seed", x.Seed);
        line.Text("rationale", x.Rationale);
        line.Text("source", x.Source);
        line.Text("supersedes", x.Supersedes);
        line.Number("weight", x.Weight);
        line.Time("shown_at", x.ShownAt);
        line.Time("judged_at", x.JudgedAt);
    }

    private static void WriteBinary(Line line, BinaryRecord x)
    {
        line.Text("id", x.Id);
        line.Text("task_id", x.TaskId);
        line.Text("prompt_id", x.PromptId);
        line.Text("response_id", x.ResponseId);
        line.Text("verdict", PortalWords.Of(x.Verdict));
        line.Text("annotator", x.Annotator);
        line.Text("rationale", x.Rationale);
        line.Texts("reasons", x.Reasons);
        line.Text("source", x.Source);
        line.Text("supersedes", x.Supersedes);
        line.Number("weight", x.Weight);
        line.Time("shown_at", x.ShownAt);
        line.Time("judged_at", x.JudgedAt);
    }

    private static void WriteSkip(Line line, SkipRecord x)
    {
        line.Text("id", x.Id);
        line.Text("task_id", x.TaskId);
        line.Text("annotator", x.Annotator);
        line.Text("reason", x.Reason);
        line.Time("skipped_at", x.SkippedAt);
    }

    private static void WriteFlag(Line line, FlagRecord x)
    {
        line.Text("id", x.Id);
        line.Text("subject_type", x.SubjectType);
        line.Text("subject_id", x.SubjectId);
        line.Text("annotator", x.Annotator);
        line.Text("reason", x.Reason);
        line.Text("note", x.Note);
        line.Text("state", x.State);
        line.Time("flagged_at", x.FlaggedAt);
    }

    private static void WriteEnd(Utf8JsonWriter json, EndRecord x)
    {
        json.WriteStartObject("counts");
        foreach ((string type, long count) in x.Counts) json.WriteNumber(type, count);
        json.WriteEndObject();
    }

    /// <summary>One line under way; null and empty values are left out.</summary>
    private readonly struct Line(Utf8JsonWriter json)
    {
        public void Text(string name, string? value)
        {
            if (value is not null) json.WriteString(name, WellFormed(name, value));
        }

        public void Number(string name, double? value)
        {
            if (value is null) return;
            if (!double.IsFinite(value.Value)) throw new ArgumentException($"`{name}` is {value.Value}, which JSON cannot hold.");
            json.WriteNumber(name, value.Value);
        }

        public void Flag(string name, bool? value)
        {
            if (value is not null) json.WriteBoolean(name, value.Value);
        }

        public void Time(string name, DateTimeOffset? value)
        {
            if (value is not null) json.WriteString(name, value.Value.ToString("O", CultureInfo.InvariantCulture));
        }

        public void Texts(string name, IReadOnlyList<string> values)
        {
            if (values.Count == 0) return;
            json.WriteStartArray(name);
            foreach (string value in values) json.WriteStringValue(WellFormed(name, value));
            json.WriteEndArray();
        }

        public void Map(string name, IReadOnlyDictionary<string, string> values)
        {
            if (values.Count == 0) return;
            json.WriteStartObject(name);
            foreach ((string key, string value) in values) json.WriteString(WellFormed(name, key), WellFormed(name, value));
            json.WriteEndObject();
        }

        public void Messages(string name, IReadOnlyList<Message> messages) => JsonText.WriteMessages(json, name, messages);

        private static string WellFormed(string name, string text) => JsonText.WellFormed(name, text);
    }
}

/// <summary>What all writers of JSON share.</summary>
internal static class JsonText
{
    /// <summary>A list of {role, content}.</summary>
    public static void WriteMessages(Utf8JsonWriter json, string name, IReadOnlyList<Message> messages)
    {
        json.WriteStartArray(name);
        foreach (Message message in messages)
        {
            json.WriteStartObject();
            json.WriteString("role", Conversation.Word(message.Role));
            json.WriteString("content", WellFormed(name, message.Text));
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>The text itself. The JSON writer would silently put U+FFFD in place of half a surrogate pair; here that is an error.</summary>
    /// <exception cref="ArgumentException">The text holds half a surrogate pair.</exception>
    public static string WellFormed(string name, string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) i++;
            else throw new ArgumentException($"`{name}` holds half a surrogate pair at position {i}; it cannot be written as UTF-8.");
        }

        return text;
    }
}

/// <summary>The words for verdicts in the files that the portal writes.</summary>
internal static class PortalWords
{
    public static string Of(PairVerdict verdict) => verdict switch
    {
        PairVerdict.FirstBetter => "a",
        PairVerdict.SecondBetter => "b",
        PairVerdict.Tie => "tie",
        PairVerdict.BothGood => "both_good",
        PairVerdict.BothBad => "both_bad",
        PairVerdict.CannotJudge => "cannot_judge",
    };

    public static string Of(BinaryVerdict verdict) => verdict switch
    {
        BinaryVerdict.Good => "good",
        BinaryVerdict.Bad => "bad",
        BinaryVerdict.Unsure => "unsure",
    };
}
