using Portal.Engine.Statistics;

namespace Portal.Engine.Losses;

/// <summary>
/// From rewards of several answers to each prompt to advantages: how much better an answer did than its siblings (REINFORCE leave-one-out).
/// <code>R_i = limit(Σ_f w_f r_fi) − β · KL_i      A_i = R_i − mean of R_j over the other answers to the same prompt</code>
/// </summary>
/// <remarks>
/// Plain numbers in double: nothing here carries a gradient. Answers of one prompt follow each other. A reward that a source does not give (null) is left out of the sum; an answer that no source
/// scores has no reward, takes part in no mean, and its advantage is 0, as that of an answer without a scored sibling. The limit comes before the divergence is taken off, as in TRL.
/// Source: Ahmadian et al. 2024 (2402.14740) §3.3; Kool et al. 2019; TRL 1.10 rloo_trainer. Checked against Golden/loss_vectors.json.
/// </remarks>
public static class RlooAdvantages
{
    /// <summary>Keeps a division by the spread of equal advantages finite.</summary>
    private const double Epsilon = 1e-4;

    /// <summary>The weighted sum of what several sources say of each answer.</summary>
    /// <param name="bySource">For each source the reward of each answer; null where it has no opinion. [F][N].</param>
    /// <param name="weights">One a source.</param>
    /// <returns>[N]; null where no source has an opinion.</returns>
    /// <exception cref="ArgumentException">Lengths differ, or a reward is NaN or infinite; the message names source and answer.</exception>
    public static double?[] Combine(IReadOnlyList<IReadOnlyList<double?>> bySource, IReadOnlyList<double> weights)
    {
        if (bySource.Count == 0 || bySource.Count != weights.Count || bySource.Any(rewards => rewards.Count != bySource[0].Count))
            throw new ArgumentException($"{bySource.Count} sources with {string.Join(", ", bySource.Select(rewards => rewards.Count))} rewards and {weights.Count} weights; there must be one weight a source and as many rewards of each");
        var combined = new double?[bySource[0].Count];
        for (var i = 0; i < combined.Length; i++)
        {
            for (var source = 0; source < bySource.Count; source++)
            {
                if (bySource[source][i] is not { } reward)
                    continue;
                if (!double.IsFinite(reward))
                    throw new ArgumentException($"reward {i} of source {source} is {reward}; it must be a number");
                combined[i] = (combined[i] ?? 0) + weights[source] * reward;
            }
        }
        return combined;
    }

    /// <summary>Rewards held between two ends; before the divergence is taken off.</summary>
    public static double?[] Limit(IReadOnlyList<double?> rewards, double low, double high) => [.. rewards.Select(reward => reward is { } known ? Math.Clamp(known, low, high) : reward)];

    /// <summary>Rewards less what the distance from the reference costs.</summary>
    /// <param name="klNats">Of each answer, the sum of k1 over its tokens. [N].</param>
    /// <param name="beta">Reward per nat.</param>
    public static double?[] LessKl(IReadOnlyList<double?> rewards, IReadOnlyList<double> klNats, double beta)
    {
        if (rewards.Count != klNats.Count)
            throw new ArgumentException($"{rewards.Count} rewards and {klNats.Count} divergences; they must be of the same answers");
        return [.. rewards.Select((reward, i) => reward - beta * klNats[i])];
    }

    /// <summary>The advantages.</summary>
    /// <param name="rewards">All answers to the first prompt, then to the second, and so on. [N].</param>
    /// <param name="samplesPerPrompt">Answers to each prompt, at least 2; divides N.</param>
    /// <param name="normalize">Over the whole batch: less their mean, over their deviation (n − 1) + 1e-4.</param>
    /// <returns>[N], finite; without normalising they sum to 0 over each fully scored prompt.</returns>
    /// <exception cref="ArgumentException">Fewer than two answers a prompt, or N is no multiple of them.</exception>
    public static double[] Compute(IReadOnlyList<double?> rewards, int samplesPerPrompt, bool normalize)
    {
        if (samplesPerPrompt < 2 || rewards.Count == 0 || rewards.Count % samplesPerPrompt != 0)
            throw new ArgumentException($"{rewards.Count} rewards at {samplesPerPrompt} answers a prompt; leaving one out needs at least 2 answers, and prompts must be whole");
        var advantages = new double?[rewards.Count];
        for (var first = 0; first < rewards.Count; first += samplesPerPrompt)
        {
            var scored = Enumerable.Range(first, samplesPerPrompt).Where(i => rewards[i] is not null).ToList();
            var sum = scored.Sum(i => rewards[i]!.Value); // scored ones only
            if (scored.Count >= 2)
                foreach (var i in scored)
                    advantages[i] = rewards[i] - (sum - rewards[i]) / (scored.Count - 1);
        }
        return [.. (normalize ? Normalized(advantages) : advantages).Select(advantage => advantage ?? 0)];
    }

    /// <summary>The share of prompts whose scored answers all have the same reward: they teach nothing. 0 to 1.</summary>
    public static double ShareWithoutSpread(IReadOnlyList<double?> rewards, int samplesPerPrompt)
    {
        var prompts = rewards.Chunk(samplesPerPrompt).ToList();
        return prompts.Count(group => group.Where(reward => reward is not null).Distinct().Count() <= 1) / (double)prompts.Count;
    }

    /// <summary>Advantages of a batch less their mean, over their deviation (n − 1) + 1e-4; null stays null, and all are null where fewer than two are known.</summary>
    internal static double?[] Normalized(IReadOnlyList<double?> advantages)
    {
        var known = advantages.OfType<double>().ToList();
        if (known.Count < 2)
            return new double?[advantages.Count];
        var (mean, deviation) = (known.Average(), SampleDeviation.Of(known));
        return [.. advantages.Select(value => (value - mean) / (deviation + Epsilon))];
    }
}
