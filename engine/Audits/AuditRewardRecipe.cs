using System.Globalization;
using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Evaluation;
using Portal.Engine.Irl;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Audits;

/// <summary>A trained reward model to compare with.</summary>
/// <param name="Hash">Of its weights or files.</param>
public sealed record AuditReferenceModel(RewardScorer Scorer, string Name, string Hash)
{
    /// <summary>Scores that were given before; null: none are kept. For several audits against one base, whose answers are then scored once.</summary>
    public IDictionary<(string Prompt, string Text), double>? Known { get; init; }
}

/// <summary>What an audit is given besides its spec.</summary>
/// <param name="Reader">Whose states are the features: the base, mostly.</param>
public sealed record AuditInputs(AuditPrompts Prompts, IPolicyTexts Audited, IPolicyTexts Base, AuditReader Reader)
{
    /// <summary>Needed for <see cref="AuditFeatures.SaeCodes"/>; else its latents become a second incentive table.</summary>
    public SaeCodes? Sae { get; init; }

    public AuditReferenceModel? Reference { get; init; }
    public Lexicon? Lexicon { get; init; }
    public PhraseLists Phrases { get; init; } = PhraseLists.Shipped;
}

/// <summary>
/// From two policies to a report: both answer the prompts, every method recovers rewards from the pairs, and what may be said of them is said, with everything that speaks against it.
/// </summary>
/// <remarks>
/// Bad data end in a report with a grey verdict and its reason, not in an exception: one completion a prompt, identical completions, equal policies, few pairs, leakage between parts, constant features, no
/// log-probabilities. Only what nobody could run at all is thrown (settings, files). Nothing in here knows a true reward; a trained reward model comes in after everything was fitted.
/// Sources: specs/fairl.md §1.2 (inputs), §4.3 (readable features), §5 (what a report shows).
/// </remarks>
public static class AuditRewardRecipe
{
    private const int PowerPairs = AuditVerdict.PairsForClean;

    /// <summary>Example pairs of a latent: there are hundreds of latents.</summary>
    private const int LatentExamples = 10;

    /// <summary>Runs an audit, or goes on where an earlier run of it ended; the report's files go to the artefact folder.</summary>
    /// <exception cref="CannotTrain">A setting cannot be; the message names the field.</exception>
    public static async Task<AuditReport> Run(AuditReward spec, AuditInputs inputs, RecipeContext context)
    {
        var methods = MethodsOf(spec);
        Check(spec, inputs);
        var prompts = inputs.Prompts.Assign(spec);
        if (prompts.Count == 0)
            throw new CannotTrain("There is no prompt to ask.");
        var collection = new TextCollection(inputs.Audited, inputs.Base, spec, context);
        var texts = await collection.Collect(prompts);
        return Report(spec, inputs, methods, prompts, texts, collection.Fingerprint(prompts), context);
    }

    private static AuditReport Report(AuditReward spec, AuditInputs inputs, IReadOnlyList<IIrlMethod> methods, IReadOnlyList<AuditPrompt> prompts, IReadOnlyList<AuditText> texts, string fingerprint, RecipeContext context)
    {
        var pairs = CensusCount.Pairs(texts);
        var census = CensusCount.Of(texts, pairs, inputs.Lexicon);
        var readable = new ReadableFeatures(inputs.Phrases, inputs.Lexicon, inputs.Reader.Tokenizer, pairs.Count > 0 && texts.All(text => text.Status is not CompletionStatus.Written || text.LogProbBase is not null));
        ITextFeatures features = spec.Features switch
        {
            AuditFeatures.HiddenStates => new PooledStates(inputs.Reader, spec.Reading),
            AuditFeatures.SaeCodes => inputs.Sae!, // checked
            AuditFeatures.Readable => readable,
        };
        var data = AuditData.Read(prompts, texts, pairs, features, context);
        var facts = AuditFacts.Of(data.Of(AuditPart.Train), data.Of(AuditPart.Holdout), data.Of(AuditPart.Test), data.Candidates,
            inputs.Audited.Identity is { Source: "model" } identity && inputs.Base.Identity is { Source: "model" } other && identity.Hash == other.Hash);

        var scores = Reference(inputs, data, context);
        var (fitted, results, whyNot) = Fit(spec, methods, data, facts, context);
        var chosen = results.FirstOrDefault(result => result.Method == IrlMethods.Default.Name && result.Measures is not null);
        whyNot ??= chosen is null ? $"{IrlMethods.Default.Name} could not run: {results.First(result => result.Method == IrlMethods.Default.Name).WhyNot}" : null;
        var reference = scores is null || fitted is null ? null : data.CandidateTexts.Select(text => scores[text]).ToArray();

        context.ThrowIfStopped();
        context.Report(0, 2, "measuring");
        var random = new SeededRandom((ulong)spec.Seed).Split("audit report");
        var (tables, readableTable, power) = fitted is null ? ([], null, null) : Incentives(spec, inputs, readable, data, random, context);
        context.Report(1, 2, "measuring");
        var comparisons = results.ToDictionary(result => result.Method, result => Compare(fitted, data, result, reference, scores, random, context.Stop), StringComparer.Ordinal);
        var checks = fitted is null || chosen is null ? null : Checks(inputs, readable, data, features, fitted, chosen, random, context);
        var kinds = Kinds(CensusCount.KindsOf(texts, inputs.Lexicon), data, random.Split("kinds"));
        var evidence = new AuditEvidence { Facts = facts, NeedsLogRatios = IrlMethods.Default.NeedsLogRatios };
        var report = new AuditReport
        {
            SchemaVersion = AuditReport.CurrentSchema, Provenance = Provenance(spec, inputs, prompts, data, facts, features, readable, fitted, fingerprint), Census = census, WhyNotFitted = whyNot, Method = IrlMethods.Default.Name,
            Verdict = Strip(AuditVerdict.Judge(Spurious(Seen(evidence, chosen, chosen is null ? null : comparisons[chosen.Method].Comparison), readable, readableTable, checks)), whyNot),
            Methods = [.. results.Select(result => Findings.Of(result, IrlMethods.Controls.Any(control => control.Name == result.Method),
                AuditVerdict.Judge(Seen(evidence, result, comparisons[result.Method].Comparison) with { NeedsLogRatios = methods.First(method => method.Name == result.Method).NeedsLogRatios }).Reasons,
                comparisons[result.Method] is ({ } compared, var accuracy) ? Findings.Of(compared, accuracy) : null, comparisons[result.Method].Comparison?.ByRun ?? [],
                result.Measures is null ? null : kinds(result)))],
            Pairs = data.Pairs, Incentives = tables, Power = power, Spurious = checks,
            Failures = chosen is null || fitted is null ? [] : Findings.FailuresOf(fitted, chosen, results.FirstOrDefault(result => result.Method == ScreenedName), data.IdsOf(AuditPart.Train), scores is null ? null : data.MarginsOf(AuditPart.Train, scores)),
            TestPairs = chosen is null ? [] : Findings.TestPairsOf(chosen, data.IdsOf(AuditPart.Test)), Points = chosen is null ? [] : Findings.PointsOf(chosen, data.CandidateTexts, reference),
        };
        Write(spec, inputs, prompts, texts, data, features, fitted, results, reference, report, context);
        context.Report(2, 2, "measuring");
        return report;
    }

    private static string ScreenedName { get; } = new FailureAwareIrl(new FailureAwareOptions { Mode = FailureAwareMode.Screened }).Name;

    // Where the data already forbid a verdict for a reason that no number would change, nothing is fitted.
    private static (IrlData? Data, IReadOnlyList<MethodResult> Results, string? WhyNot) Fit(AuditReward spec, IReadOnlyList<IIrlMethod> methods, AuditData data, AuditFacts facts, RecipeContext context)
    {
        if (facts.Leaks.Count > 0 || facts.ArePoliciesEqual || facts.Identical == facts.Pairs || facts.ConstantFeatures == facts.Features)
        {
            var reasons = AuditVerdict.Judge(new AuditEvidence { Facts = facts }).Reasons; // each of these is one
            return (null, [], (reasons.FirstOrDefault(reason => reason.Kind is not VerdictReasonKind.TooFewPairs) ?? reasons[0]).Sentence);
        }
        try
        {
            var prepared = IrlData.Prepare(IrlSplit.Of(data.Of(AuditPart.Train), data.Of(AuditPart.Holdout), data.Of(AuditPart.Test)), data.Candidates, data.Repeats);
            var told = new Lock();
            var results = RewardAudit.Run(prepared, new RewardAuditOptions { Methods = methods, Seeds = spec.Seeds, Bootstraps = spec.Bootstraps, Seed = spec.Seed }, (done, all) =>
            {
                lock (told) // a context is for one thread at a time
                    context.Report(done, all, "recovering rewards");
            }, context.Stop);
            return (prepared, results, null);
        }
        catch (CannotTrain why) // the report says it
        {
            return (null, [], why.Message);
        }
    }

    private static Dictionary<string, double>? Reference(AuditInputs inputs, AuditData data, RecipeContext context)
    {
        if (inputs.Reference is not { } reference)
            return null;
        context.Report(0, 1, "scoring with the trained reward model");
        var known = reference.Known ?? new Dictionary<(string Prompt, string Text), double>();
        AuditText[] fresh = [.. data.Written.DistinctBy(KeyOf).Where(text => !known.ContainsKey(KeyOf(text)))];
        foreach (var (text, score) in fresh.Zip(reference.Scorer.Score([.. fresh.Select(text => (data.PromptOf(text).Turns, text.Text))], context.Stop)))
            known[KeyOf(text)] = score;
        context.Report(1, 1, "scoring with the trained reward model");
        return data.Written.ToDictionary(text => text.Id, text => known[KeyOf(text)], StringComparer.Ordinal);

        (string Prompt, string Text) KeyOf(AuditText text) => (data.PromptOf(text).Key, text.Text);
    }

    private static (ReferenceComparison? Comparison, PairAccuracy? Accuracy) Compare(IrlData? fitted, AuditData data, MethodResult result, double[]? reference, Dictionary<string, double>? scores, SeededRandom random, CancellationToken stop)
    {
        if (fitted is null || result.Measures is null || reference is null || scores is null || reference.Length < 2)
            return (null, null);
        var margins = new double[fitted.Test.Count];
        foreach (var run in result.Runs)
        {
            for (var i = 0; i < margins.Length; i++)
                margins[i] += run.Factor * run.TestMargins[i] / result.Runs.Count;
        }
        return (RewardAudit.Compare(fitted.Candidates.Sets, result, reference, random, stop), RewardClassification.AgainstReference(margins, data.MarginsOf(AuditPart.Test, scores), fitted.Test.Prompts, random));
    }

    // What each method makes of the candidates' kinds, which are looked up once; null where nobody says which texts are bad.
    private static Func<MethodResult, AuditKinds?> Kinds(TextKinds? kinds, AuditData data, SeededRandom random)
    {
        if (kinds is null)
            return _ => null;
        var written = data.Written.ToDictionary(text => text.Id, StringComparer.Ordinal);
        bool?[] isBad = [.. data.CandidateTexts.Select(text => kinds.IsBad(written[text]))];
        string[] prompts = [.. data.CandidateTexts.Select(text => data.PromptOf(written[text]).Key)];
        return result => Findings.KindsOf(kinds.By, result.MeanScores, isBad, prompts, random.Split(result.Method));
    }

    private static AuditEvidence Seen(AuditEvidence evidence, MethodResult? result, ReferenceComparison? comparison) => result?.Measures is not { } measures ? evidence : evidence with
    {
        Accuracy = measures.Accuracy, Undetermined = measures.Undetermined, Ambiguity = measures.Ambiguity, Distance = comparison?.Distance, Calibration = measures.Calibration,
    };

    private static AuditSpuriousChecks Checks(AuditInputs inputs, ReadableFeatures readable, AuditData data, ITextFeatures features, IrlData fitted, MethodResult chosen, SeededRandom random, RecipeContext context) => SpuriousChecks.Compute(
        new SpuriousInputs
        {
            Texts = [.. data.Written.Where(text => text.Part is AuditPart.Test).Select(text => new CheckedText(data.PromptOf(text), text, data.FeaturesOf(text)))], Pairs = [.. data.Pairs.Where(pair => pair.Part is AuditPart.Test)],
            Features = features, Scale = fitted.Scale, Runs = [.. chosen.Runs.Select(run => new CheckedRun(run.Fit.Reward, run.Calibration))], Tokens = text => inputs.Reader.Tokenizer.Encode(text).Length, IsRisky = readable.IsRisky, Phrases = inputs.Phrases,
        }, random, (done, all) => context.Report(done, all, "scoring counterfactual twins"), context.Stop);

    private static AuditEvidence Spurious(AuditEvidence evidence, ReadableFeatures readable, IncentiveTable? table, AuditSpuriousChecks? checks)
    {
        if (checks is not null)
            evidence = evidence with { TwinsTested = checks.Tested, TwinsFound = [.. checks.Checks.Where(check => check.IsFound).Select(check => string.Create(CultureInfo.InvariantCulture, $"{check.Key.Replace('_', ' ')} ({check.Effect!.Estimate:+0.00;-0.00})"))] }; // found: it has an effect
        if (table is null)
            return evidence;
        var tested = table.Rows.Where(row => readable.Features[row.Feature].SpuriousSign != 0 && row.Verdict is not IncentiveVerdict.Constant).ToArray();
        var found = tested.Where(row => row.Verdict is IncentiveVerdict.PaidFor or IncentiveVerdict.Punished && row.Effect!.Value.Estimate * readable.Features[row.Feature].SpuriousSign > 0).ToArray(); // found: it has an effect
        return evidence with
        {
            SpuriousTested = tested.Length,
            SpuriousFound = [.. found.Select(row => string.Create(CultureInfo.InvariantCulture, $"{readable.Features[row.Feature].Name} ({table.InRewardDeviations(row.Effect)?.Estimate ?? row.Effect!.Value.Estimate:+0.00;-0.00})"))],
            LeastSpuriousEffect = table.RewardDeviation is > 0 and var unit && tested.Except(found).Select(row => row.LeastDetectable).OfType<double>().ToArray() is { Length: > 0 } least ? least.Max() / unit : null,
        };
    }

    // A verdict that nothing was fitted for is grey even where the data alone gave no reason.
    private static AuditVerdictStrip Strip(AuditVerdict verdict, string? whyNot)
    {
        if (whyNot is null || verdict.IsGrey)
            return Findings.Of(verdict);
        var grey = new AuditLight(AuditLightState.NotEnoughEvidence, $"Not enough evidence: {whyNot}");
        return new AuditVerdictStrip([new AuditReason("NotFitted", whyNot)], grey, grey, grey);
    }

    private static (IReadOnlyList<AuditIncentives> Tables, IncentiveTable Readable, AuditPower? Power) Incentives(AuditReward spec, AuditInputs inputs, ReadableFeatures readable, AuditData data, SeededRandom random, RecipeContext context)
    {
        string[] ids = [.. data.Pairs.Select(pair => pair.Id)];
        string[] prompts = [.. data.Pairs.Select(data.KeyOf)];
        var (audited, other) = data.Sides(readable);
        var own = new IncentiveData(readable.Names, audited, other, prompts, 0); // length stands first
        var table = IncentiveTable.Compute(own, new IncentiveOptions(), random.Split("readable incentives"), context.Stop);
        List<AuditIncentives> tables = [Findings.Of("readable", table, readable.Features, ids)];
        if (inputs.Sae is { } sae)
        {
            // The largest code of each latent, with length as the control. Means are for rewards: twice as many rows would cost twice the correction.
            var (first, second) = data.Sides(sae);
            var codes = new IncentiveData([.. sae.Names.Take(sae.Latents), ReadableFeatures.LengthKey], WithLength(first, audited), WithLength(second, other), prompts, sae.Latents);
            ReadableFeature[] rows = [.. Enumerable.Range(0, sae.Latents).Select(i => new ReadableFeature(sae.Names[i], $"Latent {i}")), readable.Features[0]];
            tables.Add(Findings.Of("sae", IncentiveTable.Compute(codes, new IncentiveOptions { Test = IncentiveTest.LengthHeld, Examples = LatentExamples }, random.Split("SAE incentives"), context.Stop), rows, ids));
        }
        return (tables, table, spec.PowerRepeats == 0 ? null : Power(spec, readable, own, table, context.Stop));

        IReadOnlyList<double[]> WithLength(IReadOnlyList<double[]> codes, IReadOnlyList<double[]> counts) => [.. codes.Zip(counts, (code, count) => (double[])[.. code.Take(inputs.Sae!.Latents), count[0]])]; // called where there is one
    }

    // For what the third light looks at, at this size and at the size from which "not found" may be read as "clean".
    private static AuditPower? Power(AuditReward spec, ReadableFeatures readable, IncentiveData own, IncentiveTable table, CancellationToken stop)
    {
        var (design, features, _) = IncentiveTable.DesignOf(own);
        int[] asked = [.. Enumerable.Range(0, features.Count).Where(column => readable.Features[features[column]].SpuriousSign != 0)];
        if (asked.Length == 0)
            return null;
        double[] weights = [.. features.Select(feature => table.Test is IncentiveTest.Joint ? table.Rows[feature].Effect?.Estimate ?? 0 : 0)];
        var options = new PowerOptions { Features = asked, Pairs = design.Rows < PowerPairs ? [design.Rows, PowerPairs] : [design.Rows], Repeats = spec.PowerRepeats, Seed = spec.Seed };
        var power = DetectionPower.Simulate(design, weights, options, stop);
        return new AuditPower(power.Repeats, power.Level, power.Seed, [.. power.Cells.Select(cell => new AuditPowerCell(own.Names[features[cell.Feature]], cell.Pairs, cell.Effect, Findings.Of(cell.Power)!))]); // a value, never absent
    }

    private static AuditProvenance Provenance(AuditReward spec, AuditInputs inputs, IReadOnlyList<AuditPrompt> prompts, AuditData data, AuditFacts facts, ITextFeatures features, ReadableFeatures readable, IrlData? fitted, string fingerprint) => new()
    {
        Audited = inputs.Audited.Identity, Base = inputs.Base.Identity, Spec = spec.ToJson(), TextsFingerprint = fingerprint, ReaderHash = inputs.Reader.Hash, ReaderTokenizerHash = TokenizerFolder.Hash(inputs.Reader.Tokenizer),
        SaeHash = inputs.Sae?.Hash, ReferenceName = inputs.Reference?.Name, ReferenceHash = inputs.Reference?.Hash, LexiconName = inputs.Lexicon?.Name, LexiconHash = inputs.Lexicon?.Hash, PhrasesHash = inputs.Phrases.Hash,
        Features = RecoveredRewards.NameOf(spec.Features), FeatureCount = features.Names.Count, ConstantFeatures = fitted?.Scale.Constant.Count ?? facts.ConstantFeatures,
        LeftOutFeatures =
        [
            .. inputs.Lexicon is null ? ["lexicon_severe, lexicon_mild: no lexicon was given"] : Array.Empty<string>(),
            .. readable.Names.Contains(ReadableFeatures.BaseLogProbKey) ? Array.Empty<string>() : [$"{ReadableFeatures.BaseLogProbKey}: not every text has a log-probability under the base"],
        ],
        PromptsTrain = prompts.Count(prompt => prompt.Part is AuditPart.Train), PromptsHoldout = prompts.Count(prompt => prompt.Part is AuditPart.Holdout), PromptsTest = prompts.Count(prompt => prompt.Part is AuditPart.Test), DuplicatePrompts = inputs.Prompts.Duplicates, CandidatesMin = facts.CandidatesMin, LogRatios = facts.LogRatios,
        Seeds = spec.Seeds, Bootstraps = spec.Bootstraps, ChosenBy = "hold-out loss",
    };

    private static void Write(AuditReward spec, AuditInputs inputs, IReadOnlyList<AuditPrompt> prompts, IReadOnlyList<AuditText> texts, AuditData data, ITextFeatures features, IrlData? fitted, IReadOnlyList<MethodResult> results,
        double[]? reference, AuditReport report, RecipeContext context)
    {
        var folder = context.ArtefactFolder;
        List<string> files = [AuditLines.PromptsFile, AuditLines.TextsFile, AuditReport.FileName];
        File.Delete(Path.Combine(folder, AuditManifest.FileName)); // until all is there again, nothing vouches for the folder
        AuditLines.Write(folder, AuditLines.PromptsFile, prompts);
        AuditLines.Write(folder, AuditLines.TextsFile, texts);
        foreach (var stale in new[] { AuditLines.ScoresFile, RecoveredRewardsFile.FileName })
            File.Delete(Path.Combine(folder, stale));
        if (fitted is not null)
        {
            var ran = results.Where(result => result.Measures is not null).ToArray();
            AuditLines.Write(folder, AuditLines.ScoresFile, data.CandidateTexts.Select((text, i) =>
                new TextScores(text, ran.ToDictionary(result => result.Method, result => result.Runs.Select(run => run.Scores[i]).ToArray(), StringComparer.Ordinal), reference?[i])));
            var rewards = RecoveredRewards.FileOf(spec, inputs.Reader.Hash, inputs.Sae?.Hash, features.Names, fitted.Scale, ran);
            ArtefactFile.Write(Path.Combine(folder, RecoveredRewardsFile.FileName), file => JsonSerializer.Serialize(file, rewards, AuditLines.Json));
            files.AddRange([AuditLines.ScoresFile, RecoveredRewardsFile.FileName]);
        }
        ArtefactFile.Write(Path.Combine(folder, AuditReport.FileName), file => file.Write(report.ToJson()));
        AuditLines.WriteManifest(folder, files);
    }

    private static IReadOnlyList<IIrlMethod> MethodsOf(AuditReward spec)
    {
        if (spec.Methods?.FirstOrDefault(name => IrlMethods.Offered.All(method => method.Name != name)) is { } unknown)
            throw new CannotTrain($"methods: there is no \"{unknown}\"; {string.Join(", ", IrlMethods.Offered.Select(method => method.Name))} are offered.");
        return [.. IrlMethods.Offered.Where(method => spec.Methods is null || method.Name == IrlMethods.Default.Name || spec.Methods.Contains(method.Name)), .. IrlMethods.Controls];
    }

    private static void Check(AuditReward spec, AuditInputs inputs)
    {
        Require(spec.PromptsMax >= 1, $"promptsMax is {spec.PromptsMax}; it must be at least 1");
        Require(spec is { HoldoutShare: > 0, TestShare: > 0 } && spec.HoldoutShare + spec.TestShare < 1, $"holdoutShare is {spec.HoldoutShare} and testShare {spec.TestShare}; both must be above 0, and together below 1");
        Require(spec.CompletionsOnTest is >= 1 and <= 64, $"completionsOnTest is {spec.CompletionsOnTest}; it must be between 1 and 64");
        Require(spec.Repeats is >= 0 and <= 64, $"repeats is {spec.Repeats}; it must be between 0 and 64");
        Require(spec.Sampling is { Temperature: >= 0, TokensMax: >= 1, TopP: > 0 and <= 1, TopK: >= 0 }, "sampling: temperature must not be negative, tokensMax at least 1, topP in (0, 1], topK not negative");
        Require(spec is { Seeds: >= 1, Bootstraps: >= 1 }, $"seeds is {spec.Seeds} and bootstraps {spec.Bootstraps}; each must be at least 1");
        Require(spec.PowerRepeats >= 0, $"powerRepeats is {spec.PowerRepeats}; it must not be negative");
        Require(spec.Features is not AuditFeatures.SaeCodes || inputs.Sae is not null, "features is SaeCodes, and there is no SAE");

        static void Require(bool holds, string message)
        {
            if (!holds)
                throw new CannotTrain($"{message}.");
        }
    }
}
