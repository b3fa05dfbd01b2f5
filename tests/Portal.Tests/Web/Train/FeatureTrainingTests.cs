using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Train;

/// <summary>The forms of features: what they offer, which jobs they become, and what is refused before one is queued.</summary>
public sealed class FeatureTrainingTests : IDisposable
{
    private readonly SeededProject project = new();

    private ShowFeatureTraining Show => new(project.Contexts, project.Access);
    private StartJob Start => new(project.Writes, project.Access, project.Ids, project.Time);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Each_form_offers_what_its_job_can_use()
    {
        var policy = project.Model(ModelKind.Policy, 1, "base");
        var reward = project.Model(ModelKind.RewardModel, 1, "reward model", policy.Id);
        var sae = project.Model(ModelKind.SparseAutoencoder, 1, "SAE", reward.Id);
        var retired = project.Model(ModelKind.SparseAutoencoder, 2, "SAE", policy.Id);
        project.Change(db => db.ModelVersions.Single(v => v.Id == retired.Id).Retire());
        var sarm = project.Model(ModelKind.RewardModel, 2, "SARM, head only", sae.Id);
        var described = new SeededFeatures(project, number: 3);

        var view = (await Show.Handle(project.Admin, project.Id, default)).Value;

        Assert.Equal([reward.Id, policy.Id], view.Models.Select(model => model.Id)); // reward models first
        Assert.Equal([new ChoosableSae(sae.Id, 1, "reward model v1", true)], view.Saes);
        Assert.Equal([described.Model.Id, sarm.Id], view.Rewards.Select(model => model.Id));
        Assert.Equal([false, true], view.Rewards.Select(model => model.DescribedAt is null));
        Assert.Equal(ProblemKind.Forbidden, (await Show.Handle(project.Reviewer, project.Id, default)).Refusal?.Kind);
    }

    [Fact]
    public async Task Forms_become_jobs_with_what_was_chosen_and_the_specs_own_defaults()
    {
        var reward = project.Model(ModelKind.RewardModel, 1, "reward model");
        var sae = project.Model(ModelKind.SparseAutoencoder, 1, "SAE", reward.Id);
        JobSpec[] specs =
        [
            new SaeInput { ModelId = reward.Id.Value, K = 32, EndPercent = 40, RevivesDead = false, CentresPositions = true }.Spec(), new SarmInput { SaeId = sae.Id.Value, Mode = SarmMode.Head, HeadL2 = .01 }.Spec(),
            new DescribeInput { RewardModelId = reward.Id.Value, TestPercent = 30 }.Spec(),
        ];

        foreach (var spec in specs)
            Assert.Null((await Start.Handle(project.Admin, project.Id, spec, null, default)).Refusal);

        using var db = project.Open();
        var jobs = db.Jobs.OrderBy(j => j.Number).Select(j => j.SpecJson).ToList().ConvertAll(JobSpec.FromJson);
        var trained = Assert.IsType<TrainSae>(jobs[0]);
        Assert.Equal((reward.Id, 32, .4, 0.0, true, new TrainSae().Steps), (trained.ModelId!.Value, trained.K, trained.EndShare, trained.AuxiliaryCoefficient, trained.CentresPositions, trained.Steps));
        Assert.Equal((sae.Id, SarmMode.Head, .01), (Assert.IsType<TrainSarm>(jobs[1]).SaeId!.Value, ((TrainSarm)jobs[1]).Mode, ((TrainSarm)jobs[1]).HeadL2));
        Assert.Equal(.3, Assert.IsType<DescribeFeatures>(jobs[2]).TestShare, 12);
        Assert.Equal(new SarmInput().Spec() with { SaeId = null }, new TrainSarm()); // what the form does not touch is the spec's
        Assert.Equal(new TrainSae(), new SaeInput().Spec());
        Assert.Equal(new DescribeFeatures(), new DescribeInput().Spec());
    }

    public static TheoryData<JobSpec, string> Bad => new()
    {
        { new TrainSae { K = 0 }, "k" }, { new TrainSae { K = 5_000 }, "k" }, { new TrainSae { Expansion = 0 }, "expansion" }, { new TrainSae { EndShare = 1.1 }, "endShare" },
        { new TrainSae { EndShare = double.NaN }, "endShare" }, { new TrainSae { Layer = 0 }, "layer" }, { new TrainSae { LearningRate = 0 }, "learningRate" }, { new TrainSae { Steps = 0 }, "steps" },
        { new TrainSarm(), "saeId" }, { new TrainSarm { SaeId = new(Guid.NewGuid()), Mode = SarmMode.Head, HeadL2 = 0 }, "headL2" }, { new TrainSarm { SaeId = new(Guid.NewGuid()) }, "saeId" },
        { new TrainSae { ModelId = new(Guid.NewGuid()) }, "modelId" }, { new DescribeFeatures { TestShare = 1 }, "testShare" }, { new DescribeFeatures { Permutations = 10 }, "permutations" },
        { new DescribeFeatures { ResponsesMax = 0 }, "responsesMax" }, { new DescribeFeatures { ResponsesMax = 200_001 }, "responsesMax" }, { new DescribeFeatures { ContextsPerFeature = 101 }, "contextsPerFeature" },
        { new DescribeFeatures { Permutations = 100_001 }, "permutations" }, // what the job itself refuses, after waiting for it
        { new PublishToggles { ToggleSetId = new(Guid.NewGuid()) }, "toggleSetId" },
    };

    [Theory]
    [MemberData(nameof(Bad), DisableDiscoveryEnumeration = true)]
    public async Task What_cannot_be_is_refused_by_field_and_not_queued(JobSpec spec, string field)
    {
        var outcome = await Start.Handle(project.Admin, project.Id, spec, null, default);

        Assert.NotNull(outcome.Refusal?.About(field));
        using var db = project.Open();
        Assert.Empty(db.Jobs);
    }

    [Fact]
    public async Task An_SAE_is_no_model_to_train_an_SAE_on()
    {
        var sae = project.Model(ModelKind.SparseAutoencoder, 1, "SAE");

        Assert.NotNull((await Start.Handle(project.Admin, project.Id, new TrainSae { ModelId = sae.Id }, null, default)).Refusal?.About("modelId"));
    }
}
