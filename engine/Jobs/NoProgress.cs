using Portal.Data.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>For work that nobody watches: cleaning up after a job that is over, answering at a door.</summary>
internal sealed class NoProgress : IRecipeProgress
{
    public static NoProgress Instance { get; } = new();

    public void Report(int step, int stepsTotal, string phase, double? secondsLeft) { }
    public void Metric(string name, int step, double value) { }
    public void Log(JobEventLevel level, string message) { }
}
