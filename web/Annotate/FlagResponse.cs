using System.Security.Claims;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>Says that a response must be looked at. Idempotent by the flag's id; the same person flagging the same response again keeps one flag.</summary>
[Needs(Permission.Vote)]
public sealed class FlagResponse(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    private static readonly string[] Places = ["annotate", "judge", "my-work", "results", "model", "review"];

    /// <param name="place">The page it was flagged on.</param>
    public async Task<Outcome<FlagId>> Handle(ClaimsPrincipal user, FlagId id, ResponseId responseId, FlagReason reason, string? note,
        string place, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (!Enum.IsDefined(reason))
            return new Problem("reason", "Choose a reason for the flag.");
        if (note is { Length: > Flag.NoteLengthMax })
            return new Problem("note", $"The note has {note.Length:N0} characters; at most {Flag.NoteLengthMax:N0} are kept.");
        if (!Places.Contains(place))
            return new Problem("place", "The flag does not say which page it comes from.");
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<FlagId>(db =>
        {
            if (db.Responses.FirstOrDefault(r => r.Id == responseId) is not { } response)
                return new Problem("responseId", "This response is gone.", ProblemKind.NotFound);
            var existing = db.Flags.FirstOrDefault(f => f.Id == id || (f.ResponseId == responseId && f.AnnotatorId == annotator && f.State == FlagState.Open));
            if (existing is not null)
                return existing.Id;
            var now = time.GetUtcNow();
            ContentId? noteId = null;
            if (!string.IsNullOrWhiteSpace(note))
            {
                var content = new Content
                {
                    Id = ids.New<ContentId>(), ProjectId = response.ProjectId, Kind = ContentKind.FlagNote, Text = note.Trim(),
                    KeyedHash = hasher.Hash(note.Trim()), CreatedAt = now,
                };
                db.Contents.Add(content);
                noteId = content.Id;
            }
            db.Flags.Add(new Flag
            {
                Id = id, ProjectId = response.ProjectId, ResponseId = responseId, AnnotatorId = annotator, Reason = reason, NoteId = noteId,
                Place = place, At = now,
            });
            return id;
        }, stop);
    }
}
