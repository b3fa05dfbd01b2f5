using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Web.Accounts;

namespace Portal.Web.Datasets;

/// <summary>How much a project holds.</summary>
/// <param name="Pairs">Pairwise judgements that count, by source.</param>
/// <param name="Singles">Binary judgements that count, by source.</param>
public sealed record DataCounts(int Prompts, int Responses, int OpenTasks, IReadOnlyDictionary<JudgementSource, int> Pairs, IReadOnlyDictionary<JudgementSource, int> Singles)
{
    public int PairCount => Pairs.Values.Sum();
    public int SingleCount => Singles.Values.Sum();
    public int Judgements => PairCount + SingleCount;

    /// <summary>Counts over the indexes (ProjectId, ...); a few milliseconds for a hundred thousand rows.</summary>
    public static async Task<DataCounts> Load(PortalDbContext db, ProjectId projectId, CancellationToken stop) => new(
        await db.Prompts.CountAsync(p => p.ProjectId == projectId, stop),
        await db.Responses.CountAsync(r => r.ProjectId == projectId, stop),
        await db.Tasks.CountAsync(t => t.ProjectId == projectId && t.State == TaskState.Open && t.Purpose == TaskPurpose.Collect, stop),
        await db.PairwiseJudgements.Where(j => j.ProjectId == projectId && j.SupersededAt == null).GroupBy(j => j.Source)
            .Select(g => new { g.Key, Count = g.Count() }).ToDictionaryAsync(g => g.Key, g => g.Count, stop),
        await db.BinaryJudgements.Where(j => j.ProjectId == projectId && j.SupersededAt == null).GroupBy(j => j.Source)
            .Select(g => new { g.Key, Count = g.Count() }).ToDictionaryAsync(g => g.Key, g => g.Count, stop));
}

/// <summary>An export that was asked for.</summary>
/// <param name="Format">As in the spec.</param>
/// <param name="FileName">Its file; null while there is none.</param>
public sealed record ExportRow(JobId JobId, int Number, string Format, JobState State, DateTimeOffset At, string? FileName, long? Bytes);

/// <summary>What the data page shows besides the list of judgements.</summary>
public sealed record DataView(string ProjectName, bool IsSynthetic, DataCounts Counts, IReadOnlyList<DatasetVersion> Versions, IReadOnlyList<Import> Imports,
    IReadOnlyDictionary<ImportId, JobId> ImportJobs, IReadOnlyList<ExportRow> Exports, IReadOnlyList<string> Annotators, bool HasPolicy);

/// <summary>Loads counts, dataset versions, imports and exports of a project.</summary>
[Needs(Permission.Administer)]
public sealed class ShowData(IDbContextFactory<PortalDbContext> contexts, Access access, ExportFiles files)
{
    public const int RowsMax = 20;
    public const int AnnotatorsMax = 200;

    public async Task<Outcome<DataView>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop) is not { } project)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        var versions = await db.DatasetVersions.AsNoTracking().Where(v => v.ProjectId == projectId).OrderByDescending(v => v.Number).Take(RowsMax).ToListAsync(stop);
        var imports = await db.Imports.AsNoTracking().Where(i => i.ProjectId == projectId).OrderByDescending(i => i.Id).Take(RowsMax).ToListAsync(stop);
        var jobs = await db.Jobs.AsNoTracking().Where(j => j.ProjectId == projectId && (j.Kind == nameof(ExportData) || j.Kind == nameof(ImportData)))
            .OrderByDescending(j => j.Number).Take(4 * RowsMax).ToListAsync(stop);
        var importJobs = jobs.Where(j => j.Kind == nameof(ImportData)).Select(j => (j.Id, Spec: JobSpec.FromJson(j.SpecJson) as ImportData))
            .Where(j => j.Spec is not null).GroupBy(j => j.Spec!.ImportId).ToDictionary(g => g.Key, g => g.First().Id); // filtered
        var exports = jobs.Where(j => j.Kind == nameof(ExportData)).Take(RowsMax)
            .Select(j => new ExportRow(j.Id, j.Number, (JobSpec.FromJson(j.SpecJson) as ExportData)?.Format ?? "", j.State, j.CreatedAt, files.Find(j)?.Name, files.Find(j)?.Length)).ToList();
        var annotators = await db.Annotators.AsNoTracking()
            .Where(a => db.PairwiseJudgements.Any(j => j.AnnotatorId == a.Id && j.ProjectId == projectId) || db.BinaryJudgements.Any(j => j.AnnotatorId == a.Id && j.ProjectId == projectId))
            .OrderBy(a => a.Pseudonym).Take(AnnotatorsMax).Select(a => a.Pseudonym).ToListAsync(stop);
        return new DataView(project.Name, project.IsSynthetic, await DataCounts.Load(db, projectId, stop), versions, imports, importJobs, exports, annotators,
            project.CurrentPolicyId is not null);
    }
}
