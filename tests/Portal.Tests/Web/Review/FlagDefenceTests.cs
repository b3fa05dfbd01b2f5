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

/// <summary>What a flag holds, who may do what, and what keeps one person from moving the queue alone. The clock is the test's.</summary>
public sealed class FlagDefenceTests() : FlaggingTests(null)
{
    [Fact]
    public async Task Every_wrong_field_of_a_flag_is_named_at_once()
    {
        var input = new FlagInput { Reason = (FlagReason)99, Severity = (FlagSeverity)7, Note = new string('x', Flag.NoteLengthMax + 1), Preferred = "a\0b", Place = "elsewhere" };

        var outcome = await Site.Get<FlagResponse>().Handle(Person, default, Response("a"), input, Stop);

        Assert.Equal(["flagId", "note", "place", "preferred", "reason", "severity"], outcome.Refusal!.Problems.Select(p => p.Field).Order());
        using var db = Site.Open();
        Assert.Empty(db.Flags);
    }

    [Fact]
    public void No_page_names_a_place_that_the_limits_pass_over() => Assert.Empty(FlagInput.Places.Intersect(FlagWriter.Elsewhere));

    [Fact]
    public async Task A_flag_keeps_how_bad_it_is_and_a_better_answer_that_can_be_erased()
    {
        var response = Response("Twelve minus three is eight.");
        var same = await Flagged(Person, response, preferred: " Twelve minus three is eight. ");

        var id = (await Flagged(Person, response, severity: FlagSeverity.High, preferred: " Nine. ")).Value;
        var shown = (await Site.Get<ShowFlag>().Handle(Reviewer, id, Stop)).Value;
        using (var db = Site.Open())
        {
            var content = db.Contents.Single(c => c.Kind == ContentKind.PreferredAnswer);
            Assert.Equal(Site.Get<Portal.Data.Storage.ContentHasher>().Hash("Nine."), content.KeyedHash);
            content.Erase(Site.Clock.GetUtcNow());
            db.SaveChanges();
        }
        var erased = (await Site.Get<ShowFlag>().Handle(Reviewer, id, Stop)).Value;

        Assert.NotNull(same.Refusal?.About("preferred"));
        Assert.Equal((FlagSeverity.High, "Nine."), (shown.Row.Severity, shown.Preferred));
        Assert.Null(erased.Preferred);
    }

    /// <summary>A flag of before has its response's hash for a key: later ones on that response, or on the very same text, join it.</summary>
    [Fact]
    public async Task A_flag_of_before_is_joined_by_later_ones()
    {
        var (old, copy) = (Response("Grass, you nitwit."), Response("Grass, you nitwit."));
        using (var db = Site.Open())
        {
            db.Flags.Add(new Flag
            {
                Id = Fresh(), ProjectId = Project, ResponseId = old, AnnotatorId = Annotator(db), Reason = FlagReason.Insult, Place = "annotate", At = Site.Clock.GetUtcNow(),
                AlikeKey = db.Responses.Single(r => r.Id == old).ContentHash,
            });
            db.SaveChanges();
        }

        await Flagged(Person, old);
        await Flagged(Person, copy);

        Assert.Equal(3, Assert.Single((await Site.Get<ListFlags>().Handle(Reviewer, FlagState.Open, null, Stop)).Value.Rows).Alike);
    }

    [Fact]
    public async Task A_decision_is_about_one_flag_or_all_alike_and_each_is_in_the_log()
    {
        var ids = new List<FlagId>();
        for (var i = 0; i < 3; i++)
            ids.Add((await Flagged(Site.Person($"p{i}"), Response("Same."))).Value);

        var one = (await Site.Get<CloseFlag>().Handle(Reviewer, ids[0], FlagState.Dismissed, Stop)).Value;
        var rest = (await Site.Get<CloseFlag>().Handle(Reviewer, ids[1], FlagState.Confirmed, everyAlike: true, Stop)).Value;
        var again = (await Site.Get<CloseFlag>().Handle(Second, ids[2], FlagState.Confirmed, Stop)).Value;

        Assert.Equal((1, 2, 0), (one.Closed, rest.Closed, again.Closed));
        using var db = Site.Open();
        Assert.Equal([FlagState.Dismissed, FlagState.Confirmed, FlagState.Confirmed], ids.Select(id => db.Flags.Single(f => f.Id == id).State));
        Assert.Equal([("flag.dismiss", ids[0]), ("flag.confirm", ids[1]), ("flag.confirm", ids[2])], db.AuditEvents.OrderBy(e => e.Sequence).AsEnumerable().Select(e => (e.Action, FlagId.Parse(e.EntityId, null))));
    }

    [Fact]
    public async Task A_flag_is_with_one_reviewer_at_a_time()
    {
        var id = (await Flagged(Person, Response("Same."))).Value;
        await Flagged(Site.Person("two"), Response("same"));
        var assign = Site.Get<AssignFlag>();

        Assert.Equal(2, (await assign.Handle(Reviewer, id, take: true, Stop)).Value); // those alike go with it
        var row = Assert.Single((await Site.Get<ListFlags>().Handle(Second, FlagState.Open, null, Stop)).Value.Rows);
        Assert.Equal(("reviewer", false), (row.With, row.IsMine));
        Assert.Equal(ProblemKind.Conflict, (await assign.Handle(Second, id, take: true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Conflict, (await assign.Handle(Second, id, take: false, Stop)).Refusal?.Kind);
        Later(24 * 60);
        Assert.Equal(1, (await assign.Handle(Second, id, take: true, Stop)).Value); // a day is long enough
        Assert.Equal(1, (await assign.Handle(Second, id, take: false, Stop)).Value);
        Assert.Null((await Site.Get<CloseFlag>().Handle(Reviewer, id, FlagState.Dismissed, Stop)).Refusal);
        Assert.Equal(ProblemKind.Conflict, (await assign.Handle(Second, id, take: true, Stop)).Refusal?.Kind); // decided
    }

    [Fact]
    public async Task The_first_look_and_only_the_first_is_kept()
    {
        var id = (await Flagged(Person, Response("Same."))).Value;
        Later(5);
        await Site.Get<ShowFlag>().Handle(Reviewer, id, Stop);
        Later(5);
        await Site.Get<ShowFlag>().Handle(Second, id, Stop);

        using var db = Site.Open();
        var flag = db.Flags.Single(f => f.Id == id);
        Assert.Equal(flag.At.AddMinutes(5), flag.FirstLookAt);
    }

    [Fact]
    public async Task Somebody_who_flags_too_much_is_told_when_to_come_back()
    {
        Assert.Null((await Flagged(Person, Response("a"))).Refusal);
        Store(FlagWriter.InTenMinutesMax - 2, minutesApart: 0);
        Assert.Null((await Flagged(Person, Response("the twentieth"))).Refusal);
        Later(4);
        var tooSoon = await Flagged(Person, Response("one more"));
        var another = await Flagged(Site.Person("two"), Response("one more"));
        Later(6);
        Assert.Null((await Flagged(Person, Response("now"))).Refusal);
        Store(FlagWriter.InADayMax - FlagWriter.InTenMinutesMax - 2, minutesApart: 1);
        Later(1);
        Assert.Null((await Flagged(Person, Response("the sixtieth"))).Refusal);
        Later(11);
        var tooMuch = await Flagged(Person, Response("still"));
        Later((24 * 60) - 60); // the first twenty are a day old
        var next = await Flagged(Person, Response("next day"));

        Assert.Equal(ProblemKind.TooMuch, tooSoon.Refusal?.Kind);
        Assert.Contains("flagged 20 responses in ten minutes", tooSoon.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("again in 6 min", tooSoon.Refusal.ToString(), StringComparison.Ordinal);
        Assert.Null(another.Refusal); // each person has their own
        Assert.Contains("flagged 60 responses in a day", tooMuch.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("again in 23 h 0 min", tooMuch.Refusal.ToString(), StringComparison.Ordinal); // 10 + 39 + 11 minutes after the first
        Assert.Null(next.Refusal);
    }

    /// <summary>Five decided and none confirmed: Wilson's upper end is .434, below a half. Four of five: .376 to .964.</summary>
    [Fact]
    public async Task One_reason_again_and_again_is_held_where_few_of_a_persons_flags_were_confirmed()
    {
        var other = Site.Person("trusted");
        for (var i = 0; i < FlagWriter.DecidedMin; i++)
        {
            Later(60);
            var seen = (await Flagged(other, Response($"t{i}"))).Value;
            await Site.Get<CloseFlag>().Handle(Reviewer, (await Flagged(Person, Response($"a{i}"))).Value, FlagState.Dismissed, Stop);
            if (i == FlagWriter.DecidedMin - 1)
                Assert.Null((await Site.Get<ShowFlag>().Handle(Reviewer, seen, Stop)).Value.Confirmed); // four decided say nothing
            await Site.Get<CloseFlag>().Handle(Reviewer, seen, i == 0 ? FlagState.Dismissed : FlagState.Confirmed, Stop);
        }
        FlagId last = default;
        for (var i = 0; i < FlagWriter.Many; i++)
        {
            Later(60);
            await Flagged(Person, Response($"b{i}"), reason: FlagReason.Slogan);
            last = (await Flagged(other, Response($"u{i}"), reason: FlagReason.Slogan)).Value;
        }

        var held = Held();
        var share = (await Site.Get<ShowFlag>().Handle(Reviewer, last, Stop)).Value.Confirmed!; // five were decided

        Assert.Equal(Enumerable.Repeat(FlagHold.Pattern, FlagWriter.Many), held.Select(f => f.Held));
        Assert.Single(held.Select(f => f.AnnotatorId).Distinct());
        Assert.Equal((.8, 5), (share.Value, share.Count));
        Assert.Equal((.376, .964), (Math.Round(share.Low, 3), Math.Round(share.High, 3)));
    }

    [Fact]
    public async Task The_queue_is_a_reviewers_and_suggestions_are_an_admins()
    {
        var id = (await Flagged(Person, Response("Same."))).Value;

        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<ListFlags>().Handle(Person, FlagState.Open, null, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<ShowFlag>().Handle(Person, id, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<CloseFlag>().Handle(Person, id, FlagState.Dismissed, everyAlike: true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<AssignFlag>().Handle(Person, id, take: true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<ShowServiceTimes>().Handle(Person, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<ShowTry>().Handle(Person, Project, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<SuggestFlags>().Handle(Reviewer, Project, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Site.Get<FlagResponse>().Handle(Site.Person("auditor", RoleNames.Auditor), Fresh(), Response("x"), FlagReason.Other, null, "results", Stop)).Refusal?.Kind);
        using var db = Site.Open();
        Assert.Null(db.Flags.Single().FirstLookAt);
    }

    /// <summary>More flags like the last one, without the handler.</summary>
    private void Store(int count, int minutesApart)
    {
        using var db = Site.Open();
        var last = db.Flags.OrderByDescending(f => f.At).First();
        for (var i = 0; i < count; i++)
        {
            Later(minutesApart);
            db.Flags.Add(new Flag { Id = Fresh(), ProjectId = Project, ResponseId = last.ResponseId, AnnotatorId = last.AnnotatorId, Reason = last.Reason, Place = last.Place, At = Site.Clock.GetUtcNow() });
        }
        db.SaveChanges();
    }

    private AnnotatorId Annotator(PortalDbContext db)
    {
        var annotator = new Portal.Data.Annotators.Annotator { Id = new(Guid.CreateVersion7()), Pseudonym = "heron-12", CreatedAt = Site.Clock.GetUtcNow() };
        db.Annotators.Add(annotator);
        return annotator.Id;
    }
}
