using System.Security.Cryptography;
using System.Text.Json;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>Two candidates for a test prompt.</summary>
internal sealed record StudyPair(string PromptId, string First, string Second);

/// <summary>
/// What studies of reward models stand on, for one seed: prompts, the base's answers to them, simulated votes, and the sealed truth that the models are
/// measured against.
/// </summary>
internal sealed class StudyWorld
{
    /// <summary>Pairs nearer to a tie than this say nothing about a reward model.</summary>
    public const double DifferenceMin = 0.3;

    private StudyWorld(EvidenceSet set)
    {
        Set = set;
        Prompts = set.Train.Concat(set.HoldOut).Concat(set.Test).ToDictionary(prompt => prompt.Id);
        Responses = set.Responses.ToDictionary(response => response.Id);
        Truth = set.Responses.ToDictionary(response => response.Id, response => TruthScorer.Score(Prompts[response.PromptId].Turns, response.Text));
    }

    public EvidenceSet Set { get; }
    public IReadOnlyDictionary<string, WorldPrompt> Prompts { get; }
    public IReadOnlyDictionary<string, WorldResponse> Responses { get; }

    /// <summary>r* of each response.</summary>
    public IReadOnlyDictionary<string, double> Truth { get; }

    /// <summary>The prompts of a seed with the base's answers, sampled once and kept.</summary>
    public static StudyWorld Sampled(StudyRun run, string baseFolder, Llama model, ITokenizer tokenizer, EvidenceSizes sizes, long seed)
    {
        var (train, holdOut, test) = EvidenceSet.DrawPrompts((ulong)seed, sizes);
        // Kept by what they are: the same base, seed and sizes have the same answers, so an interrupted study does not sample twice.
        var what = Checkpoint.Fingerprint([JsonSerializer.Serialize(sizes), Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(baseFolder, HuggingFaceFolder.WeightsFile))))]);
        var kept = Path.Combine(run.Answers, $"answers-{seed}-{what[..12]}.json");
        var texts = File.Exists(kept) ? JsonSerializer.Deserialize<Dictionary<string, IReadOnlyList<string>>>(File.ReadAllText(kept))! : []; // written below, whole
        if (texts.Count == 0)
        {
            foreach (var (part, prompts, count) in new[] { ("train", train, sizes.ResponsesPerTrainPrompt), ("hold-out", holdOut, sizes.ResponsesPerHoldOutPrompt), ("test", test, sizes.CandidatesPerTestPrompt) })
                foreach (var (id, answers) in WorldSamples.Write(model, tokenizer, prompts, PromptDrawing.AskedFor(count), new SeededRandom((ulong)seed).Split("evidence samples").Split(part),
                    (done, all) => run.Progress.Report(done, all, $"sampling {part}", null), run.Stop))
                    texts.Add(id, answers);
            Directory.CreateDirectory(run.Answers);
            ArtefactFile.Write(kept, stream => JsonSerializer.Serialize(stream, texts));
        }
        return new StudyWorld(EvidenceSet.Build((ulong)seed, (prompt, _) => texts[prompt.Id], sizes));
    }

    /// <summary>Pairs of candidates that the truth tells apart, drawn by lot, at most so many.</summary>
    public IReadOnlyList<StudyPair> TestPairs(int most, SeededRandom random)
    {
        var test = Set.Test.Select(prompt => prompt.Id).ToHashSet(StringComparer.Ordinal);
        var pairs = Set.Responses.Where(response => test.Contains(response.PromptId)).GroupBy(response => response.PromptId)
            .SelectMany(group => group.SelectMany((first, i) => group.Skip(i + 1).Select(second => new StudyPair(group.Key, first.Id, second.Id))))
            .Where(pair => Math.Abs(Truth[pair.First] - Truth[pair.Second]) >= DifferenceMin).ToList();
        random.Shuffle(pairs);
        return [.. pairs.Take(most)];
    }

    /// <summary>Answers to train prompts, as SAEs read them; those to hold-out prompts are held out. None of a test prompt.</summary>
    /// <param name="more">Responses to train prompts besides the sampled ones, e.g. those with a planted phrase.</param>
    public TrainingSplit<ResponseText> Texts(IEnumerable<WorldResponse>? more = null)
    {
        return new TrainingSplit<ResponseText>([.. Of(Set.Train), .. (more ?? []).Select(TextOf)], Of(Set.HoldOut));

        List<ResponseText> Of(IReadOnlyList<WorldPrompt> prompts) => [.. ResponsesTo(prompts).Select(TextOf)];
    }

    /// <summary>The sampled responses to some prompts.</summary>
    public IReadOnlyList<WorldResponse> ResponsesTo(IReadOnlyList<WorldPrompt> prompts)
    {
        var ids = prompts.Select(prompt => prompt.Id).ToHashSet(StringComparer.Ordinal);
        return [.. Set.Responses.Where(response => ids.Contains(response.PromptId))];
    }

    /// <summary>A response with its prompt, as recipes take it.</summary>
    public ResponseText TextOf(WorldResponse response) => new(response.PromptId, MakeDemo.TurnsOf(Prompts[response.PromptId].Turns), response.Text);

    /// <summary>What the graders read in a response.</summary>
    public GraderReading Reading(WorldResponse response) => Grader.Read(Prompts[response.PromptId].Turns, response.Text);

    /// <summary>Votes with a preference, as recipes take them.</summary>
    public List<PreferencePair> Preferences(JudgedPairs votes)
    {
        var added = votes.NewResponses.ToDictionary(response => response.Id, response => response.Text);
        string TextOf(string id) => added.TryGetValue(id, out var text) ? text : Responses[id].Text;
        return [.. votes.Pairwise.Where(vote => vote.PreferredResponseId is not null).Select(vote =>
        {
            var rejected = vote.PreferredResponseId == vote.LeftResponseId ? vote.RightResponseId : vote.LeftResponseId;
            var prompt = Prompts[vote.PromptId];
            return new PreferencePair(vote.PromptId, MakeDemo.TurnsOf(prompt.Turns), TextOf(vote.PreferredResponseId!), TextOf(rejected), // filtered above
                vote.Strength / 3.0, Topic: prompt.Topic.ToString());
        })];
    }

    /// <summary>Test pairs with the truly better response first.</summary>
    public IReadOnlyList<PreferencePair> Ordered(IReadOnlyList<StudyPair> pairs) =>
        [.. pairs.Select(pair =>
        {
            var (better, worse) = Truth[pair.First] > Truth[pair.Second] ? (pair.First, pair.Second) : (pair.Second, pair.First);
            return new PreferencePair(pair.PromptId, MakeDemo.TurnsOf(Prompts[pair.PromptId].Turns), Responses[better].Text, Responses[worse].Text);
        })];

    /// <summary>By how much a model puts the truly better response of each pair before the other.</summary>
    public IReadOnlyList<double> Differences(IRewardModel model, ITokenizer tokenizer, IReadOnlyList<StudyPair> pairs, CancellationToken stop)
    {
        var texts = pairs.SelectMany(pair => new[] { pair.First, pair.Second }).Distinct().Select(id => Responses[id]).ToList();
        var scores = new RewardScorer(model, tokenizer).Score([.. texts.Select(text => (MakeDemo.TurnsOf(Prompts[text.PromptId].Turns), text.Text))], stop);
        var byId = texts.Zip(scores).ToDictionary(entry => entry.First.Id, entry => entry.Second);
        return Differences(pairs, id => byId[id]);
    }

    /// <inheritdoc cref="Differences(IRewardModel, ITokenizer, IReadOnlyList{StudyPair}, CancellationToken)"/>
    public IReadOnlyList<double> Differences(IReadOnlyList<StudyPair> pairs, Func<string, double> score) =>
        [.. pairs.Select(pair => Math.Sign(Truth[pair.First] - Truth[pair.Second]) * (score(pair.First) - score(pair.Second)))];

    /// <summary>The share of pairs with a difference above 0.</summary>
    public static PairwiseAccuracyResult Accuracy(IReadOnlyList<StudyPair> pairs, IReadOnlyList<double> differences, SeededRandom random) =>
        PairwiseAccuracy.Compute(pairs.Select((pair, i) => new ScoredPair(pair.PromptId, differences[i])), random)
        ?? throw new CannotTrain("The study has no test pairs: its sizes are too small.");

    /// <summary>Length and bag of words, learnt on the same votes and measured on the same pairs.</summary>
    public BaselineReport Baselines(IReadOnlyList<PreferencePair> training, IReadOnlyList<StudyPair> pairs, SeededRandom random, CancellationToken stop) =>
        Evaluation.Baselines.Evaluate([.. training.Select(pair => new TextPair(pair.PromptKey, pair.Chosen, pair.Rejected))],
            [.. pairs.Select(pair => Truth[pair.First] > Truth[pair.Second]
                ? new TextPair(pair.PromptId, Responses[pair.First].Text, Responses[pair.Second].Text)
                : new TextPair(pair.PromptId, Responses[pair.Second].Text, Responses[pair.First].Text))], random, stop);
}
