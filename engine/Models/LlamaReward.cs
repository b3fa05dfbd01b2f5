using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Models;

/// <summary>
/// A Llama decoder with one score in place of the vocabulary: the reward of a text, read off its last token.
/// </summary>
/// <remarks>
/// Folder layout of Hugging Face's LlamaForSequenceClassification with one label: <c>score.weight</c> [1, hidden], no bias.
/// A fresh head is zero, so training starts at reward 0 for every text (loss ln 2).
/// </remarks>
public sealed class LlamaReward : Module, IRewardModel
{
    private readonly WeightHolder score;

    /// <summary>A decoder with unset weights and a zero head; a loader or <see cref="From"/> fills the decoder.</summary>
    public LlamaReward(LlamaConfig config)
        : base("llama reward")
    {
        Backbone = new LlamaBackbone(config);
        score = new WeightHolder(zeros(1, config.HiddenSize));
        register_module("model", Backbone);
        register_module("score", score);
    }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config => Backbone.Config;

    /// <summary>The decoder.</summary>
    public LlamaBackbone Backbone { get; }

    /// <summary>The head, [1, hidden].</summary>
    public Parameter ScoreWeight => score.weight;

    /// <summary>Where the weights are.</summary>
    public Device Device => ScoreWeight.device;

    /// <inheritdoc/>
    public int ContextLength => Config.ContextLength;

    /// <summary>A reward model on a copy of a language model's decoder.</summary>
    public static LlamaReward From(Llama model)
    {
        var reward = new LlamaReward(model.Config);
        LlamaWeights.Copy(model.Backbone, reward.Backbone);
        return reward;
    }

    /// <summary>A reward model with the same weights, head included.</summary>
    public static LlamaReward Copy(LlamaReward model)
    {
        using var noGrad = no_grad();
        var copy = new LlamaReward(model.Config);
        LlamaWeights.Copy(model.Backbone, copy.Backbone);
        copy.ScoreWeight.copy_(model.ScoreWeight);
        return copy;
    }

    /// <inheritdoc/>
    public Tensor Rewards(Tensor ids, Tensor lastPositions) => Rewards(ids, lastPositions, run: null);

    /// <summary>Rewards of some texts.</summary>
    /// <param name="ids">Token ids, [B, T] int64.</param>
    /// <param name="lastPositions">Where each row's last real token is, [B] int64; see <see cref="LastPositions"/>.</param>
    /// <param name="run">Left padding and hooks; null for right-padded rows.</param>
    /// <returns>[B], in the caller's scope.</returns>
    public Tensor Rewards(Tensor ids, Tensor lastPositions, LlamaRun? run)
    {
        using var scope = NewDisposeScope();
        var hidden = Backbone.Hidden(ids, run);
        return scope.MoveToOuter(Score(hidden, lastPositions));
    }

    /// <summary>The scores of hidden states at given positions: [B, T, hidden] and [B] to [B].</summary>
    public Tensor Score(Tensor hidden, Tensor lastPositions)
    {
        return functional.linear(AtLast(hidden, lastPositions), ScoreWeight).view(hidden.shape[0]);
    }

    /// <summary>The hidden states at given positions: [B, T, hidden] and [B] to [B, hidden].</summary>
    public static Tensor AtLast(Tensor hidden, Tensor lastPositions)
    {
        var (batch, width) = (hidden.shape[0], hidden.shape[2]);
        return hidden.gather(1, lastPositions.view(batch, 1, 1).expand(batch, 1, width)).view(batch, width);
    }

    /// <summary>
    /// The last real token of each row. Locating it by a mask, not by the padding id, keeps an end token that doubles as
    /// padding inside the text.
    /// </summary>
    /// <param name="mask">True on real tokens, [B, T] bool; every row has one.</param>
    /// <returns>[B] int64.</returns>
    public static Tensor LastPositions(Tensor mask)
    {
        var positions = arange(mask.shape[1], dtype: ScalarType.Int64, device: mask.device).unsqueeze(0);
        return mask.to_type(ScalarType.Int64).mul(positions).argmax(1);
    }
}
