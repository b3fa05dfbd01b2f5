using Portal.Engine.Audits;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>How a reward sorts bad texts from good ones, on texts whose numbers can be counted by hand.</summary>
public sealed class FindingsTests
{
    /// <summary>A bad text (reward −1) and a good one (+1) of each prompt; of the first prompt the other way round.</summary>
    private static (List<double> Rewards, List<bool?> Kinds, List<string> Prompts) Texts(int prompts)
    {
        var (rewards, kinds, of) = (new List<double>(), new List<bool?>(), new List<string>());
        for (var i = 0; i < prompts; i++)
        {
            rewards.AddRange(i == 0 ? [1, -1] : [-1, 1]);
            kinds.AddRange([true, false]);
            of.AddRange([$"prompt {i}", $"prompt {i}"]);
        }
        return (rewards, kinds, of);
    }

    [Fact]
    public void Area_and_F1_are_those_counted_by_hand_and_a_text_of_no_kind_counts_nowhere()
    {
        var (rewards, kinds, prompts) = Texts(16);
        rewards.Add(1_000);
        kinds.Add(null);
        prompts.Add("prompt 3");

        var found = Findings.KindsOf("lexicon", rewards, kinds, prompts, new SeededRandom(1))!;

        Assert.Equal(("lexicon", 32, 16), (found.By, found.Texts, found.Bad));
        // Of 256 comparisons 15 * 15 are won, 15 + 15 tied and one is lost; thresholds lie at 0, so 15 bad texts are called, one good one too, and one bad one is not.
        Assert.Equal((15 * 15 + 15) / 256.0, found.Area!.Estimate, 1e-12);
        Assert.Equal(16, found.Area.Count);
        Assert.Equal(30 / 32.0, found.F1!.Value, 1e-12);
        Assert.Equal(30 / 32.0, found.F1Macro!.Value, 1e-12);
    }

    /// <summary>The threshold is never learnt on the texts it is judged on: where one half of the prompts has both kinds at one place and the other at another, every call is wrong.</summary>
    [Fact]
    public void A_threshold_is_judged_on_other_prompts()
    {
        double[] rewards = [0, 1, 10, 11, 0, 1, 10, 11];
        bool?[] kinds = [true, false, true, false, true, false, true, false];
        string[] prompts = ["a", "a", "b", "b", "c", "c", "d", "d"];

        var found = Findings.KindsOf("labels", rewards, kinds, prompts, new SeededRandom(1))!;

        // Learnt on b and d the threshold is 10.5: all of a and c is called bad. Learnt on a and c it is .5: nothing of b and d is.
        Assert.Equal(2 * 2 / (2.0 * 2 + 2 + 2), found.F1!.Value, 1e-12);
        Assert.Null(found.Area); // four prompts carry no interval
    }

    [Fact]
    public void Where_a_kind_is_missing_nothing_is_said()
    {
        var (rewards, kinds, prompts) = Texts(16);

        Assert.Null(Findings.KindsOf("lexicon", rewards, [.. kinds.Select(_ => (bool?)false)], prompts, new SeededRandom(1)));
        Assert.Null(Findings.KindsOf("lexicon", rewards, [.. kinds.Select(_ => (bool?)null)], prompts, new SeededRandom(1)));
        var one = Findings.KindsOf("lexicon", rewards, [.. kinds.Select((_, i) => (bool?)(i == 0))], prompts, new SeededRandom(1))!;
        Assert.Equal((1, null, null), (one.Bad, one.Area, one.F1)); // the other half of the prompts has no bad text
    }
}
