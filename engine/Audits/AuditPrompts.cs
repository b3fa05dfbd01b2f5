using System.Security.Cryptography;
using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Engine.Audits;

/// <summary>The prompts of an audit, as they were read or chosen.</summary>
/// <param name="Duplicates">Prompts left out because an earlier one has the same text.</param>
/// <param name="OtherLines">Lines that hold no prompt (the portal's own files hold responses and judgements too).</param>
public sealed record AuditPrompts(IReadOnlyList<AuditPrompt> All, int Duplicates, int OtherLines)
{
    /// <summary>Prompts of which a split can be made.</summary>
    private const int SplitMin = 3;

    /// <summary>
    /// Reads prompts, one JSON object a line: <c>prompt</c> (a question, or turns) or <c>messages</c> (turns of <c>role</c> and <c>content</c>); where known <c>id</c>, <c>tags</c>, and <c>part</c>
    /// ("train", "holdout", "test") for prompts that were split before. Files of the portal are read as they are.
    /// </summary>
    /// <exception cref="CannotTrain">The file is missing or a line is wrong; the message names file and line.</exception>
    public static AuditPrompts Read(string path, CancellationToken stop)
    {
        if (!File.Exists(path))
            throw new CannotTrain($"{path}: there is no such file.");
        var (name, others) = (Path.GetFileName(path), 0);
        List<(string Id, IReadOnlyList<Turn> Turns, IReadOnlyList<string> Tags, AuditPart? Part)> rows = [];
        foreach (var (index, line) in File.ReadLines(path).Index())
        {
            stop.ThrowIfCancellationRequested();
            if (string.IsNullOrWhiteSpace(line))
                continue;
            if (RowOf(line, index + 1, name) is { } row)
                rows.Add(row);
            else
                others++;
        }
        if (rows.GroupBy(row => row.Id, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new CannotTrain($"{name}: two prompts have the id '{twice.Key}'.");
        if (rows.Any(row => row.Part is null) && rows.FirstOrDefault(row => row.Part is not null) is { Id: { } first })
            throw new CannotTrain($"{name}: prompt '{first}' has a part and others have none. Give all of them a part, or leave the split to the audit.");
        return Of(rows, others);
    }

    /// <summary>Prompts that are at hand: id, turns and tags.</summary>
    public static AuditPrompts Of(IEnumerable<(string Id, IReadOnlyList<Turn> Turns, IReadOnlyList<string> Tags, AuditPart? Part)> rows, int otherLines = 0)
    {
        var (kept, duplicates) = (new List<AuditPrompt>(), 0);
        var first = new Dictionary<string, string>(StringComparer.Ordinal); // text -> id
        var seen = new HashSet<(string, AuditPart?)>();
        foreach (var (id, turns, tags, part) in rows)
        {
            var text = PromptSplit.Key(StoredTurns.ToMessages(turns));
            first.TryAdd(text, id);
            // The same text in two parts stays in both: that is a leak, and the verdict must say so.
            if (seen.Add((text, part)))
                kept.Add(new AuditPrompt(id, first[text], StoredTurns.ForTraining(turns), tags, part));
            else
                duplicates++;
        }
        return new AuditPrompts(kept, duplicates, otherLines);
    }

    /// <summary>A part for each prompt: those given, else a random choice of at most so many, split by the text of the prompt (<see cref="IrlSplit.ByPrompt"/>).</summary>
    /// <returns>In the order of the file. Fewer than three are all for training: nothing can be measured on them.</returns>
    public IReadOnlyList<AuditPrompt> Assign(AuditReward spec)
    {
        if (All.Count > 0 && All[0].Part is not null)
            return All;
        var random = new SeededRandom((ulong)spec.Seed).Split("audit prompts");
        var order = Enumerable.Range(0, All.Count).ToArray();
        random.Shuffle(order);
        AuditPrompt[] chosen = [.. order.Take(spec.PromptsMax).Order().Select(i => All[i])];
        if (chosen.Length < SplitMin)
            return [.. chosen.Select(prompt => prompt with { Part = AuditPart.Train })];
        var split = IrlSplit.ByPrompt([.. chosen.Select(prompt => new IrlPair(prompt.Key, [], []))], random, spec.HoldoutShare, spec.TestShare);
        var parts = new[] { (AuditPart.Train, split.Train), (AuditPart.Holdout, split.Holdout), (AuditPart.Test, split.Test) }
            .SelectMany(part => part.Item2.Select(pair => (pair.PromptId, part.Item1))).ToDictionary(entry => entry.PromptId, entry => entry.Item2, StringComparer.Ordinal);
        return [.. chosen.Select(prompt => prompt with { Part = parts[prompt.Key] })];
    }

    /// <summary>SHA-256 of a text, hexadecimal.</summary>
    internal static string HashOf(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static (string, IReadOnlyList<Turn>, IReadOnlyList<string>, AuditPart?)? RowOf(string line, int number, string name)
    {
        var where = $"{name}, line {number}";
        try
        {
            using var document = JsonDocument.Parse(line);
            var row = document.RootElement;
            if (row.ValueKind is not JsonValueKind.Object)
                throw new CannotTrain($"{where}: a JSON object is expected.");
            if (row.TryGetProperty("type", out var type) && type.ValueKind is JsonValueKind.String && type.GetString() != "prompt")
                return null;
            var id = !row.TryGetProperty("id", out var given) ? $"line {number}" : given.ValueKind is JsonValueKind.String && given.GetString() is { Length: > 0 } text ? text
                : throw new CannotTrain($"{where}: id must be a text that is not empty.");
            string[] tags = row.TryGetProperty("tags", out var words) && words.ValueKind is not JsonValueKind.Null ? words.Deserialize<string[]>() ?? [] : [];
            AuditPart? part = !row.TryGetProperty("part", out var said) ? null : Enum.TryParse<AuditPart>(said.GetString(), ignoreCase: true, out var known) ? known
                : throw new CannotTrain($"{where}: part is \"{said.GetString()}\"; it must be train, holdout or test.");
            return (id, TurnsOf(row, where), tags, part);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CannotTrain($"{where}: {e.Message}", e);
        }
    }

    private static IReadOnlyList<Turn> TurnsOf(JsonElement row, string where)
    {
        if (row.TryGetProperty("prompt", out var prompt) && prompt.ValueKind is JsonValueKind.String)
            return prompt.GetString() is { } text && !string.IsNullOrWhiteSpace(text) ? [new Turn("user", text)] : throw new CannotTrain($"{where}: prompt is empty.");
        if (prompt.ValueKind is not JsonValueKind.Array && !(row.TryGetProperty("messages", out prompt) && prompt.ValueKind is JsonValueKind.Array))
            throw new CannotTrain($"{where}: there is no prompt; give \"prompt\" or \"messages\".");
        var turns = prompt.Deserialize<List<Turn>>() ?? [];
        if (turns.Count == 0 || turns.Any(turn => turn.Role is not ("system" or "user" or "assistant" or "tool") || turn.Content is null) || turns[^1].Role is not ("user" or "tool"))
            throw new CannotTrain($"{where}: turns have the roles system, user, assistant or tool and a content, and the last one asks.");
        return turns;
    }
}
