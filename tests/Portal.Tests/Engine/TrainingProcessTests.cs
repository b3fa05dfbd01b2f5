using Portal.Engine;
using Xunit;

namespace Portal.Tests.Engine;

/// <summary>How many threads an operator has. Alone: the variable and the number are the whole process's.</summary>
[Collection(Alone.Name)]
public sealed class TrainingProcessTests : IDisposable
{
    private readonly string? before = Environment.GetEnvironmentVariable(TrainingProcess.ThreadsVariable);

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(TrainingProcess.ThreadsVariable, before);
        TrainingProcess.Prepare();
    }

    [Fact]
    public void The_variable_says_it_unless_somebody_does()
    {
        Environment.SetEnvironmentVariable(TrainingProcess.ThreadsVariable, "1");
        TrainingProcess.Prepare();
        Assert.Equal(1, TorchSharp.torch.get_num_threads());

        TrainingProcess.Prepare(2);
        Assert.Equal(2, TorchSharp.torch.get_num_threads());
    }

    [Theory]
    [InlineData("two")]
    [InlineData("0")]
    [InlineData("1.5")]
    public void What_is_no_number_of_threads_is_refused_by_name(string value)
    {
        Environment.SetEnvironmentVariable(TrainingProcess.ThreadsVariable, value);

        Assert.Equal($"PORTAL_THREADS is \"{value}\"; it must be a whole number of at least 1.", Assert.Throws<CannotTrain>(() => TrainingProcess.Prepare()).Message);
    }
}
