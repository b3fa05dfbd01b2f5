using System.Globalization;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.TinyAssistant;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Bench;

/// <summary>Log-probs of the demo base's answers under the base and the demo's policy: what a log-ratio is made of.</summary>
internal static class AuditAnswers
{
    /// <summary>What the peer calls the case.</summary>
    public const string Kind = "both-logprobs";

    private const string BaseFolder = "base", PolicyFolder = "policy", File = "answers.safetensors";

    /// <summary>Writes answers that the base gives at temperature 1, and both models in float32, for both sides.</summary>
    /// <returns>Width, blocks, heads, inner width and vocabulary, for the peer.</returns>
    public static string Write(DirectoryInfo demo, string work, int count)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tokenizer = TokenizerFolder.Load(Path.Combine(demo.FullName, BaseFolder));
        using var model = HuggingFaceFolder.LoadLanguageModel(Path.Combine(demo.FullName, BaseFolder));
        using (var policy = HuggingFaceFolder.LoadLanguageModel(Path.Combine(demo.FullName, PolicyFolder)))
            HuggingFaceFolder.Save(policy, Path.Combine(work, PolicyFolder), tokenizer: null);
        HuggingFaceFolder.Save(model, Path.Combine(work, BaseFolder), tokenizer: null);
        var encoder = WorldSamples.Encoder(model, tokenizer);
        var world = new World(5);
        int[][] prompts = [.. Enumerable.Range(0, count).Select(i => encoder.Prompt(MakeDemo.TurnsOf(world.WritePrompt("audits bench", i).Turns)))];
        var answers = new Sampler(model).Generate(prompts, WorldSamples.Options(model, encoder, seed: 5, temperature: 1), CancellationToken.None);
        int[] ends = [.. prompts.Zip(answers, (prompt, answer) => prompt.Length + Math.Max(1, answer.Ids.Count))]; // an empty answer counts its end
        var width = ends.Max();
        var ids = new long[count * width];
        Array.Fill(ids, tokenizer.PadId);
        for (var row = 0; row < count; row++)
        {
            for (var t = 0; t < ends[row]; t++)
                ids[row * width + t] = t < prompts[row].Length ? prompts[row][t] : answers[row].Ids.Count == 0 ? encoder.StopIds[0] : answers[row].Ids[t - prompts[row].Length];
        }
        Safetensors.Write(Path.Combine(work, File), new Dictionary<string, Tensor>
        {
            ["ids"] = tensor(ids, [count, width]), ["prompts"] = tensor([.. prompts.Select(prompt => (long)prompt.Length)], [count]), ["ends"] = tensor([.. ends.Select(end => (long)end)], [count]),
        });
        var config = model.Config;
        return string.Create(CultureInfo.InvariantCulture, $"{config.HiddenSize},{config.LayerCount},{config.HeadCount},{config.IntermediateSize},{config.VocabularySize}");
    }

    /// <summary>The peer's arguments.</summary>
    public static string[] PeerArguments(string work) =>
        ["--weights", Path.Combine(work, BaseFolder, "model.safetensors"), "--audited", Path.Combine(work, PolicyFolder, "model.safetensors"), "--answers", Path.Combine(work, File)];

    /// <summary>Our side: <see cref="AnswerLogProbs"/> of all answers under both models. What must agree: every answer's mean log-prob.</summary>
    public static (Hello, Action) Turns(string work)
    {
        Llama[] models = [HuggingFaceFolder.LoadLanguageModel(Path.Combine(work, BaseFolder)), HuggingFaceFolder.LoadLanguageModel(Path.Combine(work, PolicyFolder))];
        using var scope = NewDisposeScope();
        using var file = Safetensors.Open(Path.Combine(work, File));
        long[] Read(string name) => file.Read(name).data<long>().ToArray();
        var (ids, starts, ends) = (Read("ids"), Read("prompts"), Read("ends"));
        var width = ids.Length / starts.Length;
        int[] Tokens(int row, long from, long to) => [.. ids.AsSpan((int)(row * width + from), (int)(to - from)).ToArray().Select(id => (int)id)];
        int[][] prompts = [.. starts.Select((end, row) => Tokens(row, 0, end))];
        Continuation[] answers = [.. ends.Select((end, row) => Tokens(row, starts[row], end)).Select(tokens => new Continuation(tokens, new float[tokens.Length], Finished: true))];
        double[] LogProbs() => [.. models.SelectMany(model => AnswerLogProbs.Of(model, prompts, answers, padId: 0, CancellationToken.None))];
        double[] means = [.. LogProbs().Select((sum, i) => sum / answers[i % answers.Length].Ids.Count)];
        return (new Hello(means[0], means[1..], [], means.Length, "", 0), () => LogProbs());
    }
}
