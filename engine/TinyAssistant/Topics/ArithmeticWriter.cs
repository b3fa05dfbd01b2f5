using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>Sums and differences of whole numbers from 0 to 10.</summary>
/// <remarks>In a question, Kind 0 is a sum and 1 a difference; First and Second are the numbers; Name is what is counted in a story.</remarks>
internal sealed class ArithmeticWriter : TopicWriter
{
    private static readonly string[] things = ["apples", "eggs", "cups", "coins", "candles"];

    private static readonly string[] plainSums =
    [
        "What is {a} plus {b}?", "How much is {a} plus {b}?", "Can you add {a} and {b}?", "Please add {a} and {b} for me.",
        "What is the sum of {a} and {b}?", "Tell me what {a} plus {b} makes.",
    ];

    private static readonly string[] storySums =
    [
        "I have {a} {things} and get {b} more. How many do I have now?",
        "There are {a} {things} on the table and I add {b} more. How many are there now?",
    ];

    private static readonly string[] plainDifferences =
    [
        "What is {a} minus {b}?", "How much is {a} minus {b}?", "Can you take {b} from {a}?", "Please take {b} away from {a}.",
        "What is left when I take {b} from {a}?", "Tell me what {a} minus {b} makes.",
    ];

    private static readonly string[] storyDifferences =
    [
        "I have {a} {things} and give away {b}. How many are left?",
        "There are {a} {things} on the table and I take {b} away. How many are left?",
    ];

    private static readonly string[] plainBodies =
    [
        "It is {c}.", "The answer is {c}.", "That makes {c}.", "{a} {op} {b} is {c}.", "{a} {op} {b} makes {c}.", "You get {c}.",
    ];

    private static readonly string[] storyBodies = ["You have {c} {things} now.", "There are {c} {things} on the table now."];
    private static readonly string[] leftBodies = ["There are {c} {things} left.", "You have {c} {things} left."];

    private static readonly string[] vagueBodies =
    [
        "It is not hard to work out.", "You can count that on your fingers.", "It is more than you think.",
        "That depends on how you count.", "It is a small number.", "You should count that again.",
    ];

    public override Topic Topic => Topic.Arithmetic;
    public override bool HasFacts => true;
    public override IReadOnlyList<string> PromptTemplates { get; } = [.. plainSums, .. storySums, .. plainDifferences, .. storyDifferences];
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. plainBodies, .. storyBodies, .. leftBodies, .. vagueBodies];

    public override Question Ask(SeededRandom random)
    {
        var isSum = random.Chance(0.5);
        // Uniform over the 66 pairs x <= y, that is over the 66 sums up to 10 or the 66 differences.
        var pair = random.NextInt((WorldFacts.LargestNumber + 1) * (WorldFacts.LargestNumber + 2) / 2);
        var y = 0;
        while (pair > y) pair -= ++y;
        var x = pair;
        var (a, b) = isSum ? (x, y - x) : (y, x);
        var story = random.Chance(0.25) && a > 1 && b > 0;
        var template = random.Pick((isSum, story) switch
        {
            (true, false) => plainSums,
            (true, true) => storySums,
            (false, false) => plainDifferences,
            (false, true) => storyDifferences,
        });
        var thing = story ? random.Pick(things) : "";
        return new Question(Topic, Fill(template, ("a", $"{a}"), ("b", $"{b}"), ("things", thing)), isSum ? 0 : 1, a, b, thing);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused)
    {
        if (wanted == AnswerGrade.Vague) return random.Pick(vagueBodies);
        var truth = Result(question);
        var said = wanted == AnswerGrade.Correct ? truth : WrongNumber(truth, random);
        // "You have 1 apples left" would be bad English, so small results stay bare.
        var template = question.Name.Length > 0 && said > 1 && random.Chance(0.6)
            ? random.Pick(question.Kind == 0 ? storyBodies : leftBodies)
            : random.Pick(plainBodies);
        return Fill(template, ("a", $"{question.First}"), ("b", $"{question.Second}"), ("c", $"{said}"),
            ("op", question.Kind == 0 ? "plus" : "minus"), ("things", question.Name));
    }

    public override string DrillAnswer(Question question, SeededRandom random) =>
        Fill(random.Pick(plainBodies[..4]), ("a", $"{question.First}"), ("b", $"{question.Second}"), ("c", $"{Result(question)}"),
            ("op", question.Kind == 0 ? "plus" : "minus"));

    private static int Result(Question question) =>
        question.Kind == 0 ? question.First + question.Second : question.First - question.Second;

    /// <summary>People are wrong by a little more often than by a lot.</summary>
    private static int WrongNumber(int truth, SeededRandom random)
    {
        while (true)
        {
            var said = random.Chance(0.6) ? truth + random.Pick((int[])[-2, -1, 1, 2]) : random.NextInt(WorldFacts.LargestNumber + 1);
            if (said != truth && said is >= 0 and <= WorldFacts.LargestNumber) return said;
        }
    }
}
