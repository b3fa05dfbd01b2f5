using Portal.Data.Feedback;

namespace Portal.Engine.Evaluation;

/// <summary>An answer that a policy wrote, as a reward reads it.</summary>
/// <param name="Prompt">The turns it answers.</param>
/// <param name="Text">Trimmed, without end mark.</param>
/// <param name="Ids">The policy's own tokens, the end mark included where it wrote one; for rewards that read tokens.</param>
/// <param name="Finished">It ended by itself, before the limit.</param>
public sealed record WrittenAnswer(IReadOnlyList<Turn> Prompt, string Text, IReadOnlyList<int> Ids, bool Finished)
{
    /// <summary>Tokens without the end mark.</summary>
    public int LengthTokens => Ids.Count - (Finished ? 1 : 0);
}

/// <summary>What scores answers while a policy is trained by reinforcement: a reward model of any kind, a recovered reward, a rule in code, a known truth that only its owner may open.</summary>
/// <remarks>Called on the recipe's own thread, with all answers of a step at once, so that models can read them in full batches.</remarks>
public interface IRewardSource
{
    /// <summary>What it is, for curves, logs and the run's fingerprint: two that score differently have different names.</summary>
    string Name { get; }

    /// <summary>One reward an answer, in order. Higher is better, the scale is the source's own; null where it has no opinion on this answer.</summary>
    IReadOnlyList<double?> Score(IReadOnlyList<WrittenAnswer> answers, CancellationToken stop);
}

/// <summary>A source and how much of it goes into the sum.</summary>
/// <param name="Weight">Reward per unit of the source; negative for a penalty.</param>
public sealed record RewardTerm(IRewardSource Source, double Weight = 1);

/// <summary>A reward model as a source: conventional, on sparse features, toggled, recovered. Texts that are too long for it lose their beginning.</summary>
public sealed class RewardModelSource(RewardScorer scorer, string name) : IRewardSource
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public IReadOnlyList<double?> Score(IReadOnlyList<WrittenAnswer> answers, CancellationToken stop) =>
        [.. scorer.Score([.. answers.Select(answer => (answer.Prompt, answer.Text))], stop).Select(reward => (double?)reward)];
}

/// <summary>A rule in code, or a truth handed over as a delegate, as a source.</summary>
public sealed class RewardFunction(string name, Func<WrittenAnswer, double?> reward) : IRewardSource
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public IReadOnlyList<double?> Score(IReadOnlyList<WrittenAnswer> answers, CancellationToken stop)
    {
        var rewards = new double?[answers.Count];
        for (var i = 0; i < rewards.Length; i++)
        {
            stop.ThrowIfCancellationRequested();
            rewards[i] = reward(answers[i]);
        }
        return rewards;
    }
}
