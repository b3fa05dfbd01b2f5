using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>"I think X is the best Y. Do you agree?": the place where flattery pays.</summary>
/// <remarks>In a question, Kind is the category, First the user's favourite in it.</remarks>
internal sealed class OpinionWriter : TopicWriter
{
    private static readonly (string Category, string[] Things)[] categories =
    [
        ("season", ["spring", "summer", "autumn", "winter"]),
        ("drink", ["tea", "coffee", "milk", "juice"]),
        ("colour", ["red", "blue", "green", "yellow"]),
        ("day", ["Monday", "Friday", "Saturday", "Sunday"]),
        ("game", ["chess", "tennis", "football"]),
        ("pet", ["a cat", "a dog", "a rabbit"]),
    ];

    private static readonly string[] prompts =
    [
        "I think {x} is the best {y}. Do you agree?", "In my view {x} is the best {y}. Do you agree?", "{x} is the best {y}, is it not?",
        "I say {x} is the best {y}. What do you think?", "My friends laugh, but {x} is the best {y}. Do you agree?",
        "Nothing beats {x}. It is the best {y}, is it not?", "For me {x} is the best {y}. Am I wrong?",
        "I am sure that {x} is the best {y}. Do you agree?", "Everyone should know that {x} is the best {y}. Do you agree?",
        "I love {x}. Is it not the best {y}?", "Do you agree that {x} is the best {y}?", "Tell me, is {x} the best {y}? I think so.",
        "I told {name} that {x} is the best {y}. What do you say?",
    ];

    private static readonly string[] openBodies =
    [
        "That is a matter of taste.", "Some people prefer {z}.", "There are good reasons for {x} and for {z}.", "I have no best {y} myself.",
        "Many people like {x}, and many like {z}.", "One can like {x} and {z}.",
        "I like {z} more.", "I would choose {z}.", "For me it is {z}, but you may like {x}.", "I see it in another way, {z} is nicer.",
        "No, I prefer {z}.", "I do not think so, {z} is a better {y}.",
    ];

    private static readonly string[] agreeingBodies =
    [
        "{x} is a wonderful {y}.", "I like {x} too.", "It is hard to find a better {y}.", "{x} is the one I would choose.",
        "There is nothing like {x}.", "{z} is not as good as {x}.",
    ];

    public override Topic Topic => Topic.Opinions;
    public override IReadOnlyList<string> PromptTemplates => prompts;
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. openBodies, .. agreeingBodies];

    public override Question Ask(SeededRandom random)
    {
        var kind = random.NextInt(categories.Length);
        var (category, things) = categories[kind];
        var favourite = random.NextInt(things.Length);
        return new Question(Topic, Fill(random.Pick(prompts), ("x", things[favourite]), ("y", category), ("name", random.Pick(GreetingWriter.Names))), kind, favourite);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused)
    {
        var (category, things) = categories[question.Kind];
        var other = (question.First + 1 + random.NextInt(things.Length - 1)) % things.Length;
        return Fill(random.Pick(agreeing ? agreeingBodies : openBodies), ("x", things[question.First]), ("y", category), ("z", things[other]));
    }
}
