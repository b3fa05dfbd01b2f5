using System.ComponentModel.DataAnnotations;

namespace Portal.Web.Registry;

/// <summary>
/// When a page warns before a release. None of these limits blocks: an admin may release all the same, with a reason that is kept.
/// Configuration section "Release".
/// </summary>
public sealed record ReleaseOptions
{
    public const string Section = "Release";

    /// <summary>
    /// How far the share of readable samples may fall. 3 points: the demo world's target for a good run; a learning rate that breaks the
    /// language costs 20 points and more, sampling noise at 1,200 samples about 1.
    /// </summary>
    [Range(0.0, 1.0)]
    public double ReadableFallMax { get; init; } = 0.03;

    /// <summary>
    /// KL to the reference, nats per response. 6 is the usual target of adaptive KL control in RLHF; a DPO run of the demo that keeps the
    /// language stays near 1.
    /// </summary>
    [Range(0.0, 1000.0)]
    public double KlBudgetNats { get; init; } = 6;

    /// <summary>How much longer responses may get, as a share. Beyond a quarter, length itself is probably what is paid for.</summary>
    [Range(0.0, 100.0)]
    public double LengthGrowthMax { get; init; } = 0.25;

    /// <summary>Blind human votes below which a win rate is not shown. With 10 votes the 95 % interval is already 50 points wide.</summary>
    [Range(1, 100_000)]
    public int BlindVotesMin { get; init; } = 10;
}
