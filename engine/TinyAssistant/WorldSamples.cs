using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>A model's answers to the world's prompts, written for all prompts at once, so that batches are full.</summary>
/// <remarks>
/// A function of seed, prompts, their order and the number asked for. Random numbers belong to a row, never to a batch
/// (<see cref="Sampler"/>), so the batch size changes nothing but float rounding.
/// </remarks>
public static class WorldSamples
{
    /// <summary>The demo's and the studies' sampling temperature (specs/tiny_assistant.md §2).</summary>
    public const double Temperature = 0.8;

    private const int RowsAtOnce = 512;

    /// <summary>Writes <paramref name="count"/> answers to each prompt, at <see cref="Temperature"/> unless another one is asked for.</summary>
    /// <param name="seed">A string of random numbers of its own for each use ("demo", "evidence test", ...).</param>
    /// <param name="progress">Told how many rows are done, and of how many; null where nobody watches.</param>
    /// <returns>Trimmed texts by prompt id, in the order they were asked for; blank and equal ones are still among them.</returns>
    public static IReadOnlyDictionary<string, IReadOnlyList<string>> Write(Llama model, ITokenizer tokenizer, IEnumerable<WorldPrompt> prompts, int count, SeededRandom seed,
        Action<int, int>? progress, CancellationToken stop, double temperature = Temperature)
    {
        var encoder = Encoder(model, tokenizer);
        var sampler = new Sampler(model);
        var asked = prompts.Select(prompt => (prompt.Id, Ids: (IReadOnlyList<int>)encoder.Prompt(MakeDemo.TurnsOf(prompt.Turns)))).ToList();
        var texts = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        var perCall = Math.Max(1, RowsAtOnce / count);
        foreach (var (some, call) in asked.Chunk(perCall).Select((some, call) => (some, call)))
        {
            var options = Options(model, encoder, (long)(seed.Split(call).NextBits() >> 1), temperature);
            var answers = sampler.Generate([.. some.SelectMany(prompt => Enumerable.Repeat(prompt.Ids, count))], options, stop);
            for (var i = 0; i < some.Length; i++)
                texts.Add(some[i].Id, [.. answers.Skip(i * count).Take(count).Select(answer => tokenizer.Decode([.. answer.Ids]).Trim())]);
            progress?.Invoke(texts.Count * count, asked.Count * count);
        }
        return texts;
    }

    /// <summary>How the world's prompts are encoded: whole, or not at all.</summary>
    internal static DialogueEncoder Encoder(Llama model, ITokenizer tokenizer) => new(tokenizer, model.Config.ContextLength, Overlong.Filter);

    internal static SamplingOptions Options(Llama model, DialogueEncoder encoder, long seed, double temperature = Temperature) => new()
    {
        MaxNewTokens = model.Config.ContextLength - 1, Temperature = temperature, StopIds = [.. encoder.StopIds], BatchSize = 128, Seed = seed,
    };
}
