using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Evaluation;

public sealed class BestOfNTests
{
    /// <summary>A reward that is the length in tokens, times a factor: its picks can be checked by counting.</summary>
    private sealed class ByLength(int factor) : IRewardModel
    {
        public Device Device => CPU;
        public int ContextLength => 64;
        public Tensor Rewards(Tensor ids, Tensor lastPositions) => lastPositions.to_type(ScalarType.Float32).mul(factor);
        public void Dispose()
        {
        }
    }

    [Fact]
    public void Each_model_picks_its_own_best_of_the_same_answers()
    {
        using var policy = ToyWorld.Base();
        List<AskedPrompt> prompts = [.. ToyWorld.Prompts.Take(20).Select(prompt => new AskedPrompt(prompt, ToyWorld.TurnsOf(prompt)))];

        var choices = BestOfN.Ask(policy, ToyWorld.Tokenizer, prompts, 4, new SamplingSpec { Temperature = 1, TokensMax = 24, Seed = 3 }, Scorer(1), Scorer(-1), default);

        Assert.Equal(prompts.Select(prompt => prompt.Key), choices.Select(choice => choice.PromptKey));
        foreach (var choice in choices)
        {
            int[] lengths = [.. choice.Answers.Select(answer => ToyWorld.Tokenizer.Encode(answer).Count())];
            Assert.Equal(4, lengths.Length);
            Assert.Equal((lengths.Max(), lengths.Min()), (lengths[choice.BestBefore], lengths[choice.BestAfter]));
            Assert.Equal(choice.Before.Select(reward => -reward), choice.After);
        }
        var changed = BestOfN.Changed(choices, seed: 1);
        Assert.Equal(choices.Count(choice => choice.Answers[choice.BestBefore] != choice.Answers[choice.BestAfter]) / 20.0, changed.Value, 12);
        Assert.True(changed is { Value: > 0.2, Low: not null, Count: 20 }, $"{changed}");
        var (before, after, change) = BestOfN.Compare(choices, (choice, picked) => choice.Answers[picked].Length, seed: 1);
        Assert.Equal(choices.Average(choice => choice.Answers[choice.BestAfter].Length) - choices.Average(choice => choice.Answers[choice.BestBefore].Length), change.Estimate, 9);
        Assert.True(after.Estimate < before.Estimate);
        Assert.Equal(0, BestOfN.Changed([.. choices.Select(choice => choice with { After = choice.Before })], seed: 1).Value); // the same model changes nothing

        static RewardScorer Scorer(int factor) => new(new ByLength(factor), ToyWorld.Tokenizer);
    }

    [Fact]
    public void The_first_of_equals_is_best_and_what_is_no_number_is_refused()
    {
        Assert.Equal((1, 0), (BestOfN.Best([1, 3, 3, 2]), BestOfN.Best([-1])));
        Assert.Throws<ArgumentException>(() => BestOfN.Best([]));
        Assert.Throws<ArgumentException>(() => BestOfN.Best([1, double.NaN]));
    }

    [Fact]
    public void Nothing_to_choose_from_is_refused()
    {
        using var policy = ToyWorld.Model();
        var scorer = new RewardScorer(new ByLength(1), ToyWorld.Tokenizer);

        Assert.StartsWith("n is 1;", Assert.Throws<CannotTrain>(() => BestOfN.Ask(policy, ToyWorld.Tokenizer, [], 1, new SamplingSpec(), scorer, scorer, default)).Message);
        Assert.StartsWith("sampling.temperature is 0", Assert.Throws<CannotTrain>(() => BestOfN.Ask(policy, ToyWorld.Tokenizer, [], 4, new SamplingSpec { Temperature = 0 }, scorer, scorer, default)).Message);
    }
}
