using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.Unlearning;

namespace Portal.Web.Unlearning;

/// <summary>What somebody wants a reward model to forget.</summary>
/// <param name="Judgements">Pairs of the explanation, by the judgements they are named by.</param>
public sealed record UnlearningInput(ExplanationId Explanation, IReadOnlyList<JudgementId> Judgements, UnlearningMethod Method, string Reason);

/// <summary>What a request would be of, checked.</summary>
/// <param name="Judgements">With all that judged the same pairs alike.</param>
/// <param name="Of">Judgements the model was trained on.</param>
internal sealed record CheckedUnlearning(Explanation Explanation, ModelVersion Model, IReadOnlyList<JudgementId> Judgements, int Of, int Protected)
{
    /// <summary>Asks that there is something to forget, that an explanation supports it, that it is of the model's own data, and that nobody else asked for it.</summary>
    public static Outcome<CheckedUnlearning> Find(PortalDbContext db, ExplanationId id, IReadOnlyList<JudgementId> chosen)
    {
        if (db.Explanations.AsNoTracking().FirstOrDefault(e => e.Id == id) is not { } explanation)
            return new Problem("explanation", "There is no explanation at this address.", ProblemKind.NotFound);
        if (explanation.Confidence is ExplanationConfidence.Unexplained)
            return new Problem("explanation", "These pairs do not explain the response: without them its reward would be much the same. Forgetting them would harm the model for nothing.", ProblemKind.Conflict);
        var model = db.ModelVersions.AsNoTracking().First(v => v.Id == explanation.RewardModelId);
        if (model.Status is ModelStatus.Retired)
            return new Problem("rewardModel", $"{model.Label} is retired; explain the response by a model that can serve.", ProblemKind.Conflict);
        if (model.DatasetVersionId != explanation.DatasetVersionId)
            return new Problem("judgements", $"These pairs are of another version of the data than {model.Label} was trained on. Explain the response again.", ProblemKind.Conflict);
        if (chosen.Count == 0)
            return new Problem("judgements", "Choose at least one pair.");
        var pairs = db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == id && chosen.Contains(p.JudgementId)).ToList();
        if (pairs.Count < chosen.Distinct().Count())
            return new Problem("judgements", "One of these pairs is no part of the explanation.", ProblemKind.NotFound);
        List<JudgementId> all = [.. pairs.SelectMany(pair => pair.Others().Prepend(pair.JudgementId)).Distinct()];
        // Over the primary key of the rows, and IX_UnlearningPairs_JudgementId.
        var of = db.DatasetRows.Count(r => r.DatasetVersionId == explanation.DatasetVersionId && r.Part == DatasetPart.Train);
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
        return all.Count > UnlearningRequest.ShareMax * of
            ? new Problem("judgements", $"{all.Count} of {of} judgements are more than {UnlearningRequest.ShareMax:P0}: that is another model, not a repair. Choose fewer, or train again under other rules.", ProblemKind.TooMuch)
            : new CheckedUnlearning(explanation, model, all, of, guarded);
    }
}
