using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.Serving;

namespace Portal.Engine.Serving;

/// <summary>The door that lists what can be asked: versions that were not retired, newest first.</summary>
internal static class ListModels
{
    private const int ModelsMax = 1_000;

    public static async Task Handle(HttpContext http)
    {
        var contexts = http.RequestServices.GetRequiredService<IDbContextFactory<PortalDbContext>>();
        await using var db = await contexts.CreateDbContextAsync(http.RequestAborted);
        var versions = await db.ModelVersions.AsNoTracking().Where(v => v.Status != ModelStatus.Retired && v.Kind != ModelKind.SparseAutoencoder)
            .OrderByDescending(v => v.CreatedAt).ThenBy(v => v.Id).Take(ModelsMax)
            .Select(v => new { v.Id, v.ProjectId, v.Kind, v.CreatedAt }).ToListAsync(http.RequestAborted);
        await EngineHttp.Answer(http, new ModelList("list", [.. versions.Select(v => new ServedModel($"{v.Id}", "model",
            v.CreatedAt.ToUnixTimeSeconds(), $"{v.ProjectId}", v.Kind is ModelKind.Policy ? "policy" : "reward_model"))]));
    }
}
