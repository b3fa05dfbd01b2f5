using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.Unlearning;

namespace Portal.Web.Explain;

/// <summary>A pair of a dataset version with its texts as they are stored now, the way round a model goes by it.</summary>
/// <param name="Number">Of the judgement within its dataset version, 1 to n: how pages call the pair.</param>
/// <param name="Prompt">The turns; empty once erased.</param>
/// <param name="Chosen">The answer that counts as the better one; null once erased, as <paramref name="Rejected"/>.</param>
/// <param name="Annotator">By pseudonym.</param>
/// <param name="At">Of the judgement.</param>
/// <param name="ChangedBy">The request by which the model goes by it otherwise than it was judged; null for nearly all.</param>
public sealed record PairText(JudgementId Judgement, int Number, IReadOnlyList<Turn> Prompt, string? Chosen, string? Rejected, string Annotator, DateTimeOffset At, EarlierChange? ChangedBy)
{
    /// <summary>Reads some, in the order of the data; the first <paramref name="most"/> where not all are wanted.</summary>
    public static async Task<IReadOnlyList<PairText>> Read(PortalDbContext db, ModelVersion model, DatasetVersionId dataset, IReadOnlyList<JudgementId> judgements, CancellationToken stop, int most = int.MaxValue)
    {
        // Over IX_DatasetRows_JudgementId; contents by their primary keys.
        var rows = await (from d in db.DatasetRows.AsNoTracking()
                          where d.DatasetVersionId == dataset && judgements.Contains(d.JudgementId)
                          join p in db.Prompts on d.PromptId equals p.Id
                          join pc in db.Contents on p.ContentId equals pc.Id
                          join chosen in db.Responses on d.ChosenId equals chosen.Id
                          join cc in db.Contents on chosen.ContentId equals cc.Id
                          join rejected in db.Responses on d.RejectedId equals rejected.Id
                          join rc in db.Contents on rejected.ContentId equals rc.Id
                          join j in db.PairwiseJudgements on d.JudgementId equals j.Id
                          join a in db.Annotators on j.AnnotatorId equals a.Id
                          orderby d.Ordinal
                          select new { d.JudgementId, d.Ordinal, d.ChangedBy, Prompt = pc.Text, Chosen = cc.Text, Rejected = rc.Text, a.Pseudonym, j.SubmittedAt, j.PreferredResponseId, d.ChosenId }).Take(most).ToListAsync(stop);
        var standing = UnlearntPairs.Of(db, model);
        var requests = standing.Values.Select(now => now.Request).Concat(rows.Select(row => row.ChangedBy).OfType<UnlearningRequestId>()).Distinct().ToList();
        var numbers = await db.UnlearningRequests.AsNoTracking().Where(r => requests.Contains(r.Id)).ToDictionaryAsync(r => r.Id, r => r.Number, stop);
        return rows.ConvertAll(row =>
        {
            var now = standing.GetValueOrDefault(row.JudgementId);
            var (chosen, rejected) = now?.IsTurned == true ? (row.Rejected, row.Chosen) : (row.Chosen, row.Rejected);
            var by = now?.Request ?? row.ChangedBy;
            return new PairText(row.JudgementId, row.Ordinal + 1, Conversation.Parse(row.Prompt), chosen, rejected, row.Pseudonym, row.SubmittedAt,
                by is { } request ? new EarlierChange(request, numbers.GetValueOrDefault(request), now?.IsTurned ?? row.PreferredResponseId != row.ChosenId) : null);
        });
    }
}

/// <summary>What a request did to a pair.</summary>
/// <param name="Number">Of the request.</param>
/// <param name="IsTurned">The pair counts the other way round; it weighs less otherwise.</param>
public sealed record EarlierChange(UnlearningRequestId Request, int Number, bool IsTurned);
