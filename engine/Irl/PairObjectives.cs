namespace Portal.Engine.Irl;

/// <summary>What a pair's margin m = R(o⁺) − R(o⁻) costs, and how the cost changes with it.</summary>
public interface IPairObjective
{
    /// <summary>Loss at a margin; finite for every finite m.</summary>
    double Loss(double margin);

    /// <summary>dL/dm; at a kink the slope to its right.</summary>
    double Slope(double margin);
}

/// <summary>
/// Max-margin as a hinge. <code>L = max(0, g − m)</code>
/// </summary>
/// <param name="Margin">g &gt; 0; 1 suits standardised features (0.1 in the group's code).</param>
/// <remarks>Source: specs/fairl.md §2, irl_utilities.py max_margin_loss.</remarks>
public sealed record HingeObjective(double Margin = 1) : IPairObjective
{
    public double Loss(double margin) => Math.Max(0, Margin - margin);

    public double Slope(double margin) => margin < Margin ? -1 : 0;
}

/// <summary>
/// Max-entropy: minus the log-probability that a softmax over the two completions picks o⁺, which is Bradley-Terry. <code>L = softplus(−m/T) = ln(1 + e^{−m/T})</code>
/// </summary>
/// <param name="Temperature">T &gt; 0; 1 suits standardised features (0.1 in the group's code).</param>
/// <remarks>
/// As a softplus, so that |m| = 1e4 costs 1e4 and not NaN: the group's code builds e^{r/T}, overflows, and replaces NaN by 1. Source: specs/fairl.md §1.5, §2, max_entropy_loss.
/// </remarks>
public sealed record EntropyObjective(double Temperature = 1) : IPairObjective
{
    public double Loss(double margin)
    {
        var x = -margin / Temperature;
        return Math.Max(x, 0) + double.LogP1(Math.Exp(-Math.Abs(x)));
    }

    public double Slope(double margin)
    {
        var x = margin / Temperature;
        var e = Math.Exp(-Math.Abs(x));
        return -(x >= 0 ? e : 1) / (1 + e) / Temperature;
    }
}
