using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data.Registry;
using Portal.Web.Components;

namespace Portal.Web.Registry;

/// <summary>Names of versions and their place on the path of a vote, in the reader's language.</summary>
internal static class ModelLineage
{
    /// <summary>"Policy v4".</summary>
    public static string Name(IStringLocalizer<Texts> T, ModelKind kind, int number) => $"{T[$"Kind.{kind}"]} v{number.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>The same; null for no version.</summary>
    public static string? Name(IStringLocalizer<Texts> T, VersionLink? version) => version is null ? null : Name(T, version.Kind, version.Number);

    /// <summary>Judgements, dataset, job, version, evaluation, release.</summary>
    /// <param name="here">True where the evaluation is the page, false where the version is.</param>
    public static IReadOnlyList<LineageStop> Of(IStringLocalizer<Texts> T, ModelView view, bool here)
    {
        var stops = new List<LineageStop>();
        if (view.Feedback is { } feedback)
            stops.Add(new(T.Counted("Lineage.Judgements", feedback.Total), "data"));
        if (view.Dataset is { } dataset)
            stops.Add(new(T["Dataset", dataset.Number], $"data/versions/{dataset.Id}"));
        if (view.JobNumber is { } job)
            stops.Add(new(T["Job", job], $"jobs/{view.Version.JobId}"));
        stops.Add(new(Name(T, view.Version.Kind, view.Version.Number), here ? $"models/{view.Version.Id}" : null, !here));
        if (view.Version.Kind is ModelKind.Policy)
            stops.Add(new(T["Lineage.Evaluation"], here || !view.HasSideBySide ? null : $"models/{view.Version.Id}/results", here));
        if (view.Version.Kind is ModelKind.SparseAutoencoder)
            return stops; // it serves inside reward models
        stops.Add(new(view.Serves ? T["Lineage.Serves"].Value : view.Version.Status is ModelStatus.Released ? T["Lineage.Served"].Value : T["Lineage.NotReleased"].Value));
        if (view.Tasks > 0)
            stops.Add(new(T.Counted("Lineage.Tasks", view.Tasks)));
        return stops;
    }

    /// <summary>Which gates have not passed, in one sentence; null when all have.</summary>
    public static string? Waiting(IStringLocalizer<Texts> T, IReadOnlyList<Gate> gates)
    {
        var open = gates.Where(gate => gate.State is GateState.Waiting or GateState.Failed).Select(gate => T[$"Gate.{gate.Key}", gate.Values].Value).ToList();
        return open.Count == 0 ? null : T["Gates.Waiting", string.Join("; ", open)].Value;
    }
}
