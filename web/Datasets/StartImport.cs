using System.Security.Claims;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Datasets;

/// <summary>Decides on an upload: its rows are brought in by a job, and become visible all at once.</summary>
[Needs(Permission.Administer)]
public sealed class StartImport(WriteQueue writes, StartJob start, ReceiveUpload uploads, Access access, IdFactory ids, TimeProvider time)
{
    /// <param name="allOrNothing">True: one bad row and nothing is taken. False: bad rows are skipped and listed.</param>
    public async Task<Outcome<ImportId>> Handle(ClaimsPrincipal user, ProjectId projectId, string upload, string format, IReadOnlyDictionary<string, string> columns,
        bool allOrNothing, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (uploads.Find(projectId, upload) is not { } found)
            return new Problem("upload", "This upload is gone, or it belongs to another project. Choose the file again.", ProblemKind.NotFound);
        return await writes.WriteAsync<ImportId>(db =>
        {
            var id = ids.New<ImportId>();
            db.Imports.Add(new Import
            {
                Id = id, ProjectId = projectId, FileName = found.FileName, Format = format, AllOrNothing = allOrNothing, By = asked.Value.AccountId, CreatedAt = time.GetUtcNow(),
            });
            var spec = new ImportData { ImportId = id, Upload = found.Name, FileName = found.FileName, Format = format, Columns = columns, AllOrNothing = allOrNothing };
            return start.Start(db, asked.Value, projectId, spec, null).Refusal is { } why ? why : id;
        }, stop);
    }
}
