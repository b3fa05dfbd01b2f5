using System.Globalization;
using Portal.Data.Registry;
using Portal.Web.Components;

namespace Portal.Web.Registry;

/// <summary>One measure of an SAE by where in a response it was taken.</summary>
/// <param name="All">At all places it was trained for; likewise at the ends of responses, and of sentences. Null where it was not measured.</param>
public sealed record SaeFitLine(string Name, MetricValue? All, MetricValue? AtEnd, MetricValue? AtSentence);

/// <summary>What is left of a model when its states are replaced by an SAE's reconstructions, beside what else could replace them.</summary>
/// <param name="Name">The figure; one of the spliced ones of <see cref="MetricNames"/>.</param>
/// <param name="Place">Which states were replaced: "response-end", "own-positions", "every-token".</param>
/// <param name="Change">Minus the model's own figure, paired; null where none is stored.</param>
/// <param name="Ablated">Replaced by zeros.</param>
public sealed record SaeSpliceLine(string Name, string Place, MetricValue? Spliced, MetricValue? Change, MetricValue? Components, MetricValue? Random, MetricValue? Ablated);

/// <summary>The training report of an SAE, out of its stored measurements.</summary>
/// <param name="Density">Share of latents by how often they fire, at all places and at the ends of responses; X is the exponent of ten, <see cref="Never"/> the dead. Empty where not measured.</param>
public sealed record SaeReport(IReadOnlyList<SaeFitLine> Fit, IReadOnlyList<SaeSpliceLine> Splice, IReadOnlyList<ChartPoint> Density, IReadOnlyList<ChartPoint> DensityAtEnd)
{
    /// <summary>Where the dead stand on the axis of exponents: one step left of the rarest.</summary>
    public const double Never = -5.5;

    private const string AtEndPart = "/response-end", AtSentencePart = "/sentence-end", Everywhere = "all", NeverPart = "never";

    private static readonly string[] Fitted =
    [
        MetricNames.SaeFvu, MetricNames.PrincipalComponentsBaseline, MetricNames.RandomEncoderBaseline, MetricNames.SaeNmse, MetricNames.SaeCosine, MetricNames.SaeLengthRatio, MetricNames.SaeActive,
        MetricNames.SaeDeadShare,
    ];

    private static readonly string[] Figures = [MetricNames.SplicedAccuracy, MetricNames.SplicedCorrelation, MetricNames.SplicedLoss];

    private static readonly string[] Places = ["response-end", "own-positions", "every-token"];

    public static SaeReport Of(IReadOnlyList<MetricValue> values)
    {
        // Where nothing was held out the recipe measures on the training vectors, and says so in the part.
        var part = values.Any(v => v.Part == MetricNames.HeldOut) ? MetricNames.HeldOut : "train";
        return new SaeReport(
            [.. Fitted.Select(name => new SaeFitLine(name, Find(name, part) ?? Find(name, Everywhere), Find(name, part + AtEndPart) ?? Find(name, Everywhere + AtEndPart), Find(name, part + AtSentencePart)))
                .Where(line => line.All is not null || line.AtEnd is not null || line.AtSentence is not null)],
            [.. from figure in Figures from place in Places select Spliced(figure, place) into line where line.Spliced is not null select line],
            Bins(Everywhere), Bins(Everywhere + AtEndPart));

        MetricValue? Find(string name, string at) => values.LastOrDefault(v => v.Name == name && v.Part == at);

        SaeSpliceLine Spliced(string figure, string place)
        {
            var at = $"{MetricNames.HeldOut}/{place}";
            return new SaeSpliceLine(figure, place, Read(MetricNames.SaePrefix), Read(MetricNames.ChangePrefix + MetricNames.SaePrefix) is { } change ? change with { Part = MetricParts.Change } : null,
                Read($"{MetricNames.PrincipalComponentsBaseline}/"), Read($"{MetricNames.RandomEncoderBaseline}/"), Read($"{MetricNames.AblatedBaseline}/"));

            MetricValue? Read(string prefix) => Find(prefix + figure, at) is { } found ? found with { Name = figure } : null;
        }

        // Every step stands on the axis: a missing bin is one in which no latent fires.
        IReadOnlyList<ChartPoint> Bins(string where)
        {
            var bins = values.Where(v => v.Name == MetricNames.SaeDensity && v.Part.StartsWith(where + "/", StringComparison.Ordinal))
                .Select(v => (At: Exponent(v.Part[(where.Length + 1)..]), v.Value)).Where(bin => bin.At is not null).ToList();
            return bins.Count == 0 ? [] : [.. Enumerable.Range(0, 12).Select(step => Never + (step / 2.0)).Select(at => new ChartPoint(at, 100 * bins.Where(bin => bin.At == at).Sum(bin => bin.Value)))];
        }
    }

    private static double? Exponent(string bin) => bin == NeverPart ? Never : double.TryParse(bin, NumberStyles.Float, CultureInfo.InvariantCulture, out var exponent) ? exponent : null;
}
