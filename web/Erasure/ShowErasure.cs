using System.Security.Claims;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Jobs;
using Portal.Web.Accounts;

namespace Portal.Web.Erasure;

/// <summary>A job of a request: the one that erases, or one that trains a body again.</summary>
public sealed record ErasureJob(JobId Id, int Number, JobState State, int Step, int StepsTotal, string Phase, string? FailReason);

/// <summary>A request with all that its page shows. What it is about is told by counts and by a name that is nobody's.</summary>
/// <param name="Whose">The annotator's name as it is now; null for prompts.</param>
/// <param name="Prompts">How many.</param>
/// <param name="Proof">Null before it is done, or where it cannot be read any more.</param>
/// <param name="WhatIsWrong">With the proof; null where it stands, and before there is one.</param>
/// <param name="Bodies">Trainings that are owed.</param>
/// <param name="Labels">What people call the versions that the proof names.</param>
/// <param name="IsMine">Who looks has asked for it.</param>
public sealed record ErasureView(ErasureRequest Request, string Project, string? Whose, int Prompts, ErasureJob? Job, string By, string? Decider, ErasureProof? Proof, string? WhatIsWrong, IReadOnlyList<ErasureJob> Bodies, IReadOnlyDictionary<ModelVersionId, string> Labels, bool IsMine)
{
    /// <summary>Its job ended before it was done.</summary>
    public bool IsStuck => Request.State is ErasureState.Approved or ErasureState.Running && Job is { State: JobState.Failed or JobState.Cancelled };
}

/// <summary>Reads one request, and holds its proof against the audit log and what is stored.</summary>
[Needs(Permission.Administer)]
public sealed class ShowErasure(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<ErasureView>> Handle(ClaimsPrincipal user, ErasureRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ErasureRequests.AsNoTracking().FirstOrDefaultAsync(r => r.Id == id, stop) is not { } request)
            return ErasureRefusals.Gone;
        var wrong = request.State is ErasureState.Done ? ErasureProof.Verify(db, request) : null;
        var proof = Read(request);
        var jobs = proof?.Serving.Select(change => change.BodyJob).OfType<JobId>().ToList() ?? [];
        var found = await db.Jobs.AsNoTracking().Where(j => j.Id == request.JobId || jobs.Contains(j.Id)).Select(j => new ErasureJob(j.Id, j.Number, j.State, j.Step, j.StepsTotal, j.Phase, j.FailReason)).ToListAsync(stop);
        var people = new[] { request.RequestedBy, request.DecidedBy ?? request.RequestedBy };
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var versions = proof?.Serving.SelectMany(change => new[] { change.From, change.To ?? change.From }).Distinct().ToList() ?? [];
        var labels = (await db.ModelVersions.AsNoTracking().Where(v => versions.Contains(v.Id)).ToListAsync(stop)).ToDictionary(v => v.Id, v => v.Label);
        return new ErasureView(request, await db.Projects.Where(p => p.Id == request.ProjectId).Select(p => p.Name).FirstAsync(stop), await db.Annotators.Where(a => a.Id == request.AnnotatorId).Select(a => a.Pseudonym).FirstOrDefaultAsync(stop),
            await db.ErasurePrompts.CountAsync(p => p.RequestId == id, stop), found.Find(job => job.Id == request.JobId), names.GetValueOrDefault(request.RequestedBy, "?"), request.DecidedBy is { } who ? names.GetValueOrDefault(who, "?") : null, proof, wrong,
            [.. found.Where(job => jobs.Contains(job.Id)).OrderBy(job => job.Number)], labels, request.RequestedBy == asked.Value.AccountId);
    }

    private static ErasureProof? Read(ErasureRequest request)
    {
        try
        {
            return request.ProofJson is { } json ? ErasureProof.FromJson(json) : null;
        }
        catch (System.Text.Json.JsonException)
        {
            return null; // somebody changed it: what is wrong says so
        }
    }
}

/// <summary>Hands a proof out, byte for byte as it is hashed.</summary>
[Needs(Permission.Administer)]
public sealed class DownloadProof(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<(string Name, byte[] Bytes)>> Handle(ClaimsPrincipal user, ErasureRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.ErasureRequests.AsNoTracking().Where(r => r.Id == id && r.ProofJson != null).Select(r => new { r.Number, r.ProofJson }).FirstOrDefaultAsync(stop) is { } found
            ? ($"erasure-{found.Number}-proof.json", Encoding.UTF8.GetBytes(found.ProofJson!)) // asked for above
            : new Problem("request", "There is no proof at this address: no such request, or it is not done.", ProblemKind.NotFound);
    }
}
