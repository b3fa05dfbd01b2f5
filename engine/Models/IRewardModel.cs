using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>What scores a text: a conventional reward model, one that reads sparse features, one recovered from a policy.</summary>
public interface IRewardModel : IDisposable
{
    /// <summary>Where the weights are.</summary>
    Device Device { get; }

    /// <summary>Longest text in tokens.</summary>
    int ContextLength { get; }

    /// <summary>Rewards of some texts, right-padded.</summary>
    /// <param name="ids">Token ids, [B, T] int64.</param>
    /// <param name="lastPositions">Where each row's last real token is, [B] int64; see <see cref="LlamaReward.LastPositions"/>.</param>
    /// <returns>[B], in the caller's scope. Only differences mean something.</returns>
    Tensor Rewards(Tensor ids, Tensor lastPositions);
}
