using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// Brings an uploaded file into a project: staged in small batches with pauses, so that people who judge meanwhile hardly notice, then shown
/// by one flip in the transaction that marks the job as succeeded. A failed or cancelled import leaves nothing but the list of its problems.
/// </summary>
/// <remarks>One import at a time: two that stage the same prompt could not both keep it. A run after a crash begins anew.</remarks>
public sealed class ImportDataRunner : IJobRunner<ImportData>
{
    /// <summary>
    /// How long one transaction may keep others from writing. Rows in a batch follow from it, 4 to 200: a judgement submitted meanwhile
    /// waits about so long on a fast machine as on a slow one.
    /// </summary>
    private static readonly TimeSpan Hold = TimeSpan.FromMilliseconds(8);

    private const int BatchRowsFirst = 16;
    private const int BatchRowsMin = 4;
    private const int BatchRowsMax = 200;

    /// <summary>Problems that are kept for the page; the rest are counted.</summary>
    public const int ProblemsKept = 1_000;

    private static readonly TimeSpan PauseMin = TimeSpan.FromMilliseconds(15);

    /// <inheritdoc/>
    public async Task<JobResult> Run(ImportData spec, JobRun run)
    {
        using var alone = await TakeTurn(run);
        var target = await Begin(spec, run);
        var upload = UploadOf(spec, run);
        var counts = new Counts();
        var ids = new PortalIds();
        try
        {
            await Stage(spec, run, target, upload, counts, ids);
        }
        catch (CannotImportException e)
        {
            counts.ToKeep.Add(e.Problem);
            await Keep(run, spec.ImportId, counts.ToKeep, counts);
            throw new CannotTrain(e.Message, e);
        }
        if (spec.AllOrNothing && counts.Refused > 0)
            throw new CannotTrain($"{counts.Refused} of {counts.Read} rows cannot be taken, and the import was to take all or nothing. The list says which and why.");
        if (counts.Accepted == 0)
            throw new CannotTrain(counts.Duplicates > 0 && counts.Refused == 0
                ? $"Nothing is new: the project holds all {counts.Read} rows already."
                : $"No row could be taken: {counts.Refused} of {counts.Read} were refused, {counts.Duplicates} are here already. The list says why.");
        run.Progress.Log(JobEventLevel.Info, $"{counts.Read} rows read: {counts.Accepted} taken, {counts.Duplicates} here already, {counts.Refused} refused.");
        return new JobResult($"/imports/{spec.ImportId}", db =>
        {
            var import = db.Imports.First(i => i.Id == spec.ImportId);
            import.MakeVisible(run.Time.GetUtcNow());
            ids.AtTheFlip.ForEach(write => write(db));
            AuditChain.Append(db, run.Time.GetUtcNow(), import.By, "import.finish", "import", $"{import.Id}",
                new { counts.Read, counts.Accepted, counts.Duplicates, counts.Refused, format = import.Format });
        });
    }

    /// <inheritdoc/>
    public async Task Discard(ImportData spec, JobRun run)
    {
        bool isVisible;
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
            isVisible = await db.Imports.AnyAsync(i => i.Id == spec.ImportId && i.State == ImportState.Visible, run.Stop);
        if (!isVisible)
        {
            await ImportStage.Remove(run.Writes, spec.ImportId, run.Time, run.Stop);
            await run.Writes.WriteAsync(db =>
            {
                var job = db.Jobs.AsNoTracking().First(j => j.Id == run.JobId);
                if (db.Imports.FirstOrDefault(i => i.Id == spec.ImportId) is not { State: ImportState.Staging } import)
                    return;
                import.Fail(job.FailReason ?? "The import was cancelled.", run.Time.GetUtcNow());
                AuditChain.Append(db, run.Time.GetUtcNow(), import.By, "import.fail", "import", $"{import.Id}", new { job = job.Number });
            }, run.Stop);
        }
    }

    /// <inheritdoc/>
    public Task Clean(ImportData spec, JobRun run)
    {
        if (Path.GetFileName(spec.Upload) == spec.Upload)
            File.Delete(Path.Combine(run.Directory.Uploads, spec.Upload));
        return Task.CompletedTask;
    }

    private static string UploadOf(ImportData spec, JobRun run)
    {
        var path = Path.Combine(run.Directory.Uploads, spec.Upload);
        if (spec.Upload.Length == 0 || Path.GetFileName(spec.Upload) != spec.Upload || !File.Exists(path))
            throw new CannotTrain($"The uploaded file {spec.FileName} is gone. Upload it again.");
        return path;
    }

    /// <summary>The project and the import, with everything an earlier run of this job has staged removed.</summary>
    private static async Task<ImportTarget> Begin(ImportData spec, JobRun run)
    {
        int votes;
        List<ImportId> leftovers;
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
        {
            if (await db.Imports.AsNoTracking().FirstOrDefaultAsync(i => i.Id == spec.ImportId, run.Stop) is not { State: ImportState.Staging })
                throw new CannotTrain("This import is over already. Start a new one.");
            votes = await db.Projects.Where(p => p.Id == run.ProjectId).Select(p => p.VotesPerTask).FirstAsync(run.Stop);
            // What an import that failed has staged may hold the prompts of this one.
            leftovers = await db.Imports.Where(i => i.ProjectId == run.ProjectId && (i.Id == spec.ImportId || i.State == ImportState.Failed)
                    && db.Prompts.IgnoreQueryFilters().Any(p => p.ImportId == i.Id))
                .Select(i => i.Id).ToListAsync(run.Stop);
        }
        foreach (var import in leftovers)
            await ImportStage.Remove(run.Writes, import, run.Time, run.Stop);
        await run.Writes.WriteAsync(db => db.ImportProblems.Where(p => p.ImportId == spec.ImportId).ExecuteDelete(), run.Stop);
        return new ImportTarget(run.ProjectId, spec.ImportId, votes, run.Time.GetUtcNow(), run.Hasher, run.Ids);
    }

    private static async Task Stage(ImportData spec, JobRun run, ImportTarget target, string upload, Counts counts, PortalIds ids)
    {
        await using var file = new FileStream(upload, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        var options = new ImportOptions { Format = FormatNames.Parse(spec.Format), Mapping = FormatNames.Mapping(spec.Columns) };
        var batch = new List<RowOutcome>(BatchRowsMax);
        var size = BatchRowsFirst;
        var toKeep = counts.ToKeep;
        var kept = run.Time.GetTimestamp();
        foreach (var outcome in ImportReader.ReadAll(file, spec.FileName, options, run.Stop))
        {
            batch.Add(outcome);
            if (batch.Count >= size)
                await StageBatch();
        }
        await StageBatch();
        await Keep(run, spec.ImportId, toKeep, counts);

        async Task StageBatch()
        {
            counts.Read += batch.Count;
            toKeep.AddRange(batch.SelectMany(o => o.Problems));
            counts.Refused += batch.Count(o => !o.Accepted);
            var held = TimeSpan.Zero;
            // Once it is clear that nothing will be taken, the rest is only read for its problems.
            if (!spec.AllOrNothing || counts.Refused == 0)
            {
                var fresh = batch.Where(o => o is { Accepted: true, DuplicateOf: null }).ToList();
                counts.Duplicates += batch.Count(o => o is { Accepted: true, DuplicateOf: not null });
                var (result, found) = await run.Writes.WriteAsync(db =>
                {
                    var began = run.Time.GetTimestamp();
                    var staged = StageRows(db, target, fresh, spec.FileName, ids);
                    db.SaveChanges();
                    held = run.Time.GetElapsedTime(began);
                    return staged;
                }, run.Stop);
                ids.Take(found);
                counts.Accepted += result.Accepted;
                counts.Duplicates += result.Duplicates;
                counts.Refused += result.Problems.Count;
                toKeep.AddRange(result.Problems);
                size = Math.Clamp(held > Hold ? size / 2 : held < Hold / 2 ? size + 1 + size / 4 : size, BatchRowsMin, BatchRowsMax);
            }
            batch.Clear();
            run.Progress.Report(ShareOf(file), 100, "importing", null);
            if (run.Time.GetElapsedTime(kept) > TimeSpan.FromSeconds(1))
            {
                await Keep(run, spec.ImportId, toKeep, counts);
                toKeep.Clear();
                kept = run.Time.GetTimestamp();
            }
            // Other writers get at least two thirds of the time.
            await Task.Delay(held * 2 > PauseMin ? held * 2 : PauseMin, run.Time, run.Stop);
        }
    }

    private static (BatchResult Result, PortalIds Found) StageRows(PortalDbContext db, ImportTarget target, List<RowOutcome> rows, string file, PortalIds ids)
    {
        var parsed = rows.Select(o => o.Parsed).OfType<ParsedRow>().ToList();
        if (parsed.Count > 0)
            return (new ImportStage(db, target).Add(parsed, file), new PortalIds());
        var stage = new PortalStage(db, target, ids);
        return (stage.Add([.. rows.Where(o => o.Record is not null).Select(o => (o.Row, o.Record!))], file), stage.Found); // filtered just before
    }

    /// <summary>Counts and the first problems, for the page.</summary>
    private static Task Keep(JobRun run, ImportId id, IReadOnlyList<RowProblem> problems, Counts counts)
    {
        var kept = problems.Take(ProblemsKept - counts.ProblemsKept).ToList();
        counts.ProblemsKept += kept.Count;
        return run.Writes.WriteAsync(db =>
        {
            db.Imports.First(i => i.Id == id).Count(counts.Read, counts.Accepted, counts.Refused, counts.Duplicates);
            db.ImportProblems.AddRange(kept.Select(p => new ImportProblem
            {
                ImportId = id, Row = (int)Math.Min(p.Row, int.MaxValue), Field = p.Field ?? "", Reason = p.Reason,
            }));
        }, run.Stop);
    }

    /// <summary>Percent of the file that was read (of the compressed one, where it is compressed).</summary>
    private static int ShareOf(FileStream file) => file.Length == 0 ? 100 : (int)(file.Position * 100 / file.Length);

    /// <summary>Waits until no other import runs on this data directory.</summary>
    private static async Task<FileStream> TakeTurn(JobRun run)
    {
        var path = Path.Combine(run.Directory.Uploads, ".turn");
        for (var told = false; ; told = true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                if (!told)
                    run.Progress.Log(JobEventLevel.Info, "Waiting for another import to end.");
                await Task.Delay(TimeSpan.FromMilliseconds(250), run.Time, run.Stop);
            }
        }
    }

    private sealed class Counts
    {
        public int Read { get; set; }
        public int Accepted { get; set; }
        public int Refused { get; set; }
        public int Duplicates { get; set; }
        public int ProblemsKept { get; set; }

        /// <summary>Problems found since the last time they were written.</summary>
        public List<RowProblem> ToKeep { get; } = [];
    }
}
