using System.Collections.Concurrent;
using Portal.Data.Audits;
using Portal.Data.Endpoints;
using Portal.Data.JobSpecs;
using Portal.Engine.Endpoints;
using Portal.Engine.Recipes;

namespace Portal.Engine.Audits;

/// <summary>An outside model as a policy of an audit. Prompts of a project count as people's texts, so nothing is sent without consent (<see cref="EndpointPolicy"/>).</summary>
/// <remarks>
/// It shows no tokens that would be comparable, so answers are known by their text. A completions endpoint with log-probabilities says how likely it finds them; a chat endpoint cannot, and methods that need log-ratios
/// then say so. Of another policy's answer only the trimmed text is known: it is scored after one space, as base models write it.
/// </remarks>
public sealed class EndpointTexts(PolicyEndpoint endpoint, EndpointPolicy policy) : IPolicyTexts
{
    /// <summary>Servers read a seed as a number of 32 bits.</summary>
    private const long SeedMax = int.MaxValue;

    private readonly ConcurrentDictionary<(string Prompt, string Text), string> asWritten = new();
    private int wanted, answered, empty, refused, failed, unscored;

    /// <inheritdoc/>
    public AuditedPolicy Identity { get; } = new(endpoint.Name, "endpoint", Checkpoint.Fingerprint("endpoint", endpoint.BaseUrl, endpoint.Model, $"{endpoint.Api}"), null);

    /// <inheritdoc/>
    public bool GivesLogProbs => endpoint is { Api: EndpointApi.Completions, AsksLogProbs: true };

    /// <summary>What became of all that was asked for, for the log.</summary>
    public string Account => $"{endpoint.Name}: {answered} of {wanted} completions came, {empty} empty, {refused} refused, {failed} failed{(unscored > 0 ? $"; {unscored} answers got no log-probability" : "")}.";

    /// <inheritdoc/>
    public async Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop)
    {
        var asked = new EndpointSampling { Completions = perPrompt, TokensMax = sampling.TokensMax, Temperature = sampling.Temperature, TopP = sampling.TopP, Seed = sampling.Seed % SeedMax };
        var batch = await policy.Complete([.. prompts.Select(prompt => prompt.Turns)], asked, TextOrigin.People, null, stop);
        (wanted, answered, empty, refused, failed) = (wanted + batch.Counts.Wanted, answered + batch.Counts.Answered, empty + batch.Counts.Empty, refused + batch.Counts.Refused, failed + batch.Counts.Failed);
        return
        [
            .. prompts.Zip(batch.Results, (prompt, result) => (IReadOnlyList<PolicyCompletion>)
            [
                .. result.Completions.Select(completion => Of(prompt, completion)),
                .. Enumerable.Repeat(PolicyCompletion.None(CompletionStatus.Failed, result.Problem ?? "The completion did not come."), perPrompt - result.Completions.Count),
            ]),
        ];
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop)
    {
        if (!GivesLogProbs)
            return new double?[answers.Count];
        var batch = await policy.Score([.. answers.Select(answer => (answer.Prompt.Turns, asWritten.GetValueOrDefault((answer.Prompt.Id, answer.Text), $" {answer.Text}")))], TextOrigin.People, null, stop);
        unscored += batch.Counts.Failed;
        return [.. batch.Results.Select(score => score.LogProb)];
    }

    private PolicyCompletion Of(AuditPrompt prompt, EndpointCompletion completion)
    {
        if (completion.Result is EndpointResult.Refused)
            return PolicyCompletion.None(CompletionStatus.Refused, "The endpoint declined to answer.");
        if (completion.Text.Trim() is not { Length: > 0 } text)
            return PolicyCompletion.None(CompletionStatus.Empty, "The policy wrote nothing.");
        asWritten[(prompt.Id, text)] = completion.Text;
        return new PolicyCompletion(CompletionStatus.Written, text, completion.Finish is EndpointFinish.Stop);
    }
}
