using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using TorchSharp;

namespace Portal.Engine.Jobs;

/// <summary>
/// Brings an SAE that was trained elsewhere (SAELens or sparsify layout) into a project, as a version whose parent is the model it reads: checked against that model
/// first, measured on the project's responses, all or nothing.
/// </summary>
/// <remarks>
/// Where the folder says of which model it is, that must be this one. Where it does not, the person's word is taken and written into the copy; the fit on the
/// project's own responses shows whether it can be true (another layer's SAE leaves over about as much variance as there is, or more).
/// </remarks>
public sealed class AddSae(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, DataDirectory directory, IdFactory ids, TimeProvider time)
{
    /// <summary>Responses that the fit is measured on, at most.</summary>
    private const int ResponsesMax = 500;

    private const int LengthMax = 192;

    /// <param name="model">The version it reads: an id, or what pages call it ("policy v1").</param>
    /// <param name="layer">Blocks run before the states are read, for folders that do not say.</param>
    /// <returns>The new version; and its fit, null where the project has no response yet.</returns>
    /// <exception cref="CannotTrain">No such project or model, or the folder does not fit; the message names file and field. Nothing is kept then.</exception>
    public async Task<(ModelVersion Version, SaeUse? Fit)> Run(string folder, string project, string model, int? layer, CancellationToken stop)
    {
        var store = new ModelStore(contexts, writes, directory, ids, time);
        var parent = await new NamedVersions(contexts).Find(model, project, stop);
        if (parent.Kind is ModelKind.SparseAutoencoder || parent.Status is ModelStatus.Retired)
            throw new CannotTrain(parent.Kind is ModelKind.SparseAutoencoder ? $"{parent.Label} has no states of its own; name a policy or a reward model." : $"{parent.Label} is retired and cannot be used.");
        using var read = ModelFolder.Sae(folder, layer);
        if (layer is { } said && said != read.Config.Layer)
            throw new CannotTrain($"--layer is {said}; the folder says {read.Config.Layer}.");
        var (backbone, tokenizer) = store.OpenDecoder(parent);
        using var ofBackbone = backbone;
        var (modelHash, tokenizerHash) = (LlamaWeights.Hash(backbone), TokenizerFolder.Hash(tokenizer));
        if (read.Config.ProblemWith(backbone.Config.HiddenSize, backbone.Config.LayerCount, modelHash, tokenizerHash) is { } problem)
            throw new CannotTrain($"{folder}: {problem}");
        using var sae = TopKSae.Of(read.Config with { ModelHash = modelHash, TokenizerHash = tokenizerHash }, read.EncoderWeight, read.LatentBias, read.DecoderWeight, read.PreBias);

        var id = ids.New<ModelVersionId>();
        var name = id.Value.ToString("N");
        var copy = Path.Combine(directory.Models, name);
        try
        {
            var fit = await Measure(sae, backbone, tokenizer, parent.ProjectId, name, stop);
            SaeFolder.Save(sae, copy, parent.Label);
            var files = store.FilesJson(name);
            var version = await writes.WriteAsync(db => Store(db, id, parent, name, files, folder, read.Config.ModelHash is not null, fit), stop);
            return (version, fit);
        }
        catch
        {
            if (Directory.Exists(copy))
                Directory.Delete(copy, recursive: true); // half an SAE is none
            throw;
        }
    }

    private ModelVersion Store(PortalDbContext db, ModelVersionId id, ModelVersion parent, string name, string files, string folder, bool saysItsModel, SaeUse? fit)
    {
        var now = time.GetUtcNow();
        var version = new ModelVersion
        {
            Id = id, ProjectId = parent.ProjectId, Kind = ModelKind.SparseAutoencoder, Number = ModelStore.NextNumber(db, parent.ProjectId, ModelKind.SparseAutoencoder), Method = TrainSaeRunner.Method,
            ParentId = parent.Id, DatasetVersionId = null, JobId = null, SpecJson = JsonSerializer.Serialize(new { addedFrom = Path.GetFileName(Path.GetFullPath(folder)), modelNamedByFolder = saysItsModel }),
            Seed = 0, Commit = "unknown", Folder = name, FilesJson = files, IsSynthetic = parent.IsSynthetic, CreatedAt = now,
        };
        db.ModelVersions.Add(version);
        if (fit is not null)
            db.EvaluationResults.AddRange(Rows(fit).Select(row => ModelStore.Row(id, row, null, now)));
        AuditChain.Append(db, now, actor: null, "model.add", "model", $"{id}", new { project = $"{parent.ProjectId}", kind = nameof(ModelKind.SparseAutoencoder), version.Number, parent = $"{parent.Id}", files = version.Files().Count });
        return version;
    }

    /// <summary>None of the project's responses took part in its training, as far as anybody here knows.</summary>
    private static IEnumerable<Measurement> Rows(SaeUse use)
    {
        foreach (var (where, fit) in new[] { ("", use.All), ("/response-end", use.End), ("/sentence-end", use.Sentence) })
        {
            if (fit is null)
                continue;
            foreach (var (name, value) in new[] { (MetricNames.SaeFvu, fit.Fvu), (MetricNames.SaeNmse, fit.Nmse), (MetricNames.SaeActive, fit.Active), (MetricNames.SaeCosine, fit.Cosine), (MetricNames.SaeLengthRatio, fit.LengthRatio) })
                yield return new Measurement(name, MetricNames.HeldOut + where, value, null, null, fit.Count);
        }
        yield return new Measurement(MetricNames.SaeDeadShare, "all", use.DeadShare, null, null, use.All.Count);
        if (use.End is { } end)
            yield return new Measurement(MetricNames.SaeDeadShare, "all/response-end", use.DeadShareAtEnd, null, null, end.Count);
    }

    private async Task<SaeUse?> Measure(TopKSae sae, LlamaBackbone backbone, ITokenizer tokenizer, ProjectId project, string name, CancellationToken stop)
    {
        await using (var db = await contexts.CreateDbContextAsync(stop))
            if (!await db.Responses.AnyAsync(r => r.ProjectId == project, stop))
                return null;
        var rules = new DatasetRules();
        var chosen = await ResponseDataset.Choose(contexts, project, rules, seed: 1, ResponsesMax, stop);
        var rows = (await ResponseDataset.Load(contexts, chosen.Ids, rules, stop)).Split;
        var encoder = new DialogueEncoder(tokenizer, Math.Min(LengthMax, backbone.Config.ContextLength), Overlong.TruncateLeft);
        List<EncodedText> texts = [.. rows.Train.Concat(rows.HeldOut).Select(row => encoder.Answer(row.Prompt, row.Response)!)]; // cut, never filtered
        if (texts.Count == 0)
            return null;
        var cache = Path.Combine(directory.Checkpoints, $"{name}-states"); // no job's name, so the queue leaves it alone
        try
        {
            var key = new ActivationKey(sae.Config.ModelHash!, sae.Config.TokenizerHash!, Recipes.Checkpoint.Fingerprint(texts.Select(text => string.Join(' ', text.Ids))), sae.Config.Layer); // set above
            using var states = ActivationStore.Open(cache, key, backbone, tokenizer, texts, (_, _) => { }, stop);
            return SaeMetrics.Measure(sae, states, [.. Enumerable.Range(0, states.Places.Count)], stop);
        }
        finally
        {
            if (Directory.Exists(cache))
                Directory.Delete(cache, recursive: true);
        }
    }
}

/// <summary>Versions as people name them on the command line: by id, or as pages call them ("policy v1").</summary>
public sealed class NamedVersions(IDbContextFactory<PortalDbContext> contexts)
{
    /// <summary>The version that a word names.</summary>
    /// <param name="project">The project's name; null to look in all.</param>
    /// <exception cref="CannotTrain">No such project or version, or several projects have one of that name.</exception>
    public async Task<ModelVersion> Find(string word, string? project, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var projects = await db.Projects.AsNoTracking().Select(p => new { p.Id, p.Name }).ToListAsync(stop);
        if (project is not null && projects.TrueForAll(p => p.Name != project))
            throw new CannotTrain($"There is no project \"{project}\". {(projects.Count == 0 ? "Make one in the portal first." : $"There is {string.Join(", ", projects.Take(20).Select(p => $"\"{p.Name}\""))}.")}");
        var all = await db.ModelVersions.AsNoTracking().ToListAsync(stop);
        var within = all.Where(v => project is null || projects.Exists(p => p.Id == v.ProjectId && p.Name == project)).ToList();
        var found = within.Where(v => ModelVersionId.TryParse(word, null, out var id) ? v.Id == id : string.Equals(v.Label, word.Trim(), StringComparison.OrdinalIgnoreCase)).ToList();
        var place = project is null ? "in this installation" : $"in \"{project}\"";
        return found switch
        {
            [var one] => one,
            [] => throw new CannotTrain($"There is no model version \"{word}\" {place}. {(within.Count == 0 ? "It has none." : $"There is {string.Join(", ", within.Select(v => v.Label).Distinct().Order(StringComparer.Ordinal).Take(20))}.")}"),
            _ => throw new CannotTrain($"{found.Count} projects have a {word}; name the project too, or the version's id."),
        };
    }
}
