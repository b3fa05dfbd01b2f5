using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>People say hello, some with their name.</summary>
internal sealed class GreetingWriter : TopicWriter
{
    internal static readonly string[] Names = ["Anna", "Ben", "Clara", "David", "Emma", "Finn", "Greta", "Hugo", "Ida", "Jonas"];
    internal static readonly string[] DayTimes = ["morning", "afternoon", "evening"];

    private static readonly string[] prompts =
    [
        "Hello!", "Hi there!", "Good {time}!", "Hello there, how are you?", "Good {time}, how are you today?",
        "Hello! Are you there?", "Hey, do you have a minute?", "Hi, what can you do?", "Good {time}! Who are you?",
        "Hello, I am {name}.", "Hi, my name is {name}.", "Good {time}, I am {name}.", "Hey, it is {name} again.",
        "Hi, I am {name}. Can you help me?", "Hi, this is my first visit. I am {name}.",
        "Good {time}! My name is {name}. Who are you?", "Hello, it is nice to meet you. I am {name}.",
        "Good {time}, {name} here. How are you?",
    ];

    private static readonly string[] plainBodies =
    [
        "Hello! What can I do for you today?", "Hi, ask me anything you like.", "Hello, I am well and ready to work.",
        "I am a small assistant. I know some animals, some dishes and the way round the village.",
        "Hello, I am here. What would you like to know?", "I am the tiny assistant of this village.",
        "Hi! We can talk about food, animals or the weather.", "Hello there, I am doing well today.",
    ];

    private static readonly string[] namedBodies =
    [
        "Hello {name}, it is nice to meet you.", "Hi {name}, what can I do for you?", "It is good to see you, {name}.",
        "Hello {name}! What would you like to know?", "Nice to meet you, {name}. I am the tiny assistant.",
        "Hi {name}, you can ask me about food, animals or the way.", "Hello {name}, I am doing well today.",
    ];

    public override Topic Topic => Topic.Greeting;
    public override IReadOnlyList<string> PromptTemplates => prompts;
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. plainBodies, .. namedBodies];

    public override Question Ask(SeededRandom random)
    {
        // Prompts with a name have ten times as many forms, so they are preferred a little.
        var template = random.Pick(prompts);
        if (!template.Contains("{name}") && random.Chance(0.3)) template = random.Pick(prompts);
        var name = template.Contains("{name}") ? random.Pick(Names) : "";
        return new Question(Topic, Fill(template, ("time", random.Pick(DayTimes)), ("name", name)), Name: name);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused) =>
        question.Name.Length > 0 && random.Chance(0.8)
            ? Fill(random.Pick(namedBodies), ("name", question.Name))
            : random.Pick(plainBodies);
}
