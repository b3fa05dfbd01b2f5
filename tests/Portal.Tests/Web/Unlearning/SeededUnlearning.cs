using System.Text.Json;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Tests.Web.Explain;

namespace Portal.Tests.Web.Unlearning;

/// <summary>Requests of a seeded explanation: one that waits, one whose model is made and misses a gate, one that was refused.</summary>
internal sealed class SeededUnlearning
{
    public SeededUnlearning(SeededProject project, SeededExplanation explanation, Guid by, Guid decider)
    {
        Waiting = Add(project, explanation, 1, explanation.Judgements[0], by).Id;
        var made = Add(project, explanation, 2, explanation.Judgements[5], by);
        var version = project.Model(ModelKind.RewardModel, 402, "unlearning, Newton", explanation.RewardModel.Id, explanation.Dataset.Id);
        var refused = Add(project, explanation, 3, explanation.Judgements[8], by);
        (Made, Refused, Version) = (made.Id, refused.Id, version.Id);
        project.Change(db =>
        {
            var approved = db.UnlearningRequests.Single(r => r.Id == Made);
            if (approved.Approve(decider, "Agreed: the answers praise the mill instead of counting legs.", project.Now, () => project.Ids.New<JobId>()) is { } problem)
                throw new InvalidOperationException(problem.Message);
            approved.Made(Version, new UnlearningOutcome(1, new(2.04, 0.61, 0.60), new(0.912, 0.913, 0.913), new(0.934, 0.921, 0.930), 0.0008, 3.2e-10, 0.02, 0.99, 0.08, 0.31));
            db.UnlearningRequests.Single(r => r.Id == Refused).Refuse(decider, "Half of these are good answers.", project.Now);
        });
    }

    public UnlearningRequestId Waiting { get; }
    public UnlearningRequestId Made { get; }
    public UnlearningRequestId Refused { get; }
    public ModelVersionId Version { get; }

    /// <summary>One judgement of many: below a hundredth of the data.</summary>
    private static UnlearningRequest Add(SeededProject project, SeededExplanation explanation, int number, JudgementId judgement, Guid by)
    {
        var request = new UnlearningRequest
        {
            Id = project.Ids.New<UnlearningRequestId>(), ProjectId = project.Id, Number = number, ExplanationId = explanation.Id, RewardModelId = explanation.RewardModel.Id, DatasetVersionId = explanation.Dataset.Id,
            Method = number == 3 ? UnlearningMethod.SwapAndRetain : UnlearningMethod.Newton, Reason = "These judgements reward praise of the mill, whatever was asked.", Judgements = 1, JudgementsOf = 240,
            PreviewJson = JsonSerializer.Serialize(new UnlearningPreview(new RemovalPreviewResponse($"{explanation.RewardModel.Id}", 1, 240, number == 3 ? 1 : 0, new(1.52, 0.71), new(0.934, 0.930), new(0.941, 0.941), 200, [], 6), 0.44, number, 1), ServingJson.Options),
            RequestedBy = by, RequestedAt = project.Now,
        };
        project.Add(request);
        project.Add(new UnlearningPair { RequestId = request.Id, JudgementId = judgement });
        return request;
    }
}
