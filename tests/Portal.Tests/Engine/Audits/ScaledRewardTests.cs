using Portal.Data.Feedback;
using Portal.Engine;
using Portal.Engine.Audits;
using Portal.Engine.Evaluation;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>The scale of a reward that is trained by: worked out by hand, blind to what a prompt adds to all of its answers, and refused where there is none.</summary>
public sealed class ScaledRewardTests
{
    private static SampledAnswer Answer(string prompt, string text) => new(prompt, [new Turn("user", prompt)], text, 1, true, 0, 0, null);

    // Prompt a adds 100 to its answers: 101, 103, 105; prompt b: 1, 5. An empty answer gets no reward.
    private static readonly RewardFunction Source = new("numbers", answer => answer.Text.Length == 0 ? null : double.Parse(answer.Text) + (answer.Prompt[0].Content == "a" ? 100 : 0));
    private static readonly SampledAnswer[] OfBase = [Answer("a", "1"), Answer("a", "3"), Answer("a", "5"), Answer("b", "1"), Answer("b", "5"), Answer("b", "")];

    /// <summary>Squares within prompts: 4 + 0 + 4 and 4 + 4, over (3 − 1) + (2 − 1) = 16 / 3.</summary>
    [Fact]
    public void The_deviation_is_pooled_within_prompts()
    {
        var scaled = ScaledReward.On(OfBase, Source, default);

        Assert.Equal(1 / Math.Sqrt(16.0 / 3), scaled.Term.Weight, 1e-12);
        Assert.Equal((101 + 103 + 105 + 1 + 5) / 5.0, scaled.Centre, 1e-12);
        Assert.Equal([(105 - 63) / Math.Sqrt(16.0 / 3), 0, (1 - 63) / Math.Sqrt(16.0 / 3)], scaled.Of([Answer("a", "5"), Answer("b", ""), Answer("b", "1")], default), (a, b) => Math.Abs(a - b) < 1e-12);
    }

    [Fact]
    public void A_reward_that_tells_no_answers_to_a_prompt_apart_is_refused()
    {
        Assert.Contains("does not tell", Assert.Throws<CannotTrain>(() => ScaledReward.On(OfBase, new RewardFunction("prompt alone", answer => answer.Prompt[0].Content.Length), default)).Message, StringComparison.Ordinal);
        Assert.Contains("does not tell", Assert.Throws<CannotTrain>(() => ScaledReward.On([OfBase[0], OfBase[3]], Source, default)).Message, StringComparison.Ordinal); // one answer each
    }
}
