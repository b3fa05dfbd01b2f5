using System.Security.Claims;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Tests.Data;
using Portal.Tests.Web.Annotate;
using Portal.Web.Annotate;
using Portal.Web.Review;
using Xunit;

namespace Portal.Tests.Web.Review;

/// <summary>The queue of flags, on the handlers that page and HTTP address call. Runs on both databases; the clock is the test's.</summary>
public abstract class FlagTriageTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly TestPortal portal;
    private readonly ProjectId project;
    private readonly ClaimsPrincipal person, reviewer, second;
    private int questions;

    protected FlagTriageTests(PostgresFixture? postgres)
    {
        portal = new TestPortal(postgres);
        project = portal.Seed.Project();
        (person, reviewer, second) = (portal.Person("one"), portal.Person("reviewer", RoleNames.Reviewer), portal.Person("second", RoleNames.Reviewer));
    }

    public void Dispose() => portal.Dispose();

    [Fact]
    public async Task Every_wrong_field_of_a_flag_is_named_at_once()
    {
        var input = new FlagInput { Reason = (FlagReason)99, Severity = (FlagSeverity)7, Note = new string('x', Flag.NoteLengthMax + 1), Preferred = "a\0b", Place = "elsewhere" };

        var outcome = await portal.Get<FlagResponse>().Handle(person, default, Response("a"), input, Stop);

        Assert.Equal(["flagId", "note", "place", "preferred", "reason", "severity"], outcome.Refusal!.Problems.Select(p => p.Field).Order());
        using var db = portal.Open();
        Assert.Empty(db.Flags);
    }

    [Fact]
    public async Task A_flag_keeps_how_bad_it_is_and_a_better_answer_that_can_be_erased()
    {
        var response = Response("Twelve minus three is eight.");
        var same = await Flagged(person, response, preferred: " Twelve minus three is eight. ");

        var id = (await Flagged(person, response, severity: FlagSeverity.High, preferred: " Nine. ")).Value;
        var shown = (await portal.Get<ShowFlag>().Handle(reviewer, id, Stop)).Value;
        using (var db = portal.Open())
        {
            var content = db.Contents.Single(c => c.Kind == ContentKind.PreferredAnswer);
            Assert.Equal(portal.Get<Portal.Data.Storage.ContentHasher>().Hash("Nine."), content.KeyedHash);
            content.Erase(portal.Clock.GetUtcNow());
            db.SaveChanges();
        }
        var erased = (await portal.Get<ShowFlag>().Handle(reviewer, id, Stop)).Value;

        Assert.NotNull(same.Refusal?.About("preferred"));
        Assert.Equal((FlagSeverity.High, "Nine."), (shown.Row.Severity, shown.Preferred));
        Assert.Null(erased.Preferred);
    }

    [Fact]
    public async Task Texts_that_read_alike_are_one_row_within_a_project()
    {
        var elsewhere = portal.Seed.Task(portal.Seed.Project("Other"), "Q?", "Grass, you nitwit.").FirstResponseId;
        await Flagged(person, Response("Grass, you nitwit."));
        Later(1);
        await Flagged(portal.Person("two"), Response("grass you NITWIT!"), severity: FlagSeverity.High);
        await Flagged(person, Response("Grass, you nitwit, 5."));
        await Flagged(person, elsewhere);

        var list = (await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, null, Stop)).Value;
        var chosen = (await portal.Get<ShowFlag>().Handle(reviewer, list.Rows[0].Id, Stop)).Value;

        Assert.Equal(4, list.Open);
        Assert.Equal([("grass you NITWIT!", 2), ("Grass, you nitwit, 5.", 1), ("Grass, you nitwit.", 1)], list.Rows.Select(r => (r.Text!, r.Alike)).OrderByDescending(r => r.Item2).ThenByDescending(r => r.Item1.Length)); // not erased
        Assert.Equal("grass you NITWIT!", list.Rows[0].Text); // the worst of them stands for all, and first
        Assert.Equal((2, false), (chosen.AlikeOpen, Assert.Single(chosen.Others).IsSameText));
    }

    /// <summary>A flag of before has its response's hash for a key: later ones on that response, or on the very same text, join it.</summary>
    [Fact]
    public async Task A_flag_of_before_is_joined_by_later_ones()
    {
        var (old, copy) = (Response("Grass, you nitwit."), Response("Grass, you nitwit."));
        using (var db = portal.Open())
        {
            db.Flags.Add(new Flag
            {
                Id = Fresh(), ProjectId = project, ResponseId = old, AnnotatorId = Annotator(db), Reason = FlagReason.Insult, Place = "annotate", At = portal.Clock.GetUtcNow(),
                AlikeKey = db.Responses.Single(r => r.Id == old).ContentHash,
            });
            db.SaveChanges();
        }

        await Flagged(person, old);
        await Flagged(person, copy);

        Assert.Equal(3, Assert.Single((await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, null, Stop)).Value.Rows).Alike);
    }

    [Fact]
    public async Task The_worst_come_first_then_who_waits_longest_and_pages_lose_nobody_at_one_moment()
    {
        var people = Enumerable.Range(0, 9).Select(i => portal.Person($"p{i}")).ToList();
        for (var i = 0; i < 27; i++)
            await Flagged(people[i % 9], Response($"answer {i}"), severity: (FlagSeverity)(1 + (i % 3)), reason: i == 26 ? FlagReason.Slogan : FlagReason.Nonsense); // all at one moment

        var first = (await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, null, Stop)).Value;
        var rest = (await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, first.Earlier, Stop)).Value;
        var slogans = (await portal.Get<ListFlags>().Handle(reviewer, new FlagFilter(null, FlagReason.Slogan), null, Stop)).Value;

        var all = first.Rows.Concat(rest.Rows).ToList();
        Assert.Equal((ListFlags.PageSize, 7, null), (first.Rows.Count, rest.Rows.Count, rest.Earlier));
        Assert.Equal(27, all.Select(r => r.Text).Distinct().Count());
        Assert.Equal(all.Select(r => r.Severity).OrderDescending(), all.Select(r => r.Severity));
        Assert.Equal("answer 26", Assert.Single(slogans.Rows).Text);
    }

    [Fact]
    public async Task A_decision_is_about_one_flag_or_all_alike_and_each_is_in_the_log()
    {
        var ids = new List<FlagId>();
        for (var i = 0; i < 3; i++)
            ids.Add((await Flagged(portal.Person($"p{i}"), Response("Same."))).Value);

        var one = (await portal.Get<CloseFlag>().Handle(reviewer, ids[0], FlagState.Dismissed, Stop)).Value;
        var rest = (await portal.Get<CloseFlag>().Handle(reviewer, ids[1], FlagState.Confirmed, everyAlike: true, Stop)).Value;
        var again = (await portal.Get<CloseFlag>().Handle(second, ids[2], FlagState.Confirmed, Stop)).Value;

        Assert.Equal((1, 2, 0), (one.Closed, rest.Closed, again.Closed));
        using var db = portal.Open();
        Assert.Equal([FlagState.Dismissed, FlagState.Confirmed, FlagState.Confirmed], ids.Select(id => db.Flags.Single(f => f.Id == id).State));
        Assert.Equal([("flag.dismiss", ids[0]), ("flag.confirm", ids[1]), ("flag.confirm", ids[2])], db.AuditEvents.OrderBy(e => e.Sequence).AsEnumerable().Select(e => (e.Action, FlagId.Parse(e.EntityId, null))));
    }

    [Fact]
    public async Task A_flag_is_with_one_reviewer_at_a_time()
    {
        var id = (await Flagged(person, Response("Same."))).Value;
        await Flagged(portal.Person("two"), Response("same"));
        var assign = portal.Get<AssignFlag>();

        Assert.Equal(2, (await assign.Handle(reviewer, id, take: true, Stop)).Value); // those alike go with it
        var row = Assert.Single((await portal.Get<ListFlags>().Handle(second, FlagState.Open, null, Stop)).Value.Rows);
        Assert.Equal(("reviewer", false), (row.With, row.IsMine));
        Assert.Equal(ProblemKind.Conflict, (await assign.Handle(second, id, take: true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Conflict, (await assign.Handle(second, id, take: false, Stop)).Refusal?.Kind);
        Later(24 * 60);
        Assert.Equal(1, (await assign.Handle(second, id, take: true, Stop)).Value); // a day is long enough
        Assert.Equal(1, (await assign.Handle(second, id, take: false, Stop)).Value);
        Assert.Null((await portal.Get<CloseFlag>().Handle(reviewer, id, FlagState.Dismissed, Stop)).Refusal);
        Assert.Equal(ProblemKind.Conflict, (await assign.Handle(second, id, take: true, Stop)).Refusal?.Kind); // decided
    }

    [Fact]
    public async Task Two_reviewers_who_take_one_at_once_do_not_both_have_it()
    {
        var id = (await Flagged(person, Response("Same."))).Value;

        var outcomes = await Task.WhenAll(new[] { reviewer, second, reviewer, second }.Select(who => Task.Run(() => portal.Get<AssignFlag>().Handle(who, id, take: true, Stop))));

        using var db = portal.Open();
        var holder = db.Flags.Single(f => f.Id == id).AssignedTo;
        var others = new[] { reviewer, second }.Single(who => Guid.Parse(who.FindFirstValue(ClaimTypes.NameIdentifier)!) != holder); // they have one
        Assert.All(outcomes.Where((_, i) => new[] { reviewer, second, reviewer, second }[i] == others), outcome => Assert.Equal(ProblemKind.Conflict, outcome.Refusal?.Kind));
    }

    [Fact]
    public async Task The_first_look_and_only_the_first_is_kept()
    {
        var id = (await Flagged(person, Response("Same."))).Value;
        Later(5);
        await portal.Get<ShowFlag>().Handle(reviewer, id, Stop);
        Later(5);
        await portal.Get<ShowFlag>().Handle(second, id, Stop);

        using var db = portal.Open();
        var flag = db.Flags.Single(f => f.Id == id);
        Assert.Equal(flag.At.AddMinutes(5), flag.FirstLookAt);
    }

    [Fact]
    public async Task Somebody_who_flags_too_much_is_told_when_to_come_back()
    {
        for (var i = 0; i < FlagWriter.InTenMinutesMax; i++)
            Assert.Null((await Flagged(person, Response($"a{i}"))).Refusal);
        Later(4);
        var tooSoon = await Flagged(person, Response("one more"));
        var another = await Flagged(portal.Person("two"), Response("one more"));
        Later(6);
        Assert.Null((await Flagged(person, Response("now"))).Refusal);
        for (var i = FlagWriter.InTenMinutesMax + 1; i < FlagWriter.InADayMax; i++)
        {
            Later(1);
            Assert.Null((await Flagged(person, Response($"b{i}"))).Refusal);
        }
        Later(11);
        var tooMuch = await Flagged(person, Response("still"));
        Later((24 * 60) - 60); // the first twenty are a day old
        var next = await Flagged(person, Response("next day"));

        Assert.Equal(ProblemKind.TooMuch, tooSoon.Refusal?.Kind);
        Assert.Contains("flagged 20 responses in ten minutes", tooSoon.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("again in 6 min", tooSoon.Refusal.ToString(), StringComparison.Ordinal);
        Assert.Null(another.Refusal); // each person has their own
        Assert.Contains("flagged 60 responses in a day", tooMuch.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("again in 23 h 0 min", tooMuch.Refusal.ToString(), StringComparison.Ordinal); // 10 + 39 + 11 minutes after the first
        Assert.Null(next.Refusal);
    }

    [Fact]
    public async Task Many_flags_of_one_person_at_once_need_two_reviewers()
    {
        for (var i = 0; i < FlagWriter.Many - 1; i++)
            await Flagged(person, Response($"a{i}"));
        Later(11);
        await Flagged(person, Response("later")); // four, but not within ten minutes
        Assert.Empty(Held());
        for (var i = 0; i < FlagWriter.Many; i++)
            await Flagged(portal.Person($"p{i}"), Response($"b{i}")); // four people
        Assert.Empty(Held());
        var ids = new List<FlagId>();
        for (var i = 0; i < FlagWriter.Many - 1; i++)
            ids.Add((await Flagged(person, Response($"c{i}"))).Value);
        Assert.Equal(FlagWriter.Many, Held().Count); // with the one before
        var close = portal.Get<CloseFlag>();

        var first = (await close.Handle(reviewer, ids[0], FlagState.Confirmed, Stop)).Value;
        var same = await close.Handle(reviewer, ids[0], FlagState.Confirmed, Stop);
        var note = Assert.Single((await portal.Get<ShowServiceTimes>().Handle(second, Stop)).Value.Held);
        var row = (await portal.Get<ShowFlag>().Handle(second, ids[0], Stop)).Value.Row;
        var final = (await close.Handle(second, ids[0], FlagState.Confirmed, Stop)).Value;
        var dismissed = (await close.Handle(reviewer, ids[1], FlagState.Dismissed, Stop)).Value;

        Assert.Equal((0, 1), (first.Closed, first.Waiting));
        Assert.Contains("a second reviewer must confirm it too", same.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal((FlagState.Open, true), (row.State, row.IsConfirmedOnce));
        Assert.Equal((FlagHold.Burst, FlagReason.Nonsense, FlagWriter.Many), (note.Why, note.Reason, note.Count));
        Assert.Equal((1, 0, 1), (final.Closed, final.Waiting, dismissed.Closed));
        Assert.Equal(2, (await portal.Get<ListFlags>().Handle(reviewer, new FlagFilter(FlagState.Open, null, HeldOnly: true), null, Stop)).Value.Rows.Count);
        using var db = portal.Open();
        Assert.Equal(["flag.confirm-first", "flag.confirm", "flag.dismiss"], db.AuditEvents.OrderBy(e => e.Sequence).Select(e => e.Action));
    }

    /// <summary>Five decided and none confirmed: Wilson's upper end is .434, below a half. Four of five: .376 to .964.</summary>
    [Fact]
    public async Task One_reason_again_and_again_is_held_where_few_of_a_persons_flags_were_confirmed()
    {
        var other = portal.Person("trusted");
        for (var i = 0; i < FlagWriter.DecidedMin; i++)
        {
            Later(60);
            var seen = (await Flagged(other, Response($"t{i}"))).Value;
            await portal.Get<CloseFlag>().Handle(reviewer, (await Flagged(person, Response($"a{i}"))).Value, FlagState.Dismissed, Stop);
            if (i == FlagWriter.DecidedMin - 1)
                Assert.Null((await portal.Get<ShowFlag>().Handle(reviewer, seen, Stop)).Value.Confirmed); // four decided say nothing
            await portal.Get<CloseFlag>().Handle(reviewer, seen, i == 0 ? FlagState.Dismissed : FlagState.Confirmed, Stop);
        }
        FlagId last = default;
        for (var i = 0; i < FlagWriter.Many; i++)
        {
            Later(60);
            await Flagged(person, Response($"b{i}"), reason: FlagReason.Slogan);
            last = (await Flagged(other, Response($"u{i}"), reason: FlagReason.Slogan)).Value;
        }

        var held = Held();
        var share = (await portal.Get<ShowFlag>().Handle(reviewer, last, Stop)).Value.Confirmed!; // five were decided

        Assert.Equal(Enumerable.Repeat(FlagHold.Pattern, FlagWriter.Many), held.Select(f => f.Held));
        Assert.Single(held.Select(f => f.AnnotatorId).Distinct());
        Assert.Equal((.8, 5), (share.Value, share.Count));
        Assert.Equal((.376, .964), (Math.Round(share.Low, 3), Math.Round(share.High, 3)));
    }

    [Fact]
    public async Task The_queue_is_a_reviewers_and_suggestions_are_an_admins()
    {
        var id = (await Flagged(person, Response("Same."))).Value;

        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<ListFlags>().Handle(person, FlagState.Open, null, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<ShowFlag>().Handle(person, id, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<CloseFlag>().Handle(person, id, FlagState.Dismissed, everyAlike: true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<AssignFlag>().Handle(person, id, take: true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<ShowServiceTimes>().Handle(person, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<ShowTry>().Handle(person, project, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<SuggestFlags>().Handle(reviewer, project, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<FlagResponse>().Handle(portal.Person("auditor", RoleNames.Auditor), Fresh(), Response("x"), FlagReason.Other, null, "results", Stop)).Refusal?.Kind);
        using var db = portal.Open();
        Assert.Null(db.Flags.Single().FirstLookAt);
    }

    private Task<Outcome<FlagId>> Flagged(ClaimsPrincipal who, ResponseId response, FlagReason reason = FlagReason.Nonsense, FlagSeverity severity = FlagSeverity.Medium, string? preferred = null) =>
        portal.Get<FlagResponse>().Handle(who, Fresh(), response, new FlagInput { Reason = reason, Severity = severity, Preferred = preferred, Place = "judge" }, Stop);

    private ResponseId Response(string text) => portal.Seed.Task(project, $"Question {++questions}?", text).FirstResponseId;

    private void Later(int minutes) => portal.Clock.Advance(TimeSpan.FromMinutes(minutes));

    private List<Flag> Held()
    {
        using var db = portal.Open();
        return [.. db.Flags.Where(f => f.Held != FlagHold.None)];
    }

    private AnnotatorId Annotator(PortalDbContext db)
    {
        var annotator = new Portal.Data.Annotators.Annotator { Id = new(Guid.CreateVersion7()), Pseudonym = "heron-12", CreatedAt = portal.Clock.GetUtcNow() };
        db.Annotators.Add(annotator);
        return annotator.Id;
    }

    private static FlagId Fresh() => new(Guid.CreateVersion7());
}

public sealed class FlagTriageOnSqliteTests() : FlagTriageTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class FlagTriageOnPostgresTests(PostgresFixture postgres) : FlagTriageTests(postgres);
