using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Unlearning;

/// <summary>Asks that a reward model forget pairs that explain a bad response. What it would do is asked of the engine afresh and kept, so that whoever decides sees it too.</summary>
[Needs(Permission.Review)]
public sealed class RequestUnlearning(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, EngineClient engine, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <summary>Requests of one person that wait, at a time: who asks for more floods whoever decides.</summary>
    public const int WaitingMax = 10;

    /// <summary>Judgements that the audit log lists; more of them it has by one hash, SHA-256 of their sorted ids.</summary>
    private const int ListedMax = 200;

    public async Task<Outcome<UnlearningRequestId>> Handle(ClaimsPrincipal user, UnlearningInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (string.IsNullOrWhiteSpace(input.Reason))
            return new Problem("reason", "Say in a few words why; whoever decides reads it.");
        if (input.Reason.Length > UnlearningRequest.ReasonLengthMax)
            return new Problem("reason", $"The reason has {input.Reason.Length} characters, at most {UnlearningRequest.ReasonLengthMax} are kept.");
        if (!Enum.IsDefined(input.Method))
            return new Problem("method", "There is no such way to unlearn.");
        if (UnlearningRequest.Unfit(input.Method, input.Action) is { } mismatch)
            return mismatch;
        Outcome<UnlearningPreview> preview;
        await using (var read = await contexts.CreateDbContextAsync(stop))
        {
            var chosen = CheckedUnlearning.Find(read, input.Explanation, input.Choice, input.Action);
            if (chosen.Refusal is { } unfit)
                return unfit;
            preview = await PreviewUnlearning.Ask(read, engine, chosen.Value, input.Choice, input.Action, stop);
        }
        if (preview.Refusal is { } unseen)
            return unseen;
        var by = asked.Value.AccountId;
        return await writes.WriteAsync<UnlearningRequestId>(db =>
        {
            db.LockJobs(); // two requests for one pair at once: the second is told
            var found = CheckedUnlearning.Find(db, input.Explanation, input.Choice, input.Action);
            if (found.Refusal is { } unusable)
                return unusable;
            if (db.UnlearningRequests.Count(r => r.RequestedBy == by && r.State == UnlearningState.Waiting) >= WaitingMax)
                return new Problem("", $"{WaitingMax} of your requests wait already. Ask again when some are decided, or take some back.", ProblemKind.TooMuch);
            var (explanation, model, judgements, of, guarded) = found.Value;
            var now = time.GetUtcNow();
            var request = new UnlearningRequest
            {
                Id = ids.New<UnlearningRequestId>(), ProjectId = explanation.ProjectId, Number = (db.UnlearningRequests.Where(r => r.ProjectId == explanation.ProjectId).Max(r => (int?)r.Number) ?? 0) + 1, ExplanationId = explanation.Id,
                RewardModelId = model.Id, DatasetVersionId = explanation.DatasetVersionId, Method = input.Method, Action = input.Action, Reason = input.Reason.Trim(), Judgements = judgements.Count, JudgementsOf = of, Protected = guarded,
                PreviewJson = JsonSerializer.Serialize(preview.Value, ServingJson.Options), RequestedBy = by, RequestedAt = now,
            };
            db.UnlearningRequests.Add(request);
            db.UnlearningPairs.AddRange(judgements.Select(judgement => new UnlearningPair { RequestId = request.Id, JudgementId = judgement }));
            UnlearningAudit.Append(db, hasher, now, by, "unlearning.request", request, new { judgements = judgements.Count <= ListedMax ? judgements.Select(judgement => $"{judgement}") : null, judgementsHash = HashOf(judgements) });
            return request.Id;
        }, stop);
    }

    private static string HashOf(IReadOnlyList<JudgementId> judgements) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', judgements.Select(judgement => $"{judgement}").Order(StringComparer.Ordinal)))));
}

/// <summary>The audit events of requests: ids and keyed hashes, never a text.</summary>
internal static class UnlearningAudit
{
    public static void Append(PortalDbContext db, ContentHasher hasher, DateTimeOffset at, Guid by, string action, UnlearningRequest request, object? more = null) =>
        AuditChain.Append(db, at, by, action, "unlearning", $"{request.Id}", new
        {
            number = request.Number, model = $"{request.RewardModelId}", explanation = $"{request.ExplanationId}", method = request.Method.ToString(), action = request.Action.ToString(), state = request.State.ToString(), count = request.Judgements,
            reasonHash = hasher.Hash(request.Reason), more,
        });
}
