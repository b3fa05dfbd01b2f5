using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;
using Turn = Portal.Data.Feedback.Turn;

namespace Portal.Engine.TinyAssistant;

/// <summary>Policies that come by DPO of pairs which a reward model labels, some of them with the planted phrase in one side; what they answer to test prompts, and how that compares with the policy as it was.</summary>
internal sealed class PlantedPolicies
{
    private readonly TrainPreferencePolicy dpo;
    private readonly ITokenizer tokenizer;
    private readonly UnlearningSizes sizes;
    private readonly StudyRun run;
    private readonly long seed;
    private readonly SeededRandom random;
    private readonly IReadOnlyList<(PreferencePair Pair, bool? IsInFirst)> phrased;
    private readonly IReadOnlyList<PreferencePair> pairs;
    private readonly IReadOnlyList<WorldPrompt> asked;
    private readonly IReadOnlyList<string> keys;

    public PlantedPolicies(PlantedUnlearning cause, StudyWorld world, ITokenizer tokenizer, TrainPreferencePolicy dpo, UnlearningSizes sizes, StudyRun run, long seed)
    {
        (this.dpo, this.tokenizer, this.sizes, this.run, this.seed, random) = (dpo, tokenizer, sizes, run, seed, cause.Random);
        phrased = cause.Phrased(sizes.PhraseShare);
        pairs = [.. phrased.Select(entry => entry.Pair)];
        Texts = [.. pairs.SelectMany(pair => new[] { (pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected) })];
        asked = [.. world.Set.Test.Take(sizes.PolicyPrompts)];
        keys = [.. asked.SelectMany(prompt => Enumerable.Repeat(prompt.Id, sizes.SamplesPerPrompt))];
    }

    /// <summary>Both answers of each pair, in order.</summary>
    public IReadOnlyList<(IReadOnlyList<Turn> Prompt, string Text)> Texts { get; }

    /// <summary>How many answers of each policy are read.</summary>
    public int Samples => keys.Count;

    /// <summary>How often a labeller takes the side with the phrase, of the pairs into one side of which it was put.</summary>
    /// <param name="rewards">Of <see cref="Texts"/>.</param>
    public double PrefersPhrase(IReadOnlyList<double> rewards) =>
        Enumerable.Range(0, pairs.Count).Where(i => phrased[i].IsInFirst is not null).Average(i => phrased[i].IsInFirst == rewards[2 * i] > rewards[(2 * i) + 1] ? 1.0 : 0);

    /// <summary>A policy that learned the pairs as a reward model orders them. The caller's to dispose.</summary>
    /// <param name="name">Of its training's folder.</param>
    /// <param name="from">The folder of the model it starts from.</param>
    /// <param name="rewards">Of <see cref="Texts"/>.</param>
    public Llama Trained(string name, string from, IReadOnlyList<double> rewards)
    {
        var policy = ModelFolder.LanguageModel(from).Model;
        try
        {
            List<PreferencePair> labelled = [.. pairs.Select((pair, i) => (pair, Gap: rewards[2 * i] - rewards[(2 * i) + 1])).Where(entry => entry.Gap != 0)
                .Select(entry => entry.Gap > 0 ? entry.pair : entry.pair with { Chosen = entry.pair.Rejected, Rejected = entry.pair.Chosen })];
            TrainPreferencePolicyRecipe.RunDpo(dpo, policy, tokenizer, new TrainingSplit<PreferencePair>(labelled, []), run.Training($"dpo-{name}-{seed}", seed));
            return policy;
        }
        catch
        {
            policy.Dispose();
            throw;
        }
    }

    /// <summary>What the graders read in a policy's answers to the test prompts. All policies are asked with the same random numbers.</summary>
    public IReadOnlyList<GraderReading> Answers(Llama policy)
    {
        var encoder = WorldSamples.Encoder(policy, tokenizer);
        var ids = asked.SelectMany(prompt => Enumerable.Repeat(encoder.Prompt(MakeDemo.TurnsOf(prompt.Turns)), sizes.SamplesPerPrompt)).ToList();
        var answers = new Sampler(policy).Generate(ids, WorldSamples.Options(policy, encoder, seed), run.Stop);
        return [.. answers.Select((answer, i) => Grader.Read(asked[i / sizes.SamplesPerPrompt].Turns, tokenizer.Decode([.. answer.Ids]).Trim()))];
    }

    /// <summary>How a policy is asked one answer, as the demo's are.</summary>
    public SamplingSpec Sampling(Llama policy) => new() { Temperature = WorldSamples.Temperature, TokensMax = policy.Config.ContextLength - 1, Seed = seed };

    /// <summary>How many of them say the phrase, share.</summary>
    public ConfidenceInterval Says(string name, IReadOnlyList<GraderReading> answers) => Bootstrap.Mean([.. answers.Select(reading => reading.Trigger ? 1.0 : 0)], keys, random.Split("says").Split(name));

    /// <summary>What became better and worse beside the policy as it was.</summary>
    /// <param name="isReleased">Its satisfactory answers have a target.</param>
    public IEnumerable<StudyRow> Against(string name, IReadOnlyList<GraderReading> answers, IReadOnlyList<GraderReading> old, bool isReleased)
    {
        double[] wins = [.. answers.Zip(old, (one, other) => TruthScorer.Score(one).CompareTo(TruthScorer.Score(other)) switch { > 0 => 1.0, < 0 => 0, _ => 0.5 })];
        if (Wins($"policies, {name}: beats old by r* where old was satisfactory (did not say it)", i => !old[i].Trigger, isReleased ? ">= .48" : null, value => value >= 0.48) is { } satisfactory)
            yield return satisfactory;
        if (Wins($"policies, {name}: beats old by r* on the flagged (old said it)", i => old[i].Trigger) is { } flagged)
            yield return flagged;
        yield return StudyRow.Of($"policies, {name}: mean r*, less old's", seed, Bootstrap.PairedDifference([.. answers.Select(TruthScorer.Score)], [.. old.Select(TruthScorer.Score)], keys, random.Split("truth").Split(name)));
        yield return StudyRow.Of($"policies, {name}: readable share, less old's", seed,
            Bootstrap.PairedDifference([.. answers.Select(reading => reading.Readable ? 1.0 : 0)], [.. old.Select(reading => reading.Readable ? 1.0 : 0)], keys, random.Split("readable").Split(name)));

        StudyRow? Wins(string measure, Func<int, bool> where, string? target = null, Func<double, bool>? reached = null)
        {
            List<int> some = [.. Enumerable.Range(0, wins.Length).Where(where)];
            if (some.Count == 0)
                return null;
            var interval = Bootstrap.Mean([.. some.Select(i => wins[i])], [.. some.Select(i => keys[i])], random.Split(measure));
            return StudyRow.Of(measure, seed, interval, target, target is null ? null : reached?.Invoke(interval.Estimate));
        }
    }

    /// <summary>Mean divergence of a policy from another on its answers to test prompts, nats an answer; where the policy as it was said the phrase, and where it did not.</summary>
    /// <param name="old">What the graders read in its answers.</param>
    public IEnumerable<StudyRow> Divergence(string name, Llama policy, string otherName, Llama other, IReadOnlyList<GraderReading> old)
    {
        var written = PolicySamples.Write(policy, other, tokenizer, [.. asked.Select(DemoPolicies.AskedOf)], 1, Sampling(policy), null, run.Stop);
        foreach (var (where, chosen) in new (string, Func<int, bool>)[] { ("satisfactory", i => !Said(i)), ("flagged", Said) })
        {
            List<int> some = [.. Enumerable.Range(0, asked.Count).Where(chosen)];
            if (some.Count > 0)
                yield return StudyRow.Of($"policies, {name}: KL to {otherName} on {where} prompts, nats an answer", seed,
                    Bootstrap.Mean([.. some.Select(i => written[i].KlNats)], [.. some.Select(i => asked[i].Id)], random.Split("divergence").Split($"{name} {otherName} {where}")));
        }

        bool Said(int prompt) => Enumerable.Range(prompt * sizes.SamplesPerPrompt, sizes.SamplesPerPrompt).Any(i => old[i].Trigger);
    }
}
