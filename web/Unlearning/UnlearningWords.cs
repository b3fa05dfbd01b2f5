using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Unlearning;
using Portal.Web.Components;

namespace Portal.Web.Unlearning;

/// <summary>How the pages of unlearning write states, numbers and addresses.</summary>
internal static class UnlearningWords
{
    public static string New(ExplanationId explanation, UnlearningChoice choice, UnlearningAction? action = null) =>
        $"/unlearning/new?explanation={explanation}{(action is { } wanted ? $"&action={wanted}" : "")}{string.Concat(choice.Pairs.Select(pair => $"&pair={pair}"))}{(choice.Annotator is { } person ? $"&annotator={Uri.EscapeDataString(person)}&from={Day(choice.From)}&until={Day(choice.Until)}" : "")}";

    /// <summary>A choice as addresses and forms have it. Days that are none are left out.</summary>
    public static UnlearningChoice Choice(IEnumerable<Guid> pairs, string? annotator, string? from, string? until) => string.IsNullOrEmpty(annotator)
        ? new([.. pairs.Select(pair => new JudgementId(pair))])
        : new([], annotator, DayOf(from), DayOf(until));

    public static string Day(DateOnly? day) => day?.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture) ?? "";

    private static DateOnly? DayOf(string? text) => DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var day) ? day : null;

    public static BadgeKind Badge(UnlearningState state) => state switch
    {
        UnlearningState.Waiting => BadgeKind.Warn,
        UnlearningState.Approved => BadgeKind.Running,
        UnlearningState.Made => BadgeKind.Warn,
        UnlearningState.Released => BadgeKind.Good,
        UnlearningState.Refused or UnlearningState.RolledBack => BadgeKind.Bad,
        UnlearningState.Withdrawn => BadgeKind.Waiting,
    };

    public static string Signed(double value) => MeasureText.Number(value, MeasureFormat.Signed, 2);

    public static string Percent(double share, int decimals = 1) => MeasureText.Number(share, MeasureFormat.Percent, decimals);

    public static string Count(int count) => count.ToString("N0", CultureInfo.CurrentCulture);

    public static string Tiny(double value) => value.ToString("0.0E+0", CultureInfo.InvariantCulture);

    /// <summary>From asked for to released, as far as it is.</summary>
    public static IReadOnlyList<StepItem> Steps(IStringLocalizer<Texts> T, UnlearningView view)
    {
        var r = view.Request;
        return
        [
            new(T["Step.Asked"], StepState.Done, $"{view.By}, {At(r.RequestedAt)}"),
            .. r.ApprovalsNeeded == 2 ? new StepItem[] { new(T["Step.First"], view.FirstApprover is not null ? StepState.Done : r.State is UnlearningState.Waiting ? StepState.Current : StepState.Waiting, view.FirstApprover is { } first && r.FirstApprovedAt is { } noted ? $"{first}, {At(noted)}" : null) } : [],
            new(T["Step.Approved"], r.State switch
                {
                    UnlearningState.Waiting => r.ApprovalsNeeded == 2 && view.FirstApprover is null ? StepState.Waiting : StepState.Current,
                    UnlearningState.Refused => StepState.Failed,
                    UnlearningState.Withdrawn => r.DecidedBy is null ? StepState.Waiting : StepState.Done,
                    UnlearningState.Approved or UnlearningState.Made or UnlearningState.Released or UnlearningState.RolledBack => StepState.Done,
                }, view.Decider is { } who && r.DecidedAt is { } at ? $"{who}, {At(at)}" : T["Step.Approved.Text"].Value),
            new(T["Step.Made"], view.Made is not null ? StepState.Done : view.IsStuck ? StepState.Failed : r.State is UnlearningState.Approved ? StepState.Current : StepState.Waiting,
                view.Job is { } job ? T["Step.Job", job.Number, T[$"Job.{job.State}"].Value].Value : null, view.Job is { } link ? $"jobs/{link.Id}" : null),
            new(T["Step.Released"], r.State switch
                {
                    UnlearningState.Released => StepState.Done,
                    UnlearningState.RolledBack => StepState.Failed,
                    UnlearningState.Made => StepState.Current,
                    UnlearningState.Waiting or UnlearningState.Approved or UnlearningState.Refused or UnlearningState.Withdrawn => StepState.Waiting,
                }, r.State is UnlearningState.RolledBack ? T["Step.RolledBack"].Value : null),
        ];
    }

    private static string At(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);
}
