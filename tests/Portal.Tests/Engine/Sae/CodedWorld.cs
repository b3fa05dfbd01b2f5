using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;

namespace Portal.Tests.Engine.Sae;

/// <summary>
/// Coded responses made by hand, and everything toggles do to them worked out from the definitions with dictionaries and loops: the independent numbers of the tests.
/// Nothing here is shared with the code under test but <see cref="FeatureCodes"/> as a container.
/// </summary>
internal sealed class CodedWorld
{
    private readonly List<Dictionary<int, float>> responses = [];
    private readonly List<CodedPair> pairs = [];
    private readonly List<bool> targets = [];

    public CodedWorld(int latents, int width) => (Latents, Width, Weights) = (latents, width, new float[latents]);

    public int Latents { get; }
    public int Width { get; }
    public float[] Weights { get; }
    public IReadOnlyList<CodedPair> Pairs => pairs;
    public bool[] Targets => [.. targets];
    public int Responses => responses.Count;

    public int Add(Dictionary<int, float> codes, bool isTarget = false)
    {
        responses.Add(codes);
        targets.Add(isTarget);
        return responses.Count - 1;
    }

    public void Judge(PromptId prompt, int chosen, int rejected) => pairs.Add(new CodedPair(prompt, chosen, rejected, 1, pairs.Count % 2 == 1));

    public FeatureCodes Codes()
    {
        var (indices, values) = (new int[responses.Count * Width], new float[responses.Count * Width]);
        for (var response = 0; response < responses.Count; response++)
        {
            var at = response * Width;
            foreach (var (latent, value) in responses[response].OrderByDescending(code => code.Value).ThenBy(code => code.Key))
                (indices[at], values[at++]) = (latent, value);
        }
        return new FeatureCodes
        {
            Latents = Latents, Width = Width, Responses = [.. responses.Select((_, i) => ResponseId.From(Id(1, i)))], Indices = indices, Values = values, Pairs = [.. pairs],
        };
    }

    public static PromptId Prompt(int number) => PromptId.From(Id(2, number));

    private static Guid Id(int kind, int number) => new(kind, 0, 0, [0, 0, 0, 0, .. BitConverter.GetBytes(number)]);

    // ---- by brute force ----

    public float Value(int response, int latent) => responses[response].GetValueOrDefault(latent);

    public double Reward(int response, IReadOnlyDictionary<int, double>? factors = null) =>
        responses[response].Sum(code => (factors?.GetValueOrDefault(code.Key, 1) ?? 1) * Weights[code.Key] * code.Value);

    public double Gap(int pair, IReadOnlyDictionary<int, double>? factors = null) => Reward(pairs[pair].Chosen, factors) - Reward(pairs[pair].Rejected, factors);

    public double Right(int pair, IReadOnlyDictionary<int, double>? factors = null) => Gap(pair, factors) is var gap && Math.Abs(gap) < 1e-7 ? 0.5 : gap > 0 ? 1 : 0;

    public bool IsOnTarget(int pair) => targets[pairs[pair].Chosen] ^ targets[pairs[pair].Rejected];

    public bool Differs(int pair, IEnumerable<int> latents) => latents.Any(latent => Value(pairs[pair].Chosen, latent) != Value(pairs[pair].Rejected, latent));

    public IReadOnlyList<int> Flips(IReadOnlyDictionary<int, double> factors) => [.. Enumerable.Range(0, pairs.Count).Where(pair => Right(pair) + Right(pair, factors) == 1 && Right(pair) != 0.5)];

    /// <summary>Agreement before, after and its change on some pairs, by the general bootstrap.</summary>
    public (double Before, double After, ConfidenceInterval Change) AgreementChange(IReadOnlyDictionary<int, double> factors, Func<int, bool> which)
    {
        var some = Enumerable.Range(0, pairs.Count).Where(which).ToList();
        double[] before = [.. some.Select(pair => Right(pair))], after = [.. some.Select(pair => Right(pair, factors))];
        return (before.Average(), after.Average(), Bootstrap.PairedDifference(after, before, [.. some.Select(pair => $"{pairs[pair].PromptId}")], new SeededRandom(99), 4_000));
    }

    /// <summary>Agreement on some pairs with some factors, by the general bootstrap.</summary>
    public ConfidenceInterval Agreement(IReadOnlyDictionary<int, double> factors, Func<int, bool> which)
    {
        var some = Enumerable.Range(0, pairs.Count).Where(which).ToList();
        return Bootstrap.Mean([.. some.Select(pair => Right(pair, factors))], [.. some.Select(pair => $"{pairs[pair].PromptId}")], new SeededRandom(98), 4_000);
    }

    /// <summary>∫ |F(x) − G(x)| dx over the merged steps of both distribution functions.</summary>
    public static double Wasserstein(IReadOnlyList<double> one, IReadOnlyList<double> other)
    {
        double[] steps = [.. one.Concat(other).Distinct().Order()];
        return Enumerable.Range(0, steps.Length - 1).Sum(i =>
            (steps[i + 1] - steps[i]) * Math.Abs(one.Count(x => x <= steps[i]) / (double)one.Count - other.Count(x => x <= steps[i]) / (double)other.Count));
    }

    public static Dictionary<int, double> Factors(IEnumerable<Toggle> toggles) => toggles.ToDictionary(toggle => toggle.Latent, toggle => toggle.Multiplier);

    // ---- worlds ----

    /// <summary>Random sparse codes, random weights, judgements that mostly follow them; some responses equal in all codes; every seventh response shows a target.</summary>
    /// <param name="below">Share of the codes below 0, as an SAE without ReLU has.</param>
    public static CodedWorld Random(int prompts, int latents = 30, int width = 6, ulong seed = 5, double below = 0)
    {
        var world = new CodedWorld(latents, width);
        var random = new SeededRandom(seed);
        for (var latent = 0; latent < latents; latent++)
            world.Weights[latent] = (float)random.NextGaussian();
        for (var prompt = 0; prompt < prompts; prompt++)
        {
            var own = Enumerable.Range(0, 2 + random.NextInt(3)).Select(_ => world.Add(Some(), random.Chance(1 / 7.0))).ToList();
            if (random.Chance(0.1))
                own.Add(world.Add(world.responses[own[0]]));
            for (var i = 1; i < own.Count; i++)
            {
                var follows = random.Chance(0.8) == world.Reward(own[0]) > world.Reward(own[i]);
                world.Judge(Prompt(prompt), follows ? own[0] : own[i], follows ? own[i] : own[0]);
            }
        }
        return world;

        Dictionary<int, float> Some() => Enumerable.Range(0, width - random.NextInt(2)).Select(_ => random.NextInt(latents)).Distinct().ToDictionary(latent => latent, _ => (below > 0 && random.Chance(below) ? -1 : 1) * (float)(0.1 + 2 * random.NextDouble()));
    }
}
