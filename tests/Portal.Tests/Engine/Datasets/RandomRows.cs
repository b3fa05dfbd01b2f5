using Portal.Engine.Datasets.Formats;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Random rows and records for round-trip tests: awkward texts on purpose (quotes, line breaks, formula signs, emoji, right-to-left, markers of other formats).</summary>
internal sealed class RandomRows(int seed)
{
    private static readonly string[] Pieces =
    [
        "a", "Blue.", " ", "\n", "\r\n", "\t", "\"", "\\", "{", "]", ",", ";", "=1+1", "é", "中文", "😀", "שלום", "\u2028", "</script>", "\n\nHuman: ", "\n\nAssistant: ", "null", "\u0001", "\uFEFF",
    ];

    private readonly Random random = new(seed);
    private int ids;

    public ParsedRow Judged(int row)
    {
        bool pair = random.Next(3) > 0;
        PairVerdict? verdict = pair ? (PairVerdict)random.Next(6) : null;
        string first = Text(), second = Text();
        while (second.Trim() == first.Trim()) second = Text();
        return new ParsedRow
        {
            RowNumber = row, Kind = pair ? RowKind.Preference : RowKind.Binary, Prompt = Prompt(), Responses = pair ? [first, second] : [first],
            Pair = verdict, Binary = pair ? null : (BinaryVerdict)random.Next(3),
            Strength = verdict is PairVerdict.FirstBetter or PairVerdict.SecondBetter && Coin() ? random.Next(1, 4) : null,
            Margin = pair && Coin() ? random.NextDouble() * 4 : null, Annotator = Coin() ? "sim-" + random.Next(24) : null,
            FirstShownLeft = pair && Coin() ? Coin() : null, Source = Coin() ? "import " + random.Next(3) : null,
            Extra = Coin() ? new Dictionary<string, string> { ["topic"] = Text(), ["Ärger \"1\""] = Text() } : new Dictionary<string, string>(),
        };
    }

    public PortalRecord Record() => random.Next(8) switch
    {
        0 => new ProjectRecord(Id(), Text()) { Guidelines = Maybe(Text), ContentWarning = Maybe(Text), TaskKinds = Coin() ? ["pairwise", "binary"] : [], VotesPerTask = Coin() ? 3 : null, ExportedAt = Time(), Generator = Maybe(Text), Extra = Extra() },
        1 => new PromptRecord(Id(), Prompt()) { Source = Maybe(Text), ExternalId = Maybe(Text), Tags = Coin() ? [Text(), ""] : [], CreatedAt = Time(), Extra = Extra() },
        2 => new ResponseRecord(Id(), Id(), Text()) { ModelVersion = Maybe(Text), Sampling = Coin() ? new SortedDictionary<string, string>(StringComparer.Ordinal) { ["temperature"] = "0.8", ["x"] = Text() } : new SortedDictionary<string, string>(), Source = Maybe(Text), CreatedAt = Time(), Extra = Extra() },
        3 => new TaskRecord(Id(), Id(), Coin() ? "pairwise" : "binary", [Id(), Id()]) { VotesWanted = Coin() ? random.Next(5) : null, State = Maybe(Text), Gold = Coin() ? Coin() : null, CreatedAt = Time(), Extra = Extra() },
        4 => Pairwise(),
        5 => new BinaryRecord(Id(), Id(), Id(), (BinaryVerdict)random.Next(3), "sim-01") { TaskId = Maybe(Id), Rationale = Maybe(Text), Reasons = Coin() ? [Text()] : [], Source = Maybe(Text), Supersedes = Maybe(Id), Weight = Coin() ? random.NextDouble() : null, ShownAt = Time(), JudgedAt = Time(), Extra = Extra() },
        6 => new SkipRecord(Id(), Id(), "sim-02") { Reason = Maybe(Text), SkippedAt = Time(), Extra = Extra() },
        _ => new FlagRecord(Id(), "response", Id(), "sim-03") { Reason = Maybe(Text), Note = Maybe(Text), State = Maybe(Text), FlaggedAt = Time(), Extra = Extra() },
    };

    private PairwiseRecord Pairwise()
    {
        string a = Id(), b = Id();
        var verdict = (PairVerdict)random.Next(6);
        return new PairwiseRecord(Id(), Id(), a, b, verdict, "sim-04")
        {
            TaskId = Maybe(Id), Strength = verdict is PairVerdict.FirstBetter or PairVerdict.SecondBetter && Coin() ? random.Next(1, 4) : null, ShownLeftId = Coin() ? Coin() ? a : b : null,
            Layout = Maybe(Text), Seed = Coin() ? ((ulong)random.NextInt64()).ToString() : null, Rationale = Maybe(Text), Source = Maybe(Text), Supersedes = Maybe(Id),
            Weight = Coin() ? random.NextDouble() : null, ShownAt = Time(), JudgedAt = Time(), Extra = Extra(),
        };
    }

    private List<Message> Prompt()
    {
        var prompt = new List<Message>();
        if (Coin()) prompt.Add(new Message(MessageRole.System, Text()));
        for (int turns = random.Next(3); turns > 0; turns--)
        {
            prompt.Add(new Message(MessageRole.User, Text()));
            prompt.Add(new Message(MessageRole.Assistant, Text()));
        }

        prompt.Add(new Message(MessageRole.User, Text()));
        return prompt;
    }

    private string Text()
    {
        string text = string.Concat(Enumerable.Range(0, random.Next(1, 8)).Select(_ => Pieces[random.Next(Pieces.Length)]));
        return string.IsNullOrWhiteSpace(text) ? text + "x" : text;
    }

    private IReadOnlyDictionary<string, string> Extra() =>
        Coin() ? new SortedDictionary<string, string> { ["x_number"] = "1.50", ["x_text"] = "\"1\"", ["x_list"] = "[1,{\"a\":null}]", ["x_null"] = "null" } : new SortedDictionary<string, string>();

    private string Id() => $"id-{++ids}";

    private bool Coin() => random.Next(2) == 0;

    private string? Maybe(Func<string> make) => Coin() ? make() : null;

    private DateTimeOffset? Time() => Coin() ? new DateTimeOffset(2026, random.Next(1, 13), 3, 4, 5, 6, TimeSpan.FromMinutes(30 * random.Next(-10, 11))).AddTicks(random.Next(10_000_000)) : null;
}
