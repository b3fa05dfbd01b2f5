using Portal.Data;

namespace Portal.Engine.Sae;

/// <summary>
/// The rewards of coded responses under one head, and everything about them that every preview of that head needs again: gaps of the pairs, which prompt each belongs to, and where
/// each latent fires. Made once for codes and weights, then only read; threads may share it.
/// </summary>
public sealed class CodedRewards
{
    private readonly int[] starts; // of each latent's firings; [M + 1]
    private readonly int[] firingResponses;
    private readonly float[] firingValues;

    /// <param name="weights">w of every latent. [M].</param>
    /// <exception cref="ArgumentException">Not one weight a latent, or one that is no number.</exception>
    public CodedRewards(FeatureCodes codes, float[] weights)
    {
        for (var i = 0; i < weights.Length; i++)
            if (!float.IsFinite(weights[i]))
                throw new ArgumentException($"weight {i} is {weights[i]}", nameof(weights));
        (Codes, Weights, Rewards) = (codes, weights, codes.Rewards(weights));
        Sorted = [.. Rewards];
        Array.Sort(Sorted);
        Mean = Rewards.Length == 0 ? 0 : Rewards.Average();
        Deviation = Rewards.Length == 0 ? 0 : Math.Sqrt(Rewards.Average(reward => (reward - Mean) * (reward - Mean)));

        starts = new int[codes.Latents + 1];
        for (var i = 0; i < codes.Values.Length; i++)
            if (codes.Values[i] != 0)
                starts[codes.Indices[i] + 1]++;
        for (var latent = 0; latent < codes.Latents; latent++)
            starts[latent + 1] += starts[latent];
        (firingResponses, firingValues) = (new int[starts[^1]], new float[starts[^1]]);
        var (at, largest) = (starts[..^1], 0.0);
        for (var response = 0; response < Rewards.Length; response++)
        {
            var size = 0.0;
            for (var i = response * codes.Width; i < (response + 1) * codes.Width; i++)
            {
                size += Math.Abs((double)weights[codes.Indices[i]] * codes.Values[i]);
                if (codes.Values[i] != 0)
                {
                    var place = at[codes.Indices[i]]++;
                    (firingResponses[place], firingValues[place]) = (response, codes.Values[i]);
                }
            }
            largest = Math.Max(largest, size);
        }
        Resolution = 1e-9 * largest;

        Gaps = [.. codes.Pairs.Select(pair => Rewards[pair.Chosen] - Rewards[pair.Rejected])];
        var prompts = new Dictionary<PromptId, int>();
        PromptOfPair = new int[codes.Pairs.Count];
        PromptOfResponse = new int[Rewards.Length];
        Array.Fill(PromptOfResponse, -1);
        for (var i = 0; i < codes.Pairs.Count; i++)
        {
            var pair = codes.Pairs[i];
            if (!prompts.TryGetValue(pair.PromptId, out var prompt))
                prompts.Add(pair.PromptId, prompt = prompts.Count);
            PromptOfPair[i] = PromptOfResponse[pair.Chosen] = PromptOfResponse[pair.Rejected] = prompt;
        }
        Prompts = prompts.Count;
        Groups = Prompts;
        for (var response = 0; response < PromptOfResponse.Length; response++)
            if (PromptOfResponse[response] < 0)
                PromptOfResponse[response] = Groups++;
    }

    public FeatureCodes Codes { get; }

    /// <summary>w. [M].</summary>
    public float[] Weights { get; }

    /// <summary>Σ w_i z_i. [responses].</summary>
    public double[] Rewards { get; }

    /// <summary>The same, ascending.</summary>
    public double[] Sorted { get; }

    public double Mean { get; }

    /// <summary>Standard deviation of the rewards; 0 where all are equal.</summary>
    public double Deviation { get; }

    /// <summary>Δr of each pair: the chosen response's reward less the other's. [pairs].</summary>
    public double[] Gaps { get; }

    /// <summary>Gaps up to this size are ties: what adding up in another order can make of 0. A thousand millionth of the largest Σ |w_i z_i|.</summary>
    public double Resolution { get; }

    /// <summary>Different prompts among the pairs.</summary>
    public int Prompts { get; }

    /// <summary>The prompt of each pair, 0 to <see cref="Prompts"/> − 1.</summary>
    public int[] PromptOfPair { get; }

    /// <summary>The prompt of each response as its pairs tell it; a response of no pair is a group of its own, numbered on from <see cref="Prompts"/>.</summary>
    public int[] PromptOfResponse { get; }

    /// <summary>Groups that <see cref="PromptOfResponse"/> names.</summary>
    public int Groups { get; }

    /// <summary>Where a latent is not 0, and what it is there: below 0 under an SAE without ReLU only, where it belongs to the reward as well.</summary>
    public (ReadOnlyMemory<int> Responses, ReadOnlyMemory<float> Values) Firings(int latent)
    {
        var (start, length) = (starts[latent], starts[latent + 1] - starts[latent]);
        return (firingResponses.AsMemory(start, length), firingValues.AsMemory(start, length));
    }

    /// <summary>Responses at whose end a latent is not 0.</summary>
    public int FiringCount(int latent) => starts[latent + 1] - starts[latent];

    /// <summary>Σ |w_i z_i| over all responses: how much of all rewards a latent is.</summary>
    public double Mass(int latent)
    {
        var sum = 0.0;
        for (var i = starts[latent]; i < starts[latent + 1]; i++)
            sum += Math.Abs((double)firingValues[i]);
        return Math.Abs((double)Weights[latent]) * sum;
    }

    /// <summary>1 where the gap is the judgement's way, −1 against it, 0 for a tie.</summary>
    public int SignOf(double gap) => gap > Resolution ? 1 : gap < -Resolution ? -1 : 0;
}
