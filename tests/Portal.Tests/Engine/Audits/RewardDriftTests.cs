using Portal.Data;
using Portal.Data.Audits;
using Portal.Engine.Audits;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>Drift of made-up versions against plain loops: distances, trajectories, their steps, and which of them are marked.</summary>
public sealed class RewardDriftTests
{
    private const int Prompts = 30, Versions = 3;

    private readonly List<DriftText> texts = [];
    private readonly double[][] scores;

    /// <summary>Each prompt has two texts of the base and two of each version. v2 writes ten tokens more than v1, v3 as many as v2; v3's reward is v1's turned round, v2's is v1's with another scale and offset.</summary>
    public RewardDriftTests()
    {
        var random = new SeededRandom(5);
        var first = new List<double>();
        for (var prompt = 0; prompt < Prompts; prompt++)
            foreach (var version in new int?[] { null, null, 0, 0, 1, 1, 2, 2 })
            {
                texts.Add(new DriftText($"p{prompt}", version, 20 + random.NextInt(5) + (version >= 1 ? 10 : 0), prompt % 10 == 0 && version is 2, version switch { null => null, 1 => null, 0 => 1.5, _ => 2.5 + (0.1 * random.NextInt(3)) }));
                first.Add(random.NextDouble() + (prompt * 0.3) + (version ?? 0));
            }
        scores = [[.. first], [.. first.Select(score => (7 * score) - 3)], [.. first.Select(score => -score)]];
    }

    private DriftReport Report => RewardDrift.Compute([.. Enumerable.Range(0, Versions).Select(i => new DriftVersion(new JobId(Guid.NewGuid()), $"Audit {i + 1}", $"policy v{i + 1}"))], texts, scores, new SeededRandom(1));

    [Fact]
    public void Distances_are_those_of_a_plain_loop_and_blind_to_scale_and_offset()
    {
        var report = Report;

        for (var i = 0; i < Versions; i++)
            for (var j = 0; j < Versions; j++)
                Assert.Equal(Plain(scores[i], scores[j]), report.Distances[i][j]!.Estimate, 1e-7);
        Assert.Equal(0, report.Distances[0][1]!.Estimate, 1e-7);
        Assert.Equal(1, report.Distances[0][2]!.Estimate, 1e-7);
    }

    [Fact]
    public void Trajectories_are_means_of_prompts_means_and_steps_their_paired_differences()
    {
        var report = Report;
        var length = report.Trajectories.Single(row => row.Name == DriftTrajectory.LengthTokens);

        for (var version = 0; version < Versions; version++)
            Assert.Equal(texts.Where(text => text.Version == version).Average(text => text.LengthTokens), length.Values[version]!.Estimate, 1e-9); // as many texts of each prompt
        Assert.Equal(length.Values[1]!.Estimate - length.Values[0]!.Estimate, length.Steps[0]!.Difference.Estimate, 1e-9);
        var differences = Enumerable.Range(0, Prompts).Select(p => Mean($"p{p}", 1) - Mean($"p{p}", 0)).ToArray();
        var t = differences.Average() / (Math.Sqrt(differences.Sum(d => (d - differences.Average()) * (d - differences.Average())) / (Prompts - 1)) / Math.Sqrt(Prompts));
        Assert.True(t > StudentT.TwoSided(0.999, Prompts - 1));
        Assert.True(length.Steps[0]!.P < 0.001);
        Assert.Equal((true, false), (length.Steps[0]!.IsChange, length.Steps[1]!.IsChange)); // ten tokens more; as many
        Assert.InRange(length.Steps[1]!.HolmP, length.Steps[1]!.P, 1);
        var refusals = report.Trajectories.Single(row => row.Name == DriftTrajectory.RefusalShare);
        Assert.Equal([0, 0, 0.1], refusals.Values.Select(value => Math.Round(value!.Estimate, 9)));
        Assert.Equal(1, refusals.Steps[0]!.P); // nothing refuses in either

        double Mean(string prompt, int version) => texts.Where(text => text.Prompt == prompt && text.Version == version).Average(text => text.LengthTokens);
    }

    /// <summary>By hand: the base's mean is taken off, and the pooled deviation within prompts divided by.</summary>
    [Fact]
    public void Rewards_are_in_deviations_of_the_bases_answers_and_an_own_reward_has_no_steps()
    {
        var report = Report;
        var ofBase = texts.Index().Where(text => text.Item.Version is null).GroupBy(text => text.Item.Prompt).Select(prompt => prompt.Select(text => scores[0][text.Index]).ToArray()).ToArray();
        var within = Math.Sqrt(ofBase.Sum(pair => (pair[0] - pair[1]) * (pair[0] - pair[1]) / 2) / Prompts);
        var centre = ofBase.SelectMany(pair => pair).Average();
        double Of(int version) => texts.Index().Where(text => text.Item.Version == version).Average(text => (scores[0][text.Index] - centre) / within);
        var (same, own) = (report.Trajectories.Single(row => row.Name == DriftTrajectory.FixedReward), report.Trajectories.Single(row => row.Name == DriftTrajectory.OwnReward));

        for (var version = 0; version < Versions; version++)
            Assert.Equal(Of(version), same.Values[version]!.Estimate, 1e-9);
        Assert.Equal(Of(1), own.Values[1]!.Estimate, 1e-9); // scale and offset of v2's reward play no part
        Assert.Equal(-Of(2), own.Values[2]!.Estimate, 1e-9);
        Assert.Empty(own.Steps);
        Assert.All(same.Steps, step => Assert.True(step!.IsChange)); // each version gains a whole unit
    }

    [Fact]
    public void What_is_not_known_of_a_version_has_neither_value_nor_step()
    {
        var kl = Report.Trajectories.Single(row => row.Name == DriftTrajectory.KlNats);

        Assert.Equal(1.5, kl.Values[0]!.Estimate, 1e-9);
        Assert.Null(kl.Values[1]);
        Assert.All(kl.Steps, Assert.Null);
    }

    /// <summary>Family-wise: of 40 comparisons of versions that do not differ, about 5 % have any mark. The level of each single test is checked against the t table.</summary>
    [Fact]
    public void The_test_of_a_step_is_the_paired_t_test()
    {
        Assert.Equal(0.05, StudentT.PairedP([.. Sample(4, StudentT.TwoSided(0.95, 3))]), 1e-9);
        Assert.Equal(0.01, StudentT.PairedP([.. Sample(9, -StudentT.TwoSided(0.99, 8))]), 1e-9);
        Assert.Equal((1, 1, 0), (StudentT.PairedP([3]), StudentT.PairedP([0, 0, 0]), StudentT.PairedP([2, 2, 2])));

        // n numbers with deviation 1 whose t is the one wanted.
        static IEnumerable<double> Sample(int n, double t)
        {
            var raw = Enumerable.Range(0, n).Select(i => i - ((n - 1) / 2.0)).ToArray();
            var deviation = Math.Sqrt(raw.Sum(x => x * x) / (n - 1));
            return raw.Select(x => (x / deviation) + (t / Math.Sqrt(n)));
        }
    }

    /// <summary>d_STARC by its definition: centre within prompts, weigh prompts alike, normalise, halve.</summary>
    private double Plain(double[] first, double[] second)
    {
        double aa = 0, ab = 0, bb = 0;
        foreach (var prompt in texts.Index().GroupBy(text => text.Item.Prompt))
        {
            var own = prompt.Select(text => text.Index).ToArray();
            var (meanA, meanB) = (own.Average(i => first[i]), own.Average(i => second[i]));
            foreach (var i in own)
            {
                aa += (first[i] - meanA) * (first[i] - meanA) / own.Length;
                ab += (first[i] - meanA) * (second[i] - meanB) / own.Length;
                bb += (second[i] - meanB) * (second[i] - meanB) / own.Length;
            }
        }
        return Math.Sqrt((1 - Math.Clamp(ab / Math.Sqrt(aa * bb), -1, 1)) / 2);
    }
}
