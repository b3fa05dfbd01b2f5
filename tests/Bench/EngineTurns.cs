using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Generation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Bench;

/// <summary>One case of the engine's bench.</summary>
/// <param name="Name">As in the table: "generate-b8".</param>
/// <param name="Kind">"sft", "dpo", "rm", "logprob", "generate", "sae", or one of <see cref="AuditsTurns.Kinds"/> and <see cref="ExplainTurns.Kinds"/>: what the peer calls it.</param>
/// <param name="Batch">Rows.</param>
/// <param name="Length">Tokens of a row; not used for generation.</param>
/// <param name="Prompt">Tokens of the prompt: left out of DPO's log-probs, given to generation.</param>
/// <param name="New">Tokens to write.</param>
public sealed record EngineCase(string Name, string Kind, int Batch, int Length, int Prompt, int New);

/// <summary>
/// Our side of a case: the steps of the recipes, from <c>PaddedBatch</c> to <c>Optimization.Step</c>, on made-up tokens. Nothing here is
/// faster than what a job runs; what a recipe does beside its step (reading, checkpoints, evaluation) is not part of the comparison.
/// </summary>
internal sealed class EngineTurns
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private static readonly OptimizationSpec Steps = new()
    {
        LearningRate = 1e-5, Schedule = Schedule.Constant, WeightDecay = 0, GradientNormMax = 1,
    };

    private const double Beta = 0.1;

    /// <summary>Loads the weights, says hello, and runs what is asked until the input ends.</summary>
    public static int Run(EngineCase wanted, string folder, int threads, bool quick)
    {
        TrainingProcess.Prepare(threads);
        var (ready, repeat) = wanted.Kind switch
        {
            "sft" => Training(Sft(wanted, folder)),
            "dpo" => Dpo(wanted, folder),
            "rm" => Training(RewardModel(wanted, folder)),
            "logprob" => LogProbs(wanted, folder),
            "generate" => Generate(wanted, folder),
            "sae" => Training(Sae(wanted, folder)),
            AuditAnswers.Kind => AuditAnswers.Turns(folder),
            _ when ExplainTurns.Kinds.Contains(wanted.Kind) => ExplainTurns.Of(wanted.Kind, folder, wanted.Length, threads),
            _ when AuditsTurns.Kinds.Contains(wanted.Kind) => AuditsTurns.Of(wanted.Kind, AuditsWorld.Draw(quick), threads),
            _ => throw new ArgumentException($"\"{wanted.Kind}\" is no case of this bench."),
        };
        Say(ready.Library.Length > 0 ? ready : ready with { Library = $"libtorch {LibraryVersion}", Threads = get_num_threads() });
        while (Console.ReadLine() is { } line)
        {
            var seconds = new double[int.Parse(line, CultureInfo.InvariantCulture)];
            for (var i = 0; i < seconds.Length; i++)
            {
                var begin = Stopwatch.GetTimestamp();
                repeat();
                seconds[i] = Stopwatch.GetElapsedTime(begin).TotalSeconds;
            }
            Say(new { All = seconds });
        }
        return 0;
    }

    /// <summary>The same made-up tokens as the peer's.</summary>
    internal static int[][] Tokens(int batch, int length, int vocabulary) =>
        [.. Enumerable.Range(0, batch).Select(row => Enumerable.Range(0, length).Select(i => (int)((i * 7919L + row * 104729L + 13) % vocabulary)).ToArray())];

    private static string LibraryVersion =>
#if OFFICIAL_PACKAGES
        "TorchSharp's";
#else
        Portal.Torch.Native.TorchRuntime.Version;
#endif

    private static void Say<T>(T answer)
    {
        Console.WriteLine(JsonSerializer.Serialize(answer, Json));
        Console.Out.Flush();
    }

    private static (Hello, Action) Training((int Tokens, Func<double> Step) side)
    {
        var first = side.Step();
        return (new Hello(first, [side.Step()], [], side.Tokens, "", 0), () => side.Step());
    }

    /// <summary>The step of <see cref="TrainSaeRecipe"/>, on vectors that are normalised already.</summary>
    private static (int Tokens, Func<double> Step) Sae(EngineCase wanted, string folder)
    {
        var sae = SaeFolder.Load(folder);
        using var file = Safetensors.Open(Path.Combine(folder, FeaturesBench.VectorsFile));
        using var read = file.Read("vectors");
        var (vectors, width) = (read.ToFloats(), sae.Config.Width);
        var trainer = new SaeTrainer(sae, new SaeTrainerOptions());
        var (positions, steps) = (new SaePosition[wanted.Batch], vectors.Length / width / wanted.Batch);
        var step = 0;
        return (wanted.Batch, () => trainer.Step(vectors.AsSpan(step++ % steps * wanted.Batch * width, wanted.Batch * width), positions, FeaturesBench.LearningRate).Nmse);
    }

    /// <summary>The step of <see cref="TrainSftRecipe"/>.</summary>
    private static (int Tokens, Func<double> Step) Sft(EngineCase wanted, string folder)
    {
        var model = HuggingFaceFolder.LoadLanguageModel(folder);
        var texts = Texts(wanted, model.Config.VocabularySize, after: 0);
        var optimization = new Optimization(model.parameters(), [], Steps, int.MaxValue);
        var step = 0;
        return (wanted.Batch * wanted.Length, () =>
        {
            using var scope = NewDisposeScope();
            var batch = PaddedBatch.Of(texts, padId: 0, model.Device);
            var pick = CompletionTokens.Of(batch.Ids, batch.Mask);
            var logProbs = TrainSftRecipe.LogProbs(model, batch, pick);
            var loss = optimization.Accumulate(CrossEntropyLoss.Compute(logProbs, CrossEntropyKind.Nll, pick.Count), share: 1, step);
            optimization.Step(step++);
            return loss;
        });
    }

    /// <summary>The step of <see cref="TrainPreferencePolicyRecipe"/>, the reference's log-probs kept from before the first step.</summary>
    private static (Hello, Action) Dpo(EngineCase wanted, string folder)
    {
        var model = HuggingFaceFolder.LoadLanguageModel(folder);
        var texts = Texts(wanted, model.Config.VocabularySize, after: wanted.Prompt);
        var optimization = new Optimization(model.parameters(), [], Steps, int.MaxValue);
        var (pairs, step) = (wanted.Batch / 2, 0);
        float[] reference;
        using (no_grad())
        using (NewDisposeScope())
            reference = [.. TrainPreferencePolicyRecipe.SequenceLogProbs(model, padId: 0, texts).LogProbs.data<float>()];
        var (hello, run) = Training((wanted.Batch * wanted.Length, Step));
        return (hello with { MoreLosses = [.. hello.MoreLosses, reference.Average() / (wanted.Length - 1 - wanted.Prompt)] }, run);

        double Step()
        {
            using var scope = NewDisposeScope();
            var both = TrainPreferencePolicyRecipe.SequenceLogProbs(model, padId: 0, texts).LogProbs;
            var policy = new DpoLogProbs(both.narrow(0, 0, pairs), both.narrow(0, pairs, pairs), tensor(reference[..pairs]), tensor(reference[pairs..]));
            var loss = optimization.Accumulate(DpoLoss.Compute(policy, new DpoOptions { Beta = Beta }), share: 1, step);
            DpoLoss.Metrics(policy, Beta);
            optimization.Step(step++);
            return loss;
        }
    }

    /// <summary>The step of <see cref="TrainRewardModelRecipe"/>; first half of the batch chosen, second half rejected.</summary>
    private static (int Tokens, Func<double> Step) RewardModel(EngineCase wanted, string folder)
    {
        var model = HuggingFaceFolder.LoadRewardModel(folder);
        var texts = Texts(wanted, model.Config.VocabularySize, after: 0);
        var optimization = new Optimization(model.Backbone.parameters(), [model.ScoreWeight], Steps, int.MaxValue);
        var pairs = texts.Take(wanted.Batch / 2).Zip(texts.Skip(wanted.Batch / 2), (chosen, rejected) => new TrainRewardModelRecipe.EncodedPair(new PreferencePair("", [], "", ""), chosen, rejected)).ToList();
        var step = 0;
        return (wanted.Batch * wanted.Length, () =>
        {
            using var scope = NewDisposeScope();
            var (chosen, rejected, _) = TrainRewardModelRecipe.Rewards(model, padId: 0, pairs);
            var loss = optimization.Accumulate(BradleyTerryLoss.Compute(chosen, rejected), share: 1, step);
            chosen.gt(rejected).to_type(ScalarType.Float32).mean().item<float>(); // the recipe's accuracy
            optimization.Step(step++);
            return loss;
        });
    }

    /// <summary><see cref="AnswerLogProbs"/>: every token after the first.</summary>
    private static (Hello, Action) LogProbs(EngineCase wanted, string folder)
    {
        var model = HuggingFaceFolder.LoadLanguageModel(folder);
        var tokens = Tokens(wanted.Batch, wanted.Length, model.Config.VocabularySize);
        return (new Hello(Mean(), [Mean()], [], wanted.Batch * wanted.Length, "", 0), () => Mean());

        double Mean() => MeanLogProb(model, tokens);
    }

    /// <summary><see cref="Sampler"/> at temperature 1; greedily only for the comparison of tokens.</summary>
    private static (Hello, Action) Generate(EngineCase wanted, string folder)
    {
        var model = HuggingFaceFolder.LoadLanguageModel(folder);
        var prompts = Tokens(wanted.Batch, wanted.Prompt, model.Config.VocabularySize);
        var sampler = new Sampler(model);
        var options = new SamplingOptions { MaxNewTokens = wanted.New, BatchSize = wanted.Batch };
        var greedy = sampler.Generate(prompts, options with { Temperature = 0 }, CancellationToken.None).SelectMany(text => text.Ids).ToList();
        sampler.Generate(prompts, options, CancellationToken.None);
        return (new Hello(MeanLogProb(model, prompts), [], greedy, wanted.Batch * wanted.New, "", 0),
            () => sampler.Generate(prompts, options, CancellationToken.None));
    }

    private static double MeanLogProb(Llama model, int[][] tokens)
    {
        var answers = tokens.Select(row => new Continuation(row[1..], new float[row.Length - 1], Finished: false)).ToList();
        var sums = AnswerLogProbs.Of(model, [.. tokens.Select(row => row[..1])], answers, padId: 0, CancellationToken.None);
        return sums.Average() / (tokens[0].Length - 1);
    }

    /// <summary>Rows whose tokens behind position <paramref name="after"/> count.</summary>
    private static List<EncodedText> Texts(EngineCase wanted, int vocabulary, int after) =>
        [.. Tokens(wanted.Batch, wanted.Length, vocabulary).Select(ids => new EncodedText(ids, [.. Enumerable.Range(0, ids.Length).Select(i => i > after)]))];
}
