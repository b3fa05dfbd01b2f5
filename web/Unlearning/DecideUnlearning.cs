using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Unlearning;

/// <summary>Refusals of this folder.</summary>
internal static class UnlearningRefusals
{
    public static readonly Problem Gone = new("request", "There is no request at this address.", ProblemKind.NotFound);

    public static readonly Problem Overtaken = new("request", "Somebody changed this request since the page was opened. Nothing was changed now: load the page again, look, then decide.", ProblemKind.Conflict);
}

/// <summary>
/// A second person's word on a request: the last approval needed queues its job in the same write. Whoever asked decides nothing, whatever their role and however the request comes in.
/// </summary>
[Needs(Permission.Administer)]
public sealed class DecideUnlearning(WriteQueue writes, Access access, StartJob start, ContentHasher hasher, TimeProvider time)
{
    /// <param name="seen"><see cref="UnlearningRequest.RowVersion"/> of what the person looked at.</param>
    /// <param name="note">Their words; a refusal needs some.</param>
    public async Task<Outcome<UnlearningState>> Handle(ClaimsPrincipal user, UnlearningRequestId id, int seen, bool approve, string? note, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        try
        {
            return await writes.WriteAsync<UnlearningState>(db =>
            {
                db.LockJobs();
                if (db.UnlearningRequests.FirstOrDefault(r => r.Id == id) is not { } request)
                    return UnlearningRefusals.Gone;
                if (request.State is UnlearningState.Waiting && request.RowVersion != seen)
                    return UnlearningRefusals.Overtaken;
                var now = time.GetUtcNow();
                var problem = approve
                    ? request.Approve(person.AccountId, note, now, () => start.Start(db, person, request.ProjectId, new UnlearnPairs { RequestId = id }, null))
                    : request.Refuse(person.AccountId, note, now);
                if (problem is { } why)
                    return why;
                UnlearningAudit.Append(db, hasher, now, person.AccountId, approve ? "unlearning.approve" : "unlearning.refuse", request, new { job = $"{request.JobId}", noteHash = hasher.Hash(note ?? ""), firstOfTwo = approve && request.State is UnlearningState.Waiting });
                return request.State;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return UnlearningRefusals.Overtaken; // on another node somebody decided
        }
    }
}

/// <summary>Takes a request back that nobody decided, or whose job came to nothing.</summary>
[Needs(Permission.Review)]
public sealed class WithdrawUnlearning(WriteQueue writes, Access access, ContentHasher hasher, TimeProvider time)
{
    public async Task<Outcome<UnlearningState>> Handle(ClaimsPrincipal user, UnlearningRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        try
        {
            return await writes.WriteAsync<UnlearningState>(db =>
            {
                db.LockJobs();
                if (db.UnlearningRequests.FirstOrDefault(r => r.Id == id) is not { } request)
                    return UnlearningRefusals.Gone;
                var job = db.Jobs.FirstOrDefault(j => j.Id == request.JobId);
                if (request.Withdraw(asked.Value.AccountId, job is { IsOver: false }) is { } problem)
                    return problem;
                UnlearningAudit.Append(db, hasher, time.GetUtcNow(), asked.Value.AccountId, "unlearning.withdraw", request, new { job = $"{job?.Id}" });
                return request.State;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return UnlearningRefusals.Overtaken; // its job made the version at this moment
        }
    }
}
