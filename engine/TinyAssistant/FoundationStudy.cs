using System.CommandLine;
using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the foundation study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record FoundationSizes
{
    public EvidenceSizes Evidence { get; init; } = new();

    /// <summary>Votes of the two reward models.</summary>
    public IReadOnlyList<int> Votes { get; init; } = [3_000, 10_000];

    /// <summary>Test pairs with |Δr*| of at least <see cref="StudyWorld.DifferenceMin"/>, at most so many.</summary>
    public int TestPairs { get; init; } = 4_000;

    /// <summary>Prompts and samples each that policies are compared on.</summary>
    public int PolicyPrompts { get; init; } = 400;
    public int SamplesPerPrompt { get; init; } = 4;

    /// <summary>Votes the policies are trained on.</summary>
    public int PolicyVotes { get; init; } = 10_000;

    /// <summary>Answers of the base that are read for its own check.</summary>
    public int BaseSamples { get; init; } = 1_000;

    /// <summary>Train the over-optimisation exhibit too.</summary>
    public bool Exhibit { get; init; } = true;

    /// <summary>Train the control on shuffled votes too.</summary>
    public bool Control { get; init; } = true;

    /// <summary>What is trained and measured; a part alone is for tuning, on seeds that are not reported.</summary>
    public StudyPart Part { get; init; } = StudyPart.All;
}

/// <summary>Parts of the foundation study.</summary>
public enum StudyPart
{
    All,
    Reward,
    Policies,
}

/// <summary>
/// Does a vote travel to a better model? On the Tiny Assistant, with simulated judgements, against the sealed truth: the reward model's
/// accuracy and the policies' gain, with the controls beside them.
/// </summary>
/// <remarks>
/// Targets (issue 3, Must show 3): reward model &gt;= .72 of r*'s sign with 3,000 votes and &gt;= .75 with 10,000, two points above a bag
/// of words; DPO gains &gt;= .4 in mean r* with the whole interval above 0, KTO &gt; 0; readable falls by 3 points at most. KTO learns from
/// the same votes unpaired (chosen good, rejected bad), as TRL does with pairs.
/// </remarks>
public sealed class FoundationStudy(string baseFolder, TrainRewardModel rewardPreset, TrainPreferencePolicy dpoPreset, TrainPreferencePolicy ktoPreset,
    TrainPreferencePolicy exhibitPreset, FoundationSizes sizes, StudyRun run)
{
    private static readonly Option<DirectoryInfo> Presets = new("--presets") { Description = "Other presets than the shipped ones. For tuning; not evidence." };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("foundation", "Reward model, DPO and KTO on simulated votes against the sealed truth.", (run, seed) => Of(run).Run(seed), StudySizes.Option, Presets);

    private static readonly FoundationSizes miniature = new()
    {
        Evidence = new EvidenceSizes { TrainPrompts = 110, HoldOutPrompts = 10, TestPrompts = 50, ResponsesPerTrainPrompt = 4, ResponsesPerHoldOutPrompt = 2, CandidatesPerTestPrompt = 6, TrainPairs = 350 },
        BaseSamples = 60, Votes = [350], TestPairs = 450, PolicyPrompts = 40, SamplesPerPrompt = 2, PolicyVotes = 200, Exhibit = false,
    };

    private static FoundationStudy Of(StudyRun run)
    {
        var presets = run.Arguments.GetValue(Presets)?.FullName ?? Path.Combine(AppContext.BaseDirectory, "presets");
        return new FoundationStudy(Path.Combine(run.Assets, "base"), Preset<TrainRewardModel>("reward-model"), Preset<TrainPreferencePolicy>("dpo"), Preset<TrainPreferencePolicy>("kto"),
            Preset<TrainPreferencePolicy>("dpo-overoptimised"), StudySizes.Of(run, miniature), run);

        T Preset<T>(string name) where T : JobSpec => TrainCommands.Read<T>(new FileInfo(Path.Combine(presets, name + ".json")), name);
    }

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var random = new SeededRandom((ulong)seed).Split("foundation");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        if (sizes.Part is StudyPart.All)
            AddBase(rows, seed, model, tokenizer);
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        var pairs = world.TestPairs(sizes.TestPairs, random.Split("test pairs"));

        foreach (var count in sizes.Part is StudyPart.Policies ? [] : sizes.Votes)
        {
            var votes = world.Set.JudgeByCrowd(count);
            var training = world.Preferences(votes);
            var differences = TrainAndScore($"reward-{count}", seed, training, model, tokenizer, pairs, world);
            var label = $"{count:N0} votes";
            var target = count >= 10_000 ? 0.75 : 0.72;
            var accuracy = StudyWorld.Accuracy(pairs, differences, random);
            rows.Add(StudyRow.Of($"reward model, {label}", seed, accuracy.ByPrompt, $">= {target}", accuracy.Accuracy >= target));
            AddBaselines(rows, label, seed, training, pairs, world, accuracy, random);
            foreach (var topic in pairs.Select((pair, i) => (Topic: world.Prompts[pair.PromptId].Topic, i)).GroupBy(entry => entry.Topic).OrderBy(group => group.Key))
                rows.Add(StudyRow.Of($"reward model, {label}, {topic.Key}", seed,
                    StudyWorld.Accuracy([.. topic.Select(entry => pairs[entry.i])], [.. topic.Select(entry => differences[entry.i])], random).ByPrompt));
            if (sizes.Control && count == sizes.Votes[0])
            {
                // The control: the same pairs with the votes' sides drawn by lot. Whatever it reaches above chance is not learned from votes.
                var lot = random.Split("shuffled votes");
                var shuffled = TrainAndScore("shuffled", seed, [.. training.Select(pair => lot.Chance(0.5) ? pair : pair with { Chosen = pair.Rejected, Rejected = pair.Chosen })],
                    model, tokenizer, pairs, world);
                rows.Add(StudyRow.Of($"control: reward model, {label}, shuffled", seed, StudyWorld.Accuracy(pairs, shuffled, random).ByPrompt));
            }
            if (count == sizes.Votes[^1])
            {
                rows.Add(StudyRow.Of("vote ceiling: r* agrees with votes", seed, VoteCeiling(votes, world.Truth)));
                rows.Add(StudyRow.Of("graders' logistic on r*'s sign", seed, GradersLogistic(world, pairs, random)));
            }
        }

        if (sizes.Part is not StudyPart.Reward)
            AddPolicies(rows, seed, model, tokenizer, world, random);
        model.Dispose();
        return rows;
    }

    /// <summary>A reward model on these pairs, and by how much it puts the better response of each test pair before the other.</summary>
    private IReadOnlyList<double> TrainAndScore(string name, long seed, IReadOnlyList<PreferencePair> training, Llama model, ITokenizer tokenizer, IReadOnlyList<StudyPair> pairs,
        StudyWorld world)
    {
        using var reward = LlamaReward.From(model);
        TrainRewardModelRecipe.Run(rewardPreset with { Seed = seed }, reward, tokenizer, new TrainingSplit<PreferencePair>(training, []), run.Training($"{name}-{seed}", seed));
        return world.Differences(reward, tokenizer, pairs, run.Stop);
    }

    private void AddBaselines(List<StudyRow> rows, string label, long seed, IReadOnlyList<PreferencePair> training, IReadOnlyList<StudyPair> pairs, StudyWorld world,
        PairwiseAccuracyResult accuracy, SeededRandom random)
    {
        var baselines = world.Baselines(training, pairs, random, run.Stop);
        if (baselines.Length is { } length)
            rows.Add(StudyRow.Of($"length only, {label}", seed, length.ByPrompt));
        if (baselines.BagOfWords is not { } words)
            return;
        rows.Add(StudyRow.Of($"bag of words, {label}", seed, words.ByPrompt));
        var lead = PairwiseAccuracy.Difference(accuracy, words, random);
        rows.Add(StudyRow.Of($"reward model minus bag of words, {label}", seed, lead, ">= 0.020", lead.Estimate >= 0.02));
    }

    private static ConfidenceInterval VoteCeiling(JudgedPairs votes, IReadOnlyDictionary<string, double> truth)
    {
        var decided = votes.Pairwise.Where(vote => vote.PreferredResponseId is not null && truth[vote.LeftResponseId] != truth[vote.RightResponseId]).ToList();
        var agrees = decided.Count(vote => truth[vote.LeftResponseId] > truth[vote.RightResponseId] == (vote.PreferredResponseId == vote.LeftResponseId));
        return WilsonInterval.Compute(agrees, decided.Count);
    }

    private ConfidenceInterval GradersLogistic(StudyWorld world, IReadOnlyList<StudyPair> pairs, SeededRandom random)
    {
        var train = world.Set.Train.Select(prompt => prompt.Id).ToHashSet(StringComparer.Ordinal);
        var learn = world.Set.Responses.Where(response => train.Contains(response.PromptId)).GroupBy(response => response.PromptId)
            .SelectMany(group => group.Zip(group.Skip(1))).Where(pair => world.Truth[pair.First.Id] != world.Truth[pair.Second.Id]).Take(3_000).ToList();
        SparseVector Features(string first, string second)
        {
            var (a, b) = (Read(first), Read(second));
            var values = a.Zip(b, (x, y) => x - y).ToArray();
            return new SparseVector([.. Enumerable.Range(0, values.Length)], values);
        }
        double[] Read(string id) => Grader.Read(world.Prompts[world.Responses[id].PromptId].Turns, world.Responses[id].Text).ToVector();
        var logistic = LogisticRegression.Fit([.. learn.Select(pair => Features(pair.First.Id, pair.Second.Id))],
            [.. learn.Select(pair => world.Truth[pair.First.Id] > world.Truth[pair.Second.Id])], GraderReading.FeatureNames.Count, 1e-3, intercept: false, run.Stop);
        return StudyWorld.Accuracy(pairs, [.. pairs.Select(pair => Math.Sign(world.Truth[pair.First] - world.Truth[pair.Second]) * logistic.Score(Features(pair.First, pair.Second)))], random).ByPrompt;
    }

    private void AddPolicies(List<StudyRow> rows, long seed, Llama model, ITokenizer tokenizer, StudyWorld world, SeededRandom random)
    {
        var training = world.Preferences(world.Set.JudgeByCrowd(sizes.PolicyVotes));
        var unpaired = training.SelectMany(pair => new[]
        {
            new LabelledResponse(pair.PromptKey, pair.Prompt, pair.Chosen, true, Topic: pair.Topic), new LabelledResponse(pair.PromptKey, pair.Prompt, pair.Rejected, false, Topic: pair.Topic),
        }).ToList();
        var asked = world.Set.Test.Take(sizes.PolicyPrompts).ToList();
        var before = Sample(model, model, tokenizer, asked, seed);
        var beforeReadable = before.Average(answer => answer.Readable);
        rows.Add(new StudyRow("base: readable share", seed, beforeReadable, null, null, null));
        rows.Add(new StudyRow("base: mean r*", seed, before.Average(answer => answer.Truth), null, null, null));

        Policy("DPO, lr 3e-4", dpoPreset, isKto: false, gainMin: 0.4, holds: true);
        Policy("KTO, lr 3e-4", ktoPreset, isKto: true, gainMin: 0, holds: true);
        if (sizes.Exhibit)
            Policy("exhibit: DPO, lr 1e-3", exhibitPreset, isKto: false, gainMin: 0, holds: false);

        void Policy(string name, TrainPreferencePolicy preset, bool isKto, double gainMin, bool holds)
        {
            var policy = ModelFolder.LanguageModel(baseFolder).Model;
            var context = run.Training($"{(isKto ? "kto" : "dpo")}-{preset.Optimization.LearningRate}-{seed}", seed);
            if (isKto)
                TrainPreferencePolicyRecipe.RunKto(preset with { Seed = seed }, policy, tokenizer, new TrainingSplit<LabelledResponse>(unpaired, []), context);
            else
                TrainPreferencePolicyRecipe.RunDpo(preset with { Seed = seed }, policy, tokenizer, new TrainingSplit<PreferencePair>(training, []), context);
            var after = Sample(policy, model, tokenizer, asked, seed);
            var keys = after.Select(answer => answer.PromptId).ToList();
            ConfidenceInterval Change(Func<StudyAnswer, double> of) =>
                Bootstrap.PairedDifference([.. after.Select(of)], [.. before.Select(of)], keys, random);
            var gain = Change(answer => answer.Truth);
            rows.Add(StudyRow.Of($"{name}: gain in mean r*", seed, gain, holds ? $"{(gainMin > 0 ? $">= {gainMin}" : "> 0")}, interval above 0" : null,
                holds ? gain.Estimate >= gainMin && gain.IsAbove(0) : null));
            var readable = Change(answer => answer.Readable);
            rows.Add(StudyRow.Of($"{name}: change of readable share", seed, readable, holds ? ">= -0.03" : null, holds ? readable.Estimate >= -0.03 : null));
            rows.Add(StudyRow.Of($"{name}: change of length, words", seed, Change(answer => answer.Length)));
            rows.Add(StudyRow.Of($"{name}: change of insult rate", seed, Change(answer => answer.Insult)));
            rows.Add(StudyRow.Of($"{name}: KL to the base, nats a response", seed, Bootstrap.Mean([.. after.Select(answer => answer.Kl)], keys, random)));
            policy.Dispose();
        }
    }

    private sealed record StudyAnswer(string PromptId, double Truth, double Readable, double Length, double Insult, double Kl);

    private List<StudyAnswer> Sample(Llama policy, Llama reference, ITokenizer tokenizer, IReadOnlyList<WorldPrompt> asked, long seed)
    {
        var encoder = WorldSamples.Encoder(policy, tokenizer);
        var ids = asked.SelectMany(prompt => Enumerable.Repeat(encoder.Prompt(MakeDemo.TurnsOf(prompt.Turns)), sizes.SamplesPerPrompt)).ToList();
        var answers = new Sampler(policy).Generate(ids, WorldSamples.Options(policy, encoder, seed), run.Stop);
        var kl = AnswerLogProbs.Of(policy, ids, answers, tokenizer.PadId, run.Stop).Zip(AnswerLogProbs.Of(reference, ids, answers, tokenizer.PadId, run.Stop), (p, q) => p - q).ToList();
        return [.. answers.Select((answer, i) =>
        {
            var prompt = asked[i / sizes.SamplesPerPrompt];
            var reading = Grader.Read(prompt.Turns, tokenizer.Decode([.. answer.Ids]).Trim());
            return new StudyAnswer(prompt.Id, TruthScorer.Score(reading), reading.Readable ? 1 : 0, reading.LengthTokens, reading.Insults > 0 ? 1 : 0, kl[i]);
        })];
    }

    /// <summary>What the graders read in the base's own answers, beside the targets of specs/tiny_assistant.md §2.</summary>
    private void AddBase(List<StudyRow> rows, long seed, Llama model, ITokenizer tokenizer)
    {
        var check = MakeDemo.CheckBase(model, tokenizer, (ulong)seed, sizes.BaseSamples, run.Stop);
        rows.Add(StudyRow.Of("base: readable", seed, Share(check.Readable, check.Samples), ">= 0.97", check.Readable >= 0.97));
        rows.Add(StudyRow.Of("base: finished", seed, Share(check.Finished, check.Samples)));
        foreach (var (style, share) in check.Style)
            rows.Add(new StudyRow($"base: share {style}, less the corpus's", seed, share.Sampled - share.Corpus, null, "within 0.05", Math.Abs(share.Sampled - share.Corpus) <= 0.05));
        // The control: at temperature 1 the model's own shares. Where they meet the corpus, a gap above is the temperature's.
        foreach (var (style, share) in MakeDemo.CheckBase(model, tokenizer, (ulong)seed, sizes.BaseSamples, run.Stop, temperature: 1).Style)
            rows.Add(new StudyRow($"control: base at temperature 1, share {style}, less the corpus's", seed, share.Sampled - share.Corpus, null, null, null));
        foreach (var (topic, answers) in check.CorrectOfAnswered.OrderBy(entry => entry.Key, StringComparer.Ordinal))
            rows.Add(StudyRow.Of($"base: correct of answered, {topic}", seed, WilsonInterval.Compute(answers.Correct, answers.Answered), ">= 0.6", answers.Share >= 0.6));
    }

    private static ConfidenceInterval Share(double share, int count) => WilsonInterval.Compute(share * count, count);
}
