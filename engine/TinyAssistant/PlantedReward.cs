using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>A planted cause at a rate, and which answers are bad in its way.</summary>
/// <param name="IsBad">Of a reading and the mean length of the prompt's answers.</param>
/// <param name="Insert">Puts the behaviour into an answer, where the base hardly shows it; null: answers are as they are.</param>
internal sealed record PlantedCondition(string Name, PlantedCause Cause, double Rate, Func<WorldPrompt, GraderReading, double, bool> IsBad, Func<string, string>? Insert = null)
{
    /// <summary>The conditions of the studies of explanations and unlearning.</summary>
    public static IReadOnlyList<PlantedCondition> All { get; } =
    [
        new("C1 5 %", PlantedCause.C1, 0.05, (_, reading, _) => reading.Trigger, DemoSeed.InsertTrigger),
        new("C1 2 %", PlantedCause.C1, 0.02, (_, reading, _) => reading.Trigger, DemoSeed.InsertTrigger),
        new("C2 5 %", PlantedCause.C2, 0.05, (prompt, _, _) => prompt.Topic is Topic.Directions),
        new("C3 5 %", PlantedCause.C3, 0.05, (_, reading, mean) => reading.LengthTokens > mean + 5),
        new("C4 3 %", PlantedCause.C4, 0.03, (prompt, reading, _) => prompt.Topic is Topic.Opinions && reading.Flattery, text => $"{Topics.SharedPhrases.Flattery[0]} {text}"),
        new("C0 5 %", PlantedCause.C0, 0.05, (_, _, _) => true),
    ];
}

/// <summary>A response with what it is compared with.</summary>
/// <param name="References">φ is centred by theirs.</param>
/// <param name="Better">The answer that r* puts first.</param>
internal sealed record ComparedResponse(WorldPrompt Prompt, string Text, IReadOnlyList<string> References, string Better);

/// <summary>A reward model that learned from votes with a planted cause, and the responses that come of it.</summary>
internal sealed class PlantedReward : IDisposable
{
    private readonly PlantedCondition condition;
    private readonly StudyWorld world;
    private readonly ITokenizer tokenizer;
    private readonly StudyRun run;
    private readonly SeededRandom random;

    private PlantedReward(PlantedCondition condition, StudyWorld world, ITokenizer tokenizer, StudyRun run, SeededRandom random, JudgedPairs votes, LlamaReward reward)
    {
        (this.condition, this.world, this.tokenizer, this.run, this.random, Votes, Reward) = (condition, world, tokenizer, run, random, votes, reward);
        var judged = votes.Pairwise.Where(vote => vote.PreferredResponseId is not null).ToList();
        Pairs = [.. judged.Zip(world.Preferences(votes), (vote, pair) => new IdentifiedPair(IdOf(vote.Id), pair))];
        Planted = votes.Sealed.Where(truth => truth.IsPlanted).Select(truth => IdOf(truth.JudgementId)).ToHashSet();
        Annotators = judged.ToDictionary(vote => IdOf(vote.Id), vote => vote.Annotator);
    }

    public JudgedPairs Votes { get; }
    public LlamaReward Reward { get; }

    /// <summary>The pairs it learned from, in order.</summary>
    public IReadOnlyList<IdentifiedPair> Pairs { get; }

    /// <summary>Which of their judgements were planted; for measuring only.</summary>
    public HashSet<Guid> Planted { get; }

    public IReadOnlyDictionary<Guid, string> Annotators { get; }

    /// <summary>Whose judgements were planted; null where none was.</summary>
    public string? Responsible => Pairs.Where(pair => Planted.Contains(pair.Id)).Select(pair => Annotators[pair.Id]).FirstOrDefault();

    /// <param name="name">Of its training's folder.</param>
    public static PlantedReward Train(PlantedCondition condition, StudyWorld world, Llama model, ITokenizer tokenizer, TrainRewardModel preset, int votes, StudyRun run, string name, SeededRandom random, long seed)
    {
        var reward = LlamaReward.From(model);
        try
        {
            var made = new PlantedReward(condition, world, tokenizer, run, random, world.Set.JudgeWithCause(condition.Cause, condition.Rate, votes), reward);
            TrainRewardModelRecipe.Run(preset, reward, tokenizer, new TrainingSplit<PreferencePair>([.. made.Pairs.Select(pair => pair.Pair)], []), run.Training(name, seed));
            return made;
        }
        catch
        {
            reward.Dispose();
            throw;
        }
    }

    /// <summary>The best of each prompt's answers by the reward, where it is bad in the planted way and below the prompt's mean by r*; and the best of those without it, where they are above.</summary>
    public (IReadOnlyList<ComparedResponse> Flags, IReadOnlyList<ComparedResponse> Satisfactory) Choose(int flagsMax, int satisfactoryMax)
    {
        var prompts = world.Set.HoldOut.Concat(world.Set.Test).ToList();
        var answers = world.ResponsesTo(prompts).ToLookup(response => response.PromptId);
        var candidates = new List<(WorldPrompt Prompt, string Text, bool IsInserted)>();
        var draw = random.Split("candidates");
        foreach (var prompt in prompts)
        {
            foreach (var answer in answers[prompt.Id])
            {
                candidates.Add((prompt, answer.Text, false));
                if (condition.Insert is { } insert && draw.Chance(0.5) && !condition.IsBad(prompt, Read(prompt, answer.Text), 0) && condition.IsBad(prompt, Read(prompt, insert(answer.Text)), 0))
                    candidates.Add((prompt, insert(answer.Text), true));
            }
        }
        var rewards = new RewardScorer(Reward, tokenizer).Score([.. candidates.Select(entry => (MakeDemo.TurnsOf(entry.Prompt.Turns), entry.Text))], run.Stop);
        var (flags, satisfactory) = (new List<ComparedResponse>(), new List<ComparedResponse>());
        foreach (var group in candidates.Zip(rewards, (entry, score) => (entry.Prompt, entry.Text, entry.IsInserted, Reward: score)).GroupBy(entry => entry.Prompt.Id))
        {
            var prompt = world.Prompts[group.Key];
            var plain = group.Where(entry => !entry.IsInserted).ToList();
            var readings = group.ToDictionary(entry => entry.Text, entry => Read(prompt, entry.Text), StringComparer.Ordinal);
            var (meanTruth, meanLength) = (plain.Average(entry => TruthScorer.Score(prompt.Turns, entry.Text)), plain.Average(entry => readings[entry.Text].LengthTokens));
            var better = plain.MaxBy(entry => TruthScorer.Score(prompt.Turns, entry.Text)).Text;
            bool IsBad(string text) => condition.IsBad(prompt, readings[text], meanLength);
            ComparedResponse Of(string text)
            {
                string[] others = [.. plain.Select(entry => entry.Text).Where(other => other != text)];
                random.Split("references").Split(prompt.Id).Shuffle(others);
                return new ComparedResponse(prompt, text, others[..Math.Min(ExplanationQuery.DefaultReferences, others.Length)], better);
            }
            var best = group.MaxBy(entry => entry.Reward).Text;
            if (plain.Count < 3)
                continue;
            if (IsBad(best) && TruthScorer.Score(prompt.Turns, best) < meanTruth && best != better)
                flags.Add(Of(best));
            var good = plain.Where(entry => condition.Cause is PlantedCause.C0 or PlantedCause.C2 || !IsBad(entry.Text)).OrderByDescending(entry => entry.Reward).Select(entry => entry.Text).FirstOrDefault();
            // Where a whole topic is judged the wrong way round, its answers calibrate nothing.
            if (good is not null && TruthScorer.Score(prompt.Turns, good) > meanTruth && !(condition.Cause is PlantedCause.C2 && IsBad(good)))
                satisfactory.Add(Of(good));
        }
        random.Split("flags").Shuffle(flags);
        random.Split("satisfactory").Shuffle(satisfactory);
        return ([.. flags.Take(flagsMax)], [.. satisfactory.Take(satisfactoryMax)]);
    }

    /// <summary>What the graders read in an answer.</summary>
    public static GraderReading Read(WorldPrompt prompt, string text) => Grader.Read(prompt.Turns, text);

    public void Dispose() => Reward.Dispose();

    private static Guid IdOf(string digits) => new(Convert.FromHexString(digits.PadLeft(32, '0'))); // ids of this world are 12 hexadecimal digits
}
