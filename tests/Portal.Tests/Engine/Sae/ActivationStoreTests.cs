using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

public sealed class ActivationStoreTests : IDisposable
{
    private readonly DirectoryInfo cache = Directory.CreateTempSubdirectory("portal-states-");
    private readonly Llama model = ToyWorld.Model(seed: 4);
    private readonly List<EncodedText> texts = [.. ToyWorld.Prompts.Take(70).Select((prompt, i) => new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter)
        .Answer(ToyWorld.TurnsOf(prompt), i % 3 == 0 ? ToyWorld.Good(prompt, i) : ToyWorld.Bad(prompt, i))!)]; // all fit

    private ActivationKey Key => new(LlamaWeights.Hash(model.Backbone), TokenizerFolder.Hash(ToyWorld.Tokenizer), new string('0', 64), Layer: 1);

    public void Dispose()
    {
        model.Dispose();
        cache.Delete(recursive: true);
    }

    /// <summary>Against one forward pass a text, no padding, stopped by hand after the first block.</summary>
    [Fact]
    public void Holds_the_states_after_the_block_at_each_position()
    {
        using var store = Open();
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();

        var row = 0;
        for (var i = 0; i < texts.Count; i++)
        {
            Tensor? after = null;
            model.Hidden(tensor(texts[i].Ids.Select(id => (long)id).ToArray()).unsqueeze(0), new LlamaRun
            {
                AfterBlock = (block, residual) => { if (block == 1) after = residual.clone().DetachFromDisposeScope(); return residual; },
            });
            using var states = after!; // set by the hook
            foreach (var (index, position) in SaePositions.Of(texts[i], ToyWorld.Tokenizer))
            {
                Assert.Equal(new ActivationPlace(i, index, position), store.Places[row]);
                var expected = states[0, index].ToFloats();
                Assert.True(expected.Zip(store[row].ToArray(), (a, b) => Math.Abs(a - b)).Max() < 1e-5);
                row++;
            }
        }
        Assert.Equal(store.Places.Count, row);
    }

    [Fact]
    public void Is_made_once_for_a_key_and_again_for_another()
    {
        var reads = 0;
        using (Open(() => reads++)) { }
        using (Open(() => reads++)) { }
        Assert.Equal(2, reads); // two batches of texts, once

        using var other = ActivationStore.Open(cache.FullName, Key with { Layer = 2 }, model.Backbone, ToyWorld.Tokenizer, texts, (_, _) => reads++, CancellationToken.None);

        Assert.Equal(4, reads);
        Assert.Equal(2, cache.GetDirectories().Length);
    }

    [Fact]
    public void One_that_was_interrupted_or_cut_short_is_not_taken_for_whole()
    {
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => ActivationStore.Open(cache.FullName, Key, model.Backbone, ToyWorld.Tokenizer, texts, (_, _) => stop.Cancel(), stop.Token));
        Assert.Empty(cache.GetFileSystemInfos());
        using (Open()) { }
        var states = cache.GetFiles("states.f32", SearchOption.AllDirectories).Single();
        using (var file = states.OpenWrite())
            file.SetLength(file.Length - 4);

        var error = Assert.Throws<InvalidDataException>(() => Open());

        Assert.Contains("do not fit", error.Message, StringComparison.Ordinal);
    }

    /// <summary>The baseline of every SAE against a singular value decomposition of the data itself (the code goes by the covariance's eigenvectors).</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(16)]
    public void Principal_components_leave_over_what_the_other_singular_values_hold(int k)
    {
        using var store = Open();
        using var scope = NewDisposeScope();
        var config = new SaeConfig { Width = 16, Latents = 16, K = k, Layer = 1 };
        int[] rows = [.. Enumerable.Range(0, store.Places.Count)];
        var x = SaeMetrics.Normalised(config, store, rows).to_type(ScalarType.Float64);
        var squares = linalg.svdvals(x.sub(x.mean([0], keepdim: true))).square();
        using var values = squares.data<double>();

        var fvu = SaeMetrics.PrincipalComponents(config, store, rows, rows, CancellationToken.None);

        Assert.Equal(values.ToArray().Skip(k).Sum() / values.ToArray().Sum(), fvu, 1e-6);
    }

    private ActivationStore Open(Action? told = null) =>
        ActivationStore.Open(cache.FullName, Key, model.Backbone, ToyWorld.Tokenizer, texts, (_, _) => told?.Invoke(), CancellationToken.None);
}
