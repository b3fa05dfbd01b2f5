using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Sae;

/// <summary>Two responses of which one has what is looked for, or was preferred.</summary>
/// <param name="Group">Pairs of one group (a prompt) are alike: a relabelling turns all of them or none.</param>
/// <param name="Chosen">Number of the response on the side of interest.</param>
/// <param name="Rejected">Number of the other one.</param>
public readonly record struct ContrastPair(string Group, int Chosen, int Rejected);

/// <summary>How features are scored.</summary>
public sealed record FeatureSelectionOptions
{
    /// <summary>Pairs whose two responses differ in a latent, below which it gets no score: of three firings all three may lie on one side by chance.</summary>
    public int SupportMin { get; init; } = 10;

    /// <summary>Random relabellings that a p rests on; all of them are enumerated where there are not more. The least p is 1 over this plus 1.</summary>
    public int Permutations { get; init; } = 1_000;

    /// <summary>Knots of the curve by which the reward may explain a latent, at quantiles of the rewards; fewer where there are few pairs.</summary>
    public int RewardKnots { get; init; } = 12;

    public long Seed { get; init; } = 1;
}

/// <summary>One latent, scored twice. Positive: more active on the chosen side. Null: too little support.</summary>
/// <param name="Support">Pairs whose two responses differ in it.</param>
/// <param name="Mass">c_i + j_i.</param>
/// <param name="Score">s_i, −1 to 1.</param>
/// <param name="P">Two-sided permutation p of it.</param>
/// <param name="Q">False discovery rate over all latents with support (<see cref="BenjaminiHochberg"/>).</param>
/// <param name="ResidualScore">The same at equal reward. Null also where the reward alone tells the sides apart, so that nothing can be said.</param>
public sealed record FeatureScore(int Latent, int Support, double Mass, double? Score, double? P, double? Q, double? ResidualScore, double? ResidualP, double? ResidualQ);

/// <summary>
/// Which latents tell the chosen responses of many pairs from the rejected ones, as SARM asks, and whether they still do at equal reward.
/// <code>
/// c_i = Σ z_i(chosen)     j_i = Σ z_i(rejected)      s_i = (c_i − j_i) / (c_i + j_i + C)      C = mean of c + j over live latents
/// at equal reward:  z_chosen,i − z_rejected,i = τ_i + f_i(r_chosen) − f_i(r_rejected) + noise      s'_i = n τ_i / (c_i + j_i + C)
/// </code>
/// </summary>
/// <remarks>
/// Source: SARM's released code (specs/sarm.md §2.3), which averages C over all latents, mostly dead ones, and has neither support nor test. A latent that only says "this
/// response is good" has a high s_i in any preference data: SARM's own scores for "refuses" and "answers" correlate at 0.95. Hence the second score.
/// <para>
/// Residualised by regression on the reward within pairs: f_i is piecewise linear with knots at quantiles of the rewards, so that a detector of "reward above a threshold" is explained as well
/// as a proportional one, and what a prompt does to both of its responses cancels. τ_i is what the chosen side adds where the reward does not. Throwing away pairs of unequal reward instead
/// would need no curve but costs most of the pairs; a single regression over all responses would credit the reward with what prompts do.
/// </para>
/// <para>
/// p: if chosen and rejected were mere names, each group of pairs could as well be turned round. Only c_i − j_i changes by that, so s_i and c_i − j_i have the same p. At equal reward the
/// groups' effective scores x̃ û are turned (Hemerik, Goeman and Finos 2020): û are residuals of the regression without τ, x̃ what Δf leaves of the constant. Both exact where nothing is
/// estimated, the second asymptotically. Pairs count once whatever their votes.
/// </para>
/// </remarks>
public static class FeatureSelection
{
    /// <summary>Share of the contrast that the reward must leave over for a score at equal reward.</summary>
    private const double SeparationMin = 0.01;

    /// <summary>Relabellings worked on together.</summary>
    private const int FlipsAtOnce = 128;

    /// <summary>Scores every latent on some judged pairs: those of discovery, never those that test the choice.</summary>
    /// <param name="rewards">Of every response of <paramref name="codes"/>, e.g. <see cref="FeatureCodes.Rewards"/>.</param>
    /// <returns>[M], in the order of the latents.</returns>
    public static IReadOnlyList<FeatureScore> Score(FeatureCodes codes, IEnumerable<CodedPair> pairs, IReadOnlyList<double> rewards, FeatureSelectionOptions options, CancellationToken stop) =>
        Score([.. Enumerable.Range(0, codes.Responses.Count).Select(response => Sparse(codes, response))],
            [.. pairs.Select(pair => new ContrastPair(pair.PromptId.Value.ToString(), pair.Chosen, pair.Rejected))], rewards, codes.Latents, options, stop);

    /// <summary>Scores every latent on some pairs.</summary>
    /// <param name="codes">z of every response, indices ascending and at least 0, values at least 0.</param>
    /// <param name="pairs">At least one.</param>
    /// <param name="rewards">r of every response, by which latents are residualised.</param>
    /// <param name="latents">M.</param>
    /// <returns>[M], in the order of the latents; the same numbers for the same seed whatever the number of threads.</returns>
    /// <exception cref="ArgumentException">No pairs, lengths that differ, a pair or latent out of range, a negative activation, or a reward that is no number.</exception>
    public static IReadOnlyList<FeatureScore> Score(IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> pairs, IReadOnlyList<double> rewards, int latents,
        FeatureSelectionOptions options, CancellationToken stop)
    {
        Check(codes, pairs, rewards, latents, options);
        var groupOf = Numbers(pairs);
        var groups = groupOf.Max() + 1;
        var curve = RewardCurve.Fit(pairs, rewards, options.RewardKnots);
        var contrasts = Contrast.Of(codes, pairs, groupOf, latents, curve);
        var (p, residualP) = PValues(contrasts, curve.GroupSums(groupOf, groups), groups, options, stop);

        var live = contrasts.Where(contrast => contrast.Mass > 0).ToList();
        var constant = live.Count == 0 ? 0 : live.Average(contrast => contrast.Mass);
        var supported = Enumerable.Range(0, latents).Where(latent => contrasts[latent].Support >= Math.Max(1, options.SupportMin)).ToArray();
        var rank = Enumerable.Repeat(-1, latents).ToArray();
        for (var i = 0; i < supported.Length; i++)
            rank[supported[i]] = i;
        var q = BenjaminiHochberg.Adjust([.. supported.Select(latent => p[latent])]);
        var isSeparated = curve.Separation >= SeparationMin;
        var residualQ = BenjaminiHochberg.Adjust([.. supported.Select(latent => residualP[latent])]);
        return
        [
            .. contrasts.Select((contrast, latent) => rank[latent] < 0
                ? new FeatureScore(latent, contrast.Support, contrast.Mass, null, null, null, null, null, null)
                : new FeatureScore(latent, contrast.Support, contrast.Mass, contrast.Difference / (contrast.Mass + constant), p[latent], q[rank[latent]],
                    isSeparated ? contrast.Adjusted / curve.Separation / (contrast.Mass + constant) : null, isSeparated ? residualP[latent] : null, isSeparated ? residualQ[rank[latent]] : null)),
        ];
    }

    /// <summary>Latents by s_i, most active on the chosen side first; those without a score are left out.</summary>
    public static IReadOnlyList<FeatureScore> Ranked(IEnumerable<FeatureScore> scores) =>
        [.. scores.Where(score => score.Score is not null).OrderByDescending(score => score.Score).ThenBy(score => score.Latent)];

    /// <summary>Latents by how sure it is that they are more active on the chosen side at equal reward; those without such a score are left out.</summary>
    /// <remarks>
    /// By p for positive scores and by 2 − p for negative ones, then by score. By score alone latents that hardly fire would come first: the less of the contrast the reward leaves over, the
    /// more their scores are noise.
    /// </remarks>
    public static IReadOnlyList<FeatureScore> RankedAtEqualReward(IEnumerable<FeatureScore> scores) =>
        [.. scores.Where(score => score.ResidualScore is not null).OrderBy(score => score.ResidualScore > 0 ? score.ResidualP : 2 - score.ResidualP).ThenByDescending(score => score.ResidualScore).ThenBy(score => score.Latent)];

    private static SparseVector Sparse(FeatureCodes codes, int response)
    {
        var (latents, values) = codes.Of(response);
        (int Latent, double Value)[] entries = [.. Enumerable.Range(0, codes.Width).Where(i => values.Span[i] != 0).Select(i => (latents.Span[i], (double)values.Span[i])).OrderBy(entry => entry.Item1)];
        return new SparseVector([.. entries.Select(entry => entry.Latent)], [.. entries.Select(entry => entry.Value)]);
    }

    private static int[] Numbers(IReadOnlyList<ContrastPair> pairs)
    {
        var numbers = new Dictionary<string, int>(StringComparer.Ordinal);
        return [.. pairs.Select(pair => numbers.TryGetValue(pair.Group, out var number) ? number : numbers[pair.Group] = numbers.Count)];
    }

    /// <summary>What the pairs say of one latent, summed by group.</summary>
    /// <param name="Difference">c − j.</param>
    /// <param name="Adjusted">Σ x̃ (z_chosen − z_rejected).</param>
    /// <param name="Slopes">β of the regression without τ. [knots − 1].</param>
    /// <param name="Groups">Numbers of the groups with a pair that differs in it.</param>
    /// <param name="Plain">Σ over such a group's pairs of z_chosen − z_rejected.</param>
    /// <param name="Weighted">The same times x̃.</param>
    private sealed record Contrast(int Support, double Mass, double Difference, double Adjusted, double[] Slopes, int[] Groups, double[] Plain, double[] Weighted)
    {
        public static Contrast[] Of(IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> pairs, int[] groupOf, int latents, RewardCurve curve)
        {
            var mass = new double[latents];
            var entries = new List<(int Pair, double Value)>[latents];
            for (var pair = 0; pair < pairs.Count; pair++)
            {
                var (chosen, rejected) = (codes[pairs[pair].Chosen], codes[pairs[pair].Rejected]);
                foreach (var side in new[] { chosen, rejected })
                {
                    for (var i = 0; i < side.Indices.Length; i++)
                        mass[side.Indices[i]] += side.Values[i];
                }
                var difference = chosen.Minus(rejected);
                for (var i = 0; i < difference.Indices.Length; i++)
                    (entries[difference.Indices[i]] ??= []).Add((pair, difference.Values[i]));
            }
            return [.. entries.Select((some, latent) => One(some ?? [], mass[latent], groupOf, curve))];
        }

        private static Contrast One(List<(int Pair, double Value)> entries, double mass, int[] groupOf, RewardCurve curve)
        {
            var byGroup = entries.GroupBy(entry => groupOf[entry.Pair]).ToArray();
            return new Contrast(entries.Count, mass, entries.Sum(entry => entry.Value), entries.Sum(entry => curve.Left[entry.Pair] * entry.Value), curve.Slopes(entries),
                [.. byGroup.Select(group => group.Key)], [.. byGroup.Select(group => group.Sum(entry => entry.Value))],
                [.. byGroup.Select(group => group.Sum(entry => curve.Left[entry.Pair] * entry.Value))]);
        }
    }

    /// <summary>p of c − j and of the sum of effective scores of every latent, from the same relabellings. [M] each; 1 for latents that never differ.</summary>
    private static (double[] Plain, double[] Residual) PValues(Contrast[] contrasts, double[][] curveSums, int groups, FeatureSelectionOptions options, CancellationToken stop)
    {
        var isExact = groups < 31 && 1L << groups <= options.Permutations;
        var count = isExact ? 1 << groups : options.Permutations;
        var (plain, residual) = (new int[contrasts.Length], new int[contrasts.Length]);
        var random = new SeededRandom((ulong)options.Seed).Split("relabellings");
        for (var start = 0; start < count; start += FlipsAtOnce)
        {
            stop.ThrowIfCancellationRequested();
            var width = Math.Min(FlipsAtOnce, count - start);
            var signs = Signs(groups, width, isExact ? start : null, random.Split(start)); // [groups][width]
            var curves = new double[curveSums.Length][]; // [knots − 1][width]
            for (var knot = 0; knot < curves.Length; knot++)
                curves[knot] = Sum(signs, Enumerable.Range(0, groups), curveSums[knot], width);
            Parallel.For(0, contrasts.Length, latent =>
            {
                var contrast = contrasts[latent];
                if (contrast.Support < Math.Max(1, options.SupportMin))
                    return;
                // Sums that are equal but for the order of adding must count as equal.
                plain[latent] += AtLeast(Sum(signs, contrast.Groups, contrast.Plain, width), contrast.Difference, contrast.Plain);
                var turned = Sum(signs, contrast.Groups, contrast.Weighted, width);
                for (var knot = 0; knot < curves.Length; knot++)
                    TensorPrimitives.MultiplyAdd(curves[knot], -contrast.Slopes[knot], turned, turned);
                residual[latent] += AtLeast(turned, contrast.Adjusted, contrast.Weighted);
            });
        }
        double P(int extreme) => isExact ? extreme / (double)count : (1.0 + extreme) / (1 + count);
        return ([.. plain.Select(P)], [.. residual.Select(P)]);
    }

    private static int AtLeast(double[] sums, double observed, double[] parts)
    {
        var least = Math.Abs(observed) - 1e-9 * parts.Sum(Math.Abs);
        return sums.Count(sum => Math.Abs(sum) >= least);
    }

    private static double[] Sum(double[][] signs, IEnumerable<int> groups, double[] parts, int width)
    {
        var sums = new double[width];
        var at = 0;
        foreach (var group in groups)
            TensorPrimitives.MultiplyAdd(signs[group], parts[at++], sums, sums);
        return sums;
    }

    /// <param name="first">Where all relabellings are enumerated: the number of the first one, whose bits are the turned groups.</param>
    private static double[][] Signs(int groups, int width, int? first, SeededRandom random)
    {
        var signs = new double[groups][];
        for (var group = 0; group < groups; group++)
        {
            var row = signs[group] = new double[width];
            ulong bits = 0;
            for (var i = 0; i < width; i++)
            {
                if (first is null && i % 64 == 0)
                    bits = random.NextBits();
                var isTurned = first is { } number ? ((number + i) >> group & 1) == 1 : (bits >> i % 64 & 1) == 1;
                row[i] = isTurned ? -1 : 1;
            }
        }
        return signs;
    }

    private static void Check(IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> pairs, IReadOnlyList<double> rewards, int latents, FeatureSelectionOptions options)
    {
        if (pairs.Count == 0)
            throw new ArgumentException("There are no pairs to choose features from.", nameof(pairs));
        if (codes.Count != rewards.Count)
            throw new ArgumentException($"There are codes of {codes.Count} responses and rewards of {rewards.Count}.", nameof(rewards));
        if (options.Permutations < 1 || options.RewardKnots < 2)
            throw new ArgumentException($"permutations is {options.Permutations} and rewardKnots {options.RewardKnots}; at least 1 and 2 are needed.", nameof(options));
        for (var i = 0; i < codes.Count; i++)
        {
            if (!double.IsFinite(rewards[i]))
                throw new ArgumentException($"The reward of response {i} is {rewards[i]}.", nameof(rewards));
            if (codes[i].Indices.Any(latent => latent < 0 || latent >= latents) || codes[i].Values.Any(value => !(value >= 0) || double.IsInfinity(value)))
                throw new ArgumentException($"The codes of response {i} name a latent outside 0 to {latents - 1}, or an activation below 0.", nameof(codes));
        }
        foreach (var pair in pairs)
        {
            if (pair.Chosen < 0 || pair.Chosen >= codes.Count || pair.Rejected < 0 || pair.Rejected >= codes.Count)
                throw new ArgumentException($"A pair names responses {pair.Chosen} and {pair.Rejected} of {codes.Count}.", nameof(pairs));
        }
    }
}
