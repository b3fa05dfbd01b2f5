using Portal.Engine.Datasets;
using Portal.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>Puts something in the place of states.</summary>
/// <param name="hidden">h. [N, d].</param>
/// <param name="positions">What kind of position each is at. [N].</param>
/// <returns>[N, d], on the states' own scale.</returns>
public delegate Tensor Replacement(Tensor hidden, IReadOnlyList<SaePosition> positions);

/// <summary>
/// Runs a model with some of its states replaced, above all by what an SAE makes of them: what the model can no longer do is what the codes have lost.
/// </summary>
public static class Splice
{
    /// <summary>States replaced at a time: an SAE makes M numbers of each.</summary>
    private const int RowsAtOnce = 1_024;

    /// <summary>The token that ends a text only, where a reward is read.</summary>
    public static IReadOnlyList<(int Index, SaePosition Position)> End(EncodedText text) => [(text.Ids.Length - 1, SaePosition.ResponseEnd)];

    /// <summary>Every token; what is no end of a response counts as an end of a sentence, which is the nearest that an SAE was trained at.</summary>
    public static IReadOnlyList<(int Index, SaePosition Position)> EveryToken(EncodedText text) =>
        [.. Enumerable.Range(0, text.Ids.Length).Select(at => (at, at == text.Ids.Length - 1 ? SaePosition.ResponseEnd : SaePosition.SentenceEnd))];

    /// <summary>How a batch is run with replaced states.</summary>
    /// <param name="layer">Blocks before the states; see <see cref="SaeConfig.Layer"/>.</param>
    /// <param name="texts">The rows of the batch, which is padded on the right.</param>
    /// <param name="places">Which tokens of a text.</param>
    public static LlamaRun Run(int layer, Replacement replace, IReadOnlyList<EncodedText> texts, Func<EncodedText, IReadOnlyList<(int Index, SaePosition Position)>> places) => new()
    {
        AfterBlock = (block, residual) => block == layer ? Replaced(residual, replace, texts, places) : residual,
    };

    private static Tensor Replaced(Tensor residual, Replacement replace, IReadOnlyList<EncodedText> texts, Func<EncodedText, IReadOnlyList<(int Index, SaePosition Position)>> places)
    {
        using var scope = NewDisposeScope();
        var width = residual.shape[1];
        var all = texts.SelectMany((text, row) => places(text).Select(place => (At: row * width + place.Index, place.Position))).ToList();
        var changed = residual.flatten(0, 1).clone();
        foreach (var some in all.Chunk(RowsAtOnce))
        {
            using var inner = NewDisposeScope();
            var index = tensor(some.Select(place => place.At).ToArray(), device: residual.device);
            changed.index_copy_(0, index, replace(changed.index_select(0, index), [.. some.Select(place => place.Position)]));
        }
        return scope.MoveToOuter(changed.view(residual.shape));
    }
}
