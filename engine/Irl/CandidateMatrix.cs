namespace Portal.Engine.Irl;

/// <summary>Which scores belong to one prompt, and how much each counts.</summary>
/// <remarks>Scores of all candidates stand in one array, prompt after prompt; this says where each prompt begins. Weights add up to 1 within each prompt, and prompts count alike.</remarks>
public sealed class CandidateSets
{
    private readonly int[] starts; // [P + 1]

    private CandidateSets(int[] starts, double[] weights) => (this.starts, Weights) = (starts, weights);

    /// <summary>P.</summary>
    public int Prompts => starts.Length - 1;

    /// <summary>All candidates of all prompts.</summary>
    public int Count => starts[^1];

    /// <summary>π(o|x), prompt after prompt. [<see cref="Count"/>].</summary>
    public double[] Weights { get; }

    /// <summary>Fewest candidates of a prompt; 0 without prompts.</summary>
    public int CandidatesMin => Prompts == 0 ? 0 : Enumerable.Range(0, Prompts).Min(prompt => starts[prompt + 1] - starts[prompt]);

    /// <summary>Where a prompt's candidates stand.</summary>
    public Range Of(int prompt) => starts[prompt]..starts[prompt + 1];

    /// <summary>Sets of these sizes, every candidate of a prompt with the same weight.</summary>
    public static CandidateSets Uniform(IReadOnlyList<int> counts) => Weighted([.. counts.Select(count => Enumerable.Repeat(1.0, count).ToArray())]);

    /// <summary>Sets with these weights, which need not add up to 1.</summary>
    /// <exception cref="CannotTrain">A weight below 0, or a prompt whose weights are all 0; the message names the prompt by its number.</exception>
    public static CandidateSets Weighted(IReadOnlyList<IReadOnlyList<double>> weights)
    {
        var starts = new int[weights.Count + 1];
        for (var prompt = 0; prompt < weights.Count; prompt++)
        {
            if (weights[prompt].Any(weight => !(weight >= 0) || double.IsInfinity(weight)) || !(weights[prompt].Sum() > 0))
                throw new CannotTrain($"The candidates of prompt {prompt} have the weights {string.Join(", ", weights[prompt])}; they must be at least 0, and one above.");
            starts[prompt + 1] = starts[prompt] + weights[prompt].Count;
        }
        return new CandidateSets(starts, [.. weights.SelectMany(prompt => prompt.Select(weight => weight / prompt.Sum()))]);
    }
}

/// <summary>Standardised candidates of all test prompts.</summary>
public sealed class CandidateMatrix
{
    private CandidateMatrix(int width, double[] features, IReadOnlyList<string> prompts, CandidateSets sets) => (Width, Features, Prompts, Sets) = (width, features, prompts, sets);

    /// <summary>d.</summary>
    public int Width { get; }

    /// <summary>z, row by row, prompt after prompt. [<see cref="CandidateSets.Count"/> · d].</summary>
    public double[] Features { get; }

    /// <summary>[P].</summary>
    public IReadOnlyList<string> Prompts { get; }

    public CandidateSets Sets { get; }

    /// <summary>Standardises candidates.</summary>
    /// <exception cref="CannotTrain">A prompt stands there twice, has no candidates, or its weights do not fit them.</exception>
    public static CandidateMatrix Of(IReadOnlyList<PromptCandidates> candidates, FeatureScale scale)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var prompt in candidates)
        {
            if (prompt.Features.Count == 0 || (prompt.Weights is { } weights && weights.Count != prompt.Features.Count))
                throw new CannotTrain($"Prompt '{prompt.PromptId}' has {prompt.Features.Count} candidates{(prompt.Weights is null ? "" : $" and {prompt.Weights.Count} weights")}.");
            if (!seen.Add(prompt.PromptId))
                throw new CannotTrain($"Prompt '{prompt.PromptId}' has its candidates in two places; put them together.");
        }
        var sets = CandidateSets.Weighted([.. candidates.Select(prompt => prompt.Weights ?? [.. Enumerable.Repeat(1.0, prompt.Features.Count)])]);
        var features = new double[sets.Count * scale.Width];
        foreach (var (row, completion) in candidates.SelectMany(prompt => prompt.Features).Index())
            scale.Apply(completion, features.AsSpan(row * scale.Width, scale.Width));
        return new CandidateMatrix(scale.Width, features, [.. candidates.Select(prompt => prompt.PromptId)], sets);
    }
}
