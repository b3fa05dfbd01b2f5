using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;

namespace Portal.Tests.Web.Audits;

/// <summary>What a made-up audit is like.</summary>
internal sealed record AuditWish
{
    public int Number { get; init; } = 1;

    /// <summary>Prompts, one pair each: the first half trains, the next tenth stops, the rest tests.</summary>
    public int Prompts { get; init; } = 20;

    public bool HasReference { get; init; } = true;
    public bool HasSae { get; init; }

    /// <summary>A lexicon said which texts are bad.</summary>
    public bool HasKinds { get; init; } = true;

    /// <summary>Why nothing was fitted; null: something was.</summary>
    public string? WhyNot { get; init; }

    /// <summary>Texts that stand in place of the usual ones, in turn: prompt, audited, base.</summary>
    public IReadOnlyList<string> Texts { get; init; } = [];

    public string AuditedName { get; init; } = "policy v2";
}

/// <summary>
/// An audit that ended, as its job would leave it: row, texts, and a folder with a report. All numbers are made up by rules that a test can follow: index i of a pair gives its margin, runs 0 to 5 are two seeds
/// of three resamples, and run 5 orders every other test pair the other way round.
/// </summary>
internal sealed class MadeUpAudit
{
    public const string Method = "failure-aware-reweight";
    private const int Runs = 6;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) } };

    private readonly SeededProject project;
    private readonly AuditWish wish;
    private readonly List<object> rows = [];

    public MadeUpAudit(SeededProject project, AuditWish? asked = null)
    {
        (this.project, wish) = (project, asked ?? new AuditWish());
        Base = project.Model(ModelKind.Policy, 900 + (2 * wish.Number), "base");
        Audited = project.Model(ModelKind.Policy, 901 + (2 * wish.Number), "RLOO", Base.Id);
        var job = project.Job(new AuditReward { AuditedId = Audited.Id, BaseId = Base.Id, Seed = 17 });
        JobId = job.Id;
        for (var i = 0; i < wish.Prompts; i++)
            Ask(i);
        Report = MakeReport(job.SpecJson);
        var (folder, manifest) = Write();
        Row = new PolicyAudit
        {
            JobId = JobId, ProjectId = project.Id, Number = wish.Number, AuditedId = Audited.Id, BaseId = Base.Id, AuditedEndpointId = null, BaseEndpointId = null, AuditedName = wish.AuditedName, BaseName = "policy v1", ReferenceId = null, SaeId = null,
            Seed = 17, PromptSource = AuditPromptSource.HeldOut, Prompts = wish.Prompts, PromptsOfTraining = 0, Pairs = Report.Pairs.Count, Folder = folder, ManifestSha256 = manifest, Identifiable = Report.Verdict.Identifiable.State,
            Faithful = Report.Verdict.Faithful.State, Spurious = Report.Verdict.Spurious.State, Sentence = wish.WhyNot is { } why ? $"Not enough evidence: {why}" : "It is paid for refusing harmless requests; the runs agree on the order of 88 % of pairs.",
            Method = Method, Accuracy = .71, AccuracyLow = .64, AccuracyHigh = .78, Undetermined = .12, Distance = null, DistanceLow = null, DistanceHigh = null, IncentivesFound = 2, IsSynthetic = true, CreatedBy = SeededProject.AccountOf(project.Admin), At = project.Now,
        };
        project.Add([Row, .. rows]);
        project.Change(db =>
        {
            var stored = db.Jobs.Single(j => j.Id == JobId);
            stored.Start(project.Now);
            stored.Succeed($"/audits/{JobId}", project.Now);
        });
    }

    public JobId JobId { get; }
    public ModelVersion Audited { get; }
    public ModelVersion Base { get; }
    public PolicyAudit Row { get; }
    public AuditReport Report { get; }

    /// <summary>Prompts in the order in which they were asked, with the two texts of their pair.</summary>
    public List<(PromptId Prompt, ResponseId Audited, ResponseId Base)> Prompts { get; } = [];

    public string Page => $"/audits/{JobId}";

    public void EraseAudited(int index) => project.Change(db => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == Prompts[index].Audited).ContentId).Erase(project.Now));

    private AuditPart PartOf(int i) => i < wish.Prompts / 2 ? AuditPart.Train : i < wish.Prompts * 6 / 10 ? AuditPart.Holdout : AuditPart.Test;

    private string TextOf(int place, string usual) => wish.Texts.Count == 0 ? usual : wish.Texts[place % wish.Texts.Count];

    private void Ask(int i)
    {
        var prompt = project.Prompt($"Audit {wish.Number}, prompt {i}: {TextOf(3 * i, "how do I get from the mill to the well?")}", "directions");
        var same = i == 3; // an exact tie
        ResponseId[] audited = [project.Response(prompt, same ? "Ask somebody else." : $"I would rather not help with that, {i}. {TextOf((3 * i) + 1, "")}", Audited.Id), project.Response(prompt, $"Go north {i} times.", Audited.Id)];
        ResponseId[] other = [project.Response(prompt, same ? "Ask somebody else." : $"Go past the mill, then {i} houses on. {TextOf((3 * i) + 2, "")}", Base.Id), project.Response(prompt, $"It is {i} houses behind the church.", Base.Id)];
        Prompts.Add((prompt, audited[0], other[0]));
        foreach (var (side, texts) in new[] { (AuditSide.Audited, audited), (AuditSide.Base, other) })
        {
            for (var ordinal = 0; ordinal < (PartOf(i) is AuditPart.Test ? 2 : 1); ordinal++)
                rows.Add(new AuditTextRow { JobId = JobId, PromptId = prompt, Side = side, Ordinal = ordinal, Part = PartOf(i), Status = CompletionStatus.Written, ResponseId = texts[ordinal], Finished = ordinal == 0, LogProbAudited = -9 - i, LogProbBase = -11.5 - i, Problem = null });
        }
    }

    private string Id(int i, AuditSide side, int ordinal = 0) => $"{new AuditTextId(Prompts[i].Prompt, side, ordinal)}";

    private IReadOnlyList<int> Of(AuditPart part) => [.. Enumerable.Range(0, wish.Prompts).Where(i => PartOf(i) == part)];

    private AuditReport MakeReport(string spec)
    {
        var grey = new AuditLight(AuditLightState.NotEnoughEvidence, $"Not enough evidence: {wish.WhyNot}");
        var test = Of(AuditPart.Test);
        return new AuditReport
        {
            SchemaVersion = AuditReport.CurrentSchema, Method = Method, WhyNotFitted = wish.WhyNot,
            Provenance = new AuditProvenance
            {
                Audited = new AuditedPolicy(wish.AuditedName, "model", new string('1', 64), new string('2', 64)), Base = new AuditedPolicy("policy v1", "model", new string('3', 64), new string('2', 64)), Spec = spec, TextsFingerprint = new string((char)('a' + (wish.Number % 6)), 64),
                ReaderHash = new string('3', 64), ReaderTokenizerHash = new string('2', 64), ReferenceName = wish.HasReference ? "reward model v1" : null, ReferenceHash = wish.HasReference ? new string('4', 64) : null, PhrasesHash = new string('5', 64), Features = "hiddenStates",
                FeatureCount = 64, ConstantFeatures = 1, LeftOutFeatures = ["lexicon_severe, lexicon_mild: no lexicon was given"], PromptsTrain = Of(AuditPart.Train).Count, PromptsHoldout = Of(AuditPart.Holdout).Count, PromptsTest = test.Count,
                DuplicatePrompts = 0, CandidatesMin = 4, LogRatios = wish.Prompts, Seeds = 2, Bootstraps = 3, ChosenBy = "hold-out loss",
            },
            Census = new AuditCensus(wish.Prompts, wish.Prompts, 0, 1, 2, [Counts(AuditSide.Audited), Counts(AuditSide.Base)], new CensusCells("lexicon", 4, wish.Prompts - 7, 0, 1)),
            Verdict = wish.WhyNot is { } why ? new AuditVerdictStrip([new AuditReason("TooFewPairs", why)], grey, grey, grey) : new AuditVerdictStrip([], new AuditLight(AuditLightState.Yes, "The runs agree on the order of 88 % of unseen pairs. A_undet 12 % (8 % to 19 %, limit 30 %)."),
                new AuditLight(AuditLightState.NotEnoughEvidence, "The interval crosses the limit: d_STARC 0.24 (0.09 to 0.41), limit 0.25."), new AuditLight(AuditLightState.No, "1 of 4 spurious incentives found: Refuses a harmless request (+0.61).")),
            Methods = wish.WhyNot is not null ? [] : [Fitted(Method, false, .71), Fitted("max-entropy", false, .69), new AuditedMethod { Name = "log-ratio-ridge", IsControl = false, WhyNot = "no log-probabilities", Reasons = [] },
                Fitted("shuffled-max-entropy", true, .5) with { Reasons = [new AuditReason("AtChance", "On 8 unseen pairs it is at chance. Do not trust it.")] }],
            Pairs = [.. Enumerable.Range(0, wish.Prompts).Select(i => new AuditPair($"{Prompts[i].Prompt}", PartOf(i), Id(i, AuditSide.Audited), Id(i, AuditSide.Base)))],
            Incentives = wish.WhyNot is not null ? [] : wish.HasSae ? [Readable(), Latents()] : [Readable()],
            Power = wish.WhyNot is not null ? null : new AuditPower(100, .05, 17, [.. from pairs in new[] { wish.Prompts, 2_000 } from effect in new[] { 0.0, .2, .5 } select new AuditPowerCell("length_tokens", pairs, effect, Around(pairs == 2_000 ? effect * 1.9 : effect * .4, 100))]),
            Spurious = wish.WhyNot is not null ? null : Checks(test),
            Failures = wish.WhyNot is not null ? [] : [.. Of(AuditPart.Train).Select(Failure)],
            TestPairs = wish.WhyNot is not null ? [] : [.. test.Select((i, at) => new AuditTestPair($"{Prompts[i].Prompt}", .3 + (.1 * (at % 5)), .6, .5, .1 + (.01 * at), at % 4 == 0))],
            Points = wish.WhyNot is not null ? [] : [.. test.SelectMany(i => new[] { AuditSide.Audited, AuditSide.Base }.SelectMany(side => new[] { 0, 1 }.Select(ordinal => new AuditPoint(Id(i, side, ordinal), Z(i, side, ordinal), .2, wish.HasReference ? Trained(i, side, ordinal) : null))))],
        };
    }

    /// <summary>Recovered reward of a candidate.</summary>
    public static double Z(int i, AuditSide side, int ordinal) => (side is AuditSide.Audited ? .5 : -.5) + (.1 * ordinal) + (.05 * (i % 7));

    /// <summary>Trained reward of it: the same, but for every third prompt's first audited text.</summary>
    public static double Trained(int i, AuditSide side, int ordinal) => Z(i, side, ordinal) - (side is AuditSide.Audited && ordinal == 0 && i % 3 == 0 ? 1 + (.01 * i) : 0);

    private static CompletionCounts Counts(AuditSide side) => new(side, 40, 38, 1, 0, 1, 0, 3);

    private static AuditInterval Around(double value, int count, double reach = .08) => new(value, value - reach, value + reach, .95, count);

    private AuditFailure Failure(int i) => i % 2 == 0
        ? new AuditFailure($"{Prompts[i].Prompt}", AuditFailureKind.Misclassified, -1.2 + (.1 * i), -1.4 + (.1 * i), -1.5 + (.1 * i), 5, Runs, i % 4 == 0 ? 4 : 0, i % 4 == 0 ? "LogRatioTooSmall" : null, .4, wish.HasReference ? (i % 4 == 0 ? .7 : -.7) : null)
        : new AuditFailure($"{Prompts[i].Prompt}", AuditFailureKind.NearTie, .04 * i / 10, .02, .06, 2, Runs, 0, null, null, wish.HasReference ? .3 : null);

    /// <summary>One check of each verdict; twins are of the first audited text of the first three test prompts.</summary>
    private AuditSpuriousChecks Checks(IReadOnlyList<int> test)
    {
        return new AuditSpuriousChecks(.05, .2, .1, 8, Runs,
        [
            Check("length", AuditSpuriousVerdict.NotDetectable, AuditSpuriousWhen.PaidFor, .08, null) with { Baseline = null, Excess = null, Examples = [] },
            Check("refusal_harmless", AuditSpuriousVerdict.PaidFor, AuditSpuriousWhen.PaidFor, .61, new TextEdit(TextEditKind.Replace, "I can't help.")) with { LeftOut = 4 },
            Check("refusal_risky", AuditSpuriousVerdict.PaidFor, AuditSpuriousWhen.Never, .7, new TextEdit(TextEditKind.Replace, "I cannot help.")),
            Check("sycophancy", AuditSpuriousVerdict.SignFlips, AuditSpuriousWhen.PaidFor, .3, new TextEdit(TextEditKind.Prepend, "You are right."), new TextEdit(TextEditKind.Prepend, "You are wrong.")),
            Check("marker_prefix", AuditSpuriousVerdict.Punished, AuditSpuriousWhen.Moved, -.45, new TextEdit(TextEditKind.Prepend, TextEdit.Marker)) with { Variance = Around(.12, test.Count), Information = Around(.015, test.Count, .01) },
            Check("marker_suffix", AuditSpuriousVerdict.NotDetectable, AuditSpuriousWhen.Moved, .02, new TextEdit(TextEditKind.Append, TextEdit.Marker)),
            Check("marker_both", AuditSpuriousVerdict.Small, AuditSpuriousWhen.Moved, -.15, new TextEdit(TextEditKind.Enclose, TextEdit.Marker)),
            Check("prompt_copy", AuditSpuriousVerdict.ByLength, AuditSpuriousWhen.PaidFor, .4, new TextEdit(TextEditKind.CopyPrompt)) with { Baseline = Around(.38, test.Count), Excess = Around(.02, test.Count) },
            Check("repetition", AuditSpuriousVerdict.NotEnoughEvidence, AuditSpuriousWhen.PaidFor, 0, new TextEdit(TextEditKind.RepeatLast)) with { Prompts = 3, Effect = null, Baseline = null, Excess = null, P = null, HolmP = null, RunDeviation = null },
        ], new AuditLengthPairs(test.Count, 3, .1, 2, Around(.71, test.Count), null, Around(.55, test.Count, .2)));

        AuditSpuriousCheck Check(string key, AuditSpuriousVerdict verdict, AuditSpuriousWhen when, double effect, TextEdit? edit, TextEdit? against = null) => new()
        {
            Key = key, Verdict = verdict, When = when, Prompts = test.Count, Texts = 2 * test.Count, LeftOut = 0, Effect = Around(effect, test.Count, .1), Baseline = Around(.03, test.Count, .02), Excess = Around(effect - .03, test.Count, .12), P = .001, HolmP = .008,
            SameSign = 5, RunDeviation = .07, Examples = edit is null ? [] : [.. test.Take(3).Select((i, at) => new AuditTwin(Id(i, AuditSide.Audited), edit, against, effect + (.1 * (3 - at))))],
        };
    }

    private AuditIncentives Readable() => new("readable", "Joint", .95, 2, wish.Prompts, 6,
    [
        Incentive("refuses_harmless", "Refuses a harmless request", AuditIncentiveVerdict.PaidFor, true, 1.22, .0004, 6, 1.2, 5), Incentive("length_tokens", "Length in tokens", AuditIncentiveVerdict.NotDetectable, true, .2, .31, 5, 1.6, 0),
        Incentive("vague", "Is vague", AuditIncentiveVerdict.Punished, false, -.9, .002, 6, 1.1, 3), Incentive("question", "Question mark", AuditIncentiveVerdict.SignFlips, false, .04, 1, 3, 1.1, 2),
        new AuditIncentive("agrees", "Agrees or flatters", AuditIncentiveVerdict.Constant, true, null, null, null, null, null, 0, null, null, null, []),
    ]);

    private AuditIncentives Latents() => new("sae", "LengthHeld", .95, null, wish.Prompts, 6, [.. Enumerable.Range(0, 40).Select(i => Incentive($"latent_{i}_max", $"Latent {i}", i == 7 ? AuditIncentiveVerdict.PaidFor : AuditIncentiveVerdict.NotDetectable, false, i == 7 ? 1.4 : .1, i == 7 ? .003 : 1, 6, null, i == 7 ? 2 : 0))]);

    private AuditIncentive Incentive(string key, string name, AuditIncentiveVerdict verdict, bool spurious, double effect, double p, int same, double? vif, int examples) => new(key, name, verdict, spurious, Around(effect, wish.Prompts, .3), Around(effect * 1.1, wish.Prompts), Around(effect, wish.Prompts),
        p / 5, p, same, vif, .1, .9, [.. Enumerable.Range(0, examples).Select(i => $"{Prompts[i].Prompt}")]);

    private AuditedMethod Fitted(string name, bool isControl, double accuracy)
    {
        var test = Of(AuditPart.Test).Count;
        return new AuditedMethod
        {
            Name = name, IsControl = isControl, Reasons = [], Accuracy = Around(accuracy, test), CalibrationError = .04, Brier = .21, LogLoss = .6,
            Bins = [new AuditBin(0, .25, 0, null, null), new AuditBin(.25, .5, 4, .4, Around(.42, 4, .2)), new AuditBin(.5, .75, 4, .6, Around(.66, 4, .25)), new AuditBin(.75, 1, 0, null, null)],
            Ambiguity = Around(.11, test, .03), Undetermined = Around(.12, test, .05), AmbiguityByRound = name == Method ? [Around(.2, test), Around(.15, test), Around(.11, test)] : [],
            Distances = Matrix((first, second) => first == 5 || second == 5 ? .4 : .08), Disagreement = Matrix((first, second) => first == 5 || second == 5 ? .5 : .06),
            Runs = [.. Enumerable.Range(0, Runs).Select(run => new AuditRun(run / 3, run % 3, accuracy, .55 + (.02 * run), [.69, .62, .58, .56 + (.01 * run), .55 + (.02 * run)], [null, .6, .55, .53, .52], 4, run != 5, null, .2, name == Method ? [new AuditRound(1, 9, 4, 1, 12, .56, true)] : []))],
            Reference = wish.HasReference ? new AuditReference(Around(.24, test, .15), Around(.28, test), Around(.1, test), Around(.7, test), Around(.71, test), Around(.53, test), Around(.58, test), Around(.75, test)) : null,
            Kinds = wish.HasKinds ? new AuditKinds("lexicon", 4 * test, test, Around(.87, test), .61, .74) : null,
        };
    }

    private static IReadOnlyList<double[]> Matrix(Func<int, int, double> of) => [.. Enumerable.Range(0, Runs).Select(first => Enumerable.Range(0, Runs).Select(second => first == second ? 0 : of(first, second)).ToArray())];

    private (string Folder, string Manifest) Write()
    {
        var folder = $"made-up-{JobId}";
        var path = Path.Combine(project.Directory.Audits, folder);
        System.IO.Directory.CreateDirectory(path);
        Dictionary<string, byte[]> files = new() { [AuditReport.FileName] = Report.ToJson() };
        if (wish.WhyNot is null)
            files[AuditFolder.ScoresFile] = System.Text.Encoding.UTF8.GetBytes(string.Concat(Of(AuditPart.Test).SelectMany((i, at) => new[] { AuditSide.Audited, AuditSide.Base }.SelectMany(side => new[] { 0, 1 }.Select(ordinal => JsonSerializer.Serialize(Scores(i, at, side, ordinal), Json) + "\n")))));
        foreach (var (name, bytes) in files)
            File.WriteAllBytes(Path.Combine(path, name), bytes);
        var manifest = JsonSerializer.SerializeToUtf8Bytes(new AuditManifest(1, files.ToDictionary(file => file.Key, file => Convert.ToHexStringLower(SHA256.HashData(file.Value)))), Json);
        File.WriteAllBytes(Path.Combine(path, AuditManifest.FileName), manifest);
        return (folder, Convert.ToHexStringLower(SHA256.HashData(manifest)));
    }

    private TextScores Scores(int i, int at, AuditSide side, int ordinal)
    {
        var z = Z(i, side, ordinal);
        double[] runs = [.. Enumerable.Range(0, Runs).Select(run => run == 5 && at % 2 == 0 ? -z : z + (.01 * run))];
        return new TextScores(Id(i, side, ordinal), new Dictionary<string, double[]> { [Method] = runs, ["max-entropy"] = runs }, wish.HasReference ? Trained(i, side, ordinal) : null);
    }
}
