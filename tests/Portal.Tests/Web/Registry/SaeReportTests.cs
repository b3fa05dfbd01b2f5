using Portal.Data.Registry;
using Portal.Web.Registry;
using Xunit;

namespace Portal.Tests.Web.Registry;

/// <summary>The report of an SAE out of stored rows: each number lands where its name and part say. Rows by hand, as engine/Recipes writes them.</summary>
public sealed class SaeReportTests : IDisposable
{
    private readonly SeededProject project = new();

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Every_measurement_finds_its_cell()
    {
        var sae = project.Model(ModelKind.SparseAutoencoder, 1, "SAE");
        Add(MetricNames.SaeFvu, "held-out", .2);
        Add(MetricNames.SaeFvu, "held-out/response-end", .1);
        Add(MetricNames.SaeFvu, "held-out/sentence-end", .3);
        Add(MetricNames.PrincipalComponentsBaseline, "held-out", .5);
        Add(MetricNames.SaeDeadShare, "all", .4);
        Add(MetricNames.SaeDeadShare, "all/response-end", .6);
        Add(MetricNames.SaeDensity, "all/-2.5", .25);
        Add(MetricNames.SaeDensity, "all/never", .75);
        Add(MetricNames.SaeDensity, "all/response-end/-1", 1);
        Add("sae/spliced_accuracy", "held-out/response-end", .7);
        Add("change/sae/spliced_accuracy", "held-out/response-end", -.05);
        Add("baseline/ablated/spliced_accuracy", "held-out/response-end", .5);
        Add("sae/spliced_loss", "held-out/every-token", 2);

        var view = (await new ShowModel(project.Contexts, project.Access).Handle(project.Reviewer, sae.Id, CancellationToken.None)).Value;
        var report = SaeReport.Of(view.Values);

        Assert.Equal([MetricNames.SaeFvu, MetricNames.PrincipalComponentsBaseline, MetricNames.SaeDeadShare], report.Fit.Select(line => line.Name));
        Assert.Equal([.2, .1, .3], new[] { report.Fit[0].All, report.Fit[0].AtEnd, report.Fit[0].AtSentence }.Select(value => value!.Value));
        Assert.Equal((.4, .6, null), (report.Fit[2].All!.Value, report.Fit[2].AtEnd!.Value, report.Fit[2].AtSentence));
        Assert.Equal(12, report.Density.Count); // never, and half decades from 10^−5 to 1
        Assert.Equal([(SaeReport.Never, 75), (-2.5, 25)], report.Density.Where(point => point.Y > 0).Select(point => (point.X, point.Y)));
        Assert.Equal([(-1, 100)], report.DensityAtEnd.Where(point => point.Y > 0).Select(point => (point.X, point.Y)));
        Assert.Equal([(MetricNames.SplicedAccuracy, "response-end"), (MetricNames.SplicedLoss, "every-token")], report.Splice.Select(line => (line.Name, line.Place)));
        Assert.Equal((.7, -.05, .5, null), (report.Splice[0].Spliced!.Value, report.Splice[0].Change!.Value, report.Splice[0].Ablated!.Value, report.Splice[0].Random));
        Assert.Equal(MetricParts.Change, report.Splice[0].Change!.Part);

        var file = (await new ExportMeasurements(project.Contexts, project.Access).Handle(project.Auditor, sae.Id, CancellationToken.None)).Value;
        var rows = await file.Rows.ToListAsync();
        Assert.Equal(13, rows.Count);
        Assert.Equal(["baseline/ablated/spliced_accuracy", "held-out/response-end", .5], rows[11].Take(3));
        Assert.NotNull((await new ExportMeasurements(project.Contexts, project.Access).Handle(project.Annotator, sae.Id, CancellationToken.None)).Refusal);

        void Add(string name, string part, double value) => project.Result(sae.Id, name, part, value, null, null, 500);
    }

    [Fact]
    public void Nothing_measured_is_an_empty_report() => Assert.Empty(SaeReport.Of([]).Fit);
}
