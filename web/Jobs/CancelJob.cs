using System.Security.Claims;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Jobs;

/// <summary>Asks for the end of a job. One that waits is cancelled at once; one that runs is asked, and ends within ten seconds.</summary>
[Needs(Permission.Administer)]
public sealed class CancelJob(WriteQueue writes, Access access, DataDirectory directory, TimeProvider time)
{
    /// <returns>The job's state now: <see cref="JobState.Running"/> means "asked". Asking twice, or after the end, changes nothing.</returns>
    public async Task<Outcome<JobState>> Handle(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        string? upload = null;
        var outcome = await writes.WriteAsync<Outcome<JobState>>(db =>
        {
            upload = null;
            db.LockJobs();
            if (db.Jobs.FirstOrDefault(j => j.Id == id) is not { } job)
                return new Problem("job", "This job is gone.", ProblemKind.NotFound);
            if (job.IsOver || job.CancelAskedAt is not null)
                return job.State;
            var now = time.GetUtcNow();
            job.AskCancel(now);
            // An import that never began has nothing staged, so the engine has nothing to tidy and its end is written here.
            if (job.IsOver && JobSpec.FromJson(job.SpecJson) is ImportData import && db.Imports.FirstOrDefault(i => i.Id == import.ImportId) is { State: ImportState.Staging } row)
            {
                row.Fail("The import was cancelled before it began.", now);
                upload = import.Upload;
            }
            AuditChain.Append(db, now, person.AccountId, "job.cancel", "job", $"{id}", new { number = job.Number, kind = job.Kind, step = job.Step });
            return job.State;
        }, stop);
        if (upload is not null && Path.GetFileName(upload) == upload)
            File.Delete(Path.Combine(directory.Uploads, upload));
        return outcome;
    }
}
