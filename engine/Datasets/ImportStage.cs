using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>What an import goes into, and under which name its rows are staged.</summary>
/// <param name="VotesPerTask">Votes that a pair nobody has judged yet shall get.</param>
/// <param name="At">The moment of the import: rows of a file without times get it.</param>
internal sealed record ImportTarget(ProjectId Project, ImportId Import, int VotesPerTask, DateTimeOffset At, ContentHasher Hasher, IdFactory Ids);

/// <summary>What became of the rows of one batch.</summary>
internal sealed class BatchResult
{
    public int Accepted { get; set; }
    public int Duplicates { get; set; }
    public List<RowProblem> Problems { get; } = [];
}

/// <summary>
/// Stages rows of a file: prompts, responses, tasks and judgements of an import that is not visible yet. What the project holds already is
/// used, not doubled, recognised by the keyed hash of its text.
/// </summary>
/// <remarks>
/// A judged row becomes a task that is done and a judgement of source "imported"; an unjudged pair becomes an open task; a prompt stays a
/// prompt. Judgements on a pair that has a task already are added to it and change nothing about the votes it still wants: those are for
/// people here. One instance serves one batch inside one write, which may run twice: it keeps nothing beyond its result.
/// </remarks>
internal sealed class ImportStage(PortalDbContext db, ImportTarget target)
{
    /// <summary>Who judged, where the file does not say.</summary>
    public const string UnnamedAnnotator = "imported";

    private const int PseudonymLengthMax = 180;

    private readonly Dictionary<string, PromptId> prompts = new(StringComparer.Ordinal);
    private readonly Dictionary<(PromptId, string), ResponseId> responses = [];
    private readonly Dictionary<(TaskKind, ResponseId, ResponseId?), TaskId> tasks = [];
    private readonly HashSet<(TaskId, AnnotatorId, int, ResponseId?, int?)> judged = [];
    private readonly Dictionary<string, AnnotatorId> annotators = new(StringComparer.Ordinal);

    /// <summary>Rows of any format but the portal's own.</summary>
    public BatchResult Add(IReadOnlyList<ParsedRow> rows, string file)
    {
        var result = new BatchResult();
        var stored = rows.Select(row => (Row: row, Json: Portal.Data.Feedback.Conversation.Serialize(StoredTurns.Of(row.Prompt)))).ToList();
        Look(stored.Select(s => target.Hasher.Hash(s.Json)).ToHashSet(StringComparer.Ordinal));
        foreach (var (row, json) in stored)
        {
            if (row.Annotator is { Length: > PseudonymLengthMax } name)
                result.Problems.Add(new RowProblem(file, row.RowNumber, "annotator", $"has {name.Length} characters; at most {PseudonymLengthMax} are kept."));
            else if (Add(row, json))
                result.Accepted++;
            else
                result.Duplicates++;
        }
        return result;
    }

    /// <summary>False when the project holds all that the row says.</summary>
    private bool Add(ParsedRow row, string json)
    {
        var (prompt, isNew) = PromptOf(json, row.Extra.GetValueOrDefault("topic"), row.Extra.GetValueOrDefault("id"), target.At);
        if (row.Kind is RowKind.Prompt)
            return isNew;
        var ids = row.Responses.Select(text => ResponseOf(prompt, text).Id).ToList();
        var (first, second) = (ids[0], ids.Count > 1 ? ids[1] : (ResponseId?)null);
        if (first == second)
            return false; // the formats refuse identical texts; only a hash collision could bring us here
        var kind = second is null ? TaskKind.Binary : TaskKind.Pairwise;
        if (row.Kind is RowKind.UnlabelledPair)
            return TaskOf(kind, prompt, first, second, votes: target.VotesPerTask, done: false).IsNew;
        var (task, _) = TaskOf(kind, prompt, first, second, votes: 1, done: true);
        var annotator = AnnotatorOf(row.Annotator ?? UnnamedAnnotator);
        if (row.Kind is RowKind.Preference)
        {
            var (verdict, preferred) = VerdictOf(row.Pair!.Value, first, second!.Value); // a Preference has a verdict and two responses
            if (!judged.Add((task, annotator, (int)verdict, preferred, row.Strength)))
                return false;
            db.PairwiseJudgements.Add(new PairwiseJudgement
            {
                Id = target.Ids.New<JudgementId>(), ProjectId = target.Project, TaskId = task, AnnotatorId = annotator, Source = JudgementSource.Imported,
                ImportId = target.Import, Verdict = verdict, PreferredResponseId = preferred, Strength = preferred is null ? null : row.Strength,
                LeftResponseId = row.FirstShownLeft is { } firstLeft ? firstLeft ? first : second : null, SubmittedAt = target.At,
            });
            return true;
        }
        var binary = VerdictOf(row.Binary!.Value); // a Binary row has a verdict
        if (!judged.Add((task, annotator, (int)binary, first, null)))
            return false;
        db.BinaryJudgements.Add(new BinaryJudgement
        {
            Id = target.Ids.New<JudgementId>(), ProjectId = target.Project, TaskId = task, AnnotatorId = annotator, Source = JudgementSource.Imported,
            ImportId = target.Import, Verdict = binary, ResponseId = first, SubmittedAt = target.At,
        });
        return true;
    }

    /// <summary>Reads in a few statements what the project holds about these prompts.</summary>
    public void Look(HashSet<string> promptHashes)
    {
        var hashes = promptHashes.ToList();
        foreach (var p in db.Prompts.IgnoreQueryFilters().AsNoTracking().Where(p => p.ProjectId == target.Project && hashes.Contains(p.ContentHash))
                     .Select(p => new { p.Id, p.ContentHash }))
            prompts[p.ContentHash] = p.Id;
        var known = prompts.Values.ToList();
        foreach (var r in db.Responses.IgnoreQueryFilters().AsNoTracking().Where(r => known.Contains(r.PromptId))
                     .Select(r => new { r.Id, r.PromptId, r.ContentHash }))
            responses.TryAdd((r.PromptId, r.ContentHash), r.Id);
        var found = db.Tasks.IgnoreQueryFilters().AsNoTracking().Where(t => known.Contains(t.PromptId) && t.Purpose == TaskPurpose.Collect)
            .Select(t => new { t.Id, t.Kind, t.FirstResponseId, t.SecondResponseId }).ToList();
        foreach (var t in found)
            tasks.TryAdd(KeyOf(t.Kind, t.FirstResponseId, t.SecondResponseId), t.Id);
        var taskIds = found.Select(t => t.Id).ToList();
        foreach (var j in db.PairwiseJudgements.IgnoreQueryFilters().AsNoTracking().Where(j => taskIds.Contains(j.TaskId))
                     .Select(j => new { j.TaskId, j.AnnotatorId, j.Verdict, j.PreferredResponseId, j.Strength }))
            judged.Add((j.TaskId, j.AnnotatorId, (int)j.Verdict, j.PreferredResponseId, j.Strength));
        foreach (var j in db.BinaryJudgements.IgnoreQueryFilters().AsNoTracking().Where(j => taskIds.Contains(j.TaskId))
                     .Select(j => new { j.TaskId, j.AnnotatorId, j.Verdict, j.ResponseId }))
            judged.Add((j.TaskId, j.AnnotatorId, (int)j.Verdict, j.ResponseId, null));
    }

    /// <summary>The project's prompt with these turns, made where there is none.</summary>
    public (PromptId Id, bool IsNew) PromptOf(string json, string? topic, string? externalId, DateTimeOffset at)
    {
        var hash = target.Hasher.Hash(json);
        if (prompts.TryGetValue(hash, out var known))
            return (known, false);
        var prompt = new Prompt
        {
            Id = target.Ids.New<PromptId>(), ProjectId = target.Project, ContentId = ContentOf(ContentKind.Prompt, json, hash, at), ContentHash = hash,
            Topic = topic, ImportId = target.Import, ExternalId = externalId, CreatedAt = at,
        };
        db.Prompts.Add(prompt);
        prompts[hash] = prompt.Id;
        return (prompt.Id, true);
    }

    /// <summary>The prompt's response with this text, made where there is none.</summary>
    public (ResponseId Id, bool IsNew) ResponseOf(PromptId prompt, string text, ModelVersionId? model = null, string? samplingJson = null,
        string? externalId = null, DateTimeOffset? at = null)
    {
        var hash = target.Hasher.Hash(text);
        if (responses.TryGetValue((prompt, hash), out var known))
            return (known, false);
        var response = new Response
        {
            Id = target.Ids.New<ResponseId>(), ProjectId = target.Project, PromptId = prompt,
            ContentId = ContentOf(ContentKind.Response, text, hash, at ?? target.At), ContentHash = hash, ModelVersionId = model,
            SamplingJson = samplingJson, ImportId = target.Import, ExternalId = externalId, CreatedAt = at ?? target.At,
        };
        db.Responses.Add(response);
        responses[(prompt, hash)] = response.Id;
        return (response.Id, true);
    }

    /// <summary>The task about these responses, in either order; made where there is none.</summary>
    public (TaskId Id, bool IsNew) TaskOf(TaskKind kind, PromptId prompt, ResponseId first, ResponseId? second, int votes, bool done)
    {
        if (tasks.TryGetValue(KeyOf(kind, first, second), out var known))
            return (known, false);
        var task = AnnotationTask.Create(target.Ids.New<TaskId>(), target.Project, kind, prompt, first, second, votes, target.At, import: target.Import);
        for (var vote = 0; done && vote < votes; vote++)
            task.CountVote();
        AddTask(task);
        return (task.Id, true);
    }

    /// <summary>A task made by the caller.</summary>
    public void AddTask(AnnotationTask task)
    {
        db.Tasks.Add(task);
        if (task.Purpose is TaskPurpose.Collect)
            tasks.TryAdd(KeyOf(task.Kind, task.FirstResponseId, task.SecondResponseId), task.Id);
    }

    /// <summary>
    /// Who judges under this pseudonym. A pseudonym behind which somebody of this portal stands is theirs: a file cannot speak for them.
    /// </summary>
    public AnnotatorId AnnotatorOf(string pseudonym, bool isSimulated = false)
    {
        if (annotators.TryGetValue(pseudonym, out var known))
            return known;
        if (Find(Name()) is { } found)
            return annotators[pseudonym] = found;
        db.LockAnnotators();
        var name = Name(); // while this waited, a person may have got the pseudonym, or another import have brought it
        if (Find(name) is { } meanwhile)
            return annotators[pseudonym] = meanwhile;
        var annotator = new Annotator { Id = target.Ids.New<AnnotatorId>(), Pseudonym = name, IsSimulated = isSimulated, CreatedAt = target.At };
        db.Annotators.Add(annotator);
        return annotators[pseudonym] = annotator.Id;

        string Name() => PersonBehind(pseudonym) is null ? pseudonym : $"{pseudonym} (imported)";
        AnnotatorId? Find(string called) => db.Annotators.Where(a => a.Pseudonym == called).Select(a => (AnnotatorId?)a.Id).FirstOrDefault();
    }

    /// <summary>The annotator with an account here who judges under this pseudonym; null when there is none.</summary>
    public AnnotatorId? PersonBehind(string pseudonym) => db.Annotators.AsNoTracking()
        .Where(a => a.Pseudonym == pseudonym && db.AnnotatorAccounts.Any(l => l.AnnotatorId == a.Id)).Select(a => (AnnotatorId?)a.Id).FirstOrDefault();

    /// <summary>A content row of its own.</summary>
    public ContentId ContentOf(ContentKind kind, string text, string hash, DateTimeOffset at)
    {
        var content = new Content { Id = target.Ids.New<ContentId>(), ProjectId = target.Project, Kind = kind, Text = text, KeyedHash = hash, CreatedAt = at };
        db.Contents.Add(content);
        return content.Id;
    }

    public static (PairwiseVerdict Verdict, ResponseId? Preferred) VerdictOf(PairVerdict verdict, ResponseId first, ResponseId second) => verdict switch
    {
        PairVerdict.FirstBetter => (PairwiseVerdict.Preferred, first),
        PairVerdict.SecondBetter => (PairwiseVerdict.Preferred, second),
        PairVerdict.Tie => (PairwiseVerdict.Tie, null),
        PairVerdict.BothGood => (PairwiseVerdict.BothGood, null),
        PairVerdict.BothBad => (PairwiseVerdict.BothBad, null),
        PairVerdict.CannotJudge => (PairwiseVerdict.CannotJudge, null),
    };

    public static Portal.Data.Feedback.BinaryVerdict VerdictOf(Formats.BinaryVerdict verdict) => verdict switch
    {
        Formats.BinaryVerdict.Good => Portal.Data.Feedback.BinaryVerdict.Good,
        Formats.BinaryVerdict.Bad => Portal.Data.Feedback.BinaryVerdict.Bad,
        Formats.BinaryVerdict.Unsure => Portal.Data.Feedback.BinaryVerdict.Unsure,
    };

    private static (TaskKind, ResponseId, ResponseId?) KeyOf(TaskKind kind, ResponseId first, ResponseId? second) =>
        second is { } other && other.Value.CompareTo(first.Value) < 0 ? (kind, other, first) : (kind, first, second);

    /// <summary>
    /// Removes everything an import has staged, in batches with pauses. Annotators stay: they are names, and may judge elsewhere.
    /// </summary>
    public static async Task Remove(WriteQueue writes, ImportId import, TimeProvider time, CancellationToken stop)
    {
        const int Batch = 200;
        // From the leaves to the roots, since nothing is removed by cascade.
        Func<PortalDbContext, int>[] steps =
        [
            db => db.PairwiseJudgements.IgnoreQueryFilters().Where(j => j.ImportId == import).OrderByDescending(j => j.Id).Take(Batch).ExecuteDelete(),
            db => db.BinaryJudgements.IgnoreQueryFilters().Where(j => j.ImportId == import).OrderByDescending(j => j.Id).Take(Batch).ExecuteDelete(),
            db => db.Tasks.IgnoreQueryFilters().Where(t => t.ImportId == import).OrderBy(t => t.Id).Take(Batch).ExecuteDelete(),
            db => RemoveWithTexts(db, db.Responses.IgnoreQueryFilters().Where(r => r.ImportId == import).OrderBy(r => r.Id).Take(Batch).Select(r => r.ContentId).ToList(),
                contents => db.Responses.IgnoreQueryFilters().Where(r => contents.Contains(r.ContentId)).ExecuteDelete()),
            db => RemoveWithTexts(db, db.Prompts.IgnoreQueryFilters().Where(p => p.ImportId == import).OrderBy(p => p.Id).Take(Batch).Select(p => p.ContentId).ToList(),
                contents => db.Prompts.IgnoreQueryFilters().Where(p => contents.Contains(p.ContentId)).ExecuteDelete()),
        ];
        // Rationales hang on judgements without a key of their own: they go first, while it can be seen whose they are.
        while (await writes.WriteAsync(db => RemoveRationales(db, import, Batch), stop) > 0)
            await Task.Delay(TimeSpan.FromMilliseconds(20), time, stop);
        foreach (var step in steps)
            while (await writes.WriteAsync(step, stop) > 0)
                await Task.Delay(TimeSpan.FromMilliseconds(20), time, stop);
    }

    private static int RemoveRationales(PortalDbContext db, ImportId import, int batch)
    {
        var contents = db.PairwiseJudgements.IgnoreQueryFilters().Where(j => j.ImportId == import && j.RationaleId != null).Select(j => j.RationaleId)
            .Concat(db.BinaryJudgements.IgnoreQueryFilters().Where(j => j.ImportId == import && j.RationaleId != null).Select(j => j.RationaleId))
            .Where(id => db.Contents.Any(c => c.Id == id)).Take(batch).ToList();
        return contents.Count == 0 ? 0 : db.Contents.Where(c => contents.Contains(c.Id)).ExecuteDelete();
    }

    private static int RemoveWithTexts(PortalDbContext db, List<ContentId> contents, Func<List<ContentId>, int> remove)
    {
        if (contents.Count == 0)
            return 0;
        var removed = remove(contents);
        db.Contents.Where(c => contents.Contains(c.Id)).ExecuteDelete();
        return removed;
    }
}
