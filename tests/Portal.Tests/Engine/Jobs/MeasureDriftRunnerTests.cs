using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Drift as a job on a real database: two audits of one base, what is compared, and what is refused.</summary>
[Trait("Speed", "slow")]
public sealed class MeasureDriftRunnerTests : IDisposable
{
    private readonly AuditedToys toys = new();

    private ToyProject Toy => toys.Toy;

    public void Dispose() => toys.Dispose();

    /// <summary>The second version has the weights of the first: everything about the two is the same, and nothing is marked.</summary>
    [Fact]
    public async Task Two_versions_that_are_the_same_have_no_distance_and_no_step_and_what_cannot_be_compared_is_refused()
    {
        var twin = Toy.Ids.New<ModelVersionId>();
        var (polite, _) = Toy.Store.OpenPolicy(Toy.Database.Open().ModelVersions.Single(v => v.Id == toys.PoliteId));
        using (polite)
            HuggingFaceFolder.Save(polite, Toy.FolderOf(twin), ToyWorld.Tokenizer);
        using (var change = Toy.Database.Open())
        {
            change.ModelVersions.Add(Toy.Version(twin, ModelKind.Policy, 3, Toy.BaseId));
            change.SaveChanges();
        }
        var (first, second) = (await toys.Audit(toys.Polite), await toys.Audit(toys.Polite with { AuditedId = twin, BaseId = Toy.BaseId }));

        var result = await new MeasureDriftRunner().Run(new MeasureDrift { AuditIds = [first, second] }, Toy.Job());
        await Toy.Database.Writes.WriteAsync(db => result.Save!(db), default); // a comparison always stores its row

        using var db = Toy.Database.Open();
        var run = db.DriftRuns.AsNoTracking().Single();
        var report = run.Report();
        Assert.Equal(($"/audits/compare?drift={run.JobId}", 2, "failure-aware-reweight"), (result.Path, run.Versions, run.Method));
        Assert.InRange(run.Prompts, 10, 16); // 16 test prompts
        Assert.Equal([first, second], report.Versions.Select(version => version.AuditJobId));
        Assert.Equal(0, report.Distances[0][1]!.Estimate, 1e-6);
        Assert.All(report.Trajectories, row => Assert.Equal(row.Values[0]!.Estimate, row.Values[1]!.Estimate, 1e-5));
        Assert.All(report.Trajectories.SelectMany(row => row.Steps), step => Assert.False(step!.IsChange));
        // The stored texts say how long answers are, and how far from the base.
        var texts = db.AuditTexts.AsNoTracking().Where(t => t.JobId == first && t.Part == AuditPart.Test && t.Side == AuditSide.Audited && t.ResponseId != null).ToList();
        var kl = report.Trajectories.Single(row => row.Name == DriftTrajectory.KlNats).Values[0]!;
        if (run.Prompts == texts.Select(text => text.PromptId).Distinct().Count())
            Assert.Equal(texts.GroupBy(text => text.PromptId).Average(prompt => prompt.Average(text => text.LogProbAudited!.Value - text.LogProbBase!.Value)), kl.Estimate, 1e-9);
        Assert.True(report.Trajectories.Single(row => row.Name == DriftTrajectory.FixedReward).Values[0]!.Estimate > 0); // "please" is paid for

        Assert.Contains("2 to 12 different audits", await Refusal(first), StringComparison.Ordinal);
        Assert.Contains("2 to 12 different audits", await Refusal(first, first), StringComparison.Ordinal);
        Assert.Contains("there is no audit", await Refusal(first, new JobId(Guid.NewGuid())), StringComparison.Ordinal);
        using (var change = Toy.Database.Open())
        {
            var answer = change.AuditTexts.First(t => t.JobId == second && t.Part == AuditPart.Test && t.Side == AuditSide.Base); // as if the base had been asked one time less
            change.AuditTexts.Where(t => t.JobId == second && t.PromptId == answer.PromptId && t.Side == answer.Side && t.Ordinal == answer.Ordinal).ExecuteDelete();
        }
        Assert.Contains("Audit 2 rests on other test prompts or other answers of the base than Audit 1", await Refusal(first, second), StringComparison.Ordinal);

        async Task<string> Refusal(params JobId[] audits) => (await Assert.ThrowsAsync<CannotTrain>(() => new MeasureDriftRunner().Run(new MeasureDrift { AuditIds = audits }, Toy.Job()))).Message;
    }
}
