using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Losses;

/// <summary>Settings of <see cref="KtoLoss"/>.</summary>
public sealed record KtoOptions
{
    /// <summary>β &gt; 0; higher stays closer to the reference.</summary>
    public double Beta { get; init; } = 0.1;

    /// <summary>λ_D: how much a desirable completion counts.</summary>
    public double DesirableWeight { get; init; } = 1;

    /// <summary>λ_U: how much an undesirable one counts. λ_D·n_D / (λ_U·n_U) should lie in [1, 4/3].</summary>
    public double UndesirableWeight { get; init; } = 1;

    /// <summary>APO-zero for unpaired data: the reference point is 0 instead of the estimated KL.</summary>
    public bool WithoutKl { get; init; }
}

/// <summary>The loss and its parts.</summary>
/// <param name="Loss">Scalar.</param>
/// <param name="Kl">z₀ ≥ 0, the reference point, in nats; 0 without KL.</param>
/// <param name="Losses">Weighted losses, the desirable rows first, then the undesirable. [B].</param>
/// <param name="DesirableReward">Mean of β·log(π/π_ref) over desirable rows; null when there are none.</param>
/// <param name="UndesirableReward">The same over undesirable rows.</param>
public sealed record KtoResult(Tensor Loss, double Kl, Tensor Losses, double? DesirableReward, double? UndesirableReward);

/// <summary>
/// Kahneman-Tversky optimisation: learning from "good" and "bad" without pairs.
/// <code>
/// u = log π(y|x)/π_ref(y|x)      z₀ = max(0, mean over mismatched pairs of log π(y'|x)/π_ref(y'|x))
/// desirable λ_D (1 − σ(β(u − z₀)))      undesirable λ_U (1 − σ(β(z₀ − u)))      L = mean
/// </code>
/// </summary>
/// <remarks>
/// z₀ carries no gradient. Mismatched completions come from the data set (each prompt with the completion of its neighbour in
/// the block). Weights are not renormalised. Rows whose loss is not a number (an empty completion) are left out of the mean,
/// as TRL does; a batch with none left is refused.
/// Source: Ethayarajh et al. 2024 (2402.01306) eq. 7-8, TRL 1.10 kto_trainer. Checked against Golden/loss_vectors.json.
/// </remarks>
public static class KtoLoss
{
    /// <summary>The loss of a batch.</summary>
    /// <param name="logProbs">log π of each completion, summed over tokens. [B].</param>
    /// <param name="referenceLogProbs">The same under the reference. [B].</param>
    /// <param name="desirable">True where people called the completion good. [B].</param>
    /// <param name="klLogProbs">log π of the mismatched completions, [M]; null only without KL.</param>
    /// <param name="referenceKlLogProbs">The same under the reference, [M].</param>
    /// <param name="options">Settings.</param>
    /// <returns>Tensors in the caller's scope.</returns>
    /// <exception cref="ArgumentException">Shapes differ, the KL inputs are missing, or no loss is a number.</exception>
    public static KtoResult Compute(
        Tensor logProbs, Tensor referenceLogProbs, IReadOnlyList<bool> desirable, Tensor? klLogProbs, Tensor? referenceKlLogProbs, KtoOptions options)
    {
        Check(logProbs, referenceLogProbs, desirable, options);
        using var scope = NewDisposeScope();
        var beta = options.Beta;
        var kl = options.WithoutKl ? 0 : ReferencePoint(klLogProbs, referenceKlLogProbs);
        var order = Enumerable.Range(0, desirable.Count).OrderBy(row => desirable[row] ? 0 : 1).Select(row => (long)row).ToArray();
        var goodCount = desirable.Count(good => good);
        var logRatio = logProbs.sub(referenceLogProbs).index_select(0, tensor(order, device: logProbs.device));
        var good = logRatio.narrow(0, 0, goodCount);
        var bad = logRatio.narrow(0, goodCount, desirable.Count - goodCount);

        // 1 − σ(x) = σ(−x), without the cancellation.
        var losses = cat(
            [
                good.sub(kl).mul(-beta).sigmoid().mul(options.DesirableWeight),
                bad.sub(kl).mul(beta).sigmoid().mul(options.UndesirableWeight),
            ],
            0);
        return new KtoResult(
            scope.MoveToOuter(MeanOfNumbers(losses)), kl, scope.MoveToOuter(losses), Reward(good, beta), Reward(bad, beta));
    }

    private static double ReferencePoint(Tensor? klLogProbs, Tensor? referenceKlLogProbs)
    {
        if (klLogProbs is null || referenceKlLogProbs is null || klLogProbs.shape.Length != 1 || klLogProbs.shape[0] == 0
            || !klLogProbs.shape.SequenceEqual(referenceKlLogProbs.shape))
        {
            throw new ArgumentException("KTO needs log-probabilities of mismatched completions under policy and reference, two vectors of one length ≥ 1");
        }

        using var noGrad = no_grad();
        return Math.Max(0, klLogProbs.detach().sub(referenceKlLogProbs).mean().item<float>());
    }

    private static Tensor MeanOfNumbers(Tensor losses)
    {
        var isNumber = losses.detach().isnan().logical_not();
        var count = isNumber.sum().item<long>();
        if (count == 0)
        {
            throw new ArgumentException($"none of the {losses.shape[0]} losses is a number: empty completions, or a diverged model");
        }

        return count == losses.shape[0] ? losses.mean() : losses.masked_select(isNumber).mean();
    }

    private static double? Reward(Tensor logRatio, double beta)
    {
        return logRatio.shape[0] == 0 ? null : beta * logRatio.detach().mean().item<float>();
    }

    private static void Check(Tensor logProbs, Tensor referenceLogProbs, IReadOnlyList<bool> desirable, KtoOptions options)
    {
        if (logProbs.shape.Length != 1 || logProbs.shape[0] == 0 || !logProbs.shape.SequenceEqual(referenceLogProbs.shape) || desirable.Count != logProbs.shape[0])
        {
            throw new ArgumentException(
                $"log-probabilities [{string.Join(", ", logProbs.shape)}], reference [{string.Join(", ", referenceLogProbs.shape)}] and {desirable.Count} labels must be of one length ≥ 1");
        }

        if (!(options.Beta > 0) || !(options.DesirableWeight >= 0) || !(options.UndesirableWeight >= 0))
        {
            throw new ArgumentException($"β = {options.Beta}, weights {options.DesirableWeight} and {options.UndesirableWeight}: β must be positive, weights not negative");
        }
    }
}
