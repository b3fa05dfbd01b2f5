using Portal.Data.Explanations;
using Portal.Data.SaeFeatures;

namespace Portal.Data.Serving;

/// <summary>POST /v1/features/xray: which features make the reward of some responses.</summary>
/// <param name="Model">A SARM reward model.</param>
/// <param name="Items">At most <see cref="ItemsMax"/>.</param>
/// <param name="HeatLatents">Features whose activation at every token is wanted; null: the <see cref="HeatMax"/> with the largest contributions of each item.</param>
public sealed record FeatureXrayRequest(string? Model, IReadOnlyList<ScoreItem>? Items, IReadOnlyList<int>? HeatLatents = null)
{
    public const string Route = "/v1/features/xray";
    public const int ItemsMax = 16;
    public const int HeatMax = 12;
}

/// <summary>The answers, in the order of the items.</summary>
public sealed record FeatureXrayResponse(string Model, int Latents, IReadOnlyList<FeatureXray> Items);

/// <summary>One response, taken apart.</summary>
/// <param name="Reward">As /v1/score gives it.</param>
/// <param name="Active">The features that are not 0 at the end, largest |contribution| first; their contributions add up to the reward within 1e-5.</param>
/// <param name="Tokens">The response's tokens as text, in order; together the response.</param>
/// <param name="Heat">z of some features at every token, 0 where it is below.</param>
/// <param name="IsTruncated">The beginning was cut off to fit the model's context; the first tokens then have no heat (0).</param>
public sealed record FeatureXray(double Reward, IReadOnlyList<ActiveFeature> Active, IReadOnlyList<string> Tokens, IReadOnlyList<TokenHeat> Heat, bool IsTruncated);

/// <summary>A feature at the end of a response.</summary>
/// <param name="Activation">z_i, not 0; below 0 under an SAE without ReLU only, where it belongs to the reward too.</param>
/// <param name="Weight">w_i, toggles included.</param>
/// <param name="Contribution">w_i z_i.</param>
public sealed record ActiveFeature(int Latent, double Activation, double Weight, double Contribution);

/// <summary>One feature's activation at each of the response's tokens.</summary>
public sealed record TokenHeat(int Latent, IReadOnlyList<double> Activations);

/// <summary>POST /v1/features/preview: what toggles would change, on the cached codes of the judged pairs.</summary>
/// <param name="Model">The SARM reward model that the factors change; its features must have been described.</param>
/// <param name="Toggles">The factors; see <see cref="ToggleSet.Check"/>.</param>
/// <param name="Target">Phrases separated by "|": a pair in which exactly one response contains one is on target. Null or empty: no target.</param>
/// <param name="FlipsMax">Flipped pairs listed, at most 500; nearest flip points first.</param>
/// <param name="Seed">Of the intervals and the random control.</param>
public sealed record TogglePreviewRequest(string? Model, IReadOnlyList<Toggle>? Toggles, string? Target = null, int FlipsMax = 50, long Seed = 1)
{
    public const string Route = "/v1/features/preview";
    public const int FlipsListedMax = 500;
}

/// <summary>What toggles would change.</summary>
/// <param name="Pairs">Judged pairs with cached codes.</param>
/// <param name="AllPairs">Accuracy on all of them.</param>
/// <param name="OnTarget">On pairs of the target; null without a target.</param>
/// <param name="OffTarget">On all other pairs; null without a target.</param>
/// <param name="Firing">On pairs whose two responses differ in a toggled feature: where anything can change at all.</param>
/// <param name="Flips">Pairs whose preferred response changes.</param>
/// <param name="FlipsOnTarget">Those among them on target; null without a target.</param>
/// <param name="Flipped">Some of them, nearest flip point first.</param>
/// <param name="Rewards">What becomes of the rewards of single responses.</param>
/// <param name="Controls">The same figures for what a real preference feature must beat; see <see cref="ToggleControl"/>.</param>
/// <param name="Dose">The same toggles at other strengths.</param>
/// <param name="Warnings">Saturation, too few firings: sentences for people.</param>
public sealed record TogglePreviewResponse(string Model, int Pairs, AccuracyChange AllPairs, AccuracyChange? OnTarget, AccuracyChange? OffTarget, AccuracyChange Firing,
    int Flips, int? FlipsOnTarget, IReadOnlyList<FlippedPair> Flipped, RewardShift Rewards, IReadOnlyList<ToggleControl> Controls, IReadOnlyList<DosePoint> Dose,
    IReadOnlyList<string> Warnings);

/// <summary>A number with its 95 % interval; the interval is absent below <see cref="Registry.MetricNames.PromptsForInterval"/> prompts.</summary>
public sealed record Estimated(double Value, double? Low, double? High);

/// <summary>Agreement with the judgements before and after, on some pairs.</summary>
/// <param name="Pairs">How many; <paramref name="Prompts"/> different prompts among them, which the intervals draw from.</param>
/// <param name="Change">After minus before, paired.</param>
public sealed record AccuracyChange(int Pairs, int Prompts, Estimated? Before, Estimated? After, Estimated? Change);

/// <summary>A pair whose preferred response changes.</summary>
/// <param name="Before">Reward of the chosen minus the rejected response.</param>
/// <param name="FlipPoint">m* = 1 − Δr/T, T = Σ w_i Δz_i over the toggled features: the common factor that all of them, in place of their own, would need for the order to turn; null where no common factor turns it (T = 0).</param>
/// <param name="AgreedBefore">The model agreed with the judgement before (and does not afterwards), or the other way round.</param>
public sealed record FlippedPair(PromptId PromptId, ResponseId ChosenId, ResponseId RejectedId, double Before, double After, double? FlipPoint, bool AgreedBefore);

/// <summary>Rewards of single responses before and after.</summary>
/// <param name="Responses">How many.</param>
/// <param name="Firing">In how many a toggled feature fires; nothing else moves.</param>
/// <param name="MeanShift">Mean of after minus before, in standard deviations of before.</param>
/// <param name="Distance">Wasserstein-1 distance of the two distributions, in standard deviations of before.</param>
/// <param name="Edges">Of the histograms: one more than counts.</param>
public sealed record RewardShift(int Responses, int Firing, double MeanShift, double Distance, IReadOnlyList<double> Edges, IReadOnlyList<int> Before, IReadOnlyList<int> After);

/// <summary>Something of the same size that has no business changing the target.</summary>
/// <param name="Kind">"random": other features of about equal |w|·z and density, mean over draws. "matched_reward": how often the toggled features fire on target and off target among responses of equal reward.</param>
/// <param name="OnTarget">Random: change of accuracy on target, mean over the draws with the stretch that holds 95 % of them. Matched reward: share firing. Null without a target or evidence.</param>
/// <param name="OffTarget">The same off target; random, without a target: on all pairs.</param>
/// <param name="Flips">Random: flipped pairs, mean. Matched reward: null.</param>
/// <param name="Count">Draws (0: nothing similar enough), or responses of equal reward that were compared.</param>
/// <param name="Says">What follows, in a sentence.</param>
public sealed record ToggleControl(string Kind, Estimated? OnTarget, Estimated? OffTarget, double? Flips, int Count, string Says);

/// <summary>One strength of the toggles: 0 leaves everything, 1 is the set as it stands, 2 goes twice as far (m = 1 + s (m_set − 1)).</summary>
/// <param name="OnTarget">Agreement with the judgements at this strength, 0 to 1; null without a target, or without pairs of this kind.</param>
/// <param name="OffTarget">The same off target.</param>
/// <param name="AllPairs">The same on all pairs.</param>
/// <param name="Flips">Pairs whose preferred response is the other one than before.</param>
/// <param name="OnTargetRange">95 % interval of <paramref name="OnTarget"/>; at strengths 0 and 1 that of the figures before and after. Null below <see cref="Registry.MetricNames.PromptsForInterval"/> prompts,
/// and in previews that were kept before ranges were measured.</param>
/// <param name="OffTargetRange">The same off target.</param>
/// <param name="AllPairsRange">The same on all pairs.</param>
public sealed record DosePoint(double Strength, double? OnTarget, double? OffTarget, double AllPairs, int Flips, Range95? OnTargetRange = null, Range95? OffTargetRange = null, Range95? AllPairsRange = null);

/// <summary>The ends of a 95 % interval.</summary>
public sealed record Range95(double Low, double High)
{
    /// <summary>Of a number that has one.</summary>
    public static Range95? Of(Estimated? number) => number is { Low: { } low, High: { } high } ? new(low, high) : null;
}

/// <summary>POST /v1/features/effects: how sure the means of some features' contributions are, on the cached codes of the described responses and judged pairs.</summary>
/// <param name="Model">A SARM reward model whose features have been described.</param>
/// <param name="Latents">Which features, 1 to <see cref="LatentsMax"/>.</param>
public sealed record FeatureEffectsRequest(string? Model, IReadOnlyList<int>? Latents)
{
    public const string Route = "/v1/features/effects";
    public const int LatentsMax = 1_000;
}

/// <summary>The answers, in the order of the request.</summary>
/// <param name="Pairs">Judged pairs that the gaps are means over.</param>
/// <param name="Responses">Responses that the contributions are means over.</param>
public sealed record FeatureEffectsResponse(string Model, int Pairs, int Responses, IReadOnlyList<FeatureEffect> Items);

/// <summary>What one feature adds, with intervals by prompt; an interval is absent below <see cref="Registry.MetricNames.PromptsForInterval"/> prompts in which the feature says anything.</summary>
/// <param name="Gap">Mean of w_i (z_chosen,i − z_rejected,i) over all judged pairs; see <see cref="SaeFeature.GapContribution"/>. Null without pairs.</param>
/// <param name="PromptsDiffering">Prompts with a pair to whose two responses it does not add the same; 0 where its weight is 0.</param>
/// <param name="Contribution">Mean of w_i z_i over all responses; see <see cref="SaeFeature.ContributionMean"/>. Null without responses.</param>
/// <param name="PromptsFiring">Prompts with a response to which it adds something; 0 where its weight is 0.</param>
public sealed record FeatureEffect(int Latent, Estimated? Gap, int PromptsDiffering, Estimated? Contribution, int PromptsFiring);

/// <summary>POST /v1/features/score-label: how well a pattern tells where a feature fires; see <see cref="FeatureLabel.Detection"/>.</summary>
/// <param name="Model">A SARM reward model whose features have been described.</param>
/// <param name="Pattern">Phrases separated by "|".</param>
public sealed record LabelScoreRequest(string? Model, int Latent, string? Pattern)
{
    public const string Route = "/v1/features/score-label";
}

/// <summary>The scores; null with a reason where the feature has too few held-out contexts.</summary>
public sealed record LabelScoreResponse(Estimated? Detection, double? Fuzzing, int ScoredOn, string? WhyNot);

/// <summary>POST /v1/features/roll-up: which features tell the better answer from the other one in the pairs that explain responses, more than in all pairs trained on.</summary>
/// <param name="Model">A SARM reward model whose features have been described.</param>
/// <param name="Explained">The reward model whose explanations are added up, of the same project; it may be another one, without features.</param>
/// <param name="By">What a pair weighs, as <see cref="WeighedExplanations"/> says it.</param>
public sealed record FeatureRollUpRequest(string? Model, string? Explained, AttributionMethod By)
{
    public const string Route = "/v1/features/roll-up";

    /// <summary>Features that are listed.</summary>
    public const int ListedMax = 10;

    /// <summary>A feature is listed where pairs taken by luck would have any that stands out so far less often than this.</summary>
    public const double ChanceMax = 0.05;
}

/// <summary>The answer. Pairs without codes are left out of everything but their own counts: an answer is newer than the description, or a text was erased.</summary>
/// <param name="Explanations">With a pair that has codes.</param>
/// <param name="Pairs">Judgements that explain something; <paramref name="PairsWithoutCodes"/> of them have no codes.</param>
/// <param name="Judgements">That the explained model was trained on, as it goes by them now; <paramref name="JudgementsWithoutCodes"/> of them have no codes.</param>
/// <param name="LookedAt">Features and sides that any judgement has: how many could have been listed.</param>
/// <param name="Items">At most <see cref="FeatureRollUpRequest.ListedMax"/>, those that stand out most first.</param>
public sealed record FeatureRollUpResponse(string Model, int Explanations, int Pairs, int PairsWithoutCodes, int Judgements, int JudgementsWithoutCodes, int LookedAt, IReadOnlyList<FeatureWeight> Items);

/// <summary>The answer of a pair in which a feature fires while it does not in the other one.</summary>
public enum PairSide { Chosen = 1, Rejected = 2 }

/// <summary>How much of some explanations comes from pairs that a feature tells apart in one way. A pair has many features, so weights of several do not add up.</summary>
/// <param name="Weight">Share of all weight on such pairs, 0 to 1.</param>
/// <param name="DataShare">Their share of the judgements trained on: what the weight would be if explanations took pairs as they come.</param>
/// <param name="Judgements">Such judgements among those trained on.</param>
/// <param name="Explanations">Explanations with weight of such a pair.</param>
/// <param name="Chance">At most how often pairs taken by luck would have any feature that stands out so far, 0 to 1.</param>
public sealed record FeatureWeight(int Latent, PairSide Side, double Weight, double DataShare, int Judgements, int Explanations, double Chance)
{
    /// <inheritdoc cref="ExplanationRules.Excess"/>
    public double? Excess => ExplanationRules.Excess(Weight, DataShare, Judgements);
}
