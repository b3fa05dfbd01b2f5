using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Against the printed table (Abramowitz and Stegun 26.10), closed forms of one and two degrees of freedom, and the normal distribution in the limit.</summary>
public sealed class StudentTTests
{
    [Theory]
    [InlineData(0.95, 1, 12.706)]
    [InlineData(0.95, 2, 4.303)]
    [InlineData(0.95, 3, 3.182)]
    [InlineData(0.95, 4, 2.776)]
    [InlineData(0.95, 9, 2.262)]
    [InlineData(0.99, 5, 4.032)]
    [InlineData(0.90, 30, 1.697)]
    public void Agrees_with_the_table(double level, int degrees, double t) => Assert.Equal(t, StudentT.TwoSided(level, degrees), 3);

    [Theory]
    [InlineData(0.3)]
    [InlineData(2.5)]
    [InlineData(40)]
    public void One_and_two_degrees_have_closed_forms(double t)
    {
        Assert.Equal(2 / Math.PI * Math.Atan(t), StudentT.Within(t, 1), 12);
        Assert.Equal(t / Math.Sqrt(2 + (t * t)), StudentT.Within(t, 2), 12);
    }

    [Fact]
    public void Many_degrees_are_normal() => Assert.Equal(NormalDistribution.TwoSided(0.95), StudentT.TwoSided(0.95, 100_000), 4);

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 2)]
    [InlineData(0.95, 0)]
    public void Refuses_what_has_no_answer(double level, int degrees) => Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.TwoSided(level, degrees));
}
