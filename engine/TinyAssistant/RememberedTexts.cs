using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;

namespace Portal.Engine.TinyAssistant;

/// <summary>A policy that several audits with the same prompts and seed ask: it writes its completions once, and reads an answer once. What it is asked a second time, it answers as it did.</summary>
internal sealed class RememberedTexts(IPolicyTexts policy) : IPolicyTexts
{
    private readonly Dictionary<string, double?> scored = new(StringComparer.Ordinal);
    private readonly Dictionary<string, IReadOnlyList<IReadOnlyList<PolicyCompletion>>> written = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public AuditedPolicy Identity => policy.Identity;

    /// <inheritdoc/>
    public bool GivesLogProbs => policy.GivesLogProbs;

    /// <inheritdoc/>
    public async Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop)
    {
        var asked = $"{perPrompt} {sampling} {string.Join(' ', prompts.Select(prompt => prompt.Id))}";
        if (!written.TryGetValue(asked, out var completions))
            written[asked] = completions = await policy.Complete(prompts, perPrompt, sampling, stop);
        return completions;
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop)
    {
        string[] keys = [.. answers.Select(KeyOf)];
        var fresh = keys.Index().DistinctBy(entry => entry.Item).Where(entry => !scored.ContainsKey(entry.Item)).ToArray();
        if (fresh.Length > 0)
        {
            foreach (var (entry, logProb) in fresh.Zip(await policy.LogProbs([.. fresh.Select(entry => answers[entry.Index])], stop)))
                scored[entry.Item] = logProb;
        }
        return [.. keys.Select(key => scored[key])];
    }

    // A text may be written in several ways as tokens, and each has its own probability.
    private static string KeyOf(AnswerToScore answer) => $"{answer.Prompt.Id} {answer.Finished} {answer.TokenizerHash} {string.Join(' ', answer.Ids ?? [])} {answer.AsWritten ?? answer.Text}";
}
