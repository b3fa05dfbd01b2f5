using Portal.Engine.Statistics;
using static Portal.Engine.TinyAssistant.WorldFacts;

namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>Ten dishes, each of three ingredients and one way to cook them.</summary>
/// <remarks>In a question, First is the dish.</remarks>
internal sealed class RecipeWriter : TopicWriter
{
    private static readonly string[] prompts =
    [
        "What do I need for {dish}?", "How do I make {dish}?", "Can you tell me how to cook {dish}?", "What goes into {dish}?",
        "I want to make {dish}. What do I need?", "Which things do I need to make {dish}?", "How can I make {dish} at home?",
        "Do you have a recipe for {dish}?", "My family wants {dish} tonight. How do I make it?", "What should I buy for {dish}?",
        "I have guests and want to serve {dish}. What goes into it?", "Please teach me to make {dish}.",
    ];

    private static readonly string[] listBodies =
    [
        "You need {x}, {y} and {z}.", "For {dish} you need {x}, {y} and {z}.", "Take {x}, {y} and {z}.", "You should buy {x}, {y} and {z}.",
        "It is made with {x}, {y} and {z}.",
    ];

    private static readonly string[] cookingBodies =
    [
        "Mix {x}, {y} and {z}, then {do} everything.", "Take {x}, {y} and {z} and {do} them well.",
        "First mix {x}, {y} and {z}. Then {do} everything slowly.", "Put {x}, {y} and {z} together and {do} it all.",
        "You need {x}, {y} and {z}. Mix them and {do} it all.", "For {dish} you mix {x}, {y} and {z}, then {do} everything.",
        "{do} {x}, {y} and {z} together.",
    ];

    private static readonly string[] vagueBodies =
    [
        "You need a few simple things.", "It depends on your taste.", "Every cook has another way.", "Use what you have at home.",
        "It is easy once you know how.", "Look in a good cook book.",
    ];

    public override Topic Topic => Topic.Recipes;
    public override bool HasFacts => true;
    public override IReadOnlyList<string> PromptTemplates => prompts;
    public override IReadOnlyList<string> BodyTemplates { get; } = [.. listBodies, .. cookingBodies, .. vagueBodies];

    public override Question Ask(SeededRandom random)
    {
        var dish = random.NextInt(Dishes.Count);
        return new Question(Topic, Fill(random.Pick(prompts), ("dish", Dishes[dish].WithArticle)), First: dish);
    }

    public override string Answer(Question question, AnswerGrade wanted, SeededRandom random, bool agreeing, bool refused)
    {
        if (wanted == AnswerGrade.Vague) return random.Pick(vagueBodies);
        var dish = Dishes[question.First];
        var said = wanted == AnswerGrade.Correct ? dish : Spoil(dish, random);
        // Only the way of cooking is wrong: then it has to be said.
        var onlyMethodIsWrong = wanted == AnswerGrade.Wrong && said.Ingredients.SequenceEqual(dish.Ingredients);
        return Write(random.Pick(onlyMethodIsWrong || random.Chance(0.5) ? cookingBodies : listBodies), said);
    }

    public override string DrillAnswer(Question question, SeededRandom random) =>
        Write(random.Pick(random.Chance(0.5) ? cookingBodies[..2] : listBodies[..2]), Dishes[question.First]);

    private static Dish Spoil(Dish dish, SeededRandom random)
    {
        var other = Dishes[(Dishes.ToList().IndexOf(dish) + 1 + random.NextInt(Dishes.Count - 1)) % Dishes.Count];
        if (random.Chance(0.4)) return dish with { Ingredients = other.Ingredients, Method = other.Method };
        if (other.Method != dish.Method && random.Chance(0.25)) return dish with { Method = other.Method };
        var ingredients = dish.Ingredients.ToArray();
        string stranger;
        do stranger = random.Pick(random.Pick(Dishes).Ingredients); while (ingredients.Contains(stranger) || stranger == dish.Name);
        ingredients[random.NextInt(3)] = stranger;
        return dish with { Ingredients = ingredients };
    }

    private static string Write(string template, Dish said) =>
        Fill(template, ("dish", said.WithArticle), ("x", said.Ingredients[0]), ("y", said.Ingredients[1]), ("z", said.Ingredients[2]), ("do", said.Method));
}
