using Portal.Data;
using Portal.Data.Registry;
using Portal.Web.Components;

namespace Portal.Web.Registry;

/// <summary>How one metric is read: its unit, which way is better, and the axis its column shares.</summary>
/// <param name="Name">The stored name; <c>Metric.{Name}</c> is its text.</param>
/// <param name="Format">As a share, a plain number ...</param>
/// <param name="ChangeFormat">... and its difference.</param>
/// <param name="HigherIsBetter">Null where neither is.</param>
public sealed record MetricReading(string Name, MeasureFormat Format, MeasureFormat ChangeFormat, int Decimals, bool? HigherIsBetter)
{
    private static readonly IReadOnlyList<MetricReading> Known =
    [
        new(MetricNames.MeanReward, MeasureFormat.Signed, MeasureFormat.Signed, 2, true),
        new(MetricNames.PairwiseAccuracy, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.LengthBaseline, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.BagOfWordsBaseline, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.CalibrationError, MeasureFormat.Plain, MeasureFormat.Signed, 3, false),
        new(MetricNames.ReadableShare, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.InsultShare, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.UnfinishedShare, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.RepetitionShare, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.LengthTokens, MeasureFormat.Plain, MeasureFormat.Signed, 1, null),
        new(MetricNames.KlNats, MeasureFormat.Plain, MeasureFormat.Signed, 2, null),
        new(MetricNames.RewardAccuracies, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.RewardMargins, MeasureFormat.Signed, MeasureFormat.Signed, 2, true),
        new(MetricNames.RewardDesirable, MeasureFormat.Signed, MeasureFormat.Signed, 2, true),
        new(MetricNames.RewardUndesirable, MeasureFormat.Signed, MeasureFormat.Signed, 2, false),
        new(MetricNames.Loss, MeasureFormat.Plain, MeasureFormat.Signed, 3, false),
        new(MetricNames.Brier, MeasureFormat.Plain, MeasureFormat.Signed, 3, false),
        new(MetricNames.LogLoss, MeasureFormat.Plain, MeasureFormat.Signed, 3, false),
        new(MetricNames.SaeFvu, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.PrincipalComponentsBaseline, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.RandomEncoderBaseline, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.SaeNmse, MeasureFormat.Plain, MeasureFormat.Signed, 3, false),
        new(MetricNames.SaeCosine, MeasureFormat.Plain, MeasureFormat.Signed, 3, true),
        new(MetricNames.SaeLengthRatio, MeasureFormat.Plain, MeasureFormat.Signed, 3, null),
        new(MetricNames.SaeActive, MeasureFormat.Plain, MeasureFormat.Signed, 1, null),
        new(MetricNames.SaeDeadShare, MeasureFormat.Percent, MeasureFormat.Points, 1, false),
        new(MetricNames.SplicedAccuracy, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.SplicedCorrelation, MeasureFormat.Plain, MeasureFormat.Signed, 3, true),
        new(MetricNames.SplicedLoss, MeasureFormat.Plain, MeasureFormat.Signed, 3, false),
        new(MetricNames.SarmLiveLatents, MeasureFormat.Plain, MeasureFormat.Signed, 0, null),
        new(MetricNames.SarmContextOverlap, MeasureFormat.Percent, MeasureFormat.Points, 1, true),
        new(MetricNames.RelabelledTurned, MeasureFormat.Percent, MeasureFormat.Points, 1, null),
        new(MetricNames.RelabelledTies, MeasureFormat.Percent, MeasureFormat.Points, 1, null),
        new(MetricNames.BestOfNChanged, MeasureFormat.Percent, MeasureFormat.Points, 1, null),
    ];

    /// <summary>True for a name with a text of its own.</summary>
    public bool IsKnown => Known.Contains(this);

    /// <summary>How to read a stored name; unknown ones are plain numbers.</summary>
    public static MetricReading Of(string name) =>
        Known.FirstOrDefault(metric => metric.Name == name) ?? new(name, MeasureFormat.Plain, MeasureFormat.Signed, 3, null);

    /// <summary>The order in which pages list metrics.</summary>
    public static int Rank(string name) => Known.Select((metric, index) => metric.Name == name ? index : int.MaxValue).Min();
}

/// <summary>Which of the three rows of a figure a value is, besides the parts that are stored.</summary>
public static class MetricParts
{
    /// <summary>The version it is compared with.</summary>
    public const string Before = "before";

    /// <summary>The paired difference.</summary>
    public const string Change = "change";
}

/// <summary>One stored number.</summary>
/// <param name="Name">The figure, without the prefix of a comparison.</param>
/// <param name="Part">As stored, or one of <see cref="MetricParts"/>.</param>
/// <param name="Of">Null where no interval could be given: the page then says "not enough evidence".</param>
/// <param name="Value">The value all the same, for comparisons with limits.</param>
public sealed record MetricValue(string Name, string Part, Measure? Of, double Value, int Count)
{
    public static MetricValue From(EvaluationResult row)
    {
        var (name, part) = row.Part != MetricNames.HeldOut ? (row.Name, row.Part)
            : row.Name.StartsWith(MetricNames.BeforePrefix, StringComparison.Ordinal) ? (row.Name[MetricNames.BeforePrefix.Length..], MetricParts.Before)
            : row.Name.StartsWith(MetricNames.ChangePrefix, StringComparison.Ordinal) ? (row.Name[MetricNames.ChangePrefix.Length..], MetricParts.Change)
            : (row.Name, row.Part);
        return new(name, part, row is { Low: { } low, High: { } high } ? new Measure(row.Value, low, high, row.Count) : null, row.Value, row.Count);
    }
}

/// <summary>One metric before, after, and the paired difference; any of the three may be missing.</summary>
public sealed record Comparison(MetricReading Reading, MetricValue? Before, MetricValue? After, MetricValue? Change)
{
    /// <summary>One row a metric that has an "after", in the order of the pages.</summary>
    public static IReadOnlyList<Comparison> Of(IReadOnlyList<MetricValue> values) =>
    [
        .. values.Where(static v => v.Part is MetricNames.HeldOut or MetricParts.Before or MetricParts.Change)
            .GroupBy(static v => v.Name).OrderBy(static g => MetricReading.Rank(g.Key)).ThenBy(static g => g.Key, StringComparer.Ordinal)
            .Select(static g => new Comparison(MetricReading.Of(g.Key), g.FirstOrDefault(static v => v.Part == MetricParts.Before),
                g.FirstOrDefault(static v => v.Part == MetricNames.HeldOut), g.FirstOrDefault(static v => v.Part == MetricParts.Change))),
    ];

    /// <summary>Candidate minus earlier version: the paired difference where stored, else the difference of the two; null with neither.</summary>
    public double? Difference => Change?.Value ?? (After?.Value - Before?.Value);
}
