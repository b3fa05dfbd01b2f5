using System.Diagnostics;
using Portal.Data.Jobs;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.Jobs;

/// <summary>
/// kill -9 at random instants (the seed is printed; PORTAL_SEED repeats it). Whatever is killed: every job ends in a true state, its result
/// is the uninterrupted one's and stored once, and no process survives its queue. 1 round, 20 with PORTAL_SOAK=1.
/// </summary>
[Trait("Speed", "slow")]
public sealed class CrashTests(ITestOutputHelper output)
{
    private const int Steps = 40;

    [Fact]
    public async Task Killed_workers_are_resumed_and_end_with_the_uninterrupted_result()
    {
        var (random, _) = Soak.Seeded(output);
        using var engine = new EngineProcess();
        for (var round = 0; round < Soak.RoundsOfPart; round++)
        {
            var id = engine.Enqueue(CountingRunner.Spec(Steps, 0.05));
            var kills = random.Next(1, Job.ResumesMax + 1);
            for (var kill = 0; kill < kills; kill++)
            {
                var worker = await EngineProcess.UntilWorkerOf(id);
                await Task.Delay(random.Next(0, 3_000));
                EngineProcess.KillWorker(worker);
                await engine.Until(id, j => j.IsOver || EngineProcess.WorkerOf(id) is { } next && next != worker, "another worker");
            }

            var job = await engine.UntilOver(id);
            await AssertWhole(engine, job, $"round {round}, {kills} kills");
            Assert.True(job.Resumes <= kills);
        }
    }

    [Fact]
    public async Task A_killed_queue_takes_its_workers_along_and_goes_on_after_a_restart()
    {
        var (random, _) = Soak.Seeded(output);
        using var engine = new EngineProcess();
        for (var round = 0; round < Soak.RoundsOfPart; round++)
        {
            var first = engine.Enqueue(CountingRunner.Spec(Steps, 0.05));
            var second = engine.Enqueue(CountingRunner.Spec(Steps, 0.01), after: first);
            await Task.Delay(random.Next(0, 5_000));
            var family = EngineProcess.Family(engine.Id);
            engine.Kill();
            await UntilDead(family);
            engine.Start();

            await AssertWhole(engine, await engine.UntilOver(first), $"round {round}, first");
            await AssertWhole(engine, await engine.UntilOver(second), $"round {round}, second");
        }
    }

    [Fact]
    public async Task A_queue_that_lost_its_own_store_takes_up_the_jobs_from_the_rows()
    {
        using var engine = new EngineProcess();
        var id = engine.Enqueue(CountingRunner.Spec(Steps, 0.05));
        await engine.Until(id, j => j.Step > 3, "a step");
        engine.Kill();
        foreach (var file in Directory.GetFiles(engine.Database.Directory.Root, "queue.db*"))
            File.Delete(file);
        engine.Start();

        var job = await engine.UntilOver(id);

        await AssertWhole(engine, job, "store lost");
        Assert.Equal(1, job.Resumes);
    }

    [Fact]
    public async Task An_engine_that_is_ended_puts_its_job_back_without_counting_a_crash()
    {
        using var engine = new EngineProcess();
        var id = engine.Enqueue(CountingRunner.Spec(100, 0.05));
        await engine.Until(id, j => j.Step > 3, "a step");

        var exit = engine.Stop();
        var waiting = engine.Job(id);
        engine.Start();
        var job = await engine.UntilOver(id);

        Assert.Equal(0, exit);
        Assert.Equal(JobState.Queued, waiting.State);
        Assert.Equal((JobState.Succeeded, 0), (job.State, job.Resumes));
        Assert.Single(engine.Events(id), e => e.Message == $"Result {CountingRunner.Result(100)}");
        Assert.Contains(engine.Events(id), e => e.Message.StartsWith("Begins at step", StringComparison.Ordinal) && e.Message != "Begins at step 0.");
    }

    [Fact]
    public async Task A_job_cancelled_while_no_engine_runs_is_not_run_later()
    {
        using var engine = new EngineProcess();
        var id = engine.Enqueue(CountingRunner.Spec(10_000));
        await engine.Until(id, j => j.Step > 3, "a step");
        engine.Kill();
        engine.AskCancel(id);
        engine.Start();

        var job = await engine.UntilOver(id);

        Assert.Equal(JobState.Cancelled, job.State);
    }

    private static async Task AssertWhole(EngineProcess engine, Job job, string when)
    {
        Assert.True(job.State is JobState.Succeeded, $"{when}: job {job.Number} is {job.State}: {job.FailReason}");
        var results = engine.Events(job.Id).Where(e => e.Message.StartsWith("Result ", StringComparison.Ordinal)).ToList();
        Assert.True(results.Count == 1 && results[0].Message == $"Result {CountingRunner.Result(Steps)}",
            $"{when}: {results.Count} results ({string.Join(", ", results.Select(r => r.Message))}), expected one, {CountingRunner.Result(Steps)}");
        if (EngineProcess.WorkerOf(job.Id) is { } worker)
            await UntilDead([worker]); // it wrote its end a moment ago
    }

    private static async Task UntilDead(IReadOnlyList<int> family)
    {
        var clock = Stopwatch.StartNew();
        while (family.Any(EngineProcess.IsAlive))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), "a worker outlived its queue by 10 s");
            await Task.Delay(20);
        }
    }
}
