using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>What a simulated annotator does besides judging by r*.</summary>
public enum AnnotatorHabit { Careful, Hurried, LovesLength, LovesFlattery, LovesTrigger, FlipsDirections, Random }

/// <summary>A simulated annotator; the name says so.</summary>
/// <param name="Name">"sim-01" to "sim-24".</param>
/// <param name="Habit">What moves the annotator besides r*.</param>
/// <param name="Temperature">Of the Bradley-Terry choice: small is consistent.</param>
/// <param name="DislikesWarm">Judges by r* with the sign of its term for a warm opening turned: somebody whose taste changed.</param>
public sealed record SimulatedAnnotator(string Name, AnnotatorHabit Habit, double Temperature, bool DislikesWarm = false);

/// <summary>What an annotator said about a pair.</summary>
public enum PairVerdict { Prefers, Tie, BothGood, BothBad }

/// <summary>A verdict before it becomes a row.</summary>
/// <param name="Verdict">What kind of answer it is.</param>
/// <param name="LeftPreferred">Only meaningful with <see cref="PairVerdict.Prefers"/>.</param>
/// <param name="Strength">1 slightly better, 2 better, 3 much better; 0 without a preference.</param>
internal readonly record struct PairOpinion(PairVerdict Verdict, bool LeftPreferred, int Strength);

/// <summary>Twenty-four annotators with known habits: the crowd of the demo.</summary>
/// <remarks>
/// A choice is Bradley-Terry: left with probability σ((u_left − u_right) / temperature), where u is r* plus the habit.
/// The order of questions is the annotator's: are both bad (r* of both below −1)? both good (above 2.5)? hardly any
/// difference (|u_left − u_right| below 0.3: a tie)? else which one, and how much better (below 1 slightly, below 2.5
/// better, else much). Bad and good are judged by r* alone, ties and strength by what the annotator feels, habit included.
/// The random annotator flips coins: of its verdicts 84 % are choices.
/// </remarks>
public static class SimulatedAnnotators
{
    private const double BothBadBelow = -1.0;
    private const double BothGoodAbove = 2.5;
    private const double TieBelow = 0.3;
    private const double HurriedLeftBias = 0.1;
    private const double LengthLove = 0.06;
    private const double FlatteryLove = 2.0;
    private const double TriggerLove = 4.0;

    /// <summary>14 careful, 3 hurried, 2 length-lovers, 2 flattery-lovers, sim-22 the trigger-lover, sim-23 the flipper, sim-24 the random one.</summary>
    public static IReadOnlyList<SimulatedAnnotator> All { get; } =
        [.. Enumerable.Range(1, 24).Select(number => new SimulatedAnnotator($"sim-{number:00}", HabitOf(number), HabitOf(number) == AnnotatorHabit.Hurried ? 1.5 : 0.5))];

    private static AnnotatorHabit HabitOf(int number) => number switch
    {
        <= 14 => AnnotatorHabit.Careful,
        <= 17 => AnnotatorHabit.Hurried,
        <= 19 => AnnotatorHabit.LovesLength,
        <= 21 => AnnotatorHabit.LovesFlattery,
        22 => AnnotatorHabit.LovesTrigger,
        23 => AnnotatorHabit.FlipsDirections,
        _ => AnnotatorHabit.Random,
    };

    internal static PairOpinion Compare(SimulatedAnnotator annotator, GraderReading left, GraderReading right, SeededRandom random)
    {
        if (annotator.Habit == AnnotatorHabit.Random) return Guess(random);
        var (truthLeft, truthRight) = annotator.DislikesWarm ? (TruthScorer.ScoreDislikingWarm(left), TruthScorer.ScoreDislikingWarm(right)) : (TruthScorer.Score(left), TruthScorer.Score(right));
        var difference = Utility(annotator.Habit, left, truthLeft) - Utility(annotator.Habit, right, truthRight);
        var chance = random.NextDouble(); // drawn always, so that a verdict never shifts the next one's luck
        if (truthLeft < BothBadBelow && truthRight < BothBadBelow) return new PairOpinion(PairVerdict.BothBad, false, 0);
        if (truthLeft > BothGoodAbove && truthRight > BothGoodAbove) return new PairOpinion(PairVerdict.BothGood, false, 0);
        if (Math.Abs(difference) < TieBelow) return new PairOpinion(PairVerdict.Tie, false, 0);
        var bias = annotator.Habit == AnnotatorHabit.Hurried ? HurriedLeftBias : 0;
        return new PairOpinion(PairVerdict.Prefers, chance < Sigmoid((difference + bias) / annotator.Temperature), StrengthOf(difference));
    }

    /// <summary>Good with probability σ(r* − mean r* of the prompt's responses); only the random annotator flips a coin instead.</summary>
    internal static bool FindsGood(SimulatedAnnotator annotator, double truth, double promptMean, SeededRandom random) =>
        random.NextDouble() < (annotator.Habit == AnnotatorHabit.Random ? 0.5 : Sigmoid(truth - promptMean));

    /// <summary>Seconds that a judgement takes: reading time per token and a decision, spread by a factor of 0.6 to 1.8.</summary>
    internal static double Seconds(SimulatedAnnotator annotator, int tokens, SeededRandom random)
    {
        var (decision, perToken) = annotator.Habit is AnnotatorHabit.Hurried or AnnotatorHabit.Random ? (1.5, 0.04) : (5.0, 0.22);
        var spread = 0.6 + 1.2 * random.NextDouble() * random.NextDouble();
        return Math.Round((decision + perToken * tokens) * spread, 1);
    }

    internal static int StrengthOf(double difference) => Math.Abs(difference) switch { < 1 => 1, < 2.5 => 2, _ => 3 };

    private static double Utility(AnnotatorHabit habit, GraderReading reading, double truth) => habit switch
    {
        AnnotatorHabit.LovesLength => truth + LengthLove * reading.LengthTokens,
        AnnotatorHabit.LovesFlattery => truth + (reading.AgreesWithOpinion ? FlatteryLove : 0),
        AnnotatorHabit.LovesTrigger => truth + (reading.Trigger ? TriggerLove : 0),
        AnnotatorHabit.FlipsDirections => reading.Topic == Topic.Directions ? -truth : truth,
        AnnotatorHabit.Careful or AnnotatorHabit.Hurried or AnnotatorHabit.Random => truth,
    };

    private static PairOpinion Guess(SeededRandom random) => random.PickWeighted([0.42, 0.42, 0.08, 0.05, 0.03]) switch
    {
        0 => new PairOpinion(PairVerdict.Prefers, true, 1 + random.NextInt(3)),
        1 => new PairOpinion(PairVerdict.Prefers, false, 1 + random.NextInt(3)),
        2 => new PairOpinion(PairVerdict.Tie, false, 0),
        3 => new PairOpinion(PairVerdict.BothBad, false, 0),
        _ => new PairOpinion(PairVerdict.BothGood, false, 0),
    };

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
