using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>Max-entropy IRL on pairs with a linear reward, which is Bradley-Terry: <see cref="EntropyObjective"/>.</summary>
public sealed class MaxEntropyIrl(double temperature = 1) : IIrlMethod
{
    public string Name => "max-entropy";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop) => LinearIrl.Fit(Name, new EntropyObjective(temperature), task, random, stop);
}

/// <summary>Max-margin IRL on pairs with a linear reward: <see cref="HingeObjective"/>.</summary>
public sealed class MaxMarginIrl(double margin = 1) : IIrlMethod
{
    public string Name => "max-margin";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop) => LinearIrl.Fit(Name, new HingeObjective(margin), task, random, stop);
}

/// <summary>A linear reward trained on one loss of margins, until the hold-out says stop.</summary>
internal static class LinearIrl
{
    public static IrlFit Fit(string method, IPairObjective objective, IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var (theta, trace) = Train(objective, task.Data.Train, task.Rows, task.Data.Holdout, task.Convergence, random, stop);
        return new IrlFit(method, new RecoveredReward(theta), trace);
    }

    public static (double[] Theta, ConvergenceTrace Trace) Train(IPairObjective objective, PairMatrix train, int[] rows, PairMatrix holdout, ConvergenceRule rule, SeededRandom random, CancellationToken stop)
    {
        var theta = HeadTraining.Start(train.Width, random);
        var (loss, reward) = (new LinearLoss(train, objective), new RecoveredReward(theta));
        var training = new HeadTraining(theta, rows, random.Split("order"));
        var trace = ConvergenceTrace.Train(rule, () => training.Epoch(loss.Evaluate), () => reward.Margins(holdout), theta, stop);
        return (theta, trace);
    }
}
