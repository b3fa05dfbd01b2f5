using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>
/// Keeps what an annotator has chosen and typed but not submitted, and renews the lease. Of two drafts the one with the later client time wins,
/// whatever order they arrive in.
/// </summary>
[Needs(Permission.Vote)]
public sealed class SaveDraft(WriteQueue writes, Access access, TimeProvider time)
{
    public const int BodyLengthMax = 32_000;

    /// <param name="body">The form as JSON.</param>
    /// <returns>The draft that counts now, which is the sender's unless another tab was later.</returns>
    public async Task<Outcome<Draft>> Handle(ClaimsPrincipal user, AssignmentId id, string body, DateTimeOffset clientTime,
        CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (body.Length > BodyLengthMax)
            return new Problem("body", $"The draft has {body.Length:N0} characters; at most {BodyLengthMax:N0} are kept.", ProblemKind.TooMuch);
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<Outcome<Draft>>(db =>
        {
            var now = time.GetUtcNow();
            var assignment = db.Assignments.FirstOrDefault(a => a.Id == id && a.AnnotatorId == annotator);
            if (assignment is null)
                return Refusals.NoAssignment;
            if (assignment.State is not AssignmentState.Leased)
                return new Problem("assignment", "This task is submitted or skipped; its draft is not kept.", ProblemKind.Conflict);
            assignment.Renew(now, TakeTask.Lease);
            var draft = db.Drafts.FirstOrDefault(d => d.AssignmentId == id);
            if (draft is null)
                db.Drafts.Add(draft = new Draft { AssignmentId = id, AnnotatorId = annotator, Body = body, ClientTime = clientTime, SavedAt = now });
            else if (clientTime >= draft.ClientTime)
                (draft.Body, draft.ClientTime, draft.SavedAt) = (body, clientTime, now);
            db.SaveChanges();
            return draft;
        }, stop);
    }
}
