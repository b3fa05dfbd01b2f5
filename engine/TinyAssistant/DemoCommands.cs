using System.CommandLine;
using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Recipes;

namespace Portal.Engine.TinyAssistant;

/// <summary><c>engine make-demo</c>: makes the shipped demo anew.</summary>
public static class DemoCommands
{
    public static Command MakeDemo()
    {
        var assets = new Option<DirectoryInfo>("--assets") { Description = "Where the demo's artefacts go.", Required = true };
        var dialogues = new Option<int>("--dialogues") { Description = "Style dialogues of the corpus.", DefaultValueFactory = _ => new MakeDemoOptions().Dialogues };
        var drills = new Option<int>("--drills") { Description = "Fact drills of the corpus.", DefaultValueFactory = _ => new MakeDemoOptions().Drills };
        var seed = new Option<ulong>("--seed") { DefaultValueFactory = _ => 1 };
        var keepBase = new Option<bool>("--keep-base") { Description = "Make everything but the base model anew." };
        var onlyFeatures = new Option<bool>("--only-features") { Description = "Make the readable reward model anew (its autoencoder and its head), nothing else." };
        var onlyPolicies = new Option<bool>("--only-policies") { Description = "Make the policies with known rewards anew (P0 to P5, from the base) and the audit of one of them, nothing else." };
        var onlyAudit = new Option<bool>("--only-audit") { Description = "Make the audit of P1 anew, nothing else." };
        var onlyExplanations = new Option<bool>("--only-explanations") { Description = "Make the flags, their explanations and the unlearning request anew, nothing else." };
        var policySteps = new Option<int?>("--policy-steps") { Description = "Limits the training of each of these policies, to try it out." };
        var work = new Option<DirectoryInfo>("--work") { Description = "Where the half-done run is kept. Default: ASSETS/.work." };
        var command = new Command("make-demo", "Make the shipped demo anew: tokenizer, base model, responses, simulated judgements, models and policies (about an hour on two cores).")
        {
            assets, dialogues, drills, seed, keepBase, onlyFeatures, onlyPolicies, onlyAudit, onlyExplanations, policySteps, work,
        };
        command.SetAction((arguments, stop) =>
        {
            TrainingProcess.Prepare();
            var folder = arguments.GetRequiredValue(assets).FullName;
            var scratch = arguments.GetValue(work)?.FullName ?? Path.Combine(folder, ".work");
            var preset = TrainCommands.Read<TrainSft>(new FileInfo(Path.Combine(AppContext.BaseDirectory, "presets", "sft-tiny-base.json")), "sft");
            var progress = new ConsoleProgress(Console.Error, json: false, !Console.IsErrorRedirected, TimeProvider.System);
            var context = new RecipeContext(Path.Combine(scratch, "base"), Path.Combine(scratch, "checkpoints"), (long)arguments.GetValue(seed), progress,
                TimeProvider.System, stop);
            if (arguments.GetValue(onlyFeatures))
                TinyAssistant.MakeDemo.RunFeatures(folder, context);
            else if (arguments.GetValue(onlyPolicies))
                TinyAssistant.MakeDemo.RunPolicies(folder, new DemoPoliciesOptions { StepsMax = arguments.GetValue(policySteps) }, context);
            else if (arguments.GetValue(onlyAudit))
                TinyAssistant.MakeDemo.RunAudit(folder, context);
            else if (arguments.GetValue(onlyExplanations))
                TinyAssistant.MakeDemo.RunExplanations(folder, context);
            else
                TinyAssistant.MakeDemo.Run(folder, preset, new MakeDemoOptions
                {
                    Seed = arguments.GetValue(seed), Dialogues = arguments.GetValue(dialogues), Drills = arguments.GetValue(drills),
                }, arguments.GetValue(keepBase), context);
            if (arguments.GetValue(work) is null && Directory.Exists(scratch))
                Directory.Delete(scratch, recursive: true);
            return Task.FromResult(0);
        });
        return command;
    }
}
