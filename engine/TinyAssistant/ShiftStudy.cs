using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record ShiftSizes
{
    public EvidenceSizes Evidence { get; init; } = new();

    /// <summary>Votes of the whole crowd before the taste changes.</summary>
    public int Votes { get; init; } = 3_000;

    /// <summary>Votes of those whose taste changed; fewer are the first of more.</summary>
    public IReadOnlyList<int> NewVotes { get; init; } = [25, 50, 100];

    public int SaeSteps { get; init; } = 2_000;

    /// <summary>Test pairs on the new taste, and as many on the rest.</summary>
    public int TestPairs { get; init; } = 4_000;
}

/// <summary>
/// Half of the annotators begin to dislike warm openings. What do 25, 50 or 100 of their votes do to a reward model: as multipliers of a few features, as a head fitted again, or
/// as more rows for a training from the start?
/// </summary>
/// <remarks>
/// The changed half judges by r* with the sign of its term for a warm opening turned; that is also the truth that test pairs are measured by. "New taste": pairs of which exactly one answer opens
/// warmly. "Rest": all others, on which old and new truth agree. New votes are about whatever pairs come up, not about openings only: of 25 some ten differ in one.
/// </remarks>
public sealed class ShiftStudy(string baseFolder, TrainRewardModel preset, ShiftSizes sizes, StudyRun run)
{
    private static readonly ShiftSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 200, NewVotes = [50], SaeSteps = 150, TestPairs = 200,
    };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("shift", "A taste that changes, followed by toggles and by training again.", (run, seed) => Of(run).Run(seed), StudySizes.Option);

    private static ShiftStudy Of(StudyRun run)
    {
        return new ShiftStudy(Path.Combine(run.Assets, "base"), DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward"), StudySizes.Of(run, miniature), run);
    }

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var random = new SeededRandom((ulong)seed).Split("shift");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        var old = world.Preferences(world.Set.JudgeByCrowd(sizes.Votes));
        var fresh = NewVotes(world, random);
        using var reward = ReadableReward.Train("reward", seed, old, world.Texts(), model, tokenizer, preset, ReadableReward.SaeSpec(sizes.SaeSteps), run);
        var test = TestPairs.Of(world, sizes.TestPairs, random.Split("test pairs"));
        var codes = reward.Codes([.. test.Responses.Select(world.TextOf)], run.Stop);
        var newCodes = reward.Codes([.. Sides(fresh)], run.Stop);
        var oldCodes = reward.Codes([.. Sides(old)], run.Stop);

        Add("before, all features as they are", [.. codes.Select(code => reward.Reward(code))]);
        Add("before, reward model", Scores(reward.Full));
        foreach (var count in sizes.NewVotes.Where(count => count <= fresh.Count))
        {
            var some = fresh.Take(count).ToList();
            List<ContrastPair> votes = [.. some.Select((vote, i) => new ContrastPair(vote.PromptKey, 2 * i, 2 * i + 1))];
            var label = $"{count} new votes";
            rows.Add(new StudyRow($"{label}: those that differ in a warm opening", seed, some.Count(vote => IsWarm(world, vote.PromptKey, vote.Chosen) != IsWarm(world, vote.PromptKey, vote.Rejected)), null, null, null));

            var tuned = TunedToggles.Of(reward.Weights, [.. newCodes.Take(2 * count)], votes, seed, run.Stop);
            rows.Add(new StudyRow($"{label}: features toggled", seed, tuned.Multipliers.Count, null, null, null));
            var toggles = Add($"{label}, toggles", [.. codes.Select(code => reward.Reward(code, tuned.Multipliers))]);

            var head = SarmHead.Fit([.. Every(oldCodes, 0), .. Every(newCodes.Take(2 * count), 0)], [.. Every(oldCodes, 1), .. Every(newCodes.Take(2 * count), 1)], reward.Latents, new TrainSarm().HeadL2, run.Stop);
            var refit = Add($"{label}, head fitted again on old and new votes", [.. codes.Select(code => head.Score(code))]);
            var weights = TunedToggles.WholeHead(reward.Weights, newCodes, votes, run.Stop);
            var pulled = Add($"{label}, whole head on the new votes, pulled to the old head", [.. codes.Select(code => code.Dot(weights))]);

            using var retrained = LlamaReward.From(model);
            TrainRewardModelRecipe.Run(preset with { Seed = seed }, retrained, tokenizer, new TrainingSplit<PreferencePair>([.. old, .. some], []), run.Training($"retrained-{count}-{seed}", seed));
            var again = Add($"{label}, reward model trained on old and new votes", Scores(retrained));
            foreach (var (name, other) in new[] { ("the reward model trained again", again), ("the head fitted again", refit), ("the whole head pulled to the old one", pulled) })
            {
                rows.Add(StudyRow.Of($"{label}, toggles less {name}: new taste", seed, PairwiseAccuracy.Difference(toggles.Taste, other.Taste, random.Split($"{label} {name} taste"))));
                rows.Add(StudyRow.Of($"{label}, toggles less {name}: rest", seed, PairwiseAccuracy.Difference(toggles.Others, other.Others, random.Split($"{label} {name} rest"))));
            }
        }
        return rows;

        IReadOnlyList<double> Scores(LlamaReward scored) =>
            new RewardScorer(scored, tokenizer).Score([.. test.Responses.Select(response => (MakeDemo.TurnsOf(world.Prompts[response.PromptId].Turns), response.Text))], run.Stop);

        (PairwiseAccuracyResult Taste, PairwiseAccuracyResult Others) Add(string name, IReadOnlyList<double> scores)
        {
            PairwiseAccuracyResult Measured(IReadOnlyList<TestPair> pairs, string part)
            {
                var accuracy = PairwiseAccuracy.Compute(pairs.Select(pair => new ScoredPair(pair.PromptId, scores[pair.Better] - scores[pair.Worse])), random.Split($"{name} {part}"))
                    ?? throw new CannotTrain("The study has no test pairs: its sizes are too small.");
                rows.Add(StudyRow.Of($"{name}: {part}", seed, accuracy.ByPrompt));
                return accuracy;
            }
            return (Measured(test.Taste, "new taste"), Measured(test.Rest, "rest"));
        }
    }

    /// <summary>Preferences of half the annotators, drawn by lot, after their taste changed; as many as are needed at most.</summary>
    private List<PreferencePair> NewVotes(StudyWorld world, SeededRandom random)
    {
        List<SimulatedAnnotator> everyone = [.. SimulatedAnnotators.All];
        random.Split("who changes").Shuffle(everyone);
        List<SimulatedAnnotator> changed = [.. everyone.Take(everyone.Count / 2).Select(annotator => annotator with { DislikesWarm = true })];
        var most = sizes.NewVotes.Max();
        // A quarter of the verdicts are ties and the like; twice as many pairs leave enough.
        var votes = world.Preferences(world.Set.JudgeBy(changed, 2 * most, "changed taste"));
        random.Split("which votes come first").Shuffle(votes);
        return [.. votes.Take(most)];
    }

    private static IEnumerable<ResponseText> Sides(IReadOnlyList<PreferencePair> votes) =>
        votes.SelectMany(vote => new[] { new ResponseText(vote.PromptKey, vote.Prompt, vote.Chosen), new ResponseText(vote.PromptKey, vote.Prompt, vote.Rejected) });

    private static IEnumerable<SparseVector> Every(IEnumerable<SparseVector> codes, int side) => codes.Where((_, i) => i % 2 == side);

    private static bool IsWarm(StudyWorld world, string prompt, string text) => Grader.Read(world.Prompts[prompt].Turns, text).Opening is OpeningTone.Warm;

    /// <summary>Two test answers, the one that the new truth prefers first.</summary>
    private readonly record struct TestPair(string PromptId, int Better, int Worse);

    private sealed record TestPairs(IReadOnlyList<WorldResponse> Responses, IReadOnlyList<TestPair> Taste, IReadOnlyList<TestPair> Rest)
    {
        public static TestPairs Of(StudyWorld world, int most, SeededRandom random)
        {
            var responses = world.ResponsesTo(world.Set.Test);
            GraderReading[] readings = [.. responses.Select(world.Reading)];
            double[] truth = [.. readings.Select(TruthScorer.ScoreDislikingWarm)];
            var (taste, rest) = (new List<TestPair>(), new List<TestPair>());
            foreach (var prompt in Enumerable.Range(0, responses.Count).GroupBy(i => responses[i].PromptId))
            {
                int[] own = [.. prompt];
                for (var i = 0; i < own.Length; i++)
                {
                    for (var j = i + 1; j < own.Length; j++)
                    {
                        var (one, other) = truth[own[i]] > truth[own[j]] ? (own[i], own[j]) : (own[j], own[i]);
                        if (truth[one] - truth[other] >= StudyWorld.DifferenceMin)
                            ((readings[one].Opening is OpeningTone.Warm) != (readings[other].Opening is OpeningTone.Warm) ? taste : rest).Add(new TestPair(prompt.Key, one, other));
                    }
                }
            }
            random.Shuffle(taste);
            random.Shuffle(rest);
            return new TestPairs(responses, [.. taste.Take(most)], [.. rest.Take(most)]);
        }
    }
}
