using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine.TinyAssistant;

/// <summary>One answer of the shipped comparison, as a line of <c>policy/samples.jsonl</c>.</summary>
/// <param name="IsBefore">Written by the base model, not by the policy.</param>
/// <param name="Ordinal">0, 1, ... among the samples of this prompt and model.</param>
public sealed record DemoSample(IReadOnlyList<Turn> Prompt, bool IsBefore, int Ordinal, string Text, double? Reward, int LengthTokens);

/// <summary>
/// Registers the reward model (which then serves), the exhibit of over-optimisation (retired, so that nobody serves it; its results page shows
/// what the warnings are about) and the policy (a candidate, for people to decide on) that the demo ships, with the numbers and answers that
/// were measured when they were made.
/// </summary>
internal sealed class DemoModels(ModelStore store, IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, ContentHasher hasher, IdFactory ids,
    TimeProvider time, ILogger log, string assets)
{
    public const string RewardFolder = "reward-model";
    public const string PolicyFolder = "policy";
    public const string ExhibitFolder = "policy-overoptimised";

    /// <summary>How the exhibit was made, in words that tell it from a policy for people.</summary>
    public const string ExhibitMethod = "DPO, over-optimised on purpose";

    public const string ComparisonFile = "comparison.json";
    public const string SamplesFile = "samples.jsonl";

    public async Task Register(ProjectId project, ModelVersionId baseId, CancellationToken stop)
    {
        List<(ModelKind Kind, string Method)> known;
        await using (var db = await contexts.CreateDbContextAsync(stop))
            known = [.. (await db.ModelVersions.Where(v => v.ProjectId == project && v.Id != baseId).Select(v => new { v.Kind, v.Method }).ToListAsync(stop)).Select(v => (v.Kind, v.Method))];
        if (!known.Any(version => version.Kind is ModelKind.RewardModel))
            await Add(project, baseId, RewardFolder, ModelKind.RewardModel, stop);
        if (!known.Any(version => version.Method == ExhibitMethod))
            await Add(project, baseId, ExhibitFolder, ModelKind.Policy, stop);
        if (!known.Any(version => version.Kind is ModelKind.Policy && version.Method != ExhibitMethod))
            await Add(project, baseId, PolicyFolder, ModelKind.Policy, stop);
    }

    private async Task Add(ProjectId project, ModelVersionId baseId, string name, ModelKind kind, CancellationToken stop)
    {
        var folder = Path.Combine(assets, name);
        if (InstallDemo.Measured<TrainingReport>(folder, "report.json") is not { } report || !File.Exists(Path.Combine(folder, "config.json")))
            return;
        var spec = JobSpec.FromJson(report.Spec);
        var rules = spec switch
        {
            TrainRewardModel reward => reward.Rules,
            TrainPreferencePolicy policy => policy.Rules,
            _ => throw new CannotTrain($"{folder}: report.json is of {spec.Kind}, which the demo does not ship."),
        };
        var manifest = new DatasetManifest(contexts, writes, hasher, ids, time);
        var dataset = await manifest.Build(project, spec is TrainPreferencePolicy { Method: PreferenceMethod.Kto } ? TaskKind.Binary : TaskKind.Pairwise, rules, job: null, actor: null, stop);
        var id = ids.New<ModelVersionId>();
        var isExhibit = name == ExhibitFolder;
        var copied = id.Value.ToString("N");
        store.CopyIn(folder, copied);
        var compared = InstallDemo.Measured<List<Measurement>>(folder, ComparisonFile) ?? [];
        if (kind is ModelKind.Policy)
            await StoreSamples(project, baseId, id, Path.Combine(folder, SamplesFile), stop);
        await writes.WriteAsync(db =>
        {
            var now = time.GetUtcNow();
            var version = new ModelVersion
            {
                Id = id, ProjectId = project, Kind = kind, Number = ModelStore.NextNumber(db, project, kind),
                Method = isExhibit ? ExhibitMethod : spec switch { TrainRewardModel => "reward model", TrainPreferencePolicy { Method: PreferenceMethod.Kto } => "KTO", _ => "DPO" },
                ParentId = baseId, DatasetVersionId = dataset, JobId = null, SpecJson = report.Spec, Seed = spec.Seed, Commit = MakeDemo.Commit(), Folder = copied,
                FilesJson = store.FilesJson(copied), IsSynthetic = true, CreatedAt = now,
            };
            db.ModelVersions.Add(version);
            db.EvaluationResults.AddRange(report.Measurements.Concat(compared).Select(measured => ModelStore.Row(id, measured, baseId, now)));
            AuditChain.Append(db, now, actor: null, "model.import", "model", $"{id}", new { kind = kind.ToString(), version.Number, dataset = $"{dataset}", demo = true });
            if (kind is ModelKind.RewardModel)
                ModelStore.Serve(db, db.Projects.First(p => p.Id == project), version, "the demo's reward model", ids, now);
            if (isExhibit)
                version.Retire();
        }, stop);
        log.LogInformation("The demo's {Kind} is registered", kind is ModelKind.RewardModel ? "reward model" : isExhibit ? "exhibit" : "policy");
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
