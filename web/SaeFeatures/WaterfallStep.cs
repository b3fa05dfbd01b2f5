namespace Portal.Web.SaeFeatures;

/// <summary>One bar of a waterfall.</summary>
/// <param name="Name">Whole; the drawing shortens it.</param>
/// <param name="Value">What it adds to the running sum; negative takes away.</param>
/// <param name="IsRest">Several things in one bar: drawn without emphasis.</param>
public sealed record WaterfallStep(string Name, double Value, bool IsRest = false)
{
    /// <summary>The largest parts one by one, the rest in two bars: what raises and what lowers. The steps add up to all parts.</summary>
    /// <param name="parts">Largest first.</param>
    /// <param name="most">Bars for single parts.</param>
    /// <param name="rest">Names a bar of so many parts; the second argument says whether they raise.</param>
    public static IReadOnlyList<WaterfallStep> Of(IReadOnlyList<(string Name, double Value)> parts, int most, Func<int, bool, string> rest)
    {
        var steps = parts.Take(most).Select(part => new WaterfallStep(part.Name, part.Value)).ToList();
        foreach (var raises in new[] { true, false })
            if (parts.Skip(most).Where(part => raises ? part.Value > 0 : part.Value < 0).ToList() is { Count: > 0 } others)
                steps.Add(new WaterfallStep(rest(others.Count, raises), others.Sum(part => part.Value), IsRest: true));
        return steps;
    }
}
