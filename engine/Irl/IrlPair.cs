namespace Portal.Engine.Irl;

/// <summary>One prompt answered by both policies: what a reward is recovered from.</summary>
/// <param name="PromptId">Pairs of one prompt have the same id, and stay in one part of the split.</param>
/// <param name="Audited">Features of the audited policy's completion, as they were read (not standardised). [d], finite.</param>
/// <param name="Base">The same of the base policy's completion. [d].</param>
/// <param name="LogRatio">
/// dl = [log π_E(o⁺|x) − log π_B(o⁺|x)] − [log π_E(o⁻|x) − log π_B(o⁻|x)], nats; null where a policy does not show its log-probabilities.
/// </param>
/// <remarks>
/// The label is which policy wrote the completion, not which is better: a pair whose audited completion is the worse one is a wrong-label pair, and there are always some.
/// Source: specs/fairl.md §1.2.
/// </remarks>
public sealed record IrlPair(string PromptId, float[] Audited, float[] Base, double? LogRatio = null);

/// <summary>More completions of a training prompt, for the screen by repeated sampling.</summary>
/// <param name="Audited">Features of the audited policy's completions. [k][d], k ≥ 1.</param>
/// <param name="Base">Of the base's. [k][d].</param>
public sealed record PromptRepeats(string PromptId, IReadOnlyList<float[]> Audited, IReadOnlyList<float[]> Base);

/// <summary>The completions of a test prompt among which rewards are compared.</summary>
/// <param name="Features">[K][d]; the distances need at least two, better eight to sixteen.</param>
/// <param name="Weights">π(o|x) ≥ 0 up to a factor, [K]; null: all alike.</param>
public sealed record PromptCandidates(string PromptId, IReadOnlyList<float[]> Features, IReadOnlyList<double>? Weights = null);
