using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Components;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>X-rays on real SQLite with the fake door, whose rule gives every expected number by hand; and what their drawings must hold.</summary>
public sealed partial class XrayTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly EngineClient engine;

    public XrayTests() => engine = new EngineClient(project.Directory);

    private ShowResponseXray Response => new(project.Contexts, project.Access, engine);
    private ShowPairXray Pair => new(project.Contexts, project.Access, engine);
    private ListPairs Pairs => new(project.Contexts, project.Access, engine);

    public void Dispose()
    {
        engine.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task A_response_is_taken_apart_into_labelled_parts_that_add_up()
    {
        var seeded = new SeededFeatures(project);
        seeded.Label(0, "old mill");
        var response = project.Response(project.Prompt("Where?"), "Go to the mill, friend.");
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var view = (await Response.Handle(project.Reviewer, response, null, null, Stop)).Value;

        // "Go" 1 + 2/8 = 1.25, times .125; "mill," 1 + 5/8, times .75; "friend." 1 + 7/8, times .5.
        Assert.Equal([(0, "old mill", 1.21875), (1, null, .9375), (3, null, .15625)], view.Parts.Select(p => (p.Latent, p.Label, p.Contribution)));
        Assert.Equal(2.3125, view.Xray!.Reward);
        Assert.Equal("Go to the mill, friend.", string.Concat(view.Xray.Tokens));
    }

    [Fact]
    public async Task Heat_of_a_feature_that_adds_nothing_can_be_asked_for()
    {
        var seeded = new SeededFeatures(project);
        seeded.Label(6, "goose");
        var response = project.Response(project.Prompt("Where?"), "Go north.");
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var view = (await Response.Handle(project.Reviewer, response, null, 6, Stop)).Value;
        var beyond = (await Response.Handle(project.Reviewer, response, null, 99, Stop)).Value;

        Assert.Equal([6, 4, 3], view.Xray!.Heat.Select(h => h.Latent));
        Assert.Equal("goose", view.Labels[6]);
        Assert.Equal([4, 3], beyond.Xray!.Heat.Select(h => h.Latent));
    }

    [Fact]
    public async Task A_pair_differs_by_its_features_and_what_both_have_cancels_out()
    {
        var seeded = new SeededFeatures(project);
        seeded.Label(2, "an insult");
        var prompt = project.Prompt("Where?");
        var (good, bad) = (project.Response(prompt, "Go north to the mill"), project.Response(prompt, "Go north you clod"));
        var task = project.Pair(prompt, good, bad);
        var turned = project.Pair(prompt, bad, good);
        var (heron, sim) = (project.Person("heron-1"), project.Person("sim-2", simulated: true));
        project.Vote(task, heron, PairwiseVerdict.Preferred, good, 2);
        project.Vote(turned, sim, PairwiseVerdict.Tie);
        project.Change(db => db.Add(Superseded(project.Vote(task, sim, PairwiseVerdict.Preferred, bad), db)));
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var view = (await Pair.OfTask(project.Reviewer, task.Id, null, null, Stop)).Value;

        // "mill" 1.5 · .75 against nothing; nothing against "clod" 1.5 · −1.25; "Go" and "north" are in both.
        Assert.Equal([(2, "an insult", 0, -1.875, 1.875), (0, null, 1.125, 0, 1.125)], view.Parts.Select(p => (p.Latent, p.Label, p.First, p.Second, p.Difference)));
        Assert.Equal((3.0, 2), (view.Difference!.Value, view.Shared));
        Assert.Equal(view.Difference.Value, view.Parts.Sum(p => p.Difference), 1e-12);
        Assert.Equal(4, view.Heat[2].Second.Activations.Count);
        Assert.Equal(0, view.Heat[2].First.Activations.Sum());
        Assert.Equal([("heron-1", PairwiseVerdict.Preferred, good, 2), ("sim-2", PairwiseVerdict.Tie, default(ResponseId?), default(int?))], view.Votes.Select(v => (v.Voter, v.Verdict, v.Preferred, v.Strength)));

        var table = await (await Pair.Table(project.Reviewer, bad, good, null, Stop)).Value.Rows.ToListAsync();
        Assert.Equal([2, "an insult", -1.25, -1.875, 0.0, -1.875, -1.125], table[0]); // the other way round; without it −3 + 1.875

        static object Superseded(PairwiseJudgement judgement, PortalDbContext db)
        {
            db.PairwiseJudgements.Single(j => j.Id == judgement.Id).MarkSuperseded(judgement.SubmittedAt);
            return new TaskEvent { ProjectId = judgement.ProjectId, TaskId = judgement.TaskId, AnnotatorId = judgement.AnnotatorId, Kind = TaskEventKind.Undone, At = judgement.SubmittedAt };
        }
    }

    [Fact]
    public async Task What_cannot_be_compared_is_refused_by_name()
    {
        new SeededFeatures(project);
        var (prompt, other) = (project.Prompt("Where?"), project.Prompt("When?"));
        var (one, two) = (project.Response(prompt, "North."), project.Response(other, "At noon."));
        var single = project.Single(prompt, one);

        Assert.Contains("different prompts", (await Pair.OfResponses(project.Reviewer, one, two, null, null, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal("second", (await Pair.OfResponses(project.Reviewer, one, one, null, null, Stop)).Refusal!.Problems.Single().Field);
        Assert.Contains("one response", (await Pair.OfTask(project.Reviewer, single.Id, null, null, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal(ProblemKind.NotFound, (await Response.Handle(project.Reviewer, new ResponseId(Guid.NewGuid()), null, null, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Response.Handle(project.Reviewer, one, new ModelVersionId(Guid.NewGuid()), null, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Response.Handle(project.Annotator, one, null, null, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Pair.OfResponses(project.Auditor, one, two, null, null, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Pairs.Handle(project.Annotator, project.Id, null, false, Stop)).Refusal!.Kind);
    }

    [Fact]
    public async Task Without_engine_model_or_text_the_page_still_has_something_to_say()
    {
        var prompt = project.Prompt("Where?");
        var (kept, erased) = (project.Response(prompt, "North."), project.Response(prompt, "South."));
        project.Change(db => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == erased).ContentId).Erase(project.Now));

        var unmade = (await Response.Handle(project.Reviewer, kept, null, null, Stop)).Value;
        new SeededFeatures(project);
        var away = (await Response.Handle(project.Reviewer, kept, null, null, Stop)).Value;
        var gone = (await Pair.OfResponses(project.Reviewer, kept, erased, null, null, Stop)).Value;

        Assert.Null(unmade.Version);
        Assert.Contains("engine is not running", away.Refused!.ToString(), StringComparison.Ordinal);
        Assert.True(gone.Second.IsErased && gone.Difference is null && gone.Refused is null);
    }

    [Fact]
    public async Task Pairs_on_which_model_and_people_disagree_are_found()
    {
        new SeededFeatures(project);
        var heron = project.Person("heron-1");
        var wrong = Judged("You clod", "Go to the mill", prefersFirst: true);
        Judged("Friend, go", "You clod", prefersFirst: true);
        var worse = Judged("clod clod", "mill mill", prefersFirst: true);
        Judged("clod", "mill", prefersFirst: null);
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var latest = (await Pairs.Handle(project.Reviewer, project.Id, null, false, Stop)).Value;
        var asked = door.Asked.Count;
        var disagreeing = (await Pairs.Handle(project.Reviewer, project.Id, null, true, Stop)).Value;

        Assert.Equal((4, 0, 0), (latest.Rows.Count, latest.Compared, asked));
        Assert.Equal([worse.Id, wrong.Id], disagreeing.Rows.Select(row => row.TaskId)); // −3.75 − 2.25 before −1.875 − 1.28
        Assert.Equal((4, -6.0), (disagreeing.Compared, disagreeing.Rows[0].Reward!.Value));

        // Neighbours are those of the list that the reader came from.
        var all = latest.Rows.Select(row => row.TaskId).ToList();
        for (var at = 0; at < all.Count; at++)
        {
            var place = (await Pairs.Place(project.Reviewer, project.Id, all[at], null, disagreements: false, Stop)).Value;
            Assert.Equal((at == 0 ? (TaskId?)null : all[at - 1], at == 3 ? (TaskId?)null : all[at + 1]), (place.Previous, place.Next));
        }
        Assert.Equal(new PairPlace(worse.Id, null), (await Pairs.Place(project.Reviewer, project.Id, wrong.Id, null, disagreements: true, Stop)).Value);
        var elsewhere = all.Except([worse.Id, wrong.Id]).First();
        Assert.Equal(new PairPlace(null, null), (await Pairs.Place(project.Reviewer, project.Id, elsewhere, null, disagreements: true, Stop)).Value);
        Assert.NotNull((await Pairs.Place(project.Annotator, project.Id, wrong.Id, null, disagreements: false, Stop)).Refusal);

        AnnotationTask Judged(string first, string second, bool? prefersFirst)
        {
            var prompt = project.Prompt(Guid.NewGuid().ToString());
            var task = project.Pair(prompt, project.Response(prompt, first), project.Response(prompt, second));
            project.Vote(task, heron, prefersFirst is null ? PairwiseVerdict.Tie : PairwiseVerdict.Preferred, prefersFirst is null ? null : task.FirstResponseId);
            return task;
        }
    }

    [Fact]
    public void The_rest_of_a_waterfall_keeps_the_sum()
    {
        var random = new Random(3);
        var parts = Enumerable.Range(0, 40).Select(i => ($"#{i}", Math.Round(random.NextDouble() - .5, 3))).OrderByDescending(p => Math.Abs(p.Item2)).ToList();

        var steps = WaterfallStep.Of(parts, 8, (count, raises) => $"{count} {(raises ? "up" : "down")}");

        Assert.Equal(parts.Sum(p => p.Item2), steps.Sum(s => s.Value), 1e-12);
        Assert.Equal(10, steps.Count);
        Assert.Equal($"{parts.Skip(8).Count(p => p.Item2 > 0)} up", steps[8].Name);
        Assert.Equal(3, WaterfallStep.Of(parts.Take(3).ToList(), 8, (_, _) => "none").Count);
    }

    /// <summary>Three parts, 2, −1 and 0.5: each bar begins where the last one ended, and the last bar is the sum, 1.5.</summary>
    [Fact]
    public void Bars_of_a_waterfall_touch_and_the_last_one_is_the_sum()
    {
        using var english = new English();
        var html = Rendering.Html<Waterfall>(("Title", "Sum"), ("Unit", "reward"), ("XTitle", "x"), ("TotalName", "sum"),
            ("Steps", (IReadOnlyList<WaterfallStep>)[new("<b>a</b>", 2), new("b", -1), new("c", .5)]), ("Table", (RenderFragment)(_ => { })));

        var drawings = html.Split("class=\"fall-narrow\""); // the same sum is drawn once for wide screens and once for phones
        foreach (var drawing in drawings)
            Drawn([.. Bar().Matches(drawing).Select(m => (m.Groups[1].Value, double.Parse(m.Groups[2].Value), double.Parse(m.Groups[3].Value)))]);
        Assert.Equal(2, drawings.Length);
        Assert.Contains("sum +1.5000", System.Net.WebUtility.HtmlDecode(html), StringComparison.Ordinal);
        Assert.DoesNotContain("<b>a</b>", html, StringComparison.Ordinal);

        static void Drawn(IReadOnlyList<(string Class, double X, double Width)> bars)
        {
            Assert.Equal(["plus", "minus", "plus", "total"], bars.Select(bar => bar.Class));
            var unit = bars[0].Width / 2;
            var zero = bars[0].X;
            Assert.Equal([0, 1, 1, 0], bars.Select(bar => Math.Round((bar.X - zero) / unit, 2)));
            Assert.Equal([2, 1, .5, 1.5], bars.Select(bar => Math.Round(bar.Width / unit, 2)));
        }
    }

    /// <summary>A Tab stop at each of hundreds of tokens would keep a keyboard inside the text.</summary>
    [Theory]
    [InlineData(20, 20)]
    [InlineData(21, 0)]
    public void Tokens_stop_the_Tab_key_only_where_few_fire(int firing, int stops)
    {
        using var english = new English();
        var html = Rendering.Html<HeatText>(("Tokens", Enumerable.Repeat(" a", 60).ToArray()), ("Activations", (double[])[.. Enumerable.Range(0, 60).Select(i => i < firing ? 1.0 : 0)]), ("Max", 1.0), ("Name", "#1"), ("FilePath", "x"));

        Assert.Equal(stops, Regex.Matches(html, "<span class=\"token[^>]*tabindex=\"0\"").Count);
    }

    [Fact]
    public async Task Tokens_and_votes_are_files_without_texts()
    {
        var seeded = new SeededFeatures(project);
        var prompt = project.Prompt("Where?");
        var (first, second) = (project.Response(prompt, "Go to the mill, friend."), project.Response(prompt, "North, clod."));
        var task = project.Pair(prompt, first, second);
        project.Vote(task, project.Person("heron-7"), PairwiseVerdict.Preferred, second, 2);
        project.Vote(task, project.Person("sim-4", simulated: true), PairwiseVerdict.Tie);
        var away = await Response.Heat(project.Reviewer, first, null, 0, Stop);
        var votes = (await Pair.VotesTable(project.Reviewer, first, second, Stop)).Value;
        var turned = (await Pair.VotesTable(project.Reviewer, second, first, Stop)).Value;
        await using var door = await FakeEngineDoor.Open(project.Directory);

        var heat = (await Response.Heat(project.Reviewer, first, seeded.Model.Id, 0, Stop)).Value;

        Assert.Contains("engine is not running", away.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal([["token", "activation"], [4, 1.625]], [[.. heat.Columns], .. await heat.Rows.ToListAsync()]); // " mill," is the fourth: 1 + 5/8
        Assert.Equal(["heron-7,False,Preferred,second,2", "sim-4,True,Tie,,"], (await votes.Rows.ToListAsync()).Select(row => string.Join(',', row)).Order());
        Assert.Contains("heron-7,False,Preferred,first,2", (await turned.Rows.ToListAsync()).Select(row => string.Join(',', row)));
        Assert.Equal(ProblemKind.NotFound, (await Response.Heat(project.Reviewer, first, seeded.Model.Id, 99, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Pair.VotesTable(project.Annotator, first, second, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Pair.VotesTable(project.Reviewer, first, new ResponseId(Guid.NewGuid()), Stop)).Refusal!.Kind);
    }

    [Fact]
    public void A_heated_text_is_the_text_and_hostile_tokens_are_characters()
    {
        using var english = new English();
        string[] tokens = ["Go", " <script>alert(1)</script>", " nor", "th", "\n", "."];

        var html = Rendering.Html<HeatText>(("Tokens", tokens), ("Activations", (double[])[0, .3, 1.5, 3, 0, 0]), ("Max", 3.0), ("Name", "#1"), ("FilePath", "x"));

        var paragraph = Regex.Match(html, "<p[^>]*>(.*?)</p>", RegexOptions.Singleline).Groups[1].Value;
        Assert.Equal(string.Concat(tokens), System.Net.WebUtility.HtmlDecode(Regex.Replace(paragraph, "<[^>]*>", "")));
        Assert.Equal(["token t1", "token t2", "token t3"], Regex.Matches(paragraph, "class=\"([^\"]*)\"").Select(m => m.Groups[1].Value));
        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.Contains("data-z=\"1.50\"", paragraph, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1.84, 1.840009, false)]
    [InlineData(1.84, 1.8401, true)]
    [InlineData(900.0, 900.008, false)]
    public void A_sum_that_is_not_the_reward_is_said_loudly(double model, double sum, bool alarms) =>
        Assert.Equal(alarms, Rendering.Html<SumCheck>(("Model", model), ("Sum", sum)).Contains("role=\"alert\"", StringComparison.Ordinal));

    [GeneratedRegex("""<rect class="(plus|minus|total)"[^>]*? x="([\d.]+)" y="\d+" width="([\d.]+)""")]
    private static partial Regex Bar();
}
