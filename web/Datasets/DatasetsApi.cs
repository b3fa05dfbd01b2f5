using System.Security.Claims;
using System.Text;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using Portal.Data;
using Portal.Web.Api;

namespace Portal.Web.Datasets;

/// <summary>Registers what comes in and goes out, and the two addresses that carry files.</summary>
public static class DatasetsApi
{
    public static WebApplicationBuilder AddDatasets(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddOptions<DatasetsOptions>().BindConfiguration(DatasetsOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<DatasetsOptions>>().Value);
        services.AddSingleton<ExportFiles>();
        services.AddSingleton<ListJudgements>();
        services.AddSingleton<ShowData>();
        services.AddSingleton<ShowDatasetVersion>();
        services.AddSingleton<PlanExport>();
        services.AddSingleton<DownloadExport>();
        services.AddSingleton<ReceiveUpload>();
        services.AddSingleton<SampleForTasks>();
        services.AddSingleton<PreviewImport>();
        services.AddSingleton<StartImport>();
        services.AddSingleton<ShowImport>();
        return builder;
    }

    public static void MapDatasets(this WebApplication app)
    {
        var limits = app.Services.GetRequiredService<DatasetsOptions>();
        // The handler counts the bytes of the file itself; the server's own limit leaves room for the form around it.
        app.MapPost("/data/import/upload", Receive).WithMetadata(new RequestSizeLimitAttribute(limits.UploadBytesMax + (1 << 20)));
        app.MapGet(ExportFiles.ResultPrefix + "{name}", async (string name, ClaimsPrincipal user, DownloadExport download, CancellationToken stop) =>
        {
            var outcome = await download.Handle(user, name, stop);
            return outcome.Refusal is null
                ? Results.File(outcome.Value.FullName, "application/octet-stream", outcome.Value.Name, enableRangeProcessing: true)
                : outcome.ToResult();
        });
    }

    /// <summary>
    /// Reads the form part by part, so that a large file goes to disk as it arrives. The antiforgery token is the first part: nothing is
    /// stored before it is checked.
    /// </summary>
    private static async Task<IResult> Receive(HttpContext http, IAntiforgery antiforgery, ReceiveUpload receive, CancellationToken stop)
    {
        if (!MediaTypeHeaderValue.TryParse(http.Request.ContentType, out var type) || HeaderUtilities.RemoveQuotes(type.Boundary).Value is not { Length: > 0 and <= 100 } boundary)
            return Results.BadRequest("This address takes a form with a file.");
        var reader = new MultipartReader(boundary, http.Request.Body);
        var projectId = default(ProjectId);
        var isChecked = false;
        while (await reader.ReadNextSectionAsync(stop) is { } section)
        {
            if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition))
                continue;
            var name = HeaderUtilities.RemoveQuotes(disposition.Name).Value;
            if (!disposition.IsFileDisposition())
            {
                var value = await ReadField(section.Body, stop);
                if (name == "__RequestVerificationToken")
                {
                    http.Request.Headers["RequestVerificationToken"] = value; // the header's name is set in AccountsSetup
                    isChecked = await antiforgery.IsRequestValidAsync(http);
                }
                else if (name == "project")
                    _ = ProjectId.TryParse(value, null, out projectId);
                continue;
            }
            if (!isChecked)
                return Results.BadRequest("The form is out of date. Load the page again and choose the file once more.");
            var fileName = HeaderUtilities.RemoveQuotes(disposition.FileNameStar.HasValue ? disposition.FileNameStar : disposition.FileName).Value;
            var outcome = await receive.Handle(http.User, projectId, fileName, section.Body, stop);
            return Results.LocalRedirect(outcome.Refusal is { } refusal
                ? $"/data/import?refused={Uri.EscapeDataString(refusal.ToString())}"
                : $"/data/import?upload={outcome.Value.Name}");
        }
        return Results.LocalRedirect("/data/import?refused=" + Uri.EscapeDataString("Choose a file first."));
    }

    /// <summary>A form field's text, at most 8 kB of it: no field of the form is longer.</summary>
    private static async Task<string> ReadField(Stream body, CancellationToken stop)
    {
        var buffer = new byte[8_192];
        var length = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, stop);
        return Encoding.UTF8.GetString(buffer, 0, length);
    }
}
