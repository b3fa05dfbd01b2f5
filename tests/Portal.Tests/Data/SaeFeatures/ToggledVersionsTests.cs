using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Tests.Web;
using Xunit;

namespace Portal.Tests.Data.SaeFeatures;

/// <summary>Which description, whose labels and which factors hold for a version: v1 was trained and described, toggles made v2 of it and v3 of that, v4 was trained from v1.</summary>
public sealed class ToggledVersionsTests : IDisposable
{
    private readonly PortalDatabase database = new();
    private readonly SeededProject project;
    private readonly ModelVersion first, second, third, trained;

    public ToggledVersionsTests()
    {
        project = new SeededProject(database);
        first = project.Model(ModelKind.RewardModel, 1, "SARM");
        second = project.Model(ModelKind.RewardModel, 2, ToggledVersions.Method, first.Id);
        third = project.Model(ModelKind.RewardModel, 3, ToggledVersions.Method, second.Id);
        trained = project.Model(ModelKind.RewardModel, 4, "SARM", first.Id);
        Set(first, second, new Toggle(1, -1), new Toggle(2, 0));
        Set(second, third, new Toggle(1, .5), new Toggle(3, 4));
    }

    public void Dispose()
    {
        project.Dispose();
        database.Dispose();
    }

    [Fact]
    public async Task A_description_holds_for_what_toggles_made_of_its_version_until_that_has_one_of_its_own()
    {
        Assert.Equal([null, null, null, null], await Holding());
        Describe(first, hour: 2);
        var newest = Describe(first, hour: 3);
        Describe(first, hour: 1);
        Assert.Equal([newest, newest, newest, null], await Holding());
        var own = Describe(second, hour: 0);
        Assert.Equal([newest, own, own, null], await Holding());
        Describe(second, hour: 5, isStored: false); // a job is still writing it
        Assert.Equal([newest, own, own, null], await Holding());

        async Task<FeatureDescriptionId?[]> Holding()
        {
            using var db = project.Open();
            var lines = (await ToggledVersions.LinesOf(db, project.Id, default)).ToDictionary(line => line.Version.Id);
            var all = new List<FeatureDescriptionId?>();
            foreach (var version in new[] { first, second, third, trained })
            {
                var one = await ToggledVersions.DescriptionOf(db, version, default);
                Assert.Equal((one?.Id, one?.Id), (lines[version.Id].Description?.Id, ToggledVersions.LineOf(db, version)!.Description?.Id)); // one answer, whoever asks
                all.Add(one?.Id);
            }
            return [.. all];
        }
    }

    [Fact]
    public async Task The_root_is_what_no_toggles_made_and_factors_are_those_since_the_description()
    {
        Describe(first, hour: 1);
        using var db = project.Open();

        var lines = await ToggledVersions.LinesOf(db, project.Id, default);

        Assert.Equal([4, 3, 2, 1], lines.Select(line => line.Version.Number));
        Assert.Equal([4, 1, 1, 1], lines.Select(line => line.Root.Number));
        Assert.Equal([4, 1, 1, 1], lines.Select(line => line.Described.Number));
        Assert.Empty(await ToggledVersions.FactorsOf(db, lines[0], default));
        Assert.Equal([(1, -.5), (2, 0), (3, 4)], await Factors(lines[1])); // −1 · 0.5
        Assert.Equal([(1, -1.0), (2, 0)], await Factors(lines[2]));
        Assert.Empty(await Factors(lines[3]));

        Describe(second, hour: 2);
        lines = await ToggledVersions.LinesOf(db, project.Id, default);
        Assert.Equal((2, 1), (lines[1].Described.Number, lines[1].Root.Number));
        Assert.Equal([(1, .5), (3, 4.0)], await Factors(lines[1])); // v2's weights are what was described
        Assert.Empty(await Factors(lines[2]));

        async Task<IEnumerable<(int, double)>> Factors(FeatureLine line) => (await ToggledVersions.FactorsOf(db, line, default)).OrderBy(f => f.Key).Select(f => (f.Key, f.Value));
    }

    /// <summary>Rows that no code of ours writes: a parent elsewhere, a policy for a parent, a circle. The line ends before them.</summary>
    [Fact]
    public async Task A_line_stays_among_the_projects_reward_models_and_ends()
    {
        using var elsewhere = new SeededProject(database);
        var policy = project.Model(ModelKind.Policy, 1);
        var stranger = project.Model(ModelKind.RewardModel, 5, ToggledVersions.Method, elsewhere.Model(ModelKind.RewardModel, 1, "SARM").Id);
        var ofPolicy = project.Model(ModelKind.RewardModel, 6, ToggledVersions.Method, policy.Id);
        var own = project.Ids.New<ModelVersionId>();
        project.Add(new ModelVersion
        {
            Id = own, ProjectId = project.Id, Kind = ModelKind.RewardModel, Number = 7, Method = ToggledVersions.Method, ParentId = own, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1,
            Commit = "unknown", Folder = "x", FilesJson = "[]", IsSynthetic = true, CreatedAt = project.Now,
        });
        using var db = project.Open();

        var lines = (await ToggledVersions.LinesOf(db, project.Id, default)).ToDictionary(line => line.Version.Id);

        Assert.All(new[] { stranger.Id, ofPolicy.Id, own }, id => Assert.Single(lines[id].Versions));
        Assert.Null(await ToggledVersions.LineOfAsync(db, policy, default));
    }

    /// <summary>By its files, in memory and in SQL alike: not by what somebody called the method, and not by a file of a similar name.</summary>
    [Theory]
    [InlineData(ModelKind.RewardModel, "reward_head.safetensors", true)]
    [InlineData(ModelKind.RewardModel, "model.safetensors", false)]
    [InlineData(ModelKind.RewardModel, "old/reward_head.safetensors", false)]
    [InlineData(ModelKind.Policy, "reward_head.safetensors", false)]
    public async Task A_model_has_features_where_it_has_their_head(ModelKind kind, string file, bool has)
    {
        var version = new ModelVersion
        {
            Id = project.Ids.New<ModelVersionId>(), ProjectId = project.Id, Kind = kind, Number = 8, Method = has ? "reward model" : "SARM", ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}",
            Seed = 1, Commit = "unknown", Folder = "x", FilesJson = System.Text.Json.JsonSerializer.Serialize(new[] { new ModelFile("config.json", 2, "a"), new ModelFile(file, 2, "b") }), IsSynthetic = true, CreatedAt = project.Now,
        };
        project.Add(version);
        using var db = project.Open();

        Assert.Equal(has, version.HasFeatures);
        Assert.Equal(has, (await ToggledVersions.LineOfAsync(db, version, default))?.Version.HasFeatures ?? false);
    }

    private FeatureDescriptionId Describe(ModelVersion version, int hour, bool isStored = true)
    {
        var id = project.Ids.New<FeatureDescriptionId>();
        project.Add(new FeatureDescription
        {
            Id = id, ProjectId = project.Id, ModelVersionId = version.Id, Latents = 8, Responses = 4, SentenceEnds = 0, Pairs = 0, PromptsDiscovery = 0, PromptsTest = 0, SpecJson = "{}",
            CodesSha256 = isStored ? new string('c', 64) : "", At = new DateTimeOffset(2026, 3, 1, hour, 0, 0, TimeSpan.Zero),
        });
        return id;
    }

    private void Set(ModelVersion of, ModelVersion made, params Toggle[] toggles)
    {
        using var db = project.Open();
        var set = new ToggleSet { Id = project.Ids.New<ToggleSetId>(), ProjectId = project.Id, ModelVersionId = of.Id, Number = 1 + db.ToggleSets.Count(), Author = Guid.NewGuid(), CreatedAt = project.Now };
        Assert.Null(set.Change("a", "", "", toggles, 8));
        set.Made(made.Id);
        db.Add(set);
        db.SaveChanges();
    }
}
