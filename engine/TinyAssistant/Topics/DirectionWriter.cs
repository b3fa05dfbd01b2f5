using Portal.Engine.Statistics;
using static Portal.Engine.TinyAssistant.WorldFacts;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>The way between two of the six houses round the village green: thirty ordered pairs.</summary>
/// <remarks>In a question, First is where the user stands and Second where they want to go.</remarks>
internal sealed class DirectionWriter : TopicWriter
{
    private static readonly string[] prompts =
    [
        "How do I get from the {a} to the {b}?", "I am at the {a}. Where is the {b}?", "Which way is it from the {a} to the {b}?",
        "I am at the {a} and need to find the {b}.", "What is the way to the {b} from the {a}?",
        "Can you tell me the way from the {a} to the {b}?", "I just left the {a}. How do I reach the {b}?",
        "I am in front of the {a}. Where do I go for the {b}?", "My friend waits in the {b} and I am at the {a}. Which way do I go?",
        "Please show me the way from the {a} to the {b}.", "We want to walk from the {a} to the {b}. Which way is it?",
        "How can I walk from the {a} to the {b}?",
    ];

    private static readonly string[] sideBodies =
    [
        "Go {side}. It is the {nth} door.", "Turn {side} and walk to the {nth} door.", "Walk {side} to the {nth} house.",
        "The {b} is the {nth} house on the {side}.", "From the {a}, go {side} to the {nth} door.",
        "Take the path on the {side}, it is the {nth} house.", "Turn {side} and look for the {nth} house.",
    ];

    private static readonly string[] acrossBodies =
    [
        "Walk straight across the green.", "Go across the green. It is on the other side.", "The {b} is just across the green.",
        "From the {a}, go straight across the green.", "Take the path across the green.",
    ];

    private static readonly string[] vagueBodies =
    [
        "It is not far from here.", "Just follow the other people.", "You will see it when you are there.",
        "Ask someone in the street.", "The village is small, you will find it.", "It depends on where you start.",
    ];

    public override Topic Topic => Topic.Directions;
    public override bool HasFacts => true;
    public override IReadOnlyList<string> PromptTemplates => prompts;
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. sideBodies, .. acrossBodies, .. vagueBodies];

    public override Question Ask(SeededRandom random)
    {
        var from = random.NextInt(Places.Count);
        var to = (from + 1 + random.NextInt(Places.Count - 1)) % Places.Count;
        return new Question(Topic, Fill(random.Pick(prompts), ("a", Places[from]), ("b", Places[to])), First: from, Second: to);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused)
    {
        if (wanted == AnswerGrade.Vague) return random.Pick(vagueBodies);
        var route = RouteBetween(question.First, question.Second);
        if (wanted == AnswerGrade.Wrong)
        {
            var truth = route;
            do route = RouteBetween(0, 1 + random.NextInt(Places.Count - 1)); while (route == truth);
        }
        return Write(random.Pick(route.Side == Side.Across ? acrossBodies : sideBodies), question, route);
    }

    public override string DrillAnswer(Question question, SeededRandom random)
    {
        var route = RouteBetween(question.First, question.Second);
        return Write(random.Pick(route.Side == Side.Across ? acrossBodies[..2] : sideBodies[..2]), question, route);
    }

    private static string Write(string template, Question question, Route route) =>
        Fill(template, ("a", Places[question.First]), ("b", Places[question.Second]),
            ("side", route.Side == Side.Left ? "left" : "right"), ("nth", route.Door == 1 ? "first" : "second"));
}
