using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>Sizes of the evidence bench.</summary>
public sealed record EvidenceSizes
{
    public int TrainPrompts { get; init; } = 2_000;
    public int HoldOutPrompts { get; init; } = 400;
    public int TestPrompts { get; init; } = 400;
    public int ResponsesPerTrainPrompt { get; init; } = 4;
    public int ResponsesPerHoldOutPrompt { get; init; } = 6;
    public int CandidatesPerTestPrompt { get; init; } = 16;
    public int TrainPairs { get; init; } = 10_000;

    /// <summary>What most studies' miniatures ask: the same of all, so that it is sampled once.</summary>
    public static EvidenceSizes Miniature { get; } = new() { TrainPrompts = 80, HoldOutPrompts = 24, TestPrompts = 30, ResponsesPerTrainPrompt = 4, ResponsesPerHoldOutPrompt = 5, CandidatesPerTestPrompt = 5, TrainPairs = 400 };
}

/// <summary>Prompts and responses on which claims about methods are checked, divided so that no question stands in two parts.</summary>
public sealed record EvidenceSet
{
    public required IReadOnlyList<WorldPrompt> Train { get; init; }
    public required IReadOnlyList<WorldPrompt> HoldOut { get; init; }
    public required IReadOnlyList<WorldPrompt> Test { get; init; }
    /// <summary>Responses to all prompts; those to test prompts are the candidates.</summary>
    public required IReadOnlyList<WorldResponse> Responses { get; init; }
    public required EvidenceSizes Sizes { get; init; }
    private ulong Seed { get; init; }

    /// <summary>Draws the prompts and asks the source for their responses.</summary>
    /// <param name="seed">Decides prompts and pairs.</param>
    /// <param name="source">As for <see cref="DemoSeed.Build"/>.</param>
    /// <param name="sizes">Null: those of the bench.</param>
    public static EvidenceSet Build(ulong seed, Func<WorldPrompt, int, IReadOnlyList<string>> source, EvidenceSizes? sizes = null)
    {
        sizes ??= new EvidenceSizes();
        var (train, holdOut, test) = DrawPrompts(seed, sizes);
        return new EvidenceSet
        {
            Train = train,
            HoldOut = holdOut,
            Test = test,
            Responses =
            [
                .. train.SelectMany(prompt => PromptDrawing.Respond(prompt, sizes.ResponsesPerTrainPrompt, source)),
                .. holdOut.SelectMany(prompt => PromptDrawing.Respond(prompt, sizes.ResponsesPerHoldOutPrompt, source)),
                .. test.SelectMany(prompt => PromptDrawing.Respond(prompt, sizes.CandidatesPerTestPrompt, source)),
            ],
            Sizes = sizes,
            Seed = seed,
        };
    }

    /// <summary>The prompts alone, for sampling in batches before <see cref="Build"/>.</summary>
    public static (IReadOnlyList<WorldPrompt> Train, IReadOnlyList<WorldPrompt> HoldOut, IReadOnlyList<WorldPrompt> Test) DrawPrompts(ulong seed, EvidenceSizes? sizes = null)
    {
        sizes ??= new EvidenceSizes();
        var random = new SeededRandom(seed).Split("evidence prompts");
        HashSet<string> used = [];
        return (PromptDrawing.Draw(random.Split("train"), sizes.TrainPrompts, WorldPart.Train, used),
            PromptDrawing.Draw(random.Split("hold-out"), sizes.HoldOutPrompts, WorldPart.HoldOut, used),
            PromptDrawing.Draw(random.Split("test"), sizes.TestPrompts, WorldPart.Test, used));
    }

    /// <summary>Judgements by the whole crowd of 24 on pairs of train responses, one vote a pair, nothing planted.</summary>
    /// <param name="count">Null: all <see cref="EvidenceSizes.TrainPairs"/>; smaller counts are not prefixes of larger ones.</param>
    public JudgedPairs JudgeByCrowd(int? count = null) => JudgeBy(SimulatedAnnotators.All, count ?? Sizes.TrainPairs, "crowd");

    /// <summary>Judgements by some annotators on pairs of train responses of their own lot, one vote a pair.</summary>
    /// <param name="what">A name for the lot: other pairs and other luck than those of another name.</param>
    internal JudgedPairs JudgeBy(IReadOnlyList<SimulatedAnnotator> annotators, int count, string what)
    {
        var random = new SeededRandom(Seed).Split(what);
        var pairs = JudgingRound.DrawPairs(Train, Responses.ToLookup(response => response.PromptId), count, random.Split("pairs"));
        random.Split("assignment").Shuffle(pairs);
        var (rows, truths) = JudgingRound.Judge(pairs.Select((pair, i) => new PairAssignment(pair, annotators[i % annotators.Count])), random.Split("judging"));
        return new JudgedPairs(rows, [], truths);
    }

    /// <summary>Judgements by careful annotators with one cause switched on, see <see cref="PlantedCauses"/>.</summary>
    public JudgedPairs JudgeWithCause(PlantedCause? cause, double rate, int? count = null) =>
        PlantedCauses.Judge(Train, Responses, count ?? Sizes.TrainPairs, cause, rate, Seed);

    public IEnumerable<string> PromptLines() => WorldLines.Prompts([.. Train, .. HoldOut, .. Test]);
    public IEnumerable<string> ResponseLines() => WorldLines.Responses(Responses);

    /// <summary>r* of every response, for the sealed file that only scorers open: one JSON line each.</summary>
    public IEnumerable<string> SealedLines()
    {
        var prompts = Train.Concat(HoldOut).Concat(Test).ToDictionary(prompt => prompt.Id);
        return Responses.Select(response => CorpusJson.WriteObject(json =>
        {
            json.WriteString("response", response.Id);
            json.WriteNumber("truth", TruthScorer.Score(prompts[response.PromptId].Turns, response.Text));
        }));
    }
}
