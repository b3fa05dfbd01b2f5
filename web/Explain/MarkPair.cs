using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Explanations;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Explain;

/// <summary>
/// Says what is wrong with a pair that explains a response: the step that turns an association into a cause, and the data from which precision in production is counted. Marking the same twice is one mark.
/// </summary>
[Needs(Permission.Review)]
public sealed class MarkPair(WriteQueue writes, Access access, IdFactory ids, TimeProvider time)
{
    public async Task<Outcome<PairVerdict>> Handle(ClaimsPrincipal user, ExplanationId explanation, JudgementId judgement, PairVerdict verdict, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (!Enum.IsDefined(verdict))
            return new Problem("verdict", "Choose one of: wrong label, bad content, fine, unsure.");
        return await writes.WriteAsync<PairVerdict>(db =>
        {
            if (!db.ExplainingPairs.Any(p => p.ExplanationId == explanation && p.JudgementId == judgement))
                return new Problem("pair", "This pair is no part of the explanation any more.", ProblemKind.NotFound);
            var person = asked.Value.AccountId;
            // Over (ExplanationId, JudgementId, By, At).
            if (db.PairMarks.AsNoTracking().Where(m => m.ExplanationId == explanation && m.JudgementId == judgement && m.By == person).OrderByDescending(m => m.At).ThenByDescending(m => m.Id).FirstOrDefault()?.Verdict == verdict)
                return verdict;
            var now = time.GetUtcNow();
            db.PairMarks.Add(new PairMark { Id = ids.New<PairMarkId>(), ExplanationId = explanation, JudgementId = judgement, Verdict = verdict, By = person, At = now });
            AuditChain.Append(db, now, person, "explanation.mark", "explanation", $"{explanation}", new { judgement = $"{judgement}", verdict = verdict.ToString() });
            return verdict;
        }, stop);
    }
}
