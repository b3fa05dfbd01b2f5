using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Recipes;

/// <summary>A code that loses nothing changes nothing; what another one changes is computed again by plain arithmetic, one text at a time.</summary>
public sealed class SpliceReportTests : IDisposable
{
    private static readonly TrainingSplit<ResponseText> Texts = ToyWorld.Split((prompt, v) => new ResponseText(prompt, ToyWorld.TurnsOf(prompt), v == 0 ? ToyWorld.Good(prompt, 0) : ToyWorld.Bad(prompt, 1)));

    private readonly Llama policy = ToyWorld.Base();
    private readonly LlamaReward reward;

    public SpliceReportTests()
    {
        reward = LlamaReward.From(policy);
        using var noGrad = no_grad();
        using var random = new Generator(3);
        reward.ScoreWeight.normal_(0, 1, random);
    }

    public void Dispose()
    {
        reward.Dispose();
        policy.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_code_that_loses_nothing_changes_nothing(int layer)
    {
        using var sae = Identity(layer);
        (string, Replacement)[] codes = [(MetricNames.SaePrefix, sae.Reconstruct), ($"{MetricNames.AblatedBaseline}/", (hidden, _) => zeros_like(hidden))];

        var ofReward = SpliceReport.Measure(SplicedModel.Of(reward, ToyWorld.Pairs().HeldOut), layer, codes, ToyWorld.Tokenizer, 64, Texts.HeldOut, 1, default);
        var ofPolicy = SpliceReport.Measure(SplicedModel.Of(policy), layer, codes, ToyWorld.Tokenizer, 64, Texts.HeldOut, 1, default);

        Portal.Engine.Evaluation.Measurement Find(string name, string part) => ofReward.Concat(ofPolicy).Single(row => row.Name == name && row.Part == part);
        foreach (var part in new[] { SpliceReport.AtEnd, SpliceReport.AtEvery })
        {
            Assert.Equal(Find(MetricNames.PairwiseAccuracy, MetricNames.HeldOut).Value, Find("sae/spliced_accuracy", part).Value, 1e-9);
            Assert.Equal(0, Find("change/sae/spliced_accuracy", part).Value, 1e-9);
            Assert.Equal(1, Find("sae/spliced_correlation", part).Value, 1e-6);
        }
        foreach (var part in new[] { SpliceReport.AtOwn, SpliceReport.AtEvery })
            Assert.Equal(Find(MetricNames.Loss, MetricNames.HeldOut).Value, Find("sae/spliced_loss", part).Value, 1e-4);
        // The control: where all states are nothing, all rewards are the same and every token as likely as any other.
        Assert.Equal(0.5, Find("baseline/ablated/spliced_accuracy", SpliceReport.AtEvery).Value, 1e-9);
        Assert.DoesNotContain(ofReward, row => row.Name == "baseline/ablated/spliced_correlation" && row.Part == SpliceReport.AtEvery && row.Value > 0.99);
        Assert.Equal(Math.Log(ToyWorld.Tokenizer.VocabularySize), Find("baseline/ablated/spliced_loss", SpliceReport.AtEvery).Value, 1e-3);
        Assert.Equal((16, 16), (Find("sae/spliced_accuracy", SpliceReport.AtEnd).Count, Find("sae/spliced_loss", SpliceReport.AtOwn).Count)); // prompts
    }

    /// <summary>The states after the last block by the model; norm, code and head by loops.</summary>
    [Fact]
    public void The_end_of_each_text_is_replaced_and_nothing_else()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var sae = Lossy(layer: 2);
        var texts = Encoded();

        using var batch = PaddedBatch.Of(texts, ToyWorld.Tokenizer.PadId, CPU);
        var spliced = reward.Rewards(batch.Ids, batch.LastPositions, Splice.Run(2, sae.Reconstruct, texts, Splice.End)).ToFloats();
        var elsewhere = reward.Rewards(batch.Ids, batch.LastPositions, Splice.Run(2, sae.Reconstruct, texts, text => [.. Splice.EveryToken(text).SkipLast(1)])).ToFloats();
        var clean = reward.Rewards(batch.Ids, batch.LastPositions).ToFloats();

        for (var i = 0; i < texts.Count; i++)
        {
            var states = reward.Backbone.Hidden(Single(texts[i]), new LlamaRun { FinalNorm = false })[0];
            Assert.Equal(RewardOf(Reconstructed(sae, [.. states[-1].ToFloats().Select(value => (double)value)])), spliced[i], 1e-3);
        }
        Assert.Equal(clean, elsewhere); // after the last block no other state is read
        Assert.All(clean.Zip(spliced), pair => Assert.NotEqual(pair.First, pair.Second, 1e-3f));
    }

    /// <summary>In the middle of the model, one text at a time without padding: the whole residual of the text is replaced.</summary>
    [Fact]
    public void Every_token_of_a_padded_batch_is_what_every_token_of_a_text_alone_is()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var sae = Lossy(layer: 1);
        var texts = Encoded();
        using var batch = PaddedBatch.Of(texts, ToyWorld.Tokenizer.PadId, CPU);

        var spliced = reward.Rewards(batch.Ids, batch.LastPositions, Splice.Run(1, sae.Reconstruct, texts, Splice.EveryToken)).ToFloats();

        for (var i = 0; i < texts.Count; i++)
        {
            var last = texts[i].Ids.Length - 1;
            var alone = reward.Rewards(Single(texts[i]), tensor(new long[] { last }), new LlamaRun
            {
                AfterBlock = (block, residual) => block != 1 ? residual
                    : stack([.. Enumerable.Range(0, last + 1).Select(at => tensor(Reconstructed(sae, [.. residual[0][at].ToFloats().Select(value => (double)value)]).Select(value => (float)value).ToArray()))]).unsqueeze(0),
            }).ToFloats()[0];
            Assert.Equal(alone, spliced[i], 1e-3);
        }
    }

    [Fact]
    public void Without_anything_to_ask_nothing_is_measured()
    {
        using var sae = Identity(1);

        Assert.Empty(SpliceReport.Measure(SplicedModel.Of(reward, []), 1, [(MetricNames.SaePrefix, sae.Reconstruct)], ToyWorld.Tokenizer, 64, Texts.HeldOut, 1, default));
        Assert.Empty(SpliceReport.Measure(SplicedModel.Of(policy), 1, [(MetricNames.SaePrefix, sae.Reconstruct)], ToyWorld.Tokenizer, 64, [], 1, default));
    }

    [Theory]
    [InlineData(0, 100, "never")]
    [InlineData(100, 100, "0")]
    [InlineData(50, 100, "-0.5")] // log10 is -0.301
    [InlineData(20, 100, "-1")] // -0.699
    [InlineData(1, 1_000_000, "-5")] // the rarest share a bin
    public void A_firing_rate_has_its_half_decade(int firing, int vectors, string bin) => Assert.Equal(bin, TrainSaeRecipe.DensityBin(firing, vectors));

    private static List<EncodedText> Encoded()
    {
        var encoder = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter);
        return [.. Texts.HeldOut.Take(6).Select((row, i) => encoder.Answer(row.Prompt, i % 2 == 0 ? row.Response : row.Response + " Yes please.")!)]; // of different lengths, all short
    }

    private static Tensor Single(EncodedText text) => tensor(text.Ids.Select(id => (long)id).ToArray()).unsqueeze(0);

    /// <summary>Every direction and its opposite, all of them selected: x = relu(x) − relu(−x).</summary>
    private static TopKSae Identity(int layer)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var both = cat([eye(16), eye(16).neg()]);
        return TopKSae.Of(new SaeConfig { Width = 16, Latents = 32, K = 32, Layer = layer }, both, zeros(32), both, zeros(1, 16));
    }

    private static TopKSae Lossy(int layer) => TopKSae.Fresh(new SaeConfig { Width = 16, Latents = 40, K = 3, Layer = layer }, seed: 4);

    /// <summary>x̂·s + μ of one state.</summary>
    private static double[] Reconstructed(TopKSae sae, double[] h)
    {
        var (encoder, decoder) = (sae.EncoderWeight.detach().ToFloats(), sae.DecoderWeight.detach().ToFloats());
        var mean = h.Average();
        var deviation = Math.Sqrt(h.Sum(value => (value - mean) * (value - mean)) / 15);
        var codes = Enumerable.Range(0, 40).Select(latent => (Latent: latent, Z: h.Select((value, j) => (value - mean) / (deviation + 1e-6) * encoder[latent * 16 + j]).Sum()))
            .OrderByDescending(code => code.Z).Take(3).Where(code => code.Z > 0).ToList();
        return [.. Enumerable.Range(0, 16).Select(j => codes.Sum(code => code.Z * decoder[code.Latent * 16 + j]) * deviation + mean)];
    }

    private double RewardOf(double[] state)
    {
        var scale = 1 / Math.Sqrt(state.Average(value => value * value) + reward.Config.NormEpsilon);
        var (norm, score) = (reward.Backbone.named_parameters().Single(weight => weight.name == "norm.weight").parameter.detach().ToFloats(), reward.ScoreWeight.detach().ToFloats());
        return state.Select((value, j) => value * scale * norm[j] * score[j]).Sum();
    }
}
