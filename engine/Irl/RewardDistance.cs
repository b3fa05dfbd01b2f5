using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How far two rewards are apart on the same candidates.</summary>
/// <param name="Rho">Cosine of the canonicalised rewards, −1 to 1; null where one of them does not tell any candidates apart.</param>
/// <param name="Starc">d_STARC halved, √((1 − ρ)/2), 0 (the same order of preferences) to 1 (the opposite); 0.5 where one reward is constant, 0 where both are.</param>
public readonly record struct RewardDistanceResult(double? Rho, double Starc)
{
    /// <summary>The L2 distance of the normalised canonical rewards, √(2(1 − ρ)), 0 to 2.</summary>
    public double StarcL2 => 2 * Starc;

    /// <summary>EPIC: in a bandit its canonicalisation is the same centring, so with the same weights it is the same number.</summary>
    public double Epic => Starc;
}

/// <summary>
/// Distances between rewards that do not see a reward's scale, nor what it adds to all answers of a prompt: STARC in its form for a contextual bandit.
/// <code>
/// c(R)(x,o) = R(x,o) − Σ_o' π(o'|x) R(x,o')      ⟨A,B⟩ = Σ_x Σ_o π(o|x) A(x,o) B(x,o)
/// ρ = ⟨cR₁,cR₂⟩ / √(⟨cR₁,cR₁⟩ ⟨cR₂,cR₂⟩)         d_STARC = √((1 − ρ)/2)
/// </code>
/// </summary>
/// <remarks>
/// The state is the prompt, the action the completion, the episode ends there: the general canonicalisation (VAL) loses its γ terms. Prompts count alike. The global variant takes all texts for one state,
/// and so asks also that scores of different prompts compare; which one the paper used is not known, so both are reported, by name.
/// Sources: Skalse et al. 2023 (2309.15257); EPIC: Gleave et al. 2020 (2006.13900); specs/fairl.md §3.2. Checked against its golden vectors, numpy (Golden/irl_vectors.json) and EPIC's general formula.
/// </remarks>
public static class RewardDistance
{
    public const int DefaultResamples = 1_000;

    /// <summary>What is left of a constant by rounding, relative to its square.</summary>
    private const double Rounding = 1e-24;

    /// <summary>The distance; null where no prompt has two candidates, since then nothing is compared.</summary>
    /// <param name="first">Scores of all candidates. [Count], finite.</param>
    /// <param name="second">The same.</param>
    /// <exception cref="ArgumentException">Lengths differ from the sets', or a score is not finite.</exception>
    public static RewardDistanceResult? Compute(CandidateSets sets, double[] first, double[] second) => IsDefined(sets) ? Of(Total(Sums(sets, first, second), 3)) : null;

    /// <summary>d_STARC with its percentile interval over prompts; null where it is undefined.</summary>
    public static ConfidenceInterval? Interval(CandidateSets sets, double[] first, double[] second, SeededRandom random, int resamples = DefaultResamples, double level = 0.95) =>
        IsDefined(sets) ? Bootstrap.OfSums(Sums(sets, first, second), 3, sums => Of(sums).Starc, random, resamples, level) : null;

    /// <summary>d_STARC(first, reference) − d_STARC(second, reference) on the same resamples of prompts: negative where the first is nearer.</summary>
    public static ConfidenceInterval? Difference(CandidateSets sets, double[] first, double[] second, double[] reference, SeededRandom random, int resamples = DefaultResamples, double level = 0.95)
    {
        if (!IsDefined(sets))
            return null;
        var (one, other) = (Sums(sets, first, reference), Sums(sets, second, reference));
        var both = new double[2 * one.Length];
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            one.AsSpan(3 * prompt, 3).CopyTo(both.AsSpan(6 * prompt));
            other.AsSpan(3 * prompt, 3).CopyTo(both.AsSpan(6 * prompt + 3));
        }
        return Bootstrap.OfSums(both, 6, sums => Of(sums.AsSpan(0, 3)).Starc - Of(sums.AsSpan(3, 3)).Starc, random, resamples, level);
    }

    /// <summary>The global variant: all texts as one state, weighted as in the sets; null with fewer than two texts.</summary>
    public static RewardDistanceResult? Global(CandidateSets sets, double[] first, double[] second) => sets.Count >= 2 ? OfMoments(Total(Moments(sets, first, second), 6)) : null;

    /// <summary>The global variant with its interval over prompts.</summary>
    public static ConfidenceInterval? GlobalInterval(CandidateSets sets, double[] first, double[] second, SeededRandom random, int resamples = DefaultResamples, double level = 0.95) =>
        sets.Count >= 2 ? Bootstrap.OfSums(Moments(sets, first, second), 6, sums => OfMoments(sums).Starc, random, resamples, level) : null;

    /// <summary>
    /// What it costs to pick each prompt's best candidate by a recovered reward instead of the reference: the share of all that could be lost.
    /// <code>Σ_x [ max_o r*(x,o) − r*(x, argmax_o R) ] / Σ_x [ max_o r* − min_o r* ]</code>
    /// </summary>
    /// <remarks>Candidates that R cannot tell apart count with their mean. This is what STARC bounds.</remarks>
    /// <returns>0 to 1 with the interval over prompts; null where the reference tells no candidates apart.</returns>
    public static ConfidenceInterval? Regret(CandidateSets sets, double[] recovered, double[] reference, SeededRandom random, int resamples = DefaultResamples, double level = 0.95)
    {
        Check(sets, recovered, reference);
        if (sets.Prompts == 0)
            return null;
        var sums = new double[2 * sets.Prompts];
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            var by = recovered.AsSpan(sets.Of(prompt));
            var of = reference.AsSpan(sets.Of(prompt));
            double best = double.NegativeInfinity, high = double.NegativeInfinity, low = double.PositiveInfinity, picked = 0;
            var count = 0;
            for (var k = 0; k < by.Length; k++)
            {
                (high, low) = (Math.Max(high, of[k]), Math.Min(low, of[k]));
                if (by[k] > best)
                    (best, picked, count) = (by[k], 0, 0);
                if (by[k] == best)
                    (picked, count) = (picked + of[k], count + 1);
            }
            (sums[2 * prompt], sums[2 * prompt + 1]) = (high - picked / count, high - low);
        }
        return Bootstrap.OfSums(sums, 2, total => total[1] > 0 ? total[0] / total[1] : null, random, resamples, level);
    }

    /// <summary>Inner products of centred scores within each prompt: ⟨a,a⟩, ⟨a,b⟩, ⟨b,b⟩. All that a distance needs of a prompt, whatever resample it is in. [3 P].</summary>
    internal static double[] Sums(CandidateSets sets, double[] first, double[] second)
    {
        Check(sets, first, second);
        var (a, b, sums) = (Centred(sets, first), Centred(sets, second), new double[3 * sets.Prompts]);
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            var (from, to) = (sets.Of(prompt).Start.Value, sets.Of(prompt).End.Value);
            double aa = 0, ab = 0, bb = 0;
            for (var i = from; i < to; i++)
            {
                var w = sets.Weights[i];
                (aa, ab, bb) = (aa + w * a[i] * a[i], ab + w * a[i] * b[i], bb + w * b[i] * b[i]);
            }
            (sums[3 * prompt], sums[3 * prompt + 1], sums[3 * prompt + 2]) = (aa, ab, bb);
        }
        return sums;
    }

    /// <summary>c(R): each prompt's weighted mean taken off. Exactly 0 where a prompt's scores differ by rounding only.</summary>
    internal static double[] Centred(CandidateSets sets, double[] scores)
    {
        var centred = (double[])scores.Clone();
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            var own = centred.AsSpan(sets.Of(prompt));
            var weights = sets.Weights.AsSpan(sets.Of(prompt));
            double mean = 0, square = 0, left = 0;
            for (var k = 0; k < own.Length; k++)
                (mean, square) = (mean + weights[k] * own[k], square + weights[k] * own[k] * own[k]);
            for (var k = 0; k < own.Length; k++)
            {
                own[k] -= mean;
                left += weights[k] * own[k] * own[k];
            }
            if (left <= Rounding * square)
                own.Clear();
        }
        return centred;
    }

    internal static RewardDistanceResult Of(ReadOnlySpan<double> sums)
    {
        var (aa, ab, bb) = (sums[0], sums[1], sums[2]);
        if (!(aa > 0) || !(bb > 0))
            return new RewardDistanceResult(null, aa > 0 || bb > 0 ? 0.5 : 0); // c(R) = 0 maps to the origin, which is 1 from every unit vector
        var rho = Math.Clamp(ab / Math.Sqrt(aa) / Math.Sqrt(bb), -1, 1);
        return new RewardDistanceResult(rho, Math.Sqrt((1 - rho) / 2));
    }

    // Weight, first and second moments of each prompt about the mean of all. [6 P].
    private static double[] Moments(CandidateSets sets, double[] first, double[] second)
    {
        Check(sets, first, second);
        var (a, b) = (OffMean(first), OffMean(second));
        var sums = new double[6 * sets.Prompts];
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            var into = sums.AsSpan(6 * prompt, 6);
            for (var i = sets.Of(prompt).Start.Value; i < sets.Of(prompt).End.Value; i++)
            {
                var w = sets.Weights[i];
                (into[0], into[1], into[2]) = (into[0] + w, into[1] + w * a[i], into[2] + w * b[i]);
                (into[3], into[4], into[5]) = (into[3] + w * a[i] * a[i], into[4] + w * a[i] * b[i], into[5] + w * b[i] * b[i]);
            }
        }
        return sums;

        static double[] OffMean(double[] scores)
        {
            var mean = scores.Average();
            return [.. scores.Select(score => score - mean)];
        }
    }

    private static RewardDistanceResult OfMoments(double[] sums)
    {
        var weight = sums[0];
        double aa = sums[3] - sums[1] * sums[1] / weight, ab = sums[4] - sums[1] * sums[2] / weight, bb = sums[5] - sums[2] * sums[2] / weight;
        return Of([aa <= 1e-12 * sums[3] ? 0 : aa, ab, bb <= 1e-12 * sums[5] ? 0 : bb]);
    }

    private static double[] Total(double[] sums, int width)
    {
        var total = new double[width];
        for (var i = 0; i < sums.Length; i++)
            total[i % width] += sums[i];
        return total;
    }

    private static bool IsDefined(CandidateSets sets) => Enumerable.Range(0, sets.Prompts).Any(prompt => sets.Of(prompt) is var range && range.End.Value - range.Start.Value >= 2);

    private static void Check(CandidateSets sets, double[] first, double[] second)
    {
        if (first.Length != sets.Count || second.Length != sets.Count)
            throw new ArgumentException($"There are {sets.Count} candidates and scores of {first.Length} and {second.Length}.");
        for (var i = 0; i < first.Length; i++)
        {
            if (!double.IsFinite(first[i]) || !double.IsFinite(second[i]))
                throw new ArgumentException($"The scores of candidate {i} are {first[i]} and {second[i]}.");
        }
    }
}
