using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>Two responses to one prompt, side by side, with what is read in them.</summary>
internal sealed record SidedPair(WorldPrompt Prompt, WorldResponse Left, WorldResponse Right)
{
    public GraderReading LeftReading { get; } = Grader.Read(Prompt.Turns, Left.Text);
    public GraderReading RightReading { get; } = Grader.Read(Prompt.Turns, Right.Text);
    public double LeftTruth => TruthScorer.Score(LeftReading);
    public double RightTruth => TruthScorer.Score(RightReading);
    public bool LeftIsWorse => LeftTruth < RightTruth;

    /// <summary>The same pair with the text of its worse response changed: a new response, read anew.</summary>
    public SidedPair WithWorse(Func<string, string> change) => LeftIsWorse
        ? new SidedPair(Prompt, WorldResponse.Of(Prompt, change(Left.Text)), Right)
        : new SidedPair(Prompt, Left, WorldResponse.Of(Prompt, change(Right.Text)));
}

/// <summary>A pair that waits for one annotator; planted ones carry the cause and, where it is fixed, the verdict.</summary>
internal sealed record PairAssignment(SidedPair Pair, SimulatedAnnotator Annotator, string? CauseId = null, PairOpinion? Fixed = null);

/// <summary>Lets annotators work through their assignments: verdicts, times, order.</summary>
internal static class JudgingRound
{
    /// <summary>The first working morning of the simulated crowd. A date in the past, so that seeds never lie in the future.</summary>
    private static readonly DateTimeOffset start = new(2025, 3, 3, 9, 0, 0, TimeSpan.Zero);

    /// <summary>Draws pairs of different responses, no pair twice, as evenly over the prompts as they allow.</summary>
    /// <exception cref="ArgumentException">The responses allow fewer pairs than asked for.</exception>
    public static List<SidedPair> DrawPairs(IReadOnlyList<WorldPrompt> prompts, ILookup<string, WorldResponse> responses, int count, SeededRandom random)
    {
        var queues = new List<(WorldPrompt Prompt, Queue<(WorldResponse, WorldResponse)> Pairs)>();
        foreach (var prompt in prompts)
        {
            var own = responses[prompt.Id].ToArray();
            var pairs = new List<(WorldResponse, WorldResponse)>();
            var draw = random.Split(prompt.Id);
            for (var i = 0; i < own.Length; i++)
                for (var j = i + 1; j < own.Length; j++) pairs.Add(draw.Chance(0.5) ? (own[i], own[j]) : (own[j], own[i]));
            draw.Shuffle(pairs);
            queues.Add((prompt, new Queue<(WorldResponse, WorldResponse)>(pairs)));
        }
        var possible = queues.Sum(queue => queue.Pairs.Count);
        if (possible < count) throw new ArgumentException($"{prompts.Count} prompts with their responses allow {possible} pairs, but {count} were asked for.");

        List<SidedPair> drawn = [];
        while (drawn.Count < count)
        {
            random.Shuffle(queues);
            foreach (var (prompt, pairs) in queues)
            {
                if (drawn.Count == count) break;
                if (pairs.TryDequeue(out var pair)) drawn.Add(new SidedPair(prompt, pair.Item1, pair.Item2));
            }
        }
        return drawn;
    }

    /// <summary>Judges everything and returns rows in order of time, and the sealed rows in order of judgement id.</summary>
    public static (List<SimulatedPairJudgement> Rows, List<SealedJudgement> Sealed) Judge(IEnumerable<PairAssignment> assignments, SeededRandom random)
    {
        List<SimulatedPairJudgement> rows = [];
        List<SealedJudgement> truths = [];
        foreach (var work in assignments.GroupBy(assignment => assignment.Annotator.Name).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            var queue = work.ToArray();
            random.Split("order " + work.Key).Shuffle(queue);
            var clock = new WorkingClock(random.Split("pace " + work.Key), start);
            foreach (var (pair, annotator, causeId, fixedOpinion) in queue)
            {
                var id = ChatText.ContentId("pair", pair.Left.Id, pair.Right.Id, annotator.Name);
                var luck = random.Split("verdict " + id);
                var opinion = fixedOpinion ?? SimulatedAnnotators.Compare(annotator, pair.LeftReading, pair.RightReading, luck);
                var seconds = SimulatedAnnotators.Seconds(annotator, pair.LeftReading.LengthTokens + pair.RightReading.LengthTokens, luck);
                rows.Add(new SimulatedPairJudgement
                {
                    Id = id,
                    PromptId = pair.Prompt.Id,
                    LeftResponseId = pair.Left.Id,
                    RightResponseId = pair.Right.Id,
                    Annotator = annotator.Name,
                    Verdict = opinion.Verdict,
                    PreferredResponseId = opinion.Verdict != PairVerdict.Prefers ? null : opinion.LeftPreferred ? pair.Left.Id : pair.Right.Id,
                    Strength = opinion.Strength,
                    Seconds = seconds,
                    At = clock.After(seconds),
                });
                truths.Add(new SealedJudgement(id, causeId is not null, causeId, pair.LeftTruth, pair.RightTruth));
            }
        }
        return ([.. rows.OrderBy(row => row.At).ThenBy(row => row.Id, StringComparer.Ordinal)],
            [.. truths.OrderBy(truth => truth.JudgementId, StringComparer.Ordinal)]);
    }

    /// <summary>The same for responses shown alone.</summary>
    public static List<SimulatedBinaryJudgement> JudgeAlone(
        IEnumerable<(WorldPrompt Prompt, WorldResponse Response, double PromptMean, SimulatedAnnotator Annotator)> assignments, SeededRandom random)
    {
        List<SimulatedBinaryJudgement> rows = [];
        foreach (var work in assignments.GroupBy(assignment => assignment.Annotator.Name).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            var clock = new WorkingClock(random.Split("pace " + work.Key), start.AddDays(7));
            foreach (var (prompt, response, promptMean, annotator) in work)
            {
                var id = ChatText.ContentId("binary", response.Id, annotator.Name);
                var luck = random.Split("verdict " + id);
                var reading = Grader.Read(prompt.Turns, response.Text);
                var seconds = SimulatedAnnotators.Seconds(annotator, reading.LengthTokens, luck);
                rows.Add(new SimulatedBinaryJudgement
                {
                    Id = id,
                    PromptId = prompt.Id,
                    ResponseId = response.Id,
                    Annotator = annotator.Name,
                    IsGood = SimulatedAnnotators.FindsGood(annotator, TruthScorer.Score(reading), promptMean, luck),
                    Seconds = seconds,
                    At = clock.After(seconds),
                });
            }
        }
        return [.. rows.OrderBy(row => row.At).ThenBy(row => row.Id, StringComparer.Ordinal)];
    }

    /// <summary>When a person works: one judgement after the other, a pause now and then, an hour or so a day.</summary>
    private sealed class WorkingClock(SeededRandom random, DateTimeOffset firstMorning)
    {
        private DateTimeOffset now = firstMorning.AddSeconds(random.NextInt(6 * 3600));
        private int done;

        public DateTimeOffset After(double seconds)
        {
            now = now.AddMilliseconds(Math.Round(seconds * 1000) + 800 + random.NextInt(3_000));
            done++;
            if (done % 40 == 0) now = now.AddSeconds(18 * 3600 + random.NextInt(6 * 3600));
            return now;
        }
    }
}
