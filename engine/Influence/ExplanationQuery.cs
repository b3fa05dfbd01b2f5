using Portal.Data.Explanations;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>A response as a point among the comparisons a reward model was trained on. Source: specs/xrlhf.md §1.6.</summary>
/// <param name="Vector">q. [d].</param>
public sealed record ExplanationQuery(QueryMode Mode, double[] Vector)
{
    /// <summary>Answers of the reference policy that a centred query is compared with where nobody says otherwise.</summary>
    public const int DefaultReferences = 8;

    /// <summary>Makes a query.</summary>
    /// <param name="response">φ(x, y).</param>
    /// <param name="references">φ of other answers to the same prompt: sampled ones (centred), the one better answer (comparison), none (raw).</param>
    /// <exception cref="ArgumentException">There are none where some are needed, or several where one is.</exception>
    public static ExplanationQuery Of(QueryMode mode, EndFeature response, IReadOnlyList<EndFeature> references)
    {
        if (mode is QueryMode.Centred && references.Count == 0)
            throw new ArgumentException("A centred query needs other answers to the same prompt.", nameof(references));
        if (mode is QueryMode.Comparison && references.Count != 1)
            throw new ArgumentException($"A comparison needs one better answer, not {references.Count}.", nameof(references));
        var q = new double[response.Values.Length];
        TensorPrimitives.ConvertTruncating<float, double>(response.Values, q);
        if (mode is not QueryMode.Raw)
        {
            foreach (var reference in references)
            {
                for (var j = 0; j < q.Length; j++)
                    q[j] -= (double)reference.Values[j] / references.Count;
            }
        }
        return new ExplanationQuery(mode, q);
    }
}
