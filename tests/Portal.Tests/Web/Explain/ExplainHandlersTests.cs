using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Tests.Data;
using Portal.Web.Explain;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Explain;

/// <summary>Asking for explanations, reading them, and marking their pairs: who may, what is refused and why, and numbers added up by hand.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class ExplainHandlersTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    private static StartExplanation Start(SeededProject project) => new(project.Writes, new StartJob(project.Writes, project.Access, project.Ids, project.Time), project.Access, project.Time);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reviewers_and_admins_have_responses_explained_and_the_log_says_which(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var seeded = new SeededExplanation(project, 1);
        var input = new ExplanationInput([seeded.Flag.Id], [seeded.Chosen[3]]);

        foreach (var (person, may) in new[] { (project.Reviewer, true), (project.Admin, true), (project.Auditor, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
            Assert.Equal(may, (await Start(project).Handle(person, project.Id, input, Stop)).Refusal is null);

        using var db = project.Open();
        var jobs = db.Jobs.AsNoTracking().Where(j => j.Kind == nameof(ExplainResponses)).OrderBy(j => j.Number).ToList();
        var spec = Assert.IsType<ExplainResponses>(JobSpec.FromJson(jobs[^1].SpecJson));
        Assert.Equal((3, seeded.RewardModel.Id), (jobs.Count, spec.RewardModelId)); // one is the seeded one's; the newest reward model is named, so that a later one does not answer instead
        Assert.Equal([seeded.Flag.Id], spec.FlagIds);
        Assert.Contains($"{seeded.Flag.Id}", db.AuditEvents.AsNoTracking().Where(e => e.Action == "explanation.start").OrderBy(e => e.Sequence).First().PayloadJson, StringComparison.Ordinal);
    }

    /// <summary>Explanations added up by annotator, source and topic, beside each one's share of the twelve judgements; figures by hand.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Explanations_together_say_whose_votes_they_rest_on_beside_their_share_of_the_data(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        RollUpExplanations Roll() => new(project.Contexts, project.Access);
        Assert.Null((await Roll().Handle(project.Reviewer, project.Id, null, AttributionMethod.Projection, Stop)).Value); // nothing is explained
        var (older, seeded) = (new SeededExplanation(project, 1), new SeededExplanation(project, 2));
        seeded.Add(project, ExplanationConfidence.Good, seeded.Chosen[4]);
        project.Change(db =>
        {
            var judgement = seeded.Judgements[8];
            db.Prompts.Where(p => db.DatasetRows.Any(r => r.JudgementId == judgement && r.PromptId == p.Id)).ExecuteUpdate(set => set.SetProperty(p => p.Topic, "birds"));
        });

        foreach (var (person, may) in new[] { (project.Reviewer, true), (project.Admin, true), (project.Auditor, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
            Assert.Equal(may, (await Roll().Handle(person, project.Id, null, AttributionMethod.Projection, Stop)).Refusal is null);
        var byWeight = (await Roll().Handle(project.Reviewer, project.Id, seeded.RewardModel.Id, AttributionMethod.Projection, Stop)).Value!;
        var byRank = (await Roll().Handle(project.Reviewer, project.Id, seeded.RewardModel.Id, AttributionMethod.Cosine, Stop)).Value!;

        Assert.Equal((seeded.RewardModel.Id, 2, 2, 2), (byWeight.Model.Id, byWeight.Models.Count, byWeight.Explanations, byWeight.Total));
        // Weights .4 and .3 (shared with a pair judged alike, of the same person), .2, .1; judgements 5, 3 and 4 of 12.
        Assert.Equal([(seeded.Annotators[0], 0.7, 5, 2), (seeded.Annotators[1], 0.2, 3, 2), (seeded.Annotators[2], 0.1, 4, 2)], byWeight.Annotators.Select(part => (part.Key, Math.Round(part.Weight, 9), part.Judgements, part.Explanations)));
        Assert.Equal(0.7 / (5.0 / 12), byWeight.Annotators[0].Excess!.Value, 1e-9);
        Assert.Null(byWeight.Annotators[1].Excess); // of three judgements nobody can say
        Assert.Equal([("", 0.9), ("birds", 0.1)], byWeight.Topics.Select(part => (part.Key, Math.Round(part.Weight, 9))));
        Assert.Equal(1, byWeight.Sources.Sum(part => part.Weight), 1e-9);
        Assert.Equal(1, byWeight.Sources.Sum(part => part.DataShare), 1e-9);
        // Direction has three of them among its first ten: two of the first person, one of the third.
        Assert.Equal([(seeded.Annotators[0], 0.667), (seeded.Annotators[2], 0.333)], byRank.Annotators.Select(part => (part.Key, Math.Round(part.Weight, 3))));
        Assert.Empty(byRank.Shared); // two prompts are too few to say

        Assert.Equal(ProblemKind.NotFound, (await Roll().Handle(project.Reviewer, project.Id, project.Model(ModelKind.RewardModel, 9, "reward model").Id, AttributionMethod.Cosine, Stop)).Refusal!.Kind);
        Assert.Equal(older.RewardModel.Id, (await Roll().Handle(project.Reviewer, project.Id, older.RewardModel.Id, AttributionMethod.Cosine, Stop)).Value!.Model.Id);
    }

    /// <summary>Of the pairs that methods put first: two reviewers of one found it a cause, one was found fine, one is disputed, one unsure; and the first pair of four more explanations is a cause.</summary>
    [Fact]
    public async Task Precision_in_production_is_counted_from_the_newest_marks_of_reviewers()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        CountMarks Count() => new(project.Contexts, project.Access);
        Task<Outcome<IReadOnlyList<MarkedPrecision>>> Ask(ClaimsPrincipal person) => Count().Handle(person, project.Id, seeded.RewardModel.Id, Stop);
        foreach (var (person, may) in new[] { (project.Reviewer, true), (project.Admin, true), (project.Auditor, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
            Assert.Equal(may, (await Ask(person)).Refusal is null);
        Assert.Empty((await Ask(project.Reviewer)).Value);
        Assert.Contains("Nobody marked a pair", Rendering.Words(Rendering.Html<MarkedPairs>(("Methods", Array.Empty<MarkedPrecision>()))), StringComparison.Ordinal);
        var (one, other, minutes) = (Guid.NewGuid(), Guid.NewGuid(), 0);
        void Mark(ExplanationId on, int judgement, Guid by, PairVerdict verdict) =>
            project.Add(new PairMark { Id = project.Ids.New<PairMarkId>(), ExplanationId = on, JudgementId = seeded.Judgements[judgement], Verdict = verdict, By = by, At = project.Now.AddMinutes(minutes++) });
        Mark(seeded.Id, 0, one, PairVerdict.Fine);
        Mark(seeded.Id, 0, one, PairVerdict.WrongLabel); // thought again
        Mark(seeded.Id, 0, other, PairVerdict.BadContent);
        Mark(seeded.Id, 1, one, PairVerdict.Fine);
        Mark(seeded.Id, 5, one, PairVerdict.Fine);
        Mark(seeded.Id, 5, other, PairVerdict.WrongLabel);
        Mark(seeded.Id, 8, one, PairVerdict.Unsure);

        var few = (await Ask(project.Reviewer)).Value;
        Assert.Equal([(AttributionMethod.Projection, 4, 1, 1, 2), (AttributionMethod.Influence, 3, 1, 0, 1), (AttributionMethod.NearestNeighbours, 3, 1, 1, 1), (AttributionMethod.Cosine, 3, 1, 1, 1)],
            few.Select(row => (row.Method, row.First, row.Causes, row.Fine, row.Open)));
        Assert.All(few, row => Assert.Null(row.Precision)); // of two pairs nobody can say

        for (var i = 0; i < 4; i++)
            Mark(seeded.Add(project, ExplanationConfidence.Good, seeded.Chosen[i]), 0, one, PairVerdict.WrongLabel);
        var projection = (await Ask(project.Reviewer)).Value[0];
        Assert.Equal((20, 5, 1, 2), (projection.First, projection.Causes, projection.Fine, projection.Open));
        // Wilson's interval of 5 of 6, by hand.
        Assert.Equal((0.833, 0.436, 0.970), (Math.Round(projection.Precision!.Value, 3), Math.Round(projection.Precision.Low, 3), Math.Round(projection.Precision.High, 3)));
        Assert.Contains("5 1 2 20", Rendering.Words(Rendering.Html<MarkedPairs>(("Methods", new[] { projection }))), StringComparison.Ordinal);
        Assert.Empty((await Count().Handle(project.Reviewer, project.Id, new SeededExplanation(project, 2).RewardModel.Id, Stop)).Value); // another model's
    }

    /// <summary>One person's share of the explanations beside their share of the data; how often they agree with two others on the same five pairs; what reviewers found. Figures by hand.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_annotator_is_shown_beside_what_anybodys_figures_would_be(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var seeded = new SeededExplanation(project, 1);
        Task<Outcome<AnnotatorView>> Ask(ClaimsPrincipal person, string pseudonym, ModelVersionId? model = null) => new ShowAnnotator(project.Contexts, project.Access).Handle(person, project.Id, pseudonym, model, AttributionMethod.Projection, Stop);
        foreach (var (person, may) in new[] { (project.Reviewer, true), (project.Admin, true), (project.Auditor, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
            Assert.Equal(may, (await Ask(person, seeded.Annotators[0])).Refusal is null);
        var alone = (await Ask(project.Reviewer, seeded.Annotators[0])).Value;
        Assert.Null(alone.Agreement.Own); // nobody else judged these pairs
        // Two others judge the first five pairs, all of them the first person's; one of them the other way round on two.
        AnnotatorId[] others = [project.Person("lark"), project.Person("finch")];
        for (var i = 0; i < 10; i++)
        {
            using var db = project.Open();
            var (judgement, turned) = (seeded.Judgements[i / 2], i is 1 or 3);
            var (row, task) = (db.DatasetRows.Single(r => r.JudgementId == judgement), db.Tasks.Single(t => db.PairwiseJudgements.Any(j => j.Id == judgement && j.TaskId == t.Id)));
            var (chosen, rejected) = turned ? (row.RejectedId!.Value, row.ChosenId) : (row.ChosenId, row.RejectedId!.Value);
            var vote = project.Vote(task, others[i % 2], PairwiseVerdict.Preferred, chosen, 1);
            project.Add(new DatasetRow
            {
                DatasetVersionId = seeded.Dataset.Id, Ordinal = 12 + i, JudgementId = vote.Id, PromptId = row.PromptId, Part = DatasetPart.Train, ChosenId = chosen, RejectedId = rejected, Label = null, Margin = null, Weight = 1, ContentHash = new string('e', 64),
            });
        }
        foreach (var (at, verdict) in new[] { (0, PairVerdict.WrongLabel), (5, PairVerdict.Fine), (8, PairVerdict.Unsure) })
            project.Add(new PairMark { Id = project.Ids.New<PairMarkId>(), ExplanationId = seeded.Id, JudgementId = seeded.Judgements[at], Verdict = verdict, By = Guid.NewGuid(), At = project.Now });

        var found = (await Ask(project.Reviewer, seeded.Annotators[0])).Value;

        Assert.Equal((seeded.RewardModel.Id, 1, 5), (found.Model.Id, found.Explanations, found.Annotators));
        Assert.Equal((0.7, 5, 1), (Math.Round(found.Own.Weight, 9), found.Own.Judgements, found.Own.Explanations));
        Assert.Equal((5 / 22.0, 0.7 / (5 / 22.0)), (found.Own.DataShare, found.Own.Excess!.Value), (a, b) => Math.Abs(a.Item1 - b.Item1) < 1e-9 && Math.Abs(a.Item2 - b.Item2) < 1e-9);
        // Own: ten comparisons, two of them differ. All: on three pairs six agree of six; on two pairs, where one of three differs, two of six.
        Assert.Equal((0.8, 10), (found.Agreement.Own!.Value, found.Agreement.Own.Count));
        Assert.Equal((22 / 30.0, 30), (found.Agreement.All!.Value, found.Agreement.All.Count), (a, b) => Math.Abs(a.Item1 - b.Item1) < 1e-9 && a.Item2 == b.Item2);
        Assert.Equal((new FoundPairs(1, 0, 0), new FoundPairs(0, 1, 1)), (found.Found, found.FoundOfOthers));
        Assert.Equal([("", 1.0, 1.0)], found.Topics.Select(topic => (topic.Key, Math.Round(topic.Weight, 9), topic.DataShare)));
        // .4 of the first, .15 each of two that were judged alike.
        Assert.Equal([(1, 0.4, (bool?)true), (2, 0.15, null), (3, 0.15, null)], found.Pairs.Select(pair => (pair.Number, Math.Round(pair.Weight, 9), pair.IsCause)));
        Assert.All(found.Pairs, pair => Assert.Equal(seeded.Id, pair.On));

        var lark = (await Ask(project.Reviewer, "lark")).Value; // no pair of theirs explains anything
        Assert.Equal((0.0, 5, 0, 0), (lark.Own.Weight, lark.Own.Judgements, lark.Own.Explanations, lark.Pairs.Count));
        Assert.Equal(ProblemKind.NotFound, (await Ask(project.Reviewer, "nobody")).Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Ask(project.Reviewer, "lark", project.Model(ModelKind.RewardModel, 9, "reward model").Id)).Refusal!.Kind);
    }

    /// <summary>Effects of .0123 times −1, 0, 7 and 8, in thousandths of a nat as the largest is below a tenth; judgement 5 was not asked about.</summary>
    [Fact]
    public async Task The_table_has_a_column_for_the_policy_where_one_was_asked()
    {
        using var project = new SeededProject();
        var (seeded, without) = (new SeededExplanation(project, 1), new SeededExplanation(project, 2, ExplanationConfidence.NotCalibrated));
        async Task<string> Shown(ExplanationId id)
        {
            var view = (await new ShowExplanation(project.Contexts, project.Access).Handle(project.Reviewer, id, AttributionMethod.Projection, Stop)).Value;
            return Rendering.Words(Rendering.Html<SideBySide>(("Of", view.Explanation), ("Pairs", view.Pairs), ("Policy", view.Explanation.PolicyId is null ? null : view.Policy), ("MayUnlearn", true)));
        }

        var (words, plain) = (await Shown(seeded.Id), await Shown(without.Id));

        Assert.Contains("Adds to the reward Policy 10⁻³ nats 1 1 3 1 1 0.00 −12 2 2 15 2 2 +0.01 0 6 3 – – – +0.05 – 9 4 1 9 9 +0.08 +86 Place", words, StringComparison.Ordinal);
        Assert.Contains("under policy v1, in 10⁻³ nats. To first order", words, StringComparison.Ordinal);
        Assert.DoesNotContain("Policy", plain, StringComparison.Ordinal);
        Assert.Contains("Adds to the reward 1 1 3 1 1 0.00 2 2", plain, StringComparison.Ordinal);
        Assert.Equal(without.Policy.Id, (await new ShowExplanation(project.Contexts, project.Access).Handle(project.Reviewer, without.Id, AttributionMethod.Projection, Stop)).Value.Policy!.Id); // who wrote it is known all the same
    }

    [Theory]
    [InlineData("", new[] { 1234.0, -0.567, 0.004, 0 }, new[] { "+1,200", "−0.57", "+0.0040", "0" })]
    [InlineData("", new[] { 0.1, 0.00002 }, new[] { "+0.10", "0.0000" })]
    [InlineData("10⁻³", new[] { -0.0999, 0.0123 }, new[] { "−100", "+12" })]
    [InlineData("10⁻⁶", new[] { 0.00002, -0.0000004 }, new[] { "+20", "−0.40" })]
    [InlineData("10⁻⁹", new[] { 1e-15 }, new[] { "0.0000" })]
    [InlineData("", new[] { 0.0 }, new[] { "0" })]
    public void Effects_of_a_table_share_a_unit_and_have_two_digits_that_count(string unit, double[] effects, string[] shown)
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        using var db = project.Open();
        ShownPair[] pairs = [.. effects.Select((effect, i) => new ShownPair(new ExplainingPair
        {
            ExplanationId = seeded.Id, JudgementId = seeded.Judgements[i], OthersJson = "[]", Weight = 0, Margin = 0, Distance = 0, Influence = 0, PolicyEffect = effect, ProjectionRank = null, InfluenceRank = null, NearestRank = null, CosineRank = null,
        }, i + 1, [], null, null, "", project.Now, 1, false, [], null, null))];

        var html = Rendering.Html<SideBySide>(("Of", db.Explanations.Single(e => e.Id == seeded.Id)), ("Pairs", pairs), ("Policy", seeded.Policy));

        Assert.Contains($"under policy v1, in {(unit.Length > 0 ? unit + " " : "")}nats.", Rendering.Words(html), StringComparison.Ordinal);
        Assert.Equal(shown, html.Split("</td></tr>")[..^1].Select(row => Rendering.Words(row[row.LastIndexOf('>')..]).TrimStart('>', ' ')));
    }

    [Fact]
    public async Task A_pair_that_comes_first_for_many_prompts_is_shown_with_its_words()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        for (var i = 0; i < ExplanationRules.HubPromptsMin; i++)
            seeded.Add(project, ExplanationConfidence.Good, project.Response(project.Prompt($"What is asked as number {i}?"), $"An answer, number {i}."));

        var found = (await new RollUpExplanations(project.Contexts, project.Access).Handle(project.Reviewer, project.Id, null, AttributionMethod.Projection, Stop)).Value!;

        var shared = Assert.Single(found.Shared); // the first pair of every one of 21 prompts
        Assert.Equal((1, "How many legs has a goose, and what does it give, question 0 of set 1?", 21, 1.0), (shared.Number, shared.Question, shared.Hub.Prompts, shared.Hub.Share));
        Assert.NotEqual(default, shared.On);
    }

    [Fact]
    public async Task What_cannot_be_explained_is_refused_beside_its_field()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        using var elsewhere = new SeededProject();
        var foreign = project.Model(ModelKind.RewardModel, 2, "imported");
        var dismissed = new Flag { Id = project.Ids.New<FlagId>(), ProjectId = project.Id, ResponseId = seeded.Chosen[0], AnnotatorId = project.Person("lark"), Reason = FlagReason.Other, Place = "results", At = project.Now };
        dismissed.Close(FlagState.Dismissed, Guid.NewGuid(), project.Now);
        var prompt = project.Prompt("What does a hen give?");
        var (erased, old) = (project.Response(prompt, "Eggs."), project.Model(ModelKind.Policy, 7));
        var byRetired = project.Response(prompt, "An egg a day.", old.Id);
        project.Add(dismissed);
        project.Change(db =>
        {
            db.ModelVersions.Single(v => v.Id == old.Id).Retire();
            db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == erased).ContentId).Erase(DateTimeOffset.UtcNow);
        });
        ResponseId[] fine = [seeded.Chosen[1]];

        var cases = new (ExplanationInput Input, string Field, string Says)[]
        {
            (new([], []), "responseIds", "Name 1 to 500"),
            (new([new FlagId(Guid.NewGuid())], []), "flags", "gone, or belongs to another project"),
            (new([dismissed.Id], []), "flags", "was dismissed"),
            (new([], [new ResponseId(Guid.NewGuid())]), "responses", "gone, or belongs to another project"),
            (new([], [erased]), "responses", "was erased"),
            (new([], [byRetired]), "responses", "policy v7, which wrote one of these responses, is retired"),
            (new([], fine, Mode: QueryMode.Comparison), "mode", "needs a better answer"),
            (new([seeded.Flag.Id], [], Mode: QueryMode.Comparison), "mode", "needs a better answer"),
            (new([], fine, Space: FeatureSpace.SarmCodes), "space", "reads no sparse features"),
            (new([], fine, RewardModel: foreign.Id), "rewardModel", "was not trained on judgements of this project"),
            (new([], fine, RewardModel: new ModelVersionId(Guid.NewGuid())), "rewardModel", "no such reward model"),
            (new([], fine, Locality: -1), "locality", "between 0 and"),
            (new([], fine, Mode: (QueryMode)9), "mode", "no such way"),
        };
        foreach (var (input, field, says) in cases)
        {
            // The seeded model is the newest that can explain; one without judgements must not be taken silently.
            var outcome = await Start(project).Handle(project.Reviewer, project.Id, input with { RewardModel = input.RewardModel ?? seeded.RewardModel.Id }, Stop);
            var problem = Assert.Single(outcome.Refusal!.Problems);
            Assert.Equal(field, problem.Field);
            Assert.Contains(says, problem.Message, StringComparison.Ordinal);
        }
        Assert.Equal("rewardModel", (await Start(elsewhere).Handle(elsewhere.Reviewer, elsewhere.Id, new([], fine), Stop)).Refusal!.Problems[0].Field);
        using var db = project.Open();
        Assert.Equal(1, db.Jobs.Count(j => j.Kind == nameof(ExplainResponses))); // the seeded one alone: nothing was half started
    }

    [Fact]
    public async Task More_than_five_do_not_wait_at_once()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1); // its job waits
        for (var i = 0; i < StartExplanation.OpenMax - 1; i++)
            Assert.Null((await Start(project).Handle(project.Reviewer, project.Id, new([], [seeded.Chosen[i]]), Stop)).Refusal);

        Assert.Contains("5 explanations wait or run", (await Start(project).Handle(project.Reviewer, project.Id, new([], [seeded.Chosen[7]]), Stop)).Refusal!.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_explanation_shows_pairs_by_a_method_whose_they_are_and_what_people_marked(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var seeded = new SeededExplanation(project, 1);
        var (show, mark) = (new ShowExplanation(project.Contexts, project.Access), new MarkPair(project.Writes, project.Access, project.Ids, project.Time));
        Assert.Null((await mark.Handle(project.Reviewer, seeded.Id, seeded.Judgements[0], PairVerdict.Unsure, Stop)).Refusal);
        Assert.Null((await mark.Handle(project.Reviewer, seeded.Id, seeded.Judgements[0], PairVerdict.WrongLabel, Stop)).Refusal);
        Assert.Null((await mark.Handle(project.Admin, seeded.Id, seeded.Judgements[0], PairVerdict.Fine, Stop)).Refusal);

        var view = (await show.Handle(project.Reviewer, seeded.Id, AttributionMethod.Projection, Stop)).Value;
        var byInfluence = (await show.Handle(project.Reviewer, seeded.Id, AttributionMethod.Influence, Stop)).Value;

        Assert.Equal([1, 2, 6, 9], view.Pairs.Select(pair => pair.Number));
        Assert.Equal([9, 10, 1], byInfluence.Pairs.Select(pair => pair.Number)); // the one at place 15 is below the tenth
        Assert.Equal([true, false, false, true], view.Pairs.Select(pair => pair.Agree));
        Assert.Equal([1, 2, 1, 1], view.Pairs.Select(pair => pair.Judgements));
        Assert.Equal((seeded.Annotators[0], PairVerdict.WrongLabel), (view.Pairs[0].Annotator, view.Pairs[0].Mine!.Value)); // the latest of who asks
        Assert.Equal([PairVerdict.WrongLabel, PairVerdict.Fine], view.Pairs[0].Marks.Order());
        // ω m: .8, .3, −.2, .3; the bar has the positive ones, the rest is one part.
        Assert.Equal([.8, .3, .3], view.Bar.Select(pair => Math.Round(pair.Pair.RewardShare, 9)));
        Assert.Equal((1, -.2), (view.Others, Math.Round(view.OthersReward, 9)));
        Assert.Equal(.8, Math.Round(view.Explanation.Unexplained, 9));
        // heron: .7 of the weight with 5 of 12 judgements; wren .2 with 3, too few to say; sim-3 .1 with 4, too few as well.
        Assert.Equal(seeded.Annotators, view.Annotators.Select(part => part.Key));
        Assert.Equal([.7, .2, .1], view.Annotators.Select(part => Math.Round(part.Weight, 9)));
        Assert.Equal(.7 / (5.0 / 12), view.Annotators[0].Excess!.Value, 1e-9);
        Assert.Equal([null, null], view.Annotators.Skip(1).Select(part => part.Excess));
        Assert.Empty(view.Hubs);
        Assert.Equal("How many legs has a hen, set 1?", Conversation.LastQuestion(view.Prompt));
        Assert.Equal(seeded.Flag.Id, view.Flag!.Id);
        using var db = project.Open();
        Assert.Equal(3, db.AuditEvents.Count(e => e.Action == "explanation.mark"));
    }

    [Fact]
    public async Task A_pair_that_comes_first_for_many_prompts_is_said_to_be_generic()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        var show = new ShowExplanation(project.Contexts, project.Access);
        for (var i = 0; i < 19; i++)
        {
            if (i == 18)
                Assert.Empty((await show.Handle(project.Reviewer, seeded.Id, AttributionMethod.Projection, Stop)).Value.Hubs); // 19 prompts are too few to say
            seeded.Add(project, ExplanationConfidence.Weak, project.Response(project.Prompt($"Another question, number {i}?"), "Two."));
        }

        var hub = Assert.Single((await show.Handle(project.Reviewer, seeded.Id, AttributionMethod.Projection, Stop)).Value.Hubs);

        Assert.Equal((1, 20, 20), (hub.Number, hub.Prompts, hub.Of));
    }

    [Fact]
    public async Task Marks_are_for_reviewers_and_for_pairs_of_the_explanation()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        var mark = new MarkPair(project.Writes, project.Access, project.Ids, project.Time);

        foreach (var person in new[] { project.Auditor, project.Annotator, new ClaimsPrincipal() })
            Assert.Equal(ProblemKind.Forbidden, (await mark.Handle(person, seeded.Id, seeded.Judgements[0], PairVerdict.Fine, Stop)).Refusal!.Kind);
        Assert.Contains("no part of the explanation", (await mark.Handle(project.Reviewer, seeded.Id, seeded.Judgements[11], PairVerdict.Fine, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("Choose one of", (await mark.Handle(project.Reviewer, seeded.Id, seeded.Judgements[0], (PairVerdict)7, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        for (var i = 0; i < 3; i++)
            Assert.Null((await mark.Handle(project.Reviewer, seeded.Id, seeded.Judgements[0], PairVerdict.Fine, Stop)).Refusal);
        using var db = project.Open();
        Assert.Equal(1, db.PairMarks.Count()); // the same mark again is one mark
    }

    [Fact]
    public async Task The_list_shows_what_there_is_by_confidence_and_job_and_what_is_under_way()
    {
        using var project = new SeededProject();
        var seeded = new SeededExplanation(project, 1);
        var good = seeded.Add(project, ExplanationConfidence.Good, seeded.Chosen[2]);
        var list = new ListExplanations(project.Contexts, project.Access);

        var all = (await list.Handle(project.Reviewer, project.Id, null, null, 0, Stop)).Value;
        var some = (await list.Handle(project.Reviewer, project.Id, ExplanationConfidence.Good, seeded.Job, 5, Stop)).Value;
        using var other = new SeededProject();
        var none = (await new ListExplanations(other.Contexts, other.Access).Handle(other.Reviewer, other.Id, null, null, 0, Stop)).Value;

        Assert.Equal([good, seeded.Id], all.Rows.Select(row => row.Explanation.Id));
        Assert.Equal((2, 1, true), (all.Total, all.Jobs.Count, all.HasRewardModel));
        Assert.Equal([good], some.Rows.Select(row => row.Explanation.Id));
        Assert.Equal((0, 0, false), (none.Total, none.Jobs.Count, none.HasRewardModel));
        Assert.Equal(ProblemKind.Forbidden, (await list.Handle(project.Annotator, project.Id, null, null, 0, Stop)).Refusal!.Kind);
        var find = new FindExplanation(project.Contexts, project.Access);
        var found = (await find.Handle(project.Reviewer, seeded.Response, seeded.Flag.Id, Stop)).Value;
        Assert.Equal((seeded.Id, seeded.Job), (found.Latest!.Value, found.Job!.Value));
        Assert.Null((await find.Handle(project.Reviewer, seeded.Chosen[4], null, Stop)).Value.Latest);
    }
}
