using Portal.Data.SaeFeatures;

namespace Portal.Engine.Sae;

/// <summary>
/// A reward that is a sum of features, with some of their weights multiplied.
/// <code>
/// r' = Σ m_i w_i z_i = r + Σ_{i toggled} (m_i − 1) w_i z_i
/// Δr(m) = Δr + (m − 1) T,   T = Σ_{i toggled} w_i Δz_i,   so the order turns at   m* = 1 − Δr / T
/// </code>
/// </summary>
/// <remarks>
/// m* is about one common factor: all toggled features take it together, in place of their own factors, and every other feature stays. With one feature that is SARM's m* = 1 − Δr/(w_i Δz_i)
/// (specs/sarm.md §2.4). It exists unless T = 0, when no common factor changes the pair. At m* the two responses are equal, on either side of it the order differs; whether the set as it stands turns a
/// pair is told by its own factors (<see cref="Turns"/>), which with several features need not lie beyond m*.
/// Products m_i w_i are rounded to float32 once, as a published version holds them, so preview and version agree.
/// </remarks>
public sealed class ToggledReward
{
    private readonly double[] added; // Σ (m_i − 1) w_i z_i of each response
    private readonly double[] own;   // Σ w_i z_i over the toggled
    private readonly bool[] fires, isToggled;

    /// <exception cref="ArgumentException">The factors are none that <see cref="ToggleSet.Check"/> lets pass; ask it first.</exception>
    public ToggledReward(CodedRewards before, IReadOnlyList<Toggle> toggles)
    {
        if (ToggleSet.Check(toggles, before.Codes.Latents) is { } problem)
            throw new ArgumentException(problem.Message, nameof(toggles));
        (Before, Toggles) = (before, toggles);
        (added, own, fires, isToggled) = (new double[before.Rewards.Length], new double[before.Rewards.Length], new bool[before.Rewards.Length], new bool[before.Codes.Latents]);
        foreach (var toggle in toggles)
        {
            isToggled[toggle.Latent] = true;
            var weight = (double)before.Weights[toggle.Latent];
            var change = (double)Product(before.Weights[toggle.Latent], toggle.Multiplier) - weight;
            var (responses, values) = before.Firings(toggle.Latent);
            for (var i = 0; i < responses.Length; i++)
            {
                var response = responses.Span[i];
                added[response] += change * values.Span[i];
                own[response] += weight * values.Span[i];
                fires[response] = true;
            }
        }
    }

    public CodedRewards Before { get; }

    public IReadOnlyList<Toggle> Toggles { get; }

    /// <summary>w' = m ∘ w, each product rounded once: the head of the version that a set becomes.</summary>
    /// <param name="weights">w. [M].</param>
    public static float[] Weights(ReadOnlySpan<float> weights, IReadOnlyList<Toggle> toggles)
    {
        var changed = weights.ToArray();
        foreach (var toggle in toggles)
            changed[toggle.Latent] = Product(changed[toggle.Latent], toggle.Multiplier);
        return changed;
    }

    /// <summary>What the toggles add to a response's reward.</summary>
    public double Added(int response) => added[response];

    /// <summary>Whether a toggled feature is not 0 at the response's end: where all are, nothing moves.</summary>
    public bool Fires(int response) => fires[response];

    /// <summary>Δr' of a pair.</summary>
    /// <param name="strength">s of m = 1 + s (m_set − 1): 0 leaves everything, 1 is the set as it stands.</param>
    public double Gap(int pair, double strength = 1)
    {
        var (chosen, rejected) = (Before.Codes.Pairs[pair].Chosen, Before.Codes.Pairs[pair].Rejected);
        return Before.Gaps[pair] + strength * (added[chosen] - added[rejected]);
    }

    /// <summary>T of a pair: the part of Δr that the toggled features make.</summary>
    public double Part(int pair) => own[Before.Codes.Pairs[pair].Chosen] - own[Before.Codes.Pairs[pair].Rejected];

    /// <summary>Whether the preferred response is the other one afterwards. A tie prefers none, so becoming one, or having been one, is no turn.</summary>
    public bool Turns(int pair, double strength = 1) => Before.SignOf(Before.Gaps[pair]) * Before.SignOf(Gap(pair, strength)) < 0;

    /// <summary>m*, the common factor of the toggled features at which the order turns; null where no factor does.</summary>
    public double? FlipPoint(int pair) => Before.SignOf(Part(pair)) == 0 ? null : 1 - Before.Gaps[pair] / Part(pair);

    /// <summary>Whether the two responses differ in a toggled feature: only there can anything change.</summary>
    public bool Differs(int pair)
    {
        var (chosen, rejected) = (Before.Codes.Pairs[pair].Chosen, Before.Codes.Pairs[pair].Rejected);
        if (!fires[chosen] || !fires[rejected])
            return fires[chosen] != fires[rejected];
        return HasWhatTheOtherLacks(chosen, rejected) || HasWhatTheOtherLacks(rejected, chosen);
    }

    private bool HasWhatTheOtherLacks(int one, int other)
    {
        var (latents, values) = Before.Codes.Of(one);
        for (var i = 0; i < latents.Length; i++)
            if (values.Span[i] != 0 && isToggled[latents.Span[i]] && ValueOf(other, latents.Span[i]) != values.Span[i])
                return true;
        return false;
    }

    private float ValueOf(int response, int latent)
    {
        var (latents, values) = Before.Codes.Of(response);
        for (var i = 0; i < latents.Length; i++)
            if (latents.Span[i] == latent && values.Span[i] != 0)
                return values.Span[i];
        return 0;
    }

    private static float Product(float weight, double factor) => (float)(weight * factor);
}
