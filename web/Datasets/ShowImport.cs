using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Web.Accounts;

namespace Portal.Web.Datasets;

/// <summary>An import with what was not taken, and its job.</summary>
/// <param name="Problems">A page of them, in the order of the file.</param>
/// <param name="ProblemCount">All that were kept.</param>
public sealed record ImportView(Import Import, Job? Job, IReadOnlyList<ImportProblem> Problems, int ProblemCount);

/// <summary>Loads one import and a page of its problems.</summary>
[Needs(Permission.Administer)]
public sealed class ShowImport(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 50;

    public async Task<Outcome<ImportView>> Handle(ClaimsPrincipal user, ImportId id, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Imports.AsNoTracking().FirstOrDefaultAsync(i => i.Id == id, stop) is not { } import)
            return new Problem("import", "This import is gone.", ProblemKind.NotFound);
        var text = id.ToString();
        var job = (await db.Jobs.AsNoTracking().Where(j => j.ProjectId == import.ProjectId && j.Kind == nameof(ImportData) && j.SpecJson.Contains(text))
            .OrderByDescending(j => j.Number).ToListAsync(stop)).FirstOrDefault();
        var problems = db.ImportProblems.AsNoTracking().Where(p => p.ImportId == id); // (ImportId, Row)
        return new ImportView(import, job, await problems.OrderBy(p => p.Row).ThenBy(p => p.Id).Skip(Math.Clamp(page, 0, 1_000_000) * RowsMax).Take(RowsMax).ToListAsync(stop),
            await problems.CountAsync(stop));
    }
}
