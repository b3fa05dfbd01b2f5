using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A re-RL check as a job on a real database: what it leaves of three policies on the audit's test prompts, that the copy is no version, a killed run, and each thing it refuses.</summary>
[Trait("Speed", "slow")]
public sealed class CheckReRlRunnerTests : IDisposable
{
    private static readonly CheckReRl Spec = new() { KlBudgetNats = 1.5, StepsMax = 6, LearningRate = 3e-3, Prompts = 12, AnswersPerPrompt = 3, Temperature = 1, TokensMax = 24 };

    private readonly AuditedToys toys = new();

    private ToyProject Toy => toys.Toy;

    public void Dispose() => toys.Dispose();

    [Fact]
    public async Task A_killed_check_goes_on_and_leaves_three_policies_on_the_same_test_prompts_and_no_version()
    {
        var audit = await toys.Audit(toys.Polite);
        var spec = Spec with { AuditId = audit, KlBudgetNats = null };
        var id = Toy.Ids.New<JobId>();
        int Versions() => Toy.Database.Open().ModelVersions.Count();
        var before = Versions();

        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new CheckReRlRunner().Run(spec, Toy.Job(id, new SeenProgress(dieAfterStep: 1))));
        var result = await new CheckReRlRunner().Run(spec, Toy.Job(id));
        await Toy.Database.Writes.WriteAsync(db => result.Save!(db), default); // a check always stores its row

        using var db = Toy.Database.Open();
        var run = db.ReRlRuns.AsNoTracking().Single();
        Assert.Equal((id, audit, Toy.Project, "failure-aware-reweight", true, 12, 3), (run.JobId, run.AuditJobId, run.ProjectId, run.Method, run.IsBudgetMeasured, run.Prompts, run.AnswersPerPrompt));
        Assert.Equal($"/audits/{audit}#re-rl", result.Path);
        Assert.Equal(before, Versions());
        Assert.InRange(run.Steps, 1, 6);
        Assert.Equal(run.Steps < 6, run.HasReachedBudget);
        var figures = run.Figures().ToDictionary(figure => figure.Name);
        Assert.All([MetricNames.LengthTokens, MetricNames.UnfinishedShare, MetricNames.RepetitionShare, MetricNames.KlNats, ReRlFigure.RecoveredReward], name => Assert.Contains(name, figures.Keys));
        Assert.All(figures.Values, figure =>
        {
            Assert.Equal(figure.ReRl.Value - figure.Base.Value, figure.FromBase.Value, 1e-9);
            Assert.Equal(figure.ReRl.Value - figure.Original.Value, figure.FromOriginal.Value, 1e-9);
            Assert.True(figure.FromBase.Low <= figure.FromBase.Value && figure.FromBase.Value <= figure.FromBase.High, figure.Name);
        });
        Assert.Equal(0, figures[MetricNames.KlNats].Base.Value);
        Assert.True(figures[MetricNames.KlNats].Original.Value > 0.05);
        Assert.Equal(figures[MetricNames.KlNats].Original.Value, run.KlBudgetNats, 0.6 * run.KlBudgetNats); // of other prompts
        Assert.NotEqual(0, figures[MetricNames.KlNats].ReRl.Value);
        // "Please" is what the polite policy is paid for, and a few steps already say more of it than the base does.
        Assert.True(figures[ReRlFigure.RecoveredReward].Original.Value > figures[ReRlFigure.RecoveredReward].Base.Value);
        Assert.True(figures[ReRlFigure.RecoveredReward].FromBase.Value > 0, $"{figures[ReRlFigure.RecoveredReward].FromBase}");
        Assert.Contains("failure-aware-reweight", db.AuditEvents.AsNoTracking().Single(e => e.Action == "audit.re-rl" && e.EntityId == $"{audit}").PayloadJson, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_budget_out_of_reach_is_said_and_what_cannot_be_checked_is_refused_by_name()
    {
        var audit = await toys.Audit(toys.Polite);
        var result = await new CheckReRlRunner().Run(Spec with { AuditId = audit, Method = "random-head", KlBudgetNats = 500, StepsMax = 1 }, Toy.Job());
        await Toy.Database.Writes.WriteAsync(db => result.Save!(db), default); // a check always stores its row
        using (var db = Toy.Database.Open())
        {
            var run = db.ReRlRuns.AsNoTracking().Single();
            Assert.Equal(("random-head", false, false, 1, 500.0), (run.Method, run.IsBudgetMeasured, run.HasReachedBudget, run.Steps, run.KlBudgetNats));
        }

        Assert.Contains("no such audit", await Refusal(Spec with { AuditId = new JobId(Guid.NewGuid()) }), StringComparison.Ordinal);
        Assert.Contains("no such audit", await Refusal(Spec), StringComparison.Ordinal);
        Assert.Contains("no reward by guessing", await Refusal(Spec with { AuditId = audit, Method = "guessing" }), StringComparison.Ordinal);
        using (var db = Toy.Database.Open())
        {
            foreach (var content in db.Contents.Where(c => db.Prompts.Any(p => p.ContentId == c.Id && db.AuditTexts.Any(t => t.PromptId == p.Id && t.Part == AuditPart.Test))))
                content.Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        Assert.Contains("0 to measure on are left", await Refusal(Spec with { AuditId = audit }), StringComparison.Ordinal);
        await File.AppendAllTextAsync(Path.Combine(Toy.Database.Directory.Audits, audit.Value.ToString("N"), RecoveredRewardsFile.FileName), " ");
        Assert.Contains("rewards.json is not the file that was stored", await Refusal(Spec with { AuditId = audit }), StringComparison.Ordinal);

        async Task<string> Refusal(CheckReRl wrong) => (await Assert.ThrowsAsync<CannotTrain>(() => new CheckReRlRunner().Run(wrong, Toy.Job()))).Message;
    }
}
