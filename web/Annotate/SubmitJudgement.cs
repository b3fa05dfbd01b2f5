using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>What the page sends when an annotator submits. One shape for pairs and single responses.</summary>
/// <param name="JudgementId">Made by the page when it loads: sending twice stores once.</param>
/// <param name="Verdict">"preferred", "tie", "both-good", "both-bad", "cannot-judge"; or "good", "bad", "unsure".</param>
/// <param name="PreferredResponseId">The better response; only with "preferred".</param>
/// <param name="Strength">1 slightly, 2 better, 3 much better; only with "preferred".</param>
/// <param name="Reasons">Codes of the chosen reason tags, in the order shown; see <see cref="ReasonCodes"/>.</param>
/// <param name="Rationale">Free words, at most 4,000 characters; null or blank for none.</param>
/// <param name="Layout">"side-by-side" or "stacked".</param>
/// <param name="VisibleSeconds">How long the page was in view.</param>
/// <param name="ClientTime">The browser's clock at submit.</param>
/// <param name="UsedDifferences">The differences view was on for a while.</param>
/// <param name="UsedRaw">The raw view was on for a while.</param>
public sealed record JudgementRequest(JudgementId JudgementId, AssignmentId AssignmentId, string Verdict, ResponseId? PreferredResponseId,
    int? Strength, IReadOnlyList<string>? Reasons, string? Rationale, string? Layout, double? VisibleSeconds, DateTimeOffset? ClientTime,
    bool UsedDifferences, bool UsedRaw);

/// <summary>The receipt: the judgement is on disk.</summary>
/// <param name="Replayed">True when it was stored before and this was a repetition.</param>
/// <param name="Today">How many judgements this annotator has given since midnight UTC, this one included.</param>
/// <param name="Next">The next task, leased already; null fields when the queue is empty.</param>
public sealed record Receipt(JudgementId JudgementId, bool Replayed, bool IsSurplus, int Today, Taken Next);

/// <summary>The reasons an annotator can tick; stored as codes, shown in the reader's language.</summary>
public static class ReasonCodes
{
    public static readonly IReadOnlyList<string> All =
        ["right-facts", "wrong-facts", "clearer", "friendlier", "rude", "too-long", "off-topic", "flattery", "needless-refusal", "unsafe"];
}

/// <summary>
/// Stores a judgement and leases the next task, in one durable write. Idempotent by <see cref="JudgementRequest.JudgementId"/>: a replay
/// answers with the first receipt and changes nothing.
/// </summary>
[Needs(Permission.Vote)]
public sealed class SubmitJudgement(WriteQueue writes, Access access, TakeTask takeTask, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    public const int RationaleLengthMax = 4_000;

    public async Task<Outcome<Receipt>> Handle(ClaimsPrincipal user, JudgementRequest request, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (Check(request) is { } problem)
            return problem;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync(db => Store(db, annotator, request), stop);
    }

    private Outcome<Receipt> Store(PortalDbContext db, AnnotatorId annotator, JudgementRequest request)
    {
        var now = time.GetUtcNow();
        var assignment = db.Assignments.FirstOrDefault(a => a.Id == request.AssignmentId && a.AnnotatorId == annotator);
        if (assignment is null)
            return Refusals.NoAssignment;
        db.LockTask(assignment.TaskId);
        var task = db.Tasks.First(t => t.Id == assignment.TaskId);
        var queue = new Queue(task.ProjectId, task.Kind, task.CandidateId);

        if (FindJudgement(db, request.JudgementId) is { } stored)
        {
            if (stored.AnnotatorId != annotator || stored.AssignmentId != assignment.Id)
                return new Problem("judgementId", "This judgement id is taken by another judgement.", ProblemKind.Conflict);
            return new Receipt(stored.Id, true, stored.IsSurplus, Today(db, annotator, now), takeTask.Take(db, annotator, queue));
        }
        if (assignment.State is AssignmentState.Submitted)
            return new Problem("assignment", "You have judged this task already. Change it under My work.", ProblemKind.Conflict);

        // A lease that was overtaken keeps its place when one is still free; otherwise the vote is kept as surplus.
        if (assignment.Slot is null && task.State is TaskState.Open && TakeTask.FreeSlot(db, task, now) is { } slot)
            assignment.Retake(slot, now, TakeTask.Lease);
        var surplus = assignment.Slot is null || task.VotesMissing == 0;

        // By task first: that is indexed, and this runs while every other writer waits.
        var undone = db.PairwiseJudgements.Where(j => j.TaskId == task.Id && j.AssignmentId == assignment.Id).Select(j => new { j.Id, j.SubmittedAt })
            .Concat(db.BinaryJudgements.Where(j => j.TaskId == task.Id && j.AssignmentId == assignment.Id).Select(j => new { j.Id, j.SubmittedAt }))
            .OrderByDescending(j => j.SubmittedAt).Select(j => (JudgementId?)j.Id).FirstOrDefault();
        var made = Make(db, request, assignment, task, annotator, undone, surplus, now);
        if (made.Refusal is { } refusal)
            return refusal;
        db.Add(made.Value);
        if (!surplus)
            task.CountVote();
        assignment.MarkSubmitted();
        db.Drafts.Where(d => d.AssignmentId == assignment.Id).ExecuteDelete();
        foreach (var kind in new[] { (request.UsedDifferences, TaskEventKind.UsedDifferences), (request.UsedRaw, TaskEventKind.UsedRaw) })
            if (kind.Item1)
                db.TaskEvents.Add(new TaskEvent
                {
                    ProjectId = task.ProjectId, TaskId = task.Id, AnnotatorId = annotator, Kind = kind.Item2, At = now,
                });
        db.SaveChanges();
        return new Receipt(request.JudgementId, false, surplus, Today(db, annotator, now), takeTask.Take(db, annotator, queue));
    }

    private Outcome<Judgement> Make(PortalDbContext db, JudgementRequest request, Assignment assignment, AnnotationTask task,
        AnnotatorId annotator, JudgementId? supersedes, bool surplus, DateTimeOffset now)
    {
        var pairwise = PairwiseOf(request.Verdict);
        var binary = BinaryOf(request.Verdict);
        if (task.Kind is TaskKind.Pairwise ? pairwise is null : binary is null)
            return new Problem("verdict", $"\"{request.Verdict}\" is no verdict for this task.");
        if (pairwise is { } verdict && PairwiseJudgement.Check(verdict, request.PreferredResponseId, request.Strength, task) is { } problem)
            return problem;
        if (pairwise is PairwiseVerdict.Preferred && request.Strength is null)
            return new Problem("strength", "Say how much better: 1 slightly, 2 better, 3 much better.");
        var rationale = Keep(db, request.Rationale, task.ProjectId, now);
        var guidelines = db.Projects.Where(p => p.Id == task.ProjectId).Select(p => p.GuidelinesVersion).First();
        var reasons = request.Reasons is { Count: > 0 } codes ? string.Join(',', codes.Distinct()) : null;
        if (task.Kind is TaskKind.Pairwise)
            return new PairwiseJudgement
            {
                Id = request.JudgementId, ProjectId = task.ProjectId, TaskId = task.Id, AssignmentId = assignment.Id, AnnotatorId = annotator,
                SupersedesId = supersedes, Source = JudgementSource.Person, RationaleId = rationale, Reasons = reasons, Layout = request.Layout,
                SideSeed = assignment.SideSeed, GuidelinesVersion = guidelines, VisibleSeconds = request.VisibleSeconds, IsSurplus = surplus,
                ClientTime = request.ClientTime, SubmittedAt = now, Verdict = pairwise!.Value, // checked above
                PreferredResponseId = request.PreferredResponseId, Strength = request.Strength, LeftResponseId = assignment.LeftResponseId,
            };
        return new BinaryJudgement
        {
            Id = request.JudgementId, ProjectId = task.ProjectId, TaskId = task.Id, AssignmentId = assignment.Id, AnnotatorId = annotator,
            SupersedesId = supersedes, Source = JudgementSource.Person, RationaleId = rationale, Reasons = reasons, Layout = request.Layout,
            SideSeed = assignment.SideSeed, GuidelinesVersion = guidelines, VisibleSeconds = request.VisibleSeconds, IsSurplus = surplus,
            ClientTime = request.ClientTime, SubmittedAt = now, Verdict = binary!.Value, // checked above
            ResponseId = task.FirstResponseId,
        };
    }

    /// <summary>Stores a rationale as a content row of its own; null when there is nothing to store.</summary>
    internal ContentId? Keep(PortalDbContext db, string? text, ProjectId project, DateTimeOffset now)
    {
        if (string.IsNullOrWhiteSpace(text))
            return null;
        var content = new Content
        {
            Id = ids.New<ContentId>(), ProjectId = project, Kind = ContentKind.Rationale, Text = text.Trim(), KeyedHash = hasher.Hash(text.Trim()),
            CreatedAt = now,
        };
        db.Contents.Add(content);
        return content.Id;
    }

    internal static PairwiseVerdict? PairwiseOf(string verdict) => verdict switch
    {
        "preferred" => PairwiseVerdict.Preferred,
        "tie" => PairwiseVerdict.Tie,
        "both-good" => PairwiseVerdict.BothGood,
        "both-bad" => PairwiseVerdict.BothBad,
        "cannot-judge" => PairwiseVerdict.CannotJudge,
        _ => null,
    };

    internal static BinaryVerdict? BinaryOf(string verdict) => verdict switch
    {
        "good" => BinaryVerdict.Good,
        "bad" => BinaryVerdict.Bad,
        "unsure" => BinaryVerdict.Unsure,
        _ => null,
    };

    internal static Judgement? FindJudgement(PortalDbContext db, JudgementId id) =>
        db.PairwiseJudgements.FirstOrDefault(j => j.Id == id) ?? (Judgement?)db.BinaryJudgements.FirstOrDefault(j => j.Id == id);

    internal static int Today(PortalDbContext db, AnnotatorId annotator, DateTimeOffset now)
    {
        var midnight = new DateTimeOffset(now.UtcDateTime.Date, TimeSpan.Zero);
        return db.PairwiseJudgements.Count(j => j.AnnotatorId == annotator && j.SubmittedAt >= midnight && j.SupersededAt == null)
               + db.BinaryJudgements.Count(j => j.AnnotatorId == annotator && j.SubmittedAt >= midnight && j.SupersededAt == null);
    }

    private static Problem? Check(JudgementRequest request)
    {
        if (request.JudgementId.Value == Guid.Empty)
            return new Problem("judgementId", "The judgement has no id; reload the page.");
        if (CheckWords(request.Reasons, request.Rationale) is { } problem)
            return problem;
        if (request.Layout is not (null or "side-by-side" or "stacked"))
            return new Problem("layout", "The layout is \"side-by-side\" or \"stacked\".");
        if (request.VisibleSeconds is < 0 or > 86_400 or double.NaN)
            return new Problem("visibleSeconds", "The time in view must be between 0 seconds and a day.");
        return null;
    }

    /// <summary>What is wrong with the reasons of a judgement, new or changed; null when nothing is.</summary>
    internal static Problem? CheckWords(IReadOnlyList<string>? reasons, string? rationale)
    {
        if (rationale is { Length: > RationaleLengthMax })
            return new Problem("rationale", $"The reason has {rationale.Length:N0} characters; at most {RationaleLengthMax:N0} are kept.");
        if (rationale is not null && rationale.Contains('\0'))
            return new Problem("rationale", "The reason holds a NUL character; remove it.");
        if (reasons?.FirstOrDefault(code => !ReasonCodes.All.Contains(code)) is { } unknown)
            return new Problem("reasons", $"\"{unknown}\" is no known reason.");
        return null;
    }
}
