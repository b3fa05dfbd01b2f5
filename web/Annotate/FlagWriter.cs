using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Components;

namespace Portal.Web.Annotate;

/// <summary>
/// The one way a person's flag is stored, inside a write: once a person and response, not too many in a short time, and held for a second reviewer where many come at once.
/// </summary>
/// <remarks>
/// What counts as many is asked of the rows, so it holds for every node and page together. Flags that a button of an audit sent on and imported ones do not count.
/// </remarks>
public static class FlagWriter
{
    /// <summary>Flags of one person in ten minutes.</summary>
    public const int InTenMinutesMax = 20;

    /// <summary>Flags of one person in a day.</summary>
    public const int InADayMax = 60;

    /// <summary>So many of one person within <see cref="BurstWithin"/>, or of one reason within a day by a person whose flags are seldom confirmed, are held.</summary>
    public const int Many = 4;

    /// <summary>Decided flags before a person's share of confirmed ones says anything.</summary>
    public const int DecidedMin = 5;

    /// <summary>Where flags come from that a person did not give one by one: a button of an audit sends many on, a file brings many in.</summary>
    public static IReadOnlyList<string> Elsewhere { get; } = ["audit", "import"];

    public static readonly TimeSpan BurstWithin = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>Stores a flag on a response that is stored, or tells the id of the one that this person has open on it.</summary>
    /// <param name="input">Checked before.</param>
    public static Outcome<FlagId> Add(PortalDbContext db, IdFactory ids, ContentHasher hasher, FlagId id, Response response, AnnotatorId annotator, FlagInput input, DateTimeOffset now)
    {
        var mine = db.Flags.FirstOrDefault(f => f.Id == id)
            ?? db.Flags.FirstOrDefault(f => f.ResponseId == response.Id && f.AnnotatorId == annotator && f.State == FlagState.Open && f.Source == FlagSource.Person);
        if (mine is not null)
            return mine.AnnotatorId == annotator ? mine.Id : new Problem("flagId", "This id belongs to another flag. Make a new one.", ProblemKind.Conflict);
        if (TooMany(db, annotator, now) is { } problem)
            return problem;
        if (!string.IsNullOrWhiteSpace(input.Preferred) && hasher.Hash(input.Preferred.Trim()) == response.ContentHash)
            return new Problem("preferred", "The better answer is the flagged one, word by word. Change it, or leave it empty.");
        var flag = new Flag
        {
            Id = id, ProjectId = response.ProjectId, ResponseId = response.Id, AnnotatorId = annotator, Reason = input.Reason, Severity = input.Severity,
            NoteId = Store(ContentKind.FlagNote, input.Note), PreferredId = Store(ContentKind.PreferredAnswer, input.Preferred), Place = input.Place,
            ModelVersionId = response.ModelVersionId, AlikeKey = AlikeText.KeyOf(db, hasher, response), At = now,
        };
        db.Flags.Add(flag);
        HoldMany(db, flag);
        return id;

        ContentId? Store(ContentKind kind, string? text)
        {
            if (string.IsNullOrWhiteSpace(text))
                return null;
            var content = new Content { Id = ids.New<ContentId>(), ProjectId = response.ProjectId, Kind = kind, Text = text.Trim(), KeyedHash = hasher.Hash(text.Trim()), CreatedAt = now };
            db.Contents.Add(content);
            return content.Id;
        }
    }

    /// <summary>A write that adds flags; tried again where another node changed one of them in the same moment.</summary>
    public static async Task<Outcome<FlagId>> Write(WriteQueue writes, Func<PortalDbContext, Outcome<FlagId>> work, CancellationToken stop)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await writes.WriteAsync<FlagId>(work, stop);
            }
            catch (DbUpdateConcurrencyException) when (attempt < 3)
            {
                // A flag to be held was decided meanwhile: look again.
            }
        }
    }

    /// <summary>The share of a person's decided flags that were confirmed; null below <see cref="DecidedMin"/> of them.</summary>
    public static Measure? Reputation(PortalDbContext db, AnnotatorId annotator)
    {
        var decided = OfPerson(db, annotator).Where(f => f.State != FlagState.Open).GroupBy(f => f.State).Select(g => new { State = g.Key, Count = g.Count() }).ToList();
        var count = decided.Sum(d => d.Count);
        return count < DecidedMin ? null : WilsonInterval.Of(decided.Where(d => d.State is FlagState.Confirmed).Sum(d => d.Count), count);
    }

    /// <summary>Flags that count for or against a person: their own, one by one. Served by IX_Flags_AnnotatorId_At.</summary>
    private static IQueryable<Flag> OfPerson(PortalDbContext db, AnnotatorId annotator) =>
        db.Flags.Where(f => f.AnnotatorId == annotator && f.Source == FlagSource.Person && !Elsewhere.Contains(f.Place));

    private static Problem? TooMany(PortalDbContext db, AnnotatorId annotator, DateTimeOffset now)
    {
        var since = now - Day;
        var times = OfPerson(db, annotator).Where(f => f.At > since).OrderByDescending(f => f.At).Select(f => f.At).Take(InADayMax).ToList();
        if (times.Count >= InADayMax)
            return Refusal(InADayMax, "in a day", times[InADayMax - 1] + Day - now);
        return times.Count >= InTenMinutesMax && times[InTenMinutesMax - 1] > now - BurstWithin ? Refusal(InTenMinutesMax, "in ten minutes", times[InTenMinutesMax - 1] + BurstWithin - now) : null;
    }

    private static Problem Refusal(int count, string time, TimeSpan wait)
    {
        var minutes = (int)Math.Ceiling(wait.TotalMinutes);
        var when = minutes < 60 ? $"{minutes} min" : $"{minutes / 60} h {minutes % 60} min";
        return new Problem("", $"You have flagged {count} responses {time}, and no more are taken at once. You can flag again in {when}; what you typed stays here.", ProblemKind.TooMuch);
    }

    /// <summary>Marks this flag and the ones it comes with, where there are many.</summary>
    private static void HoldMany(PortalDbContext db, Flag flag)
    {
        var (burst, day) = (flag.At - BurstWithin, flag.At - Day);
        var recent = OfPerson(db, flag.AnnotatorId).Where(f => f.At > day && f.State == FlagState.Open).OrderByDescending(f => f.At).Take(InADayMax).ToList();
        var together = recent.Where(f => f.At > burst).ToList();
        if (together.Count + 1 >= Many)
            together.Append(flag).ToList().ForEach(f => f.Hold(FlagHold.Burst));
        var same = recent.Where(f => f.Reason == flag.Reason).ToList();
        if (same.Count + 1 >= Many && Reputation(db, flag.AnnotatorId) is { High: < .5 })
            same.Append(flag).ToList().ForEach(f => f.Hold(FlagHold.Pattern));
    }
}
