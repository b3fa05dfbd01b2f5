using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Irl;
using Portal.Engine.Serving;
using Portal.Engine.Statistics;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Serving;

/// <summary>The doors of audits: typed texts under an audit's rewards, against the scores that its report keeps; what an audit could find, against simulated audits and the table of specs/fairl.md §4.3.</summary>
[Trait("Speed", "slow")]
public sealed class AuditDoorsTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly AuditedToys toys = new();

    public void Dispose() => toys.Dispose();

    [Theory]
    [InlineData(AuditFeatures.HiddenStates)]
    [InlineData(AuditFeatures.Readable)]
    public async Task A_text_of_the_audit_gets_the_score_it_has_there_under_each_run_of_each_method(AuditFeatures features)
    {
        var job = await toys.Audit(toys.Polite with { Features = features });
        using (var db = toys.Toy.Database.Open())
        {
            db.ModelVersions.Single(v => v.Id == toys.Toy.BaseId).Retire(); // the audit is about it all the same
            db.SaveChanges();
        }
        await using var door = await InProcessDoor.Open(toys.Toy.Database.Directory);
        var (prompt, texts, scores) = Candidates(job);

        var answer = (await door.Client.ScoreByAudit(new AuditScoreRequest($"{job}", prompt, texts), Stop)).Value;

        Assert.Equal(("failure-aware-reweight", texts.Count), (answer.Method, answer.Texts.Count));
        foreach (var (typed, stored) in answer.Texts.Zip(scores))
        {
            foreach (var method in typed.Scores.GroupBy(score => score.Method))
                Assert.Equal(stored.Methods[method.Key], method.Select(score => score.Score).ToArray(), (a, b) => Math.Abs(a - b) < 1e-6);
            Assert.Equal(stored.Methods.Keys.Order(), typed.Scores.Select(score => score.Method).Distinct().Order());
            Assert.Equal(2, typed.Scores.Count(score => score.Method == "max-entropy")); // two seeds, one resample each
        }
        Assert.Equal(1, door.Part<AuditTrials>().Count);
    }

    [Fact]
    public async Task The_scale_of_a_z_score_is_that_of_the_audits_candidates()
    {
        var job = await toys.Audit(toys.Polite);
        using var db = toys.Toy.Database.Open();
        var kept = AuditFolder.Open(toys.Toy.Database.Directory, db.PolicyAudits.AsNoTracking().Single()).Value.Scores().Select(line => line.Methods["max-entropy"][0]).ToList();
        var (mean, deviation) = (kept.Average(), Math.Sqrt(kept.Average(score => (score - kept.Average()) * (score - kept.Average()))));
        await using var door = await InProcessDoor.Open(toys.Toy.Database.Directory);

        var score = (await door.Client.ScoreByAudit(new AuditScoreRequest($"{job}", ToyWorld.TurnsOf(ToyWorld.Prompts[3]), ["Please do."]), Stop)).Value.Texts[0].Scores.First(one => one.Method == "max-entropy");

        Assert.Equal((score.Score - mean) / deviation, score.Z, 1e-9);
    }

    [Fact]
    public async Task What_cannot_be_scored_is_refused_in_words()
    {
        var job = await toys.Audit(toys.Polite);
        var unfinished = toys.AddJob(toys.Polite);
        await using var door = await InProcessDoor.Open(toys.Toy.Database.Directory);
        var prompt = ToyWorld.TurnsOf("May I?");

        Assert.StartsWith("Give 1 to 8 responses", await Refusal($"{job}", prompt));
        Assert.StartsWith("Give 1 to 8 responses", await Refusal($"{job}", prompt, [.. Enumerable.Repeat("yes", 9)]));
        Assert.StartsWith("Response 1 is empty", await Refusal($"{job}", prompt, " "));
        Assert.StartsWith("Response 2 has 20001 characters", await Refusal($"{job}", prompt, "a", new string('a', 20_001)));
        Assert.StartsWith("The prompt has 20001 characters", await Refusal($"{job}", ToyWorld.TurnsOf(new string('a', 20_001)), "a"));
        Assert.Contains("needs a prompt of turns", await Refusal($"{job}", [], "yes"), StringComparison.Ordinal);
        Assert.StartsWith("Name an audit by its job's id", await Refusal("nine", prompt, "yes"));
        Assert.StartsWith("There is no such audit", await Refusal($"{unfinished}", prompt, "yes"));
        var file = Path.Combine(toys.Toy.Database.Directory.Audits, job.Value.ToString("N"), RecoveredRewardsFile.FileName);
        await File.AppendAllTextAsync(file, " ");
        Assert.Contains("rewards.json is not the file that was stored", await Refusal($"{job}", prompt, "yes"), StringComparison.Ordinal);

        async Task<string> Refusal(string audit, IReadOnlyList<Turn> turns, params string[] responses) => (await door.Client.ScoreByAudit(new AuditScoreRequest(audit, turns, responses), Stop)).Refusal!.ToString();
    }

    [Fact]
    public async Task The_estimate_rests_on_texts_of_both_policies_else_on_the_projects_else_on_none_and_counts_prompts()
    {
        await using var door = await InProcessDoor.Open(toys.Toy.Database.Directory);
        AuditPowerRequest Ask(ModelVersionId audited) => new($"{toys.Toy.Project}", $"{audited}", $"{toys.Toy.BaseId}", 300);

        var before = (await door.Client.AuditPower(Ask(toys.PoliteId), Stop)).Value;
        await toys.Audit(toys.Polite);
        var after = (await door.Client.AuditPower(Ask(toys.PoliteId), Stop)).Value;

        // 80 prompts, four imported answers each; the audit gave each prompt one of either policy, some of them the same.
        Assert.Equal((AuditPowerBasis.ProjectTexts, 80, 300, 80), (before.Basis, before.TextPairs, before.Pairs, before.PromptsAll));
        Assert.Equal(AuditPowerBasis.BothPolicies, after.Basis);
        Assert.InRange(after.TextPairs, 50, 80);
        Assert.InRange(after.PromptsHeldOut, 8, 26);
        Assert.Contains(after.Features, feature => feature.Key == "length_tokens" && feature.Least > 0);
        Assert.Equal([0.1, 0.2, 0.5], after.Found.Select(cell => cell.Effect));
        using (var db = toys.Toy.Database.Open())
        {
            foreach (var content in db.Contents.Where(c => c.Kind == ContentKind.Response))
                content.Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        var none = (await door.Client.AuditPower(Ask(toys.PoliteId), Stop)).Value;
        Assert.Equal((AuditPowerBasis.NoTexts, 0), (none.Basis, none.TextPairs));
        Assert.Contains("between 1 and 20000", (await door.Client.AuditPower(Ask(toys.PoliteId) with { Pairs = 0 }, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("no such policy", (await door.Client.AuditPower(Ask(new ModelVersionId(Guid.NewGuid())), Stop)).Refusal!.ToString(), StringComparison.Ordinal);
    }

    /// <summary>The closed form against audits that are simulated with the very effect: four of five find it.</summary>
    [Fact]
    public void The_least_effect_is_found_in_four_of_five_simulated_audits()
    {
        const int Pairs = 800;
        var design = DetectionPower.NormalDesign(Pairs, 12, 0.5, new SeededRandom(7));
        var least = AuditPowers.LeastEffects(design, Pairs);

        var power = DetectionPower.Simulate(design, new double[12], new PowerOptions { Features = [0, 5], Effects = [least[0], least[5]], Repeats = 200 }, Stop);

        // Of column 0 at its own effect, of column 5 at its own; 200 audits leave ±6 points, weights of 0.2 and more lose a little information.
        Assert.InRange(power.Cells.Single(cell => cell.Feature == 0 && cell.Effect == least[0]).Power.Estimate, 0.68, 0.88);
        Assert.InRange(power.Cells.Single(cell => cell.Feature == 5 && cell.Effect == least[5]).Power.Estimate, 0.68, 0.88);
        Assert.Equal(AuditPowers.NormalLeast(Pairs), least[0], 0.15 * least[0]); // a drawn design against the one it is drawn from
        Assert.True(least[0] > 1.08 * least[5], $"{least[0]:F3} against {least[5]:F3}: what goes along with another feature is harder to find");
    }

    /// <summary>specs/fairl.md §4.3, correlation .5, paid for by one feature with weight 1: found at c = .1, .2, .5.</summary>
    [Theory]
    [InlineData(200, 0.01, 0.05, 0.47)]
    [InlineData(500, 0.02, 0.15, 0.99)]
    [InlineData(2_000, 0.25, 0.89, 1.0)]
    public async Task Without_texts_the_table_of_the_spec_comes_out(int pairs, double small, double middle, double large)
    {
        using var empty = new Portal.Tests.Web.SeededProject();
        await using var door = await InProcessDoor.Open(empty.Directory);

        var estimate = (await door.Client.AuditPower(new AuditPowerRequest($"{empty.Id}", null, null, pairs), Stop)).Value;

        // The spec's own table has 200 repeats, this one 40 to 100: ±20 points in the middle. Holm finds a little more than its Bonferroni.
        Assert.Equal((AuditPowerBasis.NoTexts, 0), (estimate.Basis, estimate.PromptsAll));
        Assert.Equal([small, middle, large], estimate.Found.Select(cell => cell.Share), (expected, actual) => Math.Abs(expected - actual) < 0.2);
        Assert.Equal(AuditPowers.NormalLeast(pairs), estimate.LeastForAll!.Value, 1e-12);
    }

    private (IReadOnlyList<Turn> Prompt, IReadOnlyList<string> Texts, IReadOnlyList<TextScores> Scores) Candidates(JobId job)
    {
        using var db = toys.Toy.Database.Open();
        var folder = AuditFolder.Open(toys.Toy.Database.Directory, db.PolicyAudits.AsNoTracking().Single(a => a.JobId == job)).Value;
        var scores = folder.Scores().Where(line => AuditTextId.Parse(line.Text)!.Value.PromptId == AuditTextId.Parse(folder.Scores().First().Text)!.Value.PromptId).ToList();
        var prompt = AuditTextId.Parse(scores[0].Text)!.Value.PromptId;
        var turns = Conversation.Parse(db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == prompt).ContentId).Text);
        var rows = db.AuditTexts.AsNoTracking().Where(t => t.JobId == job && t.PromptId == prompt).ToList().ToDictionary(row => $"{row.TextId}");
        // Only those that ended by themselves: a typed text counts as whole, and readable features read that of the base's likelihood.
        scores = [.. scores.Where(line => rows[line.Text].Finished)];
        return (turns, [.. scores.Select(line => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == rows[line.Text].ResponseId).ContentId).Text!)], scores); // written, not erased
    }
}
