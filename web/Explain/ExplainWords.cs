using System.Globalization;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Web.Components;

namespace Portal.Web.Explain;

/// <summary>How the pages of explanations write numbers, names and addresses.</summary>
internal static class ExplainWords
{
    /// <summary>The methods a page can show pairs by, in the order of its switch.</summary>
    public static IReadOnlyList<AttributionMethod> Methods { get; } = [AttributionMethod.Projection, AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Cosine];

    public static string Of(ExplanationId id, AttributionMethod? by = null, bool whole = false) =>
        $"explain/{id}{(by is { } method ? $"?by={method}" : "")}{(whole ? (by is null ? "?" : "&") + "text=whole" : "")}";

    public static BadgeKind Kind(ExplanationConfidence confidence) => confidence switch
    {
        ExplanationConfidence.Good => BadgeKind.Good,
        ExplanationConfidence.Weak => BadgeKind.Warn,
        ExplanationConfidence.Unexplained => BadgeKind.Bad,
        ExplanationConfidence.NotCalibrated => BadgeKind.Waiting,
    };

    public static string Signed(double value) => MeasureText.Number(value, MeasureFormat.Signed, 2);

    public static string Plain(double value, int decimals = 2) => MeasureText.Number(value, MeasureFormat.Plain, decimals);

    public static string Percent(double share) => MeasureText.Number(share, MeasureFormat.Percent, 0);

    public static string Count(int count) => count.ToString("N0", CultureInfo.CurrentCulture);

    public static string Drawn(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);
}
