using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data.Review;
using Portal.Web.Components;

namespace Portal.Web.Review;

/// <summary>Words for flags that several parts of the review pages share.</summary>
internal static class FlagWords
{
    private const int ExcerptMax = 110;

    /// <summary>"26 h", "40 min", "3 days".</summary>
    public static string Waited(IStringLocalizer<Texts> T, TimeSpan waited) => waited.TotalHours >= 48 ? T["Waited.Days", (int)waited.TotalDays]
        : waited.TotalHours >= 1 ? T["Waited.Hours", (int)waited.TotalHours] : T["Waited.Minutes", Math.Max(1, (int)waited.TotalMinutes)];

    /// <summary>Who flagged: a pseudonym, or the reward model that suggested it.</summary>
    public static string From(IStringLocalizer<Texts> T, FlagRow row) => row.Source is not FlagSource.Suggested ? row.From
        : row.JudgeNumber is { } judge ? T["From.Judge", judge.ToString(CultureInfo.InvariantCulture)] : T["From.Suggested"];

    /// <summary>The beginning of a text, with "…" where something is left out: a link to the whole stands around it.</summary>
    public static string Excerpt(string text)
    {
        var line = MarkdownAllowList.Readable(text).ReplaceLineEndings(" ").Trim();
        if (line.Length <= ExcerptMax)
            return line;
        var end = char.IsHighSurrogate(line[ExcerptMax - 1]) ? ExcerptMax - 1 : ExcerptMax;
        return string.Concat(line.AsSpan(0, end).TrimEnd(), "…");
    }

    public static BadgeKind Kind(FlagRow row) => row.State switch
    {
        FlagState.Open => row.Held is FlagHold.None ? BadgeKind.Running : BadgeKind.Warn,
        FlagState.Confirmed => BadgeKind.Bad,
        FlagState.Dismissed => BadgeKind.Waiting,
    };

    /// <summary>Where a flag stands: "open", "held", "held, confirmed once", "confirmed", "dismissed".</summary>
    public static string State(IStringLocalizer<Texts> T, FlagRow row) => row switch
    {
        { State: FlagState.Open, Held: FlagHold.None } => T["State.Open"],
        { State: FlagState.Open, IsConfirmedOnce: true } => T["Stand.Half"],
        { State: FlagState.Open } => T["Stand.Held"],
        { State: FlagState.Confirmed } => T["State.Confirmed"],
        _ => T["State.Dismissed"],
    };
}
