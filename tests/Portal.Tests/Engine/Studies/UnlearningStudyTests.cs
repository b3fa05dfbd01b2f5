using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the unlearning study in small, without its policies, on the shipped base, as <c>./bench evidence unlearning --quick --seeds 1</c> runs it: what holds whatever the size. Two Newton steps are the head that never saw the pairs;
/// the paper's swap goes past it; the planted pairs are what made bad responses good.
/// </summary>
[Trait("Speed", "slow")]
public sealed class UnlearningStudyTests
{
    [Fact]
    public async Task Newton_is_gold_and_swapping_goes_past_it()
    {
        var (rows, said) = await BuiltEngine.Study("unlearning");
        double Of(string measure) => rows.Single(row => row.Measure == measure).Value;

        foreach (var selection in new[] { "planted", "direction", "projection", "influence", "by lot" })
        {
            // In small a selection is a third of all pairs, which two steps do not quite undo; a second is never worse than one.
            Assert.InRange(Of($"{selection}, Newton twice: distance to gold"), 0, Math.Min(0.3, Of($"{selection}, Newton once: distance to gold")));
            Assert.Equal((0, 1), (Of($"{selection}, gold: distance to gold"), Of($"{selection}, as it was: distance to gold")));
        }
        Assert.InRange(Of("planted, Newton twice: distance to gold"), 0, 0.05);
        Assert.InRange(Of("direction, five requests in a row, Newton twice each: distance to gold"), 0, 0.05);
        Assert.Equal((1, 1), (Of("planted: precision"), Of("planted: recall")));
        Assert.True(Of("planted, gold: mean reward of bad responses") < Of("planted, as it was: mean reward of bad responses"));
        Assert.True(Of("planted, swap (the paper's): mean reward of bad responses") < Of("planted, gold: mean reward of bad responses"));
        Assert.Equal(Of("direction: pairs"), Of("by lot: pairs")); // the same size
        Assert.Contains("| planted, NPO-BT: held-out accuracy |", said, StringComparison.Ordinal);
    }

    /// <summary>The study of whole models in small, <c>./bench evidence unlearning-models --quick --seeds 1</c>: the phrase goes where the body is changed, and stays where two Newton steps change the head alone.</summary>
    [Fact]
    public async Task A_poisoned_body_forgets_only_where_it_is_changed()
    {
        var (rows, _) = await BuiltEngine.Study("unlearning-models");
        double Of(string measure) => rows.Single(row => row.Measure == measure).Value;
        double Prefers(string arm) => Of($"planted, {arm}: prefers the answer with the phrase");

        Assert.Equal(1, Of("planted: precision"));
        Assert.Equal((0, 0), (Of("planted, gold: D of the margins to gold's"), Of("planted, gold: preference less gold's on held-out pairs, mean size")));
        Assert.InRange(Prefers("gold"), 0.4, Prefers("as it was") - 0.1);
        Assert.InRange(Prefers("the head by Newton twice"), Prefers("as it was") - 0.1, 1);
        Assert.InRange(Prefers("swap (the paper's)"), 0, Prefers("as it was") - 0.1);
        Assert.True(Of("planted, gold: the same, mean over the 5 steps there") < Of("planted, as it was: the same, mean over the 5 steps there")); // what was never learnt takes longer
        Assert.Equal(rows.Count(row => row.Measure.EndsWith("D of the margins to gold's", StringComparison.Ordinal)), rows.Count(row => row.Measure.EndsWith("after learning a tenth of the pairs again", StringComparison.Ordinal)));
    }
}
