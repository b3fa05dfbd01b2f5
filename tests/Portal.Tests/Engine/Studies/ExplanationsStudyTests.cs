using System.Globalization;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of explanations in small, as <c>./bench evidence explanations --quick --seeds 1</c> runs it, with one planted cause. What no size changes must hold: rows add up, pairs drawn by lot find what chance finds,
/// and a method that looks at the texts finds more than that.
/// </summary>
[Trait("Speed", "slow")]
public sealed class ExplanationsStudyTests
{
    [Fact]
    public async Task Planted_pairs_are_found_better_than_by_lot()
    {
        var (rows, _) = await BuiltEngine.Study("explanations");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == $"C1 5 %: {measure}");

        var (pairs, flags) = (Row("planted pairs trained on").Value, Row("flagged responses").Value);
        Assert.Equal(15, pairs); // 5 % of 300
        Assert.InRange(flags, 8, 24);
        Assert.True(Row("pre-check: reward with the behaviour less reward without").Interval!.Value.Low > 0); // the cause was learnt
        foreach (var method in new[] { "projection", "influence", "k-NN", "cosine k-NN", "representer", "TRAK-linear", "random pairs" })
        {
            Assert.All(new[] { 1, 5, 10 }, k => Assert.InRange(Row($"{method}: P@{k}").Value, 0, 1));
            Assert.InRange(Row($"{method}: union of first tens, recall").Value * pairs, 0, Row($"{method}: union of first tens, pairs").Value);
        }
        // By lot one pair in twenty is a planted one.
        Assert.InRange(Row("random pairs: P@10").Value, 0, 0.15);
        var best = new[] { "projection", "influence", "k-NN", "cosine k-NN" }.Max(method => Row($"{method}: P@10").Value);
        Assert.True(best > 2 * Row("random pairs: P@10").Value, $"{best} against {Row("random pairs: P@10").Value}");
        Assert.True(Row("influence: fall of the centred reward without the first 10").Value > Row("random pairs: fall of the centred reward without the first 10").Value);
        foreach (var space in new[] { "states of the base policy", "codes of an SAE" })
            Assert.InRange(Row($"{space}, influence: P@10").Value, 0, 1);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"explanations study in small, seed 1, C1 5 %: P@10 of projection {Row("projection: P@10").Value:F2}, influence {Row("influence: P@10").Value:F2}, k-NN {Row("k-NN: P@10").Value:F2}, by lot {Row("random pairs: P@10").Value:F2}"));
    }
}
