using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// Writes a project's judgements to a file for download, streamed from one snapshot of the database, and beside it a report of what was
/// written and what the format could not carry ("NAME.report.json").
/// </summary>
public sealed class ExportDataRunner : IJobRunner<ExportData>
{
    /// <summary>What can be written.</summary>
    public static IReadOnlyList<string> Formats { get; } = ["portal", "trl-preference", "trl-unpaired", "csv"];

    private static readonly JsonSerializerOptions ReportJson = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <inheritdoc/>
    public async Task<JobResult> Run(ExportData spec, JobRun run)
    {
        if (!Formats.Contains(spec.Format))
            throw new CannotTrain($"There is no export format \"{spec.Format}\"; known are {string.Join(", ", Formats)}.");
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        using var source = new ExportSource(db, run.ProjectId);
        var name = string.Create(CultureInfo.InvariantCulture, $"{Slug(source.ProjectName)}-{spec.Format}-{run.Number}.{(spec.Format == "csv" ? "csv" : "jsonl")}");
        run.Progress.Report(0, 0, "exporting", null);
        object report = new { };
        string summary = "";
        var path = Path.Combine(run.Directory.Exports, name);
        ArtefactFile.Write(path, stream => (report, summary) = Write(spec, run, source, stream));
        try
        {
            ArtefactFile.Write($"{path}.report.json", stream => JsonSerializer.Serialize(stream, report, ReportJson));
        }
        catch
        {
            File.Delete(path); // an export without its report is half an export
            throw;
        }
        run.Progress.Log(JobEventLevel.Info, summary);
        run.Progress.Report(1, 1, "exporting", 0);
        return new JobResult($"/exports/{name}", save =>
            AuditChain.Append(save, run.Time.GetUtcNow(), run.CreatedBy, "export.finish", "project", $"{run.ProjectId}", new { format = spec.Format, job = run.Number }));
    }

    private static (object Report, string Summary) Write(ExportData spec, JobRun run, ExportSource source, Stream stream)
    {
        if (spec.Format == "portal")
        {
            var writer = new PortalJsonlWriter(stream);
            foreach (var record in source.Records(run.Time.GetUtcNow(), Generator()))
            {
                run.Stop.ThrowIfCancellationRequested();
                writer.Write(record);
            }
            writer.Finish();
            return (new { format = spec.Format, lines = writer.Counts, leftOut = source.LeftOut },
                $"{writer.Counts.Values.Sum()} lines written, {source.LeftOut.Values.Sum()} left out.");
        }
        var options = new TrlExportOptions();
        var report = spec.Format switch
        {
            "trl-preference" => TrlExport.WritePreference(stream, source.Rows(TaskKind.Pairwise), options, run.Stop),
            "trl-unpaired" => TrlExport.WriteUnpaired(stream, source.Rows(TaskKind.Binary), options, run.Stop),
            _ => CsvExport.Write(stream, source.Rows(TaskKind.Pairwise).Concat(source.Rows(TaskKind.Binary)), run.Stop),
        };
        return (new { format = spec.Format, report },
            string.Create(CultureInfo.InvariantCulture, $"{report.RowsWritten} of {report.RowsGiven} judgements written")
            + (report.Dropped.Count == 0 ? "." : $"; left out: {string.Join(", ", report.Dropped.Select(d => $"{d.Count} {d.Reason}"))}."));
    }

    /// <summary>Letters and digits of the project's name, so that it can stand in a file's name on every system.</summary>
    private static string Slug(string name)
    {
        var slug = new string([.. name.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')]).Trim('-');
        return slug.Length == 0 ? "project" : slug[..Math.Min(slug.Length, 40)];
    }

    private static string Generator() =>
        $"Portal {typeof(ExportDataRunner).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown"}";
}
