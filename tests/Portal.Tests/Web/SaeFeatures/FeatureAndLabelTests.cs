using Microsoft.AspNetCore.Http;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>One feature and its labels on real SQLite: texts by offsets, erasure, two people at once, labels that could not be tested.</summary>
public sealed class FeatureAndLabelTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly EngineClient engine;

    public FeatureAndLabelTests() => engine = new EngineClient(project.Directory);

    private ShowFeature Show => new(project.Contexts, project.Access, new FeatureRanks(), engine);
    private LabelFeature Store => new(project.Contexts, project.Writes, project.Access, engine, project.Ids, project.Hasher, project.Time);

    public void Dispose()
    {
        engine.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task A_context_is_its_sentence_with_what_stands_around_it()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        var prompt = project.Prompt("Where is the mill?");
        var text = new string('a', 300) + "😀Go north. Cross the river. " + new string('b', 300);
        var (start, length) = (text.IndexOf("Cross", StringComparison.Ordinal), "Cross the river.".Length);
        var whole = project.Response(prompt, text);
        var erased = project.Response(prompt, "Ask the miller.");
        var shorter = project.Response(prompt, "Short.");
        project.Change(db => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == erased).ContentId).Erase(project.Now));
        seeded.Context(2, whole, ContextPosition.Sentence, 0, start, length, 3);
        seeded.Context(2, erased, ContextPosition.End, 0, 0, 15, 4);
        seeded.Context(2, shorter, ContextPosition.End, 1, 0, 7, 2); // one character more than there is
        seeded.Context(2, shorter, ContextPosition.End, 1, 0, 6, 1);

        var contexts = (await Show.Handle(project.Reviewer, seeded.Model.Id, 2, Stop)).Value.Contexts;

        Assert.Equal([(ContextPosition.End, 4.0), (ContextPosition.End, 2.0), (ContextPosition.End, 1.0), (ContextPosition.Sentence, 3.0)], contexts.Select(c => (c.Position, c.Activation)));
        Assert.Equal([null, null, ""], contexts.Take(3).Select(c => c.Before));
        Assert.Equal("Short.", contexts[2].Sentence);
        Assert.Equal("Cross the river.", contexts[3].Sentence);
        Assert.Equal($"…{text[(start - ShowFeature.AroundMax)..start]}", contexts[3].Before);
        Assert.Equal(" " + new string('b', ShowFeature.AroundMax - 1) + "…", contexts[3].After);
    }

    /// <summary>At an end the whole response was read; a page of twenty whole essays would hold nothing else.</summary>
    [Fact]
    public async Task Of_a_long_stretch_the_end_is_shown_where_the_feature_was_read()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(0, atEnd: 1);
        var text = string.Concat(Enumerable.Range(0, 400).Select(i => $"word{i} ")) + "The end.";
        seeded.Context(0, project.Response(project.Prompt("?"), text), ContextPosition.End, 0, 0, text.Length, 1);

        var context = (await Show.Handle(project.Reviewer, seeded.Model.Id, 0, Stop)).Value.Contexts.Single();

        Assert.Equal(("…", text[^ShowFeature.StretchMax..], ""), (context.Before, context.Sentence, context.After));
    }

    [Theory]
    [InlineData(ContextPosition.End, "clod|old mill", "<b>A</b> clod, an old clod at the Old Mill", "clod,clod,Old Mill")]
    [InlineData(ContextPosition.Sentence, "mill", "a windmill", "")]
    [InlineData(ContextPosition.End, null, "a mill", "")]
    public void Words_of_the_pattern_stand_out_and_the_text_is_characters(ContextPosition position, string? pattern, string text, string marked)
    {
        using var english = new English();
        var html = Rendering.Html<ContextText>(("Of", new ShownContext(default, position, 0, 1, "Before. ", text, " After.")), ("Pattern", Phrases.Parse(pattern)));

        Assert.Equal($"Before. {text} After.", System.Net.WebUtility.HtmlDecode(System.Text.RegularExpressions.Regex.Replace(html, "<[^>]*>", "")).Trim());
        Assert.Equal(marked, string.Join(',', System.Text.RegularExpressions.Regex.Matches(html, "<b[^>]*>([^<]*)</b>").Select(match => match.Groups[1].Value)));
        Assert.Equal(position is ContextPosition.Sentence, html.Contains("<mark", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_cut_never_goes_through_one_character()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(0, atEnd: 1);
        // The face's two halves are 160 and 161 characters before the sentence.
        var text = "x😀" + new string('a', ShowFeature.AroundMax - 1) + "End.";
        seeded.Context(0, project.Response(project.Prompt("?"), text), ContextPosition.End, 0, text.Length - 4, 4, 1);

        var context = (await Show.Handle(project.Reviewer, seeded.Model.Id, 0, Stop)).Value.Contexts.Single();

        Assert.Equal("…" + new string('a', ShowFeature.AroundMax - 1), context.Before);
    }

    [Fact]
    public async Task Neighbours_have_their_labels_and_voters_their_pseudonyms()
    {
        var seeded = new SeededFeatures(project);
        var heron = project.Person("heron-7");
        seeded.Feature(1, atEnd: 1, related: [new RelatedFeature(3, .8, .25)], voters: [new VoterShare(heron, 12, .4, .3), new VoterShare(new AnnotatorId(Guid.NewGuid()), 2, .1, -.1)]);
        seeded.Label(3, "old mill");

        var view = (await Show.Handle(project.Reviewer, seeded.Model.Id, 1, Stop)).Value;
        var gone = await Show.Handle(project.Reviewer, seeded.Model.Id, 5, Stop);

        Assert.Equal("old mill", view.Related.Single().Label);
        Assert.Equal(["heron-7", "?"], view.Voters.Select(v => v.Pseudonym));
        Assert.Contains("no feature 5", gone.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal(ProblemKind.Forbidden, (await Show.Handle(project.Annotator, seeded.Model.Id, 1, Stop)).Refusal!.Kind);
    }

    [Fact]
    public async Task A_label_is_tested_before_it_is_stored_and_its_words_stay_out_of_the_audit_log()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        await using var door = await FakeEngineDoor.Open(project.Directory);
        LabelScoreRequest? asked = null;
        door.Score = request => (asked = request, new LabelScoreResponse(new Estimated(.75, .6, .9), .7, 33, null)).Item2;

        var stored = (await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "  an insult ", " clod | | dunce ", Stop)).Value;

        Assert.Equal((1, .75, .7, null), (stored.Version, stored.Detection, stored.Fuzzing, stored.WhyUnscored));
        Assert.Equal(($"{seeded.Model.Id}", 2, "clod|dunce"), (asked!.Model, asked.Latent, asked.Pattern));
        using var db = project.Open();
        var row = db.FeatureLabels.Single();
        Assert.Equal(("an insult", "clod|dunce", LabelSource.Person, .6, .9, 33), (row.Text, row.Pattern, row.Source, row.DetectionLow!.Value, row.DetectionHigh!.Value, row.ScoredOn));
        Assert.Equal(SeededProject.AccountOf(project.Reviewer), row.Author);
        var told = db.AuditEvents.OrderBy(e => e.Sequence).Last();
        Assert.Equal("feature.label", told.Action);
        Assert.DoesNotContain("insult", told.PayloadJson, StringComparison.Ordinal);
        Assert.Null(AuditChain.Verify(db.AuditEvents.OrderBy(e => e.Sequence)).Problem);
    }

    [Theory]
    [InlineData(null, "no pattern")]
    [InlineData("clod", "engine is not running")]
    public async Task A_label_that_cannot_be_tested_is_stored_and_says_why(string? pattern, string why)
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);

        var stored = (await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "an insult", pattern, Stop)).Value;

        Assert.Contains(why, stored.WhyUnscored, StringComparison.Ordinal);
        using var db = project.Open();
        Assert.Null(db.FeatureLabels.Single().Detection);
    }

    [Fact]
    public async Task What_the_engine_says_of_too_few_contexts_is_passed_on_and_a_refused_pattern_stores_nothing()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        await using var door = await FakeEngineDoor.Open(project.Directory);
        door.Score = _ => throw new BadHttpRequestException("The pattern has 900 phrases.");
        var refused = await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "an insult", "clod", Stop);
        door.Score = _ => new LabelScoreResponse(null, null, 3, "It fires on 3 held-out contexts, 10 are needed.");

        var stored = (await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "an insult", "clod", Stop)).Value;

        Assert.Equal(("pattern", ProblemKind.Invalid), (refused.Refusal!.Problems.Single().Field, refused.Refusal.Kind));
        Assert.Equal((1, "It fires on 3 held-out contexts, 10 are needed."), (stored.Version, stored.WhyUnscored));
    }

    [Fact]
    public async Task The_page_tells_why_a_label_was_not_tested()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        await using var door = await FakeEngineDoor.Open(project.Directory);
        door.Score = _ => new LabelScoreResponse(null, null, 13, "Too few.");

        Assert.Equal((WhyUnscored.FewContexts, 13), await Why(0, "clod"));
        Assert.Equal((WhyUnscored.NoPattern, 0), await Why(1, null));
        door.Score = _ => new LabelScoreResponse(new Estimated(.9, .8, .95), null, 40, null);
        Assert.Equal((null, 40), await Why(2, "clod"));
        await door.DisposeAsync();
        Assert.Equal((WhyUnscored.NotTested, 0), await Why(3, "clod"));

        async Task<(WhyUnscored?, int)> Why(int seen, string? pattern)
        {
            Assert.Equal(seen + 1, (await Store.Handle(project.Reviewer, seeded.Model.Id, 2, seen, "an insult", pattern, Stop)).Value.Version);
            var label = (await Show.Handle(project.Reviewer, seeded.Model.Id, 2, Stop)).Value.Row.Label!; // stored just now
            return (label.Unscored, label.ScoredOn);
        }
    }

    /// <summary>Features are the same ones, so is what they mean: the label is the root's, whichever version of the line it was written for, and is tested on what holds for that version.</summary>
    [Fact]
    public async Task A_label_written_for_a_toggled_version_is_its_roots()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        var toggled = project.Model(ModelKind.RewardModel, 2, ToggledVersions.Method, seeded.Model.Id);
        project.Add(Described(toggled.Id));
        await using var door = await FakeEngineDoor.Open(project.Directory);
        var asked = "";
        door.Score = request => new LabelScoreResponse(null, null, 0, asked = request.Model);

        Assert.Equal(1, (await Store.Handle(project.Reviewer, toggled.Id, 2, 0, "an insult", "clod", Stop)).Value.Version);

        Assert.Equal($"{toggled.Id}", asked);
        Assert.Equal("an insult", (await Show.Handle(project.Reviewer, seeded.Model.Id, 2, Stop)).Value.Row.Label!.Text);
        Assert.Equal("an insult", (await Show.Handle(project.Reviewer, toggled.Id, 2, Stop)).Value.Row.Label!.Text);
        using var db = project.Open();
        Assert.Equal(seeded.Model.Id, db.FeatureLabels.Single().ModelVersionId);

        object[] Described(ModelVersionId version)
        {
            var id = project.Ids.New<FeatureDescriptionId>();
            return
            [
                new FeatureDescription
                {
                    Id = id, ProjectId = project.Id, ModelVersionId = version, Latents = 8, Responses = 4, SentenceEnds = 0, Pairs = 0, PromptsDiscovery = 0, PromptsTest = 0, SpecJson = "{}",
                    CodesSha256 = new string('c', 64), At = project.Now,
                },
                new SaeFeature
                {
                    DescriptionId = id, Latent = 2, FiringAtEnd = 2, FiringAtSentence = 0, ActivationMax = 1, ActivationMean = 1, HeadWeight = 1, ContributionMean = 0, GapContribution = 0, PairsDiffering = 0,
                    RewardAuc = null, SelectionScore = null, SelectionP = null, SelectionQ = null, ResidualScore = null, ResidualP = null, ResidualQ = null, HistogramJson = "", RelatedJson = "", VotersJson = "",
                },
            ];
        }
    }

    [Fact]
    public async Task Of_two_people_who_name_a_feature_at_once_the_second_is_refused()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);

        var outcomes = await Task.WhenAll(Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "mine", null, Stop), Store.Handle(project.Admin, seeded.Model.Id, 2, 0, "mine too", null, Stop));

        var loser = Assert.Single(outcomes, o => o.Refusal is not null);
        Assert.Equal(ProblemKind.Conflict, loser.Refusal!.Kind);
        using var db = project.Open();
        Assert.Single(db.FeatureLabels);
        Assert.Single(db.AuditEvents, e => e.Action == "feature.label");
    }

    [Fact]
    public async Task A_label_can_be_withdrawn_once_and_its_history_stays()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        seeded.Label(2, "old mill");

        var stale = await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "", null, Stop);
        var withdrawn = await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 1, " ", "left over", Stop);
        var again = await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 2, "", null, Stop);
        var view = (await Show.Handle(project.Reviewer, seeded.Model.Id, 2, Stop)).Value;

        Assert.Equal(ProblemKind.Conflict, stale.Refusal!.Kind);
        Assert.Equal((2, null), (withdrawn.Value.Version, withdrawn.Value.WhyUnscored));
        Assert.Equal("text", again.Refusal!.Problems.Single().Field);
        Assert.Null(view.Row.Label);
        Assert.Equal([(2, ""), (1, "old mill")], view.Labels.Select(l => (l.Label.Version, l.Label.Text)));
        Assert.Null(view.Labels[0].Label.Pattern);
    }

    [Theory]
    [InlineData("text", 201, 1)]
    [InlineData("pattern", 5, 501)]
    public async Task Too_long_is_refused_field_by_field(string field, int text, int pattern)
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);

        var outcome = await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, new string('a', text), new string('b', pattern), Stop);

        Assert.Equal(field, outcome.Refusal!.Problems.Single().Field);
    }

    [Fact]
    public async Task Nobody_labels_what_is_not_there_or_without_permission()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 2);
        var undescribed = project.Model(ModelKind.RewardModel, 7, "SARM");

        Assert.Equal("latent", (await Store.Handle(project.Reviewer, seeded.Model.Id, 3, 0, "a", null, Stop)).Refusal!.Problems.Single().Field);
        Assert.Equal(ProblemKind.Conflict, (await Store.Handle(project.Reviewer, undescribed.Id, 2, 0, "a", null, Stop)).Refusal!.Kind);
        Assert.Equal("pattern", (await Store.Handle(project.Reviewer, seeded.Model.Id, 2, 0, "a", " | ", Stop)).Refusal!.Problems.Single().Field);
        Assert.Equal(ProblemKind.Forbidden, (await Store.Handle(project.Annotator, seeded.Model.Id, 2, 0, "a", null, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Store.Handle(project.Auditor, seeded.Model.Id, 2, 0, "a", null, Stop)).Refusal!.Kind);
    }

    /// <summary>Files of one feature: what stands in them is what the page shows, texts left out.</summary>
    [Fact]
    public async Task The_tables_of_a_feature_come_as_files()
    {
        var seeded = new SeededFeatures(project);
        seeded.Feature(2, atEnd: 36, raw: .25, related: [new RelatedFeature(3, .8, .25)]);
        seeded.Context(2, project.Response(project.Prompt("?"), "Ask."), ContextPosition.End, 0, 0, 4, 2);
        var export = new ExportFeature(Show);

        var tables = new Dictionary<FeatureTableKind, List<IReadOnlyList<object?>>>();
        foreach (var kind in Enum.GetValues<FeatureTableKind>())
            tables[kind] = await (await export.Handle(project.Reviewer, seeded.Model.Id, 2, kind, Stop)).Value.Rows.ToListAsync();

        Assert.Equal(8, tables[FeatureTableKind.Histogram].Count);
        Assert.Equal([.5, 1.0, 7, 0], tables[FeatureTableKind.Histogram][1]); // of 4 in 8 steps; 36 firings fall 8, 7, 6 ... 1
        Assert.Equal([3, null, .8, .25], tables[FeatureTableKind.Related].Single());
        Assert.DoesNotContain("Ask.", tables[FeatureTableKind.Contexts].Single());
        Assert.Empty(tables[FeatureTableKind.Labels]);
        Assert.Equal(["as_it_stands", "at_equal_reward"], tables[FeatureTableKind.Selection].Select(row => row[0]));
        Assert.Equal([1, 1, .25, .004, .02, 0], tables[FeatureTableKind.Selection][0].Skip(1));
        Assert.All(tables[FeatureTableKind.Selection][1].Skip(3).Take(3), Assert.Null); // too few pairs for that one
    }
}
