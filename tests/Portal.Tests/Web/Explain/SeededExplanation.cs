using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;

namespace Portal.Tests.Web.Explain;

/// <summary>A reward model trained on twelve judgements of three people, and an explanation of a flagged response by them: made-up numbers that add up.</summary>
internal sealed class SeededExplanation
{
    /// <param name="number">Of the dataset version and the reward model.</param>
    public SeededExplanation(SeededProject project, int number, ExplanationConfidence confidence = ExplanationConfidence.Weak, string response = "A hen has two legs. As the old mill says, count them twice.")
    {
        AnnotatorId[] people = [project.Person($"heron-{number}-1"), project.Person($"wren-{number}-2"), project.Person($"sim-{number}-3", simulated: true)];
        Annotators = [$"heron-{number}-1", $"wren-{number}-2", $"sim-{number}-3"];
        Dataset = new DatasetVersion
        {
            Id = project.Ids.New<DatasetVersionId>(), ProjectId = project.Id, Number = number, Kind = TaskKind.Pairwise, RulesJson = System.Text.Json.JsonSerializer.Serialize(new DatasetRules()), ManifestHash = new string('c', 64), RowsTrain = 12,
            RowsHeldOut = 0, PromptsTrain = 12, PromptsHeldOut = 0, DroppedJson = "{}", RowsSimulated = 4, CreatedAt = project.Now, JobId = null,
        };
        project.Add(Dataset);
        for (var i = 0; i < 12; i++)
        {
            var prompt = project.Prompt($"How many legs has a goose, and what does it give, question {i} of set {number}?");
            var (chosen, rejected) = (project.Response(prompt, $"Two, as the old mill says, and {i} again."), project.Response(prompt, $"Two legs. Nothing of {i}."));
            // heron judged five, wren three, sim-3 four.
            var vote = project.Vote(project.Pair(prompt, chosen, rejected), people[i < 5 ? 0 : i < 8 ? 1 : 2], PairwiseVerdict.Preferred, chosen, 2);
            Judgements.Add(vote.Id);
            Chosen.Add(chosen);
            project.Add(new DatasetRow
            {
                DatasetVersionId = Dataset.Id, Ordinal = i, JudgementId = vote.Id, PromptId = prompt, Part = DatasetPart.Train, ChosenId = chosen, RejectedId = rejected, Label = null, Margin = null, Weight = 1, ContentHash = new string('d', 64),
            });
        }
        RewardModel = project.Model(ModelKind.RewardModel, number, "reward model", null, Dataset.Id);
        Policy = project.Model(ModelKind.Policy, number, "DPO");
        var asked = project.Prompt($"How many legs has a hen, set {number}?");
        Response = project.Response(asked, response, Policy.Id);
        Flag = new Flag { Id = project.Ids.New<FlagId>(), ProjectId = project.Id, ResponseId = Response, AnnotatorId = people[1], Reason = FlagReason.Slogan, Place = "results", At = project.Now };
        project.Add(Flag);
        Job = project.Job(new ExplainResponses { FlagIds = [Flag.Id] }).Id;
        Id = Add(project, confidence);
    }

    public IReadOnlyList<string> Annotators { get; }
    public DatasetVersion Dataset { get; }
    public ModelVersion RewardModel { get; }
    public ModelVersion Policy { get; }
    public List<JudgementId> Judgements { get; } = [];
    public List<ResponseId> Chosen { get; } = [];
    public ResponseId Response { get; }
    public Flag Flag { get; }
    public JobId Job { get; }
    public ExplanationId Id { get; }

    public string Page => $"/explain/{Id}";

    /// <summary>Weights .4, .3, .2 and .1 on judgements 0, 1, 5 and 8, margins 2, 1, −1 and 3: they explain 1.2 of 2. The policy was asked about all but judgement 5, and not at all where nothing is calibrated.</summary>
    public ExplanationId Add(SeededProject project, ExplanationConfidence confidence, ResponseId? response = null, JobId? job = null)
    {
        var explanation = new Explanation
        {
            Id = project.Ids.New<ExplanationId>(), ProjectId = project.Id, JobId = job ?? Job, FlagId = response is null ? Flag.Id : null, ResponseId = response ?? Response, RewardModelId = RewardModel.Id, DatasetVersionId = Dataset.Id,
            PolicyId = confidence is ExplanationConfidence.NotCalibrated ? null : Policy.Id, Mode = QueryMode.Centred, Space = FeatureSpace.RewardState, Locality = 0, References = 8, Reward = 2, Explained = 1.2, Residual = 1.1, RelativeResidual = 0.31, Gap = 1e-7, Method = Explanation.Favoured, Confidence = confidence,
            Drop = 0.4, ExplainedAbove = confidence is ExplanationConfidence.NotCalibrated ? null : 1, DropAbove = confidence is ExplanationConfidence.NotCalibrated ? null : 0.7, Calibrating = confidence is ExplanationConfidence.NotCalibrated ? 0 : 240,
            IsTruncated = false, Pairs = 12, Milliseconds = 4, Seed = 1, IsSynthetic = true, CreatedBy = null, At = project.Now,
        };
        project.Add(explanation);
        foreach (var (at, weight, margin, projection, influence, nearest) in new (int, double, double, int?, int?, int?)[] { (0, .4, 2, 1, 3, 1), (1, .3, 1, 2, 15, 2), (5, .2, -1, 3, null, null), (8, .1, 3, 4, 1, 9), (9, 0, .5, null, 2, null) })
        {
            project.Add(new ExplainingPair
            {
                ExplanationId = explanation.Id, JudgementId = Judgements[at], OthersJson = at == 1 ? $"[\"{Judgements[2]}\"]" : "[]", Weight = weight, Margin = margin, Distance = 3, Influence = .01 * at, PolicyEffect = confidence is ExplanationConfidence.NotCalibrated || at == 5 ? null : .0123 * (at - 1), ProjectionRank = projection,
                InfluenceRank = influence, NearestRank = nearest, CosineRank = nearest,
            });
        }
        return explanation.Id;
    }
}
