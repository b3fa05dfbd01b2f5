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
public abstract class FlagTriageTests(PostgresFixture? postgres) : FlaggingTests(postgres)
{
    [Fact]
    public async Task Texts_that_read_alike_are_one_row_within_a_project()
    {
        var elsewhere = Site.Seed.Task(Site.Seed.Project("Other"), "Q?", "Grass, you nitwit.").FirstResponseId;
        await Flagged(Person, Response("Grass, you nitwit."));
        Later(1);
        await Flagged(Site.Person("two"), Response("grass you NITWIT!"), severity: FlagSeverity.High);
        await Flagged(Person, Response("Grass, you nitwit, 5."));
        await Flagged(Person, elsewhere);

        var list = (await Site.Get<ListFlags>().Handle(Reviewer, FlagState.Open, null, Stop)).Value;
        var chosen = (await Site.Get<ShowFlag>().Handle(Reviewer, list.Rows[0].Id, Stop)).Value;

        Assert.Equal(4, list.Open);
        Assert.Equal([("grass you NITWIT!", 2), ("Grass, you nitwit, 5.", 1), ("Grass, you nitwit.", 1)], list.Rows.Select(r => (r.Text!, r.Alike)).OrderByDescending(r => r.Item2).ThenByDescending(r => r.Item1.Length)); // not erased
        Assert.Equal("grass you NITWIT!", list.Rows[0].Text); // the worst of them stands for all, and first
        Assert.Equal((2, false), (chosen.AlikeOpen, Assert.Single(chosen.Others).IsSameText));
    }

    [Fact]
    public async Task The_worst_come_first_then_who_waits_longest_and_pages_lose_nobody_at_one_moment()
    {
        var people = Enumerable.Range(0, 9).Select(i => Site.Person($"p{i}")).ToList();
        for (var i = 0; i < 27; i++)
            await Flagged(people[i % 9], Response($"answer {i}"), severity: (FlagSeverity)(1 + (i % 3)), reason: i == 26 ? FlagReason.Slogan : FlagReason.Nonsense); // all at one moment

        var first = (await Site.Get<ListFlags>().Handle(Reviewer, FlagState.Open, null, Stop)).Value;
        var rest = (await Site.Get<ListFlags>().Handle(Reviewer, FlagState.Open, first.Earlier, Stop)).Value;
        var slogans = (await Site.Get<ListFlags>().Handle(Reviewer, new FlagFilter(null, FlagReason.Slogan), null, Stop)).Value;

        var all = first.Rows.Concat(rest.Rows).ToList();
        Assert.Equal((ListFlags.PageSize, 7, null), (first.Rows.Count, rest.Rows.Count, rest.Earlier));
        Assert.Equal(27, all.Select(r => r.Text).Distinct().Count());
        Assert.Equal(all.Select(r => r.Severity).OrderDescending(), all.Select(r => r.Severity));
        Assert.Equal("answer 26", Assert.Single(slogans.Rows).Text);
    }

    [Fact]
    public async Task Two_reviewers_who_take_one_at_once_do_not_both_have_it()
    {
        var id = (await Flagged(Person, Response("Same."))).Value;

        var outcomes = await Task.WhenAll(new[] { Reviewer, Second, Reviewer, Second }.Select(who => Task.Run(() => Site.Get<AssignFlag>().Handle(who, id, take: true, Stop))));

        using var db = Site.Open();
        var holder = db.Flags.Single(f => f.Id == id).AssignedTo;
        var others = new[] { Reviewer, Second }.Single(who => Guid.Parse(who.FindFirstValue(ClaimTypes.NameIdentifier)!) != holder); // they have one
        Assert.All(outcomes.Where((_, i) => new[] { Reviewer, Second, Reviewer, Second }[i] == others), outcome => Assert.Equal(ProblemKind.Conflict, outcome.Refusal?.Kind));
    }

    [Fact]
    public async Task Many_flags_of_one_person_at_once_need_two_reviewers()
    {
        for (var i = 0; i < FlagWriter.Many - 1; i++)
            await Flagged(Person, Response($"a{i}"));
        Later(11);
        await Flagged(Person, Response("later")); // four, but not within ten minutes
        Assert.Empty(Held());
        for (var i = 0; i < FlagWriter.Many; i++)
            await Flagged(Site.Person($"p{i}"), Response($"b{i}")); // four people
        Assert.Empty(Held());
        var ids = new List<FlagId>();
        for (var i = 0; i < FlagWriter.Many - 1; i++)
            ids.Add((await Flagged(Person, Response($"c{i}"))).Value);
        Assert.Equal(FlagWriter.Many, Held().Count); // with the one before
        var close = Site.Get<CloseFlag>();

        var first = (await close.Handle(Reviewer, ids[0], FlagState.Confirmed, Stop)).Value;
        var same = await close.Handle(Reviewer, ids[0], FlagState.Confirmed, Stop);
        var note = Assert.Single((await Site.Get<ShowServiceTimes>().Handle(Second, Stop)).Value.Held);
        var row = (await Site.Get<ShowFlag>().Handle(Second, ids[0], Stop)).Value.Row;
        var final = (await close.Handle(Second, ids[0], FlagState.Confirmed, Stop)).Value;
        var dismissed = (await close.Handle(Reviewer, ids[1], FlagState.Dismissed, Stop)).Value;

        Assert.Equal((0, 1), (first.Closed, first.Waiting));
        Assert.Contains("a second reviewer must confirm it too", same.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal((FlagState.Open, true), (row.State, row.IsConfirmedOnce));
        Assert.Equal((FlagHold.Burst, FlagReason.Nonsense, FlagWriter.Many), (note.Why, note.Reason, note.Count));
        Assert.Equal((1, 0, 1), (final.Closed, final.Waiting, dismissed.Closed));
        Assert.Equal(2, (await Site.Get<ListFlags>().Handle(Reviewer, new FlagFilter(FlagState.Open, null, HeldOnly: true), null, Stop)).Value.Rows.Count);
        using var db = Site.Open();
        Assert.Equal(["flag.confirm-first", "flag.confirm", "flag.dismiss"], db.AuditEvents.OrderBy(e => e.Sequence).Select(e => e.Action));
    }
}

public sealed class FlagTriageOnSqliteTests() : FlagTriageTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class FlagTriageOnPostgresTests(PostgresFixture postgres) : FlagTriageTests(postgres);
