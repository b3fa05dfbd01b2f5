using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>A pair with what people said about it.</summary>
/// <param name="Majority">By how many more people the first was preferred; negative for the second, 0 without a majority.</param>
internal sealed record JudgedPair(PromptId PromptId, ResponseId First, ResponseId Second, int Majority);

/// <summary>Which responses of a project are described, and what people preferred among them, as it stood at an instant.</summary>
/// <param name="Responses">Judged ones first.</param>
/// <param name="Pairs">Those with at least one preference and both responses read.</param>
/// <param name="Votes">Each preference: who, the preferred response, the other.</param>
/// <param name="LeftOut">Responses beyond what is read at most.</param>
internal sealed record JudgedResponses(IReadOnlyList<ResponseId> Responses, IReadOnlyList<JudgedPair> Pairs, IReadOnlyList<(AnnotatorId Annotator, ResponseId Preferred, ResponseId Other)> Votes, int LeftOut)
{
    /// <summary>Looks them up.</summary>
    /// <param name="at">Later responses and judgements do not count, so that a job that is run again after a crash finds the same.</param>
    /// <param name="max">Responses at most.</param>
    public static async Task<JudgedResponses> Find(PortalDbContext db, ProjectId project, DateTimeOffset at, int max, long seed, CancellationToken stop)
    {
        // Staged imports stay out by the query filters; surplus and superseded judgements count nowhere.
        var judged = await (
            from j in db.PairwiseJudgements.AsNoTracking()
            where j.ProjectId == project && j.SubmittedAt <= at && !j.IsSurplus && (j.SupersededAt == null || j.SupersededAt > at)
            join t in db.Tasks on j.TaskId equals t.Id
            where t.SecondResponseId != null
            orderby j.SubmittedAt, j.Id
            select new { t.PromptId, t.FirstResponseId, t.SecondResponseId, j.AnnotatorId, j.Verdict, j.PreferredResponseId }).ToListAsync(stop);
        var readable = await (
            from r in db.Responses.AsNoTracking()
            where r.ProjectId == project && r.CreatedAt <= at
            join p in db.Prompts on r.PromptId equals p.Id
            where !p.IsTrial && db.Contents.Any(c => c.Id == r.ContentId && c.Text != null) && db.Contents.Any(c => c.Id == p.ContentId && c.Text != null)
            orderby r.Id
            select r.Id).ToListAsync(stop);
        var there = readable.ToHashSet();
        var random = new SeededRandom((ulong)seed).Split("described responses");

        var pairs = judged.Where(j => there.Contains(j.FirstResponseId) && there.Contains(j.SecondResponseId!.Value)) // asked for above
            .GroupBy(j => Ordered(j.FirstResponseId, j.SecondResponseId!.Value)).OrderBy(pair => pair.Key.First.Value).ThenBy(pair => pair.Key.Second.Value).ToArray();
        random.Split("pairs").Shuffle(pairs);
        var chosen = new List<ResponseId>();
        var isChosen = new HashSet<ResponseId>();
        foreach (var pair in pairs)
        {
            if (chosen.Count + (isChosen.Contains(pair.Key.First) ? 0 : 1) + (isChosen.Contains(pair.Key.Second) ? 0 : 1) > max)
                continue;
            foreach (var id in new[] { pair.Key.First, pair.Key.Second }.Where(isChosen.Add))
                chosen.Add(id);
        }
        var others = readable.Where(id => !isChosen.Contains(id)).ToArray();
        random.Split("others").Shuffle(others);
        chosen.AddRange(others.Take(max - chosen.Count));

        var read = pairs.Where(pair => isChosen.Contains(pair.Key.First) && isChosen.Contains(pair.Key.Second)).ToList();
        var votes = read.SelectMany(pair => pair.Where(j => j.Verdict is PairwiseVerdict.Preferred).Select(j => (j.AnnotatorId, Preferred: j.PreferredResponseId!.Value, // a preference names one
            Other: j.PreferredResponseId == pair.Key.First ? pair.Key.Second : pair.Key.First))).ToList();
        return new JudgedResponses(chosen,
        [
            .. read.Select(pair => new JudgedPair(pair.First().PromptId, pair.Key.First, pair.Key.Second,
                pair.Where(j => j.Verdict is PairwiseVerdict.Preferred).Sum(j => j.PreferredResponseId == pair.Key.First ? 1 : -1))),
        ], votes, readable.Count - chosen.Count);
    }

    private static (ResponseId First, ResponseId Second) Ordered(ResponseId one, ResponseId other) => one.Value.CompareTo(other.Value) < 0 ? (one, other) : (other, one);
}
