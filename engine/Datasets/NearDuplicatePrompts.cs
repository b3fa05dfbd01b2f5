using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>Prompts that are the same but for capitals, spaces, line ends and final punctuation.</summary>
/// <param name="Key">Their common normalised text.</param>
/// <param name="Ids">At least two, in the order given.</param>
public sealed record NearDuplicateGroup(string Key, IReadOnlyList<string> Ids);

/// <summary>Finds prompts that count twice, and test prompts that training has seen.</summary>
public static class NearDuplicatePrompts
{
    /// <summary>Groups of prompts with the same normalised text, largest first. Memory: one key a prompt.</summary>
    public static IReadOnlyList<NearDuplicateGroup> Find(IEnumerable<(string Id, IReadOnlyList<Message> Prompt)> prompts) =>
        [.. prompts.GroupBy(entry => PromptSplit.Key(entry.Prompt), entry => entry.Id, StringComparer.Ordinal)
            .Select(group => new NearDuplicateGroup(group.Key, [.. group]))
            .Where(group => group.Ids.Count > 1)
            .OrderByDescending(group => group.Ids.Count).ThenBy(group => group.Key, StringComparer.Ordinal)];

    /// <summary>Ids of held-out prompts whose normalised text also stands in training: each makes a held-out number too good.</summary>
    public static IReadOnlyList<string> Leaks(IEnumerable<IReadOnlyList<Message>> training, IEnumerable<(string Id, IReadOnlyList<Message> Prompt)> heldOut)
    {
        HashSet<string> seen = training.Select(PromptSplit.Key).ToHashSet(StringComparer.Ordinal);
        return [.. heldOut.Where(entry => seen.Contains(PromptSplit.Key(entry.Prompt))).Select(entry => entry.Id)];
    }
}
