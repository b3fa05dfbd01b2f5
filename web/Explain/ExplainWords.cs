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

    /// <summary>The page of an annotator in the explanations of a reward model.</summary>
    public static string OfAnnotator(string pseudonym, ModelVersionId model, AttributionMethod by) => $"explain/annotators/{Uri.EscapeDataString(pseudonym)}?model={model}&by={by}";

    public static BadgeKind Kind(ExplanationConfidence confidence) => confidence switch
    {
        ExplanationConfidence.Good => BadgeKind.Good,
        ExplanationConfidence.Weak => BadgeKind.Warn,
        ExplanationConfidence.Unexplained => BadgeKind.Bad,
        ExplanationConfidence.NotCalibrated => BadgeKind.Waiting,
    };

    public static string Signed(double value) => MeasureText.Number(value, MeasureFormat.Signed, 2);

    public static string Plain(double value, int decimals = 2) => MeasureText.Number(value, MeasureFormat.Plain, decimals);

    /// <summary>The factor that the effects of one table are written in, so that the largest is at least a tenth of it: "" for nats themselves, else "10⁻³", "10⁻⁶" or "10⁻⁹".</summary>
    public static string EffectUnit(IReadOnlyList<double> effects) => Factors[Thousands(effects)];

    /// <summary>An effect in the unit of its table, with its sign and two digits that count, no more than four behind the point.</summary>
    public static string Effect(double nats, IReadOnlyList<double> effects)
    {
        var value = nats * Math.Pow(1000, Thousands(effects));
        var digits = value == 0 ? 0 : (int)Math.Floor(Math.Log10(Math.Abs(value))) - 1; // of the second that counts, as a power of ten
        return digits > 0 ? MeasureText.Number(Math.Round(value / Math.Pow(10, digits)) * Math.Pow(10, digits), MeasureFormat.Signed, 0) : MeasureText.Number(value, MeasureFormat.Signed, Math.Min(-digits, 4));
    }

    private static readonly string[] Factors = ["", "10⁻³", "10⁻⁶", "10⁻⁹"];

    private static int Thousands(IReadOnlyList<double> effects)
    {
        var largest = effects.Select(Math.Abs).DefaultIfEmpty(0).Max();
        return largest == 0 ? 0 : Enumerable.Range(0, Factors.Length).FirstOrDefault(power => largest * Math.Pow(1000, power) >= 0.1, Factors.Length - 1);
    }

    public static string Percent(double share) => MeasureText.Number(share, MeasureFormat.Percent, 0);

    public static string Count(int count) => count.ToString("N0", CultureInfo.CurrentCulture);

    public static string Drawn(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);
}
