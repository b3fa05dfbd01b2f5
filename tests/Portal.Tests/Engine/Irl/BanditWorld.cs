using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Tests.Engine.Irl;

/// <summary>What kind of hidden reward a world has (specs/fairl.md §4.4).</summary>
internal enum BanditKind
{
    /// <summary>r* = w·φ on normal features.</summary>
    Linear,
    /// <summary>Like toxicity: two rare lexicons, counts capped, most pairs exactly tied.</summary>
    Ties,
    /// <summary>r* = tanh and a product: no linear head can be right.</summary>
    NonLinear,
}

/// <summary>
/// The simulation of specs/fairl.md §4.4, written again from its description: prompts with 16 candidates each, a hidden reward, a base policy that picks any candidate alike and an aligned one that picks by
/// softmax(r*/β); a pair is one pick of each. The hidden reward stays in here: methods get pairs, tests get it for scoring.
/// </summary>
internal sealed class BanditWorld
{
    public const int Candidates = 16;

    private BanditWorld(IrlSplit split, IReadOnlyList<PromptCandidates> candidates, double[] truth, double wrongLabels, double ties, double noise)
    {
        (Split, TestCandidates, Truth, WrongLabels, Ties) = (split, candidates, truth, wrongLabels, ties);
        Data = IrlData.Prepare(split, candidates, logRatioNoise: noise);
    }

    public IrlSplit Split { get; }
    public IReadOnlyList<PromptCandidates> TestCandidates { get; }
    public IrlData Data { get; }

    /// <summary>r* of the test prompts' candidates, as <see cref="IrlData.Candidates"/> orders them.</summary>
    public double[] Truth { get; }

    /// <summary>Share of pairs whose audited completion is the worse one.</summary>
    public double WrongLabels { get; }

    /// <summary>Share of pairs that r* does not tell apart.</summary>
    public double Ties { get; }

    /// <param name="pairs">One a prompt, over train, hold-out and test.</param>
    /// <param name="sign">−1: a policy trained on the negated reward, judged against the reward itself.</param>
    /// <param name="noise">Deviation of the noise in log-ratios.</param>
    public static BanditWorld Draw(ulong seed, BanditKind kind, int pairs, int features, double beta, double sign = 1, double noise = 1)
    {
        var random = new SeededRandom(seed);
        var weights = Enumerable.Range(0, features).Select(_ => random.NextGaussian()).ToArray();
        var norm = Math.Sqrt(weights.Sum(w => w * w));
        for (var j = 0; j < features; j++)
            weights[j] /= norm;
        var lists = new List<IrlPair>();
        var texts = new Dictionary<string, float[][]>();
        int wrong = 0, tied = 0;
        for (var prompt = 0; prompt < pairs; prompt++)
        {
            var id = $"p{prompt}";
            var candidates = texts[id] = [.. Enumerable.Range(0, Candidates).Select(_ => Features(kind, features, random))];
            double[] rewards = [.. candidates.Select(features => Reward(kind, weights, features))];
            var audited = random.PickWeighted([.. rewards.Select(r => Math.Exp(sign * r / beta))]);
            var @base = random.NextInt(Candidates);
            var gap = sign * (rewards[audited] - rewards[@base]);
            wrong += gap < 0 ? 1 : 0;
            tied += gap == 0 ? 1 : 0;
            lists.Add(new IrlPair(id, candidates[audited], candidates[@base], gap / beta + noise * random.NextGaussian()));
        }
        var split = IrlSplit.ByPrompt(lists, random);
        var test = split.Test.Select(pair => pair.PromptId).Distinct().Select(id => new PromptCandidates(id, texts[id])).ToArray();
        return new BanditWorld(split, test, [.. test.SelectMany(prompt => prompt.Features).Select(features => Reward(kind, weights, features))], wrong / (double)pairs, tied / (double)pairs, noise);
    }

    private static float[] Features(BanditKind kind, int count, SeededRandom random) => kind is BanditKind.Ties
        ? [.. Enumerable.Range(0, count).Select(j => j < 4 ? random.Chance(0.06) ? 1 + random.NextInt(3) : 0 : (float)random.NextGaussian())]
        : [.. Enumerable.Range(0, count).Select(_ => (float)random.NextGaussian())];

    private static double Reward(BanditKind kind, double[] weights, float[] features)
    {
        var linear = weights.Zip(features, (w, x) => w * x).Sum();
        return kind switch
        {
            BanditKind.Linear => linear,
            BanditKind.Ties => -2 * Math.Min(3, features[0] + features[1]) - Math.Min(3, features[2] + features[3]),
            BanditKind.NonLinear => Math.Tanh(2 * linear) + 0.7 * features[0] * features[1],
        };
    }
}
