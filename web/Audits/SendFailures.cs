using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>Why a chosen failure was not sent on.</summary>
public enum NotSent
{
    /// <summary>The pair is none of the audit's failures.</summary>
    NoFailure,
    /// <summary>A text of it, or its prompt, was erased.</summary>
    Erased,
    /// <summary>Both policies wrote the same: there is nothing to compare.</summary>
    SameText,
    /// <summary>It is there already.</summary>
    Already,
}

/// <summary>What came of chosen failures.</summary>
/// <param name="Made">Flags or tasks.</param>
/// <param name="Left">How many were not sent, by reason; only reasons that occurred.</param>
public sealed record SentFailures(int Made, IReadOnlyDictionary<NotSent, int> Left);

/// <summary>
/// Sends failures of an audit on: the audited text to the reviewers as a flag, or both texts to the annotators as a task. Sending the same again adds nothing.
/// </summary>
internal static class FailuresToSend
{
    public const int PairsMax = 200;

    /// <summary>The page that flags name as their origin.</summary>
    public const string Place = "audit";

    private static readonly Problem NotEnded = new("audit", "This audit has not ended, so there is nothing to send.", ProblemKind.Conflict);

    /// <summary>The audit whose failures were chosen, or why none of them can be sent.</summary>
    public static async Task<Outcome<EndedAudit>> Open(ReadAudit read, ClaimsPrincipal user, JobId job, IReadOnlyCollection<string> pairs, CancellationToken stop) => pairs.Count switch
    {
        0 => new Problem("pairs", "Choose at least one failure."),
        > PairsMax => new Problem("pairs", $"{pairs.Count} failures were chosen; at most {PairsMax} are sent at once.", ProblemKind.TooMuch),
        _ => await read.Ended(user, job, NotEnded, stop),
    };

    /// <summary>The chosen pairs that can be sent, with their failure and both texts, and why the others cannot.</summary>
    public static (IReadOnlyList<(AuditFailure Failure, PromptId Prompt, ResponseId Audited, ResponseId Base)> Ready, Dictionary<NotSent, int> Left) Sort(PortalDbContext db, JobId job, AuditReport report, IReadOnlyCollection<string> pairs)
    {
        Dictionary<NotSent, int> left = [];
        List<(AuditFailure, PromptId, ResponseId, ResponseId)> ready = [];
        var failures = report.Failures.ToDictionary(failure => failure.Pair, StringComparer.Ordinal);
        var byId = report.Pairs.ToDictionary(pair => pair.Id, StringComparer.Ordinal);
        foreach (var id in pairs.Distinct(StringComparer.Ordinal))
        {
            if (!failures.TryGetValue(id, out var failure) || !byId.TryGetValue(id, out var pair))
                Leave(left, NotSent.NoFailure);
            else if (Stored(db, job, pair.AuditedText) is not { } audited || Stored(db, job, pair.BaseText) is not { } other)
                Leave(left, NotSent.Erased);
            else if (audited.Hash == other.Hash)
                Leave(left, NotSent.SameText);
            else
                ready.Add((failure, audited.Prompt, audited.Response, other.Response));
        }
        return (ready, left);
    }

    public static void Leave(Dictionary<NotSent, int> left, NotSent why) => left[why] = left.GetValueOrDefault(why) + 1;

    /// <summary>The response behind a text of the audit; null when it, or its prompt, was erased. Two look-ups by key.</summary>
    private static (PromptId Prompt, ResponseId Response, string Hash)? Stored(PortalDbContext db, JobId job, string text)
    {
        if (AuditTextId.Parse(text) is not { } id)
            return null;
        var found = (from row in db.AuditTexts.AsNoTracking()
                     where row.JobId == job && row.PromptId == id.PromptId && row.Side == id.Side && row.Ordinal == id.Ordinal
                     join response in db.Responses on row.ResponseId equals response.Id
                     join answer in db.Contents on response.ContentId equals answer.Id
                     join prompt in db.Prompts on row.PromptId equals prompt.Id
                     join question in db.Contents on prompt.ContentId equals question.Id
                     where answer.Text != null && question.Text != null
                     select new { row.PromptId, response.Id, response.ContentHash }).FirstOrDefault();
        return found is null ? null : (found.PromptId, found.Id, found.ContentHash);
    }
}

/// <summary>Flags the audited text of chosen failures for the reviewers. Idempotent: a text that an audit flagged before, whatever became of it, gets no second flag.</summary>
[Needs(Permission.Audit)]
public sealed class SendToReview(WriteQueue writes, Access access, ReadAudit read, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="pairs">Ids of failures, 1 to 200.</param>
    public async Task<Outcome<SentFailures>> Handle(ClaimsPrincipal user, JobId job, IReadOnlyCollection<string> pairs, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var opened = await FailuresToSend.Open(read, user, job, pairs, stop);
        if (opened.Refusal is { } why)
            return why;
        var audit = opened.Value;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<SentFailures>(db =>
        {
            var (ready, left) = FailuresToSend.Sort(db, job, audit.Report, pairs);
            var (made, now) = (0, time.GetUtcNow());
            foreach (var (failure, _, response, _) in ready)
            {
                if (db.Flags.Any(f => f.ResponseId == response && f.Place == FailuresToSend.Place))
                {
                    FailuresToSend.Leave(left, NotSent.Already);
                    continue;
                }
                var row = db.Responses.AsNoTracking().First(r => r.Id == response); // its text was just looked at
                var note = Note(audit.Row, failure);
                var content = new Content { Id = ids.New<ContentId>(), ProjectId = audit.Row.ProjectId, Kind = ContentKind.FlagNote, Text = note, KeyedHash = hasher.Hash(note), CreatedAt = now };
                db.Contents.Add(content);
                db.Flags.Add(new Flag { Id = ids.New<FlagId>(), ProjectId = audit.Row.ProjectId, ResponseId = response, AnnotatorId = annotator, Reason = FlagReason.Other, NoteId = content.Id, Place = FailuresToSend.Place, ModelVersionId = row.ModelVersionId, AlikeKey = AlikeText.KeyOf(db, hasher, row), At = now });
                made++;
            }
            if (made > 0)
                AuditChain.Append(db, now, asked.Value.AccountId, "audit.flag", "audit", $"{job}", new { flags = made });
            return new SentFailures(made, left);
        }, stop);
    }

    private static string Note(PolicyAudit audit, AuditFailure failure) => string.Create(System.Globalization.CultureInfo.InvariantCulture,
        $"{audit.Label}: the reward recovered from {audit.AuditedName} {(failure.Kind is AuditFailureKind.Misclassified ? "prefers the base's answer" : "hardly tells this answer from the base's")} (margin {failure.Margin:+0.00;-0.00}, wrong in {failure.RunsWrong} of {failure.Runs} runs).");
}

/// <summary>Makes a pairwise task of chosen failures. Idempotent: a pair that is a task already, in either order, gets no second one.</summary>
[Needs(Permission.Administer)]
public sealed class MakeFailureTasks(WriteQueue writes, Access access, ReadAudit read, IdFactory ids, TimeProvider time)
{
    /// <param name="pairs">Ids of failures, 1 to 200.</param>
    public async Task<Outcome<SentFailures>> Handle(ClaimsPrincipal user, JobId job, IReadOnlyCollection<string> pairs, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var opened = await FailuresToSend.Open(read, user, job, pairs, stop);
        if (opened.Refusal is { } why)
            return why;
        var audit = opened.Value;
        return await writes.WriteAsync<SentFailures>(db =>
        {
            if (db.Projects.AsNoTracking().FirstOrDefault(p => p.Id == audit.Row.ProjectId) is not { ArchivedAt: null } project)
                return new Problem("project", "The project is archived or gone; nobody is offered its tasks.", ProblemKind.Conflict);
            if (!project.TaskKinds.HasFlag(TaskKinds.Pairwise))
                return new Problem("project", "The project asks for no pairwise judgements, so nobody would be offered these tasks. Switch them on in the project's settings.", ProblemKind.Conflict);
            var (ready, left) = FailuresToSend.Sort(db, job, audit.Report, pairs);
            var (made, now) = (0, time.GetUtcNow());
            foreach (var (_, prompt, first, second) in ready)
            {
                if (db.Tasks.Any(t => t.PromptId == prompt && t.Purpose == TaskPurpose.Collect && ((t.FirstResponseId == first && t.SecondResponseId == second) || (t.FirstResponseId == second && t.SecondResponseId == first))))
                {
                    FailuresToSend.Leave(left, NotSent.Already);
                    continue;
                }
                db.Tasks.Add(AnnotationTask.Create(ids.New<TaskId>(), project.Id, TaskKind.Pairwise, prompt, first, second, project.VotesPerTask, now, job: job));
                made++;
            }
            if (made > 0)
                AuditChain.Append(db, now, asked.Value.AccountId, "audit.tasks", "audit", $"{job}", new { tasks = made });
            return new SentFailures(made, left);
        }, stop);
    }
}
