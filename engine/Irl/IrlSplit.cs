using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>A prompt that stands in two parts of a split.</summary>
/// <param name="First">The part that has it first: "train", "hold-out", "test" or "candidates".</param>
public sealed record PromptLeak(string PromptId, string First, string Second);

/// <summary>
/// Pairs by part: rewards are learnt on train, stopped and chosen on hold-out, and judged on test, which nothing looks at before. Whole prompts only.
/// </summary>
/// <remarks>
/// Split before any bootstrap: a resample taken first puts copies of a training prompt into the hold-out, and a guard that looks there then accepts every over-fitted round
/// (specs/fairl.md §1.2, §1.6). Resamples are taken of the train part alone (<see cref="PairMatrix.Resample"/>).
/// </remarks>
public sealed class IrlSplit
{
    public const double HoldoutShare = 0.15;
    public const double TestShare = 0.15;

    private IrlSplit(IReadOnlyList<IrlPair> train, IReadOnlyList<IrlPair> holdout, IReadOnlyList<IrlPair> test) => (Train, Holdout, Test) = (train, holdout, test);

    public IReadOnlyList<IrlPair> Train { get; }
    public IReadOnlyList<IrlPair> Holdout { get; }
    public IReadOnlyList<IrlPair> Test { get; }

    /// <summary>Splits pairs by prompt: shares of prompts, exact but for rounding, at least one prompt in each part.</summary>
    /// <param name="pairs">Of at least three prompts.</param>
    /// <param name="random">Decides which; a split of it is used, and the order of pairs does not matter.</param>
    /// <exception cref="CannotTrain">Fewer than three prompts.</exception>
    /// <exception cref="ArgumentException">Shares that leave nothing to train on.</exception>
    public static IrlSplit ByPrompt(IReadOnlyList<IrlPair> pairs, SeededRandom random, double holdoutShare = HoldoutShare, double testShare = TestShare)
    {
        if (!(holdoutShare > 0 && testShare > 0 && holdoutShare + testShare < 1))
            throw new ArgumentException($"Shares of hold-out and test must be positive and leave something to train on; they are {holdoutShare} and {testShare}.");
        List<string> prompts = [.. pairs.Select(pair => pair.PromptId).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (prompts.Count < 3)
            throw new CannotTrain($"The pairs come from {prompts.Count} prompts; train, hold-out and test need one each at the least.");
        random.Split("prompts").Shuffle(prompts);
        var test = Math.Clamp((int)Math.Round(testShare * prompts.Count), 1, prompts.Count - 2);
        var holdout = Math.Clamp((int)Math.Round(holdoutShare * prompts.Count), 1, prompts.Count - 1 - test);
        var partOf = prompts.Index().ToDictionary(entry => entry.Item, entry => entry.Index < test ? 2 : entry.Index < test + holdout ? 1 : 0, StringComparer.Ordinal);
        var parts = pairs.ToLookup(pair => partOf[pair.PromptId]);
        return new IrlSplit([.. parts[0]], [.. parts[1]], [.. parts[2]]);
    }

    /// <summary>A split that was made elsewhere.</summary>
    /// <exception cref="CannotTrain">A part is empty, or a prompt stands in two of them; the message names it.</exception>
    public static IrlSplit Of(IReadOnlyList<IrlPair> train, IReadOnlyList<IrlPair> holdout, IReadOnlyList<IrlPair> test)
    {
        if (train.Count == 0 || holdout.Count == 0 || test.Count == 0)
            throw new CannotTrain($"Train, hold-out and test have {train.Count}, {holdout.Count} and {test.Count} pairs; each needs some.");
        Refuse(Leaks(train, holdout, test, []));
        return new IrlSplit(train, holdout, test);
    }

    /// <summary>Prompts that stand in more than one part; candidates may share prompts with test, and with nothing else.</summary>
    public static IReadOnlyList<PromptLeak> Leaks(IEnumerable<IrlPair> train, IEnumerable<IrlPair> holdout, IEnumerable<IrlPair> test, IEnumerable<PromptCandidates> candidates)
    {
        var first = new Dictionary<string, string>(StringComparer.Ordinal);
        var leaks = new List<PromptLeak>();
        foreach (var (part, prompts) in new[] { ("train", Ids(train)), ("hold-out", Ids(holdout)), ("test", Ids(test)), ("candidates", candidates.Select(prompt => prompt.PromptId)) })
        {
            foreach (var prompt in prompts.Distinct(StringComparer.Ordinal))
            {
                if (!first.TryAdd(prompt, part) && (part, first[prompt]) is not ("candidates", "test"))
                    leaks.Add(new PromptLeak(prompt, first[prompt], part));
            }
        }
        return leaks;

        static IEnumerable<string> Ids(IEnumerable<IrlPair> pairs) => pairs.Select(pair => pair.PromptId);
    }

    /// <exception cref="CannotTrain">There are leaks.</exception>
    internal static void Refuse(IReadOnlyList<PromptLeak> leaks)
    {
        if (leaks.Count > 0)
        {
            throw new CannotTrain($"{leaks.Count} prompts stand in two parts, {string.Join(", ", leaks.Take(3).Select(leak => $"'{leak.PromptId}' in {leak.First} and {leak.Second}"))}"
                + $"{(leaks.Count > 3 ? " …" : "")}. Split by prompt first, so that nothing is judged on what it was trained on.");
        }
    }
}
