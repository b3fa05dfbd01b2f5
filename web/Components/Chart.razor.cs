using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Components;

namespace Portal.Web.Components;

/// <summary>Lines (or bars) over one axis. Parameters are documented here; the drawing is in <c>Chart.razor</c>.</summary>
public partial class Chart
{
    private const int Width = 620;
    private const int Height = 250;
    private const int Left = 52;
    private const int Right = 606;
    private const int Top = 20;
    private const int Bottom = 206;

    /// <summary>More points are thinned in the picture: a line of 550 pixels shows no more.</summary>
    private const int PointsMax = 500;

    /// <summary>More rows are thinned in the table, and the table says so.</summary>
    private const int RowsMax = 200;

    private readonly List<IReadOnlyList<ChartPoint>> shown = [];
    private readonly List<Dictionary<double, ChartPoint>> byX = [];
    private IReadOnlyList<double> yTicks = [];
    private IReadOnlyList<(double X, string Text, string Anchor)> xLabels = [];
    private IReadOnlyList<(ChartReference Line, bool Above, bool IsLeft)> lines = [];
    private IReadOnlyList<double> rows = [];
    private int rowsAll;
    private int yDecimals;
    private double xLow;
    private double xHigh;
    private double barWidth;

    /// <summary>What is shown, two to four words.</summary>
    [Parameter, EditorRequired]
    public string Title { get; set; } = "";

    /// <summary>Unit, what the band means, and n: "% of pairs, 95 % band, n 698".</summary>
    [Parameter, EditorRequired]
    public string Unit { get; set; } = "";

    [Parameter, EditorRequired]
    public string XTitle { get; set; } = "";

    [Parameter, EditorRequired]
    public string YTitle { get; set; } = "";

    /// <summary>At most six; more cannot be told apart.</summary>
    [Parameter, EditorRequired]
    public IReadOnlyList<ChartSeries> Series { get; set; } = [];

    /// <summary>Baselines and events.</summary>
    [Parameter]
    public IReadOnlyList<ChartReference> References { get; set; } = [];

    /// <summary>True draws the first series as bars from zero; X are then positions (days, bins).</summary>
    [Parameter]
    public bool Bars { get; set; }

    /// <summary>Digits after the point of values in labels and table.</summary>
    [Parameter]
    public int Decimals { get; set; } = 2;

    /// <summary>Writes X values: dates, version names. Null writes the number.</summary>
    [Parameter]
    public Func<double, string>? XText { get; set; }

    /// <summary>Left end of the axis, where it must not follow the points (a run that will have 1,000 steps).</summary>
    [Parameter]
    public double? XMin { get; set; }

    [Parameter]
    public double? XMax { get; set; }

    [Parameter]
    public double? YMin { get; set; }

    [Parameter]
    public double? YMax { get; set; }

    protected override void OnParametersSet()
    {
        if (Series.Count > 6)
        {
            throw new ArgumentException($"Chart '{Title}' has {Series.Count} series; six can be told apart.", nameof(Series));
        }

        shown.Clear();
        byX.Clear();
        var all = Series.SelectMany(static series => series.Points).Where(static point => double.IsFinite(point.X)).ToList();
        var finite = all.Where(static point => double.IsFinite(point.Y)).ToList();
        if (finite.Count == 0)
        {
            return; // the frame says that nothing is there yet
        }

        foreach (var series in Series)
        {
            shown.Add(Bars ? series.Points : ChartScale.Thin(series.Points, PointsMax));
            byX.Add(series.Points.GroupBy(static point => point.X).ToDictionary(static group => group.Key, static group => group.Last()));
        }

        SetAxes(all, finite);
        PlaceLines();
        var xs = all.Select(static point => point.X).Distinct().Order().ToList();
        rowsAll = xs.Count;
        rows = xs.Count <= RowsMax ? xs : [.. Enumerable.Range(0, RowsMax).Select(index => xs[(int)((long)index * (xs.Count - 1) / (RowsMax - 1))]).Distinct()];
    }

    private void SetAxes(List<ChartPoint> all, List<ChartPoint> finite)
    {
        var ys = finite.SelectMany(static point => new[] { point.Y, point.Low ?? point.Y, point.High ?? point.Y })
            .Concat(References.Where(static line => line.Y is not null).Select(static line => line.Y!.Value)).Where(double.IsFinite).ToList();
        var low = YMin ?? (Bars ? Math.Min(0, ys.Min()) : ys.Min());
        yTicks = ChartScale.Ticks(low, YMax ?? ys.Max(), 4);
        yDecimals = ChartScale.Decimals(yTicks);
        xLow = XMin ?? all.Min(static point => point.X);
        xHigh = XMax ?? all.Max(static point => point.X);
        if (Bars)
        {
            var count = Math.Max(1, shown[0].Count);
            var step = count > 1 ? (xHigh - xLow) / (count - 1) : 1;
            (xLow, xHigh) = (xLow - (step / 2), xHigh + (step / 2));
            barWidth = Math.Max(1, ((Right - Left) / (double)count) - 6);
        }
        else if (xHigh <= xLow)
        {
            (xLow, xHigh) = (xLow - 1, xLow + 1);
        }

        // Names stand under points that exist; plain numbers under round values.
        var xs = all.Select(static point => point.X).Distinct().Order().ToList();
        IEnumerable<double> at = XText is null
            ? ChartScale.Ticks(xLow, xHigh, 4).Where(x => x >= xLow - 1e-9 && x <= xHigh + 1e-9)
            : Enumerable.Range(0, Math.Min(5, xs.Count)).Select(index => xs[xs.Count == 1 ? 0 : (int)Math.Round(index * (xs.Count - 1) / (double)(Math.Min(5, xs.Count) - 1))]);
        xLabels = [.. at.Distinct().Select(x => (x, XLabel(x), X(x) > Right - 12 ? "end" : "middle"))];
    }

    /// <summary>
    /// Baseline labels stand above their line at the right, below it where the next label would be overwritten, and at the left where the last
    /// point's value stands.
    /// </summary>
    private void PlaceLines()
    {
        var placed = new List<(ChartReference, bool, bool)>();
        var above = double.NegativeInfinity;
        foreach (var line in References.Where(static line => line.Y is not null).OrderByDescending(static line => line.Y))
        {
            var y = Y(line.Y!.Value);
            var isAbove = y - above > 16;
            placed.Add((line, isAbove, shown.Where((points, index) => Series[index].LabelLast).Any(points => points is [.., var last] && X(last.X) > Right - 90 && Math.Abs(Y(last.Y) - y) < 24)));
            above = isAbove ? y : y + 16;
        }

        lines = placed;
    }

    private double X(double value) => Left + ((Right - Left) * (value - xLow) / (xHigh - xLow));

    private double Y(double value) => Bottom - ((Bottom - Top) * (value - yTicks[0]) / (yTicks[^1] - yTicks[0]));

    private string LinePath(IReadOnlyList<ChartPoint> points)
    {
        var path = new StringBuilder();
        var isOpen = false;
        foreach (var point in points)
        {
            if (!double.IsFinite(point.Y))
            {
                isOpen = false;
                continue;
            }

            path.Append(isOpen ? 'L' : 'M').Append(N(X(point.X))).Append(' ').Append(N(Y(point.Y)));
            isOpen = true;
        }

        return path.ToString();
    }

    private string BandPath(IReadOnlyList<ChartPoint> points)
    {
        var bounded = points.Where(static point => point is { Low: { } low, High: { } high } && double.IsFinite(low) && double.IsFinite(high)).ToList();
        return bounded.Count < 2 ? "" : "M" + string.Join('L', bounded.Select(point => $"{N(X(point.X))} {N(Y(point.High!.Value))}")
            .Concat(bounded.AsEnumerable().Reverse().Select(point => $"{N(X(point.X))} {N(Y(point.Low!.Value))}"))) + "Z";
    }

    /// <summary>What a screen reader says for the picture: each series from where to where.</summary>
    private string Summary()
    {
        var parts = Series.Select(series =>
        {
            var finite = series.Points.Where(static point => double.IsFinite(point.Y)).ToList();
            return finite.Count == 0 ? series.Name : T["Chart.Summary", series.Name, Label(finite[0].Y, Decimals), XLabel(finite[0].X), Label(finite[^1].Y, Decimals), XLabel(finite[^1].X)].Value;
        });
        return $"{Title}, {Unit}. {string.Join(". ", parts)}";
    }

    private static bool HasBand(ChartSeries series) => series.Points.Any(static point => point.Low is not null && point.High is not null);

    private string XLabel(double x) => XText is null ? x.ToString("#,0.####", CultureInfo.CurrentCulture).Replace('-', '\u2212') : XText(x);

    private static string Label(double value, int decimals) => MeasureText.Digits(value, MeasureFormat.Plain, decimals);

    private static string N(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);
}
