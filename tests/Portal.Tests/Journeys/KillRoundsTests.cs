using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using Portal.Bench;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Engine.Models;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Journeys;

/// <summary>
/// kill -9 of the portal, the engine, the worker that trains, and portal and engine together, at random instants, while people judge and a reward
/// model is trained (the seed is printed; PORTAL_SEED repeats it). No acknowledged judgement is lost or doubled, no job ends in a false state, and
/// the weights are those of an uninterrupted run. 2 rounds, 20 with PORTAL_SOAK=1; two kills a round, so that each of the four victims has its turn.
/// </summary>
[Trait("Speed", "slow")]
public sealed class KillRoundsTests(ITestOutputHelper output) : IDisposable
{
    private static readonly TrainRewardModel Spec = new()
    {
        Seed = 3, LengthMax = 160,
        Optimization = new OptimizationSpec { LearningRate = 1e-3, HeadLearningRate = 1e-2, BatchSize = 8, Epochs = 1, StepsMax = 16, CheckpointEverySteps = 2 },
    };

    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("portal-kills-");
    private readonly Stopwatch clock = Stopwatch.StartNew();

    private enum Victim
    {
        Portal,
        Engine,
        Worker,
        PortalAndEngine,
    }

    public void Dispose() => root.Delete(recursive: true);

    [Fact]
    public async Task Whatever_is_killed_no_acknowledged_judgement_is_lost_and_training_ends_with_the_uninterrupted_weights()
    {
        var (random, seed) = Soak.Seeded(output);
        using var installation = await PortalInstallation.Start(BuiltEngine.PublishedIn(root), Path.Combine(root.FullName, "data"), pairs: 200, CancellationToken.None);
        installation.EnsureTasks(1_000);
        var whole = await Trained(installation, installation.QueueTraining(Spec), "uninterrupted");
        var acknowledged = new ConcurrentBag<Acknowledged>();
        using var enough = new CancellationTokenSource();
        using var failed = new CancellationTokenSource();
        var judging = installation.AddAnnotators(2).Select((name, i) => Judge(installation, name, i, acknowledged, enough.Token, failed.Token)).ToList();
        var turns = new Queue<Victim>();
        var (kills, resumes) = (0, 0);
        try
        {
            for (var round = 0; round < Soak.Rounds; round++)
            {
                installation.EnsureTasks(1_000);
                var job = installation.QueueTraining(Spec);
                for (var kill = 0; kill < Job.ResumesMax; kill++)
                {
                    if (turns.Count == 0)
                        turns = new Queue<Victim>(Enum.GetValues<Victim>().OrderBy(_ => random.Next()));
                    if (await Kill(installation, turns.Dequeue(), job, random))
                        kills++;
                }

                var weights = await Trained(installation, job, $"round {round}");
                resumes += installation.Job(job).Resumes;
                output.WriteLine($"{clock.Elapsed.TotalSeconds:F1} s: round {round} is over");
                Assert.True(whole.Zip(weights, (one, other) => Math.Abs(one - other)).Max() <= 1e-6f, $"round {round}: other weights than those of the uninterrupted run");
            }
            await enough.CancelAsync();
            await Task.WhenAll(judging);
        }
        finally
        {
            await failed.CancelAsync(); // nobody waits for an answer of a portal that is gone
        }

        Assert.True(resumes > 0, "no kill met a training under way: nothing was shown about resumed weights");
        Assert.Null(installation.Check([.. acknowledged]));
        await using var db = installation.Open();
        // Each annotator had a receipt for all it gave, so that what is stored is what was acknowledged and nothing else.
        Assert.Equal(acknowledged.Count, await db.PairwiseJudgements.CountAsync(j => j.ProjectId == installation.Judged));
        Assert.All(await db.Jobs.ToListAsync(), job => Assert.Equal(JobState.Succeeded, job.State));
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        Notes.Write($"kill -9, seed {seed}: {Soak.Rounds} rounds, {kills} kills, {resumes} resumes, {acknowledged.Count} acknowledged judgements, each stored once; weights as uninterrupted");
    }

    /// <summary>Judges until it is enough, never quite without a pause; a portal that is away is asked again.</summary>
    private static async Task Judge(PortalInstallation installation, string name, int number, ConcurrentBag<Acknowledged> acknowledged, CancellationToken enough, CancellationToken failed)
    {
        using var annotator = new AnnotatorClient(installation.Address, installation.Judged, name, number);
        await annotator.SignIn(installation.Password, failed);
        while (!enough.IsCancellationRequested)
        {
            acknowledged.Add(await annotator.SubmitUntilAcknowledged(failed));
            await Task.Delay(500, failed);
        }
    }

    /// <returns>Whether there was something to kill: a worker may have ended by itself.</returns>
    private async Task<bool> Kill(PortalInstallation installation, Victim victim, JobId job, Random random)
    {
        await installation.Until(job, row => row.Step > 0 || row.IsOver, "a step", CancellationToken.None);
        await Task.Delay(random.Next(0, 3_000)); // the instant is the point here: training, or starting again after the kill before
        var row = installation.Job(job);
        output.WriteLine($"{clock.Elapsed.TotalSeconds:F1} s: {victim} at step {row.Step} of {row.StepsTotal}, {row.State}");
        if (victim is Victim.Worker)
        {
            if (EngineProcess.WorkerOf(job) is not { } worker)
                return false;
            EngineProcess.KillWorker(worker);
            return true;
        }
        var (portal, engine) = (victim is not Victim.Engine, victim is not Victim.Portal);
        if (portal)
            installation.KillPortal();
        if (engine)
        {
            installation.KillEngine();
            installation.StartEngine();
        }
        if (portal)
            await installation.StartPortal(CancellationToken.None);
        return true;
    }

    /// <summary>The weights a job ends with; fails unless it succeeds, with one model.</summary>
    private static async Task<IReadOnlyList<float>> Trained(PortalInstallation installation, JobId id, string when)
    {
        await installation.Until(id, job => job.IsOver, when, CancellationToken.None);
        var job = installation.Job(id);
        Assert.True(job is { State: JobState.Succeeded, Resumes: <= Job.ResumesMax }, $"{when}: {job.State} after {job.Resumes} resumes: {job.FailReason}");
        using var model = HuggingFaceFolder.LoadRewardModel(installation.ModelOf(id));
        return [.. ToyWorld.Weights(model)];
    }
}
