using Portal.Engine.Statistics;

namespace Portal.Engine.Irl.Parity;

/// <summary>
/// The predecessor's "max margin", which is none: linear on both sides and unbounded below. <code>L = −m if m &gt; 0, −2m otherwise</code>
/// </summary>
/// <remarks>Kept to be measured against. It only asks for ever larger margins, twice as loudly for those on the wrong side. Source: ai4ai-lab/irl_for_llms, irl_utilities.py get_irl_loss (specs/fairl.md §2).</remarks>
public sealed record AsymmetricObjective : IPairObjective
{
    public double Loss(double margin) => margin > 0 ? -margin : -2 * margin;

    public double Slope(double margin) => margin > 0 ? -1 : -2;
}

/// <summary>
/// The newer repository's margin that grows with confidence. <code>L = max(0, 0.1 + 0.5 |m| − m)</code>
/// </summary>
/// <remarks>Source: ajagota7/irl_llms, irl_utilities.py confidence_margin (specs/fairl.md §2).</remarks>
public sealed record ConfidenceObjective(double Margin = 0.1, double Confidence = 0.5) : IPairObjective
{
    public double Loss(double margin) => Math.Max(0, Margin + Confidence * Math.Abs(margin) - margin);

    public double Slope(double margin) => Loss(margin) > 0 ? Confidence * (margin >= 0 ? 1 : -1) - 1 : 0;
}

/// <summary>A linear reward on <see cref="AsymmetricObjective"/>. For comparison only: no form offers it.</summary>
public sealed class AsymmetricMarginIrl : IIrlMethod
{
    public string Name => "asymmetric-margin";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop) => LinearIrl.Fit(Name, new AsymmetricObjective(), task, random, stop);
}
