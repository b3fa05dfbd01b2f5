using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// Trains the reward model, the policy and the exhibit of over-optimisation that the demo ships, by the presets that everybody can run, on the
/// demo's own judgements; and compares each policy with the base on held-out prompts, answer by answer.
/// </summary>
internal static class DemoTraining
{
    internal const string RewardPreset = "reward-model.json", DpoPreset = "dpo.json";
    private static readonly IReadOnlyList<(string Preset, string Folder)> policies = [(DpoPreset, DemoModels.PolicyFolder), ("dpo-overoptimised.json", DemoModels.ExhibitFolder)];

    /// <param name="baseFolder">The shipped base, from which both start.</param>
    public static void Run(string assets, string baseFolder, DemoSeed demo, ulong seed, RecipeContext context)
    {
        var rewardSpec = Preset<TrainRewardModel>(RewardPreset, "reward") with { Seed = (long)seed };
        var scratch = context.CheckpointFolder;

        var (reward, tokenizer) = ModelFolder.FreshReward(baseFolder);
        using var ofReward = reward;
        var rewardReport = TrainRewardModelRecipe.Run(rewardSpec, reward, tokenizer, Pairs(demo, rewardSpec.Rules), context.At(Path.Combine(scratch, "reward-files"), Path.Combine(scratch, "reward")));
        var rewardFolder = Path.Combine(assets, DemoModels.RewardFolder);
        HuggingFaceFolder.Save(reward, rewardFolder, tokenizer, SafetensorsType.F16);
        rewardReport.Write(rewardFolder);

        foreach (var (preset, folder) in policies)
        {
            var policySpec = Preset<TrainPreferencePolicy>(preset, "dpo") with { Seed = (long)seed };
            var (policy, _) = ModelFolder.LanguageModel(baseFolder);
            using var ofPolicy = policy;
            var policyReport = TrainPreferencePolicyRecipe.RunDpo(policySpec, policy, tokenizer, Pairs(demo, policySpec.Rules), context.At(Path.Combine(scratch, $"{folder}-files"), Path.Combine(scratch, folder)));
            var policyFolder = Path.Combine(assets, folder);
            HuggingFaceFolder.Save(policy, policyFolder, tokenizer, SafetensorsType.F16);
            policyReport.Write(policyFolder);
            Compare(policySpec, baseFolder, rewardFolder, policyFolder, demo, context);
        }
    }

    /// <summary>What is shipped is what is compared: the rounded weights.</summary>
    private static void Compare(TrainPreferencePolicy spec, string baseFolder, string rewardFolder, string policyFolder, DemoSeed demo, RecipeContext context)
    {
        var (before, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var ofBefore = before;
        var (after, _) = ModelFolder.LanguageModel(policyFolder);
        using var ofAfter = after;
        var (reward, rewardTokenizer) = ModelFolder.RewardModel(rewardFolder);
        using var ofReward = reward;
        var asked = spec.Evaluation;
        var split = Split(spec.Rules);
        var heldOut = demo.Prompts.Where(prompt => split.PartOf(MessagesOf(prompt)) is not SplitPart.Train).ToList();
        new SeededRandom((ulong)spec.Seed).Split("evaluation prompts").Shuffle(heldOut);
        var prompts = heldOut.Take(asked.Prompts).Select(prompt => new AskedPrompt(PromptSplit.Key(MessagesOf(prompt)), MakeDemo.TurnsOf(prompt.Turns))).ToList();
        var scorer = new RewardScorer(reward, rewardTokenizer);
        var earlier = PolicySamples.Write(before, before, tokenizer, prompts, asked.SamplesPerPrompt, asked.Sampling, scorer, context.Stop,
            done => context.Report(done, 2 * prompts.Count, "comparing"));
        var later = PolicySamples.Write(after, before, tokenizer, prompts, asked.SamplesPerPrompt, asked.Sampling, scorer, context.Stop,
            done => context.Report(prompts.Count + done, 2 * prompts.Count, "comparing"));
        Measurement[] measured =
        [
            .. PolicyComparison.Measure(later, spec.Seed, more: WorldFigures.All),
            .. PolicyComparison.Measure(earlier, spec.Seed, MetricNames.BeforePrefix, WorldFigures.All),
            .. PolicyComparison.Compare(earlier, later, spec.Seed, WorldFigures.All),
        ];
        ArtefactFile.Write(Path.Combine(policyFolder, DemoModels.ComparisonFile), file => JsonSerializer.Serialize(file, measured, InstallDemo.Json));
        ArtefactFile.Write(Path.Combine(policyFolder, DemoModels.SamplesFile), file =>
        {
            using var writer = new StreamWriter(file, leaveOpen: true);
            foreach (var (answers, isBefore) in new[] { (earlier, true), (later, false) })
                for (var i = 0; i < answers.Count; i++)
                    writer.WriteLine(JsonSerializer.Serialize(new DemoSample(answers[i].Prompt, isBefore, i % asked.SamplesPerPrompt, answers[i].Text, answers[i].Reward, answers[i].LengthTokens), InstallDemo.Json));
        });
    }

    /// <summary>The demo's preferences as the portal's dataset version would split them.</summary>
    private static TrainingSplit<PreferencePair> Pairs(DemoSeed demo, DatasetRules rules)
    {
        var split = Split(rules);
        var prompts = demo.Prompts.ToDictionary(prompt => prompt.Id);
        var responses = demo.Responses.ToDictionary(response => response.Id);
        var (train, heldOut) = (new List<PreferencePair>(), new List<PreferencePair>());
        foreach (var vote in demo.Pairwise)
        {
            if (vote.PreferredResponseId is not { } chosen)
                continue;
            var prompt = prompts[vote.PromptId];
            var messages = MessagesOf(prompt);
            var rejected = chosen == vote.LeftResponseId ? vote.RightResponseId : vote.LeftResponseId;
            (split.PartOf(messages) is SplitPart.Train ? train : heldOut).Add(new PreferencePair(PromptSplit.Key(messages), MakeDemo.TurnsOf(prompt.Turns),
                responses[chosen].Text, responses[rejected].Text, vote.Strength / 3.0, Topic: prompt.Topic.ToString()));
        }
        return new TrainingSplit<PreferencePair>(train, heldOut);
    }

    private static PromptSplit Split(DatasetRules rules) =>
        new(rules.HeldOutShare, 0, rules.SplitSeed.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static List<Message> MessagesOf(WorldPrompt prompt) =>
        [.. prompt.Turns.Select(turn => new Message(turn.Speaker is Speaker.User ? MessageRole.User : MessageRole.Assistant, turn.Text))];

    /// <summary>A preset that ships with the engine.</summary>
    internal static TSpec Preset<TSpec>(string file, string command) where TSpec : JobSpec =>
        TrainCommands.Read<TSpec>(new FileInfo(Path.Combine(AppContext.BaseDirectory, "presets", file)), command);
}
