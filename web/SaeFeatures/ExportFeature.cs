using System.Security.Claims;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.SaeFeatures;

/// <summary>The tables of one feature's page.</summary>
public enum FeatureTableKind { Selection, Histogram, Contexts, Related, Voters, Labels }

/// <summary>One table of a feature's page as a file. Contexts come without their texts: those can be erased, a file cannot.</summary>
[Needs(Permission.Review)]
public sealed class ExportFeature(ShowFeature show)
{
    public async Task<Outcome<TableFile>> Handle(ClaimsPrincipal user, ModelVersionId model, int latent, FeatureTableKind kind, CancellationToken stop)
    {
        var shown = await show.Handle(user, model, latent, stop);
        if (shown.Refusal is { } refusal)
            return refusal;
        var view = shown.Value;
        var name = $"feature-{latent}-{kind.ToString().ToLowerInvariant()}";
        var histogram = view.Row.Histogram;
        return kind switch
        {
            FeatureTableKind.Selection => TableFile.Of(name, ["compared", "rank", "of", "score", "p", "q", "pairs_differing"],
                new[] { ("as_it_stands", view.Row.Selection), ("at_equal_reward", view.Row.Residual) }.Select(way =>
                    Cells(way.Item1, way.Item2?.Rank, view.Scored, way.Item2?.Score, way.Item2?.P, way.Item2?.Q, view.Row.PairsDiffering))),
            FeatureTableKind.Histogram => TableFile.Of(name, ["from", "to", "at_end", "at_sentence"], Enumerable.Range(0, Math.Max(histogram.AtEnd.Count, histogram.AtSentence.Count)).Select(
                bin => Cells(Edge(histogram, bin), Edge(histogram, bin + 1), histogram.AtEnd.ElementAtOrDefault(bin), histogram.AtSentence.ElementAtOrDefault(bin)))),
            FeatureTableKind.Contexts => TableFile.Of(name, ["position", "band", "activation", "response"],
                view.Contexts.Select(c => Cells(c.Position.ToString(), c.Band, c.Activation, c.ResponseId.ToString()))),
            FeatureTableKind.Related => TableFile.Of(name, ["feature", "label", "cosine", "together"], view.Related.Select(r => Cells(r.Feature.Latent, r.Label, r.Feature.Cosine, r.Feature.Together))),
            FeatureTableKind.Voters => TableFile.Of(name, ["annotator", "simulated", "votes", "share", "excess"],
                view.Voters.Select(v => Cells(v.Pseudonym, v.IsSimulated, v.Share.Votes, v.Share.Share, v.Share.Excess))),
            FeatureTableKind.Labels => TableFile.Of(name, ["version", "text", "pattern", "source", "at", "detection", "detection_low", "detection_high", "fuzzing", "scored_on"],
                view.Labels.Select(l => Cells(l.Label.Version, l.Label.Text, l.Label.Pattern, l.Label.Source.ToString(), l.Label.At.UtcDateTime.ToString("O"), l.Label.Detection,
                    l.Label.DetectionLow, l.Label.DetectionHigh, l.Label.Fuzzing, l.Label.ScoredOn))),
        };

        static IReadOnlyList<object?> Cells(params object?[] cells) => cells;
    }

    private static double Edge(ActivationHistogram histogram, int bin) => histogram.Max * bin / Math.Max(1, Math.Max(histogram.AtEnd.Count, histogram.AtSentence.Count));
}
