namespace Portal.Engine.Statistics;

/// <summary>Exact binomial test: how surprising a count is if each trial succeeds with a given probability. For "does this person prefer the left?".</summary>
public static class BinomialTest
{
    /// <summary>
    /// Two-sided p-value: the probability of all counts that are no more likely than the one seen.
    /// </summary>
    /// <remarks>The rule of R's binom.test and of scipy's binomtest, with their relative slack of 1e-7 for counts that are equally likely. Costs O(trials).</remarks>
    /// <param name="successes">0 to <paramref name="trials"/>.</param>
    /// <param name="trials">At least 0; with none, the answer is 1.</param>
    /// <param name="probability">0 to 1.</param>
    public static double TwoSided(int successes, int trials, double probability = 0.5)
    {
        Check(successes, trials, probability);
        double seen = LogProbability(successes, trials, probability) + Math.Log(1 + 1e-7), sum = 0;
        for (int k = 0; k <= trials; k++)
        {
            double log = LogProbability(k, trials, probability);
            if (log <= seen) sum += Math.Exp(log);
        }

        return Math.Min(1, sum);
    }

    /// <summary>P(count ≥ successes): one-sided, for "more often than chance".</summary>
    public static double AtLeast(int successes, int trials, double probability = 0.5)
    {
        Check(successes, trials, probability);
        double sum = 0;
        for (int k = trials; k >= successes; k--) sum += Math.Exp(LogProbability(k, trials, probability)); // the small terms first
        return Math.Min(1, sum);
    }

    private static double LogProbability(int k, int n, double p)
    {
        if (p == 0) return k == 0 ? 0 : double.NegativeInfinity;
        if (p == 1) return k == n ? 0 : double.NegativeInfinity;
        return LogFactorial(n) - LogFactorial(k) - LogFactorial(n - k) + k * Math.Log(p) + (n - k) * double.LogP1(-p);
    }

    // Exact sums for small n, Stirling's series (error below 1e-16 relative from 256 on) above.
    private static double LogFactorial(int n)
    {
        if (n < Table.Length) return Table[n];
        double x = n + 1.0, xx = x * x;
        return (x - 0.5) * Math.Log(x) - x + 0.5 * Math.Log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x * xx) + 1 / (1260 * x * xx * xx);
    }

    private static readonly double[] Table = MakeTable();

    private static double[] MakeTable()
    {
        var table = new double[256];
        for (int i = 2; i < table.Length; i++) table[i] = table[i - 1] + Math.Log(i);
        return table;
    }

    private static void Check(int successes, int trials, double probability)
    {
        if (trials < 0 || successes < 0 || successes > trials) throw new ArgumentException($"Successes must be 0 to the number of trials, not {successes} of {trials}.");
        if (!(probability >= 0 && probability <= 1)) throw new ArgumentException($"The probability is {probability}; it must lie in [0, 1].", nameof(probability));
    }
}
