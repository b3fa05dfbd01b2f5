using System.Globalization;
using Portal.Web.Components;

namespace Portal.Web.SaeFeatures;

/// <summary>How the pages of features write numbers and names.</summary>
internal static class FeatureText
{
    /// <summary>A contribution or a difference of rewards: three digits, more for the very small ones.</summary>
    public static string Signed(double value) => MeasureText.Number(value, MeasureFormat.Signed, Decimals(value));

    /// <summary>Digits after the point of such a number.</summary>
    public static int Decimals(double value) => Math.Abs(value) is > 0 and < 0.0005 ? 6 : 3;

    /// <summary>A reward.</summary>
    public static string Reward(double value) => MeasureText.Number(value, MeasureFormat.Signed, 4);

    /// <summary>An activation or a score without a sign.</summary>
    public static string Plain(double value, int decimals = 2) => MeasureText.Number(value, MeasureFormat.Plain, decimals);

    /// <summary>A share of a number of cases; "–" where there are no cases.</summary>
    public static string Share(int part, int of) => of > 0 ? MeasureText.Number((double)part / of, MeasureFormat.Percent, part * 100L < of && part > 0 ? 2 : 1) : "–";

    /// <summary>A p value or false discovery rate.</summary>
    public static string Rate(double value) => value < 0.001 ? "< 0.001" : Plain(value, 3);

    public static string Count(long count) => count.ToString("N0", CultureInfo.CurrentCulture);

    /// <summary>"402 compliment to the person"; the number alone where there is no label.</summary>
    public static string Name(int latent, string? label) => label is null ? $"#{latent.ToString(CultureInfo.InvariantCulture)}" : $"#{latent.ToString(CultureInfo.InvariantCulture)} {MarkdownAllowList.Readable(label)}";

    /// <summary>At most so many characters, never through one.</summary>
    public static string Short(string text, int most) => text.Length <= most ? text : string.Concat(text.AsSpan(0, char.IsHighSurrogate(text[most - 2]) ? most - 2 : most - 1), "…");
}
