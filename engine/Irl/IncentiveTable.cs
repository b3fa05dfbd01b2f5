using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>Features of both completions of many pairs, as a person reads them: lengths, counts, codes of an SAE.</summary>
/// <param name="Names">[d], each once.</param>
/// <param name="Audited">[n][d], finite, not standardised.</param>
/// <param name="Base">[n][d].</param>
/// <param name="Prompts">[n]; pairs of one prompt have the same id.</param>
/// <param name="Length">Which feature is the length, that others are held against; null: none.</param>
public sealed record IncentiveData(IReadOnlyList<string> Names, IReadOnlyList<double[]> Audited, IReadOnlyList<double[]> Base, IReadOnlyList<string> Prompts, int? Length);

/// <summary>Which effect is tested.</summary>
public enum IncentiveTest
{
    /// <summary>That of a feature while all others are held: for a readable set.</summary>
    Joint,
    /// <summary>That of a feature while length alone is held: for more features than pairs can tell apart, as those of an SAE.</summary>
    LengthHeld,
}

/// <summary>How a table is made.</summary>
public sealed record IncentiveOptions
{
    /// <summary>Null: <see cref="IncentiveTest.Joint"/> up to <see cref="IncentiveTable.JointFeaturesMax"/> features and ten pairs for each, else <see cref="IncentiveTest.LengthHeld"/>.</summary>
    public IncentiveTest? Test { get; init; }

    /// <summary>Family-wise error, by Holm over all features that vary.</summary>
    public double Level { get; init; } = 0.05;

    /// <summary>Refits on resampled prompts for the stability of signs.</summary>
    public int Runs { get; init; } = 15;

    /// <summary>Standard deviation of the weights' prior, in logits per feature deviation.</summary>
    public double PriorDeviation { get; init; } = 1;

    /// <summary>Example pairs a feature.</summary>
    public int Examples { get; init; } = 50;
}

/// <summary>What may be said of a feature.</summary>
public enum IncentiveVerdict
{
    PaidFor,
    Punished,
    /// <summary>Its effect, if there is one, is below what this many pairs can show. Not "clean".</summary>
    NotDetectable,
    /// <summary>Resampled prompts do not even agree on the direction.</summary>
    SignFlips,
    /// <summary>The same in both completions of every pair: nothing can be said.</summary>
    Constant,
}

/// <summary>One feature. Effects are in logits per deviation of the feature over the texts; null where the feature is constant.</summary>
/// <param name="Feature">Its number in the data.</param>
/// <param name="Effect">The effect that is tested, with its interval.</param>
/// <param name="Alone">With nothing else in the model.</param>
/// <param name="LengthHeld">With length in the model; null also for length itself, and where no feature is the length.</param>
/// <param name="P">Two-sided, of <paramref name="Effect"/>.</param>
/// <param name="HolmP">The same corrected for the number of features.</param>
/// <param name="SameSign">Runs whose effect has the sign of <paramref name="Effect"/>.</param>
/// <param name="Vif">How many times the other features inflate its variance, at least 1; null where it is not tested jointly.</param>
/// <param name="MarginShare">Its share of Σ margin², over features 1 together; may be negative for a feature that works against another. Null where it is not tested jointly.</param>
/// <param name="LeastDetectable">The effect that would be found in four of five audits of this size.</param>
/// <param name="Examples">Pairs in which it speaks most for the audited completion, most first.</param>
public sealed record IncentiveRow(int Feature, string Name, IncentiveVerdict Verdict, ConfidenceInterval? Effect, ConfidenceInterval? Alone, ConfidenceInterval? LengthHeld,
    double? P, double? HolmP, int SameSign, double? Vif, double? MarginShare, double? LeastDetectable, IReadOnlyList<int> Examples);

/// <summary>
/// Which features of its completions a policy seems to be paid for: a logistic regression on the differences of pairs, feature by feature, with everything one needs in order not to believe it too soon.
/// </summary>
/// <param name="Pairs">n.</param>
/// <param name="Runs">Refits behind <see cref="IncentiveRow.SameSign"/>.</param>
/// <param name="RewardDeviation">Standard deviation of the fitted reward over all texts: an effect divided by it is in reward deviations per feature deviation. Null where features are not fitted jointly.</param>
/// <param name="Rows">In the order of the features.</param>
/// <remarks>
/// Pairs fix no offset, so there is none, and second moments are taken about 0. Standard errors are those of the Hessian; where prompts have several pairs, the larger of them and of the sandwich by
/// prompt. Sources: specs/fairl.md §4.3, §5; White 1982 for the sandwich; Pratt 1987 for shares of the margin.
/// </remarks>
public sealed record IncentiveTable(int Pairs, int Runs, IncentiveTest Test, double Level, double? RewardDeviation, IReadOnlyList<IncentiveRow> Rows)
{
    public const int JointFeaturesMax = 64;

    /// <summary>The chance of finding an effect for which <see cref="IncentiveRow.LeastDetectable"/> is given.</summary>
    public const double Power = 0.8;

    /// <summary>Share of runs that must have the same sign, below which it flips.</summary>
    private const double SameSignMin = 2 / 3.0;

    private const int PairsAFeature = 10;
    private const double HeldPrecision = 1e-6; // length is held, not penalised; not 0, so that a length that decides every pair stays finite

    /// <summary>Features that are paid for or punished, strongest first.</summary>
    public IReadOnlyList<IncentiveRow> Found => [.. Rows.Where(row => row.Verdict is IncentiveVerdict.PaidFor or IncentiveVerdict.Punished).OrderByDescending(row => Math.Abs(row.Effect!.Value.Estimate))]; // a feature with such a verdict has an effect

    /// <summary>An effect in reward deviations per feature deviation; null where that has no meaning here.</summary>
    public ConfidenceInterval? InRewardDeviations(ConfidenceInterval? effect) => effect is { } own && RewardDeviation is > 0 and var unit
        ? own with { Estimate = own.Estimate / unit, Low = own.Low / unit, High = own.High / unit } : null;

    /// <summary>The design that the table and the power estimate stand on: Δ of standardised features, without those that never differ.</summary>
    /// <returns>The design, the features its columns are, and each feature's deviation over the texts (0: constant).</returns>
    public static (ColumnMatrix Design, IReadOnlyList<int> Features, double[] Deviations) DesignOf(IncentiveData data)
    {
        Check(data);
        var (n, d) = (data.Audited.Count, data.Names.Count);
        var deviations = new double[d];
        for (var j = 0; j < d; j++)
        {
            double mean = 0, square = 0;
            for (var i = 0; i < n; i++)
                mean += (data.Audited[i][j] + data.Base[i][j]) / (2.0 * n);
            for (var i = 0; i < n; i++)
                square += (data.Audited[i][j] - mean) * (data.Audited[i][j] - mean) + (data.Base[i][j] - mean) * (data.Base[i][j] - mean);
            var deviation = Math.Sqrt(square / (2.0 * n));
            var differs = Enumerable.Range(0, n).Any(i => data.Audited[i][j] != data.Base[i][j]);
            deviations[j] = differs && deviation > 1e-12 * Math.Abs(mean) ? deviation : 0;
        }
        int[] features = [.. Enumerable.Range(0, d).Where(j => deviations[j] > 0)];
        var design = new ColumnMatrix(n, features.Length);
        for (var k = 0; k < features.Length; k++)
        {
            var column = design.Column(k);
            var j = features[k];
            for (var i = 0; i < n; i++)
                column[i] = (data.Audited[i][j] - data.Base[i][j]) / deviations[j];
        }
        return (design, features, deviations);
    }

    /// <summary>Makes the table.</summary>
    /// <param name="data">All pairs of the audit: nothing is chosen here, so none has to be kept back.</param>
    /// <param name="random">For resampled prompts; a split is used.</param>
    /// <exception cref="ArgumentException">No pairs, shapes that differ, a name twice, or a value that is not finite; the message names pair and feature.</exception>
    public static IncentiveTable Compute(IncentiveData data, IncentiveOptions options, SeededRandom random, CancellationToken stop)
    {
        var (design, features, deviations) = DesignOf(data);
        var test = options.Test ?? (features.Count <= JointFeaturesMax && features.Count * PairsAFeature <= data.Audited.Count ? IncentiveTest.Joint : IncentiveTest.LengthHeld);
        if (features.Count == 0)
            return new IncentiveTable(data.Audited.Count, options.Runs, test, options.Level, null, [.. data.Names.Select((name, j) => Empty(j, name))]);
        var length = data.Length is { } column ? features.ToList().IndexOf(column) : -1;
        var fits = new IncentiveFits(design, data.Prompts, 1 / (options.PriorDeviation * options.PriorDeviation), HeldPrecision);

        var alone = fits.Each(null, [], stop);
        var held = length >= 0 ? fits.Each(length, [], stop) : null;
        var joint = test is IncentiveTest.Joint ? fits.Joint(stop) : null;
        var tested = joint?.Effects ?? [.. alone.Select((effect, k) => held is null || k == length ? effect : held[k])];
        var same = SameSigns(fits, tested, test, length, options.Runs, random.Split("signs"), stop);
        double[] p = [.. tested.Select(effect => Math.Min(1, 2 * NormalDistribution.Cdf(-Math.Abs(effect.Weight / effect.Error))))];
        var holm = Holm.Adjust(p);
        var detectable = NormalDistribution.TwoSided(1 - options.Level / features.Count) + NormalDistribution.Quantile(Power);
        var z = NormalDistribution.TwoSided(0.95);

        var rows = data.Names.Select((name, j) => Empty(j, name)).ToArray();
        foreach (var (k, j) in features.Index())
        {
            var (effect, agrees) = (tested[k], same[k] >= SameSignMin * options.Runs);
            rows[j] = new IncentiveRow(j, data.Names[j],
                !agrees ? IncentiveVerdict.SignFlips : holm[k] >= options.Level ? IncentiveVerdict.NotDetectable : effect.Weight > 0 ? IncentiveVerdict.PaidFor : IncentiveVerdict.Punished,
                Interval(effect), Interval(alone[k]), held is null || k == length ? null : Interval(held[k]), p[k], holm[k], same[k], joint?.Vif[k], joint?.Shares[k], detectable * effect.Error,
                Examples(design.Column(k), effect.Weight, options.Examples));
        }
        return new IncentiveTable(data.Audited.Count, options.Runs, test, options.Level, joint is null ? null : RewardDeviationOf(data, features, deviations, joint.Effects), rows);

        ConfidenceInterval Interval(FeatureEffect own) => new(own.Weight, own.Weight - z * own.Error, own.Weight + z * own.Error, 0.95, data.Audited.Count);
    }

    private static IncentiveRow Empty(int feature, string name) => new(feature, name, IncentiveVerdict.Constant, null, null, null, null, null, 0, null, null, null, []);

    private static int[] SameSigns(IncentiveFits fits, IReadOnlyList<FeatureEffect> tested, IncentiveTest test, int length, int runs, SeededRandom random, CancellationToken stop)
    {
        var same = new int[tested.Count];
        for (var run = 0; run < runs; run++)
        {
            var counts = fits.Resample(random.Split(run));
            var weights = test is IncentiveTest.Joint ? fits.JointWeights(counts, [.. tested.Select(effect => effect.Weight)], stop) : [.. fits.Each(length >= 0 ? length : null, counts, stop).Select(effect => effect.Weight)];
            for (var k = 0; k < same.Length; k++)
                same[k] += Math.Sign(weights[k]) == Math.Sign(tested[k].Weight) ? 1 : 0;
        }
        return same;
    }

    private static IReadOnlyList<int> Examples(Span<double> column, double weight, int count)
    {
        var values = column.ToArray();
        return [.. Enumerable.Range(0, values.Length).Where(i => values[i] * weight > 0).OrderByDescending(i => values[i] * weight).ThenBy(i => i).Take(count)];
    }

    private static double RewardDeviationOf(IncentiveData data, IReadOnlyList<int> features, double[] deviations, IReadOnlyList<FeatureEffect> effects)
    {
        double[] rewards = [.. data.Audited.Concat(data.Base).Select(text => features.Select((j, k) => effects[k].Weight * text[j] / deviations[j]).Sum())];
        var mean = rewards.Average();
        return Math.Sqrt(rewards.Average(reward => (reward - mean) * (reward - mean)));
    }

    private static void Check(IncentiveData data)
    {
        var (n, d) = (data.Audited.Count, data.Names.Count);
        if (n == 0 || d == 0 || data.Base.Count != n || data.Prompts.Count != n)
            throw new ArgumentException($"There are {d} features, {n} audited and {data.Base.Count} base completions and {data.Prompts.Count} prompts; pairs and features are needed, and as many of each.", nameof(data));
        if (data.Names.Distinct(StringComparer.Ordinal).Count() != d)
            throw new ArgumentException($"Two features are called '{data.Names.GroupBy(name => name).First(group => group.Count() > 1).Key}'.", nameof(data));
        if (data.Length is { } length && (length < 0 || length >= d))
            throw new ArgumentException($"Feature {length} is said to be the length; there are {d}.", nameof(data));
        for (var i = 0; i < n; i++)
        {
            if (data.Audited[i].Length != d || data.Base[i].Length != d)
                throw new ArgumentException($"Pair {i} has {data.Audited[i].Length} and {data.Base[i].Length} features; {d} are named.", nameof(data));
            for (var j = 0; j < d; j++)
            {
                if (!double.IsFinite(data.Audited[i][j]) || !double.IsFinite(data.Base[i][j]))
                    throw new ArgumentException($"Pair {i}: '{data.Names[j]}' is {data.Audited[i][j]} and {data.Base[i][j]}.", nameof(data));
            }
        }
    }
}
