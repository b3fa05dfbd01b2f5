using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data.Jobs;
using Portal.Data.SaeFeatures;
using Portal.Web.Components;

namespace Portal.Web.SaeFeatures;

/// <summary>What pages say about a toggle set: its state, its place on the path of a vote, how far its approval is.</summary>
internal static class ToggleWords
{
    public static BadgeKind Badge(ToggleSetState state) => state switch
    {
        ToggleSetState.Draft => BadgeKind.Waiting,
        ToggleSetState.Waiting => BadgeKind.Warn,
        ToggleSetState.Published => BadgeKind.Good,
        ToggleSetState.Refused => BadgeKind.Bad,
    };

    /// <summary>A moment inside a sentence.</summary>
    public static string At(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);

    /// <summary>Phrases as people read them: "oaf | dunce", which breaks between them.</summary>
    public static string Phrases(string pattern) => string.Join(" | ", pattern.Split('|', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));

    /// <summary>Reward model, its features, the set, the version it makes.</summary>
    public static IReadOnlyList<LineageStop> Stops(IStringLocalizer<Texts> T, ToggleSetView view) =>
    [
        new(T["Lineage.Model", view.Model.Number], $"models/{view.Model.Id}"), new(T["Features.Title"], $"features?version={view.Model.Id}"), new(T["Toggle.Heading", view.Set.Number], null, IsHere: true),
        view.Published is { } made ? new(T["Lineage.Model", made.Number], $"models/{made.Id}") : new(T["Toggle.Stop.NotYet"]),
    ];

    /// <summary>From draft to published, as far as it is.</summary>
    public static IReadOnlyList<StepItem> Steps(IStringLocalizer<Texts> T, ToggleSetView view)
    {
        var set = view.Set;
        var isStuck = view.Job is { State: JobState.Failed or JobState.Cancelled } && view.Published is null;
        return
        [
            new(T["Toggle.Step.Drafted"], set.State is ToggleSetState.Draft ? StepState.Current : StepState.Done, $"{view.Author}, {At(set.CreatedAt)}"),
            new(T["Toggle.Step.Made"], view.Published is not null ? StepState.Done : isStuck ? StepState.Failed : set.State is ToggleSetState.Waiting ? StepState.Current : StepState.Waiting,
                view.Published is { } made ? T["Lineage.Model", made.Number].Value : view.Job is { } job ? T["Toggle.Step.Job", job.Number, T[$"Toggle.Job.{job.State}"].Value].Value : T["Toggle.Step.Made.Text"].Value,
                view.Job is { } link ? $"jobs/{link.Id}" : null),
            new(T["Toggle.Step.Second"], set.State switch
                {
                    ToggleSetState.Published => StepState.Done,
                    ToggleSetState.Refused => StepState.Failed,
                    ToggleSetState.Waiting when view.Published is not null => StepState.Current,
                    ToggleSetState.Draft or ToggleSetState.Waiting => StepState.Waiting,
                },
                view.Decider is { } who && set.DecidedAt is { } at ? $"{who}, {At(at)}" : view.IsAlone && view.MayAct ? T["Toggle.Step.Alone"].Value : T["Toggle.Step.Second.Text"].Value),
            new(T["Toggle.Step.Published"], set.State is ToggleSetState.Published ? StepState.Done : StepState.Waiting, T["Toggle.Step.Published.Text", view.Model.Number]),
        ];
    }
}
