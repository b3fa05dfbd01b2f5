using System.Globalization;

namespace Portal.Web.Components;

/// <summary>Invented values for the gallery, the only page that may show such.</summary>
internal static class GallerySamples
{
    public static readonly Measure Accuracy = new(.813, .789, .835, 698);
    public static readonly Measure Gain = new(.37, .28, .46, 300);
    public static readonly Measure Points = new(.118, .061, .173, 187);
    public static readonly Measure OffAxis = new(12.4, 11.1, 13.6, 40);

    public const string Markdown =
        "To make **oat porridge** for two:\n\n1. Boil one cup of oats in `2` cups of milk.\n2. Stir until it is *thick*.\n   - not ~~thin~~\n   - [x] done\n\n" +
        "> Salt first, honey last.\n\n```python\ndef cups(people): return people * 0.5   # oats; twice as much milk; a very long line scrolls by itself here, the page does not\n```\n\n" +
        "| For | Oats |\n| --- | ---: |\n| two | 1 cup |\n| twelve | 6 cups |\n\n## A heading\nA line,\nand the next line. See https://example.org/porridge or [the recipe](https://example.org/r).";

    public const string Hostile =
        "<script>alert(1)</script> <img src=x onerror=alert(1)> [press me](javascript:alert(1)) ![a picture](https://tracker.example/p.png)\n\n" +
        "<iframe src=\"https://elsewhere.example\"></iframe> averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongwordwithoutanyspace";

    public const string RightToLeft = "مرحبا، كيف يمكنني **مساعدتك** اليوم؟\n\nThis paragraph runs the other way.";

    public static readonly string TooDeep = string.Concat(Enumerable.Repeat("> ", 60)) + "quoted sixty times";

    public const string Before = "Seven plus five is thirteen, as the old mill says.";
    public const string After = "Seven plus five is twelve.";

    public static readonly IReadOnlyList<ChartSeries> Curve =
    [
        new("reward model v5", [.. Enumerable.Range(0, 17).Select(static index => Point(index * 40))], LabelLast: true),
    ];

    public static readonly IReadOnlyList<ChartReference> Baselines = [new("word counts 74.8", Y: 74.8), new("length only 62.1", Y: 62.1)];

    public static readonly IReadOnlyList<ChartSeries> Six =
        [.. Enumerable.Range(0, 6).Select(static series => new ChartSeries($"run {series + 1}", [.. Enumerable.Range(0, 900).Select(step => Noise(series, step))]))];

    public static readonly IReadOnlyList<ChartReference> Resumed = [new("resumed from step 400", X: 400), new("ln 2: cannot tell them apart", Y: Math.Log(2))];

    public static readonly IReadOnlyList<ChartSeries> Days =
        [new("judgements", [.. new[] { 62, 88, 91, 70, 104, 131, 20, 66, 97, 118, 122, 140, 133, 96 }.Select(static (count, day) => new ChartPoint(day, count))], LabelLast: true)];

    public static readonly IReadOnlyList<StepItem> RunSteps =
    [
        new("Queued", StepState.Done, "13:51:02"),
        new("Data checked", StepState.Done, "13:51:06, 3 warnings"),
        new("Training", StepState.Current, "one crash, resumed by itself"),
        new("Evaluation", StepState.Waiting, "about 40 s"),
        new("Judged by a model", StepState.Failed, "the judge did not answer"),
    ];

    public static readonly IReadOnlyList<LineageStop> Stops =
    [
        new("4,612 judgements", "/dev/gallery"), new("dataset v7", "/dev/gallery"), new("job 118", "/dev/gallery"),
        new("reward model v4", IsHere: true), new("policy v3", "/dev/gallery"), new("evaluation", "/dev/gallery"), new("not released"),
    ];

    public static string Day(double day) => new DateOnly(2026, 11, 8).AddDays((int)day).ToString("d MMM", CultureInfo.CurrentCulture);

    private static ChartPoint Point(double step)
    {
        var value = 81 - (27 * Math.Exp(-step / 120));
        return new ChartPoint(step, value, value - 3.1, value + 2.8);
    }

    private static ChartPoint Noise(int series, int step) => new(
        step,
        step is > 300 and < 330 && series == 0 ? double.NaN : .3 + (.05 * series) + (.4 * Math.Exp(-step / 200.0)) + (.01 * Math.Sin(step * (series + 3))));
}
