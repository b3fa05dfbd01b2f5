using System.Security.Claims;
using System.Text.Json;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Erasure;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Erasure;

/// <summary>Asks that a person's data be erased. What it would remove is counted once more and kept, so that whoever decides sees it too.</summary>
[Needs(Permission.Administer)]
public sealed class RequestErasure(WriteQueue writes, Access access, DataDirectory directory, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <summary>Requests of one person that wait, at a time.</summary>
    public const int WaitingMax = 10;

    public async Task<Outcome<ErasureRequestId>> Handle(ClaimsPrincipal user, ErasureInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (string.IsNullOrWhiteSpace(input.Reason))
            return new Problem("reason", "Say in a few words why, without what is to be erased; whoever decides reads it.");
        if (input.Reason.Length > ErasureRequest.ReasonLengthMax)
            return new Problem("reason", $"The reason has {input.Reason.Length} characters, at most {ErasureRequest.ReasonLengthMax} are kept.");
        var by = asked.Value.AccountId;
        return await writes.WriteAsync<ErasureRequestId>(db =>
        {
            db.LockJobs(); // two requests for one person at once: the second is told
            var found = CheckedErasure.Find(db, input.Kind, input.Project, input.Pseudonym, input.Prompts);
            if (found.Refusal is { } unusable)
                return unusable;
            if (db.ErasureRequests.Count(r => r.RequestedBy == by && r.State == ErasureState.Waiting) >= WaitingMax)
                return new Problem("", $"{WaitingMax} of your requests wait already. Ask again when some are decided, or take some back.", ProblemKind.TooMuch);
            var (subject, now) = (found.Value, time.GetUtcNow());
            var request = new ErasureRequest
            {
                Id = ids.New<ErasureRequestId>(), ProjectId = input.Project, Number = (db.ErasureRequests.Max(r => (int?)r.Number) ?? 0) + 1, Kind = input.Kind, AnnotatorId = subject.Annotator, Reason = input.Reason.Trim(),
                RadiusJson = JsonSerializer.Serialize(subject.Radius(db, directory)), RequestedBy = by, RequestedAt = now,
            };
            db.ErasureRequests.Add(request);
            db.ErasurePrompts.AddRange(subject.Prompts.Select(prompt => new ErasurePrompt { RequestId = request.Id, PromptId = prompt }));
            ErasureAudit.Append(db, hasher, now, by, "erasure.request", request, new { subject = subject.Annotator is { } annotator ? [hasher.Hash($"{annotator}")] : subject.Prompts.Select(prompt => hasher.Hash($"{prompt}")).ToArray() });
            return request.Id;
        }, stop);
    }
}

/// <summary>The audit events of requests: numbers and keyed hashes, never a text and nobody's id.</summary>
internal static class ErasureAudit
{
    public static void Append(PortalDbContext db, ContentHasher hasher, DateTimeOffset at, Guid by, string action, ErasureRequest request, object? more = null) =>
        AuditChain.Append(db, at, by, action, ErasureProof.EntityKind, $"{request.Id}", new { request.Number, kind = request.Kind.ToString(), state = request.State.ToString(), reasonHash = hasher.Hash(request.Reason), more });
}
