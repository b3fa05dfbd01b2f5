using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How often an effect of a feature would be found.</summary>
/// <param name="Feature">Column of the design.</param>
/// <param name="Effect">Planted weight, logits per feature deviation.</param>
/// <param name="Power">Share of simulated audits that found it, with the right sign, with Wilson's interval; at an effect of 0: false alarms of either sign.</param>
public sealed record PowerCell(int Feature, int Pairs, double Effect, ConfidenceInterval Power);

/// <summary>What is simulated.</summary>
public sealed record PowerOptions
{
    /// <summary>Planted weights, logits per feature deviation.</summary>
    public IReadOnlyList<double> Effects { get; init; } = [0, 0.1, 0.2, 0.5];

    /// <summary>Numbers of pairs; empty: as many as the design has.</summary>
    public IReadOnlyList<int> Pairs { get; init; } = [];

    /// <summary>Columns that the effects are planted in, one at a time; empty: each of them.</summary>
    public IReadOnlyList<int> Features { get; init; } = [];

    /// <summary>Simulated audits a cell.</summary>
    public int Repeats { get; init; } = 200;

    /// <summary>Family-wise error, by Holm over all columns.</summary>
    public double Level { get; init; } = 0.05;

    public double PriorDeviation { get; init; } = 1;

    public long Seed { get; init; } = 1;
}

/// <summary>Power by feature, number of pairs and effect; the seed with which it can be made again.</summary>
public sealed record PowerTable(IReadOnlyList<PowerCell> Cells, int Repeats, double Level, long Seed);

/// <summary>
/// What an incentive table of this size could have found: labels are drawn again and again for the audit's own pairs from weights with a planted effect, and the table's own test is applied.
/// </summary>
/// <remarks>
/// Without it an empty table reads as "clean". Which completion of a pair is the audited policy's is drawn from σ(w·Δ), so that the design keeps its correlations, ties and rare features.
/// Other numbers of pairs are drawn from the design with replacement. Source: specs/fairl.md §4.3, whose own table a test repeats.
/// </remarks>
public static class DetectionPower
{
    private const int RepeatsAtOnce = 25;

    /// <summary>Simulates.</summary>
    /// <param name="design">Δ of standardised features, as <see cref="IncentiveTable.DesignOf"/> gives it.</param>
    /// <param name="weights">What is true of the columns an effect is not planted in: the audit's own weights, or a guess before the run. [d], logits per feature deviation.</param>
    /// <returns>The same numbers for the same seed, whatever the number of threads.</returns>
    /// <exception cref="ArgumentException">A column, number of pairs or of repeats out of range.</exception>
    public static PowerTable Simulate(ColumnMatrix design, IReadOnlyList<double> weights, PowerOptions options, CancellationToken stop)
    {
        IReadOnlyList<int> features = options.Features.Count > 0 ? options.Features : [.. Enumerable.Range(0, design.Columns)], sizes = options.Pairs.Count > 0 ? options.Pairs : [design.Rows];
        if (weights.Count != design.Columns || design.Rows == 0 || features.Any(feature => feature < 0 || feature >= design.Columns))
            throw new ArgumentException($"The design has {design.Rows} pairs of {design.Columns} features, {weights.Count} weights, and effects in the features {string.Join(", ", features)}.");
        if (options.Repeats < 1 || sizes.Any(size => size < 1))
            throw new ArgumentException($"repeats is {options.Repeats} and the numbers of pairs are {string.Join(", ", sizes)}; each must be at least 1.", nameof(options));
        var cells = (from feature in features from size in sizes from effect in options.Effects select (Feature: feature, Size: size, Effect: effect)).ToArray();
        double[] critical = [.. Enumerable.Range(0, design.Columns).Select(rank => NormalDistribution.TwoSided(1 - options.Level / (design.Columns - rank)))];
        var chunks = (options.Repeats + RepeatsAtOnce - 1) / RepeatsAtOnce;
        var found = new int[cells.Length * chunks];
        var random = new SeededRandom((ulong)options.Seed).Split("power");
        Parallel.For(0, found.Length, new ParallelOptions { CancellationToken = stop, MaxDegreeOfParallelism = Environment.ProcessorCount }, at =>
        {
            var (cell, chunk) = (cells[at / chunks], at % chunks);
            double[] truth = [.. weights];
            truth[cell.Feature] = cell.Effect;
            var audit = new SimulatedAudit(design, truth, cell.Feature, cell.Size, options.PriorDeviation, critical);
            for (var repeat = chunk * RepeatsAtOnce; repeat < Math.Min(options.Repeats, (chunk + 1) * RepeatsAtOnce); repeat++)
                found[at] += audit.Finds(random.Split(at / chunks).Split(repeat), stop) ? 1 : 0;
        });
        return new PowerTable([.. cells.Select((cell, i) => new PowerCell(cell.Feature, cell.Size, cell.Effect, WilsonInterval.Compute(found.AsSpan(i * chunks, chunks).ToArray().Sum(), options.Repeats)))],
            options.Repeats, options.Level, options.Seed);
    }

    /// <summary>A design for an estimate before anything was sampled: normal features of two unrelated completions.</summary>
    /// <param name="rows">Pairs.</param>
    /// <param name="features">At least 2 for a correlation.</param>
    /// <param name="correlation">Between the first two features, −1 to 1.</param>
    public static ColumnMatrix NormalDesign(int rows, int features, double correlation, SeededRandom random)
    {
        var (design, draws) = (new ColumnMatrix(rows, features), random.Split("design"));
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < features; j++)
                design.Column(j)[i] = Math.Sqrt(2) * draws.NextGaussian(); // a difference of two texts
            if (features > 1)
                design.Column(1)[i] = correlation * design.Column(0)[i] + Math.Sqrt(1 - correlation * correlation) * design.Column(1)[i];
        }
        return design;
    }

    /// <summary>One size of audit, run many times.</summary>
    private sealed class SimulatedAudit(ColumnMatrix design, double[] truth, int feature, int size, double priorDeviation, double[] critical)
    {
        private readonly LogisticNewton newton = new(size, design.Columns);
        private readonly double[] precisions = [.. Enumerable.Repeat(1 / (priorDeviation * priorDeviation), design.Columns)];
        private readonly double[] signs = new double[size], margins = new double[size];
        private readonly int[] rows = new int[size];
        public bool Finds(SeededRandom random, CancellationToken stop)
        {
            var own = size == design.Rows ? design : Drawn(random); // the audit's own pairs where their number is asked about
            own.Multiply(truth, margins);
            for (var i = 0; i < size; i++)
                signs[i] = random.NextDouble() < 1 / (1 + Math.Exp(-margins[i])) ? 1 : -1;
            var posterior = newton.Fit(own, precisions, signs, [], 1, truth, stop, tolerance: 1e-6);
            var variances = posterior.Precision.InverseDiagonal();
            double[] z = [.. posterior.Weights.Zip(variances, (weight, variance) => weight / Math.Sqrt(variance))];
            // Holm: from the largest on, each against a bound that grows milder, up to the first that fails.
            int[] order = [.. Enumerable.Range(0, z.Length).OrderByDescending(k => Math.Abs(z[k]))];
            foreach (var (rank, k) in order.Index())
            {
                if (Math.Abs(z[k]) <= critical[rank])
                    return false;
                if (k == feature)
                    return truth[feature] == 0 || Math.Sign(z[k]) == Math.Sign(truth[feature]);
            }
            return false;
        }

        private ColumnMatrix Drawn(SeededRandom random)
        {
            for (var i = 0; i < size; i++)
                rows[i] = random.NextInt(design.Rows);
            return design.Take(rows);
        }
    }
}
