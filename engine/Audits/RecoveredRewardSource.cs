using System.Text.Json;
using Portal.Data.Audits;
using Portal.Engine.Evaluation;

namespace Portal.Engine.Audits;

/// <summary>A reward that an audit recovered, as something to train a policy by: the mean of a method's runs.</summary>
/// <remarks>
/// Answers are read one at a time, as the audit read its own, so an answer of the audit gets the score it has there. An empty answer gets none: no audit has read one, so no reward was recovered for it.
/// </remarks>
public sealed class RecoveredRewardSource : IRewardSource
{
    private readonly RecoveredRewards rewards;
    private readonly string method;
    private readonly ITextFeatures features;
    private readonly IPolicyTexts? likelihoods;

    /// <param name="method">One of the rewards' methods.</param>
    /// <param name="features">What read the audit's texts.</param>
    /// <param name="likelihoods">The audit's base, where the features read how likely it finds a text; else null.</param>
    /// <exception cref="ArgumentException">There is no such method, or it has no run.</exception>
    public RecoveredRewardSource(RecoveredRewards rewards, string method, ITextFeatures features, IPolicyTexts? likelihoods = null)
    {
        (this.rewards, this.method, this.features, this.likelihoods) = (rewards, method, features, likelihoods);
        var own = rewards.File.Methods.FirstOrDefault(known => known.Name == method) is { Runs.Count: > 0 } found ? found : throw new ArgumentException($"No reward by {method} was recovered.", nameof(method));
        Name = $"recovered by {method} {AuditPrompts.HashOf(JsonSerializer.SerializeToUtf8Bytes(own, AuditLines.Json))[..12]}";
    }

    /// <summary>The method, and which rewards: a hash of them.</summary>
    public string Name { get; }

    /// <inheritdoc/>
    public IReadOnlyList<double?> Score(IReadOnlyList<WrittenAnswer> answers, CancellationToken stop)
    {
        var prompts = answers.Select(answer => new AuditPrompt("", "", answer.Prompt, [])).ToArray();
        // A model at hand answers at once; only what is elsewhere would be waited for, and nobody trains by that.
        var logProbs = likelihoods?.LogProbs([.. answers.Select((answer, i) => new AnswerToScore(prompts[i], answer.Text, answer.Finished, null, null))], stop).GetAwaiter().GetResult();
        var scores = new double?[answers.Count];
        for (var i = 0; i < scores.Length; i++)
        {
            stop.ThrowIfCancellationRequested();
            if (answers[i].Text.Length == 0 || (logProbs is not null && logProbs[i] is null))
                continue;
            scores[i] = rewards.Mean(method, features.Read(prompts[i], AuditText.Of(answers[i].Text, answers[i].Finished, logProbs?[i])));
        }
        return scores;
    }
}
