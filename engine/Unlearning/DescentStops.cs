using Portal.Engine.Influence;

namespace Portal.Engine.Unlearning;

/// <summary>Why a descent ended.</summary>
public enum DescentEnd
{
    /// <summary>It made all its steps.</summary>
    Steps = 1,
    /// <summary>The mean margin of the pairs that go is no larger than it would be without them.</summary>
    Prediction = 2,
    /// <summary>Held-out accuracy fell by more than it may; the weights before are kept.</summary>
    HeldOutAccuracy = 3,
    /// <summary>Preferences on the pairs that are kept moved by more than they may; the weights before are kept.</summary>
    RetainDivergence = 4,
}

/// <summary>When a descent has gone far enough, or too far, where no model that never saw the pairs is there to compare with. Source: specs/xrlhf.md §2.4, "Stop rule without a gold model".</summary>
public sealed record DescentStops
{
    /// <summary>Held-out accuracy may fall by so much, 0 to 1.</summary>
    public double AccuracyLossMax { get; init; } = 0.005;

    /// <summary>The mean divergence of preferences on kept pairs from what they were, nats.</summary>
    public double RetainKlMax { get; init; } = 0.02;

    /// <summary>It has gone far enough where the margins are as they would be without the pairs. False: only harm stops it, for whole models, whose prediction is of a head on features that were taught by the pairs too.</summary>
    public bool LooksAtMargins { get; init; } = true;

    /// <summary>Only where the margins would be without the pairs.</summary>
    public static DescentStops AtPrediction { get; } = new() { AccuracyLossMax = double.PositiveInfinity, RetainKlMax = double.PositiveInfinity };

    /// <summary>Only where it does harm.</summary>
    public static DescentStops AtHarm { get; } = new() { LooksAtMargins = false };

    /// <summary>Looks at a descent.</summary>
    /// <param name="goneMargin">Mean margin of the pairs that go, and where it should be.</param>
    /// <param name="heldOutAccuracy">Before and now; null where there are no held-out pairs.</param>
    /// <param name="retainKl">Nats.</param>
    /// <returns>Null: it goes on. Harm counts before success.</returns>
    public DescentEnd? Look((double Now, double Wanted) goneMargin, (double Before, double Now)? heldOutAccuracy, double retainKl) =>
        heldOutAccuracy is { } accuracy && accuracy.Before - accuracy.Now > AccuracyLossMax ? DescentEnd.HeldOutAccuracy
        : retainKl > RetainKlMax ? DescentEnd.RetainDivergence
        : LooksAtMargins && goneMargin.Now <= goneMargin.Wanted ? DescentEnd.Prediction
        : null;

    /// <summary>Mean KL of preferences, σ(before) against σ(now), nats: Σ w [σ₀ ln(σ₀/σ) + (1 − σ₀) ln((1 − σ₀)/(1 − σ))] / Σ w.</summary>
    /// <param name="before">Margins. [n].</param>
    /// <param name="now">Margins. [n].</param>
    /// <param name="weights">w ≥ 0, not all 0; rows with 0 play no part. [n].</param>
    public static double PreferenceKl(IReadOnlyList<double> before, IReadOnlyList<double> now, IReadOnlyList<double> weights)
    {
        var (sum, total) = (0.0, 0.0);
        for (var i = 0; i < before.Count; i++)
        {
            if (!(weights[i] > 0))
                continue;
            var lost = PairHead.Slack(before[i]); // 1 − σ₀
            sum += weights[i] * ((1 - lost) * (Surprise(now[i]) - Surprise(before[i])) + lost * (Surprise(-now[i]) - Surprise(-before[i])));
            total += weights[i];
        }
        return sum / total;
    }

    /// <summary>−ln σ(m), finite for every finite m.</summary>
    private static double Surprise(double margin) => Math.Max(0, -margin) + double.LogP1(Math.Exp(-Math.Abs(margin)));
}
