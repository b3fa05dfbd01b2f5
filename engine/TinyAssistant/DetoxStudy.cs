using System.CommandLine;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record DetoxSizes
{
    /// <summary>Pairs that rewards are learnt on; one a prompt.</summary>
    public int TrainPrompts { get; init; } = 2_000;
    public int HoldOutPrompts { get; init; } = 200;
    public int TestPrompts { get; init; } = 250;

    /// <summary>Completions of each policy on a test prompt.</summary>
    public int Candidates { get; init; } = 8;

    public int Seeds { get; init; } = 5;
    public int Bootstraps { get; init; } = 3;

    /// <summary>Tiny Assistant: updates of 64 answers by which the policy unlearns insults, at most.</summary>
    public int RlooSteps { get; init; } = 30;

    /// <summary>Tiny Assistant: divergence at which that ends earlier, nats per answer.</summary>
    public double KlBudgetNats { get; init; } = 3;

    /// <summary>Comments: updates of 32 comments by which stories260K learns to write them.</summary>
    public int SftSteps { get; init; } = 300;

    /// <summary>Comments: openings that the base answers <see cref="PairSamples"/> times, for pairs of a clean and a toxic answer.</summary>
    public int PairPrompts { get; init; } = 800;
    public int PairSamples { get; init; } = 8;

    /// <summary>Comments: updates of 16 such pairs.</summary>
    public int DpoSteps { get; init; } = 40;

    public int Prompts => TrainPrompts + HoldOutPrompts + TestPrompts;
}

/// <summary>
/// Detoxification, the case of the papers on failure-aware IRL: a base that writes toxic texts, a policy that was taught not to, and the audit's question what that policy was paid for. On the Tiny Assistant, where
/// toxic means that the graders count an insult, and on real comments, where it means that a word list does.
/// </summary>
/// <remarks>
/// Tiny Assistant: the shipped base, and RLOO from it with −insults as the reward; prompts of the world's train, hold-out and test parts, others than those of the training. Comments: stories260K learns to go on with
/// comments (their first words are the prompt), DPO from there on pairs of its own answers, clean before toxic by the lexicon; audited on openings that neither training has seen.
/// There is no classifier anywhere in training. The audit gets two policies and prompts, reads hidden states of the base, and knows of no count; <see cref="DetoxScore"/> opens the count afterwards.
/// Sources: specs/fairl.md §1.2, §4.1, §4.2; 2510.06092.
/// </remarks>
public sealed class DetoxStudy(DetoxSizes sizes, StudyRun run)
{
    private const string World = "Tiny Assistant", Comments = "comments";
    private const string Backbone = "data/models/stories260K";
    private const int CommentTokensMax = 48;

    private static readonly DetoxSizes miniature = new()
    {
        TrainPrompts = 64, HoldOutPrompts = 16, TestPrompts = 32, Candidates = 4, Seeds = 1, Bootstraps = 2, RlooSteps = 7, SftSteps = 20, PairPrompts = 96, DpoSteps = 4,
    };

    private static readonly Option<DirectoryInfo?> Shared = new("--shared")
    {
        Description = $"The folder of reference data that holds {ToxicComments.CommentsFile}. Default: PORTAL_SHARED. Without it the part on real comments is left out.",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("PORTAL_SHARED") is { Length: > 0 } folder ? new DirectoryInfo(folder) : null,
    };

    private static readonly Option<string?> Only = new("--only") { Description = "One of the two parts: tiny-assistant, comments." };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("detox", "Audits of policies that unlearnt toxic texts: insults in the demo world, a word list on real comments.", (run, seed) => new DetoxStudy(StudySizes.Of(run, miniature), run).Run(seed),
        Shared, Only, StudySizes.Option);

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var only = run.Arguments.GetValue(Only);
        if (only is not (null or "tiny-assistant" or "comments"))
            throw new CannotTrain($"--only is \"{only}\"; it must be tiny-assistant or comments.");
        var rows = new List<StudyRow>();
        if (only is not "comments")
            rows.AddRange(OfWorld(seed));
        if (only is "tiny-assistant")
            return rows;
        if (run.Arguments.GetValue(Shared) is { } shared)
            rows.AddRange(OfComments(shared.FullName, seed));
        else if (only is null)
            run.Progress.Log(JobEventLevel.Warning, "The part on real comments was left out: --shared names no folder of reference data, and PORTAL_SHARED is not set.");
        else
            throw new CannotTrain("--shared: name the folder of reference data, or set PORTAL_SHARED.");
        return rows;
    }

    private IReadOnlyList<StudyRow> OfWorld(long seed)
    {
        var folder = Path.Combine(run.Assets, "base");
        var prompts = WorldPrompts(sizes, seed);
        HashSet<string> used = [.. prompts.All.Select(prompt => prompt.Id)];
        var spec = DemoTraining.Preset<TrainRlooPolicy>("rloo-known-policy.json", "rloo");
        // At temperature 1, at which the audit samples too: a policy trained at another one is the optimum of another reward.
        spec = spec with
        {
            Seed = seed, Temperature = 1, KlBudgetNats = sizes.KlBudgetNats, HeldOutPrompts = 0,
            Optimization = spec.Optimization with { StepsMax = sizes.RlooSteps, EvaluateEverySteps = 0 },
        };
        var learnt = PromptDrawing.Draw(new SeededRandom((ulong)seed).Split("detox prompts"), sizes.RlooSteps * spec.Optimization.BatchSize * spec.Optimization.AccumulationSteps, WorldPart.Train, used);
        var (model, tokenizer) = ModelFolder.LanguageModel(folder);
        using var policy = model;
        TrainRlooPolicyRecipe.Run(spec, policy, tokenizer, new TrainingSplit<AskedPrompt>([.. learnt.Select(DemoPolicies.AskedOf)], []),
            [new RewardTerm(new RewardFunction("insults", answer => Insults(answer.Prompt, answer.Text)), Weight: -1)], run.Training($"unlearns-insults-{seed}", seed));
        var (untrained, _) = ModelFolder.LanguageModel(folder);
        using var @base = untrained;
        return Audited(World, policy, @base, tokenizer, prompts, spec.TokensMax, (prompt, text) => Insults(prompt.Turns, text), seed);
    }

    /// <summary>What the demo world's audit asks.</summary>
    internal static AuditPrompts WorldPrompts(DetoxSizes sizes, long seed)
    {
        var (train, holdOut, test) = EvidenceSet.DrawPrompts((ulong)seed, new EvidenceSizes { TrainPrompts = sizes.TrainPrompts, HoldOutPrompts = sizes.HoldOutPrompts, TestPrompts = sizes.TestPrompts });
        return WorldAudit.Prompts(train, holdOut, test);
    }

    private static int Insults(IReadOnlyList<Turn> prompt, string text) => Grader.Read(DemoPolicies.WorldTurnsOf(prompt), text).Insults;

    private IReadOnlyList<StudyRow> OfComments(string shared, long seed)
    {
        var comments = ToxicComments.Read(shared, run.Stop);
        var lexicon = ToxicComments.LexiconOf(shared, run.Stop);
        var (asked, learnt) = comments.Split(sizes.Prompts, seed);
        var folder = Fluent(shared, learnt, seed);
        var (model, tokenizer) = ModelFolder.LanguageModel(folder);
        using var @base = model;
        var pairs = CleanBeforeToxic(@base, tokenizer, [.. learnt.Take(sizes.PairPrompts)], lexicon, seed);
        List<StudyRow> rows =
        [
            new($"{Comments}: in the file", seed, comments.Rows, null, null, null),
            new($"{Comments}: toxic by the lexicon, share", seed, comments.All.Average(comment => Count(comment.Rest) > 0 ? 1.0 : 0), null, null, null),
            new($"{Comments}: pairs of a clean and a toxic answer to learn from", seed, pairs.Count, null, null, null),
        ];
        if (pairs.Count == 0)
        {
            run.Progress.Log(JobEventLevel.Warning, $"The base wrote no toxic answer among {sizes.PairPrompts * sizes.PairSamples}, so there is nothing to unlearn: not enough evidence.");
            return rows;
        }
        var (copy, _) = ModelFolder.LanguageModel(folder);
        using var policy = copy;
        var spec = new TrainPreferencePolicy
        {
            Seed = seed, Beta = 0.1, LengthMax = 256,
            Optimization = new OptimizationSpec { LearningRate = 1e-4, BatchSize = 16, Epochs = 1_000, StepsMax = sizes.DpoSteps, Schedule = Schedule.Linear },
        };
        TrainPreferencePolicyRecipe.RunDpo(spec, policy, tokenizer, new TrainingSplit<PreferencePair>(pairs, []), run.Training($"unlearns-words-{seed}", seed));
        var prompts = AuditPrompts.Of(asked.Select((comment, i) => ($"c{i}", comment.Prompt, (IReadOnlyList<string>)[], (AuditPart?)(i < sizes.TrainPrompts ? AuditPart.Train : i < sizes.TrainPrompts + sizes.HoldOutPrompts ? AuditPart.Holdout : AuditPart.Test))));
        return [.. rows, .. Audited(Comments, policy, @base, tokenizer, prompts, CommentTokensMax, (_, text) => Count(text), seed)];

        int Count(string text) => lexicon.Count(text) is var (severe, mild) ? severe + mild : 0;
    }

    /// <summary>stories260K after some steps on comments; its folder.</summary>
    private string Fluent(string shared, IReadOnlyList<ToxicComment> learnt, long seed)
    {
        var spec = new TrainSft
        {
            Seed = seed, LengthMax = 256,
            Optimization = new OptimizationSpec { LearningRate = 1e-3, BatchSize = 32, Epochs = 1_000, StepsMax = sizes.SftSteps, WarmupSteps = 20, Schedule = Schedule.Cosine },
        };
        var files = new[] { "stories260K.bin", "tok512.bin" }.Select(name => Path.Combine(shared, Backbone, name)).ToArray();
        if (files.FirstOrDefault(file => !File.Exists(file)) is { } missing)
            throw new CannotTrain($"--shared: {missing} is not there.");
        using var model = Llama2cFile.Load(files[0]);
        var context = run.Training($"writes-comments-{seed}", seed);
        TrainSftRecipe.Run(spec, model, Llama2cTokenizer.Load(files[1]), new TrainingSplit<TrainingDialogue>([.. learnt.Select(comment => new TrainingDialogue(comment.Key, [.. comment.Prompt, new Turn("assistant", comment.Rest)]))], []), context);
        return context.ArtefactFolder;
    }

    /// <summary>Each toxic answer of the base below a clean one to the same opening; an answer stands in one pair.</summary>
    private List<PreferencePair> CleanBeforeToxic(Llama model, ITokenizer tokenizer, IReadOnlyList<ToxicComment> openings, Lexicon lexicon, long seed)
    {
        var sampling = new SamplingSpec { Temperature = 1, TokensMax = CommentTokensMax, Seed = seed };
        var answers = PolicySamples.Texts(model, tokenizer, [.. openings.Select(comment => new AskedPrompt(comment.Key, comment.Prompt))], sizes.PairSamples, sampling, run.Stop,
            done => run.Progress.Report(done, openings.Count, "writing answers to learn from", null));
        return [.. openings.Zip(answers).SelectMany(entry =>
        {
            string[] written = [.. entry.Second.Where(text => text.Length > 0).Distinct(StringComparer.Ordinal)];
            return written.Where(text => !lexicon.IsBad(text)).Zip(written.Where(lexicon.IsBad), (clean, toxic) => new PreferencePair(entry.First.Key, entry.First.Prompt, clean, toxic));
        })];
    }

    private IReadOnlyList<StudyRow> Audited(string part, Llama policy, Llama @base, ITokenizer tokenizer, AuditPrompts prompts, int tokensMax, Func<AuditPrompt, string, int> count, long seed)
    {
        policy.eval();
        @base.eval();
        var spec = new AuditReward
        {
            Seed = seed, CompletionsOnTest = sizes.Candidates, Seeds = sizes.Seeds, Bootstraps = sizes.Bootstraps, PowerRepeats = 0, Sampling = new SamplingSpec { Temperature = 1, TokensMax = tokensMax },
        };
        var context = run.Training($"audit-{(part == World ? "insults" : "words")}-{seed}", seed);
        var inputs = new AuditInputs(prompts, new ModelTexts(policy, tokenizer, "detoxified policy"), new ModelTexts(@base, tokenizer, "base"), AuditReader.Of(@base.Backbone, tokenizer));
        var report = AuditRewardRecipe.Run(spec, inputs, context).GetAwaiter().GetResult(); // a study runs on its own thread, and models at hand answer at once
        foreach (var light in report.Verdict.Reasons is { Count: > 0 } reasons ? reasons.Select(reason => reason.Sentence) : [report.Verdict.Identifiable.Sentence, report.Verdict.Faithful.Sentence, report.Verdict.Spurious.Sentence])
            run.Progress.Log(JobEventLevel.Info, $"{part}: {light}");
        return DetoxScore.Rows(part, context.ArtefactFolder, count, seed);
    }
}
