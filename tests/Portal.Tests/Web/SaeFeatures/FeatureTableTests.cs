using System.Text.Json;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Api;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>The table of features on real SQLite: order and filters against the same rules in memory, ranks by hand, files read back.</summary>
public sealed class FeatureTableTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly EngineClient engine;

    public FeatureTableTests() => engine = new EngineClient(project.Directory);

    private ShowFeatures Show => new(project.Contexts, project.Access, new FeatureRanks(), engine);

    public void Dispose()
    {
        engine.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task Every_order_is_that_of_the_values_and_pages_hold_each_feature_once()
    {
        var seeded = new SeededFeatures(project, latents: 130);
        var random = new Random(5);
        var features = Enumerable.Range(0, 130).Select(latent => seeded.Make(latent, random.Next(0, 3), random.Next(0, 5), Value(), Value(), Value(), random.Next(0, 9), Maybe(), Maybe(), Maybe())).ToList();
        project.Add([.. features]);
        var tested = Enumerable.Range(0, 70).ToDictionary(latent => latent * 37 % 130, latent => latent % 3 == 0 ? (double?)null : latent % 10 / 10.0);
        foreach (var (latent, detection) in tested)
            seeded.Label(latent, $"label {latent}", detection: detection);
        var keys = new Dictionary<FeatureSort, Func<SaeFeature, double?>>
        {
            [FeatureSort.Latent] = f => f.Latent, [FeatureSort.Firing] = f => f.FiringAtEnd, [FeatureSort.Sentence] = f => f.FiringAtSentence, [FeatureSort.Weight] = f => Math.Abs(f.HeadWeight),
            [FeatureSort.Contribution] = f => Math.Abs(f.ContributionMean), [FeatureSort.Gap] = f => Math.Abs(f.GapContribution), [FeatureSort.Pairs] = f => f.PairsDiffering,
            [FeatureSort.Selection] = f => f.SelectionScore is { } s ? Math.Abs(s) : null, [FeatureSort.Residual] = f => f.ResidualScore is { } r ? Math.Abs(r) : null, [FeatureSort.Auc] = f => f.RewardAuc,
            [FeatureSort.Label] = f => tested.TryGetValue(f.Latent, out var detection) ? detection ?? 0 : null,
        };

        foreach (var (sort, key) in keys)
            foreach (var up in new[] { true, false })
            {
                var known = features.Where(f => key(f) is not null);
                var expected = (up ? known.OrderBy(key) : known.OrderByDescending(key)).ThenBy(f => f.Latent).Concat(features.Where(f => key(f) is null).OrderBy(f => f.Latent)).Select(f => f.Latent);
                var shown = new List<int>();
                for (var (page, more) = (0, true); more; page++)
                {
                    var view = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(FeatureFires.All, Sort: sort, Ascending: up, Page: page), null, Stop)).Value;
                    shown.AddRange(view.Rows.Select(row => row.Latent));
                    more = view.HasMore;
                }

                Assert.Equal(expected, shown);
            }

        double Value() => Math.Round(random.NextDouble() - .5, 2); // ties happen
        double? Maybe() => random.Next(4) == 0 ? null : Math.Round(random.NextDouble(), 1);
    }

    /// <summary>Rows of v1, shown with the weights of v2: 40 of them multiplied, as if they had been stored so. Pages begin before, between and behind the changed ones.</summary>
    [Fact]
    public async Task What_toggles_changed_stands_in_the_table_where_its_own_weight_puts_it()
    {
        var seeded = new SeededFeatures(project, latents: 190);
        var random = new Random(7);
        var features = Enumerable.Range(0, 190).Select(latent => seeded.Make(latent, atEnd: 1, weight: Value(), contribution: Value(), gap: Value())).ToList();
        project.Add([.. features]);
        var factors = Enumerable.Range(0, 40).ToDictionary(i => i * 31 % 190, i => new[] { 0, -1, .5, 20 }[i % 4]);
        var toggled = project.Model(ModelKind.RewardModel, 2, ToggledVersions.Method, seeded.Model.Id);
        var set = new ToggleSet { Id = project.Ids.New<ToggleSetId>(), ProjectId = project.Id, ModelVersionId = seeded.Model.Id, Number = 1, Author = Guid.NewGuid(), CreatedAt = project.Now };
        Assert.Null(set.Change("a", "", "", [.. factors.Select(f => new Toggle(f.Key, f.Value))], 190));
        set.Made(toggled.Id);
        project.Add(set);
        double Of(SaeFeature f, double value) => value * factors.GetValueOrDefault(f.Latent, 1);

        foreach (var (sort, value) in new (FeatureSort, Func<SaeFeature, double>)[] { (FeatureSort.Weight, f => f.HeadWeight), (FeatureSort.Contribution, f => f.ContributionMean), (FeatureSort.Gap, f => f.GapContribution) })
            foreach (var up in new[] { true, false })
            {
                var pages = new List<FeatureRow>();
                for (var page = 0; page < 4; page++)
                    pages.AddRange((await Show.Handle(project.Reviewer, project.Id, toggled.Id, new FeatureFilter(Sort: sort, Ascending: up, Page: page), null, Stop)).Value.Rows);

                var sizes = features.Select(f => (f.Latent, Size: Math.Abs(Of(f, value(f)))));
                Assert.Equal((up ? sizes.OrderBy(f => f.Size) : sizes.OrderByDescending(f => f.Size)).ThenBy(f => f.Latent).Select(f => f.Latent), pages.Select(row => row.Latent));
                Assert.All(pages, row => Assert.Equal((Of(features[row.Latent], features[row.Latent].HeadWeight), Of(features[row.Latent], features[row.Latent].GapContribution)), (row.HeadWeight, row.GapContribution)));
            }
        var file = await (await Export.Handle(project.Reviewer, toggled.Id, new FeatureFilter(), Stop)).Value.Rows.ToListAsync();
        Assert.Equal(features.Select(f => Of(f, f.HeadWeight)), file.Select(row => (double)row[11]!)); // head_weight
        var one = (await new ShowFeature(project.Contexts, project.Access, new FeatureRanks(), engine).Handle(project.Reviewer, toggled.Id, 31, Stop)).Value;
        Assert.Equal((-features[31].HeadWeight, false, 1), (one.Row.HeadWeight, one.Version.IsItself, one.Version.Described.Number));

        double Value() => Math.Round(random.NextDouble() - .5, 2); // ties happen
    }

    [Fact]
    public async Task Filters_find_what_they_name()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(0, atEnd: 3, residual: .5, residualQ: .05);
        seeded.Feature(1, atEnd: 3, atSentence: 2, residual: .4, residualQ: .06);
        seeded.Feature(2, atSentence: 2);
        seeded.Feature(3);
        seeded.Feature(12, atEnd: 1);
        seeded.Label(0, "Insult word");
        seeded.Label(1, "an INSULT", version: 1);
        seeded.Label(1, "", version: 2); // withdrawn
        seeded.Label(2, "number 12", version: 1);
        seeded.Label(2, "refusal", version: 2);

        Assert.Equal([0, 1, 12], await Latents(new FeatureFilter()));
        Assert.Equal([2], await Latents(new FeatureFilter(FeatureFires.Sentence)));
        Assert.Equal([3], await Latents(new FeatureFilter(FeatureFires.Dead)));
        Assert.Equal([0, 1, 2, 3, 12], await Latents(new FeatureFilter(FeatureFires.All)));
        Assert.Equal([0, 2], await Latents(new FeatureFilter(FeatureFires.All, Labelled: true)));
        Assert.Equal([0], await Latents(new FeatureFilter(Significant: true)));
        Assert.Equal([0], await Latents(new FeatureFilter(FeatureFires.All, Find: "insult")));
        Assert.Equal([12], await Latents(new FeatureFilter(FeatureFires.All, Find: "#12")));
        Assert.Equal([2], await Latents(new FeatureFilter(FeatureFires.All, Find: "REFUS")));
        Assert.Empty(await Latents(new FeatureFilter(FeatureFires.All, Find: "%")));

        async Task<IEnumerable<int>> Latents(FeatureFilter filter) => (await Show.Handle(project.Reviewer, project.Id, null, filter, null, Stop)).Value.Rows.Select(row => row.Latent).Order();
    }

    /// <summary>By hand: sizes .5, .4, .4, .1 have the places 1, 2, 2, 4, whatever their signs.</summary>
    [Fact]
    public async Task Ranks_are_places_by_size_among_all_features_with_a_score()
    {
        var seeded = new SeededFeatures(project);
        foreach (var (latent, score) in new[] { (4, .1), (1, -.5), (2, .4), (7, -.4) })
            seeded.Feature(latent, atEnd: 1, raw: score, residual: latent == 4 ? .9 : null);
        seeded.Feature(3, atSentence: 1);

        var view = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(Sort: FeatureSort.Latent, Ascending: true), null, Stop)).Value;

        Assert.Equal([(1, 1), (2, 2), (4, 4), (7, 2)], view.Rows.Select(row => (row.Latent, row.Selection!.Rank)));
        Assert.Equal(1, view.Rows.Single(row => row.Latent == 4).Residual!.Rank);
        Assert.Equal((4, 1), (view.Ranks!.AtEnd, view.Ranks.OnlyAtSentences));
    }

    /// <summary>One memory for many requests, as in the portal: a label that is written, changed or withdrawn shows at once.</summary>
    [Fact]
    public async Task Labels_that_come_later_are_seen_though_others_are_in_memory()
    {
        var seeded = new SeededFeatures(project);
        for (var latent = 0; latent < 4; latent++)
            seeded.Feature(latent, atEnd: 1);
        seeded.Label(2, "go", detection: .7);
        var show = Show;

        Assert.Equal([2], await Latents(labelled: true));
        Assert.Equal([2, 0, 1, 3], await Latents(labelled: false));
        seeded.Label(3, "north", detection: .9);
        Assert.Equal([3, 2], await Latents(labelled: true));
        seeded.Label(2, "", version: 2);
        seeded.Label(3, "south", version: 2, detection: .6);
        seeded.Label(0, "river", detection: .8);
        Assert.Equal([0, 3, 1, 2], await Latents(labelled: false));

        async Task<IEnumerable<int>> Latents(bool labelled) =>
            (await show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(Labelled: labelled, Sort: FeatureSort.Label), null, Stop)).Value.Rows.Select(row => row.Latent);
    }

    [Fact]
    public async Task What_tracks_the_reward_and_what_never_touches_it_are_marked()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(0, atEnd: FeatureRow.AucFiringMin, auc: .95);
        seeded.Feature(1, atEnd: 40, auc: .05);
        seeded.Feature(2, atEnd: 40, auc: .8);
        seeded.Feature(3, atSentence: 5);
        seeded.Feature(4, atEnd: FeatureRow.AucFiringMin - 1, auc: .99); // so few can all stand high by chance

        var rows = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(FeatureFires.All, Sort: FeatureSort.Latent, Ascending: true), null, Stop)).Value.Rows;

        Assert.Equal([true, true, false, false, false], rows.Select(row => row.FollowsReward));
        Assert.Equal([false, false, false, true, false], rows.Select(row => row.NeverTouchesReward));
    }

    [Fact]
    public async Task A_typed_text_finds_the_features_that_are_active_on_it_strongest_first()
    {
        var seeded = new SeededFeatures(project);
        for (var latent = 0; latent < 7; latent++)
            seeded.Feature(latent, atEnd: 1);
        await using var door = await FakeEngineDoor.Open(project.Directory);

        // "friend" has 6 letters: 1 + 6/8 twice is 3.5; "mill" once 1 + 4/8.
        var found = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), "friend friend mill", Stop)).Value;
        var long_ = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), new string('a', ShowFeatures.TypedLengthMax + 1), Stop)).Value;

        Assert.Equal([(1, 3.5), (0, 1.5)], found.Rows.Select(row => (row.Latent, row.Here!.Value)));
        Assert.Equal("typed", long_.Search!.Problems.Single().Field);
    }

    [Fact]
    public async Task Means_have_the_engines_intervals_and_without_an_engine_the_reason()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 9, gap: .18, contribution: -.04);
        seeded.Feature(3, atEnd: 4);
        seeded.Feature(5, atSentence: 4); // never at an end: exactly nothing
        var without = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(FeatureFires.All), null, Stop)).Value;
        await using var door = await FakeEngineDoor.Open(project.Directory);
        FeatureEffectsRequest? asked = null;
        door.Effects = request => (asked = request, new FeatureEffectsResponse(request.Model!, 120, 400,
            [new FeatureEffect(2, new(.18, .1, .26), 31, new(-.04, -.06, -.02), 44), new FeatureEffect(3, new(0, null, null), 2, new(0, null, null), 4)])).Item2;

        var shown = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(FeatureFires.All, Sort: FeatureSort.Latent, Ascending: true), null, Stop)).Value;
        var one = (await new ShowFeature(project.Contexts, project.Access, new FeatureRanks(), engine).Handle(project.Reviewer, seeded.Model.Id, 2, Stop)).Value;
        var file = await (await Export.Handle(project.Reviewer, seeded.Model.Id, new FeatureFilter(FeatureFires.All), Stop)).Value.Rows.ToListAsync();

        Assert.Contains("engine is not running", without.WithoutIntervals!.ToString(), StringComparison.Ordinal);
        Assert.All(without.Rows, row => Assert.Null(row.Effect));
        Assert.Null(shown.WithoutIntervals);
        Assert.Equal([2, 3], asked!.Latents!); // the last to ask was the file
        Assert.Equal([(.1, .26, 31), null], shown.Rows.Take(2).Select(row => row.Effect!.Gap!.Low is { } low ? (low, row.Effect.Gap.High!.Value, row.Effect.PromptsDiffering) : ((double, double, int)?)null));
        Assert.Null(shown.Rows[2].Effect);
        Assert.Equal((-.06, 44), (one.Row.Effect!.Contribution!.Low, one.Row.Effect.PromptsFiring));
        var names = (await Export.Handle(project.Reviewer, seeded.Model.Id, new FeatureFilter(), Stop)).Value.Columns.ToList();
        Assert.Equal([.18, .1, .26], new[] { "gap_contribution", "gap_low", "gap_high" }.Select(name => file[0][names.IndexOf(name)]));
        Assert.Equal([-.06, -.02, 31], new[] { "contribution_low", "contribution_high", "prompts_differing" }.Select(name => file[0][names.IndexOf(name)]));
        Assert.Null(file[1][names.IndexOf("gap_low")]);
    }

    [Fact]
    public async Task The_features_of_a_typed_text_are_a_file_without_the_text()
    {
        var seeded = new SeededFeatures(project);
        for (var latent = 0; latent < 7; latent++)
            seeded.Feature(latent, atEnd: 1);
        var away = await Export.Found(project.Reviewer, seeded.Model.Id, "mill", Stop);
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var found = (await Export.Found(project.Reviewer, seeded.Model.Id, "friend friend mill", Stop)).Value;
        var rows = await found.Rows.ToListAsync();

        Assert.Contains("engine is not running", away.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal(["activation_on_text", "feature", "label"], found.Columns.Take(3));
        Assert.Equal([(3.5, 1), (1.5, 0)], rows.Select(row => ((double)row[0]!, (int)row[1]!)));
        Assert.All(rows, row => Assert.Equal(found.Columns.Count, row.Count));
        Assert.DoesNotContain("friend", (await ResultBody.Read((await Export.Found(project.Reviewer, seeded.Model.Id, "friend", Stop)).ToFile("csv"))).Text, StringComparison.Ordinal);
        Assert.Equal("typed", (await Export.Found(project.Reviewer, seeded.Model.Id, " ", Stop)).Refusal!.Problems.Single().Field);
        Assert.Equal(ProblemKind.Forbidden, (await Export.Found(project.Annotator, seeded.Model.Id, "mill", Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Export.Found(project.Reviewer, new ModelVersionId(Guid.NewGuid()), "mill", Stop)).Refusal!.Kind);
    }

    [Fact]
    public async Task Without_an_engine_a_search_says_so_and_the_table_stands()
    {
        new SeededFeatures(project).Feature(0, atEnd: 1);

        var search = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), "mill", Stop)).Value;
        var table = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), null, Stop)).Value;

        Assert.Contains("engine is not running", search.Search!.ToString(), StringComparison.Ordinal);
        Assert.Single(table.Rows);
    }

    [Fact]
    public async Task The_version_that_serves_is_shown_first_and_toggles_share_the_features_they_were_made_from()
    {
        var old = new SeededFeatures(project, 1);
        old.Feature(0, atEnd: 1);
        old.Label(0, "the old one");
        var later = new SeededFeatures(project, 2);
        later.Feature(0, atEnd: 1);
        var toggled = project.Model(ModelKind.RewardModel, 3, ToggledVersions.Method, old.Model.Id);
        project.Model(ModelKind.RewardModel, 4, "reward model"); // reads no features

        var newest = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), null, Stop)).Value;
        project.Change(db => db.Releases.Add(db.Projects.Single(p => p.Id == project.Id).Release(project.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == toggled.Id), "It insults less", Guid.NewGuid(), null, project.Now).Value));
        var serving = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), null, Stop)).Value;
        var unknown = await Show.Handle(project.Reviewer, project.Id, new ModelVersionId(Guid.NewGuid()), new FeatureFilter(), null, Stop);

        Assert.Equal([3, 2, 1], newest.Versions.Select(v => v.Number));
        Assert.Equal(3, newest.Version!.Number); // described through the one it was made from
        Assert.Equal((toggled.Id, old.Model.Id, true), (serving.Version!.Id, serving.Version.Described.Id, serving.Version.Serves));
        Assert.Equal("the old one", serving.Rows.Single().Label!.Text);
        Assert.Equal(ProblemKind.NotFound, unknown.Refusal!.Kind);
    }

    [Fact]
    public async Task What_is_missing_is_told_and_a_running_description_is_named()
    {
        var nothing = (await Show.Handle(project.Admin, project.Id, null, new FeatureFilter(), null, Stop)).Value;
        var model = project.Model(ModelKind.RewardModel, 1, "SARM, head only");
        var job = project.Job(new DescribeFeatures());
        var waiting = (await Show.Handle(project.Reviewer, project.Id, null, new FeatureFilter(), null, Stop)).Value;

        Assert.Null(nothing.Version);
        Assert.Equal((model.Id, null, job.Number), (waiting.Version!.Id, waiting.Description, waiting.Describing!.Number));
        Assert.True(nothing.MayDescribe && !waiting.MayDescribe);
    }

    [Fact]
    public async Task Annotators_and_auditors_see_no_features()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(0, atEnd: 1);

        foreach (var stranger in new[] { project.Annotator, project.Auditor })
        {
            Assert.Equal(ProblemKind.Forbidden, (await Show.Handle(stranger, project.Id, null, new FeatureFilter(), null, Stop)).Refusal!.Kind);
            Assert.Equal(ProblemKind.Forbidden, (await Export.Handle(stranger, seeded.Model.Id, new FeatureFilter(), Stop)).Refusal!.Kind);
        }
    }

    private ExportFeatures Export => new(project.Contexts, project.Access, new FeatureRanks(), engine, Show);

    /// <summary>More rows than one batch; a label that a spreadsheet would run and that has the separator in it.</summary>
    [Fact]
    public async Task The_files_hold_every_feature_that_fits()
    {
        var seeded = new SeededFeatures(project, latents: 1_203);
        project.Add([.. Enumerable.Range(0, 1_203).Select(latent => seeded.Make(latent, atEnd: latent % 3, weight: latent / 8.0))]);
        seeded.Label(4, "=cmd, \"quoted\"");

        var csv = await ResultBody.Read((await Export.Handle(project.Reviewer, seeded.Model.Id, new FeatureFilter(FeatureFires.All), Stop)).ToFile("csv"));
        var json = JsonSerializer.Deserialize<List<JsonElement>>((await ResultBody.Read((await Export.Handle(project.Reviewer, seeded.Model.Id, new FeatureFilter(), Stop)).ToFile("json"))).Text)!;

        var lines = csv.Text.Split("\r\n");
        Assert.Equal(1_203 + 2, lines.Length); // head, rows, the last line's end
        Assert.StartsWith("feature,label,label_detection", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("4,\"'=cmd, \"\"quoted\"\"\",0.9,", lines[5], StringComparison.Ordinal);
        Assert.Contains(",150.25,", lines[1_203], StringComparison.Ordinal); // 1,202 / 8
        Assert.Equal(802, json.Count); // two of three fire
        Assert.Equal((1, 1, .125), (json[0].GetProperty("feature").GetInt32(), json[0].GetProperty("firing_at_end").GetInt32(), json[0].GetProperty("head_weight").GetDouble()));
        Assert.Equal("=cmd, \"quoted\"", json.Single(row => row.GetProperty("feature").GetInt32() == 4).GetProperty("label").GetString());
        var odd = new Outcome<TableFile>.Done(TableFile.Of("odd", ["a", "b", "c"], [[double.NaN, 3L, true], ["\"x\"", null, .5]]));
        Assert.Equal("""[{"a":null,"b":3,"c":true},{"a":"\u0022x\u0022","b":null,"c":0.5}]""", (await ResultBody.Read(odd.ToFile("json"))).Text);
        var formulas = new Outcome<TableFile>.Done(TableFile.Of("formulas", ["a"], [["  =1"], ["＝1"], ["a = 1"]]));
        Assert.Equal("a\r\n'  =1\r\n'＝1\r\na = 1\r\n", (await ResultBody.Read(formulas.ToFile("csv"))).Text);
        Assert.Equal(404, (await ResultBody.Read((await Export.Handle(project.Reviewer, new ModelVersionId(Guid.NewGuid()), new FeatureFilter(), Stop)).ToFile("csv"))).Status);
    }
}
