using Portal.Data.Audits;
using Portal.Data.Endpoints;
using Portal.Data.JobSpecs;
using Portal.Engine.Endpoints;
using Portal.Engine.Recipes;

namespace Portal.Engine.Audits;

/// <summary>An outside model as a policy of an audit. Prompts of a project count as people's texts, so nothing is sent without consent (<see cref="EndpointPolicy"/>).</summary>
/// <remarks>
/// It shows no tokens that would be comparable, so answers are known by their text. A completions endpoint with log-probabilities says how likely it finds them; a chat endpoint cannot, and methods that need log-ratios
/// then say so. An answer is scored as its policy wrote it, with the spaces around it; where only the trimmed text is known, after one space, as base models write it.
/// </remarks>
public sealed class EndpointTexts(PolicyEndpoint endpoint, EndpointPolicy policy) : IPolicyTexts
{
    /// <summary>Servers read a seed as a number of 32 bits.</summary>
    private const long SeedMax = int.MaxValue;

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
        IReadOnlyList<IReadOnlyList<PolicyCompletion>> completions =
        [
            .. batch.Results.Select(result => (IReadOnlyList<PolicyCompletion>)
            [
                .. result.Completions.Select(Of),
                .. Enumerable.Repeat(PolicyCompletion.None(CompletionStatus.Failed, result.Problem ?? "The completion did not come."), perPrompt - result.Completions.Count),
            ]),
        ];
        // Counted as the audit counts them: a text that cannot be kept has failed, though it came.
        (wanted, answered, empty, refused, failed) = (wanted + prompts.Count * perPrompt, answered + Count(CompletionStatus.Written), empty + Count(CompletionStatus.Empty), refused + Count(CompletionStatus.Refused), failed + Count(CompletionStatus.Failed));
        return completions;

        int Count(CompletionStatus status) => completions.Sum(own => own.Count(completion => completion.Status == status));
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop)
    {
        if (!GivesLogProbs)
            return new double?[answers.Count];
        var batch = await policy.Score([.. answers.Select(answer => (answer.Prompt.Turns, answer.AsWritten ?? $" {answer.Text}"))], TextOrigin.People, null, stop);
        unscored += batch.Counts.Failed;
        return [.. batch.Results.Select(score => score.LogProb)];
    }

    private static PolicyCompletion Of(EndpointCompletion completion) => completion.Result is EndpointResult.Refused
        ? PolicyCompletion.None(CompletionStatus.Refused, "The endpoint declined to answer.")
        : PolicyCompletion.Of(completion.Text, completion.Finish is EndpointFinish.Stop) with { AsWritten = completion.Text };
}
