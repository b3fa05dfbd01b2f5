using System.Security.Claims;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Audits;

/// <summary>Registers audits of policies, their pages and their files.</summary>
public static class AuditsSetup
{
    public static IServiceCollection AddAudits(this IServiceCollection services)
    {
        services.AddSingleton<ReadAudit>();
        services.AddSingleton<ListAudits>();
        services.AddSingleton<ShowAuditChoices>();
        services.AddSingleton<EstimateAudit>();
        services.AddSingleton<StartAudit>();
        services.AddSingleton<ShowAuditPairs>();
        services.AddSingleton<ShowAuditPair>();
        services.AddSingleton<ShowSpuriousTwins>();
        services.AddSingleton<ListFailures>();
        services.AddSingleton<SendToReview>();
        services.AddSingleton<MakeFailureTasks>();
        services.AddSingleton<ScoreTypedText>();
        services.AddSingleton<CompareAudits>();
        services.AddSingleton<StartCheckReRl>();
        services.AddSingleton<StartMeasureDrift>();
        services.AddSingleton<ShowDrift>();
        services.AddSingleton<ExportDrift>();
        services.AddSingleton<ReadAuditDocument>();
        services.AddSingleton<AuditHtml>();
        services.AddSingleton<ExportAudit>();
        return services;
    }

    public static void MapAudits(this WebApplication app)
    {
        var files = app.MapGroup("").RequireRateLimiting(AccountsSetup.ApiLimit);
        files.MapGet("/audits/{job:guid}/report.json", async (Guid job, ClaimsPrincipal user, ExportAudit export, CancellationToken stop) => File(await export.Json(user, new JobId(job), stop), "application/json"));
        files.MapGet("/audits/{job:guid}/report.html", async (Guid job, ClaimsPrincipal user, ExportAudit export, CancellationToken stop) => File(await export.Html(user, new JobId(job), stop), "text/html; charset=utf-8"));
        files.MapGet("/audits/{job:guid}/tables/{table}.{format:regex(^(csv|json)$)}", async (Guid job, string table, string format, ClaimsPrincipal user, ExportAudit export, CancellationToken stop) =>
            Enum.TryParse<AuditTable>(table, ignoreCase: true, out var which) && Enum.IsDefined(which) // a bound enum would be read by its exact letters
                ? (await export.Table(user, new JobId(job), which, stop)).ToFile(format)
                : Results.NotFound());
        files.MapGet("/audits/drift/{job:guid}/{table}.{format:regex(^(csv|json)$)}", async (Guid job, string table, string format, ClaimsPrincipal user, ExportDrift export, CancellationToken stop) =>
            Enum.TryParse<DriftTable>(table, ignoreCase: true, out var which) && Enum.IsDefined(which)
                ? (await export.Table(user, new JobId(job), which, stop)).ToFile(format)
                : Results.NotFound());

        static IResult File(Outcome<AuditFile> file, string type) => file.Refusal is not null ? file.ToResult() : Results.File(file.Value.Bytes, type, file.Value.Name);
    }
}
