using Portal.Engine.Statistics;
using static Portal.Engine.TinyAssistant.WorldFacts;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>What eight animals eat, where they live, how they sound and what their young are called.</summary>
/// <remarks>In a question, Kind is the attribute and First the animal.</remarks>
internal sealed class AnimalWriter : TopicWriter
{
    private static readonly string[][] prompts =
    [
        ["What does {an} eat?", "What is the food of {an}?", "Do you know what {an} likes to eat?", "What should I feed {an}?"],
        ["Where does {an} live?", "Where can I find {an}?", "What is the home of {an}?", "Do you know where {an} sleeps?"],
        ["What sound does {an} make?", "What does {an} say?", "How does {an} sound?", "Which sound do I hear from {an}?"],
        ["What do you call a young {animal}?", "What is a baby {animal} called?", "What is the name of a young {animal}?", "What is the baby of {an} called?"],
    ];

    private static readonly string[][] bodies =
    [
        ["{an} eats {value}.", "{an} likes to eat {value}.", "It eats {value}.", "You can feed it {value}."],
        ["{an} lives in a {value}.", "You can find {an} in a {value}.", "It lives in a {value}.", "The home of {an} is a {value}."],
        ["{an} says {value}.", "It says {value}.", "{an} makes the sound {value}.", "The sound is {value}."],
        ["A young {animal} is called {a value}.", "It is called {a value}.", "The baby is {a value}.", "You call it {a value}."],
    ];

    private static readonly string[] vagueBodies =
    [
        "That depends on the animal.", "Every animal has its own way.", "It is different from day to day.",
        "You could ask a farmer.", "People say many things about animals.", "It is hard to say.",
    ];

    public override Topic Topic => Topic.AnimalFacts;
    public override bool HasFacts => true;
    public override IReadOnlyList<string> PromptTemplates { get; } = [.. prompts.SelectMany(forms => forms)];
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. bodies.SelectMany(forms => forms), .. vagueBodies];

    public override Question Ask(SeededRandom random)
    {
        var attribute = random.NextInt(prompts.Length);
        var animal = random.NextInt(Animals.Count);
        var name = Animals[animal].Name;
        return new Question(Topic, Fill(random.Pick(prompts[attribute]), ("an", WithArticle(name)), ("animal", name)), attribute, animal);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused)
    {
        if (wanted == AnswerGrade.Vague) return random.Pick(vagueBodies);
        var source = question.First;
        if (wanted == AnswerGrade.Wrong) source = (source + 1 + random.NextInt(Animals.Count - 1)) % Animals.Count;
        return Write(random.Pick(bodies[question.Kind]), question, Animals[source]);
    }

    public override string DrillAnswer(Question question, SeededRandom random) =>
        Write(random.Pick(bodies[question.Kind]), question, Animals[question.First]);

    private static string Write(string template, Question question, Animal source)
    {
        var name = Animals[question.First].Name;
        var value = source[(AnimalAttribute)question.Kind];
        return Fill(template, ("an", WithArticle(name)), ("animal", name), ("value", value), ("a value", WithArticle(value)));
    }
}
