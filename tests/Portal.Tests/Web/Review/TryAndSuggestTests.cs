using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Engine.Datasets;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Annotate;
using Portal.Web.Review;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.Review;

/// <summary>Trying a prompt on the policy that serves, and flags that a judge suggests; the engine's door is a stand-in.</summary>
public sealed class TryAndSuggestTests : IDisposable
{
    private readonly SeededProject project = new();
    private readonly EngineClient engine;

    public TryAndSuggestTests() => engine = new EngineClient(project.Directory);

    private TryPrompt Try => new(project.Contexts, project.Access, engine);
    private FlagTried FlagIt => new(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
    private SuggestFlags Suggest => new(project.Contexts, project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
    private ListFlags List => new(project.Contexts, project.Access);

    public void Dispose()
    {
        engine.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task A_tried_prompt_is_stored_with_its_flag_and_not_before()
    {
        var policy = Released(project.Model(ModelKind.Policy, 1, "base"));
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var tried = (await Try.Handle(project.Reviewer, project.Id, " What does a goose eat? ", 3, 7, default)).Value;
        using (var before = project.Open())
            Assert.Equal((0, 0, 0), (before.Prompts.Count(), before.Responses.Count(), before.Flags.Count()));
        var id = new FlagId(Guid.CreateVersion7());
        var input = new FlagInput { Reason = FlagReason.WrongFacts, Preferred = "Grass.", Place = "try" };
        foreach (var _ in new[] { 1, 2 })
            Assert.Equal(id, (await FlagIt.Handle(project.Reviewer, id, tried, 1, input, default)).Value);
        await FlagIt.Handle(project.Reviewer, new(Guid.CreateVersion7()), tried, 2, input, default); // the same prompt again

        Assert.Equal((policy.Id, 1, "What does a goose eat?"), (tried.PolicyId, tried.PolicyNumber, tried.Prompt));
        Assert.Equal([7L, 8, 9], tried.Answers.Select(a => a.Seed));
        Assert.Equal("You asked: What does a goose eat? (8)", tried.Answers[1].Text);
        using var db = project.Open();
        var prompt = Assert.Single(db.Prompts);
        var response = db.Responses.Single(r => r.Id == db.Flags.Single(f => f.Id == id).ResponseId);
        Assert.True(prompt.IsTrial);
        Assert.Equal((policy.Id, prompt.Id), (response.ModelVersionId, response.PromptId));
        Assert.Contains("\"seed\":8", response.SamplingJson, StringComparison.Ordinal);
        Assert.Equal(("try", policy.Id, "Grass."), (db.Flags.Single(f => f.Id == id).Place, db.Flags.Single(f => f.Id == id).ModelVersionId, db.Contents.First(c => c.Kind == ContentKind.PreferredAnswer).Text));
        Assert.Equal(2, db.AuditEvents.Count(e => e.Action == "flag.try"));
        Assert.DoesNotContain("goose", string.Concat(db.AuditEvents.Select(e => e.PayloadJson)), StringComparison.Ordinal);
    }

    /// <summary>A trial is drawn for nothing, also where the project has the same prompt; that one is drawn.</summary>
    [Fact]
    public async Task A_trial_is_drawn_for_nothing()
    {
        Released(project.Model(ModelKind.Policy, 1, "base"));
        var own = project.Prompt("What does a goose eat?");
        var answer = project.Response(own, "Grass.");
        await using var door = await FakeEngineDoor.Open(project.Directory);
        var tried = (await Try.Handle(project.Reviewer, project.Id, "What does a goose eat?", 1, 1, default)).Value;
        await FlagIt.Handle(project.Reviewer, new(Guid.CreateVersion7()), tried, 0, new FlagInput { Reason = FlagReason.Other, Place = "try" }, default);

        using var db = project.Open();
        var drawn = new List<PromptId>();
        await foreach (var (id, _, _) in StoredTexts.OfProject(db, project.Id, new DatasetRules(), default))
            drawn.Add(id);
        var read = await ResponseDataset.Choose(project.Contexts, project.Id, new DatasetRules(), 1, 100, default);

        Assert.Equal(2, db.Prompts.Count());
        Assert.Equal([own], drawn);
        Assert.Equal([answer], read.Ids);
    }

    [Fact]
    public async Task What_cannot_be_asked_is_named_and_an_engine_that_is_away_says_so()
    {
        var without = await Try.Handle(project.Reviewer, project.Id, "Hello?", 1, 1, default);
        Released(project.Model(ModelKind.Policy, 1, "base"));
        var wrong = await Try.Handle(project.Reviewer, project.Id, " ", 5, -1, default);
        var nul = await Try.Handle(project.Reviewer, project.Id, "a\0b", 1, 1, default);
        var away = await Try.Handle(project.Reviewer, project.Id, "Hello?", 1, 1, default);
        var annotator = await Try.Handle(project.Annotator, project.Id, "Hello?", 1, 1, default);
        var nobody = await FlagIt.Handle(project.Annotator, default, new Tried(project.Id, default, 1, "x", new SamplingSpec(), []), 0, new FlagInput { Reason = FlagReason.Other, Place = "try" }, default);

        Assert.Contains("No policy serves", without.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal(["prompt", "count", "seed"], wrong.Refusal!.Problems.Select(p => p.Field));
        Assert.NotNull(nul.Refusal?.About("prompt"));
        Assert.Contains("engine is not running", away.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal((ProblemKind.Forbidden, ProblemKind.Forbidden), (annotator.Refusal!.Kind, nobody.Refusal!.Kind));
    }

    [Fact]
    public async Task Nobody_keeps_the_engine_busy_alone()
    {
        Released(project.Model(ModelKind.Policy, 1, "base"));
        await using var door = await FakeEngineDoor.Open(project.Directory);
        using var limited = Try;
        for (var i = 0; i < TryPrompt.TriesPerMinute; i++)
            Assert.Null((await limited.Handle(project.Reviewer, project.Id, "Hello?", 1, i, default)).Refusal);

        Assert.Equal(ProblemKind.TooMuch, (await limited.Handle(project.Reviewer, project.Id, "Hello?", 1, 1, default)).Refusal?.Kind);
        Assert.Null((await limited.Handle(project.Admin, project.Id, "Hello?", 1, 1, default)).Refusal);
    }

    /// <summary>By hand: of five pairs two are below; equal scores and equal words are ties, and a pair without a score is none.</summary>
    [Fact]
    public async Task Answers_below_the_references_are_suggested_once_worst_first()
    {
        Released(project.Model(ModelKind.RewardModel, 3, "reward model"));
        var (before, after) = (project.Model(ModelKind.Policy, 1, "base"), project.Model(ModelKind.Policy, 2));
        var nothing = await Suggest.Handle(project.Admin, project.Id, default);
        var little = Pair(before, after, "a bit worse", .1, 0);
        var most = Pair(before, after, "much worse", .5, -1);
        Pair(before, after, "as good", .2, .2);
        Pair(before, after, "better", 0, 1);
        Pair(before, after, "word by word", .3, .1, same: true);
        Pair(before, after, "not scored", null, null);

        var first = (await Suggest.Handle(project.Admin, project.Id, default)).Value;
        var second = (await Suggest.Handle(project.Admin, project.Id, default)).Value;
        var rows = (await List.Handle(project.Reviewer, FlagState.Open, null, default)).Value.Rows;

        Assert.Equal(ProblemKind.Conflict, nothing.Refusal?.Kind);
        Assert.Equal(new SuggestedFlags(2, 2, 5, 2, 3), first);
        Assert.Equal(0, second.Made);
        Assert.Equal([most, little], rows.Select(r => r.ResponseId));
        Assert.All(rows, row => Assert.Equal((FlagSource.Suggested, FlagSeverity.Low, 3, "results"), (row.Source, row.Severity, row.JudgeNumber, row.Place)));
        Assert.Equal("reward model v3 scored it -1.00, and the reference's answer to the same prompt +0.50.", rows[0].Note);
    }

    [Fact]
    public async Task No_more_than_fifty_are_suggested_however_often_one_asks()
    {
        Released(project.Model(ModelKind.RewardModel, 1, "reward model"));
        var (before, after) = (project.Model(ModelKind.Policy, 1, "base"), project.Model(ModelKind.Policy, 2));
        for (var i = 0; i < SuggestFlags.AtOnceMax + 3; i++)
            Pair(before, after, $"worse {i}", 1, -i);

        var first = (await Suggest.Handle(project.Admin, project.Id, default)).Value;
        var second = (await Suggest.Handle(project.Admin, project.Id, default)).Value;

        Assert.Equal((SuggestFlags.AtOnceMax, SuggestFlags.AtOnceMax + 3, 0), (first.Made, first.Below, second.Made));
    }

    private ModelVersion Released(ModelVersion version)
    {
        project.Change(db => db.Releases.Add(db.Projects.Single(p => p.Id == project.Id).Release(project.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == version.Id), "to begin with",
            SeededProject.AccountOf(project.Admin), null, project.Now).Value));
        return version;
    }

    /// <returns>The candidate's answer.</returns>
    private ResponseId Pair(ModelVersion before, ModelVersion after, string text, double? reference, double? score, bool same = false)
    {
        var prompt = project.Prompt($"Say something {text}.");
        var (old, fresh) = (project.Response(prompt, same ? text : "the reference", before.Id), project.Response(prompt, text, after.Id));
        project.Add(Sample(before.Id, old, reference), Sample(after.Id, fresh, score));
        return fresh;

        EvaluationSample Sample(ModelVersionId from, ResponseId response, double? reward) =>
            new() { CandidateId = after.Id, SampledFromId = from, PromptId = prompt, ResponseId = response, Ordinal = 0, Reward = reward, LengthTokens = 3 };
    }
}
