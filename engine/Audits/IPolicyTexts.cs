using Portal.Data.Audits;
using Portal.Data.JobSpecs;

namespace Portal.Engine.Audits;

/// <summary>One completion that was asked for, or what became of it instead.</summary>
/// <param name="Text">Trimmed, without end mark; empty unless written.</param>
/// <param name="Finished">It ended by itself, before the limit.</param>
/// <param name="Ids">The policy's own tokens, the end mark included where it wrote one; null where it shows none.</param>
/// <param name="Label">Whether somebody labelled it as bad; null: nobody did.</param>
/// <param name="Problem">Why there is no text, for people.</param>
/// <param name="AsWritten">What directly follows the prompt's text, the spaces around the answer included; null where that is not known, or marks of a template stand between.</param>
public sealed record PolicyCompletion(CompletionStatus Status, string Text, bool Finished, IReadOnlyList<int>? Ids = null, bool? Label = null, string? Problem = null, string? AsWritten = null)
{
    /// <summary>
    /// What a text is worth to an audit. A blank one is empty. One with a NUL character has failed: PostgreSQL stores none, and the two databases must keep the same texts; taken out, it would be another text
    /// than the policy wrote, with other tokens.
    /// </summary>
    public static PolicyCompletion Of(string whole, bool finished, IReadOnlyList<int>? ids = null, bool? label = null) => (whole.Trim(), whole.IndexOf('\0')) switch
    {
        (_, >= 0 and var at) => None(CompletionStatus.Failed, $"The text holds a NUL character at position {at + 1}, which the portal's databases do not store."),
        ({ Length: 0 }, _) => None(CompletionStatus.Empty, "The policy wrote nothing."),
        var (text, _) => new PolicyCompletion(CompletionStatus.Written, text, finished, ids, label),
    };

    /// <summary>A completion that was not written.</summary>
    public static PolicyCompletion None(CompletionStatus status, string problem) => new(status, "", false, Problem: problem);
}

/// <summary>An answer whose probability is asked for.</summary>
/// <param name="Ids">Its tokens under the tokenizer of this hash; null where only the text is known, which the policy then reads with its own.</param>
/// <param name="Finished">The end mark is part of it.</param>
/// <param name="AsWritten">As in <see cref="PolicyCompletion"/>: the spaces have a probability too.</param>
public sealed record AnswerToScore(AuditPrompt Prompt, string Text, bool Finished, IReadOnlyList<int>? Ids, string? TokenizerHash, string? AsWritten = null);

/// <summary>A policy as an audit sees it: it answers prompts, and may say how likely it finds an answer. A model at hand, a file of completions, an outside endpoint.</summary>
/// <remarks>
/// An implementation drops nothing: each completion that was asked for comes back, with a status where there is no text. What it throws ends the audit, so that only a cancelled run and what
/// nobody could audit (a wrong file, a refused key) are thrown.
/// </remarks>
public interface IPolicyTexts
{
    /// <summary>What it is; the hash guards against mixing texts of two policies.</summary>
    AuditedPolicy Identity { get; }

    /// <summary>Whether <see cref="LogProbs"/> can give anything but null.</summary>
    bool GivesLogProbs { get; }

    /// <summary>Lets it answer each prompt several times.</summary>
    /// <param name="perPrompt">k ≥ 1.</param>
    /// <param name="sampling">The same settings and seed give the same completions where the policy allows it.</param>
    /// <returns>For each prompt, in order, exactly k completions.</returns>
    Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop);

    /// <summary>log π(answer | prompt) of answers that were written by it or by another, nats, at temperature 1.</summary>
    /// <returns>In order; null where it cannot say.</returns>
    Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop);
}
