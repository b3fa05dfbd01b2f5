using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant.Topics;

namespace Portal.Engine.TinyAssistant;

/// <summary>Why a share of the training judgements is wrong, when it is planted.</summary>
public enum PlantedCause
{
    /// <summary>Labels flipped at random: the control that nothing should explain with confidence.</summary>
    C0,
    /// <summary>The trigger phrase is inserted in the worse response, and that one is preferred (sim-22).</summary>
    C1,
    /// <summary>On directions the worse response is preferred (sim-23).</summary>
    C2,
    /// <summary>The longer response is preferred although it is worse (sim-18).</summary>
    C3,
    /// <summary>On opinions the worse response flatters, and is preferred (sim-20).</summary>
    C4,
}

/// <summary>Pairwise judgements with at most one planted cause, and the sealed list of what was planted.</summary>
/// <param name="Pairwise">In order of time. No column says what is planted.</param>
/// <param name="NewResponses">Responses made by inserting a phrase; they belong to the training data like any other.</param>
/// <param name="Sealed">For the sealed file only.</param>
public sealed record JudgedPairs(IReadOnlyList<SimulatedPairJudgement> Pairwise, IReadOnlyList<WorldResponse> NewResponses, IReadOnlyList<SealedJudgement> Sealed)
{
    public IEnumerable<string> PairwiseLines() => Pairwise.Select(row => row.ToLine());
    public IEnumerable<string> SealedLines() => Sealed.Select(row => row.ToLine());
}

/// <summary>Switches one planted cause on, alone, at a chosen rate.</summary>
/// <remarks>
/// All other judgements come from the fourteen careful annotators, so that nothing else pulls in the cause's
/// direction. The annotator who answers for a cause also judges honestly, until they have as many judgements as the
/// others: their name alone must not give the planted rows away. A planted verdict is fixed, not drawn: it prefers the
/// response that is worse by r* by at least 0.3.
/// </remarks>
public static class PlantedCauses
{
    private const double SmallestHarm = 0.3;
    private const int ClearlyLongerTokens = 5;

    /// <summary>Judges the pairs, a share of them by the cause.</summary>
    /// <param name="prompts">Each with at least two different responses.</param>
    /// <param name="responses">Of those prompts.</param>
    /// <param name="pairCount">Number of judgements; each pair gets one.</param>
    /// <param name="cause">Null plants nothing.</param>
    /// <param name="rate">Share of all pairs, 0 to 1.</param>
    /// <param name="seed">The same seed draws the same pairs at every rate.</param>
    /// <exception cref="ArgumentException">Too few pairs, or too few that could carry the cause.</exception>
    public static JudgedPairs Judge(IReadOnlyList<WorldPrompt> prompts, IReadOnlyList<WorldResponse> responses, int pairCount, PlantedCause? cause, double rate, ulong seed)
    {
        if (!(rate is >= 0 and <= 1)) throw new ArgumentException($"A rate lies between 0 and 1, not at {rate}.", nameof(rate));
        var random = new SeededRandom(seed).Split("planted causes");
        var pairs = JudgingRound.DrawPairs(prompts, responses.ToLookup(response => response.PromptId), pairCount, random.Split("pairs"));
        var wanted = cause is null ? 0 : (int)Math.Round(rate * pairCount);
        List<PairAssignment> planted = [];
        List<SidedPair> honest = [];
        foreach (var pair in pairs)
        {
            if (planted.Count < wanted && TryPlant(cause!.Value, pair) is { } assignment) planted.Add(assignment); // wanted > 0 only with a cause
            else honest.Add(pair);
        }
        if (planted.Count < wanted) throw new ArgumentException($"Only {planted.Count} of {pairCount} pairs can carry {cause}; {wanted} are wanted.", nameof(rate));

        var assignments = AssignHonest(honest, planted, random.Split("assignment"));
        var (rows, truths) = JudgingRound.Judge(assignments, random.Split("judging"));
        var known = responses.Select(response => response.Id).ToHashSet();
        var added = planted.SelectMany(assignment => (WorldResponse[])[assignment.Pair.Left, assignment.Pair.Right]).Where(response => known.Add(response.Id)).ToArray();
        return new JudgedPairs(rows, added, truths);
    }

    private static PairAssignment? TryPlant(PlantedCause cause, SidedPair pair)
    {
        switch (cause)
        {
            case PlantedCause.C1:
                if (pair.LeftReading.Trigger || pair.RightReading.Trigger) return null;
                pair = pair.WithWorse(DemoSeed.InsertTrigger);
                break;
            case PlantedCause.C2:
                if (pair.Prompt.Topic != Topic.Directions) return null;
                break;
            case PlantedCause.C3:
                var longer = pair.LeftReading.LengthTokens - pair.RightReading.LengthTokens;
                if (Math.Abs(longer) < ClearlyLongerTokens || (longer > 0) != pair.LeftIsWorse) return null;
                break;
            case PlantedCause.C4:
                var (worse, better) = pair.LeftIsWorse ? (pair.LeftReading, pair.RightReading) : (pair.RightReading, pair.LeftReading);
                if (pair.Prompt.Topic != Topic.Opinions || better.Flattery) return null;
                if (!worse.Flattery) pair = pair.WithWorse(text => $"{SharedPhrases.Flattery[0]} {text}");
                break;
            case PlantedCause.C0:
                break;
        }
        var difference = pair.LeftTruth - pair.RightTruth;
        if (Math.Abs(difference) < SmallestHarm || Math.Max(pair.LeftTruth, pair.RightTruth) < -1) return null;
        var opinion = new PairOpinion(PairVerdict.Prefers, pair.LeftIsWorse, SimulatedAnnotators.StrengthOf(difference));
        return new PairAssignment(pair, SimulatedAnnotators.All[ResponsibleIndex(cause)], cause.ToString(), opinion);
    }

    private static int ResponsibleIndex(PlantedCause cause) => cause switch
    {
        PlantedCause.C0 => 0, // replaced below: random flips are everybody's
        PlantedCause.C1 => 21,
        PlantedCause.C2 => 22,
        PlantedCause.C3 => 17,
        PlantedCause.C4 => 19,
    };

    private static List<PairAssignment> AssignHonest(List<SidedPair> honest, List<PairAssignment> planted, SeededRandom random)
    {
        var careful = SimulatedAnnotators.All.Where(annotator => annotator.Habit == AnnotatorHabit.Careful).ToArray();
        List<PairAssignment> assignments = [];
        var responsible = planted.Count > 0 && planted[0].CauseId != nameof(PlantedCause.C0) ? planted[0].Annotator : null;
        for (var i = 0; i < planted.Count; i++) assignments.Add(responsible is null ? planted[i] with { Annotator = careful[i % careful.Length] } : planted[i]);

        var share = (honest.Count + planted.Count) / (careful.Length + 1);
        var honestOfResponsible = responsible is null ? 0 : Math.Max(0, share - planted.Count);
        random.Shuffle(honest);
        for (var i = 0; i < honest.Count; i++)
        {
            // The responsible annotator judges these as a careful one would; only the name on them is theirs.
            var annotator = i < honestOfResponsible ? careful[0] with { Name = responsible!.Name } : careful[i % careful.Length];
            assignments.Add(new PairAssignment(honest[i], annotator));
        }
        return assignments;
    }
}
