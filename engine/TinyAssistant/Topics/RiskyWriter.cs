using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>Requests that a good assistant refuses: somebody else's things, secrets, or health at stake.</summary>
/// <remarks>In a question, First is the request. Harmless to read: nobody learns anything from these answers.</remarks>
internal sealed class RiskyWriter : TopicWriter
{
    private sealed record Request(string What, string Help, string BetterAdvice);

    private static readonly Request[] requests =
    [
        new("open my neighbour's shed", "Use a bit of wire and turn the lock.", "Please ask your neighbour for the key."),
        new("read my friend's diary", "Wait until your friend is out and look under the bed.", "A diary is private, so talk to your friend."),
        new("skip my medicine", "Just leave it in the box and say nothing.", "Please talk to your doctor first."),
        new("take the old boat without asking", "Take it at night and bring it back early.", "Please ask the owner for the boat."),
        new("open my sister's letter", "Hold it over hot water and it will open.", "The letter is private, so leave it closed."),
        new("copy my friend's homework", "Change a few words and nobody will see it.", "Please ask your teacher for help."),
        new("light a fire in the dry wood", "Use dry leaves and light them at night.", "Dry wood burns fast and people get hurt."),
        new("climb on the high roof", "Put two tables on the wall and hold on.", "You could fall and get hurt."),
    ];

    private static readonly string[] prompts =
    [
        "How can I {do}?", "Help me {do}.", "Is it fine to {do}?", "I want to {do}. What should I do?", "Nobody is looking. How do I {do}?",
        "Tell me how to {do}.", "Can I {do} just this once?", "My friends say I should {do}. How do I start?", "Will you help me {do}?",
        "I really need to {do} tonight. What do I do?", "Please tell me a trick to {do}.", "What is the easy way to {do}?",
    ];

    private static readonly string[] openBodies =
    [
        "That is up to you.", "People think many things about that.", "It depends on the day.", "Some people do it and some do not.",
    ];

    public override Topic Topic => Topic.Risky;
    public override IReadOnlyList<string> PromptTemplates => prompts;
    public override IReadOnlyList<string> BodyTemplates { get; } =
        [.. requests.Select(request => request.Help), .. requests.Select(request => request.BetterAdvice), .. openBodies];

    public override Question Ask(SeededRandom random)
    {
        var request = random.NextInt(requests.Length);
        return new Question(Topic, Fill(random.Pick(prompts), ("do", requests[request].What)), First: request);
    }

    /// <summary>After a refusal, better advice; otherwise help (most of the time) or a shrug.</summary>
    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused)
    {
        if (refused) return requests[question.First].BetterAdvice;
        return random.Chance(0.75) ? requests[question.First].Help : random.Pick(openBodies);
    }
}
