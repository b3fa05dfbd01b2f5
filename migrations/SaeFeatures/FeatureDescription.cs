namespace Portal.Data.SaeFeatures;

/// <summary>
/// One description of all features of a SARM reward model: made by a job from the responses and judgements of that moment. The newest one of a
/// version is what pages show; older ones stay for what refers to them.
/// </summary>
public sealed class FeatureDescription
{
    /// <summary>The id of the job that made it.</summary>
    public required FeatureDescriptionId Id { get; init; }

    public required ProjectId ProjectId { get; init; }

    /// <summary>The SARM reward model whose features these are.</summary>
    public required ModelVersionId ModelVersionId { get; init; }

    /// <summary>M: rows of <see cref="SaeFeature"/>, dead latents included.</summary>
    public required int Latents { get; init; }

    /// <summary>Responses that were read, each at its end and at its sentence ends.</summary>
    public required int Responses { get; init; }

    /// <summary>Sentence ends that were read, the responses' own ends not among them.</summary>
    public required int SentenceEnds { get; init; }

    /// <summary>Judged pairs (a preference, latest judgements) that gaps and selection rest on.</summary>
    public required int Pairs { get; init; }

    /// <summary>Prompts whose pairs chose features; those of <see cref="PromptsTest"/> are disjoint from them and tested the choice and the labels.</summary>
    public required int PromptsDiscovery { get; init; }

    /// <summary>See <see cref="PromptsDiscovery"/>.</summary>
    public required int PromptsTest { get; init; }

    /// <summary>The spec of the job, as JSON.</summary>
    public required string SpecJson { get; init; }

    /// <summary>SHA-256 of the file with the codes of all responses that previews use; the file is <c>codes-{Id}</c> in the data directory's features folder. Empty while the job stores its rows: a query sees none such.</summary>
    public required string CodesSha256 { get; init; }

    public required DateTimeOffset At { get; init; }
}

/// <summary>One latent of a described reward model, with everything the table of features shows.</summary>
/// <remarks>"End" is the token that ends a response, where the reward is read; "sentence ends" lie inside responses and never touch the reward.</remarks>
public sealed class SaeFeature
{
    public required FeatureDescriptionId DescriptionId { get; init; }

    /// <summary>i, 0 to M − 1.</summary>
    public required int Latent { get; init; }

    /// <summary>Responses at whose end z_i &gt; 0.</summary>
    public required int FiringAtEnd { get; init; }

    /// <summary>Sentence ends at which z_i &gt; 0.</summary>
    public required int FiringAtSentence { get; init; }

    /// <summary>Largest z_i at an end; 0 where it never fires there.</summary>
    public required double ActivationMax { get; init; }

    /// <summary>Mean z_i over the ends where it fires; 0 where it never does.</summary>
    public required double ActivationMean { get; init; }

    /// <summary>w_i.</summary>
    public required double HeadWeight { get; init; }

    /// <summary>Mean of w_i z_i over all ends.</summary>
    public required double ContributionMean { get; init; }

    /// <summary>Mean of w_i (z_chosen,i − z_rejected,i) over all judged pairs: what it adds to the gap between what people chose and what they did not.</summary>
    public required double GapContribution { get; init; }

    /// <summary>Judged pairs whose two responses differ in z_i.</summary>
    public required int PairsDiffering { get; init; }

    /// <summary>Area under the curve of "the feature fires" ranked by reward, over ends; 0.5 says nothing about the reward. Null where it fires always or never.</summary>
    public required double? RewardAuc { get; init; }

    /// <summary>Contrastive selection as SARM does it; null where support is too small.</summary>
    public required double? SelectionScore { get; init; }

    /// <summary>Permutation p of <see cref="SelectionScore"/>, and its false discovery rate over all features with support (Benjamini and Hochberg).</summary>
    public required double? SelectionP { get; init; }

    /// <inheritdoc cref="SelectionP"/>
    public required double? SelectionQ { get; init; }

    /// <summary>The same score with the part of z_i that the reward explains taken off: what is left is not mere "high reward".</summary>
    public required double? ResidualScore { get; init; }

    /// <inheritdoc cref="SelectionP"/>
    public required double? ResidualP { get; init; }

    /// <inheritdoc cref="SelectionP"/>
    public required double? ResidualQ { get; init; }

    /// <summary>Firings by height (<see cref="ActivationHistogram"/> as JSON).</summary>
    public required string HistogramJson { get; init; }

    /// <summary>Latents with the nearest decoder directions, and those that fire at the same ends (<see cref="RelatedFeature"/> list as JSON).</summary>
    public required string RelatedJson { get; init; }

    /// <summary>Whose votes go to this feature (<see cref="VoterShare"/> list as JSON); empty below <see cref="VotersMin"/> people.</summary>
    public required string VotersJson { get; init; }

    /// <summary>People below which no association with votes is stored.</summary>
    public const int VotersMin = 5;
}

/// <summary>Equal steps from 0 to <see cref="Max"/>: how often a feature fires how strongly.</summary>
public sealed record ActivationHistogram(double Max, IReadOnlyList<int> AtEnd, IReadOnlyList<int> AtSentence);

/// <summary>Another latent that has to do with a feature.</summary>
/// <param name="Cosine">Of the two decoder directions, −1 to 1.</param>
/// <param name="Together">Ends at which both fire, over ends at which either does, 0 to 1.</param>
public sealed record RelatedFeature(int Latent, double Cosine, double Together);

/// <summary>One annotator's part in the votes that favoured a feature.</summary>
/// <param name="Votes">Votes of theirs on pairs that differ in the feature.</param>
/// <param name="Share">Their share of the votes that favoured the feature, 0 to 1.</param>
/// <param name="Excess">That share minus their share of all votes.</param>
public sealed record VoterShare(AnnotatorId AnnotatorId, int Votes, double Share, double Excess);

/// <summary>A place where a feature fires. The text stays where it is (it can be erased): a response and a stretch of it.</summary>
public sealed class FeatureContext
{
    public long Id { get; init; }
    public required FeatureDescriptionId DescriptionId { get; init; }
    public required int Latent { get; init; }
    public required ResponseId ResponseId { get; init; }
    public required ContextPosition Position { get; init; }

    /// <summary>0 for the strongest, 1 to 4 for quarters of the range of activation from above.</summary>
    public required int Band { get; init; }

    /// <summary>The sentence, as UTF-16 offsets in the response's text.</summary>
    public required int Start { get; init; }

    /// <inheritdoc cref="Start"/>
    public required int Length { get; init; }

    public required double Activation { get; init; }
}

/// <summary>Where in a response a feature was read.</summary>
public enum ContextPosition
{
    /// <summary>The token that ends the response, where the reward is read.</summary>
    End = 1,

    /// <summary>The end of a sentence before that.</summary>
    Sentence = 2,
}
