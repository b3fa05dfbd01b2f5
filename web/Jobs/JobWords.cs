using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data.Jobs;
using Portal.Web.Components;

namespace Portal.Web.Jobs;

/// <summary>What pages say about a job.</summary>
internal static class JobWords
{
    /// <summary>"Reward model training"; the kind's own name for kinds without a text.</summary>
    public static string Kind(IStringLocalizer<Texts> T, string kind) => T[$"Kind.{kind}"] is { ResourceNotFound: false } text ? text.Value : kind;

    /// <summary>"3 min 10 s"; null while not known.</summary>
    public static string? Duration(double? seconds) => seconds switch
    {
        null => null,
        { } s when !double.IsFinite(s) || s < 0 => null,
        < 60 => $"{Math.Ceiling(seconds.Value).ToString("N0", CultureInfo.CurrentCulture)} s",
        < 3600 => $"{(int)seconds.Value / 60} min {(int)seconds.Value % 60} s",
        _ => $"{(int)seconds.Value / 3600} h {(int)seconds.Value / 60 % 60} min",
    };

    public static BadgeKind Badge(JobState state) => state switch
    {
        JobState.Queued => BadgeKind.Waiting,
        JobState.Running => BadgeKind.Running,
        JobState.Succeeded => BadgeKind.Good,
        JobState.Failed => BadgeKind.Bad,
        JobState.Cancelled => BadgeKind.Plain,
    };
}
