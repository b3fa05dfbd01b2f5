using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>
/// Votes drawn from a known change of one feature: the multiplier comes near the truth, other features stay, and votes that agree with the head as it stands
/// change little.
/// </summary>
public sealed class TunedTogglesTests
{
    private const int Latents = 40, Votes = 200, Changed = 7;

    [Theory]
    [InlineData(-1.0)]
    [InlineData(1.0)] // nothing changed
    public void The_feature_that_changed_gets_its_multiplier(double multiplier)
    {
        var random = new SeededRandom(3);
        float[] weights = [.. Enumerable.Range(0, Latents).Select(latent => latent == Changed ? 2f : (float)random.NextGaussian())];
        SparseVector Code()
        {
            int[] fires = [.. Enumerable.Range(0, Latents).Where(_ => random.Chance(0.2))];
            return new SparseVector(fires, [.. fires.Select(_ => 1.0)]);
        }
        List<SparseVector> codes = [];
        for (var vote = 0; vote < Votes; vote++)
        {
            var (one, other) = (Code(), Code());
            double Reward(SparseVector code) => ReadableReward.Reward(code, weights, new Dictionary<int, double> { [Changed] = multiplier });
            codes.AddRange(random.Chance(1 / (1 + Math.Exp(Reward(other) - Reward(one)))) ? [one, other] : [other, one]);
        }
        List<ContrastPair> votes = [.. Enumerable.Range(0, Votes).Select(vote => new ContrastPair($"p{vote / 2}", 2 * vote, 2 * vote + 1))];

        var tuned = TunedToggles.Of(weights, codes, votes, seed: 1, CancellationToken.None);

        if (multiplier < 0)
            Assert.InRange(tuned.Multipliers[Changed], -1.7, -0.3); // Fisher information of 64 votes that differ in it: a standard error of about 0.2
        Assert.All(tuned.Multipliers.Where(entry => entry.Key != Changed || multiplier > 0), entry => Assert.True(Math.Abs(weights[entry.Key] * (entry.Value - 1)) < 1, $"{entry}"));
        // The head learnt whole from the same votes goes the same way where it must: the product of weight and multiplier.
        var head = TunedToggles.WholeHead(weights, codes, votes, CancellationToken.None);
        Assert.InRange(head[Changed], multiplier < 0 ? -3.5 : 1, multiplier < 0 ? 0.5 : 3);
    }
}
