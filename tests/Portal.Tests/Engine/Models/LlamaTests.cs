using System.Text.Json.Nodes;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Models;

/// <summary>
/// Parity: shared golden file of stories260K (an independent float64 forward pass). Layout: NaiveLlama. The rest are
/// invariances: cache, padding on either side, batching, truncation.
/// </summary>
public sealed class LlamaTests : IDisposable
{
    // Two numbers are the same when they differ by what float32 products in another order may: 2e-5 on values of size 1-10.
    private const double Tolerance = 2e-5;

    private static readonly LlamaConfig Small = new()
    {
        HiddenSize = 24,
        IntermediateSize = 40,
        LayerCount = 3,
        HeadCount = 6,
        KeyValueHeadCount = 2,
        VocabularySize = 31,
        ContextLength = 32,
        TieWordEmbeddings = false,
    };

    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
    }

    [SharedFact]
    public void Log_probabilities_of_stories260K_equal_the_golden_ones()
    {
        using var model = Stories();
        using var noGrad = no_grad();
        foreach (var prompt in Golden()["prompts"]!.AsArray())
        {
            var ids = prompt!["ids"]!.AsArray().Select(id => id!.GetValue<long>()).ToArray();
            var batch = tensor(ids).unsqueeze(0);
            var logits = model.Logits(model.Hidden(batch)).squeeze(0);
            var logProbs = SequenceLogProb.OfTokens(logits.narrow(0, 0, ids.Length - 1), tensor(ids[1..]));

            Close(Doubles(prompt["token_logprobs"]!), Numbers(logProbs), Tolerance);
            var last = logits[ids.Length - 1];
            // Logits reach 10 and more; relative to that.
            Close(Doubles(prompt["last_logits_first8"]!), Numbers(last.narrow(0, 0, 8)), Tolerance * 10);
            Assert.Equal(prompt["last_argmax"]!.GetValue<long>(), last.argmax().item<long>());
            Close([prompt["last_entropy"]!.GetValue<double>()], Numbers(SequenceLogProb.Entropy(last.unsqueeze(0))), Tolerance);
        }
    }

    [Fact]
    public void Logits_equal_a_naive_forward_pass_on_the_exported_weights()
    {
        foreach (var config in new[] { Small, Small with { TieWordEmbeddings = true, KeyValueHeadCount = 6, RopeTheta = 500 } })
        {
            using var model = Model(config);
            int[] ids = [3, 1, 30, 7, 7, 12, 0, 5];
            var weights = LlamaWeights.Export(LlamaWeights.Of(model));
            var naive = new NaiveLlama(weights, config.LayerCount, config.HeadCount, config.KeyValueHeadCount, config.NormEpsilon, config.RopeTheta);

            var logits = model.Logits(model.Hidden(Batch(ids)));

            Close([.. naive.Logits(ids).SelectMany(row => row)], Numbers(logits), Tolerance);
        }
    }

    /// <summary>Longer than what is attended at once, with a last stretch that is not full; rows of a batch, grouped heads.</summary>
    [Fact]
    public void A_long_text_equals_the_naive_forward_pass_and_has_the_gradients_of_one_attended_at_once()
    {
        var config = Small with { ContextLength = 320 };
        using var model = Model(config);
        int[][] texts = [.. Enumerable.Range(0, 2).Select(row => Enumerable.Range(0, 300).Select(t => (t * t + 7 * row) % 31).ToArray())];
        var naive = new NaiveLlama(LlamaWeights.Export(LlamaWeights.Of(model)), config.LayerCount, config.HeadCount, config.KeyValueHeadCount, config.NormEpsilon, config.RopeTheta);

        var logits = model.Logits(model.Hidden(tensor(texts.SelectMany(text => text.Select(id => (long)id)).ToArray()).view(2, 300)));

        for (var row = 0; row < 2; row++)
            Close([.. naive.Logits(texts[row]).SelectMany(values => values)], Numbers(logits[row]), Tolerance);

        // Padding of no length takes the other way through the block.
        var stretched = Gradients(null);
        Close(stretched, Gradients(zeros(1, dtype: ScalarType.Int64)), Tolerance * 100); // sums over 300 positions
        Assert.Contains(stretched, value => Math.Abs(value) > 1);

        double[] Gradients(Tensor? padding)
        {
            model.zero_grad();
            model.Logits(model.Hidden(Batch(texts[0]), new LlamaRun { LeftPadding = padding })).log_softmax(-1).narrow(2, 3, 1).sum().backward();
            return [.. model.parameters().SelectMany(weight => Numbers(weight.grad!))];
        }
    }

    [Fact]
    public void The_cache_gives_the_logits_of_a_whole_pass()
    {
        using var model = Model(Small);
        using var noGrad = no_grad();
        int[] ids = [4, 9, 2, 2, 17, 30, 11];
        var whole = model.Logits(model.Hidden(Batch(ids)))[0];
        using var cache = new KvCache(Small, 1, 10);

        // Three tokens at once, then two, then one by one.
        var first = model.Logits(model.Hidden(Batch(ids[..3]), new LlamaRun { Cache = cache }))[0];
        var second = model.Logits(model.Hidden(Batch(ids[3..5]), new LlamaRun { Cache = cache }))[0];
        Close(Numbers(whole.narrow(0, 0, 3)), Numbers(first), Tolerance);
        Close(Numbers(whole.narrow(0, 3, 2)), Numbers(second), Tolerance);
        for (var t = 5; t < ids.Length; t++)
        {
            Close(Numbers(whole[t]), Numbers(model.NextTokenLogits(Batch(ids[t..(t + 1)]), new LlamaRun { Cache = cache })), Tolerance);
        }

        Assert.Equal(7, cache.Length);
    }

    [Fact]
    public void Padding_on_either_side_and_neighbours_change_nothing()
    {
        using var model = Model(Small);
        using var noGrad = no_grad();
        int[][] texts = [[5, 6, 7, 8, 9], [20, 21], [1, 2, 3]];
        var alone = texts.Select(text => Numbers(model.Logits(model.Hidden(Batch(text))))).ToArray();

        var right = model.Logits(model.Hidden(tensor(texts.SelectMany(text => Padded(text, 5, left: false)).ToArray()).view(3, 5)));
        var left = model.Logits(model.Hidden(
            tensor(texts.SelectMany(text => Padded(text, 5, left: true)).ToArray()).view(3, 5),
            new LlamaRun { LeftPadding = tensor(texts.Select(text => 5L - text.Length).ToArray()) }));

        for (var row = 0; row < texts.Length; row++)
        {
            var length = texts[row].Length;
            Close(alone[row], Numbers(right[row].narrow(0, 0, length)), Tolerance);
            Close(alone[row], Numbers(left[row].narrow(0, 5 - length, length)), Tolerance);
        }
    }

    [Fact]
    public void Left_padded_rows_continue_through_the_cache_and_survive_dropping_others()
    {
        using var model = Model(Small);
        using var noGrad = no_grad();
        int[][] texts = [[5, 6, 7, 8], [20, 21], [1, 2, 3]];
        using var cache = new KvCache(Small, 3, 8, tensor(texts.Select(text => 4L - text.Length).ToArray()));
        model.Hidden(tensor(texts.SelectMany(text => Padded(text, 4, left: true)).ToArray()).view(3, 4), new LlamaRun { Cache = cache });

        cache.KeepRows(tensor(new long[] { 2, 1 }));
        var next = model.NextTokenLogits(tensor(new long[] { 9, 9 }).view(2, 1), new LlamaRun { Cache = cache });

        Close(Numbers(model.NextTokenLogits(Batch(1, 2, 3, 9))), Numbers(next[0]), Tolerance);
        Close(Numbers(model.NextTokenLogits(Batch(20, 21, 9))), Numbers(next[1]), Tolerance);
    }

    [Fact]
    public void Gradients_are_the_same_with_padding_on_the_left()
    {
        using var model = Model(Small);
        var plain = Gradients(model, Batch(5, 6, 7), null);
        var padded = Gradients(model, Batch(0, 0, 5, 6, 7), tensor(new long[] { 2 }));
        Close(plain, padded, Tolerance);
        Assert.Contains(plain, value => Math.Abs(value) > 1e-4);

        static double[] Gradients(Llama model, Tensor ids, Tensor? padding)
        {
            model.zero_grad();
            var hidden = model.Hidden(ids, new LlamaRun { LeftPadding = padding });
            model.Logits(hidden.narrow(1, hidden.shape[1] - 3, 3)).log_softmax(-1).narrow(2, 3, 1).sum().backward();
            return [.. model.parameters().SelectMany(weight => Numbers(weight.grad!))];
        }
    }

    [Fact]
    public void Hooks_see_and_replace_the_residual_stream_and_a_run_can_stop_early()
    {
        using var model = Model(Small);
        using var noGrad = no_grad();
        var seen = new List<(int Block, double[] Values)>();
        model.Hidden(Batch(1, 2, 3), new LlamaRun { AfterBlock = (block, x) => { seen.Add((block, Numbers(x))); return x; } });
        Assert.Equal([0, 1, 2, 3], seen.Select(item => item.Block));

        var early = model.Hidden(Batch(1, 2, 3), new LlamaRun { Blocks = 2, FinalNorm = false });
        Close(seen[2].Values, Numbers(early), 0);
        Close(Numbers(model.Hidden(Batch(1, 2, 3))), Numbers(model.Backbone.HiddenFrom(early, 2)), 0); // and goes on from there
        Assert.Contains("4 blocks", Assert.Throws<ArgumentException>(() => model.Backbone.HiddenFrom(early, 4)).Message, StringComparison.Ordinal);

        var replaced = model.Hidden(Batch(1, 2, 3), new LlamaRun { AfterBlock = (block, x) => block == 3 ? zeros_like(x) : x });
        Assert.All(Numbers(replaced), value => Assert.Equal(0, value));
    }

    [Fact]
    public void The_same_seed_gives_the_same_weights_and_the_count_is_right()
    {
        using var one = new Llama(Small, seed: 5);
        using var two = new Llama(Small, seed: 5);
        using var other = new Llama(Small, seed: 6);
        Assert.Equal(Numbers(one.HeadWeight), Numbers(two.HeadWeight));
        Assert.NotEqual(Numbers(one.HeadWeight), Numbers(other.HeadWeight));
        Assert.Equal(Small.ParameterCount, one.parameters().Sum(weight => weight.numel()));
        var tiny = new LlamaConfig { HiddenSize = 128, IntermediateSize = 344, LayerCount = 4, HeadCount = 4, KeyValueHeadCount = 4, VocabularySize = 1024, ContextLength = 192 };
        Assert.Equal(922_752, tiny.ParameterCount); // the Tiny Assistant's published size
    }

    [Fact]
    public void Wrong_use_is_refused_with_the_numbers()
    {
        using var model = Model(Small);
        Assert.Contains("33 tokens", Assert.Throws<ArgumentException>(() => model.Hidden(Batch(new int[33]))).Message);
        using var cache = new KvCache(Small, 1, 4);
        Assert.Contains("no_grad", Assert.Throws<ArgumentException>(() => model.Hidden(Batch(1), new LlamaRun { Cache = cache })).Message);
        using var noGrad = no_grad();
        Assert.Contains("5 were asked", Assert.Throws<ArgumentException>(() => model.Hidden(Batch(1, 2, 3, 4, 5), new LlamaRun { Cache = cache })).Message);
        Assert.Contains("KeyValueHeadCount", Assert.Throws<ArgumentException>(() => new Llama(Small with { KeyValueHeadCount = 4 }, 1)).Message);
    }

    [Fact]
    public void Training_steps_leave_no_tensors_behind()
    {
        using var model = Model(Small);
        using var optimiser = optim.AdamW(model.parameters(), lr: 1e-3);
        var counts = new List<long>();
        for (var step = 1; step <= 30; step++)
        {
            using (NewDisposeScope())
            {
                var ids = Batch([1, 2, 3, 4, .. Enumerable.Repeat(6, step % 5)]);
                var tokens = CompletionTokens.Of(ids, ids.gt(2));
                optimiser.zero_grad();
                CrossEntropyLoss.Compute(SequenceLogProb.OfTokens(model.Logits(tokens.Pick(model.Hidden(ids))), tokens.Targets)).backward();
                optimiser.step();
            }

            counts.Add(DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
        }

        Assert.Equal(counts[2], counts[29]);
    }

    [Fact]
    public void Rewards_are_read_off_the_last_real_token()
    {
        using var language = Model(Small);
        using var model = LlamaReward.From(language);
        using var noGrad = no_grad();
        model.ScoreWeight.normal_();
        int[][] texts = [[5, 6, 7, 8, 9], [20, 21]];
        var mask = tensor(new[] { true, true, true, true, true, true, true, false, false, false }).view(2, 5);
        var ids = tensor(texts.SelectMany(text => Padded(text, 5, left: false)).ToArray()).view(2, 5);

        var last = LlamaReward.LastPositions(mask);
        var rewards = Numbers(model.Rewards(ids, last));

        Assert.Equal([4, 1], last.data<long>().ToArray());
        for (var row = 0; row < texts.Length; row++)
        {
            var hidden = Numbers(language.Hidden(Batch(texts[row])).select(1, texts[row].Length - 1));
            Assert.Equal(hidden.Zip(Numbers(model.ScoreWeight), (x, w) => x * w).Sum(), rewards[row], Tolerance);
        }
    }

    internal static Llama Model(LlamaConfig config)
    {
        // Larger weights than a fresh model's, so that mistakes in attention show.
        var model = new Llama(config, seed: 1);
        using var noGrad = no_grad();
        foreach (var weight in model.parameters())
        {
            weight.mul_(weight.shape.Length == 2 ? 8 : 1.1);
        }

        return model;
    }

    internal static Llama Stories()
    {
        return Llama2cFile.Load(SharedData.Path("data/models/stories260K/stories260K.bin"));
    }

    internal static JsonNode Golden()
    {
        return JsonNode.Parse(File.ReadAllText(SharedData.Path("golden/stories260K_golden.json")))!;
    }

    internal static Tensor Batch(params int[] ids)
    {
        return tensor(ids.Select(id => (long)id).ToArray()).unsqueeze(0);
    }

    internal static double[] Numbers(Tensor values)
    {
        return [.. values.detach().to_type(ScalarType.Float64).flatten().data<double>().ToArray()];
    }

    internal static void Close(double[] expected, double[] found, double tolerance)
    {
        Assert.Equal(expected.Length, found.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs(expected[i] - found[i]) <= tolerance, $"[{i}]: expected {expected[i]:r}, found {found[i]:r}");
        }
    }

    private static double[] Doubles(JsonNode node)
    {
        return [.. node.AsArray().Select(value => value!.GetValue<double>())];
    }

    private static IEnumerable<long> Padded(int[] text, int length, bool left)
    {
        var padding = Enumerable.Repeat(0L, length - text.Length);
        var ids = text.Select(id => (long)id);
        return left ? padding.Concat(ids) : ids.Concat(padding);
    }
}
