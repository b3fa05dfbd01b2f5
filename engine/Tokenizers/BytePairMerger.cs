namespace Portal.Engine.Tokenizers;

/// <summary>
/// Merges neighbouring symbols of one piece, best pair first, leftmost among equals, until no pair is known.
/// </summary>
/// <remarks>
/// A linked list of symbols and a heap of candidate pairs: n log n for n symbols, so that a megabyte without a space is slow
/// but not quadratic. Short pieces, nearly all of them, scan instead: no heap, no allocation beyond the result.
/// </remarks>
internal static class BytePairMerger
{
    private const int ScanLimit = 24;

    /// <summary>One possible merge: a lower rank goes first.</summary>
    internal delegate bool Lookup(int left, int right, out double rank, out int merged);

    /// <param name="symbols">The symbols to merge; overwritten.</param>
    /// <param name="lookup">Whether a pair may merge, its rank and its token.</param>
    /// <returns>How many symbols are left at the start of <paramref name="symbols"/>.</returns>
    public static int Merge(Span<int> symbols, Lookup lookup)
    {
        return symbols.Length <= ScanLimit ? MergeByScan(symbols, lookup) : MergeByHeap(symbols, lookup);
    }

    private static int MergeByScan(Span<int> symbols, Lookup lookup)
    {
        var count = symbols.Length;
        while (true)
        {
            var (bestRank, bestAt, bestToken) = (double.PositiveInfinity, -1, -1);
            for (var i = 0; i + 1 < count; i++)
            {
                if (lookup(symbols[i], symbols[i + 1], out var rank, out var merged) && rank < bestRank)
                {
                    (bestRank, bestAt, bestToken) = (rank, i, merged);
                }
            }

            if (bestAt < 0)
            {
                return count;
            }

            symbols[bestAt] = bestToken;
            symbols[(bestAt + 2)..count].CopyTo(symbols[(bestAt + 1)..]);
            count--;
        }
    }

    private static int MergeByHeap(Span<int> symbols, Lookup lookup)
    {
        var next = new int[symbols.Length];
        var previous = new int[symbols.Length];
        var heap = new PriorityQueue<(int At, int Left, int Right, int Merged), (double Rank, int At)>();
        for (var i = 0; i < symbols.Length; i++)
        {
            (previous[i], next[i]) = (i - 1, i + 1);
        }

        for (var i = 0; i + 1 < symbols.Length; i++)
        {
            Offer(symbols, i, i + 1);
        }

        while (heap.TryDequeue(out var best, out _))
        {
            var right = next[best.At];
            // A candidate whose symbols have changed since it was offered is stale. -1 marks symbols that were swallowed.
            if (symbols[best.At] != best.Left || right >= symbols.Length || symbols[right] != best.Right)
            {
                continue;
            }

            symbols[best.At] = best.Merged;
            symbols[right] = -1;
            next[best.At] = next[right];
            if (next[right] < symbols.Length)
            {
                previous[next[right]] = best.At;
                Offer(symbols, best.At, next[right]);
            }

            if (previous[best.At] >= 0)
            {
                Offer(symbols, previous[best.At], best.At);
            }
        }

        var count = 0;
        for (var i = 0; i < symbols.Length; i = next[i])
        {
            symbols[count++] = symbols[i];
        }

        return count;

        void Offer(Span<int> all, int at, int after)
        {
            if (lookup(all[at], all[after], out var rank, out var merged))
            {
                heap.Enqueue((at, all[at], all[after], merged), (rank, at));
            }
        }
    }
}
