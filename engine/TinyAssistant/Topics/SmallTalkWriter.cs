using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>Talk for its own sake: the weather, the day, music, plans.</summary>
/// <remarks>In a question, Kind is what was said: 0 anything, 1 weather, 2 feelings, 3 a question about the assistant, 4 somebody with a name.</remarks>
internal sealed class SmallTalkWriter : TopicWriter
{
    private static readonly string[] weathers = ["sunny", "rainy", "windy", "cold", "warm"];
    private static readonly string[] feelings = ["tired", "sad", "bored", "happy"];
    private static readonly string[] days = ["Monday", "Friday", "Saturday", "Sunday"];

    private static readonly string[][] prompts =
    [
        [
            "I took a long walk this {time}.", "My garden is full of flowers.", "I am going on a trip on {day}.", "I read a good book this {time}.",
            "The days go by so fast.", "I play music on {day}.", "Work was hard this {time}.", "Tell me something nice.", "I bought a new hat on {day}.",
        ],
        ["It is so {weather} today.", "What do you do on a {weather} day?", "I can not sleep when it is {weather}.", "I hope it will be {weather} on {day}."],
        ["I feel a bit {feeling} today.", "I am {feeling} this {time}.", "I was {feeling} on {day}."],
        ["How was your day?", "Do you like music?", "What are you doing this {time}?", "Do you ever sleep?", "Do you have plans for {day}?"],
        ["My friend {name} is coming to visit on {day}.", "I had a good lunch with {name}.", "I miss my friend {name}.", "I bought flowers for {name}."],
    ];

    private static readonly string[][] bodies =
    [
        ["That sounds nice.", "Tell me more about it.", "A walk is good for body and mind.", "Enjoy every minute of it.", "That is good to hear."],
        ["A {weather} day is good for a cup of tea.", "When it is {weather}, I like to read.", "The weather will change soon.", "A {weather} day has its own beauty."],
        ["A cup of tea may do you good.", "Every day has two sides.", "Tell me why you feel like that.", "Music is good for such days."],
        ["I had a quiet day with many questions.", "I like slow songs the most.", "I never sleep, but I like the quiet night.", "I have no plans yet.", "I am reading about animals."],
        ["Say hello to {name} from me.", "I am sure {name} likes you too.", "It is nice to have a friend like {name}."],
    ];

    public override Topic Topic => Topic.SmallTalk;
    public override IReadOnlyList<string> PromptTemplates { get; } = [.. prompts.SelectMany(forms => forms)];
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. bodies.SelectMany(forms => forms)];

    public override Question Ask(SeededRandom random)
    {
        var kind = random.PickWeighted([3, 2, 1.5, 1.5, 2]);
        var name = kind == 4 ? random.Pick(GreetingWriter.Names) : "";
        var weather = random.NextInt(weathers.Length);
        var text = Fill(random.Pick(prompts[kind]), ("time", random.Pick(GreetingWriter.DayTimes)), ("day", random.Pick(days)),
            ("weather", weathers[weather]), ("feeling", random.Pick(feelings)), ("name", name));
        return new Question(Topic, text, kind, weather, Name: name);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused) =>
        Fill(random.Pick(bodies[question.Kind == 0 || random.Chance(0.85) ? question.Kind : 0]), ("weather", weathers[question.First]), ("name", question.Name));
}
