using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

/// <summary>Schedules against numbers worked out by hand from transformers' formulas (get_linear_ and get_cosine_schedule_with_warmup).</summary>
public sealed class OptimizationTests
{
    [Theory]
    // 10 of 100 steps warm up; step 32 is 22/90 of the way down: linear 1 − 0.24444, cosine (1 + cos 0.76794) / 2 with cos 0.76794 = 0.71934.
    [InlineData(Schedule.Linear, 0, 0)]
    [InlineData(Schedule.Linear, 5, 0.5)]
    [InlineData(Schedule.Linear, 10, 1)]
    [InlineData(Schedule.Linear, 32, 0.755556)]
    [InlineData(Schedule.Linear, 55, 0.5)]
    [InlineData(Schedule.Linear, 100, 0)]
    [InlineData(Schedule.Cosine, 3, 0.3)]
    [InlineData(Schedule.Cosine, 10, 1)]
    [InlineData(Schedule.Cosine, 32, 0.859670)]
    [InlineData(Schedule.Cosine, 55, 0.5)]
    [InlineData(Schedule.Cosine, 100, 0)]
    [InlineData(Schedule.Constant, 5, 0.5)]
    [InlineData(Schedule.Constant, 99, 1)]
    public void The_learning_rate_follows_its_schedule(Schedule schedule, int step, double share) =>
        Assert.Equal(share, Optimization.RateShare(new OptimizationSpec { Schedule = schedule, WarmupSteps = 10 }, step, 100), 5);

    [Fact]
    public void A_schedule_ends_at_its_share_and_not_below() =>
        Assert.Equal(0.1, Optimization.RateShare(new OptimizationSpec { Schedule = Schedule.Cosine, EndShare = 0.1 }, 100, 100), 9);

    [Theory]
    [InlineData(10, 1, 2, null, 20)]
    [InlineData(10, 4, 2, null, 6)] // 4 + 4 + 2 micro-batches are 3 steps
    [InlineData(10, 1, 2, 7, 7)]
    public void Steps_are_counted_over_epochs_accumulation_and_limit(int batches, int accumulation, int epochs, int? limit, int steps) =>
        Assert.Equal(steps, Optimization.StepsTotal(new OptimizationSpec { AccumulationSteps = accumulation, Epochs = epochs, StepsMax = limit }, batches));

    [Fact]
    public void A_setting_out_of_range_is_refused_by_name()
    {
        using var model = ToyWorld.Model();
        var refused = Assert.Throws<CannotTrain>(() => new Optimization(model.parameters(), [], new OptimizationSpec { LearningRate = 0 }, 10));
        Assert.Contains("learningRate", refused.Message, StringComparison.Ordinal);
    }
}
