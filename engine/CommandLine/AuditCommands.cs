using System.CommandLine;
using System.Globalization;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.CommandLine;

/// <summary><c>engine audit</c>: what reward would explain how one policy differs from another, on folders and files.</summary>
public static class AuditCommands
{
    private static readonly Option<FileInfo?> Preset = new("--preset") { Description = "The spec as JSON (AuditReward; comments allowed); its defaults where left out." };
    private static readonly Option<DirectoryInfo?> Audited = new("--audited") { Description = "The policy that is audited; may be left out where --completions has its texts." };
    private static readonly Option<DirectoryInfo> Base = new("--base") { Description = "The policy it is compared with, whose states are the features.", Required = true };
    private static readonly Option<FileInfo> Prompts = new("--prompts") { Description = "Prompts, one JSON object a line; the portal's own files too.", Required = true };
    private static readonly Option<FileInfo?> Completions = new("--completions") { Description = "Completions of both policies that were written elsewhere, one JSON object a line." };
    private static readonly Option<DirectoryInfo?> Sae = new("--sae") { Description = "An SAE of the base, or of the reward model of --reward." };
    private static readonly Option<DirectoryInfo?> Reward = new("--reward") { Description = "A trained reward model to compare with." };
    private static readonly Option<FileInfo?> Words = new("--lexicon") { Description = "Bad words: {\"name\", \"severe\": [...], \"mild\": [...]}." };
    private static readonly Option<FileInfo?> Phrases = new("--phrases") { Description = "Phrases of refusal, agreement ... in place of the shipped ones." };
    private static readonly Option<DirectoryInfo> Out = new("--out") { Description = "Where the report goes.", Required = true };
    private static readonly Option<DirectoryInfo?> Work = new("--checkpoints") { Description = "Where a half-done run is kept; an interrupted run goes on from there. Default: OUT/checkpoints." };
    private static readonly Option<long?> Seed = new("--seed") { Description = "Overrides the preset's seed." };
    private static readonly Option<int?> Threads = new("--threads") { Description = "Threads to compute with; all cores where left out." };
    private static readonly Option<bool> Json = new("--json") { Description = "Progress as one JSON object a line, and then the report, on standard output." };

    public static Command Audit()
    {
        var command = new Command("audit", "Recover the reward that one policy seems to be trained on, and say how sure that is.")
        {
            Preset, Audited, Base, Prompts, Completions, Sae, Reward, Words, Phrases, Out, Work, Seed, Threads, Json,
        };
        command.SetAction(async (arguments, stop) =>
        {
            TrainingProcess.Prepare(arguments.GetValue(Threads));
            var spec = arguments.GetValue(Preset) is { } preset ? TrainCommands.Read<AuditReward>(preset, "audit") : new AuditReward();
            if (arguments.GetValue(Seed) is { } seed)
                spec = spec with { Seed = seed };
            var (asJson, output) = (arguments.GetValue(Json), arguments.GetRequiredValue(Out).FullName);
            var progress = new ConsoleProgress(asJson ? Console.Out : Console.Error, asJson, !asJson && !Console.IsErrorRedirected, TimeProvider.System);
            var context = new RecipeContext(output, arguments.GetValue(Work)?.FullName ?? Path.Combine(output, "checkpoints"), spec.Seed, progress, TimeProvider.System, stop);
            Show(await Run(spec, arguments, context), asJson);
            return 0;
        });
        return command;
    }

    private static async Task<AuditReport> Run(AuditReward spec, ParseResult arguments, RecipeContext context)
    {
        var prompts = AuditPrompts.Read(arguments.GetRequiredValue(Prompts).FullName, context.Stop);
        if (prompts.Duplicates + prompts.OtherLines > 0)
            context.Log($"{arguments.GetRequiredValue(Prompts).Name}: {prompts.All.Count} prompts; {prompts.Duplicates} with the text of another one and {prompts.OtherLines} lines that are no prompts are left out.");
        var (model, tokenizer) = ModelFolder.LanguageModel(arguments.GetRequiredValue(Base).FullName);
        using var ofBase = model;
        var @base = new ModelTexts(model, tokenizer, arguments.GetRequiredValue(Base).Name);
        var other = arguments.GetValue(Audited) is { } folder ? ModelFolder.LanguageModel(folder.FullName) : default((Llama Model, ITokenizer Tokenizer)?);
        using var ofAudited = other?.Model;
        var audited = other is { } opened ? new ModelTexts(opened.Model, opened.Tokenizer, arguments.GetValue(Audited)!.Name) : null; // other: there is such a folder
        var file = arguments.GetValue(Completions) is { } path ? CompletionFile.Read(path.FullName, context.Stop) : null;
        if (audited is null && file is null)
            throw new CannotTrain("--audited: name the folder of the policy, or give its texts with --completions.");
        if (file?.Unasked(prompts.All) is > 0 and var unasked)
            context.Warn($"{arguments.GetValue(Completions)!.Name} has completions of {unasked} prompts that --prompts does not ask; they are left out."); // file: there is one

        var reward = arguments.GetValue(Reward) is { } trained ? ModelFolder.RewardModel(trained.FullName) : default((IRewardModel Model, ITokenizer Tokenizer)?);
        using var ofReward = reward?.Model;
        var reader = AuditReader.Of(model.Backbone, tokenizer);
        using var sae = arguments.GetValue(Sae) is { } codes ? ModelFolder.Sae(codes.FullName) : null;
        return await AuditRewardRecipe.Run(spec, new AuditInputs(prompts, file?.Of(AuditSide.Audited, audited) ?? audited!, file?.Of(AuditSide.Base, @base) ?? @base, reader) // no audited and no file was refused
        {
            Sae = sae is null ? null : CodesOf(sae, reader, reward), Lexicon = arguments.GetValue(Words) is { } words ? Lexicon.Read(words.FullName) : null,
            Phrases = arguments.GetValue(Phrases) is { } phrases ? PhraseLists.Read(phrases.FullName) : PhraseLists.Shipped,
            Reference = reward is { } scored ? new AuditReferenceModel(new RewardScorer(scored.Model, scored.Tokenizer), arguments.GetValue(Reward)!.Name, HashOf(arguments.GetValue(Reward)!)) : null,
        }, context);
    }

    // The SAE says which model it reads: the base, or the reward model where that is a decoder of its own.
    private static SaeCodes CodesOf(TopKSae sae, AuditReader reader, (IRewardModel Model, ITokenizer Tokenizer)? reward) =>
        reward is { Model: LlamaReward trained, Tokenizer: var tokenizer } && AuditReader.Of(trained.Backbone, tokenizer) is var other && other.Hash == sae.Config.ModelHash ? new SaeCodes(other, sae) : new SaeCodes(reader, sae);

    private static string HashOf(DirectoryInfo folder) => Checkpoint.Fingerprint(folder.EnumerateFiles("*.safetensors", SearchOption.AllDirectories).OrderBy(file => file.FullName, StringComparer.Ordinal)
        .Select(file => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file.FullName)))));

    private static void Show(AuditReport report, bool asJson)
    {
        if (asJson)
        {
            Console.WriteLine(System.Text.Encoding.UTF8.GetString(report.ToJson()));
            return;
        }
        foreach (var (name, light) in new[] { ("identifiable", report.Verdict.Identifiable), ("faithful", report.Verdict.Faithful), ("spurious", report.Verdict.Spurious) })
            Console.WriteLine($"{name,-13} {light.State}: {light.Sentence}");
        foreach (var reason in report.Verdict.Reasons.Skip(1))
            Console.WriteLine($"{"",-13} {reason.Sentence}");
        Console.WriteLine($"{report.Census.Pairs} pairs of {report.Census.Prompts} prompts, {report.Census.ExactTies} exact ties");
        foreach (var method in report.Methods)
            Console.WriteLine(method.WhyNot is { } why ? $"  {method.Name,-30} {why}" : string.Create(CultureInfo.InvariantCulture,
                $"  {method.Name,-30} accuracy {method.Accuracy?.Estimate:F3}  A_ens {method.Ambiguity?.Estimate:F3}  A_undet {method.Undetermined?.Estimate:F3}  d_STARC {method.Reference?.Distance?.Estimate:F3}"));
        foreach (var row in report.Incentives.SelectMany(table => table.Rows).Where(row => row.Verdict is AuditIncentiveVerdict.PaidFor or AuditIncentiveVerdict.Punished))
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {row.Verdict,-9} {row.Name,-40} {row.Effect?.Estimate:+0.00;-0.00} ({row.Effect?.Low:+0.00;-0.00} to {row.Effect?.High:+0.00;-0.00})"));
        foreach (var check in report.Spurious?.Checks ?? [])
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {check.Key,-18} {check.Verdict,-18} {check.Effect?.Estimate:+0.00;-0.00} ({check.Effect?.Low:+0.00;-0.00} to {check.Effect?.High:+0.00;-0.00}), length alone {check.Baseline?.Estimate:+0.00;-0.00}, {check.Prompts} prompts{(check.IsFound ? ", spurious" : "")}"));
    }
}
