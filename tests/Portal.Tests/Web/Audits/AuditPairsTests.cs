using System.Security.Claims;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>From numbers to texts, and from texts to reviewers and annotators: on real SQLite, expected by the rules of <see cref="MadeUpAudit"/>.</summary>
public sealed class AuditPairsTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly AuditHandlers handlers;
    private readonly MadeUpAudit seeded;

    public AuditPairsTests()
    {
        handlers = new AuditHandlers(project);
        seeded = new MadeUpAudit(project);
    }

    public void Dispose()
    {
        handlers.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task Every_number_leads_to_its_pairs()
    {
        Assert.Equal(20, (await Show(new AuditPairsQuery(AuditPairsOf.All))).Total);
        Assert.Equal([0, 1, 2, 3, 4], await Indices(new AuditPairsQuery(AuditPairsOf.Incentive, "readable", "refuses_harmless")));
        Assert.Equal([16, 12], await Indices(new AuditPairsQuery(AuditPairsOf.Undetermined))); // every fourth test pair; the later one has more to settle
        Assert.Equal([12, 17, 13, 18], await Indices(new AuditPairsQuery(AuditPairsOf.Bin, First: 1))); // probabilities .3 .3 .4 .4
        Assert.Equal([14, 19, 15, 16], await Indices(new AuditPairsQuery(AuditPairsOf.Bin, First: 2)));
        Assert.Equal([12, 14, 16, 18], await Indices(new AuditPairsQuery(AuditPairsOf.Runs, Method: MadeUpAudit.Method, First: 5, Second: 0)));
        Assert.Empty(await Indices(new AuditPairsQuery(AuditPairsOf.Runs, Method: MadeUpAudit.Method, First: 1, Second: 0)));
        Assert.Equal([18, 15, 12], (await Indices(new AuditPairsQuery(AuditPairsOf.Apart))).Take(3)); // 1 + i/100 where i is a multiple of 3
        foreach (var wrong in new[] { new AuditPairsQuery(AuditPairsOf.Incentive, "readable", "nothing"), new AuditPairsQuery(AuditPairsOf.Bin, First: 9), new AuditPairsQuery(AuditPairsOf.Bin, First: -1), new AuditPairsQuery(AuditPairsOf.Runs, Method: MadeUpAudit.Method, First: 6), new AuditPairsQuery(AuditPairsOf.Runs, Method: "none") })
            Assert.Equal(ProblemKind.NotFound, (await handlers.Get<ShowAuditPairs>().Handle(project.Auditor, seeded.JobId, wrong, 0, Stop)).Refusal?.Kind);
    }

    [Fact]
    public async Task A_page_of_pairs_has_both_texts_and_says_which_were_erased()
    {
        seeded.EraseAudited(1);

        var view = await Show(new AuditPairsQuery(AuditPairsOf.All));

        Assert.StartsWith("Go past the mill, then 0 houses on.", view.Rows[0].Base?.Text, StringComparison.Ordinal);
        Assert.StartsWith("I would rather not help with that, 0.", view.Rows[0].Audited?.Text, StringComparison.Ordinal);
        Assert.True(view.Rows[1].Audited?.IsErased);
        Assert.Null(view.Rows[1].Audited?.Text);
        Assert.Equal(0, (await handlers.Get<ShowAuditPairs>().Handle(project.Auditor, seeded.JobId, new AuditPairsQuery(AuditPairsOf.All), 99, Stop)).Value.Page); // past the end: the last page
    }

    [Fact]
    public async Task A_prompt_shows_its_texts_with_the_scores_of_every_run()
    {
        var view = (await handlers.Get<ShowAuditPair>().Handle(project.Auditor, seeded.JobId, seeded.Prompts[12].Prompt, Stop)).Value;

        Assert.Equal([AuditSide.Audited, AuditSide.Audited, AuditSide.Base, AuditSide.Base], view.Texts.Select(text => text.Side));
        Assert.Equal(6, view.Scores[view.Pair!.AuditedText].Methods[MadeUpAudit.Method].Length); // a test prompt has a pair
        Assert.True(view.Test?.IsUndetermined);
        Assert.Null(view.Failure);
        var failed = (await handlers.Get<ShowAuditPair>().Handle(project.Auditor, seeded.JobId, seeded.Prompts[0].Prompt, Stop)).Value;
        Assert.Equal((AuditFailureKind.Misclassified, 0), (failed.Failure!.Kind, failed.Scores.Count)); // the first is a failure by rule
        Assert.Equal(["refuses_harmless", "vague", "question"], failed.Examples.Select(example => example.Row.Key));
        Assert.Equal(ProblemKind.NotFound, (await handlers.Get<ShowAuditPair>().Handle(project.Auditor, seeded.JobId, new PromptId(Guid.NewGuid()), Stop)).Refusal?.Kind);
    }

    /// <summary>By the rule: 0, 2, 4, 6, 8 are wrong, of which 0, 4, 8 are screened in 4 of 6 runs and ordered otherwise by the trained reward.</summary>
    [Fact]
    public async Task Failures_are_filtered_and_paged()
    {
        var wrong = (await handlers.Get<ListFailures>().Handle(project.Auditor, seeded.JobId, FailureFilter.Wrong, 0, Stop)).Value;

        Assert.Equal(new Dictionary<FailureFilter, int> { [FailureFilter.Wrong] = 5, [FailureFilter.NearTie] = 5, [FailureFilter.MaybeMislabelled] = 3, [FailureFilter.Disagrees] = 3 }, wrong.Counts);
        Assert.Equal(new[] { 0, 2, 4, 6, 8 }, wrong.Rows.Select(row => IndexOf(row.Failure.Pair)));
        Assert.False(wrong.MayMakeTasks);
        Assert.True((await handlers.Get<ListFailures>().Handle(project.Admin, seeded.JobId, FailureFilter.NearTie, 5, Stop)).Value is { MayMakeTasks: true, Page: 0 });
        Assert.Equal([0, 4, 8], (await handlers.Get<ListFailures>().Handle(project.Auditor, seeded.JobId, FailureFilter.Disagrees, 0, Stop)).Value.Rows.Select(row => IndexOf(row.Failure.Pair)));
    }

    [Fact]
    public async Task Failures_are_flagged_once_with_what_the_audit_says()
    {
        seeded.EraseAudited(2);
        string[] chosen = [Pair(0), Pair(0), Pair(2), Pair(3), Pair(12), "no pair"];

        var first = (await handlers.Get<SendToReview>().Handle(project.Auditor, seeded.JobId, chosen, Stop)).Value;
        var again = (await handlers.Get<SendToReview>().Handle(project.Admin, seeded.JobId, chosen, Stop)).Value;

        Assert.Equal(1, first.Made);
        Assert.Equal(new Dictionary<NotSent, int> { [NotSent.Erased] = 1, [NotSent.SameText] = 1, [NotSent.NoFailure] = 2 }, first.Left);
        Assert.Equal((0, 1), (again.Made, again.Left[NotSent.Already]));
        using var db = project.Open();
        var flag = db.Flags.Single(f => f.ResponseId == seeded.Prompts[0].Audited);
        Assert.Equal((FlagReason.Other, "audit", FlagState.Open), (flag.Reason, flag.Place, flag.State));
        Assert.Equal("Audit 1: the reward recovered from policy v2 prefers the base's answer (margin -1.20, wrong in 5 of 6 runs).", db.Contents.Single(c => c.Id == flag.NoteId).Text);
        Assert.Equal("""{"flags":1}""", db.AuditEvents.Single(e => e.Action == "audit.flag").PayloadJson);
        Assert.Null(AuditChain.Verify(db.AuditEvents.OrderBy(e => e.Sequence)).Problem);
    }

    [Fact]
    public async Task Failures_become_tasks_once()
    {
        project.Pair(seeded.Prompts[4].Prompt, seeded.Prompts[4].Base, seeded.Prompts[4].Audited); // there already, the other way round

        var first = (await handlers.Get<MakeFailureTasks>().Handle(project.Admin, seeded.JobId, [Pair(0), Pair(1), Pair(4)], Stop)).Value;
        var again = (await handlers.Get<MakeFailureTasks>().Handle(project.Admin, seeded.JobId, [Pair(0), Pair(1), Pair(4)], Stop)).Value;

        Assert.Equal((2, 1), (first.Made, first.Left[NotSent.Already]));
        Assert.Equal((0, 3), (again.Made, again.Left[NotSent.Already]));
        using var db = project.Open();
        var tasks = db.Tasks.Where(t => t.JobId == seeded.JobId).ToList();
        Assert.Equal(2, tasks.Count);
        Assert.Equal(new HashSet<(ResponseId, ResponseId)> { (seeded.Prompts[0].Audited, seeded.Prompts[0].Base), (seeded.Prompts[1].Audited, seeded.Prompts[1].Base) },
            tasks.Select(t => (t.FirstResponseId, t.SecondResponseId!.Value)).ToHashSet()); // pairs have two; tasks made within a millisecond have ids in any order
        Assert.All(tasks, task => Assert.Equal((TaskKind.Pairwise, TaskPurpose.Collect, TaskState.Open), (task.Kind, task.Purpose, task.State)));
        Assert.Equal("""{"tasks":2}""", db.AuditEvents.Single(e => e.Action == "audit.tasks").PayloadJson);
    }

    [Fact]
    public async Task Nothing_too_much_and_a_project_without_pairs_are_refused()
    {
        Assert.Equal("Choose at least one failure.", (await handlers.Get<SendToReview>().Handle(project.Auditor, seeded.JobId, [], Stop)).Refusal?.ToString());
        Assert.Equal(ProblemKind.TooMuch, (await handlers.Get<MakeFailureTasks>().Handle(project.Admin, seeded.JobId, [.. Enumerable.Range(0, 201).Select(i => $"{i}")], Stop)).Refusal?.Kind);
        project.Change(db => db.Projects.Single(p => p.Id == project.Id).TaskKinds = TaskKinds.Binary);
        Assert.Contains("asks for no pairwise judgements", (await handlers.Get<MakeFailureTasks>().Handle(project.Admin, seeded.JobId, [Pair(0)], Stop)).Refusal?.ToString(), StringComparison.Ordinal);
    }

    /// <summary>Who may do what: everything is the auditor's and the admin's, tasks are the admin's only.</summary>
    [Fact]
    public async Task Only_auditors_and_admins_are_let_in()
    {
        foreach (var (user, audits, tasks) in new[] { (project.Admin, true, true), (project.Auditor, true, false), (project.Reviewer, false, false), (project.Annotator, false, false), (new ClaimsPrincipal(), false, false) })
        {
            Refusal?[] reading =
            [
                (await handlers.Get<ShowAuditPairs>().Handle(user, seeded.JobId, new AuditPairsQuery(AuditPairsOf.All), 0, Stop)).Refusal, (await handlers.Get<ShowAuditPair>().Handle(user, seeded.JobId, seeded.Prompts[0].Prompt, Stop)).Refusal,
                (await handlers.Get<ListFailures>().Handle(user, seeded.JobId, FailureFilter.Wrong, 0, Stop)).Refusal, (await handlers.Get<SendToReview>().Handle(user, seeded.JobId, [Pair(0)], Stop)).Refusal,
                (await handlers.Get<CompareAudits>().Handle(user, project.Id, seeded.JobId, seeded.JobId, Stop)).Refusal, (await handlers.Get<ReadAuditDocument>().Handle(user, seeded.JobId, Stop)).Refusal,
                (await handlers.Get<ExportAudit>().Json(user, seeded.JobId, Stop)).Refusal, (await handlers.Get<ExportAudit>().Html(user, seeded.JobId, Stop)).Refusal, (await handlers.Get<ExportAudit>().Table(user, seeded.JobId, AuditTable.Failures, Stop)).Refusal,
            ];
            Assert.All(reading, refusal => Assert.Equal(audits ? null : ProblemKind.Forbidden, refusal?.Kind));
            Assert.Equal(tasks ? null : ProblemKind.Forbidden, (await handlers.Get<MakeFailureTasks>().Handle(user, seeded.JobId, [Pair(0)], Stop)).Refusal?.Kind);
        }
    }

    [Fact]
    public async Task A_typed_answer_is_scored_under_every_run()
    {
        await using var door = await FakeEngineDoor.Open(project.Directory);
        var score = handlers.Get<ScoreTypedText>();

        var scored = (await score.Handle(project.Auditor, seeded.JobId, "How many legs has a hen?", " Two, my friend. ", Stop)).Value;

        Assert.Equal((MadeUpAudit.Method, 4.5), (scored.Own.Method, scored.Own.Mean)); // three words: 3 and 6
        Assert.Equal([3, 6], scored.Own.Runs);
        Assert.Equal("random-head", Assert.Single(scored.Others).Method);
        Assert.Equal("response", (await score.Handle(project.Auditor, seeded.JobId, "a", " ", Stop)).Refusal?.Problems[0].Field);
        Assert.Equal("prompt", (await score.Handle(project.Auditor, seeded.JobId, "", "a", Stop)).Refusal?.Problems[0].Field);
        Assert.Equal(ProblemKind.TooMuch, (await score.Handle(project.Auditor, seeded.JobId, "a", new string('a', 20_001), Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await score.Handle(project.Reviewer, seeded.JobId, "a", "b", Stop)).Refusal?.Kind);
    }

    private async Task<AuditPairsView> Show(AuditPairsQuery query) => (await handlers.Get<ShowAuditPairs>().Handle(project.Auditor, seeded.JobId, query, 0, Stop)).Value;

    private async Task<IReadOnlyList<int>> Indices(AuditPairsQuery query) => [.. (await Show(query)).Rows.Select(row => IndexOf(row.Pair.Id))];

    private string Pair(int index) => $"{seeded.Prompts[index].Prompt}";

    private int IndexOf(string pair) => seeded.Prompts.FindIndex(prompt => $"{prompt.Prompt}" == pair);
}
