using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Erasure;

/// <summary>A second admin's word on a request; an approval queues its job in the same write. Whoever asked decides nothing, not even where there is nobody else: what is erased does not come back.</summary>
[Needs(Permission.Administer)]
public sealed class DecideErasure(WriteQueue writes, Access access, StartJob start, ContentHasher hasher, TimeProvider time)
{
    /// <param name="seen"><see cref="ErasureRequest.RowVersion"/> of what the person looked at.</param>
    /// <param name="note">Their words; a refusal needs some.</param>
    public async Task<Outcome<ErasureState>> Handle(ClaimsPrincipal user, ErasureRequestId id, int seen, bool approve, string? note, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        return await ErasureWrites.Change(writes, id, (db, request) =>
        {
            if (request.State is ErasureState.Waiting && request.RowVersion != seen)
                return ErasureRefusals.Overtaken;
            var now = time.GetUtcNow();
            var problem = approve
                ? request.Approve(person.AccountId, note, now, () => start.Start(db, person, request.ProjectId, new EraseData { RequestId = id }, null))
                : request.Refuse(person.AccountId, note, now);
            if (problem is null)
                ErasureAudit.Append(db, hasher, now, person.AccountId, approve ? "erasure.approve" : "erasure.refuse", request, new { job = $"{request.JobId}", noteHash = hasher.Hash(note ?? "") });
            return problem;
        }, stop);
    }
}

/// <summary>Takes a request back of which nothing was removed yet.</summary>
[Needs(Permission.Administer)]
public sealed class WithdrawErasure(WriteQueue writes, Access access, ContentHasher hasher, TimeProvider time)
{
    public async Task<Outcome<ErasureState>> Handle(ClaimsPrincipal user, ErasureRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await ErasureWrites.Change(writes, id, (db, request) =>
        {
            var problem = request.Withdraw(asked.Value.AccountId, ErasureWrites.IsUnderWay(db, request));
            if (problem is null)
                ErasureAudit.Append(db, hasher, time.GetUtcNow(), asked.Value.AccountId, "erasure.withdraw", request);
            return problem;
        }, stop);
    }
}

/// <summary>Queues another job for a request whose job ended early; it goes on where that one stopped.</summary>
[Needs(Permission.Administer)]
public sealed class RunErasureAgain(WriteQueue writes, Access access, StartJob start, ContentHasher hasher, TimeProvider time)
{
    public async Task<Outcome<ErasureState>> Handle(ClaimsPrincipal user, ErasureRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await ErasureWrites.Change(writes, id, (db, request) =>
        {
            var problem = request.RunAgain(ErasureWrites.IsUnderWay(db, request), () => start.Start(db, asked.Value, request.ProjectId, new EraseData { RequestId = id }, null));
            if (problem is null)
                ErasureAudit.Append(db, hasher, time.GetUtcNow(), asked.Value.AccountId, "erasure.again", request, new { job = $"{request.JobId}" });
            return problem;
        }, stop);
    }
}

/// <summary>How these handlers change a request: under the jobs' lock, and whoever comes second is told.</summary>
internal static class ErasureWrites
{
    public static async Task<Outcome<ErasureState>> Change(WriteQueue writes, ErasureRequestId id, Func<PortalDbContext, ErasureRequest, Problem?> change, CancellationToken stop)
    {
        try
        {
            return await writes.WriteAsync<ErasureState>(db =>
            {
                db.LockJobs();
                if (db.ErasureRequests.FirstOrDefault(r => r.Id == id) is not { } request)
                    return ErasureRefusals.Gone;
                return change(db, request) is { } problem ? problem : request.State;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ErasureRefusals.Overtaken; // on another node somebody decided, or its job began
        }
    }

    public static bool IsUnderWay(PortalDbContext db, ErasureRequest request) => db.Jobs.FirstOrDefault(j => j.Id == request.JobId) is { IsOver: false };
}
