using System.Runtime.InteropServices;
using Portal.Data.SaeFeatures;

namespace Portal.Engine.Sae;

/// <summary>A place at which features were read.</summary>
/// <param name="Response">Number of the response.</param>
/// <param name="Start">UTF-16 offset of the stretch that was read: a sentence, or at an end the whole response.</param>
/// <param name="TextHash">Of that stretch's text: places that say the same have the same.</param>
public readonly record struct FeaturePlace(int Response, ContextPosition Position, int Start, int Length, ulong TextHash);

/// <summary>The latents that are not 0 at many places, row after row: plain arrays, 8 bytes a firing and 32 a place.</summary>
/// <remarks>Negative values occur only under SAEs without ReLU: they belong to the reward, but a latent fires above 0.</remarks>
public sealed class FeatureFirings(int latents)
{
    /// <summary>Firings kept at most: half a gigabyte, and as much again while they are turned round.</summary>
    public const int FiringsMax = 64_000_000;

    private readonly List<FeaturePlace> places = [];
    private readonly List<int> starts = [0], indices = [];
    private readonly List<float> values = [];

    /// <summary>M.</summary>
    public int Latents { get; } = latents;

    /// <summary>The places, in the order they were added.</summary>
    public IReadOnlyList<FeaturePlace> Places => places;

    /// <summary>Values kept.</summary>
    public int Count => indices.Count;

    /// <summary>Adds a place; values of 0 are left out.</summary>
    /// <exception cref="ArgumentException">Lengths differ, or a latent is none of M.</exception>
    public void Add(FeaturePlace place, ReadOnlySpan<int> active, ReadOnlySpan<float> activations)
    {
        if (active.Length != activations.Length)
            throw new ArgumentException($"{active.Length} latents have {activations.Length} values");
        for (var i = 0; i < active.Length; i++)
        {
            if (active[i] < 0 || active[i] >= Latents)
                throw new ArgumentException($"latent {active[i]} is none of {Latents}");
            if (activations[i] == 0)
                continue;
            indices.Add(active[i]);
            values.Add(activations[i]);
        }
        places.Add(place);
        starts.Add(indices.Count);
    }

    /// <summary>The latents of a place, as they were added. Valid until the next place is.</summary>
    public ReadOnlySpan<int> LatentsOf(int place) => CollectionsMarshal.AsSpan(indices)[starts[place]..starts[place + 1]];

    /// <summary>Their values.</summary>
    public ReadOnlySpan<float> ValuesOf(int place) => CollectionsMarshal.AsSpan(values)[starts[place]..starts[place + 1]];

    /// <summary>The same by latent, places ascending.</summary>
    public FeaturePostings ByLatent()
    {
        var begins = new int[Latents + 1];
        foreach (var latent in indices)
            begins[latent + 1]++;
        for (var latent = 0; latent < Latents; latent++)
            begins[latent + 1] += begins[latent];
        var (next, at, activations) = (begins[..^1], new int[indices.Count], new float[indices.Count]);
        for (var place = 0; place < places.Count; place++)
        {
            for (var i = starts[place]; i < starts[place + 1]; i++)
            {
                var to = next[indices[i]]++;
                (at[to], activations[to]) = (place, values[i]);
            }
        }
        return new FeaturePostings(begins, at, activations);
    }
}

/// <summary>For each latent the places where it is not 0, ascending, and its values there.</summary>
public sealed class FeaturePostings(int[] begins, int[] places, float[] values)
{
    /// <summary>The places of a latent.</summary>
    public ReadOnlySpan<int> PlacesOf(int latent) => places.AsSpan(begins[latent]..begins[latent + 1]);

    /// <summary>Its values there.</summary>
    public ReadOnlySpan<float> ValuesOf(int latent) => values.AsSpan(begins[latent]..begins[latent + 1]);
}
