namespace Portal.Engine.Datasets.Formats;

/// <summary>A judgement, prompt or pair to be written out, and what an export must know about it beyond the row itself.</summary>
/// <param name="Id">Names the row in the report.</param>
/// <param name="Row">What is written.</param>
/// <param name="Superseded">A later version of this judgement exists: only the lossless format carries it.</param>
/// <param name="Withdrawn">Why the row must not leave (flagged, unlearned, skipped …); null where it may.</param>
public sealed record ExportRow(string Id, ParsedRow Row, bool Superseded = false, string? Withdrawn = null);

/// <summary>One reason for which rows were left out of a file.</summary>
/// <param name="Reason">In words for people.</param>
/// <param name="Count">How many rows.</param>
/// <param name="FirstIds">The first ten.</param>
public sealed record DroppedRows(string Reason, long Count, IReadOnlyList<string> FirstIds);

/// <summary>What an export wrote and what it could not carry: written + all dropped = rows given.</summary>
/// <param name="RowsGiven">Rows that were to be exported.</param>
/// <param name="RowsWritten">Rows that are in the file (a pair split into two lines counts once).</param>
/// <param name="LinesWritten">Lines in the file.</param>
/// <param name="Dropped">By reason, most frequent first.</param>
/// <param name="FieldsNotCarried">What the format has no place for, although its row was written: field and number of rows.</param>
public sealed record ExportReport(long RowsGiven, long RowsWritten, long LinesWritten, IReadOnlyList<DroppedRows> Dropped, IReadOnlyDictionary<string, long> FieldsNotCarried);

/// <summary>Counts while an export runs.</summary>
internal sealed class ExportCounter
{
    private const int IdsKept = 10;
    private readonly Dictionary<string, (long Count, List<string> Ids)> dropped = [];
    private readonly SortedDictionary<string, long> notCarried = new(StringComparer.Ordinal);
    private long given, written, lines;

    public void Given() => given++;

    public void Written(int lineCount)
    {
        written++;
        lines += lineCount;
    }

    public void Drop(string id, string reason)
    {
        (long count, List<string> ids) = dropped.TryGetValue(reason, out var entry) ? entry : (0, []);
        if (ids.Count < IdsKept) ids.Add(id);
        dropped[reason] = (count + 1, ids);
    }

    public void NotCarried(string field) => notCarried[field] = notCarried.GetValueOrDefault(field) + 1;

    public ExportReport Report() => new(given, written, lines,
        [.. dropped.OrderByDescending(entry => entry.Value.Count).ThenBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => new DroppedRows(entry.Key, entry.Value.Count, entry.Value.Ids))],
        notCarried);

    /// <summary>Why a row may not go into a file of plain training rows, or null. Every such format drops for these reasons.</summary>
    public static string? NeverExported(ExportRow row) => row.Withdrawn is not null ? row.Withdrawn : row.Superseded ? "superseded by a later version" : null;

    /// <summary>Why a verdict makes no training pair, or null.</summary>
    public static string? NoPreference(PairVerdict? verdict) => verdict switch
    {
        PairVerdict.FirstBetter or PairVerdict.SecondBetter => null,
        PairVerdict.Tie => "tie",
        PairVerdict.BothGood => "both good",
        PairVerdict.BothBad => "both bad",
        PairVerdict.CannotJudge => "cannot judge",
        null => "not judged yet",
    };
}
