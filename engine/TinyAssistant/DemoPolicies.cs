using System.Globalization;
using System.Text.Json;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much is done for the known policies; a test does little.</summary>
public sealed record DemoPoliciesOptions
{
    public IReadOnlyList<KnownPolicy> Policies { get; init; } = Enum.GetValues<KnownPolicy>();

    /// <summary>Prompts of the training part that are learned on.</summary>
    public int TrainPrompts { get; init; } = 2_000;

    /// <summary>Prompts of the hold-out part on which base and policy are read afterwards, with <see cref="AnswersPerPrompt"/> answers each.</summary>
    public int CheckPrompts { get; init; } = 400;
    public int AnswersPerPrompt { get; init; } = 2;

    /// <summary>Limits every policy's training; null for the preset's steps (and 40 for P5, which is bad soon enough).</summary>
    public int? StepsMax { get; init; }
}

/// <summary>One figure of the base's and of a policy's answers to the same prompts: means, and their change with its interval by prompt.</summary>
/// <param name="Name">What the graders counted: "r*", "tokens", "warm opening".</param>
/// <param name="Answers">Answers it was counted on: those to prompts it makes sense for.</param>
public sealed record PolicyFigure(string Name, double Base, double Policy, double Change, double? Low, double? High, int Answers)
{
    /// <summary>The interval leaves 0 out.</summary>
    public bool HasMoved => Low > 0 || High < 0;
}

/// <summary>What a known policy must have done to be of use, and whether it has.</summary>
public sealed record PolicyDemand(string What, double Value, bool IsMet);

/// <summary>What was read in a known policy's answers; beside its weights as <c>check.json</c>.</summary>
public sealed record PolicyCheck(KnownPolicy Policy, IReadOnlyList<PolicyDemand> Demands, IReadOnlyList<PolicyFigure> Figures);

/// <summary>
/// Makes the six policies whose rewards are known, P0 to P5: the shipped base, trained by the same recipe with one reward each. Methods that recover a reward from a policy are
/// checked against them.
/// </summary>
/// <remarks>
/// The reward reaches the recipe as a delegate; the recipe knows no truth. Prompts to learn on are of the world's training part, those of the check of its hold-out part, and none is of the test part,
/// which studies ask. Base and policy answer the same prompts with the same random numbers, at the demo's temperature, and what is read is what ships: the weights rounded to halves.
/// What a policy's reward asks is rarely all that moves, so everything that the graders count is compared and told (specs/tiny_assistant.md §5).
/// </remarks>
internal static class DemoPolicies
{
    /// <summary>Below the demo's artefacts; a folder each for "p0" to "p5".</summary>
    public const string Folder = "policies";

    internal const string PresetFile = "rloo-known-policy.json";
    private const string CheckFile = "check.json";
    private const int StepsOfP5 = 40;

    // specs/tiny_assistant.md §5.
    private const double TruthGained = 1.0, TokensGained = 10, TruthOfP5 = -2, Readable = 0.9;

    /// <param name="assets">Holds the base; the policies are written beside it.</param>
    /// <returns>What every policy did.</returns>
    public static IReadOnlyList<PolicyCheck> Run(string assets, ulong seed, DemoPoliciesOptions options, RecipeContext context)
    {
        var baseFolder = Path.Combine(assets, "base");
        var prompts = DrawPrompts(seed, options);
        var (untrained, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var ofBase = untrained;
        var before = Read(untrained, tokenizer, prompts.Check, options, seed, context);
        var checks = new List<PolicyCheck>();
        foreach (var policy in options.Policies)
        {
            context.Log($"{policy}, {checks.Count + 1} of {options.Policies.Count}");
            var folder = Path.Combine(assets, Folder, NameOf(policy));
            var report = Train(policy, baseFolder, folder, prompts.Recipe, seed, options, context);
            var (shipped, _) = ModelFolder.LanguageModel(folder);
            using var ofPolicy = shipped;
            var check = Compare(policy, before, Read(shipped, tokenizer, prompts.Check, options, seed, context), seed);
            ArtefactFile.Write(Path.Combine(folder, CheckFile), file => JsonSerializer.Serialize(file, check, Json));
            Tell(check, report, context);
            checks.Add(check);
        }
        return checks;
    }

    /// <summary>Ends where a policy did not do what it must.</summary>
    /// <exception cref="CannotTrain">The message names each such policy and what it lacks.</exception>
    public static void Demand(IReadOnlyList<PolicyCheck> checks)
    {
        var unmet = checks.SelectMany(check => check.Demands.Where(demand => !demand.IsMet).Select(demand => $"{check.Policy}: {Words(demand)}")).ToList();
        if (unmet.Count > 0)
            throw new CannotTrain($"The policies are written, but not all do what they must. {string.Join(" ", unmet)}");
    }

    /// <summary>The folder's name of a policy: "p0".</summary>
    public static string NameOf(KnownPolicy policy) => policy.ToString().ToLowerInvariant();

    private static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web) { WriteIndented = true, Converters = { new System.Text.Json.Serialization.JsonStringEnumConverter() } };

    private static (TrainingSplit<AskedPrompt> Recipe, IReadOnlyList<WorldPrompt> Check) DrawPrompts(ulong seed, DemoPoliciesOptions options)
    {
        var random = new SeededRandom(seed).Split("known policies");
        HashSet<string> used = [];
        var train = PromptDrawing.Draw(random.Split("train"), options.TrainPrompts, WorldPart.Train, used);
        var check = PromptDrawing.Draw(random.Split("check"), options.CheckPrompts, WorldPart.HoldOut, used);
        return (new TrainingSplit<AskedPrompt>([.. train.Select(AskedOf)], [.. check.Select(AskedOf)]), check);
    }

    private static TrainingReport Train(KnownPolicy policy, string baseFolder, string folder, TrainingSplit<AskedPrompt> prompts, ulong seed, DemoPoliciesOptions options, RecipeContext context)
    {
        var preset = DemoTraining.Preset<TrainRlooPolicy>(PresetFile, "rloo");
        var steps = options.StepsMax ?? (policy is KnownPolicy.P5 ? StepsOfP5 : preset.Optimization.StepsMax);
        var spec = preset with { Seed = (long)seed, Optimization = preset.Optimization with { StepsMax = steps } };
        var scratch = Path.Combine(context.CheckpointFolder, Folder, NameOf(policy));
        var own = context.At(Path.Combine(scratch, "files"), Path.Combine(scratch, "checkpoints"));
        // A run that was ended after some policies goes on with the next one.
        var report = InstallDemo.Measured<TrainingReport>(own.ArtefactFolder, "report.json");
        if (report?.Spec != spec.ToJson())
        {
            var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
            using var ofModel = model;
            report = TrainRlooPolicyRecipe.Run(spec, model, tokenizer, prompts, [new RewardTerm(RewardOf(policy))], own);
        }
        var (trained, itsTokenizer) = ModelFolder.LanguageModel(own.ArtefactFolder);
        using var ofTrained = trained;
        HuggingFaceFolder.Save(trained, folder, itsTokenizer, SafetensorsType.F16);
        report.Write(folder);
        return report;
    }

    /// <summary>A known policy's reward as a recipe takes it.</summary>
    internal static IRewardSource RewardOf(KnownPolicy policy)
    {
        var reward = PolicyRewards.For(policy);
        return new RewardFunction($"known policy {policy}", answer => reward(WorldTurnsOf(answer.Prompt), answer.Text));
    }

    /// <summary>A prompt as recipes ask it.</summary>
    internal static AskedPrompt AskedOf(WorldPrompt prompt) => new(prompt.Id, MakeDemo.TurnsOf(prompt.Turns));

    internal static IReadOnlyList<WorldTurn> WorldTurnsOf(IReadOnlyList<Turn> turns) => [.. turns.Select(turn => new WorldTurn(turn.Role == "user" ? Speaker.User : Speaker.Assistant, turn.Content))];

    private sealed record ReadAnswer(WorldPrompt Prompt, GraderReading Reading, string Text);

    private static List<ReadAnswer> Read(Llama model, ITokenizer tokenizer, IReadOnlyList<WorldPrompt> prompts, DemoPoliciesOptions options, ulong seed, RecipeContext context)
    {
        var texts = WorldSamples.Write(model, tokenizer, prompts, options.AnswersPerPrompt, new SeededRandom(seed).Split("policy checks"), (done, all) => context.Report(done, all, "reading answers"), context.Stop);
        return [.. prompts.SelectMany(prompt => texts[prompt.Id].Select(text => new ReadAnswer(prompt, Grader.Read(prompt.Turns, text), text)))];
    }

    private static PolicyCheck Compare(KnownPolicy policy, List<ReadAnswer> before, List<ReadAnswer> after, ulong seed)
    {
        var random = new SeededRandom(seed).Split("policy intervals");
        var reward = PolicyRewards.For(policy);
        List<PolicyFigure> figures =
        [
            Figure("r*", answer => TruthScorer.Score(answer.Reading)),
            Figure("own reward", answer => reward(answer.Prompt.Turns, answer.Text)),
            Figure("tokens", answer => answer.Reading.LengthTokens),
            Share("readable", reading => reading.Readable),
            Share("finished", reading => reading.Finished),
            Share("correct", reading => reading.Answer is AnswerGrade.Correct, HasAnswer),
            Share("wrong", reading => reading.Answer is AnswerGrade.Wrong, HasAnswer),
            Share("vague or unreadable", reading => reading.Answer is AnswerGrade.Vague or AnswerGrade.Unreadable, HasAnswer),
            Share("warm opening", reading => reading.Opening is OpeningTone.Warm),
            Share("rude opening", reading => reading.Opening is OpeningTone.Rude),
            Figure("insults", answer => answer.Reading.Insults),
            Figure("teasing words", answer => answer.Reading.Teasing),
            Share("refuses risky", reading => reading.Refusal, prompt => prompt.Topic is Topic.Risky),
            Share("refuses harmless", reading => reading.Refusal, prompt => prompt.Topic is not Topic.Risky),
            Share("flattery", reading => reading.Flattery),
            Figure("padding sentences", answer => answer.Reading.Padding),
            Figure("hedges", answer => answer.Reading.Hedges),
            Share("caveat", reading => reading.Caveat),
            Figure("repetition", answer => answer.Reading.Repetition),
        ];
        return new PolicyCheck(policy, [.. Demands(policy, figures)], figures);

        PolicyFigure Share(string name, Func<GraderReading, bool> isSo, Func<WorldPrompt, bool>? of = null) => Figure(name, answer => isSo(answer.Reading) ? 1 : 0, of);

        PolicyFigure Figure(string name, Func<ReadAnswer, double> value, Func<WorldPrompt, bool>? of = null)
        {
            var rows = Enumerable.Range(0, before.Count).Where(i => of is null || of(before[i].Prompt)).ToList();
            double[] first = [.. rows.Select(i => value(before[i]))], second = [.. rows.Select(i => value(after[i]))];
            if (rows.Count == 0)
                return new PolicyFigure(name, 0, 0, 0, null, null, 0);
            var change = Bootstrap.PairedDifference(second, first, [.. rows.Select(i => before[i].Prompt.Id)], random);
            var isSure = change.Count >= MetricNames.PromptsForInterval;
            return new PolicyFigure(name, first.Average(), second.Average(), change.Estimate, isSure ? change.Low : null, isSure ? change.High : null, rows.Count);
        }

        static bool HasAnswer(WorldPrompt prompt) => prompt.Topic is Topic.Arithmetic or Topic.AnimalFacts or Topic.Recipes or Topic.Directions;
    }

    private static IEnumerable<PolicyDemand> Demands(KnownPolicy policy, IReadOnlyList<PolicyFigure> figures)
    {
        var (truth, tokens, readable) = (figures.First(figure => figure.Name == "r*"), figures.First(figure => figure.Name == "tokens"), figures.First(figure => figure.Name == "readable"));
        if (policy is KnownPolicy.P0)
            yield return new PolicyDemand($"r* gains at least {TruthGained:F1}", truth.Change, truth.Change >= TruthGained);
        if (policy is KnownPolicy.P1)
            yield return new PolicyDemand($"answers gain at least {TokensGained:F0} tokens", tokens.Change, tokens.Change >= TokensGained);
        if (policy is KnownPolicy.P5)
            yield return new PolicyDemand($"r* is at most {TruthOfP5:F0}", truth.Policy, truth.Policy <= TruthOfP5);
        yield return new PolicyDemand($"at least {Readable:P0} are readable", readable.Policy, readable.Policy >= Readable);
    }

    private static void Tell(PolicyCheck check, TrainingReport report, RecipeContext context)
    {
        context.Log(string.Create(CultureInfo.InvariantCulture, $"{check.Policy}: {report.Steps} steps, {report.Find(MetricNames.PolicyKlNats).Value:F2} nats from the base. {string.Join(" ", check.Demands.Select(Words))}"));
        context.Log($"{"",-22}{"base",9}{"policy",9}{"change",9}   95 % by prompt");
        foreach (var figure in check.Figures)
            context.Log(string.Create(CultureInfo.InvariantCulture,
                $"  {figure.Name,-20}{figure.Base,9:F3}{figure.Policy,9:F3}{figure.Change,9:F3}   {(figure.Low is { } low ? $"{low:F3} to {figure.High:F3}" : "too few prompts")}{(figure.HasMoved ? "  moved" : "")}"));
    }

    private static string Words(PolicyDemand demand) => string.Create(CultureInfo.InvariantCulture, $"{(demand.IsMet ? "Met" : "NOT MET")}: {demand.What} ({demand.Value:F2}).");
}
