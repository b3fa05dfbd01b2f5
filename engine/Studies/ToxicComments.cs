using System.Globalization;
using System.Text.Json;
using Portal.Data.Feedback;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Statistics;

namespace Portal.Engine.Studies;

/// <summary>A comment as a dialogue: its first words are asked, what follows is the answer.</summary>
public sealed record ToxicComment(string Opening, string Rest)
{
    /// <summary>What a model is asked.</summary>
    public IReadOnlyList<Turn> Prompt => [new Turn("user", Opening)];

    /// <summary>Equal for openings that count as the same prompt: in two parts of a split they would be a leak.</summary>
    public string Key => PromptSplit.Key(StoredTurns.ToMessages(Prompt));
}

/// <summary>Real comments (toxic_spans, from Civil Comments, CC0) and the word lists that say which of them are toxic; reference data, no part of the repository.</summary>
public sealed class ToxicComments
{
    public const string CommentsFile = "data/toxicity/toxic_spans_comments.csv";

    /// <summary>Lists of naughty-words (CC-BY-4.0) and of Surge AI (MIT).</summary>
    public const string WordsFile = "data/toxicity/naughty-words_en.json", RatedWordsFile = "data/toxicity/surge_profanity_en.csv";

    /// <summary>Words of a comment that are asked, and words after them that are kept.</summary>
    public const int OpeningWords = 4, RestWordsMax = 30;

    /// <summary>With fewer words after its opening a comment is left out.</summary>
    private const int RestWordsMin = 4;

    /// <summary>Surge AI's rating (1 to 3) from which a word counts as severe.</summary>
    private const double SevereFrom = 2;

    private ToxicComments(IReadOnlyList<ToxicComment> all, int rows) => (All, Rows) = (all, rows);

    /// <summary>In the order of the file, no opening twice.</summary>
    public IReadOnlyList<ToxicComment> All { get; }

    /// <summary>Comments of the file, also those that were left out: too short, or with the opening of an earlier one.</summary>
    public int Rows { get; }

    /// <summary>Reads the comments.</summary>
    /// <param name="shared">The folder of reference data.</param>
    /// <exception cref="CannotTrain">The file is not there, or is another one; the message names it.</exception>
    public static ToxicComments Read(string shared, CancellationToken stop)
    {
        var (comments, rows, openings) = (new List<ToxicComment>(), 0, new HashSet<string>(StringComparer.Ordinal));
        foreach (var text in Column(Found(shared, CommentsFile), "comment_text", stop))
        {
            rows++;
            var words = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < OpeningWords + RestWordsMin)
                continue;
            var comment = new ToxicComment(string.Join(' ', words.Take(OpeningWords)), string.Join(' ', words.Skip(OpeningWords).Take(RestWordsMax)));
            if (openings.Add(comment.Key))
                comments.Add(comment);
        }
        return new ToxicComments(comments, rows);
    }

    /// <summary>Both word lists as one lexicon. It counts words, not meanings: "finger" is on one of the lists, "idiot" on none.</summary>
    /// <exception cref="CannotTrain">A file is not there, or is another one; the message names it.</exception>
    public static Lexicon LexiconOf(string shared, CancellationToken stop)
    {
        var rated = Found(shared, RatedWordsFile);
        var severe = Column(rated, "text", stop).Zip(Column(rated, "severity_rating", stop)).Where(word => double.TryParse(word.Second, CultureInfo.InvariantCulture, out var rating) && rating >= SevereFrom)
            .Select(word => word.First).ToHashSet(StringComparer.OrdinalIgnoreCase);
        try
        {
            var words = JsonSerializer.Deserialize<string[]>(File.ReadAllBytes(Found(shared, WordsFile))) ?? throw new CannotTrain($"{WordsFile} is empty.");
            return new Lexicon("naughty-words and Surge AI", [.. severe], [.. words.Concat(Column(rated, "text", stop)).Where(word => !severe.Contains(word)).Distinct(StringComparer.OrdinalIgnoreCase)]);
        }
        catch (JsonException e)
        {
            throw new CannotTrain($"{WordsFile}: {e.Message}", e);
        }
    }

    /// <summary>So many comments of a seed's choice, and the rest of them.</summary>
    public (IReadOnlyList<ToxicComment> Asked, IReadOnlyList<ToxicComment> Learnt) Split(int asked, long seed)
    {
        var order = All.ToArray();
        new SeededRandom((ulong)seed).Split("toxic comments").Shuffle(order);
        return order.Length > asked ? (order[..asked], order[asked..]) : throw new CannotTrain($"{CommentsFile} has {order.Length} comments with openings of their own; {asked} are to be asked, and some must be left to learn from.");
    }

    private static IReadOnlyList<string> Column(string path, string name, CancellationToken stop)
    {
        using var file = File.OpenRead(path);
        using var rows = new CsvRows(file, Path.GetFileName(path), ',', new ImportOptions());
        var at = rows.Header.IndexOf(name);
        return at >= 0 ? [.. rows.Rows(stop).Where(row => row.Refusal is null).Select(row => row.Cells[at])] : throw new CannotTrain($"{path} has no column {name}.");
    }

    private static string Found(string shared, string relative) => Path.Combine(shared, relative) is var path && File.Exists(path) ? path : throw new CannotTrain($"--shared: {path} is not there.");
}
