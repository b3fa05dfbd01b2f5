using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Losses;

/// <summary>
/// Bradley-Terry loss: how surprised the reward model is by what the annotators chose.
/// <code>d_i = r⁺_i − r⁻_i − m_i      L = Σ w_i ( −log σ(d_i) + c (r⁺_i + r⁻_i)² ) / Σ w_i      (nats)</code>
/// </summary>
public static class BradleyTerryLoss
{
    /// <summary>The loss of a batch of pairs.</summary>
    /// <param name="chosen">r⁺, rewards of the preferred responses. [B] float32, any finite value.</param>
    /// <param name="rejected">r⁻, rewards of the others, pair by pair. [B].</param>
    /// <param name="margin">m ≥ 0, how much better the chosen one must score, from vote strength. [B]; null means 0.</param>
    /// <param name="weight">w ≥ 0, trust in each vote (from <c>Agreement/</c>, through the data set). [B]; null means 1.</param>
    /// <param name="centring">c ≥ 0, pulls the mean reward of each pair towards 0 (0.01 is usual); 0 is off.</param>
    /// <returns>Scalar, a fresh tensor in the caller's scope. Without margin and centring, ln 2 ≈ 0.693 is a model that
    /// cannot tell the responses apart; then gradients reach both rewards with opposite signs.</returns>
    /// <exception cref="ArgumentException">Shapes differ, B = 0, or all weights are 0; the message shows the shapes.</exception>
    /// <remarks>
    /// Without centring only differences are learned: adding a constant to every reward changes nothing, so rewards of two
    /// models may not be compared. Computed by log-sigmoid: value and gradient are finite for every finite d. Ties are not
    /// this loss's business: <c>Datasets/PreferenceDataset</c> decides what becomes of them.
    /// Source: Ouyang et al. 2022 (2203.02155) eq. 1; margin: Touvron et al. 2023 (2307.09288) eq. 2; centring: Eisenstein
    /// et al. 2023 (2312.09244), as in TRL. Checked against Golden/loss_vectors.json, a closed form at d = 0, and finite
    /// differences.
    /// </remarks>
    public static Tensor Compute(Tensor chosen, Tensor rejected, Tensor? margin = null, Tensor? weight = null, double centring = 0)
    {
        Check(chosen, rejected, margin, weight);
        using var scope = NewDisposeScope();
        var difference = chosen.sub(rejected);
        if (margin is not null)
        {
            difference = difference.sub(margin);
        }

        var losses = functional.logsigmoid(difference).neg();
        if (centring != 0)
        {
            losses = losses.add(chosen.add(rejected).square().mul(centring));
        }

        if (weight is null)
        {
            return scope.MoveToOuter(losses.mean());
        }

        var total = weight.sum();
        if (!(total.item<float>() > 0))
        {
            throw new ArgumentException($"all {weight.shape[0]} weights are 0: no vote of this batch counts");
        }

        return scope.MoveToOuter(losses.mul(weight).sum().div(total));
    }

    /// <summary>What to report beside the loss; rewards as they are, no margin taken off.</summary>
    public static RewardMetrics Metrics(Tensor chosen, Tensor rejected)
    {
        Check(chosen, rejected, null, null);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var all = cat([chosen.detach(), rejected.detach()], 0);
        return new RewardMetrics(
            Accuracy: chosen.gt(rejected).to_type(ScalarType.Float32).mean().item<float>(),
            Margin: chosen.detach().sub(rejected.detach()).mean().item<float>(),
            MinimumReward: all.min().item<float>(),
            MeanReward: all.mean().item<float>(),
            MaximumReward: all.max().item<float>());
    }

    private static void Check(Tensor chosen, Tensor rejected, Tensor? margin, Tensor? weight)
    {
        var shapes = new[] { chosen, rejected, margin, weight }.OfType<Tensor>().Select(part => part.shape).ToList();
        if (chosen.shape.Length != 1 || chosen.shape[0] == 0 || shapes.Any(shape => !shape.SequenceEqual(chosen.shape)))
        {
            throw new ArgumentException(
                $"chosen, rejected, margin and weight must be vectors of one length ≥ 1; found {string.Join(" ", shapes.Select(shape => $"[{string.Join(", ", shape)}]"))}");
        }
    }
}

/// <summary>How a reward model did on a batch of pairs.</summary>
/// <param name="Accuracy">Share of pairs whose chosen response scores higher; equal scores count as wrong.</param>
/// <param name="Margin">Mean of chosen minus rejected reward.</param>
/// <param name="MinimumReward">The lowest reward of the batch.</param>
/// <param name="MeanReward">The mean over chosen and rejected responses.</param>
/// <param name="MaximumReward">The highest reward of the batch.</param>
public sealed record RewardMetrics(double Accuracy, double Margin, double MinimumReward, double MeanReward, double MaximumReward);
