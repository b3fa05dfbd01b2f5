using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// AdamW with ε where TensorFlow puts it, outside the bias correction, as the first RLHF papers' code ran it.
/// <code>θ ← θ(1 − lr·wd);   θ ← θ − lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε)</code>
/// </summary>
/// <remarks>
/// torch.optim.AdamW divides by √v/√(1 − β₂ᵗ) + ε instead: in the first steps its ε is up to 30 times smaller in effect. Only
/// for replicating such runs. Source: lm-human-preference-details. Checked against Golden/loss_vectors.json.
/// </remarks>
public sealed class TensorFlowAdamW : IDisposable
{
    private readonly List<(Parameter Weight, Tensor Mean, Tensor Square)> states;
    private readonly double lr, beta1, beta2, eps, weightDecay;
    private int step;

    /// <param name="weights">The weights to train.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="beta1">Decay of the mean gradient.</param>
    /// <param name="beta2">Decay of the mean square gradient.</param>
    /// <param name="eps">ε.</param>
    /// <param name="weightDecay">Decoupled weight decay, times lr.</param>
    public TensorFlowAdamW(IEnumerable<Parameter> weights, double lr, double beta1 = 0.9, double beta2 = 0.999, double eps = 1e-5, double weightDecay = 0)
    {
        (this.lr, this.beta1, this.beta2, this.eps, this.weightDecay) = (lr, beta1, beta2, eps, weightDecay);
        states = [.. weights.Select(weight => (weight, zeros_like(weight).DetachFromDisposeScope(), zeros_like(weight).DetachFromDisposeScope()))];
    }

    /// <summary>One update from the gradients that stand in the weights; weights without one are left alone.</summary>
    public void Step()
    {
        step++;
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var rate = lr * Math.Sqrt(1 - Math.Pow(beta2, step)) / (1 - Math.Pow(beta1, step));
        foreach (var (weight, mean, square) in states)
        {
            if (weight.grad is not { } gradient)
            {
                continue;
            }

            mean.mul_(beta1).add_(gradient, 1 - beta1);
            square.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
            weight.mul_(1 - (lr * weightDecay)).addcdiv_(mean, square.sqrt().add(eps), -rate);
        }
    }

    /// <summary>Releases the running means.</summary>
    public void Dispose()
    {
        foreach (var (_, mean, square) in states)
        {
            mean.Dispose();
            square.Dispose();
        }
    }
}
