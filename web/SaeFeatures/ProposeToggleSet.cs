using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Shell;
using Portal.Web.Train;

namespace Portal.Web.SaeFeatures;

/// <summary>
/// Asks for a second person's approval: previews the saved factors afresh, keeps that preview for whoever decides, and queues the job that makes the
/// version. Preview, state and job are one write.
/// </summary>
[Needs(Permission.Administer)]
public sealed class ProposeToggleSet(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, StartJob start, EngineClient engine, ContentHasher hasher, TimeProvider time)
{
    /// <param name="seen"><see cref="ToggleSet.RowVersion"/> of what the author saw.</param>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ToggleSetId id, int seen, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        await using var read = await contexts.CreateDbContextAsync(stop);
        if (await read.ToggleSets.AsNoTracking().FirstOrDefaultAsync(s => s.Id == id, stop) is not { } draft)
            return ToggleRefusals.Gone;
        if (draft.Author != person.AccountId)
            return ToggleRefusals.NotYours;
        var preview = await PreviewToggles.Ask(read, engine, draft.ModelVersionId, draft.Toggles(), draft.Target, PreviewToggles.FlipsShown, stop);
        if (preview.Refusal is { } unseen)
            return unseen;
        var json = JsonSerializer.Serialize(preview.Value, ServingJson.Options);
        try
        {
            return await writes.WriteAsync<StartedJob>(db =>
            {
                if (db.ToggleSets.FirstOrDefault(s => s.Id == id) is not { } set)
                    return ToggleRefusals.Gone;
                var model = ToggledModel.Find(db, set.ModelVersionId);
                if (model.Refusal is { } unusable)
                    return unusable; // retired while the engine was looking
                if (set.State is ToggleSetState.Draft && set.RowVersion != seen)
                    return ToggleRefusals.Overtaken;
                var started = StartedJob.In(db, () => start.Start(db, person, set.ProjectId, new PublishToggles { ToggleSetId = id }, null));
                if (started.Refusal is { } unstarted)
                    return unstarted;
                if (set.Propose(json, started.Value.Id) is { } problem)
                    return problem;
                ToggleAudit.Append(db, hasher, time.GetUtcNow(), person.AccountId, "toggles.propose", set,
                    new { job = $"{started.Value.Id}", previewSha256 = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(json))) });
                return started;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ToggleRefusals.Overtaken; // another node was faster
        }
    }
}

/// <summary>Takes a proposal back whose job has not made its version: failed, cancelled, or still waiting (it is then cancelled).</summary>
[Needs(Permission.Administer)]
public sealed class WithdrawToggleSet(WriteQueue writes, Access access, ContentHasher hasher, TimeProvider time)
{
    public async Task<Outcome<ToggleSetState>> Handle(ClaimsPrincipal user, ToggleSetId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        try
        {
            return await writes.WriteAsync<ToggleSetState>(db =>
            {
                db.LockJobs();
                if (db.ToggleSets.FirstOrDefault(s => s.Id == id) is not { } set)
                    return ToggleRefusals.Gone;
                if (set.Author != asked.Value.AccountId)
                    return ToggleRefusals.NotYours;
                var now = time.GetUtcNow();
                var job = db.Jobs.FirstOrDefault(j => j.Id == set.JobId);
                if (job is { State: JobState.Queued } && set.State is ToggleSetState.Waiting)
                    job.AskCancel(now);
                if (set.Withdraw(job is { IsOver: false }) is { } problem)
                    return problem;
                ToggleAudit.Append(db, hasher, now, asked.Value.AccountId, "toggles.withdraw", set, new { job = $"{job?.Id}" });
                return set.State;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ToggleRefusals.Overtaken; // the job made its version at this moment
        }
    }
}
