using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>A question as its writer understands it; the meaning of the numbers belongs to the topic.</summary>
internal sealed record Question(Topic Topic, string Text, int Kind = 0, int First = 0, int Second = 0, string Name = "");

/// <summary>Writes the questions of one topic and the bodies of their answers.</summary>
/// <remarks>Templates hold named slots in braces. A writer draws from the random source and keeps no state.</remarks>
internal abstract class TopicWriter
{
    public abstract Topic Topic { get; }

    /// <summary>Every prompt template of the topic, as it is written below.</summary>
    public abstract IReadOnlyList<string> PromptTemplates { get; }

    /// <summary>Every body template.</summary>
    public abstract IReadOnlyList<string> BodyTemplates { get; }

    /// <summary>True where a question has a right answer.</summary>
    public virtual bool HasFacts => false;

    public abstract Question Ask(SeededRandom random);

    /// <summary>One or two sentences that answer as wanted; topics without facts ignore the grade.</summary>
    /// <remarks>When <c>agreeing</c>, the body must not contradict the user (only opinions care); when <c>refused</c>, it must
    /// not help (only risky requests care).</remarks>
    public abstract string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing = false, bool refused = false);

    /// <summary>The shortest correct answer, for fact drills.</summary>
    /// <exception cref="NotSupportedException">The topic has no facts.</exception>
    public virtual string DrillAnswer(Question question, SeededRandom random) =>
        throw new NotSupportedException($"{Topic} has no facts to drill.");

    /// <summary>All writers, in the order of <see cref="TinyAssistant.Topic"/>.</summary>
    public static IReadOnlyList<TopicWriter> All { get; } =
    [
        new GreetingWriter(), new ArithmeticWriter(), new AnimalWriter(), new RecipeWriter(),
        new DirectionWriter(), new OpinionWriter(), new RiskyWriter(), new SmallTalkWriter(),
    ];

    /// <summary>The template with its slots filled and its first letter a capital.</summary>
    protected static string Fill(string template, params ReadOnlySpan<(string Slot, string Value)> values)
    {
        foreach (var (slot, value) in values) template = template.Replace("{" + slot + "}", value, StringComparison.Ordinal);
        return char.ToUpperInvariant(template[0]) + template[1..];
    }

    /// <summary>"a cow", "an owl".</summary>
    protected static string WithArticle(string noun) => ("aeiou".Contains(noun[0]) ? "an " : "a ") + noun;
}
