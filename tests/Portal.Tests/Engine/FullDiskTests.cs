using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine;

/// <summary>A disk that fills up while something is written: the message says so and names the file, nothing half-written stays, and with room made it goes on.</summary>
public sealed class FullDiskTests
{
    private static readonly TrainSft Spec = new()
    {
        LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 1e-2, BatchSize = 16, Epochs = 1, CheckpointEverySteps = 2 },
    };

    [SmallDiskFact]
    public void A_checkpoint_that_does_not_fit_leaves_the_one_before_and_the_run_goes_on_from_it()
    {
        using var elsewhere = new RunFolders();
        using var whole = ToyWorld.Model();
        var uninterrupted = TrainSftRecipe.Run(Spec, whole, ToyWorld.Tokenizer, ToyWorld.Dialogues(), elsewhere.Context());
        var one = SmallDisk.KibibytesOf(elsewhere.Checkpoints); // the last checkpoint is kept
        using var disk = new SmallDisk(one + (one / 2));
        using var folders = new RunFolders(disk.Folder);

        using (var model = ToyWorld.Model())
        {
            var failure = Assert.ThrowsAny<IOException>(() => TrainSftRecipe.Run(Spec, model, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context()));
            var said = FullDisk.Explain(failure);
            Assert.StartsWith("The disk is full: ", said);
            Assert.Contains("step-000004", said, StringComparison.Ordinal);
        }

        Assert.Equal(["optimizer.bin", "state.json", "weights.safetensors"], disk.Files.Select(Path.GetFileName));
        Assert.All(disk.Files, path => Assert.Contains("step-000002/", path, StringComparison.Ordinal));

        disk.Grow(16 * one);
        var seen = new SeenProgress();
        using var resumed = ToyWorld.Model();
        var report = TrainSftRecipe.Run(Spec, resumed, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context(seen));
        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 2 of ", StringComparison.Ordinal));
        Assert.Equal(uninterrupted.Losses, report.Losses);
    }

    [SmallDiskFact]
    public async Task A_model_that_does_not_fit_ends_the_command_with_one_sentence_and_no_file()
    {
        using var folders = new RunFolders();
        var (model, data, preset) = (Path.Combine(folders.Artefacts, "model"), Path.Combine(folders.Artefacts, "pairs.jsonl"), Path.Combine(folders.Artefacts, "preset.json"));
        using (var weights = ToyWorld.Model())
            HuggingFaceFolder.Save(weights, model, ToyWorld.Tokenizer);
        File.WriteAllLines(data, ToyWorld.Prompts.Select(prompt => JsonSerializer.Serialize(new { prompt, chosen = ToyWorld.Good(prompt, 0), rejected = ToyWorld.Bad(prompt, 0) })));
        File.WriteAllText(preset, new TrainRewardModel { LengthMax = 64, Optimization = new OptimizationSpec { CheckpointEverySteps = 0, StepsMax = 1 } }.ToJson());
        using var disk = new SmallDisk(16);

        var (code, output, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), "train", "reward", "--preset", preset, "--model", model, "--data", data, "--out", Path.Combine(disk.Folder, "out"));
        var lines = errors.TrimEnd().Split('\n');

        Assert.Equal(EngineCommandLine.Failed, code);
        Assert.StartsWith("The disk is full: No space left on device", lines[^1]);
        Assert.Contains(Path.Combine(disk.Folder, "out"), lines[^1], StringComparison.Ordinal);
        Assert.DoesNotContain(lines, line => line.TrimStart().StartsWith("at ", StringComparison.Ordinal)); // no stack trace
        Assert.DoesNotContain(disk.Files, path => path.EndsWith(".new", StringComparison.Ordinal) || path.EndsWith(".safetensors", StringComparison.Ordinal) || path.EndsWith("report.json", StringComparison.Ordinal));
        Assert.Equal("", output);
    }

    [SmallDiskFact]
    public async Task An_import_that_does_not_fit_shows_nothing_and_is_cleaned_up_when_there_is_room()
    {
        using var disk = new SmallDisk(8 << 10);
        using var bench = new RunnerBench(folder: disk.Folder);
        var lines = Enumerable.Range(0, 400).Select(i => $$"""{"prompt":"Question {{i}}?","chosen":"{{new string('y', 20_000)}} {{i}}.","rejected":"No {{i}}."}""");
        var (spec, run) = bench.Upload(Packed(lines));

        var failure = await Assert.ThrowsAnyAsync<Exception>(() => new ImportDataRunner().Run(spec, run));

        Assert.Contains("database or disk is full", FullDisk.Explain(failure));
        Assert.Equal((0, 0, 0, 0, 0), Seen(bench));
        disk.Grow(64 << 10);
        await bench.Database.Writes.WriteAsync(db => db.Jobs.Single(j => j.Id == run.JobId).Fail(FullDisk.Explain(failure)!, DateTimeOffset.UtcNow), CancellationToken.None); // asserted above
        await new ImportDataRunner().Discard(spec, run);
        Assert.Equal((0, 0, 0, 0, 0), bench.Counts());
        Assert.Equal(ImportState.Failed, bench.Import(spec.ImportId).State);

        // And the same file, given again, is taken whole.
        var (again, secondRun) = bench.Upload(Packed(lines));
        await bench.Finish(new ImportDataRunner(), again, secondRun);
        Assert.Equal(400, bench.Counts(visibleOnly: true).Judgements);
    }

    [SmallDiskFact]
    public async Task An_export_that_does_not_fit_leaves_no_file()
    {
        using var disk = new SmallDisk(32 << 10);
        using var bench = new RunnerBench(folder: disk.Folder);
        for (var i = 0; i < 20; i++)
            bench.Seed.Task(bench.Project, $"Question {i}?", new string('a', 100_000) + i, new string('b', 100_000) + i);
        var run = bench.Begin(new ExportData { Format = "portal" });
        using (var db = bench.Database.Open()) // or the log's megabytes come free when its last connection closes, and there is room after all
            await db.Database.ExecuteSqlRawAsync("PRAGMA wal_checkpoint(TRUNCATE)");
        disk.Grow(disk.UsedKibibytes + 512);

        var failure = await Assert.ThrowsAnyAsync<IOException>(() => new ExportDataRunner().Run(new ExportData { Format = "portal" }, run));

        Assert.Contains("portal-1.jsonl", FullDisk.Explain(failure), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(bench.Database.Directory.Exports));
    }

    /// <summary>What was acknowledged is there, what was refused is not, and the queue lives on.</summary>
    [SmallDiskFact]
    public async Task A_write_that_does_not_fit_is_refused_and_those_before_it_stay()
    {
        using var disk = new SmallDisk(6 << 10);
        using var bench = new RunnerBench(folder: disk.Folder);
        var stored = new List<Guid>();
        Exception? failure = null;
        while (failure is null && stored.Count < 1_000)
        {
            try
            {
                stored.Add(await bench.Database.Writes.WriteAsync(Add, CancellationToken.None));
            }
            catch (Exception e) when (e is DbUpdateException or System.Data.Common.DbException)
            {
                failure = e;
            }
        }

        Assert.NotNull(failure);
        Assert.Contains("database or disk is full", FullDisk.Explain(failure));
        Assert.Equal(stored.Order(), Kept());
        disk.Grow(32 << 10);
        stored.Add(await bench.Database.Writes.WriteAsync(Add, CancellationToken.None));
        Assert.Equal(stored.Order(), Kept());

        IEnumerable<Guid> Kept()
        {
            using var db = bench.Database.Open();
            return db.Contents.Select(c => c.Id).ToList().Select(id => id.Value).Order();
        }

        Guid Add(PortalDbContext db)
        {
            var content = new Content
            {
                Id = new ContentId(Guid.CreateVersion7()), ProjectId = bench.Project, Kind = ContentKind.Response, Text = new string('x', 50_000), KeyedHash = new string('0', 64), CreatedAt = DateTimeOffset.UtcNow,
            };
            db.Contents.Add(content);
            return content.Id.Value;
        }
    }

    [Fact]
    public void Another_failure_is_not_called_a_full_disk()
    {
        Assert.Null(FullDisk.Explain(new IOException("The process cannot access the file.")));
        Assert.Null(FullDisk.Explain(new DbUpdateException("No.", new Microsoft.Data.Sqlite.SqliteException("constraint failed", 19))));
    }

    private static (int, int, int, int, int) Seen(RunnerBench bench)
    {
        var (prompts, responses, _, tasks, judgements) = bench.Counts(visibleOnly: true);
        using var db = bench.Database.Open();
        return (prompts, responses, db.ImportProblems.Count(), tasks, judgements);
    }

    private static byte[] Packed(IEnumerable<string> lines)
    {
        var packed = new MemoryStream();
        using (var gzip = new System.IO.Compression.GZipStream(packed, System.IO.Compression.CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(Encoding.UTF8.GetBytes(string.Join('\n', lines)));
        return packed.ToArray();
    }
}
