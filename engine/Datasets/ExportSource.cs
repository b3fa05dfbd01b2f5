using System.Data;
using System.Globalization;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Engine.Datasets.Formats;
using FileVerdict = Portal.Engine.Datasets.Formats.BinaryVerdict;

namespace Portal.Engine.Datasets;

/// <summary>
/// Reads a project out of the database, row by row and in bounded memory, as the writers of files take it. All of one export is read from
/// one snapshot, so that a judgement never comes without its task.
/// </summary>
internal sealed class ExportSource : IDisposable
{
    private readonly PortalDbContext db;
    private readonly ProjectId project;
    private readonly IDbContextTransaction snapshot;
    private readonly Dictionary<AnnotatorId, string> pseudonyms;
    private readonly HashSet<ResponseId> flagged;
    private readonly HashSet<PromptId> erasedPrompts;
    private readonly HashSet<PromptId> trials;
    private readonly HashSet<ResponseId> erasedResponses;

    public ExportSource(PortalDbContext db, ProjectId project)
    {
        (this.db, this.project) = (db, project);
        snapshot = Snapshot(db);
        pseudonyms = db.Annotators.AsNoTracking().ToDictionary(a => a.Id, a => a.Pseudonym);
        flagged = [.. db.Flags.AsNoTracking().Where(f => f.ProjectId == project && f.State == FlagState.Confirmed).Select(f => f.ResponseId)];
        erasedPrompts = [.. db.Prompts.AsNoTracking().Where(p => p.ProjectId == project && db.Contents.Any(c => c.Id == p.ContentId && c.Text == null)).Select(p => p.Id)];
        trials = [.. db.Prompts.AsNoTracking().Where(p => p.ProjectId == project && p.IsTrial).Select(p => p.Id)];
        erasedResponses = [.. db.Responses.AsNoTracking().Where(r => r.ProjectId == project && db.Contents.Any(c => c.Id == r.ContentId && c.Text == null)).Select(r => r.Id)];
    }

    /// <summary>Lines left out of the lossless format, by reason.</summary>
    public SortedDictionary<string, long> LeftOut { get; } = new(StringComparer.Ordinal);

    /// <summary>The project's name, for the file's.</summary>
    public string ProjectName => db.Projects.AsNoTracking().Where(p => p.Id == project).Select(p => p.Name).First();

    /// <summary>Every judgement as a row for plain formats; what must not leave says why.</summary>
    public IEnumerable<ExportRow> Rows(TaskKind kind) => kind is TaskKind.Pairwise ? PairRows() : VerdictRows();

    /// <summary>Everything, in the order in which a reader can store it.</summary>
    public IEnumerable<PortalRecord> Records(DateTimeOffset now, string generator) =>
        new[] { ProjectLine(now, generator), Prompts(), Responses(), Tasks(), Pairs(), Verdicts(), Skips(), Flags() }.SelectMany(lines => lines);

    public void Dispose() => snapshot.Dispose();

    private static IDbContextTransaction Snapshot(PortalDbContext db)
    {
        if (db.Database.GetDbConnection() is not SqliteConnection sqlite)
            return db.Database.BeginTransaction(IsolationLevel.RepeatableRead);
        db.Database.OpenConnection();
        // EF would begin it IMMEDIATE, and keep everybody from writing until the export ends.
        return db.Database.UseTransaction(sqlite.BeginTransaction(deferred: true))!; // not null for a transaction that is not null
    }

    private IEnumerable<ExportRow> PairRows()
    {
        var rows = from j in db.PairwiseJudgements.AsNoTracking()
                   where j.ProjectId == project
                   join t in db.Tasks on j.TaskId equals t.Id
                   join p in db.Prompts on t.PromptId equals p.Id
                   join pc in db.Contents on p.ContentId equals pc.Id
                   join a in db.Responses on t.FirstResponseId equals a.Id
                   join ac in db.Contents on a.ContentId equals ac.Id
                   join b in db.Responses on t.SecondResponseId equals b.Id
                   join bc in db.Contents on b.ContentId equals bc.Id
                   orderby j.SubmittedAt, j.Id
                   select new { J = j, t.Purpose, p.Topic, Prompt = pc.Text, FirstId = a.Id, First = ac.Text, SecondId = b.Id, Second = bc.Text };
        var number = 0L;
        foreach (var row in rows)
        {
            var withdrawn = row.Prompt is null || row.First is null || row.Second is null ? "erased"
                : flagged.Contains(row.FirstId) || flagged.Contains(row.SecondId) ? "flagged"
                : WhyNot(row.J, row.Purpose);
            yield return new ExportRow($"{row.J.Id}", new ParsedRow
            {
                RowNumber = ++number, Kind = RowKind.Preference, Prompt = StoredTurns.ToMessages(Portal.Data.Feedback.Conversation.Parse(row.Prompt)),
                Responses = [row.First ?? "", row.Second ?? ""], Pair = WordOf(row.J, row.FirstId), Strength = row.J.Strength, Margin = row.J.Margin,
                Annotator = pseudonyms.GetValueOrDefault(row.J.AnnotatorId),
                FirstShownLeft = row.J.LeftResponseId is { } left ? left == row.FirstId : null, Source = SourceOf(row.J.Source), Extra = ExtraOf(row.Topic),
            }, row.J.SupersededAt is not null, withdrawn);
        }
    }

    private IEnumerable<ExportRow> VerdictRows()
    {
        var rows = from j in db.BinaryJudgements.AsNoTracking()
                   where j.ProjectId == project
                   join t in db.Tasks on j.TaskId equals t.Id
                   join p in db.Prompts on t.PromptId equals p.Id
                   join pc in db.Contents on p.ContentId equals pc.Id
                   join r in db.Responses on j.ResponseId equals r.Id
                   join rc in db.Contents on r.ContentId equals rc.Id
                   orderby j.SubmittedAt, j.Id
                   select new { J = j, t.Purpose, p.Topic, Prompt = pc.Text, Response = rc.Text };
        var number = 0L;
        foreach (var row in rows)
        {
            var withdrawn = row.Prompt is null || row.Response is null ? "erased" : flagged.Contains(row.J.ResponseId) ? "flagged" : WhyNot(row.J, row.Purpose);
            yield return new ExportRow($"{row.J.Id}", new ParsedRow
            {
                RowNumber = ++number, Kind = RowKind.Binary, Prompt = StoredTurns.ToMessages(Portal.Data.Feedback.Conversation.Parse(row.Prompt)),
                Responses = [row.Response ?? ""], Binary = WordOf(row.J.Verdict), Annotator = pseudonyms.GetValueOrDefault(row.J.AnnotatorId),
                Source = SourceOf(row.J.Source), Extra = ExtraOf(row.Topic),
            }, row.J.SupersededAt is not null, withdrawn);
        }
    }

    private static string? WhyNot(Judgement judgement, TaskPurpose purpose) =>
        purpose is not TaskPurpose.Collect ? "blind comparison" : judgement.IsSurplus ? "surplus" : null;

    private static IReadOnlyDictionary<string, string> ExtraOf(string? topic) =>
        topic is null ? new Dictionary<string, string>() : new Dictionary<string, string> { ["topic"] = topic };

    private IEnumerable<PortalRecord> ProjectLine(DateTimeOffset now, string generator)
    {
        var p = db.Projects.AsNoTracking().First(x => x.Id == project);
        yield return new ProjectRecord($"{p.Id}", p.Name)
        {
            Guidelines = p.Guidelines, ContentWarning = p.ContentWarning, VotesPerTask = p.VotesPerTask, ExportedAt = now, Generator = generator,
            TaskKinds = [.. new[] { (Portal.Data.Feedback.TaskKinds.Pairwise, "pairwise"), (Portal.Data.Feedback.TaskKinds.Binary, "binary") }.Where(k => p.TaskKinds.HasFlag(k.Item1)).Select(k => k.Item2)],
        };
    }

    private IEnumerable<PortalRecord> Prompts()
    {
        var rows = from p in db.Prompts.AsNoTracking()
                   where p.ProjectId == project
                   join c in db.Contents on p.ContentId equals c.Id
                   orderby p.Id
                   select new { P = p, c.Text };
        foreach (var row in rows)
        {
            if (row.Text is null)
                LeaveOut("prompt: erased");
            else if (row.P.IsTrial)
                LeaveOut("prompt: typed on the try page");
            else
                yield return new PromptRecord($"{row.P.Id}", StoredTurns.ToMessages(Portal.Data.Feedback.Conversation.Parse(row.Text)))
                {
                    ExternalId = row.P.ExternalId, Tags = row.P.Topic is { } topic ? [topic] : [], CreatedAt = row.P.CreatedAt,
                };
        }
    }

    private IEnumerable<PortalRecord> Responses()
    {
        var rows = from r in db.Responses.AsNoTracking()
                   where r.ProjectId == project
                   join c in db.Contents on r.ContentId equals c.Id
                   orderby r.Id
                   select new { R = r, c.Text };
        foreach (var row in rows)
        {
            if (row.Text is null || erasedPrompts.Contains(row.R.PromptId))
                LeaveOut("response: erased");
            else if (trials.Contains(row.R.PromptId))
                LeaveOut("response: of the try page");
            else
                yield return new ResponseRecord($"{row.R.Id}", $"{row.R.PromptId}", row.Text)
                {
                    ModelVersion = row.R.ModelVersionId?.ToString(), CreatedAt = row.R.CreatedAt,
                    Extra = Extra(("sampling_spec", row.R.SamplingJson), ("external_id", Quoted(row.R.ExternalId))),
                };
        }
    }

    private IEnumerable<PortalRecord> Tasks()
    {
        foreach (var t in db.Tasks.AsNoTracking().Where(t => t.ProjectId == project).OrderBy(t => t.Id))
        {
            if (IsErased(t.PromptId, t.FirstResponseId, t.SecondResponseId))
                LeaveOut("task: erased");
            else
                yield return new TaskRecord($"{t.Id}", $"{t.PromptId}", t.Kind is TaskKind.Pairwise ? "pairwise" : "binary",
                    t.SecondResponseId is { } second ? [$"{t.FirstResponseId}", $"{second}"] : [$"{t.FirstResponseId}"])
                {
                    VotesWanted = t.VotesWanted, CreatedAt = t.CreatedAt,
                    State = t.State switch { TaskState.Open => "open", TaskState.Done => "done", TaskState.Withdrawn => "withdrawn" },
                    Extra = Extra(("votes_missing", Number(t.VotesMissing)), ("priority", t.Priority == 0 ? null : Number(t.Priority)),
                        ("purpose", t.Purpose is TaskPurpose.BlindComparison ? "\"blind_comparison\"" : null)),
                };
        }
    }

    private IEnumerable<PortalRecord> Pairs()
    {
        var rows = from j in db.PairwiseJudgements.AsNoTracking()
                   where j.ProjectId == project
                   join t in db.Tasks on j.TaskId equals t.Id
                   orderby j.SubmittedAt, j.Id
                   select new { J = j, t.PromptId, t.FirstResponseId, t.SecondResponseId, Rationale = db.Contents.Where(c => c.Id == j.RationaleId).Select(c => c.Text).FirstOrDefault() };
        foreach (var row in rows)
        {
            if (row.SecondResponseId is not { } second || IsErased(row.PromptId, row.FirstResponseId, second))
                LeaveOut("pairwise: erased");
            else
                yield return new PairwiseRecord($"{row.J.Id}", $"{row.PromptId}", $"{row.FirstResponseId}", $"{second}", WordOf(row.J, row.FirstResponseId),
                    pseudonyms.GetValueOrDefault(row.J.AnnotatorId, "unknown"))
                {
                    TaskId = $"{row.J.TaskId}", Strength = row.J.Strength, ShownLeftId = row.J.LeftResponseId?.ToString(), Layout = row.J.Layout,
                    Seed = row.J.SideSeed?.ToString(CultureInfo.InvariantCulture), Rationale = row.Rationale, Source = SourceOf(row.J.Source),
                    Supersedes = row.J.SupersedesId?.ToString(), JudgedAt = row.J.SubmittedAt,
                    Extra = JudgementExtra(row.J, ("reasons", Quoted(row.J.Reasons))),
                };
        }
    }

    private IEnumerable<PortalRecord> Verdicts()
    {
        var rows = from j in db.BinaryJudgements.AsNoTracking()
                   where j.ProjectId == project
                   join t in db.Tasks on j.TaskId equals t.Id
                   orderby j.SubmittedAt, j.Id
                   select new { J = j, t.PromptId, Rationale = db.Contents.Where(c => c.Id == j.RationaleId).Select(c => c.Text).FirstOrDefault() };
        foreach (var row in rows)
        {
            if (IsErased(row.PromptId, row.J.ResponseId, null))
                LeaveOut("binary: erased");
            else
                yield return new BinaryRecord($"{row.J.Id}", $"{row.PromptId}", $"{row.J.ResponseId}", WordOf(row.J.Verdict),
                    pseudonyms.GetValueOrDefault(row.J.AnnotatorId, "unknown"))
                {
                    TaskId = $"{row.J.TaskId}", Rationale = row.Rationale, Reasons = row.J.Reasons?.Split(',') ?? [], Source = SourceOf(row.J.Source),
                    Supersedes = row.J.SupersedesId?.ToString(), JudgedAt = row.J.SubmittedAt, Extra = JudgementExtra(row.J),
                };
        }
    }

    private IEnumerable<PortalRecord> Skips()
    {
        var rows = from e in db.TaskEvents.AsNoTracking()
                   where e.ProjectId == project && e.Kind == TaskEventKind.Skipped
                   join t in db.Tasks on e.TaskId equals t.Id
                   orderby e.Id
                   select new { E = e, t.PromptId, t.FirstResponseId, t.SecondResponseId };
        foreach (var row in rows)
        {
            if (IsErased(row.PromptId, row.FirstResponseId, row.SecondResponseId))
                LeaveOut("skip: erased");
            else
                yield return new SkipRecord(Number(row.E.Id), $"{row.E.TaskId}", pseudonyms.GetValueOrDefault(row.E.AnnotatorId, "unknown"))
                {
                    Reason = row.E.Reason, SkippedAt = row.E.At,
                };
        }
    }

    private IEnumerable<PortalRecord> Flags()
    {
        var rows = from f in db.Flags.AsNoTracking()
                   where f.ProjectId == project
                   join r in db.Responses on f.ResponseId equals r.Id
                   orderby f.Id
                   select new
                   {
                       F = f, r.PromptId, Note = db.Contents.Where(c => c.Id == f.NoteId).Select(c => c.Text).FirstOrDefault(),
                       Preferred = db.Contents.Where(c => c.Id == f.PreferredId).Select(c => c.Text).FirstOrDefault(),
                   };
        foreach (var row in rows)
        {
            if (IsErased(row.PromptId, row.F.ResponseId, null))
                LeaveOut("flag: erased");
            else if (trials.Contains(row.PromptId))
                LeaveOut("flag: of the try page");
            else
                yield return new FlagRecord($"{row.F.Id}", "response", $"{row.F.ResponseId}", pseudonyms.GetValueOrDefault(row.F.AnnotatorId, "unknown"))
                {
                    Reason = $"{row.F.Reason}", Note = row.Note, State = $"{row.F.State}", FlaggedAt = row.F.At,
                    Extra = Extra(("place", Quoted(row.F.Place)), ("severity", Quoted($"{row.F.Severity}")), ("preferred", Quoted(row.Preferred)), ("source", row.F.Source is FlagSource.Suggested ? Quoted("suggested") : null)),
                };
        }
    }

    private bool IsErased(PromptId prompt, ResponseId first, ResponseId? second) =>
        erasedPrompts.Contains(prompt) || erasedResponses.Contains(first) || (second is { } other && erasedResponses.Contains(other));

    private void LeaveOut(string reason) => LeftOut[reason] = LeftOut.GetValueOrDefault(reason) + 1;

    private static PairVerdict WordOf(PairwiseJudgement judgement, ResponseId first) => judgement.Verdict switch
    {
        PairwiseVerdict.Preferred => judgement.PreferredResponseId == first ? PairVerdict.FirstBetter : PairVerdict.SecondBetter,
        PairwiseVerdict.Tie => PairVerdict.Tie,
        PairwiseVerdict.BothGood => PairVerdict.BothGood,
        PairwiseVerdict.BothBad => PairVerdict.BothBad,
        PairwiseVerdict.CannotJudge => PairVerdict.CannotJudge,
    };

    private static FileVerdict WordOf(Portal.Data.Feedback.BinaryVerdict verdict) => verdict switch
    {
        Portal.Data.Feedback.BinaryVerdict.Good => FileVerdict.Good,
        Portal.Data.Feedback.BinaryVerdict.Bad => FileVerdict.Bad,
        Portal.Data.Feedback.BinaryVerdict.Unsure => FileVerdict.Unsure,
    };

    private static string SourceOf(JudgementSource source) => source switch
    {
        JudgementSource.Person => "people",
        JudgementSource.Imported => "imported",
        JudgementSource.Simulated => "simulated",
    };

    private static IReadOnlyDictionary<string, string> JudgementExtra(Judgement j, params (string Name, string? Json)[] more) => Extra(
    [
        ("superseded_at", Quoted(j.SupersededAt?.ToString("O", CultureInfo.InvariantCulture))), ("surplus", j.IsSurplus ? "true" : null),
        ("guidelines_version", j.GuidelinesVersion is { } version ? Number(version) : null),
        ("visible_seconds", j.VisibleSeconds?.ToString("R", CultureInfo.InvariantCulture)), .. more,
    ]);

    private static IReadOnlyDictionary<string, string> Extra(params (string Name, string? Json)[] fields) =>
        fields.Where(f => f.Json is not null).ToDictionary(f => f.Name, f => f.Json!); // filtered just before

    private static string? Quoted(string? text) => text is null ? null : JsonSerializer.Serialize(text);

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
