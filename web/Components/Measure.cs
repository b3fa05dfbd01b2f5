using System.Globalization;

namespace Portal.Web.Components;

/// <summary>A number that says how sure it is.</summary>
/// <param name="Value">The estimate; shares as fractions (0.813), not per cent.</param>
/// <param name="Low">Lower end of the 95 % interval, same unit.</param>
/// <param name="High">Upper end, at least <paramref name="Low"/>. The estimate may lie outside (bootstrap percentiles can do that).</param>
/// <param name="Count">n: independent cases it rests on.</param>
public sealed record Measure(double Value, double Low, double High, int Count)
{
    /// <summary>False for anything that must not be drawn as a number.</summary>
    public bool IsUsable => double.IsFinite(Value) && double.IsFinite(Low) && double.IsFinite(High) && Low <= High && Count > 0;
}

/// <summary>How a <see cref="Measure"/> is written.</summary>
public enum MeasureFormat
{
    /// <summary>As it is: 0.58, with a unit where one is given.</summary>
    Plain,

    /// <summary>Always with a sign: +0.37, −0.12. For differences.</summary>
    Signed,

    /// <summary>A fraction as per cent: 0.813 is 81.3 %.</summary>
    Percent,

    /// <summary>A difference of fractions as percentage points: 0.118 is +11.8 pts.</summary>
    Points,
}

/// <summary>Writes numbers the way every page does: true minus, no "−0", no-break space before the unit.</summary>
public static class MeasureText
{
    private const char NoBreakSpace = '\u00a0';
    private const char Minus = '\u2212';

    /// <summary>The number with its unit: "81.3 %", "+0.37", "−3.8 pts", "5.2 nats".</summary>
    public static string Number(double value, MeasureFormat format, int decimals, string? unit = null) => Digits(value, format, decimals) + format switch
    {
        MeasureFormat.Percent => NoBreakSpace + "%",
        MeasureFormat.Points => NoBreakSpace + "pts",
        MeasureFormat.Plain or MeasureFormat.Signed => unit is null ? "" : NoBreakSpace + unit,
    };

    /// <summary>The number without its unit, as used in ranges: "78.9", "+0.28".</summary>
    public static string Digits(double value, MeasureFormat format, int decimals)
    {
        var isSigned = format is MeasureFormat.Signed or MeasureFormat.Points;
        var scaled = format is MeasureFormat.Percent or MeasureFormat.Points ? value * 100 : value;
        var digits = Math.Abs(scaled).ToString("N" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.CurrentCulture);
        var isZero = !digits.Any(static c => c is >= '1' and <= '9');
        return isZero ? digits : scaled < 0 ? Minus + digits : isSigned ? "+" + digits : digits;
    }
}
