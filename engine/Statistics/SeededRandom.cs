namespace Portal.Engine.Statistics;

/// <summary>
/// A random source that is a pure function of its seed: the same numbers on every platform and every .NET version.
/// </summary>
/// <remarks>
/// SplitMix64: the state moves by a fixed odd step and is scrambled by two multiplications. It passes the usual
/// test batteries, needs one word of state and, what matters here, can be split: a child is named by a label, so
/// adding a consumer in one place never shifts the numbers of another. <see cref="System.Random"/> is not used
/// anywhere that a result is hashed or compared, because its algorithm may change between .NET versions.
/// Not for secrets. Not safe for use by two threads; give each thread a split of its own.
/// Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
/// </remarks>
public sealed class SeededRandom(ulong seed)
{
    private const ulong Step = 0x9E3779B97F4A7C15UL;
    private readonly ulong origin = seed;
    private ulong state = seed;

    /// <summary>The next 64 uniform bits.</summary>
    public ulong NextBits()
    {
        state += Step;
        return Scramble(state);
    }

    /// <summary>Uniform in [0, 1), a multiple of 2^-53.</summary>
    public double NextDouble() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform integer in [0, <paramref name="count"/>), without modulo bias.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is not positive.</exception>
    public int NextInt(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        var range = (ulong)count;
        while (true)
        {
            var high = Math.BigMul(NextBits(), range, out var low);
            // The first 2^64 mod range products would favour small numbers. That is below range: nearly always the division, which takes longer than all the rest, need not be made.
            if (low >= range || low >= (0UL - range) % range) return (int)high;
        }
    }

    /// <summary>True with probability <paramref name="probability"/>; one draw whatever the probability is.</summary>
    public bool Chance(double probability) => NextDouble() < probability;

    /// <summary>One item, each with the same probability.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The list is empty.</exception>
    public T Pick<T>(IReadOnlyList<T> items) => items[NextInt(items.Count)];

    /// <summary>An index, drawn with probability proportional to its weight.</summary>
    /// <param name="weights">Finite, not negative, not all 0.</param>
    public int PickWeighted(ReadOnlySpan<double> weights)
    {
        var total = 0.0;
        foreach (var weight in weights)
        {
            if (!(weight >= 0) || double.IsInfinity(weight)) throw new ArgumentException($"Weight {weight} is not a finite number >= 0.", nameof(weights));
            total += weight;
        }
        if (total <= 0) throw new ArgumentException($"All {weights.Length} weights are 0.", nameof(weights));
        var point = NextDouble() * total;
        for (var i = 0; i < weights.Length; i++)
        {
            point -= weights[i];
            if (point < 0) return i;
        }
        for (var i = weights.Length - 1; ; i--) if (weights[i] > 0) return i; // rounding ate the last crumb
    }

    /// <summary>Puts the items into a random order, in place (Fisher-Yates).</summary>
    public void Shuffle<T>(IList<T> items)
    {
        for (var i = items.Count - 1; i > 0; i--)
        {
            var j = NextInt(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>Standard normal (polar method).</summary>
    /// <remarks>Uses <see cref="Math.Log(double)"/>, whose last bit may differ between platforms: do not hash it.</remarks>
    public double NextGaussian()
    {
        while (true)
        {
            var x = 2 * NextDouble() - 1;
            var y = 2 * NextDouble() - 1;
            var square = x * x + y * y;
            if (square is > 0 and < 1) return x * Math.Sqrt(-2 * Math.Log(square) / square);
        }
    }

    /// <summary>An independent source that depends on this one's seed and the label only, not on what was drawn so far.</summary>
    public SeededRandom Split(string label)
    {
        var hash = 0xCBF29CE484222325UL; // FNV-1a over UTF-16 units: string.GetHashCode differs from process to process
        foreach (var unit in label) hash = (hash ^ unit) * 0x100000001B3UL;
        return new SeededRandom(Scramble(Scramble(origin + Step) ^ hash));
    }

    /// <summary>The same with a number for a label, for rows of a list.</summary>
    public SeededRandom Split(long index) => new(Scramble(Scramble(origin + Step) + Scramble((ulong)index * Step + 1)));

    private static ulong Scramble(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }
}
