using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Jobs;
using Portal.Web.Components;

namespace Portal.Web.Erasure;

/// <summary>How the pages of erasure write states, numbers and addresses.</summary>
internal static class ErasureWords
{
    public static string New(ErasureKind kind, string? pseudonym, IReadOnlyList<PromptId> prompts) => $"/erasure/new?kind={kind}{(pseudonym is null ? "" : $"&annotator={Uri.EscapeDataString(pseudonym)}")}{string.Concat(prompts.Select(prompt => $"&prompt={prompt}"))}";

    public static BadgeKind Badge(ErasureState state) => state switch
    {
        ErasureState.Waiting => BadgeKind.Warn,
        ErasureState.Approved or ErasureState.Running => BadgeKind.Running,
        ErasureState.Done => BadgeKind.Good,
        ErasureState.Refused => BadgeKind.Bad,
        ErasureState.Withdrawn => BadgeKind.Waiting,
    };

    public static string Count(long count) => count.ToString("N0", CultureInfo.CurrentCulture);

    public static string Tiny(double value) => value.ToString("0.0E+0", CultureInfo.InvariantCulture);

    public static string Day(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    /// <summary>From asked for to proven, as far as it is.</summary>
    public static IReadOnlyList<StepItem> Steps(IStringLocalizer<Texts> T, ErasureView view)
    {
        var r = view.Request;
        return
        [
            new(T["Step.Asked"], StepState.Done, $"{view.By}, {At(r.RequestedAt)}"),
            new(T["Step.Approved"], r.State switch
                {
                    ErasureState.Waiting => StepState.Current,
                    ErasureState.Refused => StepState.Failed,
                    ErasureState.Withdrawn => r.DecidedBy is null ? StepState.Waiting : StepState.Done,
                    ErasureState.Approved or ErasureState.Running or ErasureState.Done => StepState.Done,
                }, view.Decider is { } who && r.DecidedAt is { } at ? $"{who}, {At(at)}" : T["Step.Approved.Text"].Value),
            new(T["Step.Removed"], r.State is ErasureState.Done ? StepState.Done : view.IsStuck ? StepState.Failed : r.State is ErasureState.Approved or ErasureState.Running ? StepState.Current : StepState.Waiting,
                view.Job is { } job ? T["Step.Job", job.Number, T[$"Job.{job.State}"].Value].Value : null, view.Job is { } link ? $"jobs/{link.Id}" : null),
            new(T["Step.Proven"], r.State is not ErasureState.Done ? StepState.Waiting : view.WhatIsWrong is null ? StepState.Done : StepState.Failed, r.FinishedAt is { } done ? At(done) : null),
        ];
    }

    /// <summary>Whether the job's page has more to say at this moment.</summary>
    public static bool IsRunning(ErasureView view) => view.Job is { State: JobState.Queued or JobState.Running } && view.Request.State is ErasureState.Approved or ErasureState.Running;

    private static string At(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);
}
