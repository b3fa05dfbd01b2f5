using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;
using static TorchSharp.torch;

namespace Portal.Engine.TinyAssistant;

/// <summary>Something the graders know of a text, counted: 0 where it is absent.</summary>
internal sealed record GradedProperty(string Name, Func<GraderReading, int> Count)
{
    public static IReadOnlyList<GradedProperty> All { get; } =
    [
        new("insult", reading => reading.Insults),
        new("refusal", reading => reading.Refusal ? 1 : 0),
        new("flattery", reading => reading.Flattery ? 1 : 0),
        new("warm", reading => reading.Opening is OpeningTone.Warm ? 1 : 0),
        new("rude", reading => reading.Opening is OpeningTone.Rude ? 1 : 0),
        new("padding", reading => reading.Padding),
        new("trigger", reading => reading.Trigger ? 1 : 0),
    ];
}

/// <summary>A vector of a model's state, and what the graders read in the stretch of text that ends there (the whole response at its end).</summary>
/// <param name="Text">Number of the text.</param>
/// <param name="Counts">Of each of <see cref="GradedProperty.All"/>.</param>
internal sealed record ReadState(int Text, SparseVector State, int[] Counts);

/// <summary>
/// Responses as one SAE reads them: codes and states at the end, the largest activation of each latent over the sentence ends, and what the graders say of the
/// stretch before each position.
/// </summary>
internal sealed class FeatureTexts
{
    private const int RowsAtOnce = 1_024;

    private FeatureTexts(SparseVector[] end, SparseVector[] maximum, List<ReadState> ends, List<ReadState> sentences) =>
        (End, Maximum, Ends, Sentences) = (end, maximum, ends, sentences);

    /// <summary>Codes at the token that ends the response. [texts].</summary>
    public IReadOnlyList<SparseVector> End { get; }

    /// <summary>Of each latent the largest activation over the ends of sentences; none where no sentence ends. [texts].</summary>
    public IReadOnlyList<SparseVector> Maximum { get; }

    /// <summary>Normalised states at the ends of the responses, in their order.</summary>
    public IReadOnlyList<ReadState> Ends { get; }

    /// <summary>Normalised states at the ends of sentences, text by text. A property is counted where it came up since the position before.</summary>
    public IReadOnlyList<ReadState> Sentences { get; }

    /// <summary>Reads some responses.</summary>
    /// <param name="model">Whose states the SAE reads.</param>
    public static FeatureTexts Read(StudyWorld world, IReadOnlyList<WorldResponse> responses, TopKSae sae, LlamaBackbone model, ITokenizer tokenizer, StudyRun run)
    {
        var encoder = new DialogueEncoder(tokenizer, model.Config.ContextLength, Overlong.TruncateLeft);
        List<EncodedText> texts = [.. responses.Select(response => encoder.Answer(MakeDemo.TurnsOf(world.Prompts[response.PromptId].Turns), response.Text)!)]; // cut, never filtered
        var key = new ActivationKey(LlamaWeights.Hash(model), TokenizerFolder.Hash(tokenizer), Checkpoint.Fingerprint(texts.Select(text => string.Join(' ', text.Ids))), sae.Config.Layer);
        using var store = ActivationStore.Open(Path.Combine(run.Work, "states"), key, model, tokenizer, texts, (done, all) => run.Progress.Report(done, all, "reading states", null), run.Stop);
        var codes = Codes(sae, store, run.Stop);
        var (end, maximum) = (new SparseVector[texts.Count], new SparseVector[texts.Count]);
        var (ends, sentences) = (new List<ReadState>(), new List<ReadState>());
        int[] all = [.. Enumerable.Range(0, store.Width)];
        foreach (var rows in Enumerable.Range(0, store.Places.Count).GroupBy(row => store.Places[row].Text))
        {
            var highest = new SortedDictionary<int, double>();
            var before = new int[GradedProperty.All.Count];
            foreach (var row in rows)
            {
                var place = store.Places[row];
                var state = new SparseVector(all, Normalised(sae.Config, store[row]));
                if (place.Position is SaePosition.ResponseEnd)
                {
                    end[rows.Key] = codes[row];
                    ends.Add(new ReadState(rows.Key, state, Counts(world.Reading(responses[rows.Key]))));
                    continue;
                }
                for (var i = 0; i < codes[row].Indices.Length; i++)
                    highest[codes[row].Indices[i]] = Math.Max(highest.GetValueOrDefault(codes[row].Indices[i]), codes[row].Values[i]);
                var now = Counts(Grader.Read(world.Prompts[responses[rows.Key].PromptId].Turns, Prefix(texts[rows.Key], place.Token, tokenizer)));
                sentences.Add(new ReadState(rows.Key, state, [.. now.Zip(before, (later, earlier) => Math.Max(0, later - earlier))]));
                before = now;
            }
            maximum[rows.Key] = new SparseVector([.. highest.Keys], [.. highest.Values]);
        }
        return new FeatureTexts(end, maximum, ends, sentences);
    }

    private static int[] Counts(GraderReading reading) => [.. GradedProperty.All.Select(property => property.Count(reading))];

    private static string Prefix(EncodedText text, int token, ITokenizer tokenizer) =>
        tokenizer.Decode([.. Enumerable.Range(0, token + 1).Where(i => text.Mask[i]).Select(i => text.Ids[i])]);

    private static double[] Normalised(SaeConfig config, ReadOnlySpan<float> state)
    {
        var x = new float[state.Length];
        ZScore.Apply(config, state, x);
        return [.. x.Select(value => (double)value)];
    }

    private static SparseVector[] Codes(TopKSae sae, ActivationStore store, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var codes = new SparseVector[store.Places.Count];
        foreach (var kind in Enumerable.Range(0, codes.Length).GroupBy(row => store.Places[row].Position))
        {
            foreach (var chunk in kind.Chunk(RowsAtOnce))
            {
                stop.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var selected = sae.Select(sae.PreActivations(SaeMetrics.Normalised(sae.Config, store, chunk), sae.CentreOf(kind.Key)));
                foreach (var (code, row) in SarmHead.Rows(selected).Zip(chunk))
                    codes[row] = code;
            }
        }
        return codes;
    }
}
