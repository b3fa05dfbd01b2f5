using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Audits;

/// <summary>A language model at hand as a policy of an audit. Its log-probabilities are exact.</summary>
public sealed class ModelTexts : IPolicyTexts
{
    private const int BatchSize = 128;

    private readonly Llama model;
    private readonly ITokenizer tokenizer;
    private readonly DialogueEncoder encoder;

    /// <param name="name">What people call it.</param>
    public ModelTexts(Llama model, ITokenizer tokenizer, string name)
    {
        (this.model, this.tokenizer) = (model, tokenizer);
        encoder = new DialogueEncoder(tokenizer, int.MaxValue, Overlong.Filter); // what does not fit is told apart below, so that it is counted
        Identity = new AuditedPolicy(name, "model", HashOf(model), TokenizerFolder.Hash(tokenizer));
    }

    /// <inheritdoc/>
    public AuditedPolicy Identity { get; }

    /// <inheritdoc/>
    public bool GivesLogProbs => true;

    /// <inheritdoc/>
    public Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop)
    {
        int[][] ids = [.. prompts.Select(prompt => encoder.Prompt(prompt.Turns))];
        int[] fitting = [.. Enumerable.Range(0, prompts.Count).Where(i => ids[i].Length < model.Config.ContextLength - 1)];
        var written = new Sampler(model).Generate([.. fitting.SelectMany(i => Enumerable.Repeat(ids[i], perPrompt))],
            PolicySamples.Options(sampling, encoder.StopIds) with { BatchSize = BatchSize }, stop);
        var completions = prompts.Select((_, i) => (IReadOnlyList<PolicyCompletion>)[.. Enumerable.Repeat(PolicyCompletion.None(CompletionStatus.Failed,
            $"The prompt has {ids[i].Length} tokens and leaves no room for an answer in a context of {model.Config.ContextLength}."), perPrompt)]).ToArray();
        foreach (var (at, i) in fitting.Index())
            completions[i] = [.. Enumerable.Range(at * perPrompt, perPrompt).Select(row => Of(written[row]))];
        return Task.FromResult<IReadOnlyList<IReadOnlyList<PolicyCompletion>>>(completions);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop)
    {
        var texts = answers.Select(answer => (Prompt: encoder.Prompt(answer.Prompt.Turns), Answer: Tokens(answer))).ToArray();
        int[] fitting = [.. Enumerable.Range(0, answers.Count).Where(i => texts[i].Prompt.Length + texts[i].Answer.Count <= model.Config.ContextLength)];
        var values = AnswerLogProbs.Of(model, [.. fitting.Select(i => texts[i].Prompt)], [.. fitting.Select(i => new Continuation(texts[i].Answer, [], answers[i].Finished))], tokenizer.PadId, stop);
        var logProbs = new double?[answers.Count];
        foreach (var (at, i) in fitting.Index())
            logProbs[i] = values[at];
        return Task.FromResult<IReadOnlyList<double?>>(logProbs);
    }

    /// <summary>SHA-256 of a language model's weights, its head among them where it has one of its own.</summary>
    internal static string HashOf(Llama model)
    {
        var decoder = LlamaWeights.Hash(model.Backbone);
        if (model.Config.TieWordEmbeddings)
            return decoder;
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var head = System.Security.Cryptography.SHA256.HashData(model.HeadWeight.to_type(ScalarType.Float32).cpu().contiguous().bytes);
        return Checkpoint.Fingerprint(decoder, Convert.ToHexStringLower(head));
    }

    private PolicyCompletion Of(Continuation answer) => PolicyCompletion.Of(tokenizer.Decode([.. answer.Ids]), answer.Finished, answer.Ids);

    // A text's own tokens where they are of this tokenizer: reading the text again may cut it into others.
    private IReadOnlyList<int> Tokens(AnswerToScore answer)
    {
        if (answer.Ids is { } ids && answer.TokenizerHash == Identity.TokenizerHash)
            return ids;
        var whole = encoder.Answer(answer.Prompt.Turns, answer.Text)!; // nothing is too long for this encoder
        int[] own = [.. whole.Ids.Where((_, at) => whole.Mask[at])];
        return !answer.Finished && own.Length > 0 && encoder.StopIds.Contains(own[^1]) ? own[..^1] : own;
    }
}
