using System.Numerics;
using System.Runtime.CompilerServices;
using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>Loss of a batch of pairs, mean over its rows, and its gradient.</summary>
/// <param name="rows">Pairs, repeated ones too.</param>
/// <param name="weights">All weights of the head, in one array.</param>
/// <param name="gradient">Overwritten.</param>
internal delegate double BatchLoss(ReadOnlySpan<int> rows, double[] weights, double[] gradient);

/// <summary>Trains a small head by AdamW on batches of pairs: one optimiser for all methods that are trained, so that only their losses differ.</summary>
/// <remarks>Batch 64, rate 5e-3, decay 0.01, ε 1e-8, gradients clipped to norm 1 (specs/fairl.md §1.8: heads on frozen features). Checked against torch.optim.AdamW in Golden/irl_vectors.json.</remarks>
internal sealed class HeadTraining
{
    public const int BatchPairs = 64;
    public const double LearningRate = 5e-3;
    public const double Decay = 0.01;
    public const double Epsilon = 1e-8;
    public const double NormMax = 1;
    private const double Beta1 = 0.9, Beta2 = 0.999;

    private readonly double[] gradient, first, second;
    private readonly int[] order;
    private readonly SeededRandom random;
    private int steps;

    /// <param name="weights">Changed by training.</param>
    /// <param name="rows">The pairs of this run.</param>
    /// <param name="random">Decides the order of pairs; its state moves on.</param>
    public HeadTraining(double[] weights, int[] rows, SeededRandom random)
    {
        (Weights, order, this.random) = (weights, (int[])rows.Clone(), random);
        (gradient, first, second) = (new double[weights.Length], new double[weights.Length], new double[weights.Length]);
    }

    public double[] Weights { get; }

    /// <summary>Start weights of a linear head: normal, deviation 0.01.</summary>
    public static double[] Start(int width, SeededRandom random)
    {
        var draws = random.Split("start");
        return [.. Enumerable.Range(0, width).Select(_ => 0.01 * draws.NextGaussian())];
    }

    /// <summary>One pass over the pairs in a new order.</summary>
    /// <returns>The mean loss of its batches.</returns>
    public double Epoch(BatchLoss loss)
    {
        random.Shuffle(order);
        var sum = 0.0;
        for (var at = 0; at < order.Length; at += BatchPairs)
        {
            var rows = order.AsSpan(at, Math.Min(BatchPairs, order.Length - at));
            sum += rows.Length * loss(rows, Weights, gradient);
            Step(gradient);
        }
        return sum / order.Length;
    }

    /// <summary>One step of AdamW, in the order of PyTorch's operations; the gradient is clipped in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Step(double[] slope)
    {
        var norm = TensorPrimitives.Norm<double>(slope);
        if (norm > NormMax)
            TensorPrimitives.Multiply(slope, NormMax / (norm + 1e-6), slope);
        steps++;
        var (rate, root) = (LearningRate / (1 - Math.Pow(Beta1, steps)), Math.Sqrt(1 - Math.Pow(Beta2, steps)));
        var (shrink, i) = (1 - LearningRate * Decay, 0);
        for (; i <= slope.Length - Vector<double>.Count; i += Vector<double>.Count)
        {
            var g = new Vector<double>(slope, i);
            var m = new Vector<double>(first, i) * Beta1 + g * (1 - Beta1);
            var v = new Vector<double>(second, i) * Beta2 + g * g * (1 - Beta2);
            m.CopyTo(first, i);
            v.CopyTo(second, i);
            (new Vector<double>(Weights, i) * shrink - m * rate / (Vector.SquareRoot(v) / root + new Vector<double>(Epsilon))).CopyTo(Weights, i);
        }
        for (; i < slope.Length; i++)
        {
            first[i] = first[i] * Beta1 + slope[i] * (1 - Beta1);
            second[i] = second[i] * Beta2 + slope[i] * slope[i] * (1 - Beta2);
            Weights[i] = Weights[i] * shrink - first[i] * rate / (Math.Sqrt(second[i]) / root + Epsilon);
        }
    }
}
