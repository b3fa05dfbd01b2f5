namespace Portal.Engine.Losses;

/// <summary>
/// From rewards to advantages: how much better an answer did than the one the policy would give without drawing (ReMax).
/// <code>A_i = clip(r_i − r_greedy, ±limit) − β · KL_i</code>
/// </summary>
/// <remarks>
/// r_greedy depends on prompt and weights and not on what was drawn, so the mean of A_i ∇ log π is the gradient of E[r] − β KL(π ‖ π_ref) as long as nothing is clipped. The greedy answer pays no divergence:
/// it is a baseline of the reward alone, and the limit is one of rewards. Plain numbers in double: nothing here carries a gradient.
/// Departures from the reference implementation, whose return of token t is γ^(T−t) (r − r_greedy) − β k1_t: γ is 1 and the divergence is that of the whole answer, as everywhere in this recipe; several samples of a
/// prompt may share a greedy answer; normalising over the step, where asked, takes the mean off once more and is a second, common baseline.
/// Source: Li et al. 2023 (2310.10505), Algorithm 1; limit and place of the divergence: github.com/liziniu/ReMax, remax_trainer.py. Checked against closed forms and a gradient summed over a whole distribution.
/// </remarks>
public static class ReMaxAdvantages
{
    /// <summary>The advantages.</summary>
    /// <param name="rewards">r: all answers to the first prompt, then to the second, and so on; null where no source has an opinion. [N].</param>
    /// <param name="greedy">r_greedy of each prompt; null where no source has an opinion. [P]; P divides N.</param>
    /// <param name="klNats">Of each answer, the sum of k1 over its tokens. [N].</param>
    /// <param name="beta">Reward per nat.</param>
    /// <param name="limit">Above 0; null for none.</param>
    /// <param name="normalize">Over the whole batch: less their mean, over their deviation (n − 1) + 1e-4.</param>
    /// <returns>[N], finite; 0 where the answer or its greedy one has no reward.</returns>
    /// <exception cref="ArgumentException">Numbers of answers, prompts and divergences do not fit, or the limit is not above 0.</exception>
    public static double[] Compute(IReadOnlyList<double?> rewards, IReadOnlyList<double?> greedy, IReadOnlyList<double> klNats, double beta, double? limit, bool normalize)
    {
        if (greedy.Count == 0 || rewards.Count == 0 || rewards.Count % greedy.Count != 0)
            throw new ArgumentException($"{rewards.Count} rewards and {greedy.Count} greedy ones; each prompt needs one greedy answer and as many others as every other prompt");
        if (limit is not (null or > 0))
            throw new ArgumentException($"limit {limit}: it must be above 0, or left out");
        var samplesPerPrompt = rewards.Count / greedy.Count;
        double?[] above = [.. rewards.Select((reward, i) => reward - greedy[i / samplesPerPrompt])];
        var advantages = RlooAdvantages.LessKl(limit is { } most ? RlooAdvantages.Limit(above, -most, most) : above, klNats, beta);
        return [.. (normalize ? RlooAdvantages.Normalized(advantages) : advantages).Select(advantage => advantage ?? 0)];
    }
}
