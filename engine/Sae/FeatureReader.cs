using System.Runtime.InteropServices;
using Portal.Data.JobSpecs;
using Portal.Data.SaeFeatures;
using Portal.Engine.Datasets;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>The codes of one response: at the sentence ends that the model saw, in their order, and last at its end.</summary>
public sealed record CodedResponse(IReadOnlyList<CodedPlace> Places);

/// <summary>One position of a response.</summary>
/// <param name="Start">UTF-16 offset in the response's text of the sentence that ends here, white space around it left out; for the end 0.</param>
/// <param name="Length">Its length; for the end that of the whole response, all of which the reward rests on.</param>
/// <param name="TextHash">Hash of that stretch of text.</param>
/// <param name="Latents">Best first.</param>
/// <param name="Values">z of them; 0 fills up where fewer are active.</param>
public sealed record CodedPlace(ContextPosition Position, int Start, int Length, ulong TextHash, int[] Latents, float[] Values);

/// <summary>Reads the features of responses where a SARM reward model's SAE reads: at sentence ends, and at the end, where the reward is.</summary>
/// <remarks>
/// Texts go through the model in batches of about equal length, one pass for all their positions. Texts longer than the model's context lose their beginning, as when
/// they are scored; sentences that were cut off are not read.
/// </remarks>
public sealed class FeatureReader(SarmReward model, ITokenizer tokenizer)
{
    private const int TextsAtOnce = 64;

    /// <summary>States encoded together: their pre-activations are this many times M numbers.</summary>
    private const int StatesAtOnce = 512;

    private readonly DialogueEncoder encoder = new(tokenizer, int.MaxValue, Overlong.Filter);

    /// <summary>Reads some responses: as many as may lie in memory with their codes.</summary>
    /// <returns>In the order given.</returns>
    public IReadOnlyList<CodedResponse> Read(IReadOnlyList<ResponseText> responses, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var texts = responses.Select(Prepare).ToList();
        var coded = new CodedResponse[responses.Count];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Encoded.Ids.Length)], TextsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            ReadBatch(batch, texts, coded);
        }
        return coded;
    }

    /// <summary>A response with its positions and what they stand for.</summary>
    private sealed record Prepared(EncodedText Encoded, IReadOnlyList<(int Index, SaePosition Position)> Positions, IReadOnlyList<(int Start, int Length)> Spans, string Text);

    private Prepared Prepare(ResponseText response)
    {
        var whole = encoder.Answer(response.Prompt, response.Response)!; // nothing is too long for this encoder
        var begin = Array.IndexOf(whole.Mask, true);
        var count = tokenizer.Encode(response.Response).Length;
        var ends = TokenSpans.Ends(response.Response, tokenizer, whole.Ids.AsSpan(Math.Max(0, begin), count));
        var cut = Math.Max(0, whole.Ids.Length - model.ContextLength);
        var text = cut == 0 ? whole : new EncodedText(whole.Ids[cut..], whole.Mask[cut..]);
        var positions = SaePositions.Of(text, tokenizer);
        var spans = new List<(int, int)>(positions.Count);
        var from = cut > begin && cut - begin <= count ? ends[cut - begin - 1] : 0;
        foreach (var (index, position) in positions)
        {
            if (position is SaePosition.ResponseEnd)
            {
                spans.Add((0, response.Response.Length));
                continue;
            }
            var to = ends[Math.Min(index + cut - begin, count - 1)];
            spans.Add(Trimmed(response.Response, from, to));
            from = to;
        }
        return new Prepared(text, positions, spans, response.Response);
    }

    private static (int Start, int Length) Trimmed(string text, int from, int to)
    {
        var (start, end) = (from, to);
        while (start < end && char.IsWhiteSpace(text[start]))
            start++;
        while (end > start && char.IsWhiteSpace(text[end - 1]))
            end--;
        return end > start ? (start, end - start) : (from, to - from);
    }

    private void ReadBatch(int[] batch, List<Prepared> texts, CodedResponse[] coded)
    {
        using var scope = NewDisposeScope();
        using var padded = PaddedBatch.Of([.. batch.Select(i => texts[i].Encoded)], tokenizer.PadId, model.Device);
        var hidden = model.Backbone.Hidden(padded.Ids, new Models.LlamaRun { FinalNorm = false });
        var width = padded.Ids.shape[1];
        var rows = batch.SelectMany((i, row) => texts[i].Positions.Select((at, place) => (Text: i, Place: place, at.Position, Pick: row * width + at.Index))).ToList();
        var states = hidden.flatten(0, 1).index_select(0, tensor(rows.Select(row => row.Pick).ToArray(), device: hidden.device));
        var places = batch.ToDictionary(i => i, i => new CodedPlace[texts[i].Positions.Count]);
        for (var start = 0; start < rows.Count; start += StatesAtOnce)
        {
            using var inner = NewDisposeScope();
            var some = rows.GetRange(start, Math.Min(StatesAtOnce, rows.Count - start));
            var x = model.Sae.Normalise(states.narrow(0, start, some.Count)).X;
            var codes = model.Sae.Select(model.Sae.PreActivations(x, model.Sae.CentreOf([.. some.Select(row => row.Position)])));
            var (values, indices) = (codes.Values.cpu().contiguous().data<float>().ToArray(), codes.Indices.cpu().data<long>().ToArray());
            var kept = values.Length / some.Count;
            for (var i = 0; i < some.Count; i++)
            {
                var (text, place) = (texts[some[i].Text], some[i].Place);
                var (from, length) = text.Spans[place];
                places[some[i].Text][place] = new CodedPlace(some[i].Position is SaePosition.ResponseEnd ? ContextPosition.End : ContextPosition.Sentence, from, length,
                    HashOf(text.Text.AsSpan(from, length)), [.. indices.AsSpan(i * kept, kept).ToArray().Select(latent => (int)latent)], values.AsSpan(i * kept, kept).ToArray());
            }
        }
        foreach (var (text, own) in places)
            coded[text] = new CodedResponse(own);
    }

    /// <summary>FNV-1a over UTF-16 units: texts are compared by it, never shown.</summary>
    internal static ulong HashOf(ReadOnlySpan<char> text)
    {
        var hash = 0xCBF29CE484222325UL;
        foreach (var unit in MemoryMarshal.Cast<char, ushort>(text))
            hash = (hash ^ unit) * 0x100000001B3UL;
        return hash;
    }
}
