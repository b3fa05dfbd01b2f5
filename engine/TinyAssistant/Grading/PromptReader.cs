using static Portal.Engine.TinyAssistant.WorldFacts;

namespace Portal.Engine.TinyAssistant.Grading;

/// <summary>What a prompt asks, as far as it can be read. One of the three fact parts is set where the topic has facts.</summary>
internal sealed record ReadPrompt(Topic? Topic)
{
    /// <summary>First number, second number, and whether the second is taken away.</summary>
    public (int First, int Second, bool IsDifference)? Sum { get; init; }
    public (Animal Animal, AnimalAttribute Attribute)? AnimalQuestion { get; init; }
    public Dish? Dish { get; init; }
    /// <summary>Indices into <see cref="Places"/>.</summary>
    public (int From, int To)? Way { get; init; }
}

/// <summary>Reads the last user turn: first by words that only one topic has, last by manners.</summary>
internal static class PromptReader
{
    private static readonly HashSet<string> riskyThings = ["shed", "diary", "medicine", "boat", "letter", "homework", "fire", "roof"];
    private static readonly HashSet<string> takingAway = ["minus", "take", "away", "left", "less"];
    private static readonly HashSet<string> greetings = ["hello", "hi", "hey"];

    private static readonly (AnimalAttribute Attribute, HashSet<string> Cues)[] attributeCues =
    [
        (AnimalAttribute.Young, ["young", "baby", "call", "called"]),
        (AnimalAttribute.Sound, ["sound", "sounds", "say", "says", "hear", "noise"]),
        (AnimalAttribute.Food, ["eat", "eats", "food", "feed"]),
        (AnimalAttribute.Home, ["live", "lives", "home", "find", "sleep", "sleeps"]),
    ];

    public static ReadPrompt Read(string prompt)
    {
        var sentences = TextReader.Read(prompt);
        var words = sentences.SelectMany(sentence => sentence.Words).ToArray();
        if (words.Length == 0) return new ReadPrompt((Topic?)null);
        if (words.Any(riskyThings.Contains)) return new ReadPrompt(Topic.Risky);
        if (words.Contains("best") || words.Contains("agree")) return new ReadPrompt(Topic.Opinions);
        return Way(words) ?? Sum(words) ?? AnimalQuestion(words) ?? Recipe(words) ?? Chat(words);
    }

    private static ReadPrompt? Way(string[] words)
    {
        var mentioned = new List<(int Place, int At)>();
        for (var i = 0; i < words.Length; i++)
            if (PlaceIndex(words[i]) is >= 0 and var place && mentioned.All(before => before.Place != place)) mentioned.Add((place, i));
        if (mentioned.Count != 2) return null;
        // The user stands where "from", "at", "left" or "in front of" points; the other house is where they want to go.
        var origin = mentioned.FindIndex(mention => mention.At >= 2 && words[mention.At - 1] == "the"
            && (words[mention.At - 2] is "from" or "at" or "left" || mention.At >= 4 && words[mention.At - 2] == "of" && words[mention.At - 3] == "front"));
        if (origin < 0) return null;
        return new ReadPrompt(Topic.Directions) { Way = (mentioned[origin].Place, mentioned[1 - origin].Place) };
    }

    private static ReadPrompt? Sum(string[] words)
    {
        var numbers = words.Select((word, at) => (Value: NumberOf(word), At: at)).Where(number => number.Value >= 0).ToArray();
        if (numbers.Length != 2) return null;
        var (first, second) = (numbers[0].Value, numbers[1].Value);
        var isDifference = words.Any(takingAway.Contains);
        // "take 3 from 5", "take 3 away from 5": what stands after "from" is what there was.
        var from = Array.IndexOf(words, "from");
        if (isDifference && from > numbers[0].At && from < numbers[1].At) (first, second) = (second, first);
        return new ReadPrompt(Topic.Arithmetic) { Sum = (first, second, isDifference) };
    }

    private static ReadPrompt? AnimalQuestion(string[] words)
    {
        var animal = Animals.FirstOrDefault(candidate => words.Contains(candidate.Name));
        if (animal is null) return null;
        foreach (var (attribute, cues) in attributeCues)
            if (words.Any(cues.Contains)) return new ReadPrompt(Topic.AnimalFacts) { AnimalQuestion = (animal, attribute) };
        return null;
    }

    private static ReadPrompt? Recipe(string[] words)
    {
        var dish = Dishes.FirstOrDefault(candidate => words.Contains(candidate.Name));
        return dish is null ? null : new ReadPrompt(Topic.Recipes) { Dish = dish };
    }

    private static ReadPrompt Chat(string[] words)
    {
        if (words.Count(WorldLanguage.Knows) < words.Length) return new ReadPrompt((Topic?)null);
        var greets = greetings.Contains(words[0]) || words.Length > 1 && words[0] == "good" && words[1] is "morning" or "afternoon" or "evening";
        return new ReadPrompt(greets ? Topic.Greeting : Topic.SmallTalk);
    }

    internal static bool CuesAttribute(AnimalAttribute attribute, IReadOnlyList<string> words)
    {
        foreach (var (candidate, cues) in attributeCues) if (candidate == attribute) return words.Any(cues.Contains);
        return false;
    }

    internal static int PlaceIndex(string word)
    {
        for (var i = 0; i < Places.Count; i++) if (Places[i] == word) return i;
        return -1;
    }

    /// <summary>The number that a word of one or two digits says, or -1.</summary>
    internal static int NumberOf(string word) =>
        word.Length is 1 or 2 && word.All(char.IsAsciiDigit) ? int.Parse(word, System.Globalization.CultureInfo.InvariantCulture) : -1;
}
