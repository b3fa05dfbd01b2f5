using System.Security.Claims;
using Portal.Data;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>Says that a response must be looked at. Idempotent by the flag's id; the same person flagging the same response again keeps one flag.</summary>
[Needs(Permission.Vote)]
public sealed class FlagResponse(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="place">The page it was flagged on.</param>
    public Task<Outcome<FlagId>> Handle(ClaimsPrincipal user, FlagId id, ResponseId responseId, FlagReason reason, string? note, string place, CancellationToken stop) =>
        Handle(user, id, responseId, new FlagInput { Reason = reason, Note = note, Place = place }, stop);

    /// <returns>The flag's id; or every field that is wrong, or when the person may flag again.</returns>
    public async Task<Outcome<FlagId>> Handle(ClaimsPrincipal user, FlagId id, ResponseId responseId, FlagInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        List<Problem> problems = [.. id.Value == Guid.Empty ? [new Problem("flagId", "The flag has no id. The caller makes one, so that sending twice stores one flag.")] : Array.Empty<Problem>(), .. input.Problems()];
        if (problems.Count > 0)
            return new Refusal(problems);
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await FlagWriter.Write(writes, db => db.Responses.FirstOrDefault(r => r.Id == responseId) is { } response
            ? FlagWriter.Add(db, ids, hasher, id, response, annotator, input, time.GetUtcNow())
            : new Problem("responseId", "This response is gone.", ProblemKind.NotFound), stop);
    }
}
