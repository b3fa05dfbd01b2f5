using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Audits;

/// <summary>The tables of a comparison of versions as files.</summary>
public enum DriftTable { Distances, Trajectories, Incentives }

/// <summary>Hands the tables of a comparison of versions over, in long form: one row a pair of versions, or a measure and version. They hold numbers and names, no texts.</summary>
[Needs(Permission.Audit)]
public sealed class ExportDrift(IDbContextFactory<PortalDbContext> contexts, ShowDrift show, Access access, WriteQueue writes, TimeProvider time)
{
    /// <param name="drift">Its job.</param>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, JobId drift, DriftTable table, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.DriftRuns.AsNoTracking().Where(r => r.JobId == drift).Select(r => new { r.ProjectId }).FirstOrDefaultAsync(stop) is not { } run)
            return ShowDrift.NoSuch;
        var shown = await show.Handle(user, run.ProjectId, drift, stop);
        if (shown.Refusal is { } why)
            return why;
        await writes.WriteAsync(db => { AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "audit.drift.export", "drift", $"{drift}", new { table = $"{table}" }); }, stop);
        return Of(shown.Value.Shown!, table); // it was asked for
    }

    private static TableFile Of(ShownDrift drift, DriftTable table)
    {
        var versions = drift.Report.Versions;
        var name = $"drift-{drift.Run.At.ToString("yyyy-MM-dd-HHmm", System.Globalization.CultureInfo.InvariantCulture)}-{$"{table}".ToLowerInvariant()}";
        return table switch
        {
            DriftTable.Distances => TableFile.Of(name, ["version", "audit", "audited", "other_version", "other_audit", "other_audited", .. AuditTables.Columns("d_starc")],
                from i in Enumerable.Range(0, versions.Count)
                from j in Enumerable.Range(i + 1, versions.Count - i - 1)
                select (IReadOnlyList<object?>)[.. Version(i), .. Version(j), .. AuditTables.Cells(drift.Report.Distances[i][j])]),
            DriftTable.Trajectories => TableFile.Of(name, ["measure", "version", "audit", "audited", .. AuditTables.Columns("value"), .. AuditTables.Columns("step"), "step_p", "step_holm_p", "is_change"], drift.Report.Trajectories.SelectMany(row => versions.Select((_, i) =>
            {
                var step = i > 0 && i - 1 < row.Steps.Count ? row.Steps[i - 1] : null;
                return (IReadOnlyList<object?>)[row.Name, .. Version(i), .. AuditTables.Cells(row.Values[i]), .. AuditTables.Cells(step?.Difference), step?.P, step?.HolmP, step?.IsChange];
            }))),
            DriftTable.Incentives => TableFile.Of(name, ["feature", "name", "version", "audit", "audited", .. AuditTables.Columns("effect_logits"), "against_version_before"], drift.Incentives.SelectMany(row => versions.Select((_, i) =>
                (IReadOnlyList<object?>)[row.Key, row.Name, .. Version(i), .. AuditTables.Cells(row.Effects[i]), i > 0 ? $"{row.Steps[i - 1]}" : null]))),
        };

        object?[] Version(int i) => [i + 1, versions[i].Audit, versions[i].Audited];
    }
}
