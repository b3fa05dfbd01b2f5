using System.Numerics;

namespace Portal.Engine.Sae;

/// <summary>
/// The k largest of a row: by value descending, equal values by index ascending, so that the same row always gives the same latents
/// (torch's topk leaves ties open).
/// </summary>
/// <remarks>
/// One pass with a heap of the k best so far, the worst on top. A later index never displaces an equal value, so only what is strictly
/// greater than the top has to be looked at, and whole vectors of numbers are passed over by one comparison: about k·ln(M/k) insertions for
/// a random row. Source of the rule: specs/sarm.md §6.3.
/// </remarks>
public static class TopKSelection
{
    /// <summary>Selects from one row.</summary>
    /// <param name="row">M finite numbers.</param>
    /// <param name="indices">Receives the k indices, best first; its length is k, 1 to M.</param>
    /// <param name="values">Receives their values.</param>
    /// <exception cref="ArgumentException">k is 0 or greater than M, or the lengths differ.</exception>
    public static void Select(ReadOnlySpan<float> row, Span<int> indices, Span<float> values)
    {
        var k = indices.Length;
        if (k == 0 || k > row.Length || values.Length != k)
            throw new ArgumentException($"{k} of {row.Length} numbers cannot be selected into {values.Length} places");
        for (var i = 0; i < k; i++)
            (indices[i], values[i]) = (i, row[i]);
        for (var parent = k / 2 - 1; parent >= 0; parent--)
            SiftDown(indices, values, parent, k);
        Scan(row, k, indices, values);
        // The heap's top is the worst: taking it off again and again fills the row from the back.
        for (var end = k - 1; end > 0; end--)
        {
            Swap(indices, values, 0, end);
            SiftDown(indices, values, 0, end);
        }
    }

    private static void Scan(ReadOnlySpan<float> row, int from, Span<int> indices, Span<float> values)
    {
        var (k, lanes, i) = (indices.Length, Vector<float>.Count, from);
        var worst = new Vector<float>(values[0]);
        for (; i <= row.Length - lanes; i += lanes)
        {
            if (!Vector.GreaterThanAny(new Vector<float>(row[i..]), worst))
                continue;
            for (var at = i; at < i + lanes; at++)
                Offer(row[at], at, indices, values, k);
            worst = new Vector<float>(values[0]);
        }
        for (; i < row.Length; i++)
            Offer(row[i], i, indices, values, k);
    }

    private static void Offer(float value, int index, Span<int> indices, Span<float> values, int k)
    {
        if (!(value > values[0]))
            return;
        (indices[0], values[0]) = (index, value);
        SiftDown(indices, values, 0, k);
    }

    private static void SiftDown(Span<int> indices, Span<float> values, int parent, int count)
    {
        while (true)
        {
            var child = 2 * parent + 1;
            if (child >= count)
                return;
            if (child + 1 < count && IsWorse(indices, values, child + 1, child))
                child++;
            if (!IsWorse(indices, values, child, parent))
                return;
            Swap(indices, values, child, parent);
            parent = child;
        }
    }

    private static bool IsWorse(Span<int> indices, Span<float> values, int one, int other) =>
        values[one] < values[other] || values[one] == values[other] && indices[one] > indices[other];

    private static void Swap(Span<int> indices, Span<float> values, int one, int other)
    {
        (indices[one], indices[other]) = (indices[other], indices[one]);
        (values[one], values[other]) = (values[other], values[one]);
    }
}
