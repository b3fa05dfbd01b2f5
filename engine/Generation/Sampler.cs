using Portal.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Generation;

/// <summary>How to write continuations.</summary>
public sealed record SamplingOptions
{
    /// <summary>The most tokens to write after each prompt.</summary>
    public required int MaxNewTokens { get; init; }

    /// <summary>Divides the logits; 0 is greedy: always the likeliest token, the lowest id among equals.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only the k likeliest tokens; null is off.</summary>
    public int? TopK { get; init; }

    /// <summary>Only the likeliest tokens that together reach this probability, in (0, 1]; null is off. After top-k.</summary>
    public double? TopP { get; init; }

    /// <summary>The same seed gives the same tokens for the same prompt at the same place in the list, whatever the batch size.</summary>
    public long Seed { get; init; }

    /// <summary>Tokens that end a continuation.</summary>
    public IReadOnlyCollection<int> StopIds { get; init; } = [];

    /// <summary>How many prompts are written at once; more is faster and takes more memory.</summary>
    public int BatchSize { get; init; } = 32;

    internal void Validate()
    {
        if (MaxNewTokens < 1 || BatchSize < 1 || !(Temperature >= 0) || TopK < 1 || (TopP is { } p && !(p is > 0 and <= 1)))
        {
            throw new ArgumentException(
                $"MaxNewTokens {MaxNewTokens}, BatchSize {BatchSize}, Temperature {Temperature}, TopK {TopK}, TopP {TopP}: counts must be at least 1, temperature not negative, TopP in (0, 1]");
        }
    }
}

/// <summary>One continuation.</summary>
/// <param name="Ids">The new tokens, the stop token included when one was written.</param>
/// <param name="LogProbs">The log-probability of each, in nats, under the model at the sampling temperature (at 1 when greedy),
/// before top-k and top-p cut: what RL calls the old policy's log-probability.</param>
/// <param name="Finished">True when a stop token was written; false when the length ran out.</param>
public sealed record Continuation(IReadOnlyList<int> Ids, IReadOnlyList<float> LogProbs, bool Finished);

/// <summary>
/// Writes continuations of prompts with a language model: prompts are padded on the left and read once, then one token a step
/// is written for all rows through the key-value cache; finished rows leave the batch.
/// </summary>
/// <remarks>
/// Random numbers are a function of seed, row and step, so a row's text depends neither on its neighbours nor on when they
/// finish (up to float rounding of batched products).
/// </remarks>
public sealed class Sampler(Llama model)
{
    /// <summary>Writes one continuation for each prompt, in the prompts' order.</summary>
    /// <param name="prompts">Token ids of each prompt; at least one token each, shorter than the context.</param>
    /// <param name="options">How to sample.</param>
    /// <param name="stop">Checked before every step.</param>
    /// <param name="onToken">Called with row number and token as they are written; null where nobody watches.</param>
    /// <exception cref="ArgumentException">An empty or over-long prompt, or options out of range; the message names the row.</exception>
    public IReadOnlyList<Continuation> Generate(
        IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions options, CancellationToken stop, Action<int, int>? onToken = null)
    {
        options.Validate();
        for (var row = 0; row < prompts.Count; row++)
        {
            if (prompts[row].Count == 0 || prompts[row].Count >= model.Config.ContextLength)
            {
                throw new ArgumentException($"prompt {row} has {prompts[row].Count} tokens; between 1 and {model.Config.ContextLength - 1} fit the model's context");
            }
        }

        // Prompts of like length go together: less padding, less work.
        var texts = prompts.Select((prompt, row) => new Row(row, prompt)).ToList();
        using var noGrad = no_grad();
        foreach (var batch in texts.OrderBy(text => text.Prompt.Count).Chunk(options.BatchSize))
        {
            Write(batch, options, onToken, stop);
        }

        return [.. texts.Select(text => new Continuation(text.Ids, text.LogProbs, text.Finished))];
    }

    private void Write(Row[] batch, SamplingOptions options, Action<int, int>? onToken, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        var longest = batch.Max(row => row.Prompt.Count);
        var isPadded = batch.Any(row => row.Prompt.Count < longest);
        var padding = isPadded ? tensor(batch.Select(row => (long)(longest - row.Prompt.Count)).ToArray(), device: model.Device) : null;
        var capacity = longest + Math.Min(options.MaxNewTokens, model.Config.ContextLength);
        using var cache = new KvCache(model.Config, batch.Length, capacity, padding, model.Device, model.HeadWeight.dtype);
        var rows = batch;
        var input = batch.SelectMany(row => Enumerable.Repeat(0L, longest - row.Prompt.Count).Concat(row.Prompt.Select(id => (long)id))).ToArray();
        for (var step = 0; ; step++)
        {
            stop.ThrowIfCancellationRequested();
            var (ids, logProbs) = Step(input, rows, step, cache, options);
            for (var slot = 0; slot < rows.Length; slot++)
            {
                if (!rows[slot].Done)
                {
                    rows[slot].Add((int)ids[slot], logProbs[slot], options, model.Config.ContextLength);
                    onToken?.Invoke(rows[slot].Number, (int)ids[slot]);
                }
            }

            (rows, input) = DropFinished(rows, ids, cache, step, model.Config.ContextLength);
            if (rows.Length == 0)
            {
                return;
            }
        }
    }

    private (long[] Ids, float[] LogProbs) Step(long[] input, Row[] rows, int step, KvCache cache, SamplingOptions options)
    {
        using var scope = NewDisposeScope();
        var ids = tensor(input, device: model.Device).view(rows.Length, -1);
        var logits = model.NextTokenLogits(ids, new LlamaRun { Cache = cache }).to_type(ScalarType.Float32);
        var uniforms = rows.Select(row => Uniform(options.Seed, row.Number, step)).ToArray();
        var (chosen, logProbs) = Choose(logits, uniforms, options);
        using var chosenValues = chosen.cpu().data<long>();
        using var logProbValues = logProbs.cpu().data<float>();
        return (chosenValues.ToArray(), logProbValues.ToArray());
    }

    /// <summary>Picks a token for each row of logits. [A, V] and A numbers in [0, 1) to two [A].</summary>
    internal static (Tensor Ids, Tensor LogProbs) Choose(Tensor logits, double[] uniforms, SamplingOptions options)
    {
        var isGreedy = options.Temperature == 0;
        var scaled = isGreedy || options.Temperature == 1 ? logits : logits.div(options.Temperature);
        var chosen = isGreedy ? logits.argmax(-1) : Draw(scaled, tensor(uniforms, device: logits.device).unsqueeze(1), options);
        return (chosen, scaled.gather(1, chosen.unsqueeze(1)).squeeze(1).sub(scaled.logsumexp(-1)));
    }

    private static Tensor Draw(Tensor scaled, Tensor uniforms, SamplingOptions options)
    {
        Tensor? order = null;
        if (options.TopK is { } k && k < scaled.shape[1])
        {
            (scaled, order) = scaled.topk(k, -1);
        }
        else if (options.TopP is < 1)
        {
            (scaled, order) = scaled.sort(-1, descending: true);
        }

        var weights = scaled.softmax(-1);
        if (options.TopP is { } p && p < 1)
        {
            // A token stays while those before it have not reached p; so the likeliest always stays.
            var before = weights.cumsum(-1).sub(weights);
            weights = weights.masked_fill(before.ge(p), 0);
        }

        // The first token at which the running sum passes u · total; in double, so that a tail of tiny weights still counts.
        var sums = weights.cumsum(-1, ScalarType.Float64);
        var last = sums.shape[1] - 1;
        var place = sums.le(uniforms.mul(sums.narrow(1, last, 1))).sum(-1).clamp_max(last);
        return order is null ? place : order.gather(1, place.unsqueeze(1)).squeeze(1);
    }

    /// <summary>
    /// Takes finished rows out of batch and cache. Copying the cache costs about a step, so a few finished rows are carried
    /// along until they are an eighth, unless their place in the context has run out.
    /// </summary>
    private static (Row[] Rows, long[] Input) DropFinished(Row[] rows, long[] ids, KvCache cache, int step, int contextLength)
    {
        var done = rows.Count(row => row.Done);
        // The place of the next token: a row that is carried along goes on through the context, however short its text was.
        var mustDrop = rows.Any(row => row.Done && row.Prompt.Count + step >= contextLength - 1);
        if (done == rows.Length)
        {
            return ([], []);
        }

        if (!mustDrop && done * 8 < Math.Max(8, rows.Length))
        {
            return (rows, ids);
        }

        var kept = Enumerable.Range(0, rows.Length).Where(slot => !rows[slot].Done).ToArray();
        using var scope = NewDisposeScope();
        cache.KeepRows(tensor(kept.Select(slot => (long)slot).ToArray(), device: cache.Device));
        return ([.. kept.Select(slot => rows[slot])], [.. kept.Select(slot => ids[slot])]);
    }

    /// <summary>A number in [0, 1) that depends on seed, row and step only. Source: SplitMix64 (Steele et al. 2014).</summary>
    internal static double Uniform(long seed, int row, int step)
    {
        var state = Mix((ulong)seed + 0x9e3779b97f4a7c15UL);
        state = Mix(state + ((ulong)(uint)row * 0x9e3779b97f4a7c15UL) + 1);
        state = Mix(state + ((ulong)(uint)step * 0x9e3779b97f4a7c15UL) + 1);
        return (state >> 11) * (1.0 / (1UL << 53));

        static ulong Mix(ulong z)
        {
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
            return z ^ (z >> 31);
        }
    }

    /// <summary>One prompt and what has been written after it.</summary>
    private sealed class Row(int number, IReadOnlyList<int> prompt)
    {
        public int Number { get; } = number;

        public IReadOnlyList<int> Prompt { get; } = prompt;

        public List<int> Ids { get; } = [];

        public List<float> LogProbs { get; } = [];

        public bool Finished { get; private set; }

        public bool Done { get; private set; }

        public void Add(int id, float logProb, SamplingOptions options, int contextLength)
        {
            Ids.Add(id);
            LogProbs.Add(logProb);
            Finished = options.StopIds.Contains(id);
            Done = Finished || Prompt.Count + Ids.Count >= contextLength || Ids.Count >= options.MaxNewTokens;
        }
    }
}
