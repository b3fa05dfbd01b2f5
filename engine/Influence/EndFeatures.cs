using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Influence;

/// <summary>What is read of a text at the token that ends it, so that a reward is a head's product with it, or nearly.</summary>
public interface IEndFeatures
{
    /// <summary>Which features: "reward-state", "sarm-codes", "policy-state". Part of a store's key.</summary>
    string Space { get; }

    /// <summary>d.</summary>
    int Width { get; }

    /// <summary>Longest text in tokens.</summary>
    int ContextLength { get; }

    /// <summary>Where the weights are.</summary>
    Device Device { get; }

    /// <summary>θ of r = θ · φ, [d]; null where the model gives no reward, and a head has to be fitted on the features.</summary>
    float[]? Head { get; }

    /// <summary>φ of some texts, right-padded.</summary>
    /// <param name="ids">[B, T] int64.</param>
    /// <param name="lastPositions">Where each row's last real token is, as <see cref="IRewardModel.Rewards"/> takes it. [B] int64.</param>
    /// <returns>[B, d], in the caller's scope.</returns>
    Tensor Read(Tensor ids, Tensor lastPositions);

    /// <summary>The rewards of the same texts by the model's own way, for the check that θ · φ is the reward; null where it gives none. [B], in the caller's scope.</summary>
    Tensor? Rewards(Tensor ids, Tensor lastPositions);
}

/// <summary>The state that a reward model's head reads: after the final norm, at the last token. r = θ · φ exactly.</summary>
public sealed class RewardStates(LlamaReward model) : IEndFeatures
{
    /// <inheritdoc/>
    public string Space => "reward-state";

    /// <inheritdoc/>
    public int Width => model.Config.HiddenSize;

    /// <inheritdoc/>
    public int ContextLength => model.ContextLength;

    /// <inheritdoc/>
    public Device Device => model.Device;

    /// <inheritdoc/>
    public float[] Head { get; } = model.ScoreWeight.ToFloats();

    /// <inheritdoc/>
    public Tensor Read(Tensor ids, Tensor lastPositions) => LastStates.Of(model.Backbone, ids, lastPositions);

    /// <inheritdoc/>
    public Tensor Rewards(Tensor ids, Tensor lastPositions) => model.Rewards(ids, lastPositions);
}

/// <summary>A policy's own last state at the token that ends a text. It gives no reward: a head is fitted on it.</summary>
public sealed class PolicyStates(LlamaBackbone model) : IEndFeatures
{
    /// <inheritdoc/>
    public string Space => "policy-state";

    /// <inheritdoc/>
    public int Width => model.Config.HiddenSize;

    /// <inheritdoc/>
    public int ContextLength => model.Config.ContextLength;

    /// <inheritdoc/>
    public Device Device => model.EmbeddingWeight.device;

    /// <inheritdoc/>
    public float[]? Head => null;

    /// <inheritdoc/>
    public Tensor Read(Tensor ids, Tensor lastPositions) => LastStates.Of(model, ids, lastPositions);

    /// <inheritdoc/>
    public Tensor? Rewards(Tensor ids, Tensor lastPositions) => null;
}

internal static class LastStates
{
    public static Tensor Of(LlamaBackbone model, Tensor ids, Tensor lastPositions)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(LlamaReward.AtLast(model.Hidden(ids), lastPositions));
    }
}

/// <summary>φ of one text.</summary>
/// <param name="Values">[d].</param>
/// <param name="Reward">By the model's own way; null where it gives none.</param>
/// <param name="IsTruncated">The text was longer than the window and lost its beginning: φ is not about all that people see.</param>
public sealed record EndFeature(float[] Values, double? Reward, bool IsTruncated);

/// <summary>Reads features of texts in batches, with the encoder that trainings use: the last token is the mark that ends the answer, for training, scoring and explaining alike.</summary>
public static class EndReader
{
    /// <summary>θ · φ and the model's own reward may differ by so much.</summary>
    public const double RewardTolerance = 1e-3;

    private const int TextsAtOnce = 64;

    /// <summary>Features of some answers, in their order. Texts that are too long lose their beginning, and say so.</summary>
    /// <param name="lengthMax">The window, tokens; at most the model's context counts.</param>
    /// <exception cref="InvalidOperationException">θ · φ is not the reward: the features are not what the head reads.</exception>
    public static IReadOnlyList<EndFeature> Read(IEndFeatures features, ITokenizer tokenizer, IReadOnlyList<(IReadOnlyList<Turn> Prompt, string Answer)> items, int lengthMax, CancellationToken stop)
    {
        var encoder = new DialogueEncoder(tokenizer, Math.Min(lengthMax, features.ContextLength), Overlong.TruncateLeft);
        var texts = new List<EncodedText>(items.Count);
        var truncated = new bool[items.Count];
        foreach (var (prompt, answer) in items)
        {
            var before = encoder.Truncated;
            texts.Add(encoder.Answer(prompt, answer)!); // cut, never left out
            truncated[texts.Count - 1] = encoder.Truncated > before;
        }
        var read = new EndFeature[items.Count];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], TextsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            var (values, rewards) = ReadBatch(features, tokenizer, [.. batch.Select(i => texts[i])], withRewards: true);
            for (var row = 0; row < batch.Length; row++)
                read[batch[row]] = new EndFeature(values.AsSpan(row * features.Width, features.Width).ToArray(), rewards?[row], truncated[batch[row]]);
        }
        return read;
    }

    /// <summary>φ of some texts, row after row, and their rewards where asked for and given.</summary>
    internal static (float[] Values, float[]? Rewards) ReadBatch(IEndFeatures features, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, bool withRewards)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var batch = PaddedBatch.Of(texts, tokenizer.PadId, features.Device);
        var values = features.Read(batch.Ids, batch.LastPositions).to_type(ScalarType.Float32).ToFloats();
        var rewards = withRewards ? features.Rewards(batch.Ids, batch.LastPositions)?.to_type(ScalarType.Float32).ToFloats() : null;
        if (rewards is not null && features.Head is { } head)
        {
            for (var row = 0; row < rewards.Length; row++)
            {
                var product = 0.0;
                for (var j = 0; j < head.Length; j++)
                    product += (double)head[j] * values[row * head.Length + j];
                if (!(Math.Abs(product - rewards[row]) <= RewardTolerance))
                    throw new InvalidOperationException($"The head's product with the features is {product}, the reward {rewards[row]}: these are not the features that the head reads ({features.Space}).");
            }
        }
        return (values, rewards);
    }
}
