using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Components;

namespace Portal.Web.Registry;

/// <summary>What people said on blind old/new pairs: names hidden, sides by lot. Informs a release, never training.</summary>
/// <param name="Tasks">Pairs made for this candidate.</param>
/// <param name="Wins">Votes for the candidate.</param>
/// <param name="Ties">Ties and both-good and both-bad: half a win each.</param>
/// <param name="Losses">Votes for the version that serves.</param>
/// <param name="CannotJudge">Votes that count nowhere.</param>
public sealed record BlindTally(int Tasks, int Wins, int Ties, int Losses, int CannotJudge)
{
    /// <summary>n: votes that count.</summary>
    public int Counted => Wins + Ties + Losses;

    /// <summary>Share of votes for the candidate with Wilson's 95 % interval, ties half; null below <paramref name="needed"/> votes.</summary>
    public Measure? WinRate(int needed) => Counted < needed ? null : WilsonInterval.Of(Wins + (Ties / 2.0), Counted);

    /// <summary>Counts the votes on a candidate's pairs. Uses the indexes on CandidateId and TaskId.</summary>
    public static async Task<BlindTally> Load(PortalDbContext db, ModelVersionId candidate, CancellationToken stop)
    {
        var tasks = db.Tasks.AsNoTracking().Where(t => t.CandidateId == candidate && t.Purpose == TaskPurpose.BlindComparison);
        var votes = await (from task in tasks
                           join judgement in db.PairwiseJudgements on task.Id equals judgement.TaskId
                           where judgement.SupersededAt == null && !judgement.IsSurplus
                           let preferredFrom = db.Responses.Where(r => r.Id == judgement.PreferredResponseId).Select(r => r.ModelVersionId).FirstOrDefault()
                           group judgement by new { judgement.Verdict, IsCandidate = preferredFrom == candidate } into same
                           select new { same.Key.Verdict, same.Key.IsCandidate, Count = same.Count() }).ToListAsync(stop);
        int Count(Func<PairwiseVerdict, bool, bool> which) => votes.Where(v => which(v.Verdict, v.IsCandidate)).Sum(v => v.Count);
        return new BlindTally(await tasks.CountAsync(stop),
            Count((verdict, candidates) => verdict is PairwiseVerdict.Preferred && candidates),
            Count((verdict, _) => verdict is PairwiseVerdict.Tie or PairwiseVerdict.BothGood or PairwiseVerdict.BothBad),
            Count((verdict, candidates) => verdict is PairwiseVerdict.Preferred && !candidates),
            Count((verdict, _) => verdict is PairwiseVerdict.CannotJudge));
    }
}
