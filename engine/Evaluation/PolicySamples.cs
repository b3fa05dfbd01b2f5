using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Generation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Evaluation;

/// <summary>Lets a policy answer prompts, so that two policies asked with the same seed can be compared answer by answer.</summary>
/// <remarks>
/// Random numbers are a function of seed, prompt's place and sample's place. Log-probabilities are those of the sampling distribution, so
/// at the sampling temperature (before top-k and top-p cut), for the policy and for the reference alike: only then is the mean of their
/// difference a divergence. Greedy answers are read at temperature 1.
/// </remarks>
public static class PolicySamples
{
    /// <summary>Prompts that are asked together; between two of them progress is told and a stop is seen.</summary>
    private const int PromptsAtOnce = 16;

    private const int TextsAtOnce = 64;

    /// <summary>Prompts that leave no room for an answer in the model's context are left out before anything is asked.</summary>
    public static bool Fits(Llama policy, DialogueEncoder encoder, IReadOnlyList<Turn> turns) => encoder.Prompt(turns).Length < policy.Config.ContextLength - 1;

    /// <summary>Answers of a policy: all samples of the first prompt, then of the second, and so on.</summary>
    /// <param name="reference">What the policy is kept close to; its log-probabilities of the answers.</param>
    /// <param name="reward">Scores the answers; null for none.</param>
    /// <param name="told">Prompts done, after each few.</param>
    public static IReadOnlyList<SampledAnswer> Write(Llama policy, Llama reference, ITokenizer tokenizer, IReadOnlyList<AskedPrompt> prompts, int samplesPerPrompt,
        SamplingSpec sampling, RewardScorer? reward, CancellationToken stop, Action<int>? told = null)
    {
        var answers = new List<SampledAnswer>(prompts.Count * samplesPerPrompt);
        foreach (var (asked, written) in Ask(policy, tokenizer, prompts, samplesPerPrompt, sampling, stop))
        {
            var texts = asked.Zip(written, (entry, answer) => TextOf(entry.Ids, answer)).ToList();
            var own = LogProbs(policy, tokenizer, texts, sampling.Temperature, stop);
            var before = ReferenceEquals(policy, reference) ? own : LogProbs(reference, tokenizer, texts, sampling.Temperature, stop);
            var words = written.Select(answer => tokenizer.Decode([.. answer.Ids]).Trim()).ToList();
            var rewards = reward?.Score([.. asked.Zip(words, (entry, text) => (entry.Prompt.Turns, text))], stop);
            for (var i = 0; i < asked.Count; i++)
                answers.Add(new SampledAnswer(asked[i].Prompt.Key, asked[i].Prompt.Turns, words[i], written[i].Ids.Count - (written[i].Finished ? 1 : 0), written[i].Finished,
                    own[i], before[i], rewards?[i]));
            told?.Invoke(answers.Count / samplesPerPrompt);
        }
        return answers;
    }

    /// <summary>Answers as texts alone, without scores: for each prompt, in order, as many as asked for.</summary>
    /// <param name="told">Prompts done, after each few.</param>
    public static IReadOnlyList<IReadOnlyList<string>> Texts(Llama policy, ITokenizer tokenizer, IReadOnlyList<AskedPrompt> prompts, int samplesPerPrompt,
        SamplingSpec sampling, CancellationToken stop, Action<int>? told = null)
    {
        var texts = new List<IReadOnlyList<string>>(prompts.Count);
        foreach (var (_, written) in Ask(policy, tokenizer, prompts, samplesPerPrompt, sampling, stop))
        {
            texts.AddRange(written.Select(answer => tokenizer.Decode([.. answer.Ids]).Trim()).Chunk(samplesPerPrompt));
            told?.Invoke(texts.Count);
        }
        return texts;
    }

    private static IEnumerable<(List<(AskedPrompt Prompt, int[] Ids)> Asked, IReadOnlyList<Generation.Continuation> Written)> Ask(Llama policy, ITokenizer tokenizer,
        IReadOnlyList<AskedPrompt> prompts, int samplesPerPrompt, SamplingSpec sampling, CancellationToken stop)
    {
        var encoder = new DialogueEncoder(tokenizer, policy.Config.ContextLength, Overlong.Filter);
        var sampler = new Sampler(policy);
        var chunk = 0;
        foreach (var some in prompts.Chunk(PromptsAtOnce))
        {
            var asked = some.SelectMany(prompt => Enumerable.Repeat((Prompt: prompt, Ids: encoder.Prompt(prompt.Turns)), samplesPerPrompt)).ToList();
            yield return (asked, sampler.Generate([.. asked.Select(entry => entry.Ids)], Options(sampling, encoder, chunk++), stop));
        }
    }

    /// <summary>A sampling spec as the sampler takes it.</summary>
    public static SamplingOptions Options(SamplingSpec sampling, IReadOnlyList<int> stopIds) => new()
    {
        MaxNewTokens = sampling.TokensMax, Temperature = sampling.Temperature, TopK = sampling.TopK > 0 ? sampling.TopK : null,
        TopP = sampling.TopP < 1 ? sampling.TopP : null, StopIds = [.. stopIds], Seed = sampling.Seed,
    };

    /// <summary>The same for one of several calls: a stream of random numbers of its own.</summary>
    private static SamplingOptions Options(SamplingSpec sampling, DialogueEncoder encoder, int call) => Options(sampling, encoder.StopIds) with
    {
        Seed = (long)(new SeededRandom((ulong)sampling.Seed).Split("samples").Split(call).NextBits() >> 1),
    };

    private static EncodedText TextOf(int[] prompt, Generation.Continuation answer)
    {
        var mask = new bool[prompt.Length + answer.Ids.Count];
        Array.Fill(mask, true, prompt.Length, answer.Ids.Count);
        return new EncodedText([.. prompt, .. answer.Ids], mask);
    }

    /// <summary>Log-probability of each text's marked tokens, nats, at a temperature.</summary>
    private static double[] LogProbs(Llama model, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, double temperature, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var values = new double[texts.Count];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], TextsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var padded = PaddedBatch.Of([.. batch.Select(i => texts[i])], tokenizer.PadId, model.Device);
            var pick = CompletionTokens.Of(padded.Ids, padded.Mask);
            var logits = model.Logits(pick.Pick(model.Hidden(padded.Ids)));
            var tokens = SequenceLogProb.OfTokens(temperature is 0 or 1 ? logits : logits.div(temperature), pick.Targets);
            var sums = SequenceLogProb.OfSequences(tokens, pick).cpu().data<float>().ToArray();
            for (var row = 0; row < batch.Length; row++)
                values[batch[row]] = sums[row];
        }
        return values;
    }
}

/// <summary>A reward model with its tokenizer, ready to score. Texts that are too long lose their beginning.</summary>
public sealed class RewardScorer(IRewardModel model, ITokenizer tokenizer)
{
    private const int TextsAtOnce = 64;

    /// <summary>One score per answer, in order.</summary>
    public IReadOnlyList<double> Score(IReadOnlyList<(IReadOnlyList<Turn> Prompt, string Answer)> items, CancellationToken stop) =>
        [.. Read(items, stop).Select(item => item.Reward)];

    /// <summary>One score per answer, with the tokens the model read and whether the beginning was cut.</summary>
    public IReadOnlyList<(double Reward, int LengthTokens, bool IsTruncated)> Read(IReadOnlyList<(IReadOnlyList<Turn> Prompt, string Answer)> items, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var encoder = new DialogueEncoder(tokenizer, model.ContextLength, Overlong.TruncateLeft);
        var read = new List<(EncodedText Text, bool IsTruncated)>(items.Count);
        foreach (var (prompt, answer) in items)
        {
            var before = encoder.Truncated;
            var text = encoder.Answer(prompt, answer)!; // cut, never left out
            read.Add((text, encoder.Truncated > before));
        }
        var values = new (double, int, bool)[items.Count];
        foreach (var batch in BatchOrder.ByLength([.. read.Select(entry => entry.Text.Ids.Length)], TextsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var padded = PaddedBatch.Of([.. batch.Select(i => read[i].Text)], tokenizer.PadId, model.Device);
            var rewards = model.Rewards(padded.Ids, padded.LastPositions).cpu().data<float>().ToArray();
            for (var row = 0; row < batch.Length; row++)
                values[batch[row]] = (rewards[row], read[batch[row]].Text.Ids.Length, read[batch[row]].IsTruncated);
        }
        return values;
    }
}
