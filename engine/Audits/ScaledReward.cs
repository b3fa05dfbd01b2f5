using Portal.Engine.Evaluation;
using Portal.Engine.Statistics;

namespace Portal.Engine.Audits;

/// <summary>A reward brought to deviation 1 among a policy's answers to one prompt, so that a nat of divergence costs the same whatever scale the reward has: a recovered one has none of its own.</summary>
/// <remarks>What a reward adds to all answers of a prompt plays no part in its scale, because it plays none in training: RLOO compares answers to the same prompt.</remarks>
/// <param name="Term">As a recipe takes it.</param>
/// <param name="Centre">Mean of the source over those answers, in its own unit.</param>
public sealed record ScaledReward(RewardTerm Term, double Centre)
{
    /// <summary>Scales a source. It must read texts: the tokens of sampled answers are not known any more.</summary>
    /// <param name="ofBase">Several answers to each of some prompts, of the policy that training starts from.</param>
    /// <exception cref="CannotTrain">The reward tells no two answers to a prompt apart.</exception>
    public static ScaledReward On(IReadOnlyList<SampledAnswer> ofBase, IRewardSource source, CancellationToken stop)
    {
        var scored = ofBase.Zip(source.Score(Texts(ofBase), stop)).Where(entry => entry.Second is not null).ToLookup(entry => entry.First.PromptKey, entry => entry.Second!.Value, StringComparer.Ordinal);
        var within = SampleDeviation.Within(scored.Select(prompt => prompt.ToArray()));
        return double.IsFinite(within) && within > 0 ? new ScaledReward(new RewardTerm(source, 1 / within), scored.SelectMany(own => own).Average())
            : throw new CannotTrain($"The reward {source.Name} does not tell {ofBase.Count} answers apart (its deviation within a prompt is {within}), so nothing can be learned from it.");
    }

    /// <summary>Rewards of other answers in deviations from the mean of those it was scaled on; an answer of which the source says nothing counts as that mean.</summary>
    public double[] Of(IReadOnlyList<SampledAnswer> answers, CancellationToken stop) => [.. Term.Source.Score(Texts(answers), stop).Select(reward => reward is { } known ? Term.Weight * (known - Centre) : 0)];

    private static IReadOnlyList<WrittenAnswer> Texts(IReadOnlyList<SampledAnswer> answers) => [.. answers.Select(answer => new WrittenAnswer(answer.Prompt, answer.Text, [], answer.Finished))];
}
