using System.Security.Claims;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Explain;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.Explain;

/// <summary>Explanations together by feature, as the portal asks for them and shows them: who may, whose features are taken, and every state of the card. The engine is a stand-in.</summary>
public sealed class RollUpFeaturesTests : IAsyncLifetime
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    private readonly SeededProject project = new();
    private readonly EngineClient engine;
    private readonly List<FeatureRollUpRequest> asked = [];
    private FakeEngineDoor door = null!; // set on start

    public RollUpFeaturesTests() => engine = new EngineClient(project.Directory);

    public async Task InitializeAsync()
    {
        door = await FakeEngineDoor.Open(project.Directory);
        var answer = door.RollUp;
        door.RollUp = request =>
        {
            asked.Add(request);
            return answer(request);
        };
    }

    public async Task DisposeAsync()
    {
        engine.Dispose();
        await door.DisposeAsync();
        project.Dispose();
    }

    [Fact]
    public async Task Reviewers_and_admins_see_features_and_nobody_else_has_the_engine_asked()
    {
        var (seeded, features) = (new SeededExplanation(project, 1), new SeededFeatures(project, 2));
        features.Label(0, "says “the old mill”");
        features.Label(2, "an insult word");
        features.Label(2, "", version: 2); // withdrawn

        foreach (var person in new[] { project.Auditor, project.Annotator, new ClaimsPrincipal() })
            Assert.Equal(ProblemKind.Forbidden, (await Ask(seeded, person)).Refusal!.Kind);
        Assert.Empty(asked);
        Assert.Null((await Ask(seeded, project.Admin)).Refusal);
        var found = (await Ask(seeded, project.Reviewer, AttributionMethod.Influence)).Value;

        Assert.Equal(new FeatureRollUpRequest($"{features.Model.Id}", $"{seeded.RewardModel.Id}", AttributionMethod.Influence), asked[^1]);
        Assert.Equal([(0, PairSide.Chosen), (2, PairSide.Rejected)], found.Found!.Items.Select(item => (item.Latent, item.Side)));
        Assert.Equal("says “the old mill”", Assert.Single(found.Labels).Value.Text);
        var words = Card(found, seeded);
        Assert.Contains("Features of reward model v2", words, StringComparison.Ordinal);
        Assert.Contains("#0 says “the old mill” detects 0.90, fuzzing 0.80 chosen 80 % 50 % 1.6× 2 of 2 #2 no label yet rejected 30 % 10 % too few (1 of 5) 1 of 2", words, StringComparison.Ordinal);
        Assert.Contains("34 features and sides were looked at; if pairs were taken by luck, any at all would stand here in less than 5 % of cases", words, StringComparison.Ordinal);
        Assert.Contains("Left out: 1 of 5 explaining pairs, and 2 of 12 judgements.", words, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_described_features_or_an_engine_the_card_says_what_is_missing()
    {
        var seeded = new SeededExplanation(project, 1);
        project.Model(ModelKind.RewardModel, 2, "SARM"); // nobody described it

        var nothing = (await Ask(seeded, project.Reviewer)).Value;
        Assert.Null(nothing.Version);
        Assert.Empty(asked);
        Assert.Contains("No reward model of this project has described features yet.", Card(nothing, seeded), StringComparison.Ordinal);
        _ = new SeededFeatures(project, 3);
        await door.DisposeAsync();
        var away = (await Ask(seeded, project.Reviewer)).Value;

        Assert.Equal((3, null), (away.Version!.Number, away.Found));
        Assert.Contains("Features cannot be added up now. The engine is not running.", Card(away, seeded), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_luck_gives_is_not_listed_and_pairs_without_codes_are_counted()
    {
        var seeded = new SeededExplanation(project, 1);
        _ = new SeededFeatures(project, 2);
        door.RollUp = request => new FeatureRollUpResponse(request.Model!, 7, 40, 0, 300, 0, 1234, []);
        var luck = Card((await Ask(seeded, project.Reviewer)).Value, seeded);
        door.RollUp = request => new FeatureRollUpResponse(request.Model!, 0, 40, 40, 300, 300, 0, []);
        var uncoded = Card((await Ask(seeded, project.Reviewer)).Value, seeded);

        Assert.Contains("Of 1,234 features and sides none has more of the weight than pairs taken by luck might give it.", luck, StringComparison.Ordinal);
        Assert.DoesNotContain("Left out", luck, StringComparison.Ordinal);
        Assert.Contains("Left out: 40 of 40 explaining pairs, and 300 of 300 judgements.", uncoded, StringComparison.Ordinal);
        Assert.DoesNotContain("luck", uncoded, StringComparison.Ordinal);
    }

    /// <summary>Its own features where they are described, also where toggles made it of what was described; else the newest description; a retired model's last of all.</summary>
    [Fact]
    public async Task The_explained_models_own_features_go_before_the_newest_description()
    {
        var (own, newer, newest) = (new SeededFeatures(project, 2), new SeededFeatures(project, 3), new SeededFeatures(project, 4));
        var toggled = project.Model(ModelKind.RewardModel, 5, ToggledVersions.Method, own.Model.Id);
        project.Change(db => db.ModelVersions.Single(v => v.Id == newest.Model.Id).Retire());
        var other = project.Model(ModelKind.RewardModel, 6, "reward model");

        foreach (var (explained, taken) in new[] { (own.Model, own.Model), (toggled, toggled), (other, newer.Model), (newest.Model, newest.Model) })
        {
            var found = (await Roll().Handle(project.Reviewer, project.Id, explained.Id, AttributionMethod.Cosine, Stop)).Value;
            Assert.Equal((taken.Id, $"{taken.Id}"), (found.Version!.Id, asked[^1].Model));
        }
        foreach (var version in new[] { own, newer })
            project.Change(db => db.ModelVersions.Single(v => v.Id == version.Model.Id).Retire());
        Assert.Equal(newest.Model.Id, (await Roll().Handle(project.Reviewer, project.Id, other.Id, AttributionMethod.Cosine, Stop)).Value.Version!.Id);
    }

    private RollUpFeatures Roll() => new(project.Contexts, project.Access, engine);

    private Task<Outcome<RolledUpFeatures>> Ask(SeededExplanation seeded, ClaimsPrincipal person, AttributionMethod by = AttributionMethod.Projection) => Roll().Handle(person, project.Id, seeded.RewardModel.Id, by, Stop);

    private static string Card(RolledUpFeatures of, SeededExplanation seeded) => Rendering.Words(Rendering.Html<WhichFeatures>(("Of", of), ("Explained", seeded.RewardModel.Id)));
}
