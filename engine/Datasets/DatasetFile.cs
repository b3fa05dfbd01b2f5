using Portal.Data.Feedback;
using Portal.Engine.Datasets.Formats;
using BinaryVerdict = Portal.Engine.Datasets.Formats.BinaryVerdict;

namespace Portal.Engine.Datasets;

/// <summary>
/// Training rows from a file, for the command line: any format the portal imports. Rows that cannot be used are counted by reason, never
/// silently dropped; the split by prompt is the one the portal makes.
/// </summary>
/// <param name="Rows">What was read, with the key of each prompt.</param>
/// <param name="Problems">Rows that were refused, each with row, field and reason.</param>
/// <param name="Answers">Every response of the file with its prompt, those that nobody judged too.</param>
/// <param name="Asked">Every prompt of the file, those that nobody answered too.</param>
public sealed record DatasetFile(IReadOnlyList<(string PromptKey, ParsedRow Row)> Rows, IReadOnlyList<RowProblem> Problems, IReadOnlyList<(IReadOnlyList<Message> Prompt, string Text)> Answers,
    IReadOnlyList<IReadOnlyList<Message>> Asked)
{
    /// <summary>Reads a whole file.</summary>
    /// <exception cref="CannotTrain">The file is missing or cannot be read at all.</exception>
    public static DatasetFile Read(string path, CancellationToken stop)
    {
        if (!File.Exists(path))
            throw new CannotTrain($"{path}: there is no such file.");
        var rows = new List<(string, ParsedRow)>();
        var problems = new List<RowProblem>();
        var records = new PortalRows();
        try
        {
            using var file = File.OpenRead(path);
            foreach (var outcome in ImportReader.ReadAll(file, Path.GetFileName(path), new ImportOptions { FindDuplicates = false }, stop))
            {
                problems.AddRange(outcome.Problems);
                if (outcome is { Accepted: true, Parsed: { } row })
                    rows.Add((PromptSplit.Key(row.Prompt), row));
                else if (outcome is { Accepted: true, Record: { } record } && records.Add(record, outcome.Row, Path.GetFileName(path)) is { } problem)
                    problems.Add(problem);
            }
        }
        catch (CannotImportException e)
        {
            throw new CannotTrain(e.Message, e);
        }
        rows.AddRange(records.Judgements.Select(row => (PromptSplit.Key(row.Prompt), row)));
        return new DatasetFile(rows, problems, [.. rows.SelectMany(entry => entry.Item2.Responses.Select(text => (entry.Item2.Prompt, text))), .. records.Responses],
            [.. rows.Select(entry => entry.Item2.Prompt), .. records.Prompts]);
    }

    /// <summary>Pairs with a preference, split by prompt.</summary>
    public TrainingSplit<PreferencePair> Pairs(double heldOutShare, long splitSeed, IDictionary<string, int> unused) =>
        Split(heldOutShare, splitSeed, unused, (key, row) => row switch
        {
            { Kind: RowKind.Preference, Chosen: { } chosen, Rejected: { } rejected } =>
                new PreferencePair(key, Turns(row.Prompt), chosen, rejected, row.Margin ?? (row.Strength is { } strength ? strength / 3.0 : null)),
            _ => null,
        });

    /// <summary>Single verdicts, split by prompt.</summary>
    public TrainingSplit<LabelledResponse> Verdicts(double heldOutShare, long splitSeed, IDictionary<string, int> unused) =>
        Split(heldOutShare, splitSeed, unused, (key, row) => row switch
        {
            { Kind: RowKind.Binary, Binary: BinaryVerdict.Good or BinaryVerdict.Bad } =>
                new LabelledResponse(key, Turns(row.Prompt), row.Responses[0], row.Binary is BinaryVerdict.Good),
            _ => null,
        });

    /// <summary>Dialogues to imitate: the chosen answer of a pair, or a good answer.</summary>
    public TrainingSplit<TrainingDialogue> Dialogues(double heldOutShare, long splitSeed, IDictionary<string, int> unused) =>
        Split(heldOutShare, splitSeed, unused, (key, row) =>
            row.Chosen is { } chosen ? new TrainingDialogue(key, [.. Turns(row.Prompt), new Turn("assistant", chosen)])
            : row is { Kind: RowKind.Binary, Binary: BinaryVerdict.Good } ? new TrainingDialogue(key, [.. Turns(row.Prompt), new Turn("assistant", row.Responses[0])])
            : null);

    /// <summary>Every response, whatever was said of it; equal ones to equal prompts once. Split by prompt as all others.</summary>
    public TrainingSplit<ResponseText> Responses(double heldOutShare, long splitSeed)
    {
        var split = SplitOf(heldOutShare, splitSeed);
        var byPart = Answers.Select(answer => (Key: PromptSplit.Key(answer.Prompt), answer.Prompt, answer.Text)).DistinctBy(answer => (answer.Key, answer.Text))
            .ToLookup(answer => split.PartOf(answer.Prompt) is SplitPart.Train, answer => new ResponseText(answer.Key, Turns(answer.Prompt), answer.Text));
        return new TrainingSplit<ResponseText>([.. byPart[true]], [.. byPart[false]]);
    }

    /// <summary>Every different prompt, answered or not. Split by prompt as all others.</summary>
    public TrainingSplit<AskedPrompt> Prompts(double heldOutShare, long splitSeed)
    {
        var split = SplitOf(heldOutShare, splitSeed);
        var byPart = Asked.DistinctBy(PromptSplit.Key)
            .ToLookup(prompt => split.PartOf(prompt) is SplitPart.Train, prompt => new AskedPrompt(PromptSplit.Key(prompt), Turns(prompt)));
        return new TrainingSplit<AskedPrompt>([.. byPart[true]], [.. byPart[false]]);
    }

    private TrainingSplit<T> Split<T>(double heldOutShare, long splitSeed, IDictionary<string, int> unused, Func<string, ParsedRow, T?> use) where T : class
    {
        var split = SplitOf(heldOutShare, splitSeed);
        var (train, heldOut) = (new List<T>(), new List<T>());
        foreach (var (key, row) in Rows)
        {
            if (use(key, row) is not { } item)
            {
                var reason = row.Pair is { } pair ? $"{pair}" : row.Binary is { } binary ? $"{binary}" : $"{row.Kind}";
                unused[reason] = (unused.TryGetValue(reason, out var count) ? count : 0) + 1;
                continue;
            }
            (split.PartOf(row.Prompt) is SplitPart.Train ? train : heldOut).Add(item);
        }
        return new TrainingSplit<T>(train, heldOut);
    }

    private static PromptSplit SplitOf(double heldOutShare, long splitSeed) => new(heldOutShare, 0, splitSeed.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static IReadOnlyList<Turn> Turns(IReadOnlyList<Message> messages) => StoredTurns.ForTraining(StoredTurns.Of(messages));
}
