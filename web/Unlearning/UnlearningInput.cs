using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.Unlearning;

namespace Portal.Web.Unlearning;

/// <summary>Which judgements a request is about: pairs of an explanation with all that judged them alike, or what one person gave.</summary>
/// <param name="Pairs">By the judgements they are named by; empty where a person is named.</param>
/// <param name="Annotator">By pseudonym: somebody whose judgements are among the explanation's. Null for pairs.</param>
/// <param name="From">Their judgements of this day (UTC) and later; null: from the first. <paramref name="Until"/>: of this day and earlier.</param>
public sealed record UnlearningChoice(IReadOnlyList<JudgementId> Pairs, string? Annotator = null, DateOnly? From = null, DateOnly? Until = null);

/// <summary>What somebody wants a reward model to forget.</summary>
/// <param name="Action">What is done to the judgements.</param>
public sealed record UnlearningInput(ExplanationId Explanation, UnlearningChoice Choice, UnlearningMethod Method, UnlearningAction Action, string Reason);

/// <summary>What a request would be of, checked.</summary>
/// <param name="Judgements">With all that judged the same pairs alike, where pairs were chosen.</param>
/// <param name="Of">Judgements the model was trained on.</param>
internal sealed record CheckedUnlearning(Explanation Explanation, ModelVersion Model, IReadOnlyList<JudgementId> Judgements, int Of, int Protected)
{
    /// <summary>Asks that there is something to forget, that an explanation supports it, that it is of the model's own data, and that nobody else asked for it.</summary>
    public static Outcome<CheckedUnlearning> Find(PortalDbContext db, ExplanationId id, UnlearningChoice choice, UnlearningAction action)
    {
        if (!Enum.IsDefined(action))
            return new Problem("action", "There is no such thing to do to pairs.");
        if (db.Explanations.AsNoTracking().FirstOrDefault(e => e.Id == id) is not { } explanation)
            return new Problem("explanation", "There is no explanation at this address.", ProblemKind.NotFound);
        if (explanation.Confidence is ExplanationConfidence.Unexplained)
            return new Problem("explanation", "These pairs do not explain the response: without them its reward would be much the same. Forgetting them would harm the model for nothing.", ProblemKind.Conflict);
        var model = db.ModelVersions.AsNoTracking().First(v => v.Id == explanation.RewardModelId);
        if (model.Status is ModelStatus.Retired)
            return new Problem("rewardModel", $"{model.Label} is retired; explain the response by a model that can serve.", ProblemKind.Conflict);
        if (model.DatasetVersionId != explanation.DatasetVersionId)
            return new Problem("judgements", $"These pairs are of another version of the data than {model.Label} was trained on. Explain the response again.", ProblemKind.Conflict);
        var chosen = choice.Annotator is { } person ? OfPerson(db, explanation, person, choice) : OfPairs(db, explanation, choice.Pairs);
        if (chosen.Refusal is { } unusable)
            return unusable;
        var all = chosen.Value;
        // Over the primary key of the rows.
        var of = db.DatasetRows.Count(r => r.DatasetVersionId == explanation.DatasetVersionId && r.Part == DatasetPart.Train);
        if (all.Count > UnlearningRequest.ShareMax * of)
            return new Problem("judgements", $"{all.Count} of {of} judgements are more than {UnlearningRequest.ShareMax:P0}: that is another model, not a repair. Choose fewer, or train again under other rules.", ProblemKind.TooMuch);
        if (action is not UnlearningAction.Remove && ChangedAlready(db, model, explanation.DatasetVersionId, all) is { } changed)
            return changed;
        // Over IX_UnlearningPairs_JudgementId.
        var other = (from pair in db.UnlearningPairs.AsNoTracking()
                     where all.Contains(pair.JudgementId)
                     join request in db.UnlearningRequests on pair.RequestId equals request.Id
                     where request.RewardModelId == model.Id && (request.State == UnlearningState.Waiting || request.State == UnlearningState.Approved || request.State == UnlearningState.Made)
                     orderby request.Number
                     select new { request.Number }).FirstOrDefault();
        if (other is not null)
            return new Problem("judgements", $"Request {other.Number} asks for some of these pairs already. Wait until it is decided, released or taken back.", ProblemKind.Conflict);
        var topics = db.Projects.AsNoTracking().First(p => p.Id == explanation.ProjectId).ProtectedTopics();
        var guarded = topics.Count == 0 ? 0 : (from row in db.DatasetRows
                                               where row.DatasetVersionId == explanation.DatasetVersionId && all.Contains(row.JudgementId)
                                               join prompt in db.Prompts on row.PromptId equals prompt.Id
                                               where prompt.Topic != null && topics.Contains(prompt.Topic)
                                               select row.JudgementId).Distinct().Count();
        return new CheckedUnlearning(explanation, model, all, of, guarded);
    }

    private static Outcome<List<JudgementId>> OfPairs(PortalDbContext db, Explanation explanation, IReadOnlyList<JudgementId> chosen)
    {
        if (chosen.Count == 0)
            return new Problem("judgements", "Choose at least one pair.");
        var pairs = db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == explanation.Id && chosen.Contains(p.JudgementId)).ToList();
        return pairs.Count < chosen.Distinct().Count()
            ? new Problem("judgements", "One of these pairs is no part of the explanation.", ProblemKind.NotFound)
            : pairs.SelectMany(pair => pair.Others().Prepend(pair.JudgementId)).Distinct().ToList();
    }

    /// <summary>What somebody gave that the model was trained on; whoever judged a pair alike keeps their say.</summary>
    private static Outcome<List<JudgementId>> OfPerson(PortalDbContext db, Explanation explanation, string pseudonym, UnlearningChoice choice)
    {
        List<JudgementId> explaining = [.. db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == explanation.Id).ToList().SelectMany(pair => pair.Others().Prepend(pair.JudgementId))];
        var theirs = from j in db.PairwiseJudgements.AsNoTracking() join a in db.Annotators on j.AnnotatorId equals a.Id where a.Pseudonym == pseudonym select j;
        if (!theirs.Any(j => explaining.Contains(j.Id)))
            return new Problem("annotator", "No judgement of such a person is part of the explanation.", ProblemKind.NotFound);
        if (choice is { From: { } from, Until: { } until } && until < from)
            return new Problem("until", "The last day lies before the first.");
        var (first, after) = (Midnight(choice.From), Midnight(choice.Until?.AddDays(1)));
        var found = (from row in db.DatasetRows.AsNoTracking()
                     where row.DatasetVersionId == explanation.DatasetVersionId && row.Part == DatasetPart.Train
                     join j in theirs on row.JudgementId equals j.Id
                     where (first == null || j.SubmittedAt >= first) && (after == null || j.SubmittedAt < after)
                     orderby row.Ordinal
                     select j.Id).ToList();
        return found.Count == 0 ? new Problem("from", "They gave none of the model's judgements in these days.") : found;

        static DateTimeOffset? Midnight(DateOnly? day) => day is { } given ? new DateTimeOffset(given.ToDateTime(TimeOnly.MinValue), TimeSpan.Zero) : null;
    }

    /// <summary>What was turned round or weighed down once is only removed after that: to turn it back is to roll that request back.</summary>
    private static Problem? ChangedAlready(PortalDbContext db, ModelVersion model, DatasetVersionId dataset, IReadOnlyList<JudgementId> judgements)
    {
        var standing = UnlearntPairs.Of(db, model);
        var before = judgements.Select(judgement => standing.GetValueOrDefault(judgement)?.Request).FirstOrDefault(request => request is not null)
            ?? db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == dataset && judgements.Contains(r.JudgementId) && r.ChangedBy != null).Select(r => r.ChangedBy).FirstOrDefault();
        return before is not { } changed ? null
            : new Problem("action", $"Request {db.UnlearningRequests.Where(r => r.Id == changed).Select(r => r.Number).FirstOrDefault()} changed some of these pairs already. Remove them, or roll that request back.", ProblemKind.Conflict);
    }
}
