using static Portal.Engine.TinyAssistant.WorldFacts;

namespace Portal.Engine.TinyAssistant.Grading;

/// <summary>Decides whether the body of a response answers the question, and rightly.</summary>
/// <remarks>
/// One rule for all topics: collect everything the body claims about the asked thing. Nothing claimed, or only a part
/// of what is needed, is vague; any false claim makes the answer wrong, even beside a right one; a denied truth is false.
/// </remarks>
internal static class AnswerReader
{
    private static readonly HashSet<string> methods = [.. Dishes.Select(dish => dish.Method)];
    private static readonly HashSet<string> ingredients = [.. Dishes.SelectMany(dish => dish.Ingredients)];
    private static readonly HashSet<string> denials = ["not", "never", "no"];

    /// <param name="question">With a topic.</param>
    /// <param name="body">The sentences that are not openings, closings, insults or other extras.</param>
    public static AnswerGrade Read(ReadPrompt question, IReadOnlyList<Sentence> body)
    {
        if (question.Sum is { } sum) return Sum(sum.First, sum.Second, sum.IsDifference, body);
        if (question.AnimalQuestion is { } asked) return AnimalAnswer(asked.Animal, asked.Attribute, body);
        if (question.Dish is { } dish) return Recipe(dish, body);
        if (question.Way is { } way) return Way(way.From, way.To, body);
        return AnswerGrade.NotApplicable;
    }

    private static AnswerGrade Sum(int first, int second, bool isDifference, IReadOnlyList<Sentence> body)
    {
        var truth = isDifference ? first - second : first + second;
        var grade = AnswerGrade.Vague;
        foreach (var sentence in body)
        {
            var words = sentence.Words;
            for (var i = 0; i < words.Count; i++)
            {
                var number = PromptReader.NumberOf(words[i]);
                if (number < 0) continue;
                // "3 plus 4" repeats the question and is no answer; another sum in its place is a false claim.
                if (i + 2 < words.Count && words[i + 1] is "plus" or "minus" or "and" && i + 2 < words.Count && PromptReader.NumberOf(words[i + 2]) is >= 0 and var other)
                {
                    var repeats = (words[i + 1] == "minus") == isDifference && (number == first && other == second || !isDifference && number == second && other == first);
                    if (!repeats) return AnswerGrade.Wrong;
                    i += 2;
                    continue;
                }
                if (number != truth || words.Any(denials.Contains)) return AnswerGrade.Wrong;
                grade = AnswerGrade.Correct;
            }
        }
        return grade;
    }

    private static AnswerGrade AnimalAnswer(Animal animal, AnimalAttribute attribute, IReadOnlyList<Sentence> body)
    {
        var grade = AnswerGrade.Vague;
        foreach (var sentence in body)
        {
            var aboutAnother = false;
            var (right, wrong, elsewhere) = (false, false, false);
            foreach (var word in sentence.Words)
            {
                foreach (var candidate in Animals)
                {
                    if (candidate.Name == word) aboutAnother |= candidate != animal;
                    else if (candidate[attribute] == word)
                    {
                        right |= candidate == animal;
                        wrong |= candidate != animal;
                    }
                    else elsewhere |= word == candidate.Food || word == candidate.Home || word == candidate.Sound || word == candidate.Young;
                }
            }
            // "A cow eats barn": the right kind of sentence with a thing of the wrong kind.
            if (elsewhere && !right) wrong |= PromptReader.CuesAttribute(attribute, sentence.Words);
            if (wrong || right && (aboutAnother || sentence.Words.Any(denials.Contains))) return AnswerGrade.Wrong;
            if (right) grade = AnswerGrade.Correct;
        }
        return grade;
    }

    private static AnswerGrade Recipe(Dish dish, IReadOnlyList<Sentence> body)
    {
        HashSet<string> named = [];
        var (wrong, denied, otherDish) = (false, false, false);
        foreach (var sentence in body)
        {
            foreach (var word in sentence.Words)
            {
                if (word == dish.Name) continue;
                if (ingredients.Contains(word))
                {
                    named.Add(word);
                    wrong |= !dish.Ingredients.Contains(word);
                    denied |= sentence.Words.Any(denials.Contains);
                }
                else if (methods.Contains(word)) wrong |= word != dish.Method;
                else otherDish |= Dishes.Any(other => other.Name == word);
            }
        }
        if (wrong || denied || otherDish && named.Count > 0) return AnswerGrade.Wrong;
        return named.Count == dish.Ingredients.Count ? AnswerGrade.Correct : AnswerGrade.Vague;
    }

    private static AnswerGrade Way(int from, int to, IReadOnlyList<Sentence> body)
    {
        var truth = RouteBetween(from, to);
        HashSet<Side> sides = [];
        HashSet<int> doors = [];
        var falsePlace = false;
        foreach (var sentence in body)
        {
            var words = sentence.Words;
            for (var i = 0; i < words.Count; i++)
            {
                switch (words[i])
                {
                    case "left": sides.Add(Side.Left); break;
                    case "right": sides.Add(Side.Right); break;
                    case "across" or "straight": sides.Add(Side.Across); break;
                    case "first": doors.Add(1); break;
                    case "second": doors.Add(2); break;
                }
                var place = PromptReader.PlaceIndex(words[i]);
                if (place >= 0) falsePlace |= place != (i >= 2 && words[i - 2] == "from" ? from : to);
            }
        }
        if (sides.Count == 0) return AnswerGrade.Vague;
        if (falsePlace || sides.Count > 1 || !sides.Contains(truth.Side) || doors.Any(door => door != truth.Door)) return AnswerGrade.Wrong;
        return truth.Side == Side.Across || doors.Count == 1 ? AnswerGrade.Correct : AnswerGrade.Vague;
    }
}
