using System.Globalization;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>
/// Which of our ids a file's ids became, and what waits for the flip. Lives as long as the import; changed only after a batch is committed.
/// </summary>
internal sealed class PortalIds
{
    public Dictionary<string, PromptId> Prompts { get; } = new(StringComparer.Ordinal);
    public Dictionary<string, ResponseId> Responses { get; } = new(StringComparer.Ordinal);
    public Dictionary<string, TaskId> Tasks { get; } = new(StringComparer.Ordinal);
    public Dictionary<string, JudgementId> Judgements { get; } = new(StringComparer.Ordinal);

    /// <summary>Rows of tables that know no staging: written with the flip.</summary>
    public List<Action<PortalDbContext>> AtTheFlip { get; } = [];

    /// <summary>Takes over what a committed batch has found.</summary>
    public void Take(PortalIds batch)
    {
        foreach (var (key, id) in batch.Prompts)
            Prompts[key] = id;
        foreach (var (key, id) in batch.Responses)
            Responses[key] = id;
        foreach (var (key, id) in batch.Tasks)
            Tasks[key] = id;
        foreach (var (key, id) in batch.Judgements)
            Judgements[key] = id;
        AtTheFlip.AddRange(batch.AtTheFlip);
    }
}

/// <summary>
/// Stages lines of the portal's own JSONL, so that a project comes out as it went in: prompts, responses, tasks and their state, judgements
/// with their history, rationales, skips, flags. Ids are new; lines refer to earlier lines by the file's ids.
/// </summary>
/// <remarks>
/// What cannot be brought along, since it belongs to the installation that wrote the file: accounts behind pseudonyms, leases, drafts,
/// and models (a response keeps its model version only where that version exists here).
/// </remarks>
internal sealed class PortalStage(PortalDbContext db, ImportTarget target, PortalIds known)
{
    private readonly ImportStage stage = new(db, target);

    /// <summary>What this batch adds to the ids; to be taken over once it is committed.</summary>
    public PortalIds Found { get; } = new();

    public BatchResult Add(IReadOnlyList<(long Row, PortalRecord Record)> lines, string file)
    {
        var result = new BatchResult();
        foreach (var (row, record) in lines)
        {
            try
            {
                if (Add(record) is { } isNew)
                    (result.Accepted, result.Duplicates) = (result.Accepted + (isNew ? 1 : 0), result.Duplicates + (isNew ? 0 : 1));
            }
            catch (LineProblem problem)
            {
                result.Problems.Add(new RowProblem(file, row, problem.Field, problem.Message));
            }
        }
        return result;
    }

    /// <summary>Whether the line brought something; null for lines that are no rows (settings, the end).</summary>
    private bool? Add(PortalRecord record) => record switch
    {
        PromptRecord prompt => Prompt(prompt),
        ResponseRecord response => Response(response),
        TaskRecord task => Task(task),
        PairwiseRecord judgement => Pairwise(judgement),
        BinaryRecord judgement => Binary(judgement),
        SkipRecord skip => Skip(skip),
        FlagRecord flag => Flag(flag),
        ProjectRecord project => ProjectSettings(project),
        _ => null,
    };

    private bool Prompt(PromptRecord record)
    {
        var json = Portal.Data.Feedback.Conversation.Serialize(StoredTurns.Of(record.Messages));
        stage.Look([target.Hasher.Hash(json)]);
        var (id, isNew) = stage.PromptOf(json, record.Tags.FirstOrDefault(), record.ExternalId, record.CreatedAt ?? target.At);
        Found.Prompts[record.Id] = id;
        return isNew;
    }

    private bool Response(ResponseRecord record)
    {
        var prompt = Of(Found.Prompts, known.Prompts, record.PromptId, "prompt_id", "prompt");
        var hash = target.Hasher.Hash(record.Text);
        if (db.Responses.IgnoreQueryFilters().AsNoTracking().Where(r => r.PromptId == prompt && r.ContentHash == hash).Select(r => (ResponseId?)r.Id)
                .FirstOrDefault() is { } found)
        {
            Found.Responses[record.Id] = found;
            return false;
        }
        ModelVersionId? model = ModelVersionId.TryParse(record.ModelVersion, null, out var version)
            && db.ModelVersions.Any(v => v.Id == version && v.ProjectId == target.Project) ? version : null;
        var (id, isNew) = stage.ResponseOf(prompt, record.Text, model, Raw(record, "sampling_spec"), Text(record, "external_id"), record.CreatedAt);
        Found.Responses[record.Id] = id;
        return isNew;
    }

    private bool Task(TaskRecord record)
    {
        var prompt = Of(Found.Prompts, known.Prompts, record.PromptId, "prompt_id", "prompt");
        var kind = record.Kind switch
        {
            "pairwise" when record.ResponseIds.Count == 2 => TaskKind.Pairwise,
            "binary" when record.ResponseIds.Count == 1 => TaskKind.Binary,
            _ => throw new LineProblem("kind", $"is \"{record.Kind}\" with {record.ResponseIds.Count} responses; a pairwise task has two, a binary one."),
        };
        var responses = record.ResponseIds.Select(id => Of(Found.Responses, known.Responses, id, "response_ids", "response")).ToList();
        if (responses.Count == 2 && responses[0] == responses[1])
            throw new LineProblem("response_ids", "names the same response twice.");
        var (first, second) = (responses[0], responses.Count == 2 ? responses[1] : (ResponseId?)null);
        var purpose = Text(record, "purpose") == "blind_comparison" ? TaskPurpose.BlindComparison : TaskPurpose.Collect;
        if (FindTask(kind, purpose, prompt, first, second) is { } found)
        {
            Found.Tasks[record.Id] = found;
            return false;
        }
        var wanted = Math.Clamp(record.VotesWanted ?? 1, 1, Project.VotesPerTaskMax);
        var task = AnnotationTask.Create(target.Ids.New<TaskId>(), target.Project, kind, prompt, first, second, wanted, record.CreatedAt ?? target.At,
            purpose, priority: Number(record, "priority") ?? 0, import: target.Import);
        var missing = Number(record, "votes_missing") ?? (record.State == "done" ? 0 : wanted);
        for (var vote = wanted; vote > Math.Max(0, missing); vote--)
            task.CountVote();
        if (record.State == "withdrawn")
            task.Withdraw();
        stage.AddTask(task);
        db.SaveChanges(); // the next lines look for it
        Found.Tasks[record.Id] = task.Id;
        return true;
    }

    private bool Pairwise(PairwiseRecord record)
    {
        var prompt = Of(Found.Prompts, known.Prompts, record.PromptId, "prompt_id", "prompt");
        var first = Of(Found.Responses, known.Responses, record.ResponseAId, "response_a_id", "response");
        var second = Of(Found.Responses, known.Responses, record.ResponseBId, "response_b_id", "response");
        if (first == second)
            throw new LineProblem("response_b_id", "is the same response as `response_a_id`.");
        var task = TaskOf(record.TaskId, TaskKind.Pairwise, prompt, first, second);
        var (verdict, preferred) = ImportStage.VerdictOf(record.Verdict, first, second);
        var at = record.JudgedAt ?? target.At;
        var same = db.PairwiseJudgements.IgnoreQueryFilters().AsNoTracking()
            .Where(j => j.TaskId == task && j.Verdict == verdict && j.PreferredResponseId == preferred && j.Strength == record.Strength);
        if (Twin(same.Select(j => new Given(j.Id, j.AnnotatorId, j.SubmittedAt)).ToList(), record.Annotator, record.Source, record.JudgedAt) is { } twin)
        {
            Found.Judgements[record.Id] = twin;
            return false;
        }
        var id = target.Ids.New<JudgementId>();
        var judgement = new PairwiseJudgement
        {
            Id = id, ProjectId = target.Project, TaskId = task, AnnotatorId = Annotator(record.Annotator, record.Source), Source = SourceOf(record.Source),
            ImportId = target.Import, SupersedesId = Supersedes(record.Supersedes), RationaleId = Rationale(record.Rationale, at),
            Reasons = Text(record, "reasons"), Layout = record.Layout is "side-by-side" or "stacked" ? record.Layout : null, SideSeed = Seed(record.Seed),
            GuidelinesVersion = Number(record, "guidelines_version"), VisibleSeconds = Decimal(record, "visible_seconds"), IsSurplus = Flag(record, "surplus"),
            SubmittedAt = at, Verdict = verdict, PreferredResponseId = preferred, Strength = preferred is null ? null : record.Strength,
            LeftResponseId = record.ShownLeftId is null ? null : record.ShownLeftId == record.ResponseAId ? first : second,
        };
        if (Time(record, "superseded_at") is { } superseded)
            judgement.MarkSuperseded(superseded);
        db.PairwiseJudgements.Add(judgement);
        db.SaveChanges();
        Found.Judgements[record.Id] = id;
        return true;
    }

    private bool Binary(BinaryRecord record)
    {
        var prompt = Of(Found.Prompts, known.Prompts, record.PromptId, "prompt_id", "prompt");
        var response = Of(Found.Responses, known.Responses, record.ResponseId, "response_id", "response");
        var task = TaskOf(record.TaskId, TaskKind.Binary, prompt, response, null);
        var verdict = ImportStage.VerdictOf(record.Verdict);
        var at = record.JudgedAt ?? target.At;
        var same = db.BinaryJudgements.IgnoreQueryFilters().AsNoTracking().Where(j => j.TaskId == task && j.Verdict == verdict && j.ResponseId == response);
        if (Twin(same.Select(j => new Given(j.Id, j.AnnotatorId, j.SubmittedAt)).ToList(), record.Annotator, record.Source, record.JudgedAt) is { } twin)
        {
            Found.Judgements[record.Id] = twin;
            return false;
        }
        var id = target.Ids.New<JudgementId>();
        var judgement = new BinaryJudgement
        {
            Id = id, ProjectId = target.Project, TaskId = task, AnnotatorId = Annotator(record.Annotator, record.Source), Source = SourceOf(record.Source),
            ImportId = target.Import, SupersedesId = Supersedes(record.Supersedes), RationaleId = Rationale(record.Rationale, at),
            Reasons = record.Reasons.Count == 0 ? null : string.Join(',', record.Reasons), GuidelinesVersion = Number(record, "guidelines_version"),
            VisibleSeconds = Decimal(record, "visible_seconds"), IsSurplus = Flag(record, "surplus"), SubmittedAt = at, Verdict = verdict, ResponseId = response,
        };
        if (Time(record, "superseded_at") is { } superseded)
            judgement.MarkSuperseded(superseded);
        db.BinaryJudgements.Add(judgement);
        db.SaveChanges();
        Found.Judgements[record.Id] = id;
        return true;
    }

    private bool Skip(SkipRecord record)
    {
        var task = Of(Found.Tasks, known.Tasks, record.TaskId, "task_id", "task");
        var annotator = Annotator(record.Annotator, null);
        var at = record.SkippedAt ?? target.At;
        if (db.TaskEvents.Any(e => e.TaskId == task && e.AnnotatorId == annotator && e.Kind == TaskEventKind.Skipped && e.At == at))
            return false;
        Found.AtTheFlip.Add(flip => flip.TaskEvents.Add(new TaskEvent
        {
            ProjectId = target.Project, TaskId = task, AnnotatorId = annotator, Kind = TaskEventKind.Skipped, Reason = record.Reason, At = at,
        }));
        return true;
    }

    private bool Flag(FlagRecord record)
    {
        if (record.SubjectType != "response")
            throw new LineProblem("subject_type", $"is \"{record.SubjectType}\"; only responses can be flagged here.");
        var response = Of(Found.Responses, known.Responses, record.SubjectId, "subject_id", "response");
        if (!Enum.TryParse<FlagReason>(record.Reason ?? nameof(FlagReason.Other), ignoreCase: true, out var reason) || !Enum.IsDefined(reason))
            throw new LineProblem("reason", $"is \"{record.Reason}\"; known are {string.Join(", ", Enum.GetNames<FlagReason>())}.");
        var annotator = Annotator(record.Annotator, null);
        var at = record.FlaggedAt ?? target.At;
        if (db.Flags.Any(f => f.ResponseId == response && f.AnnotatorId == annotator && f.Reason == reason && f.At == at))
            return false;
        var state = Enum.TryParse<FlagState>(record.State, ignoreCase: true, out var parsed) ? parsed : FlagState.Open;
        var place = Text(record, "place") ?? "import";
        var severity = Enum.TryParse<FlagSeverity>(Text(record, "severity"), ignoreCase: true, out var said) && Enum.IsDefined(said) ? said : FlagSeverity.Medium;
        var preferred = Text(record, "preferred");
        Found.AtTheFlip.Add(flip =>
        {
            var flagged = flip.Responses.IgnoreQueryFilters().FirstOrDefault(r => r.Id == response);
            var flag = new Flag
            {
                Id = target.Ids.New<FlagId>(), ProjectId = target.Project, ResponseId = response, AnnotatorId = annotator, Reason = reason, Severity = severity,
                NoteId = Words(flip, ContentKind.FlagNote, record.Note), PreferredId = Words(flip, ContentKind.PreferredAnswer, preferred), Place = place,
                ModelVersionId = flagged?.ModelVersionId, Source = Text(record, "source") == "suggested" ? FlagSource.Suggested : FlagSource.Person,
                AlikeKey = flagged is null ? $"{response}" : AlikeText.KeyOf(flip, target.Hasher, flagged), At = at,
            };
            if (state is not FlagState.Open)
                flag.Close(state, Guid.Empty, at); // by whom is known to the other installation only
            flip.Flags.Add(flag);
        });
        return true;

        ContentId? Words(PortalDbContext flip, ContentKind kind, string? words) => words is null ? null : new ImportStage(flip, target).ContentOf(kind, words, target.Hasher.Hash(words), at);
    }

    /// <summary>A project that has no guidelines yet takes the file's over, with its warning.</summary>
    private bool? ProjectSettings(ProjectRecord record)
    {
        Found.AtTheFlip.Add(flip =>
        {
            var project = flip.Projects.First(p => p.Id == target.Project);
            if (project.Guidelines.Length == 0 && record.Guidelines is { Length: > 0 and <= Project.GuidelinesLengthMax } guidelines)
                project.ChangeGuidelines(guidelines);
            project.ContentWarning ??= record.ContentWarning;
        });
        return null;
    }

    private TaskId TaskOf(string? fileId, TaskKind kind, PromptId prompt, ResponseId first, ResponseId? second)
    {
        if (fileId is not null)
            return Of(Found.Tasks, known.Tasks, fileId, "task_id", "task");
        if (FindTask(kind, TaskPurpose.Collect, prompt, first, second) is { } found)
            return found;
        var task = stage.TaskOf(kind, prompt, first, second, votes: 1, done: true).Id;
        db.SaveChanges();
        return task;
    }

    private TaskId? FindTask(TaskKind kind, TaskPurpose purpose, PromptId prompt, ResponseId first, ResponseId? second) =>
        db.Tasks.IgnoreQueryFilters().AsNoTracking()
            .Where(t => t.PromptId == prompt && t.Kind == kind && t.Purpose == purpose
                        && ((t.FirstResponseId == first && t.SecondResponseId == second) || (t.FirstResponseId == second && t.SecondResponseId == first)))
            .Select(t => (TaskId?)t.Id).FirstOrDefault();

    private sealed record Given(JudgementId Id, AnnotatorId Annotator, DateTimeOffset At);

    /// <summary>The same judgement of the same person (or of who was imported under the pseudonym), given at the same time, if the project has it.</summary>
    private JudgementId? Twin(List<Given> same, string pseudonym, string? source, DateTimeOffset? at)
    {
        if (same.Count == 0)
            return null;
        AnnotatorId?[] who = [stage.PersonBehind(pseudonym), stage.AnnotatorOf(pseudonym, SourceOf(source) is JudgementSource.Simulated)];
        return same.Where(j => who.Contains(j.Annotator) && (at is null || (j.At - at.Value).Duration() < TimeSpan.FromMilliseconds(1)))
            .Select(j => (JudgementId?)j.Id).FirstOrDefault();
    }

    private AnnotatorId Annotator(string pseudonym, string? source)
    {
        var id = stage.AnnotatorOf(pseudonym, SourceOf(source) is JudgementSource.Simulated);
        db.SaveChanges();
        return id;
    }

    /// <summary>What people of another portal said is imported here; what was simulated stays so, wherever it goes.</summary>
    private static JudgementSource SourceOf(string? source) => source == "simulated" ? JudgementSource.Simulated : JudgementSource.Imported;

    private JudgementId? Supersedes(string? fileId) => fileId is null ? null : Of(Found.Judgements, known.Judgements, fileId, "supersedes", "judgement");

    private ContentId? Rationale(string? words, DateTimeOffset at) =>
        string.IsNullOrEmpty(words) ? null : stage.ContentOf(ContentKind.Rationale, words, target.Hasher.Hash(words), at);

    private static long? Seed(string? text) => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed) ? seed : null;

    private static T Of<T>(Dictionary<string, T> batch, Dictionary<string, T> before, string fileId, string field, string what) =>
        batch.TryGetValue(fileId, out var id) || before.TryGetValue(fileId, out id)
            ? id
            : throw new LineProblem(field, $"names the {what} \"{(fileId.Length <= 60 ? fileId : fileId[..60] + "...")}\", which does not stand before this line (or was refused).");

    private static string? Raw(PortalRecord record, string name) => record.Extra.GetValueOrDefault(name) is { } raw and not "null" ? raw : null;

    private static string? Text(PortalRecord record, string name) =>
        Raw(record, name) is { } raw && raw.StartsWith('"') ? JsonSerializer.Deserialize<string>(raw) : null;

    private static int? Number(PortalRecord record, string name) =>
        int.TryParse(Raw(record, name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static double? Decimal(PortalRecord record, string name) =>
        double.TryParse(Raw(record, name), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null;

    private static bool Flag(PortalRecord record, string name) => Raw(record, name) == "true";

    private static DateTimeOffset? Time(PortalRecord record, string name) =>
        DateTimeOffset.TryParse(Text(record, name), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : null;

    /// <summary>A line that cannot be taken, and its field; ends the line, not the file.</summary>
    private sealed class LineProblem(string field, string message) : Exception(message)
    {
        public string Field { get; } = field;
    }
}
