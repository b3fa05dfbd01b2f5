using System.Diagnostics;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Feedback;
using Portal.Engine;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>What becomes of jobs while nobody is killed: one real engine process serves all tests of this class.</summary>
[Trait("Speed", "slow")]
public sealed class JobQueueTests(JobQueueTests.Running running) : IClassFixture<JobQueueTests.Running>
{
    private readonly EngineProcess engine = running.Engine;

    public sealed class Running : IDisposable
    {
        public EngineProcess Engine { get; } = new();

        public void Dispose() => Engine.Dispose();
    }

    [Fact]
    public async Task A_job_runs_in_a_process_of_lower_priority_and_leaves_result_curve_and_log()
    {
        var id = engine.Enqueue(CountingRunner.Spec(60));

        var worker = await EngineProcess.UntilWorkerOf(id);
        await engine.Until(id, j => j.Step > 0, "a step");
        var nice = EngineProcess.NiceOf(worker);
        var job = await engine.UntilOver(id);

        Assert.All(nice, value => Assert.Equal(10, value));
        Assert.Equal((JobState.Succeeded, 60, 60, 0), (job.State, job.Step, job.StepsTotal, job.Resumes));
        Assert.Equal($"/models/{id.Value:N}", job.ResultPath);
        Assert.Single(engine.Events(id), e => e.Message == $"Result {CountingRunner.Result(60)}");
        using var db = engine.Database.Open();
        Assert.Equal(1.0 / 60, db.MetricPoints.Where(p => p.JobId == id && p.Step == 60).Select(p => p.Value).Single());
        Assert.True(File.Exists(Path.Combine(engine.Database.Directory.Models, $"{id.Value:N}", "weights")));
    }

    [Fact]
    public async Task Training_jobs_run_one_after_the_other()
    {
        var jobs = Enumerable.Range(0, 3).Select(_ => engine.Enqueue(CountingRunner.Spec(5))).ToList();

        var over = new List<Job>();
        foreach (var id in jobs)
            over.Add(await engine.UntilOver(id));

        Assert.All(over, job => Assert.Equal(JobState.Succeeded, job.State));
        Assert.All(over.Zip(over.Skip(1)), pair => Assert.True(pair.Second.StartedAt >= pair.First.FinishedAt, "two trained at once"));
    }

    [Fact]
    public async Task A_job_waits_for_the_one_it_stands_on()
    {
        var first = engine.Enqueue(CountingRunner.Spec(20));
        var second = engine.Enqueue(CountingRunner.Spec(2), after: first);

        var over = await engine.UntilOver(second);

        Assert.Equal(JobState.Succeeded, over.State);
        Assert.True(over.StartedAt >= engine.Job(first).FinishedAt);
    }

    [Fact]
    public async Task A_job_whose_first_one_fails_says_why_it_cannot_run()
    {
        var first = engine.Enqueue(CountingRunner.Spec(2, seed: CountingRunner.CannotTrain));
        var second = engine.Enqueue(CountingRunner.Spec(2), after: first);

        var job = await engine.UntilOver(second);

        Assert.Equal(JobState.Failed, engine.Job(first).State);
        Assert.Equal("There is no usable pair among 12 judgements.", engine.Job(first).FailReason);
        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains("which had to succeed first, failed: There is no usable pair", job.FailReason);
        Assert.Null(job.StartedAt);
    }

    [Fact]
    public async Task A_surprise_in_a_job_becomes_one_sentence_and_its_story_goes_to_the_log()
    {
        var id = engine.Enqueue(CountingRunner.Spec(2, seed: CountingRunner.Throws));

        var job = await engine.UntilOver(id);

        Assert.Equal((JobState.Failed, 0), (job.State, job.Resumes));
        Assert.Equal($"It stopped at an unexpected error: The spring is broken. The log job-{job.Number}.log says more.", job.FailReason);
        Assert.Contains("CountingRunner.Run", File.ReadAllText(engine.Database.Directory.JobLog(job.Number)));
    }

    [Fact]
    public async Task A_result_that_was_overtaken_fails_with_its_reason_and_stores_nothing()
    {
        var id = engine.Enqueue(CountingRunner.Spec(2, seed: CountingRunner.Overtaken));

        var job = await engine.UntilOver(id);

        Assert.Equal((JobState.Failed, "Somebody else was faster.", 0), (job.State, job.FailReason, job.Resumes));
        using var db = engine.Database.Open();
        Assert.DoesNotContain(db.JobEvents.Where(e => e.JobId == id).Select(e => e.Message).ToList(), message => message.StartsWith("Result", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_kind_that_no_runner_serves_fails_with_the_kinds_that_are_served()
    {
        var id = engine.Enqueue(new ExportData { Format = "portal" });

        var job = await engine.UntilOver(id);

        Assert.Equal("This engine cannot run jobs of the kind ExportData; it knows TrainRewardModel.", job.FailReason);
    }

    [Fact]
    public async Task A_job_that_nobody_can_read_fails_with_the_reason()
    {
        var id = engine.Enqueue(CountingRunner.Spec(1), json: """{"kind":"TrainDragon"}""");

        var job = await engine.UntilOver(id);

        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains("'TrainDragon'", job.FailReason);
    }

    /// <summary>The rows of a job that succeeded are its result: they stay when the queue tidies up after it.</summary>
    [Fact]
    public async Task A_job_that_succeeded_is_tidied_up_after_but_not_discarded()
    {
        var id = engine.Enqueue(CountingRunner.Spec(2));

        Assert.Equal(JobState.Succeeded, (await engine.UntilOver(id)).State);

        await engine.UntilTidied(id);
        Assert.Equal((false, true), CountingRunner.Marks(engine.Database.Directory, id));
    }

    [Fact]
    public async Task A_worker_that_always_dies_is_resumed_twice_from_its_checkpoint_and_then_fails()
    {
        var id = engine.Enqueue(CountingRunner.Spec(100, seed: CountingRunner.Dies));

        var job = await engine.UntilOver(id);

        Assert.Equal((JobState.Failed, Job.ResumesMax), (job.State, job.Resumes));
        Assert.Contains("The worker stopped 3 times (it was killed (signal 9)", job.FailReason);
        Assert.Equal(["Begins at step 0.", "Begins at step 2.", "Begins at step 4."],
            File.ReadLines(engine.Database.Directory.JobLog(job.Number)).Where(line => line.StartsWith("Begins", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task The_quota_of_the_day_holds_in_the_queue_too()
    {
        var project = new ProjectId(Guid.CreateVersion7());
        using (var db = engine.Database.Open())
        {
            db.Projects.Add(new Project { Id = project, Name = "Small", CreatedAt = DateTimeOffset.UtcNow, JobsPerDay = 1 });
            db.SaveChanges();
        }
        var first = engine.Enqueue(CountingRunner.Spec(1), project: project);
        var second = engine.Enqueue(CountingRunner.Spec(1), project: project);

        Assert.Equal(JobState.Succeeded, (await engine.UntilOver(first)).State);
        var job = await engine.UntilOver(second);

        Assert.Equal(JobState.Failed, job.State);
        Assert.StartsWith("The project may start 1 training jobs a day; this was number 2 of ", job.FailReason);
    }

    [Fact]
    public void A_second_engine_on_the_same_data_is_refused_in_one_sentence()
    {
        using var second = Process.Start(EngineProcess.CommandLine("worker", "--data", engine.Database.Directory.Root))!;
        var error = second.StandardError.ReadToEnd();
        second.WaitForExit();

        Assert.Equal(1, second.ExitCode);
        Assert.Equal($"Another engine is running on {engine.Database.Directory.Root}; end it first, or choose another --data.", error.Trim());
    }
}
