using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Train;

/// <summary>A retraining as rows: which jobs, in which order, with which settings; and what is refused before anything is queued.</summary>
public sealed class StartTrainingTests : IDisposable
{
    private readonly SeededProject project = new();

    private ShowTraining Show => new(project.Contexts, project.Access, project.Time);
    private StartTraining Start => new(project.Writes, new StartJob(project.Writes, project.Access, project.Ids, project.Time), Show, project.Access);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Retrain_queues_a_reward_model_and_a_policy_that_waits_for_it()
    {
        Votes(StartTraining.UsableMin);

        var outcome = await Start.Handle(project.Admin, project.Id, new TrainingInput { Caution = Caution.Bold, IncludeSimulated = false, Seed = 17 }, CancellationToken.None);

        Assert.Null(outcome.Refusal);
        using var db = project.Open();
        var jobs = db.Jobs.OrderBy(j => j.Number).ToList();
        Assert.Equal(["TrainRewardModel", "TrainPreferencePolicy"], jobs.Select(j => j.Kind));
        Assert.Equal(new JobId?[] { null, jobs[0].Id }, jobs.Select(j => j.AfterJobId));
        Assert.Equal(outcome.Value.Select(s => s.Number), jobs.Select(j => j.Number));
        var policy = Assert.IsType<TrainPreferencePolicy>(JobSpec.FromJson(jobs[1].SpecJson));
        Assert.Equal((0.03, 17L, false, PreferenceMethod.Dpo), (policy.Beta, policy.Seed, policy.Rules.IncludeSimulated, policy.Method));
    }

    [Theory]
    [InlineData(Caution.Cautious, 0.5, 0.2)]
    [InlineData(Caution.Normal, 0.1, 0.05)]
    [InlineData(Caution.Bold, 0.03, 0.01)]
    public void A_word_for_caution_is_a_beta(Caution caution, double beta, double ofReinforcement) =>
        Assert.Equal((beta, ofReinforcement), (new TrainingInput { Caution = caution }.Policy().Beta, new TrainingInput { Caution = caution }.Rloo().Beta));

    [Fact]
    public async Task Reinforcement_needs_a_reward_model_and_no_votes()
    {
        var input = new TrainingInput { Goal = TrainingGoal.Policy, Method = PolicyMethod.Rloo, RlooSteps = 30, KlBudgetNats = null };
        Assert.NotNull((await Start.Handle(project.Admin, project.Id, input, CancellationToken.None)).Refusal?.About("rewardModelId"));
        Assert.False((await Show.Handle(project.Admin, project.Id, CancellationToken.None)).Value.HasReward);
        project.Model(Portal.Data.Registry.ModelKind.RewardModel, 1);
        Assert.True((await Show.Handle(project.Admin, project.Id, CancellationToken.None)).Value.HasReward);
        Assert.NotNull((await Start.Handle(project.Admin, project.Id, new TrainingInput { Method = PolicyMethod.Rloo }, CancellationToken.None)).Refusal?.About("method")); // with a reward model to be

        var outcome = await Start.Handle(project.Admin, project.Id, input, CancellationToken.None);

        Assert.Null(outcome.Refusal);
        using var db = project.Open();
        var spec = Assert.IsType<TrainRlooPolicy>(JobSpec.FromJson(db.Jobs.Single().SpecJson));
        Assert.Equal((30, null, true, true), (spec.Optimization.StepsMax, spec.KlBudgetNats, spec.NormalizeReward, spec.IsTraining));
    }

    [Fact]
    public async Task With_too_little_to_learn_from_nothing_is_queued()
    {
        Votes(StartTraining.UsableMin - 1);

        foreach (var input in new[] { new TrainingInput(), new TrainingInput { Goal = TrainingGoal.Policy, Method = PolicyMethod.Kto } })
            Assert.NotNull((await Start.Handle(project.Admin, project.Id, input, CancellationToken.None)).Refusal?.About("rules"));
        using var db = project.Open();
        Assert.Empty(db.Jobs);
    }

    [Fact]
    public async Task Where_the_quota_has_room_for_one_no_half_of_a_retraining_is_left()
    {
        Votes(StartTraining.UsableMin);
        project.Change(db => db.Projects.Single(p => p.Id == project.Id).JobsPerDay = 1);

        var outcome = await Start.Handle(project.Admin, project.Id, new TrainingInput(), CancellationToken.None);

        Assert.Equal(ProblemKind.TooMuch, outcome.Refusal?.Kind);
        using var db = project.Open();
        Assert.Empty(db.Jobs);
    }

    [Fact]
    public async Task Only_usable_judgements_are_counted()
    {
        var prompt = project.Prompt("question");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var (heron, sim) = (project.Person("heron-1"), project.Person("sim-07", simulated: true));
        AnnotationTask Pair() => project.Pair(prompt, good, bad);
        project.Vote(Pair(), heron, PairwiseVerdict.Preferred, good, 1);
        project.Vote(Pair(), sim, PairwiseVerdict.Preferred, bad, 2, JudgementSource.Simulated);
        project.Vote(Pair(), heron, PairwiseVerdict.Tie);
        project.Vote(Pair(), heron, PairwiseVerdict.Preferred, good, 1, surplus: true);
        project.Vote(project.Pair(prompt, good, bad, candidate: project.Model(Portal.Data.Registry.ModelKind.Policy, 1).Id), heron, PairwiseVerdict.Preferred, good, 1);
        project.Vote(project.Single(prompt, good), heron, BinaryVerdict.Good);
        project.Vote(project.Single(prompt, bad), heron, BinaryVerdict.Unsure);

        var all = (await Show.Count(project.Admin, project.Id, new DatasetRules(), CancellationToken.None)).Value;
        var people = (await Show.Count(project.Admin, project.Id, new DatasetRules { IncludeSimulated = false }, CancellationToken.None)).Value;

        Assert.Equal(new UsableCounts(2, 1, 1, 0, 1), all);
        Assert.Equal(new UsableCounts(1, 1, 1, 0, 1), people);
    }

    [Fact]
    public async Task Only_admins_train()
    {
        Votes(StartTraining.UsableMin);

        foreach (var other in new[] { project.Annotator, project.Reviewer, project.Auditor })
            Assert.Equal(ProblemKind.Forbidden, (await Start.Handle(other, project.Id, new TrainingInput(), CancellationToken.None)).Refusal?.Kind);
    }

    private void Votes(int count)
    {
        var person = project.Person($"heron-{Guid.NewGuid():N}");
        for (var index = 0; index < count; index++)
        {
            var prompt = project.Prompt($"question {index}");
            var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
            project.Vote(project.Pair(prompt, good, bad), person, PairwiseVerdict.Preferred, good, 1);
        }
    }
}
