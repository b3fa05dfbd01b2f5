using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Web.Registry;
using Xunit;

namespace Portal.Tests.Web.Registry;

/// <summary>Results and lineage on real SQLite; expected numbers are counted by hand from the rows each test adds.</summary>
public sealed class ShowResultsTests : IDisposable
{
    private readonly SeededProject project = new();
    private readonly ReleaseOptions limits = new();

    private ShowModel Model => new(project.Contexts, project.Access);
    private ShowResults Results => new(project.Contexts, Model, project.Access, limits);
    private ListModels List => new(project.Contexts, project.Access);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Both_versions_answer_the_same_prompt_and_the_largest_loss_comes_first()
    {
        var (before, after) = (project.Model(ModelKind.Policy, 1), project.Model(ModelKind.Policy, 2));
        var losses = new[] { 0.5, -2.0, 0.1 };
        for (var index = 0; index < losses.Length; index++)
        {
            var prompt = project.Prompt($"question {index}", "recipes");
            project.Add(Sample(after.Id, before.Id, prompt, project.Response(prompt, $"old {index}", before.Id), 1.0),
                Sample(after.Id, after.Id, prompt, project.Response(prompt, $"new {index}", after.Id), 1.0 + losses[index]));
        }

        var shown = await Results.Handle(project.Reviewer, after.Id, SampleOrder.Losses, 0, CancellationToken.None);
        var last = await Results.Handle(project.Reviewer, after.Id, SampleOrder.Losses, 99, CancellationToken.None);
        var drawn = await Task.WhenAll(Enumerable.Range(0, 3).Select(i => Results.Handle(project.Reviewer, after.Id, SampleOrder.Random, i, CancellationToken.None)));

        var pair = shown.Value.Pair!;
        Assert.Equal(("old 1", "new 1", 3), (pair.Before.Text, pair.After.Text, pair.Count));
        Assert.Equal("question 1", pair.Prompt.Single().Content);
        Assert.Equal("new 0", last.Value.Pair!.After.Text);
        Assert.Equal(before.Id, shown.Value.Before!.Id);
        Assert.Equal(["new 0", "new 1", "new 2"], drawn.Select(d => d.Value.Pair!.After.Text).Order());
    }

    /// <summary>A version that was made for a prompt shows that one first, then those like it, and no others; for other versions there is no such order.</summary>
    [Fact]
    public async Task The_prompt_a_version_was_made_for_comes_first_and_then_those_like_it()
    {
        var (before, after, plain) = (project.Model(ModelKind.Policy, 1), project.Model(ModelKind.Policy, 2), project.Model(ModelKind.Policy, 3));
        foreach (var (rank, index) in new int?[] { 2, null, 0, 1 }.Select((rank, index) => (rank, index)))
        {
            var prompt = project.Prompt($"question {index}");
            foreach (var (candidate, from) in new[] { (after, before), (after, after), (plain, before), (plain, plain) })
                project.Add(new EvaluationSample { CandidateId = candidate.Id, SampledFromId = from.Id, PromptId = prompt, ResponseId = project.Response(prompt, $"{from.Number} says {index}", from.Id), Ordinal = 0, Reward = 1, LengthTokens = 3, SimilarRank = candidate == after ? rank : null });
        }

        var shown = new List<ResultsView>();
        for (var index = 0; index < 3; index++)
            shown.Add((await Results.Handle(project.Reviewer, after.Id, SampleOrder.Similar, index, CancellationToken.None)).Value);
        var other = (await Results.Handle(project.Reviewer, plain.Id, SampleOrder.Similar, 0, CancellationToken.None)).Value;

        Assert.Equal(["2 says 2", "2 says 3", "2 says 0"], shown.Select(view => view.Pair!.After.Text));
        Assert.All(shown, view => Assert.Equal((3, true), (view.Pair!.Count, view.Orders.Contains(SampleOrder.Similar))));
        Assert.Equal((4, false), (other.Pair!.Count, other.Orders.Contains(SampleOrder.Similar))); // as by lot
    }

    [Fact]
    public async Task Blind_votes_count_ties_half_and_leave_out_surplus_superseded_and_undecided()
    {
        var (before, after) = (project.Model(ModelKind.Policy, 1), project.Model(ModelKind.Policy, 2));
        var person = project.Person("heron-1");
        var verdicts = Enumerable.Repeat("win", 6).Concat(Enumerable.Repeat("loss", 2)).Concat(["tie", "bad", "cannot", "surplus", "superseded"]).ToList();
        foreach (var (verdict, index) in verdicts.Select((verdict, index) => (verdict, index)))
        {
            var prompt = project.Prompt($"question {index}");
            var (old, fresh) = (project.Response(prompt, "old", before.Id), project.Response(prompt, "new", after.Id));
            // The candidate's answer is first in half of the pairs: sides must not matter.
            var task = index % 2 == 0 ? project.Pair(prompt, old, fresh, after.Id) : project.Pair(prompt, fresh, old, after.Id);
            var vote = verdict switch
            {
                "loss" => project.Vote(task, person, PairwiseVerdict.Preferred, old, 2),
                "tie" => project.Vote(task, person, PairwiseVerdict.Tie),
                "bad" => project.Vote(task, person, PairwiseVerdict.BothBad),
                "cannot" => project.Vote(task, person, PairwiseVerdict.CannotJudge),
                _ => project.Vote(task, person, PairwiseVerdict.Preferred, fresh, 2, surplus: verdict == "surplus"),
            };
            if (verdict == "superseded")
                project.Change(db => db.PairwiseJudgements.Single(j => j.Id == vote.Id).MarkSuperseded(project.Now));
        }
        // A vote on an ordinary pair of the candidate informs training, not the release.
        var other = project.Prompt("other");
        var (a, b) = (project.Response(other, "old", before.Id), project.Response(other, "new", after.Id));
        project.Vote(project.Pair(other, a, b), person, PairwiseVerdict.Preferred, b, 3);

        var votes = (await Results.Handle(project.Auditor, after.Id, SampleOrder.Random, 0, CancellationToken.None)).Value.Model.Votes;

        Assert.Equal(new BlindTally(13, 6, 2, 2, 1), votes);
        Assert.Equal(10, votes.Counted);
        var rate = votes.WinRate(10)!;
        Assert.Equal(.7, rate.Value, 12);
        // Wilson for 7 of 10, computed by hand from the formula: 0.3968 to 0.8922.
        Assert.Equal(.3968, rate.Low, 4);
        Assert.Equal(.8922, rate.High, 4);
        Assert.Null(votes.WinRate(11));
    }

    [Fact]
    public async Task Lineage_leads_to_annotators_and_on_to_tasks()
    {
        var prompt = project.Prompt("question");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var (heron, sim) = (project.Person("heron-1"), project.Person("sim-07", simulated: true));
        var votes = new[] { heron, heron, sim }.Select((who, index) => project.Vote(project.Pair(prompt, good, bad), who, PairwiseVerdict.Preferred, good, 1,
            index == 2 ? JudgementSource.Simulated : JudgementSource.Person)).ToList();
        var dataset = project.Dataset(7, votes, prompt, good, bad);
        var parent = project.Model(ModelKind.Policy, 1, "base");
        var version = project.Model(ModelKind.Policy, 2, "DPO", parent.Id, dataset.Id);
        var child = project.Model(ModelKind.Policy, 3, "KTO", version.Id);
        project.Pair(prompt, project.Response(prompt, "sampled", version.Id), good);

        var shown = (await Model.Handle(project.Auditor, version.Id, CancellationToken.None)).Value;

        Assert.Equal(7, shown.Dataset!.Number);
        Assert.Equal((2, 1, 3), (shown.Feedback!.BySource[JudgementSource.Person], shown.Feedback.BySource[JudgementSource.Simulated], shown.Feedback.Total));
        Assert.Equal([("heron-1", false, 2), ("sim-07", true, 1)], shown.Feedback.Annotators);
        Assert.Equal((parent.Id, child.Id), (shown.Parent!.Id, shown.Children.Single().Id));
        Assert.Equal((1, 1), (shown.Samples, shown.Tasks));
        Assert.False(shown.MayRelease);
    }

    [Fact]
    public async Task The_list_shows_what_serves_with_its_interval_and_baselines()
    {
        var model = project.Model(ModelKind.RewardModel, 4, "reward model");
        project.Result(model.Id, MetricNames.PairwiseAccuracy, MetricNames.HeldOut, .77, .74, .80, 698);
        project.Result(model.Id, MetricNames.BagOfWordsBaseline, MetricNames.HeldOut, .70, .67, .73, 698);
        project.Result(model.Id, MetricNames.LengthBaseline, MetricNames.HeldOut, .54, .50, .58, 698);
        project.Change(db => db.Projects.Single(p => p.Id == project.Id).Release(project.Ids.New<ReleaseId>(), db.ModelVersions.Single(), "first", Guid.NewGuid(), null, project.Now));

        var list = (await List.Handle(project.Reviewer, project.Id, 0, CancellationToken.None)).Value;

        Assert.Equal(model.Id, list.RewardModel!.Id);
        Assert.Null(list.Policy);
        Assert.Equal((.77, .74, .80, 698), (list.RewardModel.Headline!.Of!.Value, list.RewardModel.Headline.Of.Low, list.RewardModel.Headline.Of.High, list.RewardModel.Headline.Count));
        Assert.Equal([.54, .70], list.RewardModel.Baselines.Select(b => b.Value));
        Assert.True(list.Rows.Single().Serves);
    }

    [Fact]
    public async Task Annotators_see_no_models()
    {
        var version = project.Model(ModelKind.Policy, 1);

        Assert.Equal(ProblemKind.Forbidden, (await List.Handle(project.Annotator, project.Id, 0, CancellationToken.None)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Model.Handle(project.Annotator, version.Id, CancellationToken.None)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Results.Handle(project.Annotator, version.Id, SampleOrder.Random, 0, CancellationToken.None)).Refusal?.Kind);
    }

    private static EvaluationSample Sample(ModelVersionId candidate, ModelVersionId from, PromptId prompt, ResponseId response, double reward) => new()
    {
        CandidateId = candidate, SampledFromId = from, PromptId = prompt, ResponseId = response, Ordinal = 0, Reward = reward, LengthTokens = 3,
    };
}
