using Portal.Engine.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Datasets;

/// <summary>Texts of different lengths in one rectangle, padded on the right. Padding is never learned and never attended to.</summary>
public sealed class PaddedBatch : IDisposable
{
    private PaddedBatch(Tensor ids, Tensor mask, Tensor lastPositions, int tokens)
    {
        (Ids, Mask, LastPositions, Tokens) = (ids, mask, lastPositions, tokens);
    }

    /// <summary>[B, T] int64.</summary>
    public Tensor Ids { get; }

    /// <summary>True on the tokens that count. [B, T] bool.</summary>
    public Tensor Mask { get; }

    /// <summary>Where each row's last real token is. [B] int64.</summary>
    public Tensor LastPositions { get; }

    /// <summary>Real tokens in all rows.</summary>
    public int Tokens { get; }

    /// <param name="texts">At least one.</param>
    /// <param name="padId">Fills the rest of each row.</param>
    public static PaddedBatch Of(IReadOnlyList<EncodedText> texts, int padId, Device device)
    {
        var width = texts.Max(text => text.Ids.Length);
        var ids = new long[texts.Count * width];
        var mask = new bool[texts.Count * width];
        var last = new long[texts.Count];
        Array.Fill(ids, padId);
        for (var row = 0; row < texts.Count; row++)
        {
            var text = texts[row];
            for (var i = 0; i < text.Ids.Length; i++)
                ids[row * width + i] = text.Ids[i];
            text.Mask.CopyTo(mask, row * width);
            last[row] = text.Ids.Length - 1;
        }
        return new PaddedBatch(tensor(ids, [texts.Count, width], device: device), tensor(mask, [texts.Count, width], device: device),
            tensor(last, device: device), texts.Sum(text => text.Ids.Length));
    }

    public void Dispose()
    {
        Ids.Dispose();
        Mask.Dispose();
        LastPositions.Dispose();
    }
}

/// <summary>Which examples form which batch. A pure function of lengths, batch size, seed and epoch, so that a resumed run sees the same.</summary>
public static class BatchOrder
{
    /// <summary>Examples are drawn at random, then sorted by length within windows of so many batches: little padding, still random.</summary>
    private const int WindowBatches = 16;

    /// <summary>The batches of one epoch; each example is in exactly one, the last may be smaller.</summary>
    /// <param name="lengths">Length of each example, tokens.</param>
    /// <param name="keepOrder">Windows follow each other in the order given; inside a window batches are still shuffled.</param>
    public static IReadOnlyList<int[]> Epoch(IReadOnlyList<int> lengths, int batchSize, long seed, int epoch, bool keepOrder = false)
    {
        if (batchSize < 1)
            throw new ArgumentOutOfRangeException(nameof(batchSize), batchSize, "A batch has at least one example.");
        var random = new SeededRandom((ulong)seed).Split("batches").Split(epoch);
        var order = Enumerable.Range(0, lengths.Count).ToArray();
        if (!keepOrder)
            random.Shuffle(order);
        var batches = new List<int[]>();
        foreach (var window in order.Chunk(batchSize * WindowBatches))
        {
            var ofWindow = window.OrderBy(i => lengths[i]).Chunk(batchSize).ToArray();
            random.Shuffle(ofWindow);
            batches.AddRange(ofWindow);
        }
        if (keepOrder)
            return batches;
        var shuffled = batches.ToArray();
        random.Shuffle(shuffled);
        return shuffled;
    }

    /// <summary>Batches in order of length, for evaluation: every example once, as little padding as possible.</summary>
    public static IReadOnlyList<int[]> ByLength(IReadOnlyList<int> lengths, int batchSize) =>
        [.. Enumerable.Range(0, lengths.Count).OrderBy(i => lengths[i]).Chunk(batchSize)];
}
