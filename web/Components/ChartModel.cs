namespace Portal.Web.Components;

/// <summary>One point; a non-finite <paramref name="Y"/> is a gap in the line.</summary>
/// <param name="X">Position on the axis all series share.</param>
/// <param name="Y">Value, in the unit that the chart names.</param>
/// <param name="Low">Lower end of the 95 % interval, null where none is known.</param>
/// <param name="High">Upper end; both or neither.</param>
public sealed record ChartPoint(double X, double Y, double? Low = null, double? High = null);

/// <summary>One line of a chart. Points are ordered by X.</summary>
/// <param name="Name">For legend, table and summary.</param>
/// <param name="Points">May be empty: the series then stands in the legend only.</param>
/// <param name="LabelLast">Writes the last value beside its point.</param>
public sealed record ChartSeries(string Name, IReadOnlyList<ChartPoint> Points, bool LabelLast = false);

/// <summary>A dashed line across the whole chart: a baseline (at <c>Y</c>) or an event (at <c>X</c>). Exactly one is given.</summary>
public sealed record ChartReference(string Name, double? Y = null, double? X = null);

/// <summary>Axes and thinning: the arithmetic of <c>Chart</c>.</summary>
public static class ChartScale
{
    /// <summary>
    /// Round tick values (1, 2, 2.5 or 5 times a power of ten) that cover [<paramref name="low"/>, <paramref name="high"/>]:
    /// the first is at most <paramref name="low"/>, the last at least <paramref name="high"/>. 3 to about 2 × <paramref name="wanted"/> of them.
    /// Equal or reversed ends are widened first.
    /// </summary>
    public static IReadOnlyList<double> Ticks(double low, double high, int wanted)
    {
        if (!double.IsFinite(low) || !double.IsFinite(high))
        {
            throw new ArgumentException($"An axis needs finite ends, got {low} and {high}.", nameof(low));
        }

        if (high <= low)
        {
            var half = low == 0 ? 1 : Math.Abs(low) * .05;
            (low, high) = (low - half, low + half);
        }

        var rough = (high - low) / wanted;
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        var step = power * ((rough / power) switch { <= 1 => 1, <= 2 => 2, <= 2.5 => 2.5, <= 5 => 5, _ => 10 });
        var first = (long)Math.Floor((low / step) + 1e-9);
        var last = (long)Math.Ceiling((high / step) - 1e-9);
        return [.. Enumerable.Range(0, (int)(last - first) + 1).Select(index => Math.Round((first + index) * step, 12))];
    }

    /// <summary>Digits after the point that tell neighbouring ticks apart.</summary>
    public static int Decimals(IReadOnlyList<double> ticks)
    {
        var step = ticks.Count < 2 ? 1 : ticks[1] - ticks[0];
        var decimals = 0;
        while (decimals < 6 && Math.Abs(Math.Round(step, decimals) - step) > step * 1e-6)
        {
            decimals++;
        }

        return decimals;
    }

    /// <summary>
    /// At most <paramref name="most"/> points that look the same: of each run of points the lowest and the highest stay,
    /// in order, so that spikes survive; the first and the last point always stay.
    /// </summary>
    public static IReadOnlyList<ChartPoint> Thin(IReadOnlyList<ChartPoint> points, int most)
    {
        if (points.Count <= most)
        {
            return points;
        }

        var buckets = Math.Max(1, (most - 2) / 2);
        var thin = new List<ChartPoint>(most) { points[0] };
        for (var bucket = 0; bucket < buckets; bucket++)
        {
            var start = 1 + (int)((long)(points.Count - 2) * bucket / buckets);
            var end = 1 + (int)((long)(points.Count - 2) * (bucket + 1) / buckets);
            var (lowest, highest) = (start, start);
            for (var index = start; index < end; index++)
            {
                if (points[index].Y < points[lowest].Y) lowest = index;
                if (points[index].Y > points[highest].Y) highest = index;
            }

            if (start < end)
            {
                thin.Add(points[Math.Min(lowest, highest)]);
                if (lowest != highest) thin.Add(points[Math.Max(lowest, highest)]);
            }
        }

        thin.Add(points[^1]);
        return thin;
    }
}
