namespace Portal.Engine.Agreement;

/// <summary>One annotator's label for one item; all three are indices from 0.</summary>
public readonly record struct Vote(int Item, int Annotator, int Label);

/// <summary>Choices of a Dawid-Skene fit.</summary>
public sealed record DawidSkeneOptions
{
    /// <summary>Added to every cell of every annotator's confusion counts. 0 is plain maximum likelihood, which believes for certain that what an annotator never did they never do.</summary>
    public double Smoothing { get; init; } = 0.01;

    /// <summary>EM steps at most.</summary>
    public int MaxIterations { get; init; } = 200;

    /// <summary>Stop when the log-likelihood grows by less than this (nats).</summary>
    public double Tolerance { get; init; } = 1e-6;
}

/// <summary>What a Dawid-Skene fit found.</summary>
/// <param name="Posterior">[items][labels]: probability of each true label; rows sum to 1. Items without votes have the class frequencies.</param>
/// <param name="Confusion">[annotators][true][given]: rows sum to 1. Annotators without votes have uniform rows.</param>
/// <param name="ClassFrequency">[labels]: estimated share of each true label.</param>
/// <param name="LogLikelihood">Of all votes, in nats, under the last parameters.</param>
/// <param name="Iterations">EM steps made.</param>
/// <param name="Converged">Whether it stopped by tolerance.</param>
public sealed record DawidSkeneFit(
    IReadOnlyList<IReadOnlyList<double>> Posterior, IReadOnlyList<IReadOnlyList<IReadOnlyList<double>>> Confusion, IReadOnlyList<double> ClassFrequency,
    double LogLikelihood, int Iterations, bool Converged)
{
    /// <summary>Probability that this annotator gives the true label, over items as they come: Σ_k frequency_k · confusion_kk.</summary>
    public double Accuracy(int annotator)
    {
        double sum = 0;
        for (int k = 0; k < ClassFrequency.Count; k++) sum += ClassFrequency[k] * Confusion[annotator][k][k];
        return sum;
    }
}

/// <summary>
/// Dawid and Skene's model: each annotator has a confusion matrix of their own, the true labels are hidden, and EM finds both.
/// <code>M: p_k = mean_i q_ik    π_w[k][l] ∝ s + Σ_{votes of w on i with label l} q_ik      E: q_ik ∝ p_k Π_votes π_w[k][l]</code>
/// </summary>
/// <remarks>
/// Starts from each item's vote shares, so the result is deterministic and label k keeps its meaning. The E step works in logarithms.
/// The likelihood has several maxima; nothing here searches for others. With few votes an annotator, read the posterior as "majority, a little wiser".
/// Source: Dawid and Skene 1979. Checked against golden/annotation_golden.json (log-likelihood and class frequencies on three real sets, one of them the paper's own).
/// </remarks>
public static class DawidSkene
{
    /// <summary>Fits the model.</summary>
    /// <param name="votes">At least one. An annotator may vote on an item several times, as in the paper's data.</param>
    /// <param name="itemCount">Items are 0 to itemCount − 1.</param>
    /// <param name="annotatorCount">Annotators are 0 to annotatorCount − 1.</param>
    /// <param name="labelCount">Labels are 0 to labelCount − 1; at least 2.</param>
    /// <param name="options">Smoothing and when to stop.</param>
    /// <exception cref="ArgumentException">No votes, or an index outside its range; the message shows it.</exception>
    public static DawidSkeneFit Fit(IReadOnlyList<Vote> votes, int itemCount, int annotatorCount, int labelCount, DawidSkeneOptions options)
    {
        Check(votes, itemCount, annotatorCount, labelCount, options);
        double[][] posterior = VoteShares(votes, itemCount, labelCount);
        double[] frequency = new double[labelCount];
        double[][][] confusion = [];
        double previous = double.NegativeInfinity, logLikelihood = previous;
        int iteration = 0;
        bool converged = false;
        bool[] voted = new bool[itemCount];
        foreach (Vote vote in votes) voted[vote.Item] = true;
        while (iteration < options.MaxIterations && !converged)
        {
            iteration++;
            frequency = Frequencies(posterior, voted);
            confusion = Confusions(votes, posterior, annotatorCount, labelCount, options.Smoothing);
            logLikelihood = Expect(votes, posterior, voted, frequency, confusion);
            converged = Math.Abs(logLikelihood - previous) < options.Tolerance;
            previous = logLikelihood;
        }

        return new DawidSkeneFit(posterior, confusion, frequency, logLikelihood, iteration, converged);
    }

    private static double[][] VoteShares(IReadOnlyList<Vote> votes, int itemCount, int labelCount)
    {
        double[][] shares = [.. Enumerable.Range(0, itemCount).Select(_ => new double[labelCount])];
        foreach (Vote vote in votes) shares[vote.Item][vote.Label]++;
        foreach (double[] row in shares)
        {
            double sum = row.Sum();
            for (int k = 0; k < labelCount; k++) row[k] = sum > 0 ? row[k] / sum : 1.0 / labelCount;
        }

        return shares;
    }

    // Items that nobody voted on say nothing about how frequent a class is.
    private static double[] Frequencies(double[][] posterior, bool[] voted)
    {
        var frequency = new double[posterior[0].Length];
        int count = 0;
        for (int i = 0; i < posterior.Length; i++)
        {
            if (!voted[i]) continue;
            count++;
            for (int k = 0; k < frequency.Length; k++) frequency[k] += posterior[i][k];
        }

        for (int k = 0; k < frequency.Length; k++) frequency[k] /= count;
        return frequency;
    }

    private static double[][][] Confusions(IReadOnlyList<Vote> votes, double[][] posterior, int annotatorCount, int labelCount, double smoothing)
    {
        var confusion = new double[annotatorCount][][];
        for (int w = 0; w < annotatorCount; w++)
        {
            confusion[w] = new double[labelCount][];
            for (int k = 0; k < labelCount; k++)
            {
                confusion[w][k] = new double[labelCount];
                Array.Fill(confusion[w][k], smoothing);
            }
        }

        foreach (Vote vote in votes)
            for (int k = 0; k < labelCount; k++) confusion[vote.Annotator][k][vote.Label] += posterior[vote.Item][k];
        foreach (double[][] matrix in confusion)
        {
            foreach (double[] row in matrix)
            {
                double sum = row.Sum();
                for (int l = 0; l < labelCount; l++) row[l] = sum > 0 ? row[l] / sum : 1.0 / labelCount;
            }
        }

        return confusion;
    }

    // Writes the new posterior and returns the log-likelihood of the votes.
    private static double Expect(IReadOnlyList<Vote> votes, double[][] posterior, bool[] voted, double[] frequency, double[][][] confusion)
    {
        foreach (double[] row in posterior)
            for (int k = 0; k < row.Length; k++) row[k] = Log(frequency[k]);
        foreach (Vote vote in votes)
        {
            double[] row = posterior[vote.Item];
            double[][] matrix = confusion[vote.Annotator];
            for (int k = 0; k < row.Length; k++) row[k] += Log(matrix[k][vote.Label]);
        }

        double total = 0;
        for (int i = 0; i < posterior.Length; i++)
        {
            double[] row = posterior[i];
            double max = row.Max(), sum = 0;
            for (int k = 0; k < row.Length; k++) sum += row[k] = Math.Exp(row[k] - max);
            for (int k = 0; k < row.Length; k++) row[k] /= sum;
            if (voted[i]) total += max + Math.Log(sum);
        }

        return total;
    }

    // A floor instead of minus infinity: without smoothing, a class may be impossible for every label at once, and 0/0 would follow.
    private static double Log(double probability) => Math.Log(Math.Max(probability, 1e-300));

    private static void Check(IReadOnlyList<Vote> votes, int itemCount, int annotatorCount, int labelCount, DawidSkeneOptions options)
    {
        if (votes.Count == 0) throw new ArgumentException("There are no votes to fit.", nameof(votes));
        if (labelCount < 2) throw new ArgumentException($"At least two labels are needed, not {labelCount}.", nameof(labelCount));
        if (!(options.Smoothing >= 0) || double.IsInfinity(options.Smoothing)) throw new ArgumentException($"Smoothing is {options.Smoothing}; it must be 0 or more.", nameof(options));
        if (options.MaxIterations < 1) throw new ArgumentException($"MaxIterations is {options.MaxIterations}; it must be 1 or more.", nameof(options));
        foreach (Vote vote in votes)
            if ((uint)vote.Item >= (uint)itemCount || (uint)vote.Annotator >= (uint)annotatorCount || (uint)vote.Label >= (uint)labelCount)
                throw new ArgumentException($"{vote} lies outside {itemCount} items, {annotatorCount} annotators, {labelCount} labels.", nameof(votes));
    }
}
