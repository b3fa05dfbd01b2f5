using System.Security.Claims;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>Which pairs of an audit stand behind a number.</summary>
public enum AuditPairsOf
{
    /// <summary>Every pair.</summary>
    All,
    /// <summary>In which a feature speaks most for the audited text, most first.</summary>
    Incentive,
    /// <summary>Test pairs that the runs leave undecided, those that more data could settle first.</summary>
    Undetermined,
    /// <summary>Test pairs of one bar of the reliability diagram of the audit's own method.</summary>
    Bin,
    /// <summary>Test pairs that two runs of a method order differently.</summary>
    Runs,
    /// <summary>Test prompts with a text on which recovered and trained reward differ most, most first.</summary>
    Apart,
}

/// <summary>The pairs that are asked for.</summary>
/// <param name="Table">Name of the incentive table, for <see cref="AuditPairsOf.Incentive"/>.</param>
/// <param name="Feature">Key of its row.</param>
/// <param name="Method">For <see cref="AuditPairsOf.Runs"/>.</param>
/// <param name="First">Index of a bar, or of a run.</param>
/// <param name="Second">Index of the other run.</param>
public sealed record AuditPairsQuery(AuditPairsOf Of, string? Table = null, string? Feature = null, string? Method = null, int First = 0, int Second = 0);

/// <summary>A pair and the number it was chosen by; null where there is none.</summary>
public sealed record AuditPairNumber(string Pair, double? Value);

/// <summary>One pair in a list.</summary>
/// <param name="Audited">Null when its row is gone, as is <paramref name="Base"/>.</param>
/// <param name="Value">What it was chosen by; null where there is no number.</param>
public sealed record AuditPairRow(AuditPair Pair, AuditTextShown? Audited, AuditTextShown? Base, double? Value);

/// <summary>A page of pairs.</summary>
/// <param name="Feature">The row they are examples of; null for other lists.</param>
/// <param name="Total">Pairs of the whole list.</param>
public sealed record AuditPairsView(EndedAudit Audit, AuditPairsQuery Query, AuditIncentive? Feature, IReadOnlyList<AuditPairRow> Rows, int Total, int Page);

/// <summary>Lists pairs of an audit with their texts, so that every number leads to what it was measured on.</summary>
[Needs(Permission.Audit)]
public sealed class ShowAuditPairs(ReadAudit read)
{
    public const int RowsMax = 20;

    private static readonly Problem NotEnded = new("audit", "This audit has not ended, so it has no pairs yet.", ProblemKind.NotFound);
    private static readonly Problem Unknown = new("show", "This audit has no such pairs. Go back to its page and choose a number there.", ProblemKind.NotFound);

    /// <param name="page">0-based.</param>
    public async Task<Outcome<AuditPairsView>> Handle(ClaimsPrincipal user, JobId job, AuditPairsQuery query, int page, CancellationToken stop)
    {
        var ended = await read.Ended(user, job, NotEnded, stop);
        if (ended.Refusal is { } refusal)
            return refusal;
        var audit = ended.Value;
        if (Choose(audit.Report, query, audit.Folder.Scores) is not { } chosen)
            return Unknown;
        var byId = audit.Report.Pairs.ToDictionary(pair => pair.Id, StringComparer.Ordinal);
        var known = chosen.Where(one => byId.ContainsKey(one.Pair)).ToList();
        page = Math.Clamp(page, 0, Math.Max(0, (known.Count - 1) / RowsMax));
        var rows = known.Skip(page * RowsMax).Take(RowsMax).Select(one => (Pair: byId[one.Pair], one.Value)).ToList();
        var texts = await read.OfPairs(user, job, rows.Select(row => row.Pair), stop);
        if (texts.Refusal is { } why)
            return why;
        return new AuditPairsView(audit, query, FeatureOf(audit.Report, query),
            [.. rows.Select(row => new AuditPairRow(row.Pair, texts.Value.GetValueOrDefault(row.Pair.AuditedText), texts.Value.GetValueOrDefault(row.Pair.BaseText), row.Value))], known.Count, page);
    }

    /// <summary>Ids of the pairs in the order of the list; null where the report has no such thing.</summary>
    /// <param name="scores">Read only where runs are compared.</param>
    internal static IReadOnlyList<AuditPairNumber>? Choose(AuditReport report, AuditPairsQuery query, Func<IEnumerable<TextScores>> scores) => query.Of switch
    {
        AuditPairsOf.All => [.. report.Pairs.Select(pair => new AuditPairNumber(pair.Id, null))],
        AuditPairsOf.Incentive => FeatureOf(report, query)?.ExamplePairs.Select(pair => new AuditPairNumber(pair, null)).ToList(),
        AuditPairsOf.Undetermined => [.. report.TestPairs.Where(pair => pair.IsUndetermined).OrderByDescending(pair => pair.Epistemic).Select(pair => new AuditPairNumber(pair.Pair, pair.Epistemic))],
        AuditPairsOf.Bin => Bin(report, query.First),
        AuditPairsOf.Runs => Differently(report, query, scores),
        AuditPairsOf.Apart => [.. report.Points.Where(point => point.Reference is not null && AuditTextId.Parse(point.Text) is not null).GroupBy(point => $"{AuditTextId.Parse(point.Text)!.Value.PromptId}") // parsed
            .Select(prompt => new AuditPairNumber(prompt.Key, prompt.Select(point => point.Z - point.Reference!.Value).MaxBy(difference => Math.Abs(difference)))).OrderByDescending(pair => Math.Abs(pair.Value!.Value))], // filtered
    };

    private static AuditIncentive? FeatureOf(AuditReport report, AuditPairsQuery query) => query.Of is not AuditPairsOf.Incentive ? null
        : report.Incentives.FirstOrDefault(table => table.Name == query.Table)?.Rows.FirstOrDefault(row => row.Key == query.Feature);

    private static IReadOnlyList<AuditPairNumber>? Bin(AuditReport report, int index)
    {
        if (report.Methods.FirstOrDefault(method => method.Name == report.Method)?.Bins is not { } bins || index < 0 || index >= bins.Count)
            return null;
        var bin = bins[index];
        var isLast = index == bins.Count - 1;
        return [.. report.TestPairs.Where(pair => pair.Probability >= bin.From && (pair.Probability < bin.To || (isLast && pair.Probability <= bin.To))).OrderBy(pair => pair.Probability).Select(pair => new AuditPairNumber(pair.Pair, pair.Probability))];
    }

    private static IReadOnlyList<AuditPairNumber>? Differently(AuditReport report, AuditPairsQuery query, Func<IEnumerable<TextScores>> scores)
    {
        if (report.Methods.FirstOrDefault(method => method.Name == query.Method) is not { } method || query.First < 0 || query.Second < 0 || Math.Max(query.First, query.Second) >= method.Runs.Count)
            return null;
        var byText = scores().Where(text => text.Methods.ContainsKey(method.Name)).ToDictionary(text => text.Text, text => text.Methods[method.Name], StringComparer.Ordinal);
        var test = report.TestPairs.Select(pair => pair.Pair).ToHashSet(StringComparer.Ordinal);
        return [.. report.Pairs.Where(pair => test.Contains(pair.Id) && byText.ContainsKey(pair.AuditedText) && byText.ContainsKey(pair.BaseText)).Where(pair => Sign(pair, query.First) != Sign(pair, query.Second)).Select(pair => new AuditPairNumber(pair.Id, null))];

        int Sign(AuditPair pair, int run) => Math.Sign(byText[pair.AuditedText][run] - byText[pair.BaseText][run]);
    }
}
