using Portal.Data.Audits;

namespace Portal.Web.Audits;

/// <summary>A text in the drawing of recovered against trained reward.</summary>
/// <param name="X">Trained reward, z; less the mean of its prompt where points are centred.</param>
/// <param name="Y">Recovered reward, likewise.</param>
/// <param name="Deviation">Between runs, z.</param>
public sealed record ScatterPoint(string Text, AuditTextId Id, double X, double Y, double Deviation);

/// <summary>The points of that drawing.</summary>
public static class ScatterPoints
{
    /// <summary>More are thinned in the drawing, evenly; numbers and table count all.</summary>
    public const int DrawnMax = 1_000;

    /// <summary>Texts that both rewards have scored.</summary>
    /// <param name="centred">Takes the mean of its prompt off each reward: what is left is the order within prompts, which is all that pairs can teach.</param>
    public static IReadOnlyList<ScatterPoint> Of(IReadOnlyList<AuditPoint> points, bool centred)
    {
        var both = points.Select(point => (Point: point, Id: AuditTextId.Parse(point.Text))).Where(one => one.Point.Reference is not null && one.Id is not null)
            .Select(one => new ScatterPoint(one.Point.Text, one.Id!.Value, one.Point.Reference!.Value, one.Point.Z, one.Point.Deviation)).ToList(); // filtered
        if (!centred)
            return both;
        var means = both.GroupBy(point => point.Id.PromptId).ToDictionary(prompt => prompt.Key, prompt => (X: prompt.Average(point => point.X), Y: prompt.Average(point => point.Y)));
        return [.. both.Select(point => point with { X = point.X - means[point.Id.PromptId].X, Y = point.Y - means[point.Id.PromptId].Y })];
    }

    /// <summary>At most <see cref="DrawnMax"/> of them, evenly spread over the list.</summary>
    public static IReadOnlyList<ScatterPoint> Drawn(IReadOnlyList<ScatterPoint> points) =>
        points.Count <= DrawnMax ? points : [.. Enumerable.Range(0, DrawnMax).Select(index => points[(int)((long)index * points.Count / DrawnMax)])];

    /// <summary>Those furthest from the diagonal.</summary>
    public static IReadOnlyList<ScatterPoint> Apart(IReadOnlyList<ScatterPoint> points, int most) => [.. points.OrderByDescending(point => Math.Abs(point.Y - point.X)).ThenBy(point => point.Text, StringComparer.Ordinal).Take(most)];
}
