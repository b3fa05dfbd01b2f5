using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Unlearning;

/// <summary>
/// The loss of a descent that takes pairs S out of a reward model, of margins m = r⁺ − r⁻ of some of them and of some pairs R that are kept.
/// <code>
/// swap                  − mean_S log σ(−m)
/// swap and retain       − s mean_S log σ(−m) − mean_R log σ(m)                      s: the share of all votes that S had
/// NPO-BT                − (2/β) mean_S log σ(−β (m − m⁰)) − α mean_R log σ(m)      m⁰: margins before
/// gradient ascent         mean_S log σ(m)           gradient difference: − α mean_R log σ(m) besides
/// retain only           − mean_R log σ(m)
/// </code>
/// </summary>
/// <remarks>
/// Nats; means are weighted by votes. A head's penalty is no part of it: a whole model's is its optimiser's weight decay. Source: specs/xrlhf.md §2.2, §2.4, §4.2; NPO: Zhang et al. 2024 (2404.05868).
/// Checked in float64 arithmetic against the lines above, and its gradient by that of the same descents of a head, which is written by hand (<see cref="HeadUnlearning"/>).
/// </remarks>
public static class UnlearningLoss
{
    /// <summary>The loss of a step.</summary>
    /// <param name="method">A descent.</param>
    /// <param name="gone">m of pairs of S. [B]; not read by <see cref="RewardUnlearningMethod.RetainOnly"/>.</param>
    /// <param name="before">m⁰ of the same pairs. [B].</param>
    /// <param name="goneVotes">Their votes, above 0. [B].</param>
    /// <param name="kept">m of pairs of R. [K]; not read by those without a retain term.</param>
    /// <param name="keptVotes">[K].</param>
    /// <param name="goneShare">s, 0 to 1.</param>
    /// <param name="beta">β, above 0.</param>
    /// <param name="retain">α, at least 0.</param>
    /// <returns>Scalar, in the caller's scope.</returns>
    /// <exception cref="ArgumentException">The method is no descent.</exception>
    public static Tensor Compute(RewardUnlearningMethod method, Tensor gone, Tensor before, Tensor goneVotes, Tensor kept, Tensor keptVotes, double goneShare, double beta, double retain)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(method switch
        {
            RewardUnlearningMethod.Swap => Surprise(gone.neg(), goneVotes),
            RewardUnlearningMethod.SwapAndRetain => Surprise(gone.neg(), goneVotes).mul(goneShare).add(Surprise(kept, keptVotes)),
            RewardUnlearningMethod.NegativePreference => Surprise(gone.sub(before).mul(-beta), goneVotes).mul(2 / beta).add(Surprise(kept, keptVotes).mul(retain)),
            RewardUnlearningMethod.GradientAscent => Surprise(gone, goneVotes).neg(),
            RewardUnlearningMethod.GradientDifference => Surprise(kept, keptVotes).mul(retain).sub(Surprise(gone, goneVotes)),
            RewardUnlearningMethod.RetainOnly => Surprise(kept, keptVotes),
            RewardUnlearningMethod.Retrain or RewardUnlearningMethod.NewtonTwice or RewardUnlearningMethod.NewtonOnce or RewardUnlearningMethod.InfluenceUpdate =>
                throw new ArgumentException($"{method} is no descent.", nameof(method)),
        });
    }

    /// <summary>Whether a method's loss has a term of the pairs that are kept.</summary>
    public static bool Retains(RewardUnlearningMethod method) => method is not (RewardUnlearningMethod.Swap or RewardUnlearningMethod.GradientAscent);

    private static Tensor Surprise(Tensor margins, Tensor votes) => functional.logsigmoid(margins).neg().mul(votes).sum().div(votes.sum());
}
