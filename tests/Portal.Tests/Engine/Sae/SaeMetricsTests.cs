using Portal.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

public sealed class SaeMetricsTests
{
    /// <summary>Three vectors of two numbers, by hand: mean (2, 0); variance sum 1+1 + 1+1 + 4 = 8... spelled out below.</summary>
    [Fact]
    public void The_figures_are_those_of_a_hand_calculation()
    {
        using var scope = NewDisposeScope();
        // x: (1,1) (1,-1) (4,0). mean (2,0). about it: 1+1, 1+1, 4+0 = 8. squares: 2, 2, 16.
        // made: (1,0) (1,-1) (2,0). errors: 1, 0, 4 = 5.
        var sums = new SaeFitSums(2);
        sums.Add(tensor(new float[] { 1, 1, 1, -1 }, [2, 2]), tensor(new float[] { 1, 0, 1, -1 }, [2, 2]), tensor(new float[] { 1, 0, 2, 3 }, [2, 2]));
        sums.Add(tensor(new float[] { 4, 0 }, [1, 2]), tensor(new float[] { 2, 0 }, [1, 2]), tensor(new float[] { 0, 0 }, [1, 2]));

        var fit = sums.Result!; // something was added

        Assert.Equal(3, fit.Count);
        Assert.Equal(5.0 / 8, fit.Fvu, 12);
        Assert.Equal((1.0 / 2 + 0 + 4.0 / 16) / 3, fit.Nmse, 12);
        Assert.Equal((1 + 2 + 0) / 3.0, fit.Active, 12);
        Assert.Equal((1 / Math.Sqrt(2) + 1 + 1) / 3, fit.Cosine, 12);
        Assert.Equal((Math.Sqrt(1 / 2.0) + 1 + 0.5) / 3, fit.LengthRatio, 12);
        Assert.Null(new SaeFitSums(2).Result);
    }

    /// <summary>The trap of SAELens #443: vectors that all but share one direction. A variance about zero would call the mean a near perfect code.</summary>
    [Fact]
    public void A_code_that_only_knows_the_mean_explains_nothing()
    {
        using var scope = NewDisposeScope();
        var random = new Random(3);
        var x = tensor(Enumerable.Range(0, 200 * 4).Select(i => (i % 4 == 0 ? 100f : 0f) + (float)random.NextDouble()).ToArray(), [200, 4]);
        var sums = new SaeFitSums(4);
        sums.Add(x, x.mean([0]).unsqueeze(0).expand(200, 4), zeros(200, 1));

        Assert.Equal(1, sums.Result!.Fvu, 4); // something was added
        Assert.True(sums.Result.Nmse < 1e-3);
    }
}
