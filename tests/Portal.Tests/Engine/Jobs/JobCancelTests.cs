using System.Diagnostics;
using Portal.Data.Jobs;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A job that was cancelled is over within ten seconds, whether it listens or not. The time is the promise here, so nothing runs beside it.</summary>
[Collection(Alone.Name)]
[Trait("Speed", "slow")]
public sealed class JobCancelTests(JobQueueTests.Running running) : IClassFixture<JobQueueTests.Running>
{
    private readonly EngineProcess engine = running.Engine;

    [Fact]
    public async Task A_cancelled_job_ends_soon_and_leaves_nothing()
    {
        var id = engine.Enqueue(CountingRunner.Spec(10_000));
        await engine.Until(id, j => j.Step > 2, "a step");

        var clock = Stopwatch.StartNew();
        engine.AskCancel(id);
        var job = await engine.UntilOver(id);

        Assert.Equal(JobState.Cancelled, job.State);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"{clock.Elapsed.TotalSeconds:F1} s");
        await engine.UntilTidied(id);
        Assert.Equal((true, true), CountingRunner.Marks(engine.Database.Directory, id));
        Assert.False(Directory.Exists(Path.Combine(engine.Database.Directory.Models, $"{id.Value:N}")), "its half-made model stays");
    }

    [Fact]
    public async Task A_cancelled_job_that_does_not_listen_is_killed_within_10_s_with_its_children()
    {
        var id = engine.Enqueue(CountingRunner.Spec(10_000, seed: CountingRunner.Stubborn));
        await engine.Until(id, j => j.Step > 2, "a step");
        var family = EngineProcess.Family((await EngineProcess.UntilWorkerOf(id)));

        var clock = Stopwatch.StartNew();
        engine.AskCancel(id);
        var job = await engine.UntilOver(id);
        clock.Stop();

        Assert.True(family.Count >= 2, "the stubborn job should have a child");
        Assert.Equal(JobState.Cancelled, job.State);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"{clock.Elapsed.TotalSeconds:F1} s");
        Assert.DoesNotContain(family, EngineProcess.IsAlive);
    }
}
