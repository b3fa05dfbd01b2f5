using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>Draws prompts that differ from each other, with the world's topic shares.</summary>
internal static class PromptDrawing
{
    /// <summary>Different prompts of one part; null takes any.</summary>
    /// <remarks>
    /// A topic with few prompts (greetings) repeats itself soon; a repeated prompt then gets two earlier turns, which
    /// make it new. So a long list has more than the usual fifth of prompts with earlier turns.
    /// </remarks>
    public static List<WorldPrompt> Draw(SeededRandom random, int count, WorldPart? part, HashSet<string> usedIds)
    {
        List<WorldPrompt> prompts = [];
        for (var i = 0; prompts.Count < count; i++)
        {
            var draw = random.Split(i);
            var topic = (Topic)draw.PickWeighted([.. World.TopicWeights]);
            for (var attempt = 0; attempt < 40; attempt++)
            {
                var prompt = World.WritePrompt(draw, topic, attempt < 4 ? null : true);
                if (part is { } wanted && WorldSplit.Of(prompt.LastText) != wanted) continue;
                if (!usedIds.Add(prompt.Id)) continue;
                prompts.Add(prompt);
                break;
            }
        }
        return prompts;
    }

    /// <summary>Asks the source for responses and keeps the first <paramref name="count"/> different ones that are not blank.</summary>
    /// <remarks>More are asked for (<see cref="AskedFor"/>), because a small model repeats itself; fewer may remain.</remarks>
    public static List<WorldResponse> Respond(WorldPrompt prompt, int count, Func<WorldPrompt, int, IReadOnlyList<string>> source) =>
        [.. source(prompt, AskedFor(count)).Where(text => !string.IsNullOrWhiteSpace(text)).Distinct().Take(count).Select(text => WorldResponse.Of(prompt, text))];

    /// <summary>How many answers are asked for to get so many different ones: half as many again.</summary>
    public static int AskedFor(int count) => count + count / 2;
}
