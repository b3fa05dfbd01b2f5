using System.Security.Claims;
using Portal.Data;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Datasets;

/// <summary>Asks the engine how an uploaded file would arrive: format, first rows, problems. Nothing is stored.</summary>
[Needs(Permission.Administer)]
public sealed class PreviewImport(EngineClient engine, ReceiveUpload uploads, Access access)
{
    /// <param name="format">A name the engine knows; null or "auto" finds it out.</param>
    /// <param name="columns">Our field to the file's column; empty where nothing is mapped.</param>
    public async Task<Outcome<(Upload Upload, ImportPreviewResponse Preview)>> Handle(ClaimsPrincipal user, ProjectId projectId, string upload, string? format,
        IReadOnlyDictionary<string, string> columns, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (uploads.Find(projectId, upload) is not { } found)
            return new Problem("upload", "This upload is gone, or it belongs to another project. Choose the file again.", ProblemKind.NotFound);
        var preview = await engine.PreviewImport(new ImportPreviewRequest(found.Name, found.FileName, format, columns.Count == 0 ? null : columns), stop);
        return preview.Refusal is { } why ? why : (found, preview.Value);
    }
}
