using System.Text.Json;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>A described SARM reward model in a seeded project: rows as the job would write them, with numbers that each test chooses.</summary>
internal sealed class SeededFeatures
{
    private readonly SeededProject project;

    public SeededFeatures(SeededProject project, int number = 1, int latents = 8)
    {
        this.project = project;
        Model = project.Model(ModelKind.RewardModel, number, "SARM");
        var job = project.Job(new DescribeFeatures { RewardModelId = Model.Id });
        Description = new FeatureDescription
        {
            Id = new FeatureDescriptionId(job.Id.Value), ProjectId = project.Id, ModelVersionId = Model.Id, Latents = latents, Responses = 400, SentenceEnds = 1_000, Pairs = 120,
            PromptsDiscovery = 30, PromptsTest = 28, SpecJson = job.SpecJson, CodesSha256 = new string('c', 64), At = project.Now,
        };
        project.Add(Description);
        project.Change(db =>
        {
            var row = db.Jobs.Single(j => j.Id == job.Id);
            row.Start(project.Now);
            row.Succeed($"/features?version={Model.Id}", project.Now);
        });
    }

    public ModelVersion Model { get; }
    public FeatureDescription Description { get; }

    /// <summary>One feature; what a test does not choose is that of a dead one.</summary>
    public SaeFeature Feature(int latent, int atEnd = 0, int atSentence = 0, double weight = 0, double contribution = 0, double gap = 0, int pairs = 0, double? auc = null,
        double? raw = null, double? residual = null, double? residualQ = null, IReadOnlyList<RelatedFeature>? related = null, IReadOnlyList<VoterShare>? voters = null)
    {
        var feature = Make(latent, atEnd, atSentence, weight, contribution, gap, pairs, auc, raw, residual, residualQ, related, voters);
        project.Add(feature);
        return feature;
    }

    /// <summary>The same, not stored.</summary>
    public SaeFeature Make(int latent, int atEnd = 0, int atSentence = 0, double weight = 0, double contribution = 0, double gap = 0, int pairs = 0, double? auc = null,
        double? raw = null, double? residual = null, double? residualQ = null, IReadOnlyList<RelatedFeature>? related = null, IReadOnlyList<VoterShare>? voters = null) => new()
    {
        DescriptionId = Description.Id, Latent = latent, FiringAtEnd = atEnd, FiringAtSentence = atSentence, ActivationMax = atEnd > 0 ? 4 : 0, ActivationMean = atEnd > 0 ? 1.5 : 0,
        HeadWeight = weight, ContributionMean = contribution, GapContribution = gap, PairsDiffering = pairs, RewardAuc = auc, SelectionScore = raw, SelectionP = raw is null ? null : .004,
        SelectionQ = raw is null ? null : .02, ResidualScore = residual, ResidualP = residual is null ? null : .01, ResidualQ = residual is null ? null : residualQ ?? .03,
        HistogramJson = JsonSerializer.Serialize(new ActivationHistogram(4, Bins(atEnd), Bins(atSentence))), RelatedJson = JsonSerializer.Serialize(related ?? []),
        VotersJson = JsonSerializer.Serialize(voters ?? []),
    };

    public void Label(int latent, string text, int version = 1, double? detection = .9, string? pattern = "word", LabelSource source = LabelSource.Keyword, ModelVersionId? model = null) =>
        project.Add(new FeatureLabel
        {
            Id = project.Ids.New<FeatureLabelId>(), ProjectId = project.Id, ModelVersionId = model ?? Model.Id, Latent = latent, Version = version, Text = text, Pattern = pattern, Source = source,
            Author = null, At = project.Now, Detection = detection, DetectionLow = detection - .06, DetectionHigh = detection + .05, Fuzzing = detection is null ? null : .8, ScoredOn = detection is null ? 0 : 60,
        });

    public void Context(int latent, ResponseId response, ContextPosition position, int band, int start, int length, double activation) =>
        project.Add(new FeatureContext
        {
            DescriptionId = Description.Id, Latent = latent, ResponseId = response, Position = position, Band = band, Start = start, Length = length, Activation = activation,
        });

    /// <summary>Eight equal steps, most firings weak, together so many.</summary>
    private static IReadOnlyList<int> Bins(int count) => count == 0 ? new int[8] : [.. Enumerable.Range(0, 8).Select(bin => (count * (8 - bin) / 36) + (bin == 0 ? count - Enumerable.Range(0, 8).Sum(b => count * (8 - b) / 36) : 0))];
}
