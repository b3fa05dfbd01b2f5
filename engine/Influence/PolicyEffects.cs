using Portal.Engine.Datasets;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Engine.Influence;

/// <summary>A response whose log-probability is asked about.</summary>
/// <param name="Text">Prompt and response, with the policy's own tokens.</param>
/// <param name="Pairs">Which pairs, by their places in the list of pairs.</param>
public sealed record PolicyQuery(EncodedText Text, IReadOnlyList<int> Pairs);

/// <summary>
/// What learning from a pair does to the log-probability that a DPO policy gives to a response, to first order.
/// <code>g_q = ∇ log π(y|x)      h_i = β [log π/π_ref(y⁺) − log π/π_ref(y⁻)]      g_i = −∇(−ln σ(h_i)) = β σ(−h_i) [∇ log π(y⁺) − ∇ log π(y⁻)]      effect_i = ⟨g_q, g_i⟩   (nats)</code>
/// </summary>
/// <remarks>
/// One step of rate ε along g_i changes log π(y|x) by ε · effect_i + O(ε²): TracIn with the last checkpoint alone (Pruthi et al. 2020, 2002.08484). Gradients are on the last block, the final norm and the output head. Where the head is
/// tied to the embedding, what reaches the matrix through the head counts and what reaches it through the input does not: the states that enter the last block are taken as they are, and computed without gradients.
/// Departures: log-probabilities are sums over the completion, its end mark included, as in training; label smoothing, weights of votes and the optimiser's own scaling are left out. A policy trained by KTO is asked in the same pair form,
/// with its β: how a pair would move it by DPO's loss, as its own takes no pairs.
/// One text is read at a time, so the same numbers come out whatever else is asked; gradients of as many responses are kept as fit into <see cref="KeptBytesMax"/>, and a pair's gradient is made once for all of those.
/// Checked by finite differences and against autograd through the whole model.
/// </remarks>
/// <param name="policy">π. Its weights are read only.</param>
/// <param name="reference">π_ref, what π was trained from.</param>
/// <param name="beta">β &gt; 0 of its training.</param>
public sealed class PolicyEffects(Llama policy, Llama reference, double beta)
{
    /// <summary>Gradients of responses kept at once, bytes; one response's is kept however large it is.</summary>
    public const long KeptBytesMax = 256L << 20;

    private readonly double beta = beta > 0 ? beta : throw new ArgumentException($"β is {beta}; it must be above 0");
    private readonly Parameter[] weights = [.. policy.Backbone.Blocks.Last().parameters(), policy.Backbone.Norm.weight, policy.HeadWeight];

    /// <summary>See <see cref="KeptBytesMax"/>; less for a test.</summary>
    internal long KeptBytes { get; init; } = KeptBytesMax;

    /// <summary>The effects that are asked for.</summary>
    /// <param name="pairs">Chosen and rejected answers to the same prompt, with the policy's own tokens.</param>
    /// <param name="told">Told how many of how many readings are done.</param>
    /// <returns>For each query the effects of its pairs, nats, in their order.</returns>
    public IReadOnlyList<double[]> Of(IReadOnlyList<PolicyQuery> queries, IReadOnlyList<(EncodedText Chosen, EncodedText Rejected)> pairs, Action<int, int> told, CancellationToken stop)
    {
        var effects = queries.Select(query => new double[query.Pairs.Count]).ToArray();
        var atOnce = (int)Math.Clamp(KeptBytes / (sizeof(float) * weights.Sum(weight => weight.numel())), 1, Math.Max(1, queries.Count));
        var chunks = queries.Index().Chunk(atOnce).Select(chunk => (Queries: chunk, Pairs: chunk.SelectMany(entry => entry.Item.Pairs).Distinct().Order().ToArray())).ToList();
        var (done, all) = (0, queries.Count + chunks.Sum(chunk => chunk.Pairs.Length));
        var referenceGaps = new Dictionary<int, double>(); // π_ref stays as it is: read once for all chunks
        void Next()
        {
            stop.ThrowIfCancellationRequested();
            told(done++, all);
        }
        foreach (var (some, ofSome) in chunks)
        {
            using var scope = NewDisposeScope();
            var slopes = new List<(Tensor Gradient, ILookup<int, int> Places, double[] Into)>(some.Length);
            foreach (var (number, query) in some)
            {
                Next();
                slopes.Add((Slope(query.Text, null).Gradient, query.Pairs.Index().ToLookup(entry => entry.Item, entry => entry.Index), effects[number]));
            }
            foreach (var pair in ofSome)
            {
                Next();
                using var step = NewDisposeScope();
                var (chosen, rejected) = pairs[pair];
                if (!referenceGaps.TryGetValue(pair, out var before))
                    referenceGaps[pair] = before = ReferenceGap(chosen, rejected);
                var (gap, gradient) = Slope(chosen, rejected);
                var pull = beta / (1 + Math.Exp(beta * (gap - before))); // β σ(−h): a pair learnt well pulls little
                foreach (var (slope, places, into) in slopes)
                    foreach (var place in places[pair])
                        into[place] = pull * Product(slope, gradient);
            }
        }
        told(all, all);
        return effects;
    }

    /// <summary>log π of a text, less that of another where there is one, nats; and its gradient on the weights, one after the other: [P], in the caller's scope.</summary>
    private (double Value, Tensor Gradient) Slope(EncodedText text, EncodedText? less)
    {
        using var scope = NewDisposeScope();
        using var grad = enable_grad();
        var value = less is null ? LogProb(policy, text) : LogProb(policy, text).sub(LogProb(policy, less));
        var parts = autograd.grad([value], weights);
        return (value.item<float>(), scope.MoveToOuter(cat(parts.Select(part => part.flatten()).ToArray())));
    }

    private double ReferenceGap(EncodedText chosen, EncodedText rejected)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return LogProb(reference, chosen).item<float>() - (double)LogProb(reference, rejected).item<float>();
    }

    /// <summary>Of one completion, with gradients from the last block on where they are wanted. Scalar.</summary>
    private static Tensor LogProb(Llama model, EncodedText text)
    {
        using var scope = NewDisposeScope();
        using var batch = PaddedBatch.Of([text], padId: 0, model.Device); // alone, so nothing is padded
        var pick = CompletionTokens.Of(batch.Ids, batch.Mask);
        var states = Below(model, batch.Ids);
        var hidden = model.Backbone.HiddenFrom(states, model.Config.LayerCount - 1);
        return scope.MoveToOuter(SequenceLogProb.OfTokens(model.Logits(pick.Pick(hidden)), pick.Targets).sum());
    }

    /// <summary>What enters the last block: a constant.</summary>
    private static Tensor Below(Llama model, Tensor ids)
    {
        using var noGrad = no_grad();
        return model.Hidden(ids, new LlamaRun { Blocks = model.Config.LayerCount - 1, FinalNorm = false });
    }

    /// <summary>Products of float32, added up in float64: large terms cancel.</summary>
    private static double Product(Tensor one, Tensor other)
    {
        using var scope = NewDisposeScope();
        return one.mul(other).sum(ScalarType.Float64).item<double>();
    }
}
