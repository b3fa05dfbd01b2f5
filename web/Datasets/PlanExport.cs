using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Datasets;

/// <summary>The formats of an export, by the names in <see cref="Portal.Data.JobSpecs.ExportData.Format"/>.</summary>
public static class ExportFormats
{
    public const string Preference = "trl-preference";
    public const string Unpaired = "trl-unpaired";
    public const string Portal = "portal";
    public const string Csv = "csv";

    public static readonly IReadOnlyList<string> All = [Preference, Unpaired, Portal, Csv];
}

/// <summary>What one format would carry today, and what it would leave out.</summary>
/// <param name="Kept">Judgements that would be in the file.</param>
/// <param name="Dropped">The rest, by reason (<c>Dropped.{Reason}</c>), most first. Kept + dropped = all judgements of the project.</param>
public sealed record ExportPlan(string Format, int Kept, IReadOnlyList<(string Reason, int Count)> Dropped);

/// <summary>Counts beforehand what an export can carry. The file's own report, written by the engine, is what counts in the end.</summary>
[Needs(Permission.Administer)]
public sealed class PlanExport(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<IReadOnlyList<ExportPlan>>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var pairs = await db.PairwiseJudgements.Where(j => j.ProjectId == projectId).GroupBy(j => new { j.Verdict, Old = j.SupersededAt != null })
            .Select(g => new { g.Key.Verdict, g.Key.Old, Count = g.Count() }).ToListAsync(stop);
        var singles = await db.BinaryJudgements.Where(j => j.ProjectId == projectId).GroupBy(j => new { j.Verdict, Old = j.SupersededAt != null })
            .Select(g => new { g.Key.Verdict, g.Key.Old, Count = g.Count() }).ToListAsync(stop);
        var all = pairs.Select(p => (Reason: p.Old ? "Superseded" : p.Verdict.ToString(), IsPair: true, p.Count))
            .Concat(singles.Select(s => (Reason: s.Old ? "Superseded" : s.Verdict.ToString(), IsPair: false, s.Count))).ToList();
        return new Outcome<IReadOnlyList<ExportPlan>>.Done(
        [
            Plan(ExportFormats.Preference, row => row.Reason == "Superseded" ? row.Reason : !row.IsPair ? "NotAPair" : row.Reason == nameof(PairwiseVerdict.Preferred) ? null : row.Reason),
            Plan(ExportFormats.Unpaired, row => row.Reason == "Superseded" ? row.Reason : row.IsPair ? "NotASingle" : row.Reason == nameof(BinaryVerdict.Unsure) ? row.Reason : null),
            Plan(ExportFormats.Portal, _ => null),
            Plan(ExportFormats.Csv, row => row.Reason == "Superseded" ? row.Reason : null),
        ]);

        ExportPlan Plan(string format, Func<(string Reason, bool IsPair, int Count), string?> why) => new(format, all.Where(row => why(row) is null).Sum(row => row.Count),
            [.. all.Where(row => why(row) is not null).GroupBy(row => why(row)!).Select(g => (g.Key, g.Sum(row => row.Count))).OrderByDescending(d => d.Item2)]); // filtered
    }
}
