using System.Text.Json;

namespace Portal.Data.Explanations;

/// <summary>What of a response is explained. What a reward model learns from are differences; an absolute state is mostly what cancels in all of them.</summary>
public enum QueryMode
{
    /// <summary>φ(x, y) less the mean of other answers to the same prompt.</summary>
    Centred = 1,
    /// <summary>φ(x, y) − φ(x, y_ref), where somebody gave a better answer.</summary>
    Comparison = 2,
    /// <summary>φ(x, y) as it is: the paper's, for comparison only.</summary>
    Raw = 3,
}

/// <summary>What is read of a text.</summary>
public enum FeatureSpace
{
    /// <summary>The state that the reward model's head reads.</summary>
    RewardState = 1,
    /// <summary>The codes of a reward model on sparse features: each number has a label.</summary>
    SarmCodes = 2,
    /// <summary>The last state of the policy the reward model was made from.</summary>
    PolicyState = 3,
}

/// <summary>Ways to say how much each pair has to do with a reward.</summary>
public enum AttributionMethod
{
    /// <summary>The weight in the convex combination nearest to the query.</summary>
    Projection = 1,
    /// <summary>What the pair adds to the reward through the head, to first order.</summary>
    Influence = 2,
    /// <summary>−‖Δφ_i − q‖.</summary>
    NearestNeighbours = 3,
    /// <summary>The cosine between Δφ_i and q.</summary>
    Cosine = 4,
    /// <summary>(1 − σ_i) w_i ⟨Δφ_i, q⟩ / (λ W): the pair's share of the reward at the head's optimum.</summary>
    Representer = 5,
    /// <summary>(1 − σ_i) qᵀ (ΦᵀΦ)⁻¹ Δφ_i.</summary>
    TrakLinear = 6,
    /// <summary>Nothing: the control.</summary>
    Random = 7,
}

/// <summary>How far an explanation may be believed.</summary>
public enum ExplanationConfidence
{
    /// <summary>Explained reward and drop both lie above what satisfactory responses show.</summary>
    Good = 1,
    /// <summary>One of them does.</summary>
    Weak = 2,
    /// <summary>Neither does, or what the pairs leave over is too large: nothing is offered for unlearning.</summary>
    Unexplained = 3,
    /// <summary>There are too few satisfactory responses to know what they show: nobody can say.</summary>
    NotCalibrated = 4,
}

/// <summary>
/// Why a reward model likes a response: how much of its reward which of the pairs it was trained on make up. Made by a job, never changed; explaining again makes another one.
/// </summary>
/// <remarks>Numbers and ids only. Texts stay where they are, so that an erased one is in no explanation.</remarks>
public sealed class Explanation
{
    /// <summary>The method whose first pairs are shown first, and whose removal says how far an explanation may be believed (docs/evidence-explanations.md).</summary>
    public const AttributionMethod Favoured = AttributionMethod.Cosine;

    public required ExplanationId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required JobId JobId { get; init; }

    /// <summary>The flag that asked for it; null where somebody explained a response that nobody flagged.</summary>
    public required FlagId? FlagId { get; init; }

    public required ResponseId ResponseId { get; init; }

    /// <summary>The reward model that is explained, and the version of the data whose pairs explain it.</summary>
    public required ModelVersionId RewardModelId { get; init; }
    public required DatasetVersionId DatasetVersionId { get; init; }

    /// <summary>The policy that wrote the response and that the pairs' <see cref="ExplainingPair.PolicyEffect"/> is on; null where none was asked: it was not trained by DPO or KTO, is retired, or nobody's here.</summary>
    public required ModelVersionId? PolicyId { get; init; }

    public required QueryMode Mode { get; init; }
    public required FeatureSpace Space { get; init; }

    /// <summary>μ of the projection.</summary>
    public required double Locality { get; init; }

    /// <summary>Other answers that the response is compared with; 0 for a raw query.</summary>
    public required int References { get; init; }

    /// <summary>θ · q: by how much its reward is above theirs.</summary>
    public required double Reward { get; init; }

    /// <summary>Σ ω_i m_i: how much of it the pairs make up.</summary>
    public required double Explained { get; init; }

    /// <summary>‖Σ ω_i Δφ_i − q‖, and the same over ‖q‖.</summary>
    public required double Residual { get; init; }
    public required double RelativeResidual { get; init; }

    /// <summary>The projection's certificate: no combination is better by more.</summary>
    public required double Gap { get; init; }

    /// <summary>The method whose first pairs the confidence is about.</summary>
    public required AttributionMethod Method { get; init; }

    public required ExplanationConfidence Confidence { get; init; }

    /// <summary>By how much θ · q falls without those pairs.</summary>
    public required double Drop { get; init; }

    /// <summary>What 95 of 100 satisfactory responses lie below; null where it is not calibrated.</summary>
    public required double? ExplainedAbove { get; init; }
    public required double? DropAbove { get; init; }

    /// <summary>Satisfactory responses that say so.</summary>
    public required int Calibrating { get; init; }

    /// <summary>The response was longer than the reward model's window and lost its beginning: it is not all explained.</summary>
    public required bool IsTruncated { get; init; }

    /// <summary>Rows of pairs that could have explained it.</summary>
    public required int Pairs { get; init; }

    /// <summary>That explaining it took; 0 where that is not known (the demo brings its own).</summary>
    public required double Milliseconds { get; init; }
    public required long Seed { get; init; }
    public required bool IsSynthetic { get; init; }

    /// <summary>Who asked for it; null when the system did.</summary>
    public required Guid? CreatedBy { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>What no pair explains.</summary>
    public double Unexplained => Reward - Explained;

    /// <summary>Σ ω_i m_i over θ · q; null where the reward is not above what it is compared with, and there is nothing to explain.</summary>
    public double? ExplainedShare => Reward > 0 ? Explained / Reward : null;
}

/// <summary>A pair of an explanation: all with a weight in its projection, and the first of the other methods.</summary>
public sealed class ExplainingPair
{
    public required ExplanationId ExplanationId { get; init; }

    /// <summary>The judgement it comes from; of several that judged the same pair alike, the earliest in the data.</summary>
    public required JudgementId JudgementId { get; init; }

    /// <summary>The other judgements of the same pair, as JSON; "[]" mostly.</summary>
    public required string OthersJson { get; init; }

    /// <summary>ω; 0 where the pair is no part of the projection.</summary>
    public required double Weight { get; init; }

    /// <summary>m = θ · Δφ: how much the model prefers its chosen answer. ω m is its share of the reward.</summary>
    public required double Margin { get; init; }

    /// <summary>‖Δφ − q‖.</summary>
    public required double Distance { get; init; }

    /// <summary>What the pair adds to the reward through the head.</summary>
    public required double Influence { get; init; }

    /// <summary>
    /// By how many nats one step of rate 1 on the pair alone would change the response's log-probability under the explanation's policy, to first order, on its last block, final norm and head; above 0 the response becomes more likely.
    /// Null where no policy was asked, or not about this pair.
    /// </summary>
    public required double? PolicyEffect { get; init; }

    /// <summary>1 for a method's first pair; null below its last that is kept.</summary>
    public required int? ProjectionRank { get; init; }
    public required int? InfluenceRank { get; init; }
    public required int? NearestRank { get; init; }
    public required int? CosineRank { get; init; }

    /// <summary>ω m.</summary>
    public double RewardShare => Weight * Margin;

    /// <summary>The other judgements of the same pair.</summary>
    public IReadOnlyList<JudgementId> Others() => JsonSerializer.Deserialize<List<JudgementId>>(OthersJson) ?? [];

    /// <summary>The rank by a method; null where it is not among its first.</summary>
    public int? RankBy(AttributionMethod method) => method switch
    {
        AttributionMethod.Projection => ProjectionRank,
        AttributionMethod.Influence => InfluenceRank,
        AttributionMethod.NearestNeighbours => NearestRank,
        AttributionMethod.Cosine => CosineRank,
        AttributionMethod.Representer or AttributionMethod.TrakLinear or AttributionMethod.Random => null, // not kept
    };
}

/// <summary>What satisfactory responses show under a reward model, against which explanations are read.</summary>
public sealed class ExplanationLimits
{
    public required ModelVersionId RewardModelId { get; init; }
    public required QueryMode Mode { get; init; }
    public required FeatureSpace Space { get; init; }
    public required AttributionMethod Method { get; init; }

    /// <summary>Satisfactory responses measured.</summary>
    public required int Responses { get; init; }

    /// <summary>What 95 of 100 of them lie below.</summary>
    public required double ExplainedAbove { get; init; }
    public required double DropAbove { get; init; }

    public required JobId JobId { get; init; }
    public required DateTimeOffset At { get; init; }
}

/// <summary>What a reviewer says of a pair that explains a response. Append-only: the latest of a reviewer counts.</summary>
public sealed class PairMark
{
    public required PairMarkId Id { get; init; }
    public required ExplanationId ExplanationId { get; init; }
    public required JudgementId JudgementId { get; init; }
    public required PairVerdict Verdict { get; init; }
    public required Guid By { get; init; }
    public required DateTimeOffset At { get; init; }
}

/// <summary>What is wrong with a pair, if anything.</summary>
public enum PairVerdict
{
    /// <summary>The other answer is the better one.</summary>
    WrongLabel = 1,
    /// <summary>An answer should not be there at all.</summary>
    BadContent = 2,
    Fine = 3,
    Unsure = 4,
}

/// <summary>When numbers about many explanations say something; for the engine's roll-ups and for the pages.</summary>
public static class ExplanationRules
{
    /// <summary>Pairs of a method that pages show, and that count where many explanations are added up by a method without weights.</summary>
    public const int FirstPairs = 10;

    /// <summary>With fewer judgements a person's or a source's weight over data share is the luck of single pairs.</summary>
    public const int JudgementsMin = 5;

    /// <summary>A pair that is first for a larger share of the prompts than this is generic.</summary>
    public const double HubShare = 0.1;

    /// <summary>With fewer distinct prompts such a share says nothing.</summary>
    public const int HubPromptsMin = 20;

    /// <summary>Weight over data share: 1 is as much as anybody's; null below <see cref="JudgementsMin"/> judgements.</summary>
    public static double? Excess(double weight, double dataShare, int judgements) => judgements >= JudgementsMin && dataShare > 0 ? weight / dataShare : null;
}
