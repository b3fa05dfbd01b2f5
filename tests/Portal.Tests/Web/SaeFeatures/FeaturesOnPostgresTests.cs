using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.SaeFeatures;
using Portal.Tests.Data;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>What the pages of features ask of SQLite (the tests beside this one), asked of PostgreSQL: its SQL is another one, the answers are the same.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class FeaturesOnPostgresTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    [Fact]
    public async Task Table_feature_label_and_pairs_are_found_there_too()
    {
        using var database = new PortalDatabase(postgres);
        using var project = new SeededProject(database);
        using var engine = new EngineClient(project.Directory);
        var seeded = new SeededFeatures(project, latents: 60);
        project.Add([.. Enumerable.Range(0, 60).Select(latent => seeded.Make(latent, atEnd: latent % 5, atSentence: latent % 3, weight: latent - 30, raw: latent % 4 == 0 ? null : latent / 60.0 - .5, residual: latent % 4 == 0 ? null : .5 - latent / 60.0))]);
        seeded.Label(7, "Insult word", detection: .7);
        seeded.Label(9, "refusal");
        seeded.Label(9, "", version: 2);
        var prompt = project.Prompt("Where?");
        var (good, bad) = (project.Response(prompt, "North."), project.Response(prompt, "You clod."));
        project.Vote(project.Pair(prompt, good, bad), project.Person("heron-3"), PairwiseVerdict.Preferred, good);
        seeded.Context(7, good, ContextPosition.End, 0, 0, 6, 2);
        var (ranks, show) = (new FeatureRanks(), new ShowFeature(project.Contexts, project.Access, new FeatureRanks(), engine));
        var table = new ShowFeatures(project.Contexts, project.Access, ranks, engine);

        foreach (var sort in Enum.GetValues<FeatureSort>())
        {
            var all = new List<int>();
            for (var page = 0; page < 2; page++)
                all.AddRange((await table.Handle(project.Reviewer, project.Id, null, new FeatureFilter(FeatureFires.All, Sort: sort, Page: page), null, Stop)).Value.Rows.Select(row => row.Latent));
            Assert.Equal(Enumerable.Range(0, 60), all.Order());
            Assert.True(sort is not FeatureSort.Weight || all[0] == 0 && all[1] == 1); // |−30|, |−29| before |29|
            Assert.True(sort is not FeatureSort.Residual || all[^1] % 4 == 0); // no score comes last
            Assert.True(sort is not FeatureSort.Label || all[0] == 7);
        }
        Assert.Equal([7], await Latents(new FeatureFilter(FeatureFires.All, Labelled: true)));
        Assert.Equal([7], await Latents(new FeatureFilter(FeatureFires.All, Find: "INSULT")));
        Assert.Equal([0, 15, 30, 45], await Latents(new FeatureFilter(FeatureFires.Dead)));
        Assert.Equal("North.", (await show.Handle(project.Reviewer, seeded.Model.Id, 7, Stop)).Value.Contexts.Single().Sentence);
        Assert.Equal(60, await (await new ExportFeatures(project.Contexts, project.Access, ranks, engine, table).Handle(project.Reviewer, seeded.Model.Id, new FeatureFilter(FeatureFires.All), Stop)).Value.Rows.CountAsync());
        Assert.Equal(1, (await new ListPairs(project.Contexts, project.Access, engine).Handle(project.Reviewer, project.Id, null, false, Stop)).Value.Rows.Single().ForFirst);
        Assert.Equal("heron-3", (await new ShowPairXray(project.Contexts, project.Access, engine).OfResponses(project.Reviewer, bad, good, null, null, Stop)).Value.Votes.Single().Voter);

        // Two nodes write the next label at once: the unique index leaves one of them.
        LabelFeature Node() => new(project.Contexts, project.Writes, project.Access, engine, project.Ids, project.Hasher, project.Time);
        var outcomes = await Task.WhenAll(Node().Handle(project.Reviewer, seeded.Model.Id, 7, 1, "mine", null, Stop), Node().Handle(project.Admin, seeded.Model.Id, 7, 1, "mine too", null, Stop));
        Assert.Equal(ProblemKind.Conflict, Assert.Single(outcomes, o => o.Refusal is not null).Refusal!.Kind);

        async Task<IEnumerable<int>> Latents(FeatureFilter filter) => (await table.Handle(project.Reviewer, project.Id, null, filter, null, Stop)).Value.Rows.Select(row => row.Latent).Order();
    }

    [Fact]
    public async Task Toggled_versions_sets_and_best_answers_are_found_there_too()
    {
        using var database = new PortalDatabase(postgres);
        using var project = new SeededProject(database);
        await using var door = await FakeEngineDoor.Open(project.Directory);
        using var engine = new EngineClient(project.Directory);
        var features = new SeededFeatures(project, latents: 120);
        project.Add([.. Enumerable.Range(0, 120).Select(latent => features.Make(latent, atEnd: 1 + latent, weight: latent - 60, gap: latent / 100.0, contribution: -latent))]);
        features.Label(1, "kind words");
        var seeded = new SeededBestOfN(project, features, 2); // switches 1 off and turns 2 round

        // The toggled version: v1's description and labels, its own weights, its own order.
        var table = new ShowFeatures(project.Contexts, project.Access, new FeatureRanks(), engine);
        var rows = new List<FeatureRow>();
        for (var page = 0; page < 3; page++)
        {
            var seen = (await table.Handle(project.Reviewer, project.Id, seeded.Toggled.Id, new FeatureFilter(Sort: FeatureSort.Weight, Page: page), null, Stop)).Value;
            Assert.Equal((features.Description.Id, 1), (seen.Description!.Id, seen.Version!.Described.Number)); // described
            rows.AddRange(seen.Rows);
        }
        Assert.Equal(Enumerable.Range(0, 120).OrderByDescending(latent => latent == 1 ? 0 : Math.Abs(latent - 60)).ThenBy(latent => latent), rows.Select(row => row.Latent));
        Assert.Equal(58, rows.Single(row => row.Latent == 2).HeadWeight); // −(2 − 60)
        var find = new FindFeatures(project.Contexts, project.Access, new FeatureRanks());
        Assert.Equal((1, -0.0), (await find.Handle(project.Reviewer, seeded.Toggled.Id, "KIND", Stop)).Value.Select(f => (f.Latent, f.HeadWeight)).Single());
        Assert.Equal([4], (await find.Handle(project.Reviewer, seeded.Toggled.Id, "4", Stop)).Value.Select(f => f.Latent));

        // A set of it: drafted, previewed, proposed, refused with words.
        var jobs = new Portal.Web.Train.StartJob(project.Writes, project.Access, project.Ids, project.Time);
        var set = (await new StartToggleSet(project.Writes, project.Access, project.Ids, project.Hasher, project.Time).Handle(project.Admin, seeded.Toggled.Id, 3, Stop)).Value;
        Assert.Null((await new SaveToggleSet(project.Writes, project.Access, project.Hasher, project.Time).Handle(project.Admin, set, 1, new("again", "Less of it.", "mill", [new(3, 0)]), Stop)).Refusal);
        Assert.Null((await new ProposeToggleSet(project.Contexts, project.Writes, project.Access, jobs, engine, project.Hasher, project.Time).Handle(project.Admin, set, 2, Stop)).Refusal);
        var decide = new DecideToggleSet(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
        Assert.Null((await decide.Handle(project.Account(Portal.Data.Accounts.RoleNames.Admin), set, 3, false, null, "Too early", Stop)).Refusal);
        var shown = (await new ShowToggleSet(project.Contexts, project.Access).Handle(project.Reviewer, set, Stop)).Value;
        Assert.Equal((ToggleSetState.Refused, "Too early", -57.0), (shown.Set.State, shown.Set.DecisionNote, shown.Features.Single().HeadWeight));
        var list = (await new ListToggleSets(project.Contexts, project.Access).Handle(project.Reviewer, project.Id, 0, Stop)).Value;
        Assert.Equal(2, list.Total);
        Assert.Equal([2, 1], list.Models.Select(model => model.Number));
        Assert.False((await new DiffToggleSets(project.Contexts, project.Access).Handle(project.Reviewer, set, set, Stop)).Value.Features.Single().Differs);
        Assert.Equal([1], (await new Portal.Web.Train.ShowFeatureTraining(project.Contexts, project.Access).Handle(project.Admin, project.Id, Stop)).Value.Rewards.Select(model => model.Number)); // by its files

        // Best answers: picks, figures, and all rows.
        var best = new ShowBestOfN(project.Contexts, project.Access);
        var view = (await best.Handle(project.Reviewer, seeded.JobId, onlyChanged: true, 0, Stop)).Value;
        Assert.Equal((4, 4, true), (view.Changed, view.Rows.Count, view.After!.HasFeatures)); // every third of twelve; there is a run
        Assert.Equal(seeded.Changed, view.Rows.Select(row => row.PromptId));
        Assert.Equal("kind words", view.After.Toggles!.Features.Single(f => f.Latent == 1).Label); // toggles made it
        Assert.Equal(36, await (await best.Answers(project.Reviewer, seeded.JobId, Stop)).Value.Rows.CountAsync());
        Assert.Equal(4, await (await best.Figures(project.Reviewer, seeded.JobId, Stop)).Value.Rows.CountAsync());
    }
}
