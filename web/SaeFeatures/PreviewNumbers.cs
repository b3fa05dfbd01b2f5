using Portal.Data.Serving;
using Portal.Web.Components;

namespace Portal.Web.SaeFeatures;

/// <summary>The numbers of a preview as pages draw them.</summary>
public static class PreviewNumbers
{
    /// <summary>How far accuracy off target may move and still count as unchanged: the whole 95 % interval within this, as a share.</summary>
    public const double SideEffectMax = .01;

    /// <summary>A number with its interval; null where the interval is absent, so that no number stands alone.</summary>
    public static Measure? Of(Estimated? number, int count) => number is { Low: { } low, High: { } high } ? new Measure(number.Value, low, high, count) : null;

    /// <summary>
    /// The share of pairs that flip. The range is Wilson's with prompts as cases, because pairs of one prompt are not independent; n counts pairs.
    /// Null without pairs.
    /// </summary>
    public static Measure? Flips(TogglePreviewResponse preview)
    {
        if (preview.Pairs == 0 || preview.AllPairs.Prompts == 0)
            return null;
        var share = (double)preview.Flips / preview.Pairs;
        return WilsonInterval.Of(share * preview.AllPairs.Prompts, preview.AllPairs.Prompts) is { } range ? range with { Value = share, Count = preview.Pairs } : null;
    }

    /// <summary>Half the axis that all changes of a preview share: the furthest end of any interval, at least two points.</summary>
    public static double Reach(TogglePreviewResponse preview) =>
        1.05 * new[] { preview.AllPairs.Change, preview.OnTarget?.Change, preview.OffTarget?.Change, preview.Firing.Change }
            .Concat(preview.Controls.Where(control => !IsShare(control)).SelectMany(control => new[] { control.OnTarget, control.OffTarget }))
            .OfType<Estimated>().SelectMany(number => new[] { number.Value, number.Low ?? 0, number.High ?? 0 }).Select(Math.Abs).Append(2 * SideEffectMax).Max();

    /// <summary>True for a control whose figures are shares of responses, not changes of accuracy.</summary>
    public static bool IsShare(ToggleControl control) => control.Kind == "matched_reward";

    /// <summary>Whether accuracy elsewhere stays as it was; null where nothing can be said.</summary>
    public static bool? IsHarmless(AccuracyChange? elsewhere) =>
        elsewhere?.Change is { Low: { } low, High: { } high } ? low >= -SideEffectMax && high <= SideEffectMax : null;
}
