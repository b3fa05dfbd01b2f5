using System.CommandLine;
using System.Text.Json;
using Portal.Data.Feedback;
using Portal.Engine.Datasets;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using TorchSharp;

namespace Portal.Engine.CommandLine;

/// <summary><c>engine generate</c> and <c>engine score</c>: a model folder used from the command line.</summary>
public static class UseCommands
{
    private static readonly Option<DirectoryInfo> Model = new("--model") { Description = "The model folder.", Required = true };
    private static readonly Option<bool> Json = new("--json") { Description = "One JSON object a line." };

    /// <summary>Answers of a policy to one question.</summary>
    public static Command Generate()
    {
        var prompt = new Option<string>("--prompt") { Description = "What to ask.", Required = true };
        var count = new Option<int>("--count") { Description = "How many answers.", DefaultValueFactory = _ => 1 };
        var temperature = new Option<double>("--temperature") { Description = "0 is greedy.", DefaultValueFactory = _ => 0.8 };
        var tokens = new Option<int>("--tokens") { Description = "Longest answer.", DefaultValueFactory = _ => 128 };
        var seed = new Option<long>("--seed") { DefaultValueFactory = _ => 1 };
        var command = new Command("generate", "Let a policy answer a question.") { Model, prompt, count, temperature, tokens, seed, Json };
        command.SetAction((arguments, stop) =>
        {
            TrainingProcess.Prepare();
            var (model, tokenizer) = ModelFolder.LanguageModel(arguments.GetRequiredValue(Model).FullName);
            var encoder = new DialogueEncoder(tokenizer, model.Config.ContextLength, Data.JobSpecs.Overlong.Filter);
            var ids = encoder.Prompt([new Turn("user", arguments.GetRequiredValue(prompt))]);
            if (ids.Length >= model.Config.ContextLength)
                throw new CannotTrain($"--prompt has {ids.Length} tokens; fewer than {model.Config.ContextLength} fit this model.");
            var answers = new Sampler(model).Generate([.. Enumerable.Repeat(ids, arguments.GetValue(count))], new SamplingOptions
            {
                MaxNewTokens = arguments.GetValue(tokens), Temperature = arguments.GetValue(temperature), Seed = arguments.GetValue(seed), StopIds = [.. encoder.StopIds],
            }, stop);
            foreach (var answer in answers)
            {
                var text = tokenizer.Decode([.. answer.Ids]);
                Console.WriteLine(arguments.GetValue(Json)
                    ? JsonSerializer.Serialize(new { text, tokens = answer.Ids.Count, finished = answer.Finished, logProb = answer.LogProbs.Sum() })
                    : text);
            }
            return Task.FromResult(0);
        });
        return command;
    }

    /// <summary>The reward of one answer.</summary>
    public static Command Score()
    {
        var prompt = new Option<string>("--prompt") { Description = "What was asked.", Required = true };
        var response = new Option<string[]>("--response") { Description = "An answer; may be given several times.", Required = true, AllowMultipleArgumentsPerToken = false };
        var command = new Command("score", "Let a reward model score answers to a question.") { Model, prompt, response, Json };
        command.SetAction((arguments, stop) =>
        {
            TrainingProcess.Prepare();
            var (model, tokenizer) = ModelFolder.RewardModel(arguments.GetRequiredValue(Model).FullName);
            var encoder = new DialogueEncoder(tokenizer, model.ContextLength, Data.JobSpecs.Overlong.TruncateLeft);
            var answers = arguments.GetRequiredValue(response);
            var texts = answers.Select(answer => encoder.Answer([new Turn("user", arguments.GetRequiredValue(prompt))], answer)!).ToList(); // cut, never left out
            using var noGrad = torch.no_grad();
            using var scope = torch.NewDisposeScope();
            using var batch = PaddedBatch.Of(texts, tokenizer.PadId, model.Device);
            var rewards = model.Rewards(batch.Ids, batch.LastPositions).ToFloats();
            for (var i = 0; i < rewards.Length; i++)
                Console.WriteLine(arguments.GetValue(Json) ? JsonSerializer.Serialize(new { reward = rewards[i], response = answers[i] }) : $"{rewards[i],9:F4}  {answers[i]}");
            return Task.FromResult(0);
        });
        return command;
    }
}
