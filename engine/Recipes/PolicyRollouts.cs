using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Generation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>A prompt as a policy is asked it.</summary>
/// <param name="Number">Its place among the prompts that the recipe was given, from 1: what messages call it by.</param>
/// <param name="Ids">Ready to be continued.</param>
internal sealed record EncodedPrompt(AskedPrompt Asked, int Number, int[] Ids);

/// <summary>Answers with everything that is known of them before weights move: all answers to the first prompt, then to the second, and so on.</summary>
/// <param name="Prompts">One an answer.</param>
/// <param name="Texts">Prompt and answer as the policy reads them; the answer's tokens count.</param>
/// <param name="LogProbs">Of each token when it was drawn, at the temperature of sampling.</param>
/// <param name="ReferenceLogProbs">The same tokens under the reference, at the same temperature.</param>
/// <param name="BySource">What each source said. [F][N].</param>
/// <param name="Rewards">The weighted sum, normalised, less the penalty for unfinished answers, limited; the divergence is still in it. Null where no source has an opinion.</param>
internal sealed record Rollout(IReadOnlyList<EncodedPrompt> Prompts, IReadOnlyList<WrittenAnswer> Answers, IReadOnlyList<EncodedText> Texts, IReadOnlyList<IReadOnlyList<float>> LogProbs,
    IReadOnlyList<float[]> ReferenceLogProbs, IReadOnlyList<IReadOnlyList<double?>> BySource, IReadOnlyList<double?> Rewards)
{
    public int Count => Answers.Count;

    /// <summary>Tokens that were drawn.</summary>
    public int Tokens => Answers.Sum(answer => answer.Ids.Count);

    /// <summary>Divergence of each answer, nats.</summary>
    public double[] KlNats(KlEstimator estimator) => [.. LogProbs.Zip(ReferenceLogProbs, (policy, before) => KlEstimate.Sum(estimator, policy, before))];

    /// <summary>The mean of the rewards there are; at least one, or the answers were refused.</summary>
    public double MeanReward => Rewards.Average()!.Value;

    /// <summary>Rewards and lengths of the scored answers: Pearson's r. Null where either is constant: then nothing can go together with it.</summary>
    public double? RewardLengthCorrelation
    {
        get
        {
            var scored = Enumerable.Range(0, Count).Where(i => Rewards[i] is not null).ToList();
            return scored.Count < 2 ? null : Correlation.Pearson([.. scored.Select(i => Rewards[i]!.Value)], [.. scored.Select(i => (double)Answers[i].LengthTokens)]);
        }
    }

    /// <summary>Deviation (n − 1) of the rewards there are; 0 for a single one.</summary>
    public double RewardDeviation => SampleDeviation.Of([.. Rewards.OfType<double>()]);

    /// <summary>Different pairs of neighbouring words over all pairs, of all answers together (distinct-2): falls when answers become alike or repeat themselves. 1 where there is no pair.</summary>
    public double Distinct2
    {
        get
        {
            var pairs = Answers.Select(answer => answer.Text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).SelectMany(words => words.Zip(words.Skip(1))).ToList();
            return pairs.Count == 0 ? 1 : pairs.Distinct().Count() / (double)pairs.Count;
        }
    }
}

/// <summary>Lets a policy in training write, asks the rewards, and reads the reference: what a step of reinforcement is made of.</summary>
/// <remarks>
/// Nothing is cut from the distribution that is sampled (no top-k, no top-p), so the log-probabilities that come with the samples are those of the policy at its temperature; the reference is
/// read at the same one. Random numbers are a function of the run's seed and of what is written ("step 12"), so a resumed run writes what the killed one would have.
/// </remarks>
internal sealed class PolicyRollouts(TrainRlooPolicy spec, Llama policy, Llama reference, ITokenizer tokenizer, IReadOnlyList<RewardTerm> rewards, RecipeContext context)
{
    private const int AnswersAtOnce = 128, TextsAtOnce = 64;
    private const int PromptsOfNormalisation = 64;
    private readonly DialogueEncoder encoder = new(tokenizer, policy.Config.ContextLength, Overlong.Filter);
    private readonly Sampler sampler = new(policy);
    private RewardNormalisation? scale;

    /// <summary>Prompts that left no room for an answer.</summary>
    public int TooLong { get; private set; }

    /// <summary>Prompts ready to be asked; those that fill the model's context are left out and counted.</summary>
    public IReadOnlyList<EncodedPrompt> Encode(IReadOnlyList<AskedPrompt> prompts)
    {
        var encoded = prompts.Select((prompt, i) => new EncodedPrompt(prompt, i + 1, encoder.Prompt(prompt.Turns))).Where(prompt => prompt.Ids.Length < policy.Config.ContextLength - 1).ToList();
        TooLong += prompts.Count - encoded.Count;
        return encoded;
    }

    /// <summary>Fits gain and bias of the reward to answers of the policy as it is now; called before the first weights move.</summary>
    public void NormalizeRewards(IReadOnlyList<EncodedPrompt> prompts)
    {
        var some = Write([.. prompts.Take(PromptsOfNormalisation)], spec.SamplesPerPrompt, "normalisation", new Sampler(reference));
        try
        {
            scale = RewardNormalisation.Fit([.. RlooAdvantages.Combine(some.BySource, Weights).OfType<double>()]);
        }
        catch (ArgumentException e)
        {
            throw new CannotTrain($"normalizeReward: the reward cannot be brought to deviation 1 on {some.Count} answers of the policy it starts from ({e.Message}). Choose another reward, or leave the option out.", e);
        }
        context.Log(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"Rewards are normalised: {scale.Gain:G4} · reward {(scale.Bias < 0 ? "−" : "+")} {Math.Abs(scale.Bias):G4}."));
    }

    /// <summary>Writes answers and asks for everything about them.</summary>
    /// <param name="samples">Answers to each prompt.</param>
    /// <param name="what">Names the stream of random numbers and, in messages, the answers: "step 12".</param>
    /// <exception cref="CannotTrain">A reward is no number, or none has an opinion on any answer.</exception>
    public Rollout Write(IReadOnlyList<EncodedPrompt> prompts, int samples, string what) => Write(prompts, samples, what, sampler);

    /// <summary>The rewards of the greedy answers, one a prompt: weighted, normalised, penalised and limited as any other. Null where no source has an opinion.</summary>
    /// <param name="what">Names the answers in messages: "step 12".</param>
    /// <exception cref="CannotTrain">A reward is no number.</exception>
    public IReadOnlyList<double?> GreedyRewards(IReadOnlyList<EncodedPrompt> prompts, string what)
    {
        var (_, answers) = Answers(prompts, $"greedy answers of {what}", sampler, temperature: 0);
        return Scored(prompts, answers, 1, $"greedy answers of {what}").Rewards;
    }

    /// <summary>One answer to each prompt by the policy as it is now, as texts; no reward is asked.</summary>
    /// <param name="what">Names the stream of random numbers.</param>
    public IReadOnlyList<EncodedText> WriteTexts(IReadOnlyList<EncodedPrompt> prompts, string what)
    {
        var (written, _) = Answers(prompts, what, sampler, spec.Temperature);
        return [.. prompts.Zip(written, (prompt, answer) => TextOf(prompt.Ids, answer.Ids))];
    }

    /// <summary>The logits at the drawn tokens, at the temperature of sampling. With gradients where they are on.</summary>
    /// <returns>[N, V] of all tokens, row by row; where they stand; and the real tokens read.</returns>
    public (Tensor Logits, CompletionTokens Pick, int Tokens) Logits(Llama model, IReadOnlyList<EncodedText> texts)
    {
        using var scope = NewDisposeScope();
        using var batch = PaddedBatch.Of(texts, tokenizer.PadId, model.Device);
        var pick = CompletionTokens.Of(batch.Ids, batch.Mask);
        var logits = model.Logits(pick.Pick(model.Hidden(batch.Ids))).div(spec.Temperature);
        foreach (var part in new[] { pick.Positions, pick.Targets, pick.Rows, pick.Indexes })
            scope.MoveToOuter(part);
        return (scope.MoveToOuter(logits), pick, batch.Tokens);
    }

    /// <summary>Log-probabilities of the drawn tokens under the policy as it is now, at the temperature of sampling. With gradients where they are on.</summary>
    /// <param name="withEntropy">Measure the entropies too; 0 without.</param>
    /// <returns>[N] of all tokens, row by row; where they stand; the sum of the entropies there, nats; and the real tokens read.</returns>
    public (Tensor LogProbs, CompletionTokens Pick, double Entropy, int Tokens) Read(Llama model, IReadOnlyList<EncodedText> texts, bool withEntropy)
    {
        using var scope = NewDisposeScope();
        var (logits, pick, tokens) = Logits(model, texts);
        var logProbs = SequenceLogProb.OfTokens(logits, pick.Targets);
        foreach (var part in new[] { pick.Positions, pick.Targets, pick.Rows, pick.Indexes })
            scope.MoveToOuter(part);
        return (scope.MoveToOuter(logProbs), pick, withEntropy ? SequenceLogProb.Entropy(logits).sum().item<float>() : 0, tokens);
    }

    private IReadOnlyList<double> Weights => [.. rewards.Select(term => term.Weight)];

    private Rollout Write(IReadOnlyList<EncodedPrompt> prompts, int samples, string what, Sampler writer)
    {
        List<EncodedPrompt> asked = [.. prompts.SelectMany(prompt => Enumerable.Repeat(prompt, samples))];
        var (written, answers) = Answers(asked, what, writer, spec.Temperature);
        List<EncodedText> texts = [.. asked.Zip(written, (prompt, answer) => TextOf(prompt.Ids, answer.Ids))];
        var (bySource, scored) = Scored(asked, answers, samples, what);
        if (scored.All(reward => reward is null))
            throw new CannotTrain($"No reward ({string.Join(", ", rewards.Select(term => term.Source.Name))}) has an opinion on any of the {answers.Count} answers of {what}, so there is nothing to learn from.");
        return new Rollout(asked, answers, texts, [.. written.Select(answer => answer.LogProbs)], ReferenceLogProbs(texts, answers), bySource, scored);
    }

    private (IReadOnlyList<Continuation> Written, List<WrittenAnswer> Answers) Answers(IReadOnlyList<EncodedPrompt> asked, string what, Sampler writer, double temperature)
    {
        var written = writer.Generate([.. asked.Select(prompt => prompt.Ids)], new SamplingOptions
        {
            MaxNewTokens = spec.TokensMax, Temperature = temperature, StopIds = [.. encoder.StopIds], BatchSize = AnswersAtOnce,
            Seed = (long)(new SeededRandom((ulong)spec.Seed).Split("rollouts").Split(what).NextBits() >> 1),
        }, context.Stop);
        return (written, [.. asked.Zip(written, (prompt, answer) => new WrittenAnswer(prompt.Asked.Turns, tokenizer.Decode([.. answer.Ids]).Trim(), answer.Ids, answer.Finished))]);
    }

    private (IReadOnlyList<IReadOnlyList<double?>> BySource, IReadOnlyList<double?> Rewards) Scored(IReadOnlyList<EncodedPrompt> asked, List<WrittenAnswer> answers, int samples, string what)
    {
        var bySource = rewards.Select(term => Score(term.Source, asked, answers, samples, what)).ToList();
        return (bySource, Adjust(RlooAdvantages.Combine(bySource, Weights), answers));
    }

    private IReadOnlyList<double?> Adjust(double?[] combined, List<WrittenAnswer> answers)
    {
        double?[] adjusted = [.. combined.Select((reward, i) => (scale is null || reward is null ? reward : scale.Apply(reward.Value)) - (answers[i].Finished ? 0 : spec.UnfinishedPenalty))];
        return spec.RewardLimit is { } limit ? RlooAdvantages.Limit(adjusted, -limit, limit) : adjusted;
    }

    private IReadOnlyList<double?> Score(IRewardSource source, IReadOnlyList<EncodedPrompt> asked, List<WrittenAnswer> answers, int samples, string what)
    {
        var scored = source.Score(answers, context.Stop);
        if (scored.Count != answers.Count)
            throw new InvalidOperationException($"The reward {source.Name} gave {scored.Count} numbers for {answers.Count} answers.");
        for (var i = 0; i < scored.Count; i++)
            if (scored[i] is { } reward && !double.IsFinite(reward))
                throw new CannotTrain(
                    $"The reward {source.Name} gives {reward} to answer {i % samples + 1} of {samples} to prompt {asked[i].Number} ({what}); it must be a number. Look at what it makes of this prompt, or leave the prompt out.");
        return scored;
    }

    private static EncodedText TextOf(int[] prompt, IReadOnlyList<int> answer)
    {
        var mask = new bool[prompt.Length + answer.Count];
        Array.Fill(mask, true, prompt.Length, answer.Count);
        return new EncodedText([.. prompt, .. answer], mask);
    }

    private float[][] ReferenceLogProbs(List<EncodedText> texts, List<WrittenAnswer> answers)
    {
        using var noGrad = no_grad();
        var values = new float[texts.Count][];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], TextsAtOnce))
        {
            context.ThrowIfStopped();
            using var scope = NewDisposeScope();
            var tokens = Read(reference, [.. batch.Select(i => texts[i])], withEntropy: false).LogProbs.ToFloats();
            var at = 0;
            foreach (var i in batch)
            {
                values[i] = tokens[at..(at + answers[i].Ids.Count)];
                at += answers[i].Ids.Count;
            }
        }
        return values;
    }
}
