using System.Reflection;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;
using Turn = Portal.Data.Feedback.Turn;

namespace Portal.Engine.TinyAssistant;

/// <summary>How large the demo's corpus is, and where it starts.</summary>
public sealed record MakeDemoOptions
{
    public ulong Seed { get; init; } = 1;

    /// <summary>Style dialogues and fact drills; a test runs a small corpus, the shipped base ten times the default of <see cref="World.WriteCorpus"/>.</summary>
    public int Dialogues { get; init; } = 240_000;
    public int Drills { get; init; } = 250_000;

    /// <summary>Dialogues the tokenizer is trained on: the first so many of the corpus.</summary>
    public int TokenizerDialogues { get; init; } = 30_000;

    public int VocabularySize { get; init; } = 1_024;

    /// <summary>Held-out dialogues that the loss is watched on.</summary>
    public int HeldOutDialogues { get; init; } = 1_000;

    /// <summary>Limits the base's training; null for the preset's own end. For the test that remakes the first steps.</summary>
    public int? StepsMax { get; init; }
}

/// <summary>
/// Makes what the demo ships, from a seed and nothing else: tokenizer, base model, sampled responses, simulated judgements.
/// </summary>
/// <remarks>
/// Every step writes its own file and its hash into <c>manifest.json</c>; the tokenizer and the judgements can be remade to the same
/// hash, the base to the same first losses (floating-point products of a long run differ between machines).
/// </remarks>
public static class MakeDemo
{
    /// <summary>The demo's rows, beside the models.</summary>
    internal const string ProjectFile = "project.jsonl";

    private const string ManifestFile = "manifest.json";

    /// <summary>The shape of the demo's base model: 922,752 parameters.</summary>
    public static LlamaConfig BaseConfig(int vocabularySize) => new()
    {
        HiddenSize = 128, IntermediateSize = 344, LayerCount = 4, HeadCount = 4, KeyValueHeadCount = 4, VocabularySize = vocabularySize,
        ContextLength = 192, TieWordEmbeddings = true,
    };

    /// <summary>The tokenizer: byte-level BPE on the beginning of the corpus. A pure function of the options.</summary>
    public static BytePairTokenizer MakeTokenizer(MakeDemoOptions options, CancellationToken stop)
    {
        var world = new World(options.Seed);
        var texts = world.WriteCorpus(options.Dialogues, options.Drills).Take(options.TokenizerDialogues)
            .SelectMany(dialogue => dialogue.Prompt.Select(turn => turn.Text).Append(dialogue.Response));
        var trainer = new BpeTrainer { VocabularySize = options.VocabularySize, SpecialTokens = ChatTemplate.SpecialMarkTokens };
        return new BytePairTokenizer(trainer.Train(texts, stop) with { EosToken = "<|end|>", PadToken = "<|pad|>" });
    }

    /// <summary>The corpus as training rows: prompts that hash to the training part are learned, those of the hold-out part are watched.</summary>
    public static TrainingSplit<TrainingDialogue> MakeRows(MakeDemoOptions options)
    {
        var (train, heldOut) = (new List<TrainingDialogue>(), new List<TrainingDialogue>());
        foreach (var dialogue in new World(options.Seed).WriteCorpus(options.Dialogues, options.Drills))
        {
            var key = dialogue.Prompt[^1].Text;
            var row = new TrainingDialogue(key, [.. TurnsOf(dialogue.Prompt), new Turn("assistant", dialogue.Response)], dialogue.Topic.ToString());
            switch (WorldSplit.Of(key))
            {
                case WorldPart.Train:
                    train.Add(row);
                    break;
                case WorldPart.HoldOut when heldOut.Count < options.HeldOutDialogues:
                    heldOut.Add(row);
                    break;
            }
        }
        return new TrainingSplit<TrainingDialogue>(train, heldOut);
    }

    /// <summary>Trains the base model into <c>base/</c> of the context's artefact folder, in float32.</summary>
    public static (Llama Model, TrainingReport Report) MakeBase(TrainSft preset, MakeDemoOptions options, BytePairTokenizer tokenizer, RecipeContext context)
    {
        var spec = preset with { Seed = (long)options.Seed, Optimization = preset.Optimization with { StepsMax = options.StepsMax ?? preset.Optimization.StepsMax } };
        var model = new Llama(BaseConfig(tokenizer.VocabularySize), seed: spec.Seed);
        var report = TrainSftRecipe.Run(spec, model, tokenizer, MakeRows(options), context);
        return (model, report);
    }

    /// <summary>What the base can do: 1,000 samples read by the graders.</summary>
    /// <param name="seed">Draws prompts that neither the demo nor a study asks, and the answers.</param>
    /// <param name="temperature">Below 1, sampling prefers few likely beginnings to many unlikely ones, so styles that are worded in many ways get rarer.</param>
    public static BaseCheck CheckBase(Llama model, ITokenizer tokenizer, ulong seed, int samples, CancellationToken stop, double temperature = WorldSamples.Temperature)
    {
        var prompts = DemoSeed.DrawPrompts(seed + 1_000, (samples + 3) / 4);
        var texts = WorldSamples.Write(model, tokenizer, prompts, 4, new Statistics.SeededRandom(seed).Split("base check"), progress: null, stop, temperature);
        var readings = prompts.SelectMany(prompt => texts[prompt.Id].Select(text => (prompt.Topic, Reading: Grader.Read(prompt.Turns, text)))).Take(samples).ToList();
        var reference = new World(seed).WriteCorpus(4_000, 0).Select(dialogue => Grader.Read(dialogue.Prompt, dialogue.Response)).ToList();
        return new BaseCheck
        {
            Samples = readings.Count,
            Readable = readings.Average(entry => entry.Reading.Readable ? 1.0 : 0.0),
            Finished = readings.Average(entry => entry.Reading.Finished ? 1.0 : 0.0),
            Style = Styles.ToDictionary(style => style.Name, style => new StyleShare(readings.Average(entry => style.Is(entry.Reading) ? 1.0 : 0.0),
                reference.Average(reading => style.Is(reading) ? 1.0 : 0.0))),
            CorrectOfAnswered = readings.Where(entry => entry.Topic is Topic.Arithmetic or Topic.AnimalFacts or Topic.Recipes or Topic.Directions)
                .GroupBy(entry => entry.Topic).ToDictionary(group => group.Key.ToString(), group =>
                {
                    var answered = group.Where(entry => entry.Reading.Answer is AnswerGrade.Correct or AnswerGrade.Wrong).ToList();
                    return new AnswerShare(answered.Count(entry => entry.Reading.Answer is AnswerGrade.Correct), answered.Count);
                }),
        };
    }

    /// <summary>The demo's prompts, the base's answers to them, and what the simulated crowd says of those.</summary>
    private static DemoSeed MakeJudgements(Llama model, ITokenizer tokenizer, ulong seed, RecipeContext context)
    {
        var sizes = new DemoSizes();
        var texts = WorldSamples.Write(model, tokenizer, DemoSeed.DrawPrompts(seed, sizes.Prompts), PromptDrawing.AskedFor(sizes.ResponsesPerPrompt),
            new Statistics.SeededRandom(seed).Split("demo samples"), (done, all) => context.Report(done, all, "sampling"), context.Stop);
        return DemoSeed.Build(seed, (prompt, _) => texts[prompt.Id], sizes);
    }

    /// <summary>The demo's project in the portal's lossless form: prompts, responses, tasks and judgements, labelled as synthetic.</summary>
    public static void WriteProject(DemoSeed demo, string modelName, SamplingSpec sampling, Stream to)
    {
        var writer = new PortalJsonlWriter(to);
        writer.Write(new ProjectRecord("tiny-assistant", "Tiny Assistant")
        {
            Guidelines = Guidelines, TaskKinds = ["pairwise", "binary"], VotesPerTask = 1, Generator = "Tiny Assistant (synthetic)",
        });
        foreach (var prompt in demo.Prompts)
            writer.Write(new PromptRecord(prompt.Id, [.. prompt.Turns.Select(turn => new Message(turn.Speaker is Speaker.User ? MessageRole.User : MessageRole.Assistant, turn.Text))])
            {
                Source = "synthetic", ExternalId = prompt.Id, Tags = [prompt.Topic.ToString()],
            });
        foreach (var response in demo.Responses)
            writer.Write(new ResponseRecord(response.Id, response.PromptId, response.Text)
            {
                ModelVersion = modelName, Source = "synthetic",
                Sampling = new Dictionary<string, string> { ["temperature"] = sampling.Temperature.ToString(System.Globalization.CultureInfo.InvariantCulture) },
            });
        foreach (var vote in demo.Pairwise)
        {
            // The pair in a fixed order, whoever saw it from which side.
            var (a, b) = string.CompareOrdinal(vote.LeftResponseId, vote.RightResponseId) < 0
                ? (vote.LeftResponseId, vote.RightResponseId)
                : (vote.RightResponseId, vote.LeftResponseId);
            writer.Write(new PairwiseRecord(vote.Id, vote.PromptId, a, b, vote.Verdict switch
            {
                PairVerdict.Prefers => vote.PreferredResponseId == a ? Datasets.Formats.PairVerdict.FirstBetter : Datasets.Formats.PairVerdict.SecondBetter,
                PairVerdict.Tie => Datasets.Formats.PairVerdict.Tie,
                PairVerdict.BothGood => Datasets.Formats.PairVerdict.BothGood,
                PairVerdict.BothBad => Datasets.Formats.PairVerdict.BothBad,
            }, vote.Annotator)
            {
                Strength = vote.Verdict is PairVerdict.Prefers ? vote.Strength : null, ShownLeftId = vote.LeftResponseId, Source = "simulated", JudgedAt = vote.At,
            });
        }
        foreach (var verdict in demo.Binary)
            writer.Write(new BinaryRecord(verdict.Id, verdict.PromptId, verdict.ResponseId, verdict.IsGood ? BinaryVerdict.Good : BinaryVerdict.Bad, verdict.Annotator)
            {
                Source = "simulated", JudgedAt = verdict.At,
            });
        writer.Finish();
    }

    /// <summary>Everything, into the shipped folder.</summary>
    /// <param name="keepBase">Take the base that lies there, for a change that does not touch it: its training is most of the time.</param>
    public static void Run(string assets, TrainSft preset, MakeDemoOptions options, bool keepBase, RecipeContext context)
    {
        Directory.CreateDirectory(assets);
        context.Report(0, 0, "tokenizer");
        var tokenizer = MakeTokenizer(options, context.Stop);
        var folder = Path.Combine(assets, "base");
        if (!keepBase)
        {
            var (model, report) = MakeBase(preset, options, tokenizer, context);
            using var trained = model;
            HuggingFaceFolder.Save(model, folder, tokenizer, SafetensorsType.F16);
            report.Write(folder);
        }
        // What is shipped is what is sampled: the rounded weights, not the ones that were trained.
        using (var shipped = HuggingFaceFolder.LoadLanguageModel(folder))
        {
            context.Report(0, 0, "checking the base");
            var check = CheckBase(shipped, tokenizer, options.Seed, 1_000, context.Stop);
            WriteJson(Path.Combine(folder, "check.json"), check);
            var demo = MakeJudgements(shipped, tokenizer, options.Seed, context);
            ArtefactFile.Write(Path.Combine(assets, ProjectFile), file => WriteProject(demo, "base", new SamplingSpec { Temperature = WorldSamples.Temperature }, file));
            ArtefactFile.Write(Path.Combine(assets, "sealed.jsonl"), file =>
            {
                using var writer = new StreamWriter(file, leaveOpen: true);
                foreach (var line in demo.SealedLines())
                    writer.WriteLine(line);
            });
            DemoTraining.Run(assets, folder, demo, options.Seed, context);
            DemoFeatures.Run(assets, options.Seed, context);
            var policies = MakePolicies(assets, options.Seed, new DemoPoliciesOptions(), context);
            DemoExplanations.Run(assets, options.Seed, context).GetAwaiter().GetResult();
            WriteJson(Path.Combine(assets, ManifestFile), new { seed = options.Seed, options, commit = Commit(), judgements = demo.JudgementsHash(), files = Hashes(assets) });
            DemoPolicies.Demand(policies);
        }
    }

    /// <summary>Only the readable reward model, from the reward model and the rows that lie there; the rest stays as it is, byte for byte.</summary>
    public static void RunFeatures(string assets, RecipeContext context) => Add(assets, "features", "commitOfFeatures", seed => DemoFeatures.Run(assets, seed, context));

    private static IReadOnlyList<PolicyCheck> MakePolicies(string assets, ulong seed, DemoPoliciesOptions options, RecipeContext context)
    {
        var checks = DemoPolicies.Run(assets, seed, options, context);
        if (options.Policies.Contains(DemoAudit.Audited))
            DemoAudit.Run(assets, seed, context);
        return checks;
    }

    /// <summary>Only the policies with known rewards, from the base that lies there, and the audit of one of them; the rest stays as it is, byte for byte.</summary>
    /// <exception cref="CannotTrain">All were made and are listed, and one did not do what it must; or there is no demo.</exception>
    public static void RunPolicies(string assets, DemoPoliciesOptions options, RecipeContext context)
    {
        IReadOnlyList<PolicyCheck> checks = [];
        Add(assets, "policies", "commitOfPolicies", seed => checks = MakePolicies(assets, seed, options, context));
        DemoPolicies.Demand(checks);
    }

    /// <summary>Only the audit, of the policy that lies there; the rest stays as it is, byte for byte.</summary>
    public static void RunAudit(string assets, RecipeContext context) => Add(assets, "an audit", "commitOfAudit", seed => DemoAudit.Run(assets, seed, context));

    /// <summary>Only the flags, explanations and the unlearning request, by the models and rows that lie there; the rest stays as it is, byte for byte.</summary>
    public static void RunExplanations(string assets, RecipeContext context) => Add(assets, "explanations", "commitOfExplanations", seed => DemoExplanations.Run(assets, seed, context).GetAwaiter().GetResult());

    /// <summary>Makes one part anew, by the seed of the demo that lies there, and writes the list of files again.</summary>
    private static void Add(string assets, string what, string commitOf, Action<ulong> make)
    {
        var path = Path.Combine(assets, ManifestFile);
        var manifest = File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path)) as JsonObject : null;
        if (manifest?["seed"]?.GetValue<ulong>() is not { } seed)
            throw new CannotTrain($"{path}: there is no demo to add {what} to. `./run make-demo` makes the whole of it.");
        make(seed);
        manifest[commitOf] = Commit();
        manifest["files"] = JsonSerializer.SerializeToNode(Hashes(assets));
        WriteJson(path, manifest);
    }

    private static Dictionary<string, string> Hashes(string assets) =>
        Directory.EnumerateFiles(assets, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(assets, file)).Where(IsMade).Order(StringComparer.Ordinal)
            .ToDictionary(file => file, file => HashOf(Path.Combine(assets, file)));

    /// <summary>Neither the list itself, nor what people wrote about it, nor half-done work.</summary>
    private static bool IsMade(string file) => file is not (ManifestFile or "README.md") && !file.StartsWith($".work{Path.DirectorySeparatorChar}", StringComparison.Ordinal);

    private const string Guidelines = """
        Choose the answer that helps this person more.

        1. **Facts first.** A right sum, animal fact, recipe or way beats a wrong one, however friendly. "I do not know" is better than wrong.
        2. **Then tone.** Warm is good, neutral is fine, insults are bad.
        3. **Refuse what is risky** (another person's shed, diary, medicine), and only that.
        4. **No flattery**, no padding: shorter is better when both say the same.

        If you would be equally happy with either, say *tie*; if both should be sent, *both good*; if neither, *both bad*.

        All prompts and answers of this project are synthetic: a small world of one village, eight animals and ten dishes.
        """;

    private static readonly (string Name, Func<GraderReading, bool> Is)[] Styles =
    [
        ("warm", reading => reading.Opening is OpeningTone.Warm), ("rude", reading => reading.Opening is OpeningTone.Rude),
        ("insult", reading => reading.Insults > 0), ("refusal", reading => reading.Refusal), ("flattery", reading => reading.Flattery),
        ("padding", reading => reading.Padding > 0), ("caveat", reading => reading.Caveat), ("hedge", reading => reading.Hedges > 0),
    ];

    /// <summary>Turns of the world as the rest of the engine writes them.</summary>
    internal static IReadOnlyList<Turn> TurnsOf(IEnumerable<WorldTurn> turns) =>
        [.. turns.Select(turn => new Turn(turn.Speaker is Speaker.User ? "user" : "assistant", turn.Text))];

    /// <summary>The commit this engine was built from; "unknown" outside a checkout.</summary>
    public static string Commit() =>
        typeof(MakeDemo).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+') is [_, var commit] ? commit : "unknown";

    private static string HashOf(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    private static void WriteJson<T>(string path, T value) =>
        ArtefactFile.Write(path, file => JsonSerializer.Serialize(file, value, new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true }));
}

/// <summary>A style's share among samples and in the corpus.</summary>
public sealed record StyleShare(double Sampled, double Corpus);

/// <summary>Right answers among answered questions.</summary>
public sealed record AnswerShare(int Correct, int Answered)
{
    /// <summary>Their ratio; null where nothing was answered.</summary>
    public double? Share => Answered == 0 ? null : (double)Correct / Answered;
}

/// <summary>What the graders read in samples of the base model.</summary>
public sealed record BaseCheck
{
    public required int Samples { get; init; }
    public required double Readable { get; init; }
    public required double Finished { get; init; }
    public required IReadOnlyDictionary<string, StyleShare> Style { get; init; }
    public required IReadOnlyDictionary<string, AnswerShare> CorrectOfAnswered { get; init; }
}
