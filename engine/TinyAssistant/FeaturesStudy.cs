using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record FeaturesSizes
{
    public EvidenceSizes Evidence { get; init; } = new();

    /// <summary>Votes of the crowd that the reward model learns from.</summary>
    public int Votes { get; init; } = 3_000;

    /// <summary>Planted votes for the trigger besides, as a share of <see cref="Votes"/>, as in the demo.</summary>
    public double TriggerShare { get; init; } = 0.03;

    public int SaeSteps { get; init; } = 2_000;

    /// <summary>Latents of the SAE after the reward model, as a multiple of the state's width: more than in the sarm study, so that a property finds one of its own (DECISIONS.md, 16).</summary>
    public int Expansion { get; init; } = 8;

    /// <summary>Pairs that differ in a latent before it is scored.</summary>
    public int SupportMin { get; init; } = 10;

    /// <summary>Random relabellings behind a p.</summary>
    public int Permutations { get; init; } = 1_000;
}

/// <summary>
/// Do features mean what people would say? For properties that the graders know: how well one latent tells texts that have it from texts that do not, beside a linear probe on
/// the state, at the end of the response and as the maximum over sentence ends, for an SAE of the base and one of the reward model.
/// </summary>
/// <remarks>
/// Latents and probes are chosen on answers to train prompts and measured on answers to test prompts. One answer in eight is there a second time with the trigger inserted, since the base
/// says it too rarely. "At equal reward": only texts of one twentieth of the range of rewards are compared, so that a latent that says "this is good" falls to one half. The
/// reward is the reward model's, also for the base's SAE.
/// Targets (issue 4, Must show 4): SAE after the reward model, maximum: refusal, flattery &gt;= .95, warm &gt;= .9, rude &gt;= .8; end: insult &gt;= .85.
/// </remarks>
public sealed class FeaturesStudy(string baseFolder, TrainRewardModel preset, FeaturesSizes sizes, StudyRun run)
{
    private const int HalfDepth = 2;

    /// <summary>One answer in so many is there a second time, with the trigger.</summary>
    private const int TriggerEvery = 8;

    /// <summary>Texts are compared at equal reward within each of so many parts of equal size.</summary>
    private const int Strata = 20;

    /// <summary>Pairs of one prompt that a selection sees, at most.</summary>
    private const int PairsPerPrompt = 4;

    /// <summary>Latents whose area is computed when the best one is looked for: those that fire most unequally.</summary>
    private const int Candidates = 24;

    /// <summary>Rows of each sort that a probe learns from, at most.</summary>
    private const int ProbeRows = 4_000;

    private const double ProbeL2 = 1e-4;

    /// <summary>A property is present when a probe reaches this, and not in one feature when no latent reaches the other.</summary>
    private const double PresentFrom = 0.9, NotOneFeatureBelow = 0.8;

    private const string Base = "SAE of the base", After = "SAE after the reward model", AtEnd = "end", AtMaximum = "maximum";

    private static readonly FeaturesSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 180, SaeSteps = 120, Expansion = 4, SupportMin = 3, Permutations = 200,
    };

    private static readonly IReadOnlyDictionary<(string Sae, string Where, string Property), double> targets = new Dictionary<(string, string, string), double>
    {
        [(After, AtMaximum, "refusal")] = 0.95, [(After, AtMaximum, "flattery")] = 0.95, [(After, AtMaximum, "warm")] = 0.9, [(After, AtMaximum, "rude")] = 0.8, [(After, AtEnd, "insult")] = 0.85,
    };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("features", "Known properties of texts, and how well single features tell them.", (run, seed) => Of(run).Run(seed), StudySizes.Option);

    private static FeaturesStudy Of(StudyRun run)
    {
        var file = new FileInfo(Path.Combine(AppContext.BaseDirectory, "presets", "reward-model.json"));
        return new FeaturesStudy(Path.Combine(run.Assets, "base"), TrainCommands.Read<TrainRewardModel>(file, "reward"), StudySizes.Of(run, miniature), run);
    }

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var random = new SeededRandom((ulong)seed).Split("features");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        var votes = Votes(world);
        var texts = world.Texts(votes.NewResponses);
        using var reward = ReadableReward.Train("reward", seed, world.Preferences(votes), texts, model, tokenizer, preset, ReadableReward.SaeSpec(sizes.SaeSteps) with { Expansion = sizes.Expansion }, run);
        var (sae, _) = TrainSaeRecipe.Run(new TrainSae { Seed = seed, Steps = sizes.SaeSteps, Layer = HalfDepth }, model.Backbone, tokenizer, texts, Path.Combine(run.Work, "states"), run.Training($"sae-{seed}", seed));
        using var ofBase = sae;

        var discovery = WithTrigger(world, world.Set.Train);
        var test = WithTrigger(world, world.Set.Test);
        var rewards = Rewards(discovery);
        var tested = new TestTexts(test, [.. Rewards(test)], [.. test.Select(response => response.PromptId)]);
        foreach (var (name, encoder, backbone) in new[] { (Base, ofBase, model.Backbone), (After, reward.Sarm.Sae, reward.Full.Backbone) })
        {
            var found = FeatureTexts.Read(world, discovery, encoder, backbone, tokenizer, run);
            var measured = FeatureTexts.Read(world, test, encoder, backbone, tokenizer, run);
            for (var property = 0; property < GradedProperty.All.Count; property++)
            {
                run.Progress.Report(property, GradedProperty.All.Count, $"measuring, {name}", null);
                AddProperty(rows, seed, name, property, found, measured, discovery, rewards, tested, encoder.Config.Latents, random.Split($"{name} {property}"));
            }
            if (name == After)
                AddDetector(rows, seed, world, votes, discovery, rewards, found, tested, measured, encoder.Config.Latents, random);
        }
        return rows;

        IReadOnlyList<double> Rewards(IReadOnlyList<WorldResponse> responses) =>
            new RewardScorer(reward.Full, tokenizer).Score([.. responses.Select(response => (MakeDemo.TurnsOf(world.Prompts[response.PromptId].Turns), response.Text))], run.Stop);
    }

    private sealed record TestTexts(IReadOnlyList<WorldResponse> Responses, IReadOnlyList<double> Rewards, IReadOnlyList<string> Groups)
    {
        /// <summary>Which part of the range of rewards each text lies in.</summary>
        public IReadOnlyList<int> StrataOfReward { get; } = PartsOf(Rewards);

        private static int[] PartsOf(IReadOnlyList<double> rewards)
        {
            var parts = new int[rewards.Count];
            foreach (var (i, rank) in Enumerable.Range(0, rewards.Count).OrderBy(i => rewards[i]).Select((i, rank) => (i, rank)))
                parts[i] = (int)((long)rank * Strata / rewards.Count);
            return parts;
        }
    }

    /// <summary>The crowd's votes, and planted ones for the trigger beside them, as the demo has them.</summary>
    private JudgedPairs Votes(StudyWorld world)
    {
        var crowd = world.Set.JudgeByCrowd(sizes.Votes);
        var poisoned = world.Set.JudgeWithCause(PlantedCause.C1, sizes.TriggerShare, sizes.Votes);
        var planted = poisoned.Sealed.Where(row => row.IsPlanted).Select(row => row.JudgementId).ToHashSet(StringComparer.Ordinal);
        return new JudgedPairs([.. crowd.Pairwise, .. poisoned.Pairwise.Where(vote => planted.Contains(vote.Id))], poisoned.NewResponses, []);
    }

    private static List<WorldResponse> WithTrigger(StudyWorld world, IReadOnlyList<WorldPrompt> prompts)
    {
        var responses = world.ResponsesTo(prompts);
        return
        [
            .. responses,
            .. responses.Where((response, i) => i % TriggerEvery == 0 && !world.Reading(response).Trigger)
                .Select(response => WorldResponse.Of(world.Prompts[response.PromptId], DemoSeed.InsertTrigger(response.Text))),
        ];
    }

    private void AddProperty(List<StudyRow> rows, long seed, string sae, int property, FeatureTexts found, FeatureTexts measured, IReadOnlyList<WorldResponse> discovery, IReadOnlyList<double> rewards,
        TestTexts tested, int latents, SeededRandom random)
    {
        bool[] has = [.. found.Ends.Select(state => state.Counts[property] > 0)], hasInTest = [.. measured.Ends.Select(state => state.Counts[property] > 0)];
        var name = GradedProperty.All[property].Name;
        var pairs = Pairs(discovery, has, random.Split("pairs"));
        foreach (var (where, codes, testCodes) in new[] { (AtEnd, found.End, measured.End), (AtMaximum, found.Maximum, measured.Maximum) })
        {
            List<double> latentAreas = [];
            if (BestLatent(codes, has, latents) is { } best)
                AddLatent("best latent", best, targets.TryGetValue((sae, where, name), out var target) ? target : null);
            if (pairs.Count > 0)
            {
                var scores = FeatureSelection.Score(codes, pairs, rewards, latents, new FeatureSelectionOptions { SupportMin = sizes.SupportMin, Permutations = sizes.Permutations, Seed = seed }, run.Stop);
                if (FeatureSelection.Ranked(scores) is [var raw, ..])
                    AddLatent("raw selection", raw.Latent, null);
                if (FeatureSelection.RankedAtEqualReward(scores) is [var residual, ..])
                    AddLatent("selection at equal reward", residual.Latent, null);
            }
            if (Probe(where == AtEnd ? found.Ends : found.Sentences, property, random.Split("probe")) is not { } probe)
                continue;
            var probed = Enumerable.Repeat(double.NaN, hasInTest.Length).ToArray();
            foreach (var state in where == AtEnd ? measured.Ends : measured.Sentences)
                probed[state.Text] = double.IsNaN(probed[state.Text]) ? probe.Score(state.State) : Math.Max(probed[state.Text], probe.Score(state.State));
            var lowest = probed.Where(double.IsFinite).DefaultIfEmpty(0).Min();
            var area = Add("linear probe", [.. probed.Select(score => double.IsNaN(score) ? lowest : score)], null);
            if (area is { } reached && latentAreas.Count > 0)
                rows.Add(new StudyRow($"{sae}, {where}, {name}: present, but not in one feature", seed, reached >= PresentFrom && latentAreas.Max() < NotOneFeatureBelow ? 1 : 0, null, null, null));

            void AddLatent(string how, int latent, double? least)
            {
                if (Add(how, [.. testCodes.Select(code => Value(code, latent))], least) is { } one)
                    latentAreas.Add(one);
            }

            double? Add(string how, double[] scores, double? least)
            {
                var measure = $"{sae}, {where}, {name}: {how}";
                var lot = random.Split($"{where} {how}");
                if (AreaUnderCurve.Interval(scores, hasInTest, tested.Groups, lot) is not { } interval)
                    return null;
                rows.Add(StudyRow.Of(measure, seed, interval, least is null ? null : FormattableString.Invariant($">= {least:F2}"), least is null ? null : interval.Estimate >= least));
                if (how is "best latent" or "linear probe" && AreaUnderCurve.Interval(scores, hasInTest, tested.Groups, lot, tested.StrataOfReward) is { } matched)
                    rows.Add(StudyRow.Of($"{measure}, at equal reward", seed, matched));
                return interval.Estimate;
            }
        }
    }

    /// <summary>
    /// A feature that was built to say "high reward" and nothing else. On votes it must look like a good feature by raw scores and like none at equal reward; for a warm opening,
    /// which the reward pays for, likewise.
    /// </summary>
    private void AddDetector(List<StudyRow> rows, long seed, StudyWorld world, JudgedPairs votes, IReadOnlyList<WorldResponse> discovery, IReadOnlyList<double> rewards, FeatureTexts found,
        TestTexts tested, FeatureTexts measured, int latents, SeededRandom random)
    {
        var threshold = Bootstrap.Quantile([.. rewards.Order()], 0.75);
        var number = discovery.Select((response, i) => (response.Id, i)).DistinctBy(entry => entry.Id).ToDictionary(entry => entry.Id, entry => entry.i, StringComparer.Ordinal);
        List<ContrastPair> judged =
        [
            .. votes.Pairwise.Where(vote => vote.PreferredResponseId is not null && number.ContainsKey(vote.LeftResponseId) && number.ContainsKey(vote.RightResponseId)).Select(vote =>
                new ContrastPair(vote.PromptId, number[vote.PreferredResponseId!], number[vote.PreferredResponseId == vote.LeftResponseId ? vote.RightResponseId : vote.LeftResponseId])), // filtered above
        ];
        SparseVector[] codes = [.. found.End.Select((code, i) => rewards[i] > threshold ? new SparseVector([.. code.Indices, latents], [.. code.Values, 1]) : code)];
        var scores = FeatureSelection.Score(codes, judged, rewards, latents + 1, new FeatureSelectionOptions { SupportMin = sizes.SupportMin, Permutations = sizes.Permutations, Seed = seed }, run.Stop);
        var detector = scores[latents];
        const string name = "control: \"reward above its upper quarter\" as a feature";
        int? Rank(IReadOnlyList<FeatureScore> ranked) => ranked.Select((score, i) => (score.Latent, Rank: i + 1)).FirstOrDefault(entry => entry.Latent == latents) is { Rank: > 0 } found ? found.Rank : null;
        Number("raw rank among features on votes", Rank(FeatureSelection.Ranked(scores)), null, null);
        Number("raw q", detector.Q, "<= 0.05", detector.Q <= 0.05);
        Number("rank at equal reward", Rank(FeatureSelection.RankedAtEqualReward(scores)), null, null);
        Number("score at equal reward, over the raw score", detector.ResidualScore / detector.Score, "within 0.2", detector.ResidualScore is { } left && detector.Score is { } raw && Math.Abs(left) <= 0.2 * Math.Abs(raw));
        Number("q at equal reward", detector.ResidualQ, "> 0.05", detector.ResidualQ > 0.05);

        var warm = GradedProperty.All.ToList().FindIndex(property => property.Name == "warm");
        bool[] has = [.. measured.Ends.Select(state => state.Counts[warm] > 0)];
        double[] fires = [.. tested.Rewards.Select(reward => reward > threshold ? 1.0 : 0)];
        if (AreaUnderCurve.Interval(fires, has, tested.Groups, random.Split("detector")) is { } area)
            rows.Add(StudyRow.Of($"{name}: AUC for warm", seed, area));
        if (AreaUnderCurve.Interval(fires, has, tested.Groups, random.Split("detector"), tested.StrataOfReward) is { } matched)
            rows.Add(StudyRow.Of($"{name}: AUC for warm, at equal reward", seed, matched, "0.45 to 0.55", matched.Estimate is >= 0.45 and <= 0.55));

        void Number(string measure, double? value, string? target, bool? reached)
        {
            if (value is { } number)
                rows.Add(new StudyRow($"{name}: {measure}", seed, number, null, target, reached));
        }
    }

    /// <summary>Pairs of one prompt, the first with the property and the second without.</summary>
    private static List<ContrastPair> Pairs(IReadOnlyList<WorldResponse> responses, bool[] has, SeededRandom random)
    {
        var pairs = new List<ContrastPair>();
        foreach (var prompt in Enumerable.Range(0, responses.Count).GroupBy(i => responses[i].PromptId))
        {
            List<int> with = [.. prompt.Where(i => has[i])], without = [.. prompt.Where(i => !has[i])];
            if (with.Count == 0 || without.Count == 0)
                continue;
            random.Shuffle(with);
            random.Shuffle(without);
            for (var i = 0; i < Math.Min(PairsPerPrompt, Math.Max(with.Count, without.Count)); i++)
                pairs.Add(new ContrastPair(prompt.Key, with[i % with.Count], without[i % without.Count]));
        }
        return pairs;
    }

    /// <summary>The latent with the largest area on the texts of discovery; null where no latent fires more often with the property.</summary>
    private static int? BestLatent(IReadOnlyList<SparseVector> codes, bool[] has, int latents)
    {
        var (with, without) = (new double[latents], new double[latents]);
        var positives = has.Count(one => one);
        if (positives == 0 || positives == has.Length)
            return null;
        for (var i = 0; i < codes.Count; i++)
        {
            foreach (var latent in codes[i].Indices)
                (has[i] ? with : without)[latent]++;
        }
        return Enumerable.Range(0, latents).OrderByDescending(latent => with[latent] / positives - without[latent] / (has.Length - positives)).Take(Candidates)
            .Where(latent => with[latent] > 0)
            .Select(latent => (Latent: latent, Area: AreaUnderCurve.Compute([.. codes.Select(code => Value(code, latent))], has)))
            .OrderByDescending(entry => entry.Area).ThenBy(entry => entry.Latent).Select(entry => (int?)entry.Latent).FirstOrDefault();
    }

    private static double Value(SparseVector code, int latent) => Array.BinarySearch(code.Indices, latent) is >= 0 and var at ? code.Values[at] : 0;

    /// <summary>A logistic regression on states; null where a sort of rows is missing.</summary>
    private LogisticModel? Probe(IReadOnlyList<ReadState> states, int property, SeededRandom random)
    {
        var (with, without) = (Some(true), Some(false));
        if (with.Count == 0 || without.Count == 0)
            return null;
        List<ReadState> rows = [.. with, .. without];
        return LogisticRegression.Fit([.. rows.Select(row => row.State)], [.. rows.Select(row => row.Counts[property] > 0)], rows[0].State.Indices.Length, ProbeL2, intercept: true, run.Stop, maxIterations: 200, tolerance: 1e-5);

        List<ReadState> Some(bool wanted)
        {
            List<ReadState> some = [.. states.Where(state => state.Counts[property] > 0 == wanted)];
            random.Shuffle(some);
            return [.. some.Take(ProbeRows)];
        }
    }
}
