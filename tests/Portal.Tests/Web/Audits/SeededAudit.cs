using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;

namespace Portal.Tests.Web.Audits;

/// <summary>An audit of a seeded project, as its job would leave it: job, row, folder, and two texts of either policy to each prompt. The last prompt's second base completion was not written.</summary>
internal sealed class SeededAudit
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) } };

    private readonly SeededProject project;

    /// <param name="number">Of the audit, and of the two policies it adds (2n − 1 and 2n).</param>
    public SeededAudit(SeededProject project, int number = 1, int prompts = 3, bool hasEnded = true)
    {
        this.project = project;
        Base = project.Model(ModelKind.Policy, (2 * number) - 1, "base");
        Audited = project.Model(ModelKind.Policy, 2 * number, "RLOO", Base.Id);
        JobId = project.Job(new AuditReward { AuditedId = Audited.Id, BaseId = Base.Id }).Id;
        for (var index = 0; index < prompts; index++)
            Ask(number, index, isLast: index == prompts - 1);
        project.Change(db => db.Jobs.Single(j => j.Id == JobId).Start(project.Now));
        if (!hasEnded)
            return;
        Report = ReportOf();
        Row = RowOf(number, Write());
        project.Add(Row);
        project.Change(db => db.Jobs.Single(j => j.Id == JobId).Succeed($"/audits/{JobId}", project.Now));
    }

    public ModelVersion Base { get; }
    public ModelVersion Audited { get; }
    public JobId JobId { get; }
    public List<PromptId> Prompts { get; } = [];

    /// <summary>Null where its job has not ended, as is the row.</summary>
    public AuditReport? Report { get; }

    public PolicyAudit? Row { get; }

    public string Folder => Path.Combine(project.Directory.Audits, JobId.Value.ToString("N"));

    private void Ask(int number, int index, bool isLast)
    {
        var prompt = project.Prompt($"Which way to the well, try {number}.{index}?", "directions");
        Prompts.Add(prompt);
        foreach (var (side, version) in new[] { (AuditSide.Audited, Audited), (AuditSide.Base, Base) })
        {
            for (var ordinal = 0; ordinal < 2; ordinal++)
            {
                var isWritten = !(isLast && side is AuditSide.Base && ordinal == 1);
                project.Add(new AuditTextRow
                {
                    JobId = JobId, PromptId = prompt, Side = side, Ordinal = ordinal, Part = AuditPart.Test, Status = isWritten ? CompletionStatus.Written : CompletionStatus.Failed,
                    ResponseId = isWritten ? project.Response(prompt, $"{side} says {ordinal}: past the mill, {number}.{index}.", version.Id) : null, Finished = isWritten, LogProbAudited = isWritten ? -12.5 - ordinal : null,
                    LogProbBase = isWritten ? -14 : null, Problem = isWritten ? null : "The prompt is too long.",
                });
            }
        }
    }

    private string Write()
    {
        Directory.CreateDirectory(Folder);
        File.WriteAllBytes(Path.Combine(Folder, AuditReport.FileName), Report!.ToJson()); // set before
        File.WriteAllLines(Path.Combine(Folder, AuditFolder.ScoresFile), Report.Points.Select(point => JsonSerializer.Serialize(new TextScores(point.Text, new Dictionary<string, double[]> { ["max-entropy"] = [point.Z, point.Z / 2] }, null), Json)));
        var files = new[] { AuditReport.FileName, AuditFolder.ScoresFile }.ToDictionary(name => name, name => AuditFolder.HashOf(Path.Combine(Folder, name)));
        var manifest = Path.Combine(Folder, AuditManifest.FileName);
        File.WriteAllText(manifest, JsonSerializer.Serialize(new AuditManifest(AuditReport.CurrentSchema, files), Json));
        return AuditFolder.HashOf(manifest);
    }

    private AuditReport ReportOf()
    {
        var grey = new AuditLight(AuditLightState.NotEnoughEvidence, "Not enough evidence: 3 pairs.");
        return new AuditReport
        {
            SchemaVersion = AuditReport.CurrentSchema, Method = "failure-aware-reweight", Methods = [], Incentives = [], Failures = [], TestPairs = [],
            Provenance = new AuditProvenance
            {
                Audited = new AuditedPolicy(Audited.Label, "model", "a1", "t"), Base = new AuditedPolicy(Base.Label, "model", "b1", "t"), Spec = "{}", TextsFingerprint = "f", ReaderHash = "b1", ReaderTokenizerHash = "t", PhrasesHash = "p",
                Features = "hiddenStates", FeatureCount = 16, ConstantFeatures = 0, LeftOutFeatures = [], PromptsTrain = 0, PromptsHoldout = 0, PromptsTest = Prompts.Count, DuplicatePrompts = 0, CandidatesMin = 3, LogRatios = Prompts.Count,
                Seeds = 5, Bootstraps = 3, ChosenBy = "hold-out loss",
            },
            Census = new AuditCensus(Prompts.Count, Prompts.Count, 0, 0, 0, [], null), Verdict = new AuditVerdictStrip([new AuditReason("TooFewPairs", "3 pairs are too few.")], grey, grey, grey),
            Pairs = [.. Prompts.Select(prompt => new AuditPair($"{prompt}", AuditPart.Test, $"{new AuditTextId(prompt, AuditSide.Audited, 0)}", $"{new AuditTextId(prompt, AuditSide.Base, 0)}"))],
            Points = [.. Prompts.Select((prompt, i) => new AuditPoint($"{new AuditTextId(prompt, AuditSide.Audited, 0)}", i, 0.1, null))],
        };
    }

    private PolicyAudit RowOf(int number, string manifest) => new()
    {
        JobId = JobId, ProjectId = project.Id, Number = number, AuditedId = Audited.Id, BaseId = Base.Id, AuditedEndpointId = null, BaseEndpointId = null, AuditedName = Audited.Label, BaseName = Base.Label, ReferenceId = null,
        SaeId = null, Seed = 1, PromptSource = AuditPromptSource.HeldOut, Prompts = Prompts.Count, PromptsOfTraining = 0, Pairs = Prompts.Count, Folder = JobId.Value.ToString("N"), ManifestSha256 = manifest,
        Identifiable = AuditLightState.NotEnoughEvidence, Faithful = AuditLightState.NotEnoughEvidence, Spurious = AuditLightState.NotEnoughEvidence, Sentence = "3 pairs are too few.", Method = "failure-aware-reweight",
        Accuracy = 0.71, AccuracyLow = 0.6, AccuracyHigh = 0.8, Undetermined = 0.1, Distance = null, DistanceLow = null, DistanceHigh = null, IncentivesFound = 0, IsSynthetic = true,
        CreatedBy = SeededProject.AccountOf(project.Admin), At = project.Now,
    };
}
