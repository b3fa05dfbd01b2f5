using System.Diagnostics;
using Portal.Data.Jobs;
using Portal.Data.Storage;
using Portal.Tests.Data;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Two engines on one Postgres: the queue is clustered, and when one is killed the other takes its job over.</summary>
[Trait("Speed", "slow")]
[Collection(PostgresFixture.Collection)]
public sealed class ClusterTests(PostgresFixture postgres)
{
    [Fact]
    public async Task Another_engine_takes_over_the_job_of_one_that_was_killed()
    {
        using var first = new EngineProcess(postgres: postgres);
        var id = first.Enqueue(CountingRunner.Spec(100, 0.1));
        await first.Until(id, j => j.Step > 1, "a step");
        var root = Directory.CreateTempSubdirectory("portal-node-");
        new DataDirectory(root.FullName).Create();
        var start = EngineProcess.CommandLine("worker", "--data", root.FullName);
        start.Environment["PORTAL_POSTGRES"] = first.PostgresConnection;
        using var second = Process.Start(start)!;
        second.OutputDataReceived += (_, _) => { };
        second.ErrorDataReceived += (_, _) => { };
        second.BeginOutputReadLine();
        second.BeginErrorReadLine();
        try
        {
            await Task.Delay(3_000); // let it join; a later one would find the job too, only not by Quartz's own recovery
            first.Kill();

            var job = await first.UntilOver(id);

            Assert.Equal((JobState.Succeeded, 1), (job.State, job.Resumes));
            Assert.Single(first.Events(id), e => e.Message == $"Result {CountingRunner.Result(100)}");
            Assert.True(Directory.Exists(Path.Combine(root.FullName, "models", $"{id.Value:N}")), "the second engine did not run it");
        }
        finally
        {
            second.Kill(entireProcessTree: true);
            await second.WaitForExitAsync();
            root.Delete(recursive: true);
        }
    }
}
