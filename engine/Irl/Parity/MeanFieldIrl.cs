using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl.Parity;

/// <summary>A normal distribution over weights that are independent of each other.</summary>
/// <param name="Mean">[d].</param>
/// <param name="Deviation">[d], above 0.</param>
public sealed record MeanField(double[] Mean, double[] Deviation)
{
    /// <summary>Σ x_j² σ_j²: the variance of θ·x.</summary>
    public double Variance(ReadOnlySpan<double> x)
    {
        var sum = 0.0;
        for (var j = 0; j < x.Length; j++)
            sum += x[j] * x[j] * Deviation[j] * Deviation[j];
        return sum;
    }
}

/// <summary>
/// The Alignment Auditor's Bayesian IRL: Bradley-Terry, θ ~ N(0, I), a diagonal normal fitted by stochastic variational inference, and sequential rounds in which a posterior is the next round's prior.
/// <code>maximise  E_q[ Σ_i ln σ(θ·Δ_i) ] − KL(q ‖ prior)      θ = μ + σ ε,  one ε a step,  Adam 1e-2,  3,000 steps on all pairs of the round</code>
/// </summary>
/// <remarks>
/// Kept to be measured against; <see cref="BayesianIrl"/> is what audits use. Departures: σ is e^ρ and not a softplus; folds are not stratified by a toxicity classifier, which no audit needs.
/// tr Σ falls over rounds partly because every round adds its prior's certainty, so it is no measure of progress. Source: Matthieu6/IRL-Alignment-Auditor, re_irl.py (specs/fairl.md §2).
/// </remarks>
/// <param name="rounds">K disjoint folds of the training pairs, by prompt.</param>
/// <param name="steps">Steps a round.</param>
public sealed class MeanFieldIrl(int rounds = 5, int steps = 3_000) : IIrlMethod
{
    private const double LearningRate = 1e-2, Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8;

    public string Name => "bayesian-mean-field";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var (posteriors, trace) = FitRounds(task, random, stop);
        return new IrlFit(Name, new RecoveredReward(posteriors[^1].Mean), trace);
    }

    /// <summary>The posterior after each round.</summary>
    public (IReadOnlyList<MeanField> Posteriors, ConvergenceTrace Trace) FitRounds(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var train = task.Data.Train;
        List<string> prompts = [.. task.Rows.Select(row => train.Prompts[row]).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (prompts.Count < rounds)
            throw new CannotTrain($"{prompts.Count} training prompts cannot be split into {rounds} folds.");
        random.Split("folds").Shuffle(prompts);
        var foldOf = prompts.Index().ToDictionary(entry => entry.Item, entry => entry.Index % rounds, StringComparer.Ordinal);
        var posteriors = new List<MeanField>();
        var points = new List<EpochPoint>();
        var prior = new MeanField(new double[train.Width], [.. Enumerable.Repeat(1.0, train.Width)]);
        for (var round = 0; round < rounds; round++)
        {
            int[] rows = [.. task.Rows.Where(row => foldOf[train.Prompts[row]] == round)];
            prior = Round(train, rows, prior, random.Split(round), stop);
            posteriors.Add(prior);
            points.Add(new EpochPoint(round, null, PlattScaling.OfMargins(new RecoveredReward(prior.Mean).Margins(task.Data.Holdout)).LogLoss));
        }
        return (posteriors, ConvergenceTrace.Solved(points));
    }

    private MeanField Round(PairMatrix train, int[] rows, MeanField prior, SeededRandom random, CancellationToken stop)
    {
        var d = train.Width;
        // μ and ρ = ln σ in one array.
        double[] weights = [.. prior.Mean, .. prior.Deviation.Select(deviation => Math.Log(deviation))], gradient = new double[2 * d], first = new double[2 * d], second = new double[2 * d];
        var (theta, slope, noise, likelihood) = (new double[d], new double[d], new double[d], new LinearLoss(train, new EntropyObjective()));
        for (var step = 1; step <= steps; step++)
        {
            if (step % 64 == 0)
                stop.ThrowIfCancellationRequested();
            for (var j = 0; j < d; j++)
            {
                noise[j] = random.NextGaussian();
                theta[j] = weights[j] + Math.Exp(weights[d + j]) * noise[j];
            }
            likelihood.Evaluate(rows, theta, slope);
            TensorPrimitives.Multiply(slope, rows.Length, slope); // a sum over pairs, not their mean
            for (var j = 0; j < d; j++)
            {
                var pull = slope[j] + (theta[j] - prior.Mean[j]) / (prior.Deviation[j] * prior.Deviation[j]);
                gradient[j] = pull;
                gradient[d + j] = pull * noise[j] * Math.Exp(weights[d + j]) - 1; // −1: the entropy of q is Σ ρ up to a constant
            }
            var (rate, root) = (LearningRate / (1 - Math.Pow(Beta1, step)), Math.Sqrt(1 - Math.Pow(Beta2, step)));
            for (var j = 0; j < weights.Length; j++)
            {
                first[j] = Beta1 * first[j] + (1 - Beta1) * gradient[j];
                second[j] = Beta2 * second[j] + (1 - Beta2) * gradient[j] * gradient[j];
                weights[j] -= rate * first[j] / (Math.Sqrt(second[j]) / root + Epsilon);
            }
        }
        return new MeanField(weights[..d], [.. weights[d..].Select(Math.Exp)]);
    }
}
