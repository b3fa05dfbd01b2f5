using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Web.Components;

namespace Portal.Web.SaeFeatures;

/// <summary>What a factor does, in a word.</summary>
internal static class FactorWords
{
    /// <summary>The factors with a button: switched off, flipped, halved, doubled. Never an addition: it cannot change a ranking.</summary>
    public static readonly IReadOnlyList<(string Key, double Factor)> Presets = [("Ablate", 0), ("Flip", -1), ("Halve", .5), ("Double", 2)];

    /// <summary>"switched off", "flipped", "as trained", "half", "twice as much"; else "0.3 times as much".</summary>
    public static string Of(IStringLocalizer<Texts> T, double factor) => factor switch
    {
        0 => T["Toggle.Factor.Off"],
        -1 => T["Toggle.Factor.Flipped"],
        .5 => T["Toggle.Factor.Half"],
        1 => T["Toggle.Factor.Same"],
        2 => T["Toggle.Factor.Double"],
        < 0 => T["Toggle.Factor.Negative", Number(-factor)],
        _ => T["Toggle.Factor.Times", Number(factor)],
    };

    /// <summary>The factor with a true minus.</summary>
    public static string Number(double factor) => MeasureText.Digits(factor, MeasureFormat.Plain, factor == Math.Round(factor) ? 0 : factor == Math.Round(factor, 1) ? 1 : 2);

    /// <summary>As inputs hold it: a point, whatever the reader's language.</summary>
    public static string Input(double factor) => factor.ToString("0.####", CultureInfo.InvariantCulture);
}
