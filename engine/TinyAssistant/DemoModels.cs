using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;

namespace Portal.Engine.TinyAssistant;

/// <summary>One answer of the shipped comparison, as a line of <c>policy/samples.jsonl</c>.</summary>
/// <param name="IsBefore">Written by the base model, not by the policy.</param>
/// <param name="Ordinal">0, 1, ... among the samples of this prompt and model.</param>
public sealed record DemoSample(IReadOnlyList<Turn> Prompt, bool IsBefore, int Ordinal, string Text, double? Reward, int LengthTokens);

/// <summary>
/// Registers the reward model (which then serves), its sparse autoencoder with the readable reward model on it, the exhibit of over-optimisation
/// (retired, so that nobody serves it; its results page shows what the warnings are about), the policy that was paid for length (retired, too; an audit shows it) and the policy (a candidate, for people to decide
/// on) that the demo ships, with the numbers and answers that were measured when they were made.
/// </summary>
internal sealed class DemoModels(ModelStore store, IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, ContentHasher hasher, IdFactory ids,
    TimeProvider time, ILogger log, DataDirectory directory, string assets)
{
    public const string RewardFolder = "reward-model";
    public const string SaeFolder = "sae";
    public const string SarmFolder = "sarm";
    public const string PolicyFolder = "policy";
    public const string ExhibitFolder = "policy-overoptimised";

    private static readonly string PaidForLengthFolder = Path.Combine(DemoPolicies.Folder, DemoPolicies.NameOf(DemoAudit.Audited));

    /// <summary>How the exhibit was made, in words that tell it from a policy for people.</summary>
    public const string ExhibitMethod = "DPO, over-optimised on purpose";

    /// <summary>The policy of the shipped audit.</summary>
    public const string PaidForLengthMethod = "RLOO, paid for length on purpose";

    private const string SarmMethod = TrainSarmRunner.HeadMethod;

    public const string ComparisonFile = "comparison.json";
    public const string SamplesFile = "samples.jsonl";

    public async Task Register(ProjectId project, ModelVersionId baseId, CancellationToken stop)
    {
        var known = await Known(project, stop);
        if (!known.Any(version => version.Kind is ModelKind.RewardModel))
            await Add(project, baseId, baseId, RewardFolder, ModelKind.RewardModel, stop);
        if (!known.Any(version => version.Method == ExhibitMethod))
            await Add(project, baseId, baseId, ExhibitFolder, ModelKind.Policy, stop);
        if (!known.Any(version => version.Method == PaidForLengthMethod))
            await Add(project, baseId, baseId, PaidForLengthFolder, ModelKind.Policy, stop);
        if (!known.Any(version => version.Kind is ModelKind.Policy && version.Id != baseId && version.Method is not (ExhibitMethod or PaidForLengthMethod)))
            await Add(project, baseId, baseId, PolicyFolder, ModelKind.Policy, stop);
        // Also in an installation that an earlier release filled: its reward model is the one the features are of.
        if (!known.Any(version => version.Kind is ModelKind.SparseAutoencoder) && ShippedReward(await Known(project, stop)) is { } reward)
            await Add(project, reward.Id, baseId, SaeFolder, ModelKind.SparseAutoencoder, stop);
        if (!known.Any(version => version.Method == SarmMethod) && (await Known(project, stop)).Find(version => version is { Kind: ModelKind.SparseAutoencoder, JobId: null }) is { } sae)
            await Add(project, sae.Id, baseId, SarmFolder, ModelKind.RewardModel, stop);
        await Explain(project, stop);
        await Audit(project, baseId, stop); // first: it takes seconds, the description minutes
        await Describe(project, stop);
    }

    /// <summary>Asks for the shipped audit: a job that finds its report made and stores it. Once; also in an installation that an earlier release filled.</summary>
    private async Task Audit(ProjectId project, ModelVersionId baseId, CancellationToken stop)
    {
        var folder = Path.Combine(assets, DemoAudit.Folder);
        var known = await Known(project, stop);
        if (known.Find(version => version.Method == PaidForLengthMethod) is not { } audited || !Directory.Exists(folder))
            return;
        Dictionary<string, string> prompts;
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            if (await db.Jobs.AnyAsync(j => j.ProjectId == project && j.Kind == nameof(AuditReward), stop))
                return;
            prompts = await db.Prompts.Where(p => p.ProjectId == project && p.ExternalId != null).ToDictionaryAsync(p => p.ExternalId!, p => $"{p.Id}", stop);
        }
        var job = ids.New<JobId>();
        var spec = DemoAudit.Spec((ulong)audited.Seed) with { AuditedId = audited.Id, BaseId = baseId, ReferenceId = ShippedReward(known)?.Id };
        if (DemoAudit.Place(folder, AuditRewardRunner.ReportOf(directory, job), spec, prompts))
        {
            File.Copy(Path.Combine(assets, DemoAudit.LexiconFile), Path.Combine(directory.Lexicons, Path.GetFileName(DemoAudit.LexiconFile)), overwrite: true);
            await writes.WriteAsync(db => AskForJob.Add(db, job, project, spec, after: null, by: null, time.GetUtcNow()), stop);
        }
    }

    /// <summary>Stores the shipped flags, explanations and the request on one of them. Once; also in an installation that an earlier release filled.</summary>
    private async Task Explain(ProjectId project, CancellationToken stop)
    {
        var path = Path.Combine(assets, DemoExplanations.File);
        if (!File.Exists(path))
            return;
        DemoNames? names;
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            if (await db.Jobs.AnyAsync(j => j.ProjectId == project && j.Kind == nameof(ExplainResponses) && j.CreatedBy == null, stop))
                return;
            names = await DemoNames.Of(db, hasher, assets, project, stop);
        }
        if (names is not null && await DemoExplanations.Place(path, names, writes, hasher, ids, time, stop))
            log.LogInformation("The demo's explanations are stored");
    }

    /// <summary>Asks for the description of the readable reward model's features: a job as any other, on the rows of this installation. Once; what became of it is seen among the jobs.</summary>
    private Task Describe(ProjectId project, CancellationToken stop) => writes.WriteAsync(db =>
    {
        var sarm = db.ModelVersions.Where(v => v.ProjectId == project && v.Method == SarmMethod && v.JobId == null).Select(v => (ModelVersionId?)v.Id).FirstOrDefault();
        if (sarm is { } version && !db.Jobs.Any(j => j.ProjectId == project && j.Kind == nameof(DescribeFeatures)))
            AskForJob.Add(db, ids.New<JobId>(), project, new DescribeFeatures { RewardModelId = version }, after: null, by: null, time.GetUtcNow());
    }, stop);

    private async Task<List<ModelVersion>> Known(ProjectId project, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project).OrderBy(v => v.CreatedAt).ThenBy(v => v.Id).ToListAsync(stop);
    }

    /// <summary>The version that came from one of the demo's folders, by its weights; null where the project has no such version.</summary>
    /// <param name="known">Versions of the project.</param>
    internal static ModelVersion? Shipped(string assets, string folder, IEnumerable<ModelVersion> known)
    {
        var weights = new FileInfo(Path.Combine(assets, folder, HuggingFaceFolder.WeightsFile));
        return weights.Exists ? known.FirstOrDefault(version => version.JobId is null && version.Files().Any(file => file.Name == weights.Name && file.Sha256 == ModelStore.HashOf(weights.FullName))) : null;
    }

    private ModelVersion? ShippedReward(IEnumerable<ModelVersion> known) => Shipped(assets, RewardFolder, known.Where(version => version.Kind is ModelKind.RewardModel));

    private async Task Add(ProjectId project, ModelVersionId parent, ModelVersionId baseId, string name, ModelKind kind, CancellationToken stop)
    {
        var folder = Path.Combine(assets, name);
        if (InstallDemo.Measured<TrainingReport>(folder, "report.json") is not { } report || !File.Exists(Path.Combine(folder, kind is ModelKind.SparseAutoencoder ? "cfg.json" : "config.json")))
            return;
        var spec = JobSpec.FromJson(report.Spec);
        var rules = spec switch
        {
            TrainRewardModel reward => reward.Rules,
            TrainPreferencePolicy policy => policy.Rules,
            TrainSarm sarm => sarm.Rules,
            TrainSae or TrainRlooPolicy => null, // no judgements
            _ => throw new CannotTrain($"{folder}: report.json is of {spec.Kind}, which the demo does not ship."),
        };
        var manifest = new DatasetManifest(contexts, writes, hasher, ids, time);
        var dataset = rules is null ? (DatasetVersionId?)null
            : await manifest.Build(project, spec is TrainPreferencePolicy { Method: PreferenceMethod.Kto } ? TaskKind.Binary : TaskKind.Pairwise, rules, job: null, actor: null, stop);
        var id = ids.New<ModelVersionId>();
        var exhibit = name == ExhibitFolder ? ExhibitMethod : name == PaidForLengthFolder ? PaidForLengthMethod : null;
        var copied = id.Value.ToString("N");
        store.CopyIn(folder, copied, wanted: null, stop);
        var compared = InstallDemo.Measured<List<Measurement>>(folder, ComparisonFile) ?? [];
        if (kind is ModelKind.Policy)
            await StoreSamples(project, baseId, id, Path.Combine(folder, SamplesFile), stop);
        await writes.WriteAsync(db =>
        {
            var now = time.GetUtcNow();
            var version = new ModelVersion
            {
                Id = id, ProjectId = project, Kind = kind, Number = ModelStore.NextNumber(db, project, kind),
                Method = exhibit ?? spec switch { TrainRewardModel => "reward model", TrainSae => TrainSaeRunner.Method, TrainSarm => SarmMethod, TrainPreferencePolicy { Method: PreferenceMethod.Kto } => "KTO", _ => "DPO" },
                ParentId = parent, DatasetVersionId = dataset, JobId = null, SpecJson = report.Spec, Seed = spec.Seed, Commit = MakeDemo.Commit(), Folder = copied,
                FilesJson = store.FilesJson(copied), IsSynthetic = true, CreatedAt = now,
            };
            db.ModelVersions.Add(version);
            db.EvaluationResults.AddRange(report.Measurements.Concat(compared).Select(measured => ModelStore.Row(id, measured, baseId, now)));
            AuditChain.Append(db, now, actor: null, "model.import", "model", $"{id}", new { kind = kind.ToString(), version.Number, dataset = $"{dataset}", demo = true });
            if (name == RewardFolder)
                ModelStore.Serve(db, db.Projects.First(p => p.Id == project), version, "the demo's reward model", ids, now);
            if (exhibit is not null)
                version.Retire();
        }, stop);
        log.LogInformation("The demo's {Kind} is registered", exhibit is not null ? "exhibit" : name == SarmFolder ? "readable reward model" : kind.Noun());
    }

    private async Task StoreSamples(ProjectId project, ModelVersionId baseId, ModelVersionId candidate, string path, CancellationToken stop)
    {
        if (!File.Exists(path))
            return;
        var sampling = JsonSerializer.Serialize(new SamplingSpec { Temperature = WorldSamples.Temperature }, InstallDemo.Json);
        var samples = File.ReadLines(path).Select(line => JsonSerializer.Deserialize<DemoSample>(line, InstallDemo.Json)!).ToList(); // we wrote it: no line is null
        foreach (var some in samples.Chunk(50))
        {
            await writes.WriteAsync(db =>
            {
                var hashes = some.Select(sample => hasher.Hash(Conversation.Serialize(sample.Prompt))).ToList();
                var prompts = db.Prompts.Where(p => p.ProjectId == project && hashes.Contains(p.ContentHash)).ToDictionary(p => p.ContentHash, p => p.Id);
                var known = new SampledResponses(db, project, hasher, ids, time, sampling, [.. prompts.Values]);
                foreach (var (sample, hash) in some.Zip(hashes))
                    if (prompts.TryGetValue(hash, out var prompt))
                        db.EvaluationSamples.Add(new EvaluationSample
                        {
                            CandidateId = candidate, SampledFromId = sample.IsBefore ? baseId : candidate, PromptId = prompt, Ordinal = sample.Ordinal, Reward = sample.Reward,
                            LengthTokens = sample.LengthTokens, ResponseId = known.Of(prompt, sample.IsBefore ? baseId : candidate, sample.Text).Id,
                        });
            }, stop);
        }
    }
}
