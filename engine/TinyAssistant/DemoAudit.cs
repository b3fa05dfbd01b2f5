using System.Text.Json.Nodes;
using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Engine.CommandLine;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Engine.TinyAssistant.Topics;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// The reward audit that the demo ships: the policy that was paid for length, against the base, on the demo's own prompts. Made by the recipe that every audit runs; an installation gets it as the half-done run of
/// a job, which finds a whole report and only stores it.
/// </summary>
internal static class DemoAudit
{
    /// <summary>Below the demo's artefacts: a report's folder.</summary>
    public const string Folder = "audit";

    /// <summary>The policy it is about.</summary>
    public const KnownPolicy Audited = KnownPolicy.P1;

    private const string Lexicons = "lexicons", LexiconName = "insults";

    /// <summary>What is asked, but for the ids of an installation's versions.</summary>
    public static AuditReward Spec(ulong seed) => new()
    {
        Seed = (long)seed, PromptSource = AuditPromptSource.All, Sampling = new SamplingSpec { Temperature = WorldSamples.Temperature }, Lexicon = LexiconName,
    };

    /// <summary>The demo's list of bad words, as an installation keeps it.</summary>
    public static string LexiconFile => Path.Combine(Lexicons, $"{LexiconName}.json");

    /// <summary>Makes list and report anew.</summary>
    /// <param name="assets">Holds base, reward model, rows and the policy.</param>
    public static void Run(string assets, ulong seed, RecipeContext context)
    {
        Directory.CreateDirectory(Path.Combine(assets, Lexicons));
        // Not the teasing words: r* does not mind them.
        ArtefactFile.Write(Path.Combine(assets, LexiconFile), file => JsonSerializer.Serialize(file, new { name = LexiconName, severe = SharedPhrases.Insults, mild = Array.Empty<string>() }));
        var (@base, tokenizer) = ModelFolder.LanguageModel(Path.Combine(assets, "base"));
        using var ofBase = @base;
        var (policy, itsTokenizer) = ModelFolder.LanguageModel(Path.Combine(assets, DemoPolicies.Folder, DemoPolicies.NameOf(Audited)));
        using var ofPolicy = policy;
        var (reward, ofReward) = ModelFolder.RewardModel(Path.Combine(assets, DemoModels.RewardFolder));
        using var ofRewardModel = reward;
        var inputs = new AuditInputs(AuditPrompts.Read(Path.Combine(assets, MakeDemo.ProjectFile), context.Stop), new ModelTexts(policy, itsTokenizer, $"{Audited}"), new ModelTexts(@base, tokenizer, "base"),
            AuditReader.Of(@base.Backbone, tokenizer))
        {
            Reference = new AuditReferenceModel(new RewardScorer(reward, ofReward), "reward model", ModelStore.HashOf(Path.Combine(assets, DemoModels.RewardFolder, Models.HuggingFaceFolder.WeightsFile))),
            Lexicon = Lexicon.Read(Path.Combine(assets, LexiconFile)),
        };
        var scratch = Path.Combine(context.CheckpointFolder, Folder);
        var report = AuditRewardRecipe.Run(Spec(seed), inputs, context.At(Path.Combine(assets, Folder), Path.Combine(scratch, "texts"))).GetAwaiter().GetResult();
        context.Log($"{Audited} against the base: {AuditRewardRunner.Sentence(report.Verdict)}");
    }

    /// <summary>Writes the shipped report to a job's folder, with an installation's ids in the place of the demo's.</summary>
    /// <param name="from">The shipped folder.</param>
    /// <param name="to">Made here.</param>
    /// <param name="spec">The job's.</param>
    /// <param name="ids">The demo's ids of prompts, and the installation's.</param>
    /// <returns>Whether every prompt of the report is there; if not, nothing was written.</returns>
    public static bool Place(string from, string to, AuditReward spec, IReadOnlyDictionary<string, string> ids)
    {
        if (AuditLines.Changed(from) is [var changed, ..])
            throw new CannotTrain($"{from}: {changed} is not the file that was shipped. `./run make-demo --only-policies` makes it anew.");
        AuditPrompt[] prompts = [.. AuditLines.Read<AuditPrompt>(from, AuditLines.PromptsFile)];
        if (prompts.Any(prompt => !ids.ContainsKey(prompt.Id)))
            return false;
        var report = AuditReport.FromJson(File.ReadAllBytes(Path.Combine(from, AuditReport.FileName)));
        report = report with { Provenance = report.Provenance with { Spec = spec.ToJson() } };
        Directory.CreateDirectory(to);
        AuditLines.Write(to, AuditLines.PromptsFile, prompts.Select(prompt => prompt with { Id = ids[prompt.Id], Key = ids[prompt.Key] }));
        AuditLines.Write(to, AuditLines.TextsFile, AuditLines.Read<AuditText>(from, AuditLines.TextsFile).Select(text => text with { Id = Named(text.Id), PromptId = ids[text.PromptId] }));
        AuditLines.Write(to, AuditLines.ScoresFile, AuditLines.Read<TextScores>(from, AuditLines.ScoresFile).Select(score => score with { Text = Named(score.Text) }));
        File.Copy(Path.Combine(from, RecoveredRewardsFile.FileName), Path.Combine(to, RecoveredRewardsFile.FileName), overwrite: true);
        var renamed = Renamed(JsonNode.Parse(report.ToJson())!)!; // an object
        ArtefactFile.Write(Path.Combine(to, AuditReport.FileName), file => file.Write(AuditReport.FromJson(JsonSerializer.SerializeToUtf8Bytes(renamed)).ToJson()));
        AuditLines.WriteManifest(to, [AuditLines.PromptsFile, AuditLines.TextsFile, AuditReport.FileName, AuditLines.ScoresFile, RecoveredRewardsFile.FileName]);
        return true;

        // "PROMPT" or "PROMPT/side/ordinal"; what names no prompt stays.
        string Named(string id) => id.IndexOf('/', StringComparison.Ordinal) is var at && ids.TryGetValue(at < 0 ? id : id[..at], out var own) ? own + (at < 0 ? "" : id[at..]) : id;

        JsonNode? Renamed(JsonNode? node) => node switch
        {
            JsonObject own => new JsonObject(own.Select(entry => KeyValuePair.Create(entry.Key, Renamed(entry.Value)))),
            JsonArray own => new JsonArray([.. own.Select(Renamed)]),
            JsonValue own when own.TryGetValue<string>(out var text) => JsonValue.Create(Named(text)),
            _ => node?.DeepClone(),
        };
    }
}
