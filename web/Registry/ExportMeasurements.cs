using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Registry;

/// <summary>Everything measured on a version, as a file: the rows as they are stored, in the order in which they were.</summary>
[Needs(Permission.Review)]
public sealed class ExportMeasurements(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<TableFile>> Handle(ClaimsPrincipal user, ModelVersionId id, CancellationToken stop)
    {
        var asked = await ModelReaders.Check(access, user, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id, stop) is not { } version)
            return ReleaseRefusals.NoVersion;
        var results = await db.EvaluationResults.AsNoTracking().Where(r => r.ModelVersionId == id).OrderBy(r => r.Id).ToListAsync(stop);
        return TableFile.Of($"{version.Kind.ToString().ToLowerInvariant()}-v{version.Number}-measurements", ["name", "part", "value", "low", "high", "n", "at"],
            results.Select(r => (IReadOnlyList<object?>)[r.Name, r.Part, r.Value, r.Low, r.High, r.Count, r.At.UtcDateTime.ToString("O")]));
    }
}
