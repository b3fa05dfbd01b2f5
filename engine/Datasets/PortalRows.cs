using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>
/// Joins the lines of the portal's own JSONL into rows: a judgement with the prompt and the responses it names. Lines may refer to earlier ones only,
/// which is how the format is written.
/// </summary>
internal sealed class PortalRows
{
    private readonly Dictionary<string, PromptRecord> prompts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ResponseRecord> responses = new(StringComparer.Ordinal);
    private readonly List<(string Id, ParsedRow Row)> judgements = [];
    private readonly HashSet<string> superseded = new(StringComparer.Ordinal);

    /// <summary>Every judgement that no later one supersedes, in the order of the file.</summary>
    public IEnumerable<ParsedRow> Judgements => judgements.Where(entry => !superseded.Contains(entry.Id)).Select(entry => entry.Row);

    /// <summary>Every prompt, answered or not.</summary>
    public IEnumerable<IReadOnlyList<Message>> Prompts => prompts.Values.Select(prompt => prompt.Messages);

    /// <summary>Every response, judged or not.</summary>
    public IEnumerable<(IReadOnlyList<Message> Prompt, string Text)> Responses =>
        responses.Values.Where(response => prompts.ContainsKey(response.PromptId)).Select(response => (prompts[response.PromptId].Messages, response.Text));

    /// <summary>Takes a line.</summary>
    /// <returns>What it names that is not in the file so far; null when there is nothing wrong.</returns>
    public RowProblem? Add(PortalRecord record, long line, string file)
    {
        switch (record)
        {
            case PromptRecord prompt:
                prompts[prompt.Id] = prompt;
                return null;
            case ResponseRecord response:
                responses[response.Id] = response;
                return Missing(line, file, response.PromptId);
            case PairwiseRecord pair:
                if (pair.Supersedes is { } earlierPair)
                    superseded.Add(earlierPair);
                if (Missing(line, file, pair.PromptId, pair.ResponseAId, pair.ResponseBId) is { } noPair)
                    return noPair;
                judgements.Add((pair.Id, new ParsedRow
                {
                    RowNumber = line, Kind = RowKind.Preference, Prompt = prompts[pair.PromptId].Messages, Responses = [responses[pair.ResponseAId].Text, responses[pair.ResponseBId].Text],
                    Pair = pair.Verdict, Strength = pair.Strength, Annotator = pair.Annotator, Source = pair.Source,
                }));
                return null;
            case BinaryRecord binary:
                if (binary.Supersedes is { } earlier)
                    superseded.Add(earlier);
                if (Missing(line, file, binary.PromptId, binary.ResponseId) is { } none)
                    return none;
                judgements.Add((binary.Id, new ParsedRow
                {
                    RowNumber = line, Kind = RowKind.Binary, Prompt = prompts[binary.PromptId].Messages, Responses = [responses[binary.ResponseId].Text], Binary = binary.Verdict,
                    Annotator = binary.Annotator, Source = binary.Source,
                }));
                return null;
            default:
                return null;
        }
    }

    private RowProblem? Missing(long line, string file, string promptId, params ReadOnlySpan<string> responseIds)
    {
        if (!prompts.ContainsKey(promptId))
            return new RowProblem(file, line, "prompt_id", $"names the prompt \"{promptId}\", which no earlier line has.");
        foreach (var id in responseIds)
        {
            if (!responses.ContainsKey(id))
                return new RowProblem(file, line, "response_id", $"names the response \"{id}\", which no earlier line has.");
        }
        return null;
    }
}
