namespace Portal.Engine.Statistics;

/// <summary>How surprising a share of weighed draws is, at most: the exact test of a share needs draws that weigh alike.</summary>
/// <remarks>
/// With weights ω_g that are together 1, Y_g between 0 and ω_g, and E Y_g = p ω_g:
/// <code>
/// P(Σ Y_g ≥ w) ≤ min over t ≥ 0 of exp(−t w) Π_g (1 − p + p exp(t ω_g))
/// </code>
/// n draws of equal weight make it exp(−n KL(w ‖ p)). It holds for independent draws (Hoeffding 1963, JASA 58(301)) and all the more for those without replacement, which are negatively associated (Joag-Dev and Proschan 1983,
/// Annals of Statistics 11(1)). Whatever few draws have most of the weight, it stays true; normal approximations do not.
/// </remarks>
public static class HoeffdingBound
{
    /// <summary>KL(w ‖ p) of two shares, in nats: how far a share w lies off p. Infinite where p is 0 and w is not, or p is 1 and w is not.</summary>
    public static double Divergence(double w, double p) => Part(w, p) + Part(1 - w, 1 - p);

    /// <summary>At most how probable a share of w and above is, 0 to 1; 1 where w is not above p.</summary>
    /// <param name="weights">ω, each above 0, together 1.</param>
    /// <param name="p">0 to 1.</param>
    /// <param name="w">0 to 1.</param>
    public static double AtLeast(ReadOnlySpan<double> weights, double p, double w)
    {
        if (w <= p)
            return 1;
        // The logarithm is convex in t. Newton from the t of as many equal weights as these amount to (1/Σω²), within what is known of the least one; every t gives a bound, so it may stop anywhere.
        var (squares, low, high) = (0.0, 0.0, double.PositiveInfinity);
        foreach (var weight in weights)
            squares += weight * weight;
        var t = Math.Log(w * (1 - p) / (p * Math.Max(1 - w, 1e-9))) / squares;
        for (var i = 0; i < 30; i++)
        {
            var (slope, curvature) = (-w, 0.0);
            foreach (var weight in weights)
            {
                var tilted = p / (p + (1 - p) * Math.Exp(-t * weight));
                (slope, curvature) = (slope + weight * tilted, curvature + weight * weight * tilted * (1 - tilted));
            }
            if (Math.Abs(slope) < 1e-7)
                break;
            (low, high) = slope < 0 ? (t, high) : (low, t);
            var next = t - slope / curvature;
            t = next > low && next < high ? next : double.IsInfinity(high) ? 2 * t : (low + high) / 2; // a share of 1 has no least t: the further the less
        }
        var logarithm = -t * w;
        foreach (var weight in weights)
            logarithm += t * weight + Math.Log(p + (1 - p) * Math.Exp(-t * weight)); // e^{tω} taken out, so that nothing overflows
        return Math.Min(1, Math.Exp(logarithm));
    }

    private static double Part(double w, double p) => w > 0 ? w * Math.Log(w / p) : 0;
}
