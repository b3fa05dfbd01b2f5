using System.Globalization;
using Portal.Data.JobSpecs;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// The optimiser of a run with its schedule and clipping. A recipe calls <see cref="Accumulate"/> once a micro-batch and
/// <see cref="Step"/> once a step; the loop itself is the recipe's own.
/// </summary>
/// <remarks>
/// The learning rate of step t (0-based) of T with warm-up W follows transformers' schedules: rate·t/W for t &lt; W, then down from the
/// highest rate to its end share over the remaining T − W steps, linearly or along a half cosine. Gradients are clipped by their common
/// L2 norm before the step. AdamW decouples weight decay (Loshchilov and Hutter 2019, 1711.05101, algorithm 2).
/// </remarks>
public sealed class Optimization : IDisposable
{
    private readonly OptimizationSpec spec;
    private readonly int stepsTotal;
    private readonly AdamW optimizer;
    private readonly IReadOnlyList<(AdamW.ParamGroup Group, double Rate)> groups;
    private readonly IReadOnlyList<Parameter> parameters;
    private double? lastLoss;

    /// <param name="body">Parameters at the spec's learning rate.</param>
    /// <param name="head">Parameters at its head rate; may be empty.</param>
    /// <param name="stepsTotal">Steps of the whole run, which the schedule ends at.</param>
    public Optimization(IEnumerable<Parameter> body, IEnumerable<Parameter> head, OptimizationSpec spec, int stepsTotal)
    {
        Validate(spec);
        (this.spec, this.stepsTotal) = (spec, stepsTotal);
        var headRate = spec.HeadLearningRate ?? spec.LearningRate;
        groups =
        [
            .. new[] { (Parameters: body.ToList(), Rate: spec.LearningRate), (Parameters: head.ToList(), Rate: headRate) }
                .Where(part => part.Parameters.Count > 0)
                .Select(part => (new AdamW.ParamGroup(part.Parameters, part.Rate, spec.Beta1, spec.Beta2, spec.Epsilon, spec.WeightDecay), part.Rate)),
        ];
        parameters = [.. groups.SelectMany(part => part.Group.Parameters)];
        optimizer = optim.AdamW(groups.Select(part => part.Group), spec.LearningRate, spec.Beta1, spec.Beta2, spec.Epsilon, spec.WeightDecay);
        optimizer.zero_grad();
    }

    /// <summary>How many steps a run makes: batches of an epoch, over all epochs, in groups of the accumulation, capped by the spec.</summary>
    public static int StepsTotal(OptimizationSpec spec, int batchesPerEpoch)
    {
        var perEpoch = (batchesPerEpoch + spec.AccumulationSteps - 1) / spec.AccumulationSteps;
        return Math.Min(spec.StepsMax ?? int.MaxValue, perEpoch * spec.Epochs);
    }

    /// <summary>The learning rate's share of its highest value at step t, 0-based.</summary>
    public static double RateShare(OptimizationSpec spec, int step, int stepsTotal)
    {
        if (step < spec.WarmupSteps)
            return (double)step / Math.Max(1, spec.WarmupSteps);
        var progress = (double)(step - spec.WarmupSteps) / Math.Max(1, stepsTotal - spec.WarmupSteps);
        return spec.Schedule switch
        {
            Schedule.Constant => 1,
            Schedule.Linear => spec.EndShare + (1 - spec.EndShare) * Math.Max(0, 1 - progress),
            Schedule.Cosine => spec.EndShare + (1 - spec.EndShare) * 0.5 * (1 + Math.Cos(Math.PI * Math.Min(1, progress))),
        };
    }

    /// <summary>Adds the gradient of one micro-batch.</summary>
    /// <param name="loss">Scalar.</param>
    /// <param name="share">What this micro-batch counts in the step: 1/accumulation for a mean of means, 1 where the loss is already divided by the whole step's tokens.</param>
    /// <param name="step">For the message when the loss is no number.</param>
    /// <returns>The loss, unscaled.</returns>
    /// <exception cref="CannotTrain">The loss is NaN or infinite.</exception>
    public double Accumulate(Tensor loss, double share, int step)
    {
        var value = loss.item<float>();
        if (!float.IsFinite(value))
            throw new CannotTrain(
                $"Training diverged: the loss at step {step + 1} is {value}{LastLoss}. Lower the learning rate, warm up longer or clip gradients harder, then start again.");
        lastLoss = value;
        if (share == 1)
            loss.backward();
        else
            loss.mul(share).backward();
        return value;
    }

    /// <summary>Clips, moves the weights, clears the gradients.</summary>
    /// <param name="step">0-based.</param>
    /// <returns>The gradients' norm before clipping.</returns>
    public double Step(int step)
    {
        var share = RateShare(spec, step, stepsTotal);
        foreach (var (group, rate) in groups)
            group.LearningRate = rate * share;
        var norm = nn.utils.clip_grad_norm_(parameters, spec.GradientNormMax > 0 ? spec.GradientNormMax : double.PositiveInfinity);
        if (!double.IsFinite(norm))
            throw new CannotTrain(
                $"Training diverged: the gradient at step {step + 1} is not finite{LastLoss}. Lower the learning rate or clip harder, then start again.");
        optimizer.step();
        optimizer.zero_grad();
        return norm;
    }

    /// <summary>The rate of the body at a step, for the curves.</summary>
    public double LearningRate(int step) => spec.LearningRate * RateShare(spec, step, stepsTotal);

    /// <summary>Writes moments and step counts.</summary>
    public void Save(Stream to)
    {
        using var writer = new BinaryWriter(to, System.Text.Encoding.UTF8, leaveOpen: true);
        optimizer.save_state_dict(writer);
    }

    /// <summary>Restores what <see cref="Save"/> wrote.</summary>
    public void Load(Stream from)
    {
        using var reader = new BinaryReader(from, System.Text.Encoding.UTF8, leaveOpen: true);
        optimizer.load_state_dict(reader);
    }

    public void Dispose() => optimizer.Dispose();

    private string LastLoss => lastLoss is { } loss ? string.Create(CultureInfo.InvariantCulture, $" (the last finite loss was {loss:G4})") : "";

    private static void Validate(OptimizationSpec spec)
    {
        Check(spec.LearningRate > 0 && double.IsFinite(spec.LearningRate), "learningRate", spec.LearningRate, "above 0");
        Check(spec.HeadLearningRate is null or > 0, "headLearningRate", spec.HeadLearningRate ?? 0, "above 0");
        Check(spec.BatchSize is >= 1 and <= 4096, "batchSize", spec.BatchSize, "between 1 and 4,096");
        Check(spec.AccumulationSteps is >= 1 and <= 1024, "accumulationSteps", spec.AccumulationSteps, "between 1 and 1,024");
        Check(spec.Epochs is >= 1 and <= 1000, "epochs", spec.Epochs, "between 1 and 1,000");
        Check(spec.StepsMax is null or >= 1, "stepsMax", spec.StepsMax ?? 0, "at least 1");
        Check(spec.WarmupSteps >= 0, "warmupSteps", spec.WarmupSteps, "at least 0");
        Check(spec.EndShare is >= 0 and <= 1, "endShare", spec.EndShare, "between 0 and 1");
        Check(spec.WeightDecay >= 0, "weightDecay", spec.WeightDecay, "at least 0");
        Check(spec.Beta1 is >= 0 and < 1, "beta1", spec.Beta1, "in [0, 1)");
        Check(spec.Beta2 is >= 0 and < 1, "beta2", spec.Beta2, "in [0, 1)");
        Check(spec.Epsilon > 0, "epsilon", spec.Epsilon, "above 0");
        Check(spec.GradientNormMax >= 0, "gradientNormMax", spec.GradientNormMax, "at least 0");

        static void Check(bool holds, string field, double value, string wanted)
        {
            if (!holds)
                throw new CannotTrain($"optimization.{field} is {value}; it must be {wanted}.");
        }
    }
}
