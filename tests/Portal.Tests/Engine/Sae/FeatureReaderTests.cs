using Portal.Data.Feedback;
using Portal.Data.SaeFeatures;
using Portal.Engine.Datasets;
using Portal.Data.JobSpecs;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

public sealed class FeatureReaderTests
{
    /// <summary>One token a byte: the expected ends follow from the letters' bytes, counted by hand.</summary>
    [Fact]
    public void Tokens_inside_a_character_reach_to_its_end()
    {
        var bytes = Vocabulary(nfc: false);
        // a: 1 byte and 1 unit; é: 2 and 1; €: 3 and 1; 😀: 4 and 2; a lone surrogate: 3 (U+FFFD) and 1.
        Assert.Equal([1, 2, 2, 3, 3, 3, 5, 5, 5, 5, 6], Ends("aé€😀b"));
        Assert.Equal([1, 2, 2, 2, 3], Ends("a\uD83Db"));
        Assert.Empty(Ends(""));

        int[] Ends(string text) => TokenSpans.Ends(text, bytes, bytes.Encode(text));
    }

    [Fact]
    public void A_text_that_the_tokenizer_composes_or_leads_with_a_space_keeps_its_own_offsets()
    {
        var composing = Vocabulary(nfc: true);
        const string text = "cafe\u0301 ok"; // e and a combining accent: two units, composed to é of two bytes
        Assert.Equal([1, 2, 3, 5, 5, 6, 7, 8], TokenSpans.Ends(text, composing, composing.Encode(text)));
        var spaced = new BytePairTokenizer(Vocabulary(nfc: false).Vocabulary with { AddPrefixSpace = true });
        Assert.Equal([0, 1, 2], TokenSpans.Ends("ab", spaced, spaced.Encode("ab")));
        // Tokens of another text: nothing is claimed.
        Assert.Equal([2, 2, 2], TokenSpans.Ends("ab", spaced, spaced.Encode("xy")));
    }

    [Fact]
    public void Codes_are_those_of_each_response_alone_and_the_contributions_of_the_end_are_its_reward()
    {
        using var model = ToyWorld.Base();
        using var sarm = Sarm(model);
        using var noGrad = no_grad();
        sarm.HeadWeight.copy_(randn(sarm.HeadWeight.shape, generator: new Generator().manual_seed(3)));
        var texts = ToyWorld.Prompts.Take(40).SelectMany((prompt, i) => new[] { ToyWorld.Good(prompt, i), ToyWorld.Bad(prompt, i) }.Select(answer => new ResponseText(prompt, ToyWorld.TurnsOf(prompt), answer))).ToList();

        var coded = new FeatureReader(sarm, ToyWorld.Tokenizer).Read(texts, CancellationToken.None);

        var weights = sarm.HeadWeight.ToFloats();
        for (var i = 0; i < texts.Count; i++)
        {
            using var scope = NewDisposeScope();
            var text = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(texts[i].Prompt, texts[i].Response)!; // fits
            var ids = tensor(text.Ids.Select(id => (long)id).ToArray()).unsqueeze(0);
            var end = coded[i].Places[^1];
            Assert.Equal((ContextPosition.End, 0, texts[i].Response.Length), (end.Position, end.Start, end.Length));
            Assert.Equal(sarm.Rewards(ids, tensor(new[] { text.Ids.Length - 1L })).item<float>(), end.Latents.Zip(end.Values).Sum(one => (double)weights[one.First] * one.Second), 1e-5);
            foreach (var (place, position) in coded[i].Places.Zip(SaePositions.Of(text, ToyWorld.Tokenizer)))
            {
                // The state at that token of the text alone, encoded alone.
                var hidden = sarm.Backbone.Hidden(ids, new LlamaRun { FinalNorm = false })[0][position.Index].unsqueeze(0);
                var alone = sarm.Sae.Encode(hidden, position.Position);
                Assert.Equal(alone.Indices.data<long>().Select(latent => (int)latent), place.Latents);
                foreach (var (expected, actual) in alone.Values.ToFloats().Zip(place.Values))
                    Assert.Equal(expected, actual, 1e-4);
            }
        }
        Assert.Contains(coded, one => one.Places.Count > 1);
    }

    [Fact]
    public void A_sentence_is_found_in_the_text_and_equal_ones_have_equal_hashes()
    {
        using var model = ToyWorld.Base();
        using var sarm = Sarm(model);
        var prompt = ToyWorld.TurnsOf(ToyWorld.Prompts[0]);
        string[] answers = ["Yes please take the 😀 apple.  We never take the apple.", "We never take the apple."];

        var coded = new FeatureReader(sarm, ToyWorld.Tokenizer).Read([.. answers.Select(answer => new ResponseText("p", prompt, answer))], CancellationToken.None);

        Assert.Equal(["Yes please take the 😀 apple.", "We never take the apple."], Sentences(0));
        Assert.Equal(["We never take the apple."], Sentences(1));
        Assert.Equal(coded[0].Places[1].TextHash, coded[1].Places[0].TextHash);
        Assert.NotEqual(coded[0].Places[0].TextHash, coded[0].Places[1].TextHash);

        IEnumerable<string> Sentences(int response) => coded[response].Places.Where(place => place.Position is ContextPosition.Sentence).Select(place => answers[response].Substring(place.Start, place.Length));
    }

    /// <summary>A text twice as long as the context: read as it is scored, and its spans lie where the kept end is.</summary>
    [Fact]
    public void A_text_that_is_cut_keeps_the_places_of_its_end()
    {
        using var model = ToyWorld.Base();
        using var sarm = Sarm(model);
        var answer = string.Concat(Enumerable.Repeat("Yes please take the apple. ", 30)) + "No, never take the bread.";
        var coded = new FeatureReader(sarm, ToyWorld.Tokenizer).Read([new ResponseText("p", ToyWorld.TurnsOf(ToyWorld.Prompts[0]), answer)], CancellationToken.None)[0];

        var sentences = coded.Places.Where(place => place.Position is ContextPosition.Sentence).Select(place => answer.Substring(place.Start, place.Length)).ToList();
        Assert.Equal("No, never take the bread.", sentences[^1]);
        Assert.All(sentences.Skip(1).SkipLast(1), sentence => Assert.Equal("Yes please take the apple.", sentence));
        Assert.InRange(sentences.Count, 3, 20);
    }

    internal static SarmReward Sarm(Llama model, int latents = 64) =>
        new(LlamaWeights.Truncated(model.Backbone, 1), TopKSae.Fresh(new SaeConfig { Width = 16, Latents = latents, K = 8, Layer = 1, ModelHash = LlamaWeights.Hash(model.Backbone) }, seed: 2));

    private static BytePairTokenizer Vocabulary(bool nfc) => new(new BpeTrainer { VocabularySize = 256 + ChatTemplate.SpecialMarkTokens.Count, SpecialTokens = ChatTemplate.SpecialMarkTokens }
        .Train(["a"], CancellationToken.None) with { EosToken = "<|end|>", PadToken = "<|pad|>", NormaliseNfc = nfc });
}
