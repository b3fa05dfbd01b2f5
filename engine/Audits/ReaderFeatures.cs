using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Audits;

/// <summary>A frozen model whose states are features.</summary>
/// <param name="Hash">Of its weights (<see cref="LlamaWeights.Hash"/>).</param>
public sealed record AuditReader(LlamaBackbone Model, ITokenizer Tokenizer, string Hash)
{
    /// <summary>Pooled states that were read before, by tokens and the places that are averaged; null: none are kept. For several audits against one base, whose answers are then read once.</summary>
    public IDictionary<string, float[]>? Known { get; init; }

    /// <summary>A model that is at hand.</summary>
    public static AuditReader Of(LlamaBackbone model, ITokenizer tokenizer) => new(model, tokenizer, LlamaWeights.Hash(model));
}

/// <summary>
/// The mean of a frozen model's last hidden states. Texts are read one at a time: the last bits of a product depend on what else is in a batch, and a text that somebody tries later must get the very
/// numbers it got in the audit.
/// </summary>
/// <remarks>Source: specs/fairl.md §1.2 (mean over the attention mask). Texts longer than the model's context lose their beginning.</remarks>
public sealed class PooledStates(AuditReader reader, AuditReading reading) : ITextFeatures
{
    private readonly DialogueEncoder encoder = new(reader.Tokenizer, reader.Model.Config.ContextLength, Overlong.TruncateLeft);

    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = [.. Enumerable.Range(0, reader.Model.Config.HiddenSize).Select(j => $"state_{j}")];

    /// <inheritdoc/>
    public float[] Read(AuditPrompt prompt, AuditText text)
    {
        var encoded = (reading is AuditReading.CompletionAlone ? encoder.Dialogue([new Turn("assistant", text.Text)]) : encoder.Answer(prompt.Turns, text.Text))!; // cut, never left out
        var (first, last) = reading is AuditReading.PromptAndCompletion ? (0, encoded.Ids.Length - 1) : (Array.IndexOf(encoded.Mask, true), Array.LastIndexOf(encoded.Mask, true));
        if (reader.Known is not { } known)
            return Mean(encoded.Ids, first, last);
        var key = $"{first}-{last}: {string.Join(' ', encoded.Ids)}";
        return known.TryGetValue(key, out var states) ? states : known[key] = Mean(encoded.Ids, first, last);
    }

    private float[] Mean(int[] ids, int first, int last)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var hidden = reader.Model.Hidden(tensor(ids.Select(id => (long)id).ToArray(), [1, ids.Length], device: reader.Model.EmbeddingWeight.device));
        return hidden[0].narrow(0, first, last - first + 1).to_type(ScalarType.Float32).mean([0L]).ToFloats();
    }
}

/// <summary>The codes of an SAE: of each latent the mean and the largest over the places where SAEs read a text (the ends of its sentences, and its end; <see cref="SaePositions"/>).</summary>
/// <remarks>Read one text at a time, for the same reason as <see cref="PooledStates"/>.</remarks>
public sealed class SaeCodes : ITextFeatures
{
    private readonly AuditReader reader;
    private readonly TopKSae sae;
    private readonly DialogueEncoder encoder;

    /// <param name="reader">The model the SAE was trained on.</param>
    /// <exception cref="CannotTrain">The SAE reads another model's states; the message says which.</exception>
    public SaeCodes(AuditReader reader, TopKSae sae)
    {
        if (sae.Config.ProblemWith(reader.Model.Config.HiddenSize, reader.Model.Config.LayerCount, reader.Hash, TokenizerFolder.Hash(reader.Tokenizer)) is { } problem)
            throw new CannotTrain(problem);
        (this.reader, this.sae) = (reader, sae);
        encoder = new DialogueEncoder(reader.Tokenizer, reader.Model.Config.ContextLength, Overlong.TruncateLeft);
        var latents = Enumerable.Range(0, sae.Config.Latents).ToArray();
        Names = [.. latents.Select(i => $"latent_{i}_max"), .. latents.Select(i => $"latent_{i}_mean")];
        Hash = AuditPrompts.HashOf(System.Text.Encoding.UTF8.GetBytes($"{sae.Config.ModelHash} {sae.Config.Layer} {sae.Config.Latents} {HashOf(sae.EncoderWeight)} {HashOf(sae.LatentBias)} {HashOf(sae.PreBias)}"));
    }

    /// <summary>M.</summary>
    public int Latents => sae.Config.Latents;

    /// <summary>Of what the codes depend on.</summary>
    public string Hash { get; }

    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; }

    /// <inheritdoc/>
    public float[] Read(AuditPrompt prompt, AuditText text)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var encoded = encoder.Answer(prompt.Turns, text.Text)!; // cut, never left out
        var (states, places) = ActivationStore.Read(reader.Model, reader.Tokenizer, sae.Config.Layer, [encoded], [0]);
        var codes = sae.Select(sae.PreActivations(sae.Normalise(states).X, sae.CentreOf([.. places.Select(place => place.Position)])));
        using var latents = codes.Indices.cpu().contiguous().data<long>();
        var (values, indices) = (codes.Values.ToFloats(), latents.ToArray());
        var features = new float[2 * Latents];
        for (var i = 0; i < values.Length; i++)
        {
            features[indices[i]] = Math.Max(features[indices[i]], values[i]);
            features[Latents + indices[i]] += values[i] / places.Count;
        }
        return features;
    }

    private static string HashOf(Tensor weights)
    {
        using var scope = NewDisposeScope();
        return AuditPrompts.HashOf(weights.detach().to_type(ScalarType.Float32).cpu().contiguous().bytes);
    }
}
