using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Registry;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Registry;

/// <summary>What may follow toggles: a comparison of best answers, or a policy trained on pairs that the toggled model orders. Which specs are queued, who may, what is refused.</summary>
public sealed class AfterTogglesTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly ModelVersion before, toggled;

    public AfterTogglesTests()
    {
        before = project.Model(ModelKind.RewardModel, 1, "SARM");
        toggled = project.Model(ModelKind.RewardModel, 2, ToggledVersions.Method, before.Id);
    }

    private StartJob Job => new(project.Writes, project.Access, project.Ids, project.Time);
    private StartBestOfN Compare => new(project.Writes, Job, project.Access);
    private StartRelabelledPolicy Retrain => new(project.Contexts, project.Writes, Job, new ShowTraining(project.Contexts, project.Access, project.Time), project.Access);
    private ShowModel Show => new(project.Contexts, project.Access);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task The_toggled_model_is_compared_with_the_one_before_its_toggles()
    {
        var job = (await Compare.Handle(project.Admin, toggled.Id, answers: 16, prompts: 50, Stop)).Value;

        using var db = project.Open();
        var spec = Assert.IsType<CompareBestOfN>(JobSpec.FromJson(db.Jobs.Single(j => j.Id == job.Id).SpecJson));
        Assert.Equal((before.Id, toggled.Id, null, 16, 50), (spec.BeforeId, spec.AfterId, spec.PolicyId, spec.Answers, spec.Prompts));
    }

    [Theory]
    [InlineData(1, 200, "answers")]
    [InlineData(65, 200, "answers")]
    [InlineData(8, 0, "prompts")]
    [InlineData(8, 5_001, "prompts")]
    public async Task Numbers_out_of_range_are_refused_by_field(int answers, int prompts, string field)
    {
        var refusal = (await Compare.Handle(project.Admin, toggled.Id, answers, prompts, Stop)).Refusal!;

        Assert.Equal([field], refusal.Problems.Select(p => p.Field));
        Assert.Contains("must be between", refusal.About(field), StringComparison.Ordinal);
        Nothing();
    }

    [Fact]
    public async Task Only_admins_ask_for_either()
    {
        Votes(StartTraining.UsableMin);
        foreach (var user in new[] { project.Reviewer, project.Auditor, project.Annotator })
        {
            Assert.Equal(ProblemKind.Forbidden, (await Compare.Handle(user, toggled.Id, 8, 200, Stop)).Refusal!.Kind);
            Assert.Equal(ProblemKind.Forbidden, (await Retrain.Handle(user, toggled.Id, Stop)).Refusal!.Kind);
        }
        Nothing();
    }

    [Fact]
    public async Task What_no_toggles_made_and_what_is_gone_cannot_be_compared()
    {
        Assert.Contains("reward model v1 was not made by toggles", (await Compare.Handle(project.Admin, before.Id, 8, 200, Stop)).Refusal!.About("version"), StringComparison.Ordinal);
        Assert.Equal(ProblemKind.NotFound, (await Compare.Handle(project.Admin, new ModelVersionId(Guid.NewGuid()), 8, 200, Stop)).Refusal!.Kind);
        project.Change(db => db.ModelVersions.Single(v => v.Id == before.Id).Retire());
        Assert.Contains("retired", (await Compare.Handle(project.Admin, toggled.Id, 8, 200, Stop)).Refusal!.About("beforeId"), StringComparison.Ordinal);
        Nothing();
    }

    [Fact]
    public async Task A_policy_is_trained_as_the_train_form_does_on_pairs_that_the_toggled_model_orders()
    {
        Votes(StartTraining.UsableMin);

        var job = (await Retrain.Handle(project.Admin, toggled.Id, Stop)).Value;

        using var db = project.Open();
        var spec = Assert.IsType<TrainPreferencePolicy>(JobSpec.FromJson(db.Jobs.Single(j => j.Id == job.Id).SpecJson));
        Assert.Equal((PreferenceMethod.Dpo, toggled.Id, toggled.Id, null), (spec.Method, spec.RelabelledById, spec.RewardModelId, spec.ParentId));
        Assert.Equal(new TrainingInput().Policy() with { RelabelledById = toggled.Id, RewardModelId = toggled.Id }, spec);
    }

    [Fact]
    public async Task Too_few_pairs_a_policy_a_retired_model_and_a_used_up_quota_start_no_training()
    {
        Votes(StartTraining.UsableMin - 1);
        Assert.Contains($"{StartTraining.UsableMin - 1} pairs", (await Retrain.Handle(project.Admin, toggled.Id, Stop)).Refusal!.About("rules"), StringComparison.Ordinal);
        Votes(1);
        Assert.Contains("no reward model", (await Retrain.Handle(project.Admin, project.Model(ModelKind.Policy, 1).Id, Stop)).Refusal!.About("version"), StringComparison.Ordinal);
        Assert.Equal(ProblemKind.NotFound, (await Retrain.Handle(project.Admin, new ModelVersionId(Guid.NewGuid()), Stop)).Refusal!.Kind);
        project.Change(db => db.Projects.Single(p => p.Id == project.Id).JobsPerDay = 0);
        Assert.Equal(ProblemKind.TooMuch, (await Retrain.Handle(project.Admin, toggled.Id, Stop)).Refusal!.Kind);
        project.Change(db => db.ModelVersions.Single(v => v.Id == toggled.Id).Retire());
        Assert.Equal(ProblemKind.NotFound, (await Retrain.Handle(project.Admin, toggled.Id, Stop)).Refusal!.Kind);
        Nothing();
    }

    /// <summary>Specs that no form of ours makes, but a request could: each wrong field is named, and models of another project are unknown.</summary>
    [Fact]
    public async Task A_wrong_spec_and_models_of_elsewhere_are_refused_by_field()
    {
        var right = new CompareBestOfN { BeforeId = before.Id, AfterId = toggled.Id };
        Assert.Empty(SpecChecks.Of(right));
        Assert.Equal(["afterId"], Fields(right with { AfterId = null }));
        Assert.Equal(["afterId"], Fields(right with { BeforeId = toggled.Id }));
        Assert.Equal(["sampling.temperature"], Fields(right with { Sampling = new SamplingSpec { Temperature = 0 } }));
        Assert.Equal(["sampling.temperature"], Fields(right with { Sampling = new SamplingSpec { Temperature = double.NaN } }));
        Assert.Equal(["sampling.tokensMax"], Fields(right with { Sampling = new SamplingSpec { TokensMax = 0 } }));
        Assert.Equal(["rules.heldOutShare"], Fields(right with { Rules = new DatasetRules { HeldOutShare = .9 } }));
        Assert.Equal(["relabelledById"], Fields(new TrainPreferencePolicy { RelabelledById = toggled.Id, Method = PreferenceMethod.Kto }));
        Assert.Empty(SpecChecks.Of(new TrainPreferencePolicy { RelabelledById = toggled.Id }));

        using var elsewhere = new SeededProject();
        var policy = project.Model(ModelKind.Policy, 1);
        foreach (var (spec, field) in new (JobSpec, string)[]
        {
            (right with { AfterId = elsewhere.Model(ModelKind.RewardModel, 1).Id }, "afterId"), (right with { BeforeId = policy.Id }, "beforeId"), (right with { PolicyId = toggled.Id }, "policyId"),
            (new TrainPreferencePolicy { RelabelledById = policy.Id }, "relabelledById"),
        })
            Assert.NotNull((await Job.Handle(project.Admin, project.Id, spec, null, Stop)).Refusal!.About(field));
        Nothing();

        static IEnumerable<string> Fields(JobSpec spec) => SpecChecks.Of(spec).Select(p => p.Field);
    }

    [Fact]
    public async Task The_model_page_lists_comparisons_for_those_who_may_read_answers()
    {
        var seeded = new SeededBestOfN(project, new SeededFeatures(project, 3), 4, prompts: 2);

        var (reviewer, auditor) = ((await Show.Handle(project.Reviewer, seeded.Toggled.Id, Stop)).Value, (await Show.Handle(project.Auditor, seeded.Toggled.Id, Stop)).Value);

        var run = reviewer.BestOfN.Single();
        Assert.Equal((seeded.JobId, 3, 2, 3), (run.JobId, run.BeforeNumber, run.Prompts, run.Answers));
        Assert.Empty(auditor.BestOfN);
        Assert.Empty((await Show.Handle(project.Reviewer, toggled.Id, Stop)).Value.BestOfN);
    }

    [Theory]
    [InlineData("""{"kind":"TrainPreferencePolicy","relabelledById":"ID"}""", true)]
    [InlineData("""{"kind":"TrainPreferencePolicy","seed":1}""", false)]
    [InlineData("A base model; TrainPreferencePolicy is only named.", false)]
    public async Task A_policy_names_the_reward_model_that_ordered_its_pairs(string spec, bool isNamed)
    {
        var policy = new ModelVersion
        {
            Id = project.Ids.New<ModelVersionId>(), ProjectId = project.Id, Kind = ModelKind.Policy, Number = 1, Method = "DPO", ParentId = null, DatasetVersionId = null, JobId = null,
            SpecJson = spec.Replace("ID", $"{toggled.Id}", StringComparison.Ordinal), Seed = 1, Commit = "unknown", Folder = "policy-1", FilesJson = "[]", IsSynthetic = true, CreatedAt = project.Now,
        };
        project.Add(policy);

        var view = (await Show.Handle(project.Reviewer, policy.Id, Stop)).Value;

        Assert.Equal(isNamed ? toggled.Id : (ModelVersionId?)null, view.LabelledBy?.Id);
    }

    [Theory]
    [InlineData(MetricNames.RelabelledTurned)]
    [InlineData(MetricNames.RelabelledTies)]
    [InlineData(MetricNames.BestOfNChanged)]
    public void Their_metrics_have_words_and_are_shares(string name)
    {
        Assert.True(MetricReading.Of(name).IsKnown);
        Assert.Equal(Portal.Web.Components.MeasureFormat.Percent, MetricReading.Of(name).Format);
    }

    private void Nothing()
    {
        using var db = project.Open();
        Assert.Empty(db.Jobs);
    }

    private void Votes(int count)
    {
        var heron = project.Person($"heron-{Guid.NewGuid()}");
        for (var index = 0; index < count; index++)
        {
            var prompt = project.Prompt($"Where is the mill? {Guid.NewGuid()}");
            var good = project.Response(prompt, "North.");
            project.Vote(project.Pair(prompt, good, project.Response(prompt, "You clod.")), heron, PairwiseVerdict.Preferred, good);
        }
    }
}
