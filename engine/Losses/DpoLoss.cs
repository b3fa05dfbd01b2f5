using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Losses;

/// <summary>The members of the DPO family, by TRL's names.</summary>
public enum DpoVariant
{
    Sigmoid,
    SigmoidNorm,
    Hinge,
    Ipo,
    ExoPair,
    NcaPair,
    Robust,
    BcoPair,
    SppoHard,
    Aot,
    AotUnpaired,
    ApoZero,
    ApoDown,
    Discopop,
}

/// <summary>Which divergence between policy and reference the implicit reward belongs to.</summary>
public enum DpoDivergence
{
    ReverseKl,
    ForwardKl,
    JensenShannon,
    Alpha,
}

/// <summary>Settings of <see cref="DpoLoss"/>.</summary>
public sealed record DpoOptions
{
    public DpoVariant Variant { get; init; } = DpoVariant.Sigmoid;

    /// <summary>β &gt; 0: how dear it is to move away from the reference; higher stays closer.</summary>
    public double Beta { get; init; } = 0.1;

    /// <summary>ε in [0, 0.5): the share of labels believed to be flipped (cDPO for Sigmoid; required &gt; 0 by ExoPair).</summary>
    public double LabelSmoothing { get; init; }

    public DpoDivergence Divergence { get; init; } = DpoDivergence.ReverseKl;

    /// <summary>α of the alpha divergence.</summary>
    public double AlphaCoefficient { get; init; } = 0.5;

    /// <summary>τ of DiscoPOP's blending.</summary>
    public double DiscopopTau { get; init; } = 0.05;
}

/// <summary>What DPO looks at: log-probabilities of completions, summed over tokens, pair by pair. All [B].</summary>
public sealed record DpoLogProbs(Tensor Chosen, Tensor Rejected, Tensor ReferenceChosen, Tensor ReferenceRejected)
{
    /// <summary>Tokens of each chosen completion, [B]; needed by Ipo and SigmoidNorm.</summary>
    public Tensor? ChosenLengths { get; init; }

    /// <summary>Tokens of each rejected completion, [B].</summary>
    public Tensor? RejectedLengths { get; init; }
}

/// <summary>What to report beside the loss: implicit rewards β·log(π/π_ref), whatever the variant.</summary>
/// <param name="ChosenReward">Mean over chosen completions.</param>
/// <param name="RejectedReward">Mean over rejected ones.</param>
/// <param name="Margin">Mean of chosen minus rejected.</param>
/// <param name="Accuracy">Share of pairs whose chosen reward is higher.</param>
public sealed record DpoMetrics(double ChosenReward, double RejectedReward, double Margin, double Accuracy);

/// <summary>
/// Direct preference optimisation: the policy itself as a reward model.
/// <code>u = log π(y⁺)/π_ref(y⁺)   v = log π(y⁻)/π_ref(y⁻)   L = −(1−ε) log σ(β(u−v)) − ε log σ(−β(u−v))</code>
/// </summary>
/// <remarks>
/// The formula above is Sigmoid; TRL 1.x ignores ε there, we apply it (cDPO, as OpenRLHF and torchtune; ε = 0 is the same).
/// The other variants follow TRL 1.10 dpo_trainer line by line as listed in the repository's notes; each one's own paper is in
/// PAPERS.md. Log-sigmoids throughout: finite for every finite input except DiscoPOP's e^(−z).
/// Source: Rafailov et al. 2023 (2305.18290) eq. 7. Checked against Golden/loss_vectors.json, values and gradients.
/// </remarks>
public static class DpoLoss
{
    /// <summary>The mean loss over pairs. Scalar in the caller's scope.</summary>
    /// <exception cref="ArgumentException">Shapes differ, an option is out of range, or lengths are missing.</exception>
    public static Tensor Compute(DpoLogProbs pairs, DpoOptions options)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(PerPair(pairs, options).mean());
    }

    /// <summary>The loss of each pair, [B]; for the Aot variants of each rank. In the caller's scope.</summary>
    public static Tensor PerPair(DpoLogProbs pairs, DpoOptions options)
    {
        Check(pairs, options);
        using var scope = NewDisposeScope();
        var (beta, smoothing) = (options.Beta, options.LabelSmoothing);
        var (logRatioChosen, logRatioRejected) = (pairs.Chosen.sub(pairs.ReferenceChosen), pairs.Rejected.sub(pairs.ReferenceRejected));
        var chosen = Score(logRatioChosen, options);
        var rejected = Score(logRatioRejected, options);
        var z = chosen.sub(rejected).mul(beta);
        var losses = options.Variant switch
        {
            DpoVariant.Sigmoid => Smoothed(z, smoothing),
            DpoVariant.SigmoidNorm => LogSigmoid(PerToken().mul(beta)).neg(),
            DpoVariant.Hinge => z.neg().add(1).clamp_min(0),
            DpoVariant.Ipo => PerToken().sub(1 / (2 * beta)).square(),
            DpoVariant.ExoPair => z.sigmoid().mul(LogSigmoid(z).sub(Math.Log(1 - smoothing)))
                .add(z.neg().sigmoid().mul(LogSigmoid(z.neg()).sub(Math.Log(smoothing)))),
            DpoVariant.NcaPair => LogSigmoid(chosen.mul(beta)).neg()
                .sub(LogSigmoid(chosen.mul(-beta)).mul(0.5)).sub(LogSigmoid(rejected.mul(-beta)).mul(0.5)),
            DpoVariant.Robust => LogSigmoid(z).mul(smoothing - 1).add(LogSigmoid(z.neg()).mul(smoothing)).div(1 - (2 * smoothing)),
            DpoVariant.BcoPair => LogSigmoid(chosen.mul(beta)).neg().sub(LogSigmoid(rejected.mul(-beta))),
            DpoVariant.SppoHard => chosen.sub(0.5 / beta).square().add(rejected.add(0.5 / beta).square()),
            DpoVariant.Aot => Smoothed(
                Sorted(pairs.Chosen.sub(pairs.Rejected)).sub(Sorted(pairs.ReferenceChosen.sub(pairs.ReferenceRejected))).mul(beta), smoothing),
            DpoVariant.AotUnpaired => Smoothed(Sorted(logRatioChosen).sub(Sorted(logRatioRejected)).mul(beta), smoothing),
            DpoVariant.ApoZero => logRatioRejected.mul(beta).sigmoid().sub(logRatioChosen.mul(beta).sigmoid()).add(1),
            DpoVariant.ApoDown => logRatioChosen.mul(beta).sigmoid().sub(z.sigmoid()).add(1),
            DpoVariant.Discopop => Discopop(z, options.DiscopopTau),
        };
        return scope.MoveToOuter(losses);

        // Scores per token of the completion, chosen minus rejected; Check has seen to the lengths.
        Tensor PerToken()
        {
            return chosen.div(pairs.ChosenLengths!.clamp_min(1)).sub(rejected.div(pairs.RejectedLengths!.clamp_min(1)));
        }
    }

    /// <summary>Implicit rewards and how often they agree with the labels. No gradient.</summary>
    public static DpoMetrics Metrics(DpoLogProbs pairs, double beta)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var chosen = pairs.Chosen.detach().sub(pairs.ReferenceChosen).mul(beta);
        var rejected = pairs.Rejected.detach().sub(pairs.ReferenceRejected).mul(beta);
        return new DpoMetrics(
            chosen.mean().item<float>(),
            rejected.mean().item<float>(),
            chosen.sub(rejected).mean().item<float>(),
            chosen.gt(rejected).to_type(ScalarType.Float32).mean().item<float>());
    }

    private static Tensor Score(Tensor logRatio, DpoOptions options)
    {
        return options.Divergence switch
        {
            DpoDivergence.ReverseKl => logRatio.alias(),
            DpoDivergence.ForwardKl => logRatio.neg().exp().neg(),
            DpoDivergence.JensenShannon => LogSigmoid(logRatio),
            DpoDivergence.Alpha when Math.Abs(options.AlphaCoefficient - 1) < 1e-6 => logRatio.alias(),
            // The clamp keeps e^x inside float32.
            DpoDivergence.Alpha => logRatio.mul(options.AlphaCoefficient - 1).clamp(max: 80).exp().div(options.AlphaCoefficient - 1),
        };
    }

    private static Tensor Smoothed(Tensor z, double smoothing)
    {
        return smoothing == 0
            ? LogSigmoid(z).neg()
            : LogSigmoid(z).mul(smoothing - 1).sub(LogSigmoid(z.neg()).mul(smoothing));
    }

    private static Tensor Discopop(Tensor z, double tau)
    {
        var blend = z.div(tau).sigmoid();
        return LogSigmoid(z).neg().mul(blend.neg().add(1)).add(z.neg().exp().mul(blend));
    }

    private static Tensor Sorted(Tensor values)
    {
        return values.sort(0).Item1;
    }

    private static Tensor LogSigmoid(Tensor z)
    {
        return functional.logsigmoid(z);
    }

    private static void Check(DpoLogProbs pairs, DpoOptions options)
    {
        var parts = new[] { pairs.Chosen, pairs.Rejected, pairs.ReferenceChosen, pairs.ReferenceRejected, pairs.ChosenLengths, pairs.RejectedLengths };
        var shapes = parts.OfType<Tensor>().Select(part => part.shape).ToList();
        if (shapes[0].Length != 1 || shapes[0][0] == 0 || shapes.Any(shape => !shape.SequenceEqual(shapes[0])))
        {
            throw new ArgumentException($"log-probabilities must be vectors of one length ≥ 1; found {string.Join(" ", shapes.Select(shape => $"[{string.Join(", ", shape)}]"))}");
        }

        if (!(options.Beta > 0) || !(options.LabelSmoothing is >= 0 and < 0.5) || (options.Variant == DpoVariant.ExoPair && options.LabelSmoothing == 0))
        {
            throw new ArgumentException($"β = {options.Beta} and label smoothing = {options.LabelSmoothing} do not fit {options.Variant}: β > 0, 0 ≤ ε < 0.5, and ε > 0 for ExoPair");
        }

        if (options.Variant is DpoVariant.Ipo or DpoVariant.SigmoidNorm && (pairs.ChosenLengths is null || pairs.RejectedLengths is null))
        {
            throw new ArgumentException($"{options.Variant} divides by the completions' lengths; they are missing");
        }
    }
}
