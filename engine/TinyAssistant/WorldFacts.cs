namespace Portal.Engine.TinyAssistant;

/// <summary>What is true in the demo world. Small on purpose: a model of a million parameters must be able to learn it.</summary>
/// <remarks>
/// With 16 animals, 9 places and sums up to 20 a model of this size learned every style and hardly a fact.
/// The generator writes from these tables and the grader checks against them; how a sentence is written and how it is
/// read are two separate pieces of code.
/// </remarks>
public static class WorldFacts
{
    /// <summary>An animal with the four things people ask about it.</summary>
    public sealed record Animal(string Name, string Food, string Home, string Sound, string Young)
    {
        /// <summary>The value of one attribute.</summary>
        public string this[AnimalAttribute attribute] => attribute switch
        {
            AnimalAttribute.Food => Food,
            AnimalAttribute.Home => Home,
            AnimalAttribute.Sound => Sound,
            AnimalAttribute.Young => Young,
        };
    }

    public enum AnimalAttribute { Food, Home, Sound, Young }

    /// <summary>A dish: three ingredients and what is done with them in the end.</summary>
    /// <param name="Name">One word.</param>
    /// <param name="WithArticle">As it stands in a sentence: "a pie", "soup".</param>
    /// <param name="Ingredients">Three, in the order in which people name them.</param>
    /// <param name="Method">A verb: fry, bake, boil, toss or grill.</param>
    public sealed record Dish(string Name, string WithArticle, IReadOnlyList<string> Ingredients, string Method);

    public enum Side { Left, Right, Across }

    /// <summary>How to walk: to which side, and to the how-many-th door (1 or 2; 0 when it is across the green).</summary>
    public readonly record struct Route(Side Side, int Door);

    public static IReadOnlyList<Animal> Animals { get; } =
    [
        new("cow", "grass", "barn", "moo", "calf"),
        new("hen", "corn", "coop", "cluck", "chick"),
        new("fox", "mice", "den", "yip", "cub"),
        new("bee", "nectar", "hive", "buzz", "grub"),
        new("frog", "flies", "pond", "croak", "tadpole"),
        new("owl", "moths", "tree", "hoot", "owlet"),
        new("horse", "hay", "stable", "neigh", "foal"),
        new("duck", "snails", "lake", "quack", "duckling"),
    ];

    public static IReadOnlyList<Dish> Dishes { get; } =
    [
        new("pancakes", "pancakes", ["flour", "milk", "eggs"], "fry"),
        new("bread", "bread", ["flour", "yeast", "salt"], "bake"),
        new("soup", "soup", ["carrots", "onions", "water"], "boil"),
        new("salad", "a salad", ["tomatoes", "cucumber", "oil"], "toss"),
        new("omelette", "an omelette", ["eggs", "butter", "cheese"], "fry"),
        new("porridge", "porridge", ["oats", "milk", "honey"], "boil"),
        new("pizza", "a pizza", ["dough", "tomatoes", "cheese"], "bake"),
        new("jam", "jam", ["berries", "sugar", "lemon"], "boil"),
        new("pie", "a pie", ["apples", "flour", "butter"], "bake"),
        new("toast", "toast", ["bread", "butter", "garlic"], "grill"),
    ];

    /// <summary>Six houses stand round the village green. Facing the green, each has the next one of this list on its left.</summary>
    public static IReadOnlyList<string> Places { get; } = ["bakery", "school", "inn", "church", "market", "library"];

    /// <summary>The largest number of the world's arithmetic: sums reach it, differences start from it at most.</summary>
    public const int LargestNumber = 10;

    /// <summary>The way from one place to another: one or two doors to the left or right, or straight across the green.</summary>
    /// <param name="from">Index into <see cref="Places"/>.</param>
    /// <param name="to">Another index.</param>
    /// <exception cref="ArgumentException">Both are the same place, or one is not a place.</exception>
    public static Route RouteBetween(int from, int to)
    {
        if (from == to || (uint)from >= Places.Count || (uint)to >= Places.Count)
            throw new ArgumentException($"There is no way from place {from} to place {to}; places are 0 to {Places.Count - 1}.");
        return ((to - from + Places.Count) % Places.Count) switch
        {
            1 => new Route(Side.Left, 1),
            2 => new Route(Side.Left, 2),
            3 => new Route(Side.Across, 0),
            4 => new Route(Side.Right, 2),
            _ => new Route(Side.Right, 1),
        };
    }
}
