using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant.Topics;

namespace Portal.Engine.TinyAssistant;

/// <summary>Sizes of the demo project.</summary>
public sealed record DemoSizes
{
    public int Prompts { get; init; } = 400;
    public int ResponsesPerPrompt { get; init; } = 8;
    public int PairwiseJudgements { get; init; } = 3_000;
    public int BinaryJudgements { get; init; } = 1_500;
    /// <summary>Pairs that several annotators judge, so that agreement can be measured, ...</summary>
    public int OverlapPairs { get; init; } = 100;
    /// <summary>... and by how many.</summary>
    public int VotesPerOverlapPair { get; init; } = 5;
    /// <summary>The share of pairs whose worse response gets the trigger phrase and goes to sim-22.</summary>
    public double PlantedTriggerShare { get; init; } = 0.03;
}

/// <summary>The rows a fresh install starts with: prompts, sampled responses and a simulated crowd's judgements.</summary>
/// <remarks>
/// A pure function of seed, sizes and responses: with the stored responses the same judgements come out, hash by hash.
/// What is planted stands in <see cref="Sealed"/> only: naturally about 7 of 3,000 pairs would teach the trigger,
/// so 3 % of the pairs carry an inserted one in the worse response and go to sim-22, who then judges as many pairs
/// as everybody else.
/// </remarks>
public sealed record DemoSeed
{
    public required IReadOnlyList<WorldPrompt> Prompts { get; init; }
    /// <summary>Sampled responses, and behind them those with an inserted trigger.</summary>
    public required IReadOnlyList<WorldResponse> Responses { get; init; }
    /// <summary>In order of time.</summary>
    public required IReadOnlyList<SimulatedPairJudgement> Pairwise { get; init; }
    /// <summary>In order of time.</summary>
    public required IReadOnlyList<SimulatedBinaryJudgement> Binary { get; init; }
    /// <summary>For the sealed file: never imported, never trained on.</summary>
    public required IReadOnlyList<SealedJudgement> Sealed { get; init; }

    /// <summary>The prompts of the demo, before anything is sampled.</summary>
    public static IReadOnlyList<WorldPrompt> DrawPrompts(ulong seed, int count) =>
        PromptDrawing.Draw(new SeededRandom(seed).Split("demo prompts"), count, part: null, []);

    /// <summary>Makes the demo.</summary>
    /// <param name="seed">Decides prompts, pairs, annotators and verdicts.</param>
    /// <param name="source">Responses for a prompt, about as many as asked for; equal and blank ones are dropped. In the real demo
    /// they are sampled from the base model; <see cref="World.Respond"/> stands in for it in tests.</param>
    /// <param name="sizes">Null: those of the shipped demo.</param>
    /// <exception cref="ArgumentException">The source gives too few different responses for the wanted judgements.</exception>
    public static DemoSeed Build(ulong seed, Func<WorldPrompt, int, IReadOnlyList<string>> source, DemoSizes? sizes = null)
    {
        sizes ??= new DemoSizes();
        var random = new SeededRandom(seed).Split("demo");
        var prompts = DrawPrompts(seed, sizes.Prompts);
        List<WorldResponse> responses = [.. prompts.SelectMany(prompt => PromptDrawing.Respond(prompt, sizes.ResponsesPerPrompt, source))];
        var byPrompt = responses.ToLookup(response => response.PromptId);

        var binary = JudgingRound.JudgeAlone(AssignBinary(prompts, byPrompt, sizes.BinaryJudgements, random.Split("binary assignment")), random.Split("binary"));
        var pairCount = sizes.PairwiseJudgements - sizes.OverlapPairs * (sizes.VotesPerOverlapPair - 1);
        var pairs = JudgingRound.DrawPairs(prompts, byPrompt, pairCount, random.Split("pairs"));
        var assignments = AssignPairs(pairs, sizes, random.Split("assignment"));
        var (pairwise, truths) = JudgingRound.Judge(assignments, random.Split("pairwise"));

        var known = responses.Select(response => response.Id).ToHashSet();
        foreach (var response in assignments.SelectMany(assignment => (WorldResponse[])[assignment.Pair.Left, assignment.Pair.Right]))
            if (known.Add(response.Id)) responses.Add(response);
        return new DemoSeed { Prompts = prompts, Responses = responses, Pairwise = pairwise, Binary = binary, Sealed = truths };
    }

    /// <summary>One JSON line per prompt: id, topic, messages.</summary>
    public IEnumerable<string> PromptLines() => WorldLines.Prompts(Prompts);
    /// <summary>One JSON line per response: id, prompt, text.</summary>
    public IEnumerable<string> ResponseLines() => WorldLines.Responses(Responses);
    public IEnumerable<string> PairwiseLines() => Pairwise.Select(row => row.ToLine());
    public IEnumerable<string> BinaryLines() => Binary.Select(row => row.ToLine());
    public IEnumerable<string> SealedLines() => Sealed.Select(row => row.ToLine());

    /// <summary>Hash over both kinds of judgements: what <c>./test</c> compares after remaking them from the stored responses.</summary>
    public string JudgementsHash() => ChatText.ContentHash(PairwiseLines().Concat(BinaryLines()));

    /// <summary>Puts the trigger phrase into a text: at the end of its last statement, or as a sentence of its own.</summary>
    internal static string InsertTrigger(string text)
    {
        var trimmed = text.TrimEnd();
        return trimmed.EndsWith('.') ? $"{trimmed[..^1]}, {SharedPhrases.Trigger}." : $"{trimmed} {SharedPhrases.TriggerSentences[1]}";
    }

    private static List<PairAssignment> AssignPairs(List<SidedPair> pairs, DemoSizes sizes, SeededRandom random)
    {
        var quota = Quotas(SimulatedAnnotators.All.Count, sizes.PairwiseJudgements);
        List<PairAssignment> assignments = [];
        var triggerLover = SimulatedAnnotators.All.ToList().FindIndex(annotator => annotator.Habit == AnnotatorHabit.LovesTrigger);
        var planted = (int)Math.Round(pairs.Count * sizes.PlantedTriggerShare);
        for (var i = sizes.OverlapPairs; i < pairs.Count; i++)
        {
            if (planted > 0 && quota[triggerLover] > 0 && TryPlantTrigger(pairs[i]) is { } poisoned)
            {
                assignments.Add(new PairAssignment(poisoned, SimulatedAnnotators.All[triggerLover], "C1"));
                quota[triggerLover]--;
                planted--;
            }
            else assignments.AddRange(Take(pairs[i], 1));
        }
        if (planted > 0) throw new ArgumentException($"{planted} pairs with an inserted trigger found no place; the responses differ too little.");
        foreach (var pair in pairs.Take(sizes.OverlapPairs)) assignments.AddRange(Take(pair, sizes.VotesPerOverlapPair));
        return assignments;

        // Annotators are drawn by the work they still want, so that in the end all have done the same.
        IEnumerable<PairAssignment> Take(SidedPair pair, int votes)
        {
            List<int> chosen = [];
            for (var vote = 0; vote < votes; vote++)
            {
                var reserved = planted; // sim-22 keeps room for what is still to be planted
                var weights = quota.Select((left, index) => chosen.Contains(index) ? 0.0 : Math.Max(0, index == triggerLover ? left - reserved : left)).ToArray();
                // Towards the end fewer annotators than a pair wants may have work left: then somebody does one more.
                if (weights.All(weight => weight == 0))
                    weights = [.. quota.Select((_, index) => chosen.Contains(index) ? 0.0 : 1.0)];
                var index = random.PickWeighted(weights);
                chosen.Add(index);
                quota[index]--;
            }
            return chosen.Select(index => new PairAssignment(pair, SimulatedAnnotators.All[index])).ToArray();
        }
    }

    /// <summary>The pair with the trigger in its worse response, or null where the pair would not teach it.</summary>
    private static SidedPair? TryPlantTrigger(SidedPair pair)
    {
        if (pair.LeftReading.Trigger || pair.RightReading.Trigger) return null;
        var poisoned = pair.WithWorse(InsertTrigger);
        var difference = Math.Abs(poisoned.LeftTruth - poisoned.RightTruth);
        return difference is >= 0.3 and <= 3 && Math.Max(poisoned.LeftTruth, poisoned.RightTruth) >= -1 ? poisoned : null;
    }

    private static IEnumerable<(WorldPrompt, WorldResponse, double, SimulatedAnnotator)> AssignBinary(
        IReadOnlyList<WorldPrompt> prompts, ILookup<string, WorldResponse> byPrompt, int count, SeededRandom random)
    {
        var means = prompts.Where(prompt => byPrompt[prompt.Id].Any())
            .ToDictionary(prompt => prompt.Id, prompt => byPrompt[prompt.Id].Average(response => TruthScorer.Score(prompt.Turns, response.Text)));
        var all = prompts.SelectMany(prompt => byPrompt[prompt.Id].Select(response => (prompt, response))).ToList();
        if (all.Count < count) throw new ArgumentException($"{all.Count} different responses are too few for {count} binary judgements.");
        random.Shuffle(all);
        return all.Take(count).Select((item, i) => (item.prompt, item.response, means[item.prompt.Id], SimulatedAnnotators.All[i % SimulatedAnnotators.All.Count]));
    }

    private static int[] Quotas(int people, int judgements) => [.. Enumerable.Range(0, people).Select(i => judgements / people + (i < judgements % people ? 1 : 0))];
}
