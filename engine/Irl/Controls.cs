using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>Max-entropy with the same small network that failure-aware IRL may add, trained on all pairs: what more weights do without any failure machinery.</summary>
public sealed class CapacityControl(int hidden = 16) : IIrlMethod
{
    public string Name => "capacity-control";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var loss = new DualPathLoss(task.Data.Train, new EntropyObjective(), hidden, mu: 0, isRouted: false);
        var weights = loss.Start(HeadTraining.Start(task.Data.Train.Width, random), random);
        var training = new HeadTraining(weights, task.Rows, random.Split("order"));
        var trace = ConvergenceTrace.Train(task.Convergence, () => training.Epoch(loss.Evaluate), () => loss.Reward(weights).Margins(task.Data.Holdout), weights, stop);
        return new IrlFit(Name, loss.Reward(weights), trace);
    }
}

/// <summary>A reward with random weights: what a distance, an accuracy or an ambiguity is where nothing was learnt.</summary>
public sealed class RandomHead : IIrlMethod
{
    public string Name => "random-head";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var draws = random.Split("head");
        var reward = new RecoveredReward([.. Enumerable.Range(0, task.Data.Train.Width).Select(_ => draws.NextGaussian())]);
        return new IrlFit(Name, reward, ConvergenceTrace.Solved([new EpochPoint(0, null, PlattScaling.OfMargins(reward.Margins(task.Data.Holdout)).LogLoss)]));
    }
}

/// <summary>A method on pairs whose sides were exchanged at random, in training and hold-out: what it finds where there is nothing to find.</summary>
/// <remarks>Each run shuffles anew. Candidates and test pairs keep their labels. A healthy audit shows it near chance, with a grey verdict.</remarks>
public sealed class ShuffledLabels(IIrlMethod method) : IIrlMethod
{
    public string Name => $"shuffled-{method.Name}";

    public bool NeedsLogRatios => method.NeedsLogRatios;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop) =>
        method.Fit(task with { Data = task.Data.WithShuffledLabels(random.Split("labels")) }, random, stop) with { Method = Name };
}
