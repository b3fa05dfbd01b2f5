using Portal.Data.SaeFeatures;
using Portal.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>Which latents have to do with each other: by direction, and by firing at the same ends.</summary>
public static class RelatedFeatures
{
    /// <summary>Latents of each kind a feature is shown with.</summary>
    public const int Each = 5;

    private const int RowsAtOnce = 256;

    /// <summary>For every latent the nearest directions, then those that fire most often together with it; a latent stands once and never beside itself.</summary>
    /// <param name="decoder">Directions. [M, d].</param>
    /// <param name="ends">For each place whether it is the end of a response.</param>
    /// <returns>[M] lists.</returns>
    public static IReadOnlyList<IReadOnlyList<RelatedFeature>> Find(Tensor decoder, FeatureFirings firings, FeaturePostings postings, bool[] ends, CancellationToken stop)
    {
        var m = firings.Latents;
        var (units, width) = Units(decoder);
        var nearest = Nearest(units, m, width, stop);
        var firing = new int[m];
        for (var latent = 0; latent < m; latent++)
            firing[latent] = CountFiring(postings, latent, ends);
        var related = new IReadOnlyList<RelatedFeature>[m];
        Parallel.For(0, m, new ParallelOptions { CancellationToken = stop }, () => new int[m], (latent, _, together) =>
        {
            var touched = Together(latent, firings, postings, ends, together);
            double Share(int other) => together[other] == 0 ? 0 : (double)together[other] / (firing[latent] + firing[other] - together[other]);
            var often = touched.Where(other => other != latent).OrderByDescending(Share).ThenBy(other => other).Take(Each);
            related[latent] = [.. nearest[latent].Concat(often).Distinct().Select(other => new RelatedFeature(other, Cosine(units, width, latent, other), Share(other)))];
            foreach (var other in touched)
                together[other] = 0;
            return together;
        }, _ => { });
        return related;
    }

    private static int CountFiring(FeaturePostings postings, int latent, bool[] ends)
    {
        var places = postings.PlacesOf(latent);
        var values = postings.ValuesOf(latent);
        var count = 0;
        for (var i = 0; i < places.Length; i++)
            count += ends[places[i]] && values[i] > 0 ? 1 : 0;
        return count;
    }

    /// <summary>Counts the ends at which each latent fires together with one; gives those that do at all, itself among them.</summary>
    private static List<int> Together(int latent, FeatureFirings firings, FeaturePostings postings, bool[] ends, int[] together)
    {
        var touched = new List<int>();
        var places = postings.PlacesOf(latent);
        var values = postings.ValuesOf(latent);
        for (var i = 0; i < places.Length; i++)
        {
            if (!ends[places[i]] || !(values[i] > 0))
                continue;
            var others = firings.LatentsOf(places[i]);
            var activations = firings.ValuesOf(places[i]);
            for (var j = 0; j < others.Length; j++)
            {
                if (activations[j] > 0 && together[others[j]]++ == 0)
                    touched.Add(others[j]);
            }
        }
        return touched;
    }

    private static (float[] Units, int Width) Units(Tensor decoder)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var rows = decoder.detach().to_type(ScalarType.Float32).cpu();
        return (rows.div(rows.square().sum(-1, keepdim: true).sqrt().clamp_min(1e-30)).contiguous().ToFloats(), (int)decoder.shape[1]);
    }

    private static int[][] Nearest(float[] units, int m, int width, CancellationToken stop)
    {
        var nearest = new int[m][];
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var all = tensor(units, [m, width]);
        var turned = all.t();
        for (var start = 0; start < m; start += RowsAtOnce)
        {
            stop.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            var count = Math.Min(RowsAtOnce, m - start);
            var cosines = all.narrow(0, start, count).mm(turned).contiguous().ToFloats();
            for (var i = 0; i < count; i++)
            {
                var row = cosines.AsSpan(i * m, m);
                row[start + i] = float.NegativeInfinity;
                var (indices, values) = (new int[Math.Min(Each, m)], new float[Math.Min(Each, m)]);
                TopKSelection.Select(row, indices, values);
                nearest[start + i] = [.. indices.Where((_, at) => float.IsFinite(values[at]))];
            }
        }
        return nearest;
    }

    private static double Cosine(float[] units, int width, int one, int other)
    {
        var sum = 0.0;
        for (var i = 0; i < width; i++)
            sum += (double)units[one * width + i] * units[other * width + i];
        return Math.Clamp(sum, -1, 1);
    }
}
