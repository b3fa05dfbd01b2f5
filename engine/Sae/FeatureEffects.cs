using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>How sure the means are that a description gives for a feature: what it adds to rewards, and to the gap between what people chose and what they did not.</summary>
/// <remarks>
/// Both are means over cases (responses, pairs) that come in prompts, and the cases of one prompt are alike. With S_g the sum over a prompt's cases of (x − mean):
/// <code>
/// var(mean) = G/(G − 1) · Σ_g S_g² / N²     N cases of G prompts
/// </code>
/// the mean as a ratio of two sums over clusters of unequal size, linearised (Cochran 1977, chapter 9A); one case a prompt makes it s²/N. The interval is ± 1.96 standard errors. Where the feature
/// says something in fewer than <see cref="MetricNames.PromptsForInterval"/> prompts no interval is given: a sum of so few is not normal.
/// Checked against brute force, the textbook's s²/N and the bootstrap by prompt.
/// </remarks>
public static class FeatureEffects
{
    /// <summary>Works them out for some features, in one pass over the codes.</summary>
    /// <param name="latents">Which; none twice, each one of the model's.</param>
    /// <exception cref="ArgumentException">A latent is not there, or given twice.</exception>
    public static IReadOnlyList<FeatureEffect> Of(CodedRewards rewards, IReadOnlyList<int> latents, CancellationToken stop)
    {
        var codes = rewards.Codes;
        var places = new int[codes.Latents];
        Array.Fill(places, -1);
        for (var i = 0; i < latents.Count; i++)
        {
            if (latents[i] < 0 || latents[i] >= codes.Latents)
                throw new ArgumentException($"There is no latent {latents[i]}; the codes have {codes.Latents}.", nameof(latents));
            if (places[latents[i]] >= 0)
                throw new ArgumentException($"Latent {latents[i]} is given twice.", nameof(latents));
            places[latents[i]] = i;
        }
        var (values, touched) = (new double[latents.Count], new List<int>());
        var gaps = Means(rewards.PromptOfPair, latents.Count, (pair, tell) =>
        {
            Add(codes.Pairs[pair].Chosen, 1);
            Add(codes.Pairs[pair].Rejected, -1);
            Tell(tell);
        }, stop);
        var contributions = Means(rewards.PromptOfResponse, latents.Count, (response, tell) =>
        {
            Add(response, 1);
            Tell(tell);
        }, stop);
        return [.. latents.Select((latent, i) => new FeatureEffect(latent, gaps[i].Mean, gaps[i].Prompts, contributions[i].Mean, contributions[i].Prompts))];

        void Add(int response, double sign)
        {
            for (var i = response * codes.Width; i < (response + 1) * codes.Width; i++)
                if (places[codes.Indices[i]] is >= 0 and var place && codes.Values[i] != 0)
                {
                    if (values[place] == 0)
                        touched.Add(place);
                    values[place] += sign * rewards.Weights[codes.Indices[i]] * codes.Values[i];
                }
        }

        void Tell(Action<int, double> tell)
        {
            foreach (var place in touched)
            {
                if (values[place] != 0)
                    tell(place, values[place]);
                values[place] = 0;
            }
            touched.Clear();
        }
    }

    /// <summary>Means of several sparse quantities over the same cases, by group.</summary>
    /// <param name="groupOf">The group of each case. [N].</param>
    /// <param name="visit">Tells the quantities of a case that are not 0, each once.</param>
    /// <returns>For each quantity its mean, null without cases, and the groups in which it is not 0 somewhere.</returns>
    private static (Estimated? Mean, int Prompts)[] Means(int[] groupOf, int quantities, Action<int, Action<int, double>> visit, CancellationToken stop)
    {
        var (sums, squares, crossed, groups) = (new double[quantities], new double[quantities], new double[quantities], new int[quantities]); // Σ T_g, Σ T_g², Σ n_g T_g
        var (running, isRunning, inGroup) = (new double[quantities], new bool[quantities], new List<int>());
        var (sizes, all) = (0.0, 0); // Σ n_g², G
        foreach (var cases in Enumerable.Range(0, groupOf.Length).GroupBy(one => groupOf[one]))
        {
            stop.ThrowIfCancellationRequested();
            var size = 0;
            foreach (var one in cases)
            {
                size++;
                visit(one, (quantity, value) =>
                {
                    if (!isRunning[quantity])
                    {
                        isRunning[quantity] = true;
                        inGroup.Add(quantity);
                    }
                    running[quantity] += value;
                });
            }
            foreach (var quantity in inGroup)
            {
                var total = running[quantity];
                (sums[quantity], squares[quantity], crossed[quantity]) = (sums[quantity] + total, squares[quantity] + total * total, crossed[quantity] + size * total);
                groups[quantity]++;
                (running[quantity], isRunning[quantity]) = (0, false);
            }
            inGroup.Clear();
            (sizes, all) = (sizes + (double)size * size, all + 1);
        }
        return [.. Enumerable.Range(0, quantities).Select(quantity =>
        {
            if (groupOf.Length == 0)
                return ((Estimated?)null, 0);
            var mean = sums[quantity] / groupOf.Length;
            if (groups[quantity] < MetricNames.PromptsForInterval)
                return (new Estimated(mean, null, null), groups[quantity]);
            var spread = Math.Max(0, squares[quantity] - 2 * mean * crossed[quantity] + mean * mean * sizes); // Σ S_g²; rounding may leave less than nothing
            var half = NormalDistribution.TwoSided(0.95) * Math.Sqrt(all / (all - 1.0) * spread) / groupOf.Length;
            return (new Estimated(mean, mean - half, mean + half), groups[quantity]);
        })];
    }
}
