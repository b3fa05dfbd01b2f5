using System.Text;
using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Audits;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Audits;

/// <summary>One small audit of the demo's policy against the demo's base, with everything an audit can have; made once for the tests below.</summary>
public sealed class DemoAudit : IAsyncLifetime
{
    private readonly RunFolders folders = new();

    public static AuditReward Spec { get; } = new()
    {
        PromptsMax = 40, CompletionsOnTest = 3, Repeats = 1, Seeds = 1, Bootstraps = 2, PowerRepeats = 2, Methods = ["max-entropy", "log-ratio-ridge", "failure-aware-screened", "failure-aware-paper-reading"],
        Sampling = new SamplingSpec { TokensMax = 24 },
    };

    public static Lexicon Insults { get; } = new("insults", ["oaf", "clod", "dolt", "dunce", "fool"], ["silly", "boring"]);

    public Llama Base { get; private set; } = null!; // set before any test
    public ITokenizer Tokenizer { get; private set; } = null!;
    public SaeCodes Codes { get; private set; } = null!;
    public AuditInputs Inputs { get; private set; } = null!;
    public AuditReport Report { get; private set; } = null!;
    public AuditReader Reader { get; private set; } = null!;
    public TopKSae Sae { get; private set; } = null!;
    public LlamaReward Reward { get; private set; } = null!;
    public string Folder => folders.Artefacts;

    public async Task InitializeAsync()
    {
        TrainingProcess.Prepare(Portal.Engine.Serving.LoadedModels.Threads); // as everywhere in this process
        (Base, Tokenizer) = ModelFolder.LanguageModel(Demo("base"));
        var (audited, _) = ModelFolder.LanguageModel(Demo("policy"));
        var (reward, rewardTokenizer) = ModelFolder.RewardModel(Demo("reward-model"));
        Reward = (LlamaReward)reward;
        Sae = ModelFolder.Sae(Demo("sae"));
        Codes = new SaeCodes(AuditReader.Of(Reward.Backbone, rewardTokenizer), Sae);
        Reader = AuditReader.Of(Base.Backbone, Tokenizer);
        Inputs = new AuditInputs(AuditPrompts.Read(Path.Combine(Demo(""), "project.jsonl"), CancellationToken.None), new ModelTexts(audited, Tokenizer, "policy"), new ModelTexts(Base, Tokenizer, "base"), Reader)
        {
            Sae = Codes, Lexicon = Insults, Reference = new AuditReferenceModel(new RewardScorer(reward, rewardTokenizer), "reward-model", "hash"),
        };
        Report = await AuditRewardRecipe.Run(Spec, Inputs, folders.Context());
    }

    public Task DisposeAsync()
    {
        folders.Dispose();
        return Task.CompletedTask;
    }

    public static string Demo(string name) => Path.Combine(Repository.Root, "wwwroot-assets", "demo", name);
}

/// <summary>A report's numbers against its files, a resumed run, and texts tried afterwards.</summary>
public sealed class AuditRewardRecipeTests(DemoAudit demo) : IClassFixture<DemoAudit>
{
    [Fact]
    public void The_report_has_everything_and_each_number_names_texts_that_are_there()
    {
        var report = demo.Report;
        var texts = AuditLines.Read<AuditText>(demo.Folder, AuditLines.TextsFile).ToDictionary(text => text.Id);

        Assert.Equal(["failure-aware-reweight", "max-entropy", "log-ratio-ridge", "failure-aware-screened", "failure-aware-paper-reading", "capacity-control", "random-head", "shuffled-max-entropy"], report.Methods.Select(method => method.Name));
        Assert.All(report.Methods, method =>
        {
            Assert.Null(method.WhyNot);
            Assert.Equal(2, method.Runs.Count);
            Assert.NotNull(method.Reference?.Distance);
            Assert.All(method.Runs, run => Assert.NotNull(run.Distance));
        });
        Assert.Contains(report.Methods.Single(method => method.Name == "max-entropy").Runs[0].Curve, nll => nll < Math.Log(2));
        Assert.NotEmpty(report.Methods[0].Runs[0].Rounds);
        Assert.Equal((28, 6, 6, 40), (report.Provenance.PromptsTrain, report.Provenance.PromptsHoldout, report.Provenance.PromptsTest, report.Provenance.LogRatios));
        Assert.Equal(28 * 4 + 6 * 2 + 6 * 6, texts.Count);
        Assert.Equal(["TooFewPairs"], report.Verdict.Reasons.Select(reason => reason.Kind).Take(1));
        Assert.Equal(["readable", "sae"], report.Incentives.Select(table => table.Name));
        Assert.Equal("LengthHeld", report.Incentives[1].Test);
        Assert.Equal(demo.Codes.Latents + 1, report.Incentives[1].Rows.Count);
        Assert.Equal([40, 2_000], report.Power!.Cells.Select(cell => cell.Pairs).Distinct().Order());
        var pairs = report.Pairs.ToDictionary(pair => pair.Id);
        Assert.All(report.Pairs, pair => Assert.Equal((AuditSide.Audited, AuditSide.Base, pair.Id), (texts[pair.AuditedText].Side, texts[pair.BaseText].Side, texts[pair.AuditedText].PromptId)));
        Assert.All(report.Incentives.SelectMany(table => table.Rows).SelectMany(row => row.ExamplePairs), pair => Assert.Contains(pair, pairs));
        Assert.All(report.Failures, failure => Assert.Equal(AuditPart.Train, pairs[failure.Pair].Part));
        Assert.Equal(report.Failures.OrderBy(failure => failure.Margin), report.Failures);
        Assert.Equal(6, report.TestPairs.Count);
        Assert.Equal(texts.Values.Where(text => text is { Part: AuditPart.Test, Status: CompletionStatus.Written }).Select(text => text.Id).Order(), report.Points.Select(point => point.Text).Order());
        Assert.Equal(0, report.Points.Average(point => point.Z), 1e-9);
        Assert.Equal(1, Math.Sqrt(report.Points.Average(point => point.Z * point.Z)), 1e-9);
        Assert.Equal(0, report.Points.Average(point => point.Reference!.Value), 1e-9);
    }

    [Fact]
    public void Numbers_follow_from_the_texts()
    {
        var texts = AuditLines.Read<AuditText>(demo.Folder, AuditLines.TextsFile).ToDictionary(text => text.Id);
        // An example pair of an incentive does speak for it, and a failure's log-ratio is that of its texts.
        var insults = demo.Report.Incentives[0].Rows.Single(row => row.Key == "lexicon_severe");
        foreach (var pair in insults.ExamplePairs.Select(id => demo.Report.Pairs.Single(pair => pair.Id == id)))
            Assert.True(Math.Sign(insults.Effect!.Estimate) * (DemoAudit.Insults.Count(texts[pair.AuditedText].Text).Severe - DemoAudit.Insults.Count(texts[pair.BaseText].Text).Severe) > 0);
        foreach (var failure in demo.Report.Failures)
        {
            var (audited, other) = (texts[demo.Report.Pairs.Single(pair => pair.Id == failure.Pair).AuditedText], texts[demo.Report.Pairs.Single(pair => pair.Id == failure.Pair).BaseText]);
            Assert.Equal((audited.LogProbAudited - audited.LogProbBase - (other.LogProbAudited - other.LogProbBase))!.Value, failure.LogRatio!.Value, 1e-9);
        }
        // A policy trained away from its base likes its own texts better than the base does, on the whole.
        Assert.True(texts.Values.Where(text => text is { Side: AuditSide.Audited, Status: CompletionStatus.Written }).Average(text => text.LogProbAudited - text.LogProbBase) > 0);
        var cells = demo.Report.Census.Cells!;
        Assert.Equal(40, cells.Pairs);
        var candidates = texts.Values.Where(text => text is { Part: AuditPart.Test, Status: CompletionStatus.Written }).ToList();
        Assert.Contains(candidates, text => DemoAudit.Insults.IsBad(text.Text)); // there is something to sort
        Assert.All(demo.Report.Methods, method => Assert.Equal(("lexicon", candidates.Count, candidates.Count(text => DemoAudit.Insults.IsBad(text.Text))), (method.Kinds?.By, method.Kinds?.Texts, method.Kinds?.Bad)));
        Assert.Equal(cells.BadToGood + cells.BadToBad, demo.Report.Pairs.Count(pair => DemoAudit.Insults.IsBad(texts[pair.BaseText].Text)));
    }

    /// <summary>For audits that share a base: what a reader has read it does not read again, and another place of the same text is another entry.</summary>
    [Fact]
    public void States_that_are_known_are_those_that_are_read()
    {
        var known = new Dictionary<string, float[]>();
        var prompts = AuditLines.Read<AuditPrompt>(demo.Folder, AuditLines.PromptsFile).ToDictionary(prompt => prompt.Id);
        var text = AuditLines.Read<AuditText>(demo.Folder, AuditLines.TextsFile).First(text => text.Status is CompletionStatus.Written);

        foreach (var reading in new[] { AuditReading.CompletionInContext, AuditReading.PromptAndCompletion })
        {
            var (plain, remembering) = (new PooledStates(demo.Reader, reading), new PooledStates(demo.Reader with { Known = known }, reading));
            var first = remembering.Read(prompts[text.PromptId], text);
            Assert.Equal(plain.Read(prompts[text.PromptId], text), first);
            Assert.Same(first, remembering.Read(prompts[text.PromptId], text));
        }
        Assert.Equal(2, known.Count);
    }

    [Fact]
    public void A_text_that_is_tried_gets_the_score_it_has_in_the_report()
    {
        var rewards = RecoveredRewards.Load(demo.Folder);
        var features = new PooledStates(demo.Reader, rewards.Reading);
        var prompts = AuditLines.Read<AuditPrompt>(demo.Folder, AuditLines.PromptsFile).ToDictionary(prompt => prompt.Id);
        var texts = AuditLines.Read<AuditText>(demo.Folder, AuditLines.TextsFile).ToDictionary(text => text.Id);
        var scores = AuditLines.Read<TextScores>(demo.Folder, AuditLines.ScoresFile).ToArray();

        Assert.Equal(AuditFeatures.HiddenStates, rewards.Features);
        foreach (var known in scores)
        {
            var tried = rewards.Score(features.Read(prompts[texts[known.Text].PromptId], texts[known.Text])).ToLookup(score => score.Method, score => score.Score);
            Assert.Equal(known.Methods.Keys.Order(), tried.Select(method => method.Key).Order());
            foreach (var (method, runs) in known.Methods)
                Assert.All(runs.Zip(tried[method]), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        }
        var z = scores.Select(known => rewards.Score(features.Read(prompts[texts[known.Text].PromptId], texts[known.Text]))[0].Z).ToArray();
        Assert.Equal((0, 1), (Math.Round(z.Average(), 6), Math.Round(Math.Sqrt(z.Average(value => value * value)), 6)));
        Assert.Throws<ArgumentException>(() => rewards.Score(new float[3]));
    }

    /// <summary>Each twin is made again from its id and its edit, and scored as a typed text would be.</summary>
    [Fact]
    public void Spurious_checks_can_be_made_again_from_ids_and_edits()
    {
        var checks = demo.Report.Spurious!;
        var rewards = RecoveredRewards.Load(demo.Folder);
        var features = new PooledStates(demo.Reader, rewards.Reading);
        var prompts = AuditLines.Read<AuditPrompt>(demo.Folder, AuditLines.PromptsFile).ToDictionary(prompt => prompt.Id);
        var texts = AuditLines.Read<AuditText>(demo.Folder, AuditLines.TextsFile).ToDictionary(text => text.Id);

        Assert.Equal(["length", "refusal_harmless", "refusal_risky", "sycophancy", "marker_prefix", "marker_suffix", "marker_both", "prompt_copy", "repetition"], checks.Checks.Select(check => check.Key));
        Assert.All(checks.Checks, check => Assert.Equal((AuditSpuriousVerdict.NotEnoughEvidence, (AuditInterval?)null), (check.Verdict, check.Effect))); // six test prompts; an interval needs eight
        Assert.Equal((6, 8, 2), (checks.Checks.Single(check => check.Key == "marker_both").Prompts, checks.PromptsNeeded, checks.Runs));
        var twins = checks.Checks.SelectMany(check => check.Examples.Take(1)).ToArray();
        Assert.True(twins.Length >= 6, $"{twins.Length} checks have twins.");
        foreach (var twin in twins)
        {
            var text = texts[twin.Text];
            Assert.Equal(AuditPart.Test, text.Part);
            Assert.Equal(twin.Effect, Mean(twin.Edit) - (twin.Against is { } against ? Mean(against) : Mean(null)), 1e-6);

            double Mean(TextEdit? edit) => rewards.Score(features.Read(prompts[text.PromptId], edit is null ? text : text with { Text = edit.Apply(text.Text, prompts[text.PromptId].Turns)!.Text }))
                .Where(score => score.Method == demo.Report.Method).Average(score => score.Z);
        }
        var json = Encoding.UTF8.GetString(File.ReadAllBytes(Path.Combine(demo.Folder, AuditReport.FileName)));
        Assert.DoesNotContain(texts.Values.Where(text => text.Text.Length > 20), text => json.Contains(JsonEncodedText.Encode(text.Text).ToString(), StringComparison.Ordinal)); // ids and edits, no text
        var older = System.Text.Json.Nodes.JsonNode.Parse(json)!.AsObject();
        older.Remove("spurious");
        Assert.Null(AuditReport.FromJson(Encoding.UTF8.GetBytes(older.ToJsonString())).Spurious);
    }

    [Theory]
    [InlineData("{}", "features")]
    [InlineData("""{"schemaVersion":2,"features":"readable","reading":"completionAlone","readerHash":"","names":[],"mean":[],"deviation":[],"methods":[]}""", "schemaVersion 2; this program reads 1")]
    [InlineData("""{"schemaVersion":1,"features":"smell","reading":"completionAlone","readerHash":"","names":[],"mean":[],"deviation":[],"methods":[]}""", "smell")]
    [InlineData("""{"schemaVersion":1,"features":"readable","reading":"completionAlone","readerHash":"","names":["a"],"mean":[0],"deviation":[],"methods":[]}""", "is damaged: its 1 features do not fit")]
    [InlineData("""{"schemaVersion":1,"features":"readable","reading":"completionAlone","readerHash":"","names":["a"],"mean":[0],"deviation":[1],"methods":[{"name":"m","runs":[{"seed":0,"bootstrap":0,"factor":1,"centre":0,"spread":1,"theta":[1,2],"lambda":1}]}]}""", "is damaged")]
    public void Rewards_that_are_damaged_or_of_another_version_are_refused(string json, string named)
    {
        using var own = new RunFolders();
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(own.Artefacts).FullName, RecoveredRewardsFile.FileName), json);

        Assert.Contains(named, Assert.Throws<FormatException>(() => RecoveredRewards.Load(own.Artefacts)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_report_survives_its_file_and_another_version_is_refused()
    {
        var bytes = File.ReadAllBytes(Path.Combine(demo.Folder, AuditReport.FileName));

        Assert.Equal(bytes, AuditReport.FromJson(bytes).ToJson());
        Assert.Equal(bytes, demo.Report.ToJson());
        Assert.Equal(DemoAudit.Spec, JsonSerializer.Deserialize<string>(JsonSerializer.Serialize(AuditReport.FromJson(bytes).Provenance.Spec)) is { } spec ? ((AuditReward)JobSpec.FromJson(spec)) with { Methods = DemoAudit.Spec.Methods } : null);
        var text = Encoding.UTF8.GetString(bytes);
        Assert.Contains("schemaVersion 2; this program reads 1", Assert.Throws<FormatException>(() => AuditReport.FromJson(Encoding.UTF8.GetBytes(text.Replace("\"schemaVersion\":1", "\"schemaVersion\":2", StringComparison.Ordinal)))).Message, StringComparison.Ordinal);
        foreach (var none in new[] { "{}", "[]", "{", "null", "{\"schemaVersion\":1}" })
            Assert.Throws<FormatException>(() => AuditReport.FromJson(Encoding.UTF8.GetBytes(none)));
        Assert.DoesNotContain(Path.GetTempPath(), text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_manifest_vouches_for_every_file_and_sees_a_change()
    {
        Assert.Empty(AuditLines.Changed(demo.Folder));
        using var copy = new RunFolders();
        ArtefactFile.CopyFolder(demo.Folder, copy.Artefacts, null, CancellationToken.None);
        File.AppendAllText(Path.Combine(copy.Artefacts, AuditLines.TextsFile), " ");
        File.Delete(Path.Combine(copy.Artefacts, RecoveredRewardsFile.FileName));

        Assert.Equal([RecoveredRewardsFile.FileName, AuditLines.TextsFile], AuditLines.Changed(copy.Artefacts).Order());
        Assert.Throws<FormatException>(() => RecoveredRewards.Load(copy.Artefacts));
    }

    [Fact]
    public async Task A_run_that_was_killed_goes_on_to_the_same_bytes()
    {
        using var again = new RunFolders();
        // Killed after the first chunk of three: what is there is one file a chunk.
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => AuditRewardRecipe.Run(DemoAudit.Spec, demo.Inputs, again.Context(new DiesAt("writing completions", 28))));
        Assert.Single(Directory.GetFiles(again.Checkpoints, "texts-*.json"));
        Assert.False(File.Exists(Path.Combine(again.Artefacts, AuditManifest.FileName)));
        var seen = new SeenProgress();

        await AuditRewardRecipe.Run(DemoAudit.Spec, demo.Inputs, again.Context(seen));

        Assert.Contains("1 of 3 chunks of completions were there from an earlier run.", seen.Lines);
        foreach (var file in new[] { AuditLines.TextsFile, AuditLines.ScoresFile, RecoveredRewardsFile.FileName, AuditReport.FileName, AuditManifest.FileName })
            Assert.Equal(File.ReadAllBytes(Path.Combine(demo.Folder, file)), File.ReadAllBytes(Path.Combine(again.Artefacts, file)));
    }

    [Fact]
    public async Task A_cancelled_run_leaves_no_report()
    {
        using var own = new RunFolders();
        using var stop = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => AuditRewardRecipe.Run(DemoAudit.Spec, demo.Inputs, own.Context(new DiesAt("writing completions", 16, stop), stop.Token)));

        Assert.Empty(Directory.GetFiles(own.Artefacts));
    }

    /// <summary>Against a batch with padding: the other way of reading, the same numbers up to rounding.</summary>
    [Fact]
    public void Pooled_states_are_means_over_what_they_say()
    {
        var prompt = SmallAudit.Asked("How many legs has a hen?");
        AuditText[] texts = [.. new[] { "Two.", "A hen has two legs, dear friend." }.Select(text => SmallAudit.Text("q", AuditSide.Audited, 0, text))];
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var encoder = new DialogueEncoder(demo.Tokenizer, 192, Overlong.Filter);
        EncodedText[] encoded = [.. texts.Select(text => encoder.Answer(prompt.Turns, text.Text)!)];
        using var batch = PaddedBatch.Of(encoded, demo.Tokenizer.PadId, demo.Base.Device);
        var hidden = demo.Base.Hidden(batch.Ids);

        foreach (var reading in Enum.GetValues<AuditReading>().Where(reading => reading is not AuditReading.CompletionAlone))
        {
            for (var row = 0; row < texts.Length; row++)
            {
                var values = new PooledStates(demo.Reader, reading).Read(prompt, texts[row]);
                int[] pooled = [.. Enumerable.Range(0, encoded[row].Ids.Length).Where(at => reading is AuditReading.PromptAndCompletion || encoded[row].Mask[at])];
                for (var j = 0; j < values.Length; j += 17)
                    Assert.Equal(pooled.Average(at => hidden[row, at, j].item<float>()), values[j], 2e-4);
            }
        }
        // Read alone, a completion does not know what was asked.
        var alone = new PooledStates(demo.Reader, AuditReading.CompletionAlone);
        Assert.Equal(alone.Read(prompt, texts[0]), alone.Read(SmallAudit.Asked("What does a goose eat?"), texts[0]));
        Assert.NotEqual(new PooledStates(demo.Reader, AuditReading.CompletionInContext).Read(prompt, texts[0]), new PooledStates(demo.Reader, AuditReading.CompletionInContext).Read(SmallAudit.Asked("What does a goose eat?"), texts[0]));
    }

    [Fact]
    public void Codes_are_the_largest_and_the_mean_over_the_places_of_the_SAE_and_another_models_SAE_is_refused()
    {
        var prompt = SmallAudit.Asked("How many legs has a hen?");
        var text = SmallAudit.Text("q", AuditSide.Audited, 0, "How lovely to hear from you! A hen has two legs, dear friend. Take care!");
        var values = demo.Codes.Read(prompt, text);

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var encoded = new DialogueEncoder(demo.Tokenizer, 192, Overlong.Filter).Answer(prompt.Turns, text.Text)!;
        var (states, places) = ActivationStore.Read(demo.Reward.Backbone, demo.Tokenizer, demo.Sae.Config.Layer, [encoded], [0]);
        var dense = new double[places.Count, demo.Codes.Latents];
        for (var i = 0; i < places.Count; i++)
        {
            var codes = demo.Sae.Encode(states.narrow(0, i, 1), places[i].Position);
            for (var k = 0; k < codes.Values.shape[1]; k++)
                dense[i, codes.Indices[0, k].item<long>()] = codes.Values[0, k].item<float>();
        }
        Assert.True(places.Count >= 3);
        for (var latent = 0; latent < demo.Codes.Latents; latent++)
        {
            double[] own = [.. Enumerable.Range(0, places.Count).Select(i => dense[i, latent])];
            Assert.Equal(own.Max(), values[latent], 1e-4);
            Assert.Equal(own.Average(), values[demo.Codes.Latents + latent], 1e-4);
        }
        Assert.Contains(values, value => value > 0);
        Assert.Contains("trained on another model", Assert.Throws<CannotTrain>(() => new SaeCodes(demo.Reader, demo.Sae)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_command_writes_a_report_of_imported_completions_and_says_what_is_missing()
    {
        using var own = new RunFolders();
        Directory.CreateDirectory(own.Artefacts);
        var (completions, output, preset) = (Path.Combine(own.Artefacts, "completions.jsonl"), Path.Combine(own.Artefacts, "out"), Path.Combine(own.Artefacts, "audit.json"));
        File.WriteAllLines(completions, AuditLines.Read<AuditText>(demo.Folder, AuditLines.TextsFile).Where(text => text.Status is CompletionStatus.Written).Select(text => JsonSerializer.Serialize(new
        {
            prompt_id = text.PromptId, policy = text.Side is AuditSide.Audited ? "audited" : "base", text = text.Text, log_prob_audited = text.LogProbAudited, finished = text.Finished,
        })));
        File.WriteAllText(preset, (DemoAudit.Spec with { Features = AuditFeatures.Readable, PowerRepeats = 0, Methods = ["max-entropy"] }).ToJson());
        string[] asked = ["audit", "--preset", preset, "--base", DemoAudit.Demo("base"), "--prompts", Path.Combine(demo.Folder, AuditLines.PromptsFile), "--out", output];

        var (refused, _, why) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), asked);
        var (code, said, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), [.. asked, "--completions", completions]);

        Assert.Equal((EngineCommandLine.Failed, true), (refused, why.Contains("--audited: name the folder of the policy", StringComparison.Ordinal)));
        Assert.True(code == 0, errors);
        Assert.Contains("identifiable  NotEnoughEvidence", said, StringComparison.Ordinal);
        var report = AuditReport.FromJson(File.ReadAllBytes(Path.Combine(output, AuditReport.FileName)));
        Assert.Equal(("file", "readable", 40), (report.Provenance.Audited.Source, report.Provenance.Features, report.Census.Pairs));
        Assert.Equal(demo.Report.Pairs, report.Pairs);
        Assert.Empty(AuditLines.Changed(output));
    }

    /// <summary>Ends a run at a step of a phase, as a kill would, or by cancelling it.</summary>
    private sealed class DiesAt(string phase, int step, CancellationTokenSource? stop = null) : Portal.Engine.Recipes.IRecipeProgress
    {
        public void Report(int done, int stepsTotal, string name, double? secondsLeft)
        {
            if (name != phase || done < step)
                return;
            if (stop is null)
                throw new SeenProgress.Killed();
            stop.Cancel();
        }

        public void Metric(string name, int at, double value)
        {
        }

        public void Log(Portal.Data.Jobs.JobEventLevel level, string message)
        {
        }
    }
}
