using Portal.Data.Review;
using Portal.Web.Components;

namespace Portal.Web.Review;

/// <summary>When a flag came and was decided.</summary>
/// <param name="ClosedAt">Null while open.</param>
public readonly record struct FlagTimes(DateTimeOffset At, DateTimeOffset? ClosedAt, FlagState State);

/// <summary>How people who flag are served.</summary>
/// <param name="InADay">The share of flags answered within 24 hours, of those that came in the last 30 days and are at least 24 hours old; null below <see cref="EvidenceMin"/> of them.</param>
/// <param name="Came">How many those are.</param>
/// <param name="Hours">The median of hours from flag to decision, of flags decided in the last 30 days, with its 95 % range; null below <see cref="EvidenceMin"/>.</param>
/// <param name="Confirmed">The share of those that were confirmed; null likewise.</param>
/// <param name="Decided">How many were decided in the last 30 days.</param>
public sealed record ServiceTimes(Measure? InADay, int Came, Measure? Hours, Measure? Confirmed, int Decided)
{
    /// <summary>Below so many flags no figure is shown.</summary>
    public const int EvidenceMin = 10;

    public static readonly TimeSpan Window = TimeSpan.FromDays(30);
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <param name="flags">Flags that came or were decided in the window; others are passed over.</param>
    public static ServiceTimes Of(IReadOnlyCollection<FlagTimes> flags, DateTimeOffset now)
    {
        var came = flags.Where(f => f.At > now - Window && f.At <= now - Day).ToList();
        var decided = flags.Where(f => f.ClosedAt > now - Window).ToList();
        double[] hours = [.. decided.Select(f => (f.ClosedAt!.Value - f.At).TotalHours).Order()]; // decided ones have a time
        return new ServiceTimes(
            came.Count < EvidenceMin ? null : WilsonInterval.Of(came.Count(f => f.ClosedAt - f.At <= Day), came.Count), came.Count,
            Median(hours),
            decided.Count < EvidenceMin ? null : WilsonInterval.Of(decided.Count(f => f.State is FlagState.Confirmed), decided.Count), decided.Count);
    }

    /// <summary>
    /// The median with the values at the ranks n/2 − 1.96 √n/2 and 1 + n/2 + 1.96 √n/2, rounded: a 95 % range that assumes nothing of how hours are spread.
    /// Source: Campbell and Gardner 1988, "Calculating confidence intervals for some non-parametric analyses".
    /// </summary>
    /// <param name="sorted">Ascending.</param>
    private static Measure? Median(double[] sorted)
    {
        var n = sorted.Length;
        if (n < EvidenceMin)
            return null;
        var reach = 1.96 * Math.Sqrt(n) / 2;
        var (low, high) = ((int)Math.Round((n / 2.0) - reach), (int)Math.Round(1 + (n / 2.0) + reach));
        return new Measure((sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[Math.Max(1, low) - 1], sorted[Math.Min(n, high) - 1], n);
    }
}
