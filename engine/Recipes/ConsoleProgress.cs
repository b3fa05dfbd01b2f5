using System.Globalization;
using System.Text.Json;
using Portal.Data.Jobs;

namespace Portal.Engine.Recipes;

/// <summary>Progress of a recipe on the command line: one line that is rewritten on a terminal, or one JSON object a line for programs.</summary>
/// <param name="output">Where it goes: standard error for people, standard output for programs.</param>
/// <param name="json">One object a line: {"step","total","phase","secondsLeft"}, {"metric","step","value"} or {"level","message"}.</param>
/// <param name="isTerminal">Rewrite one line instead of writing one every ten seconds.</param>
/// <param name="time">Keeps lines apart: at most ten a second on a terminal.</param>
public sealed class ConsoleProgress(TextWriter output, bool json, bool isTerminal, TimeProvider time) : IRecipeProgress
{
    private readonly Dictionary<string, double> latest = [];
    private long? lastShown;
    private int lastStep;

    /// <inheritdoc/>
    public void Report(int step, int stepsTotal, string phase, double? secondsLeft)
    {
        At(step);
        var isLast = step == stepsTotal;
        if (!isLast && lastShown is { } before && time.GetElapsedTime(before) < TimeSpan.FromSeconds(isTerminal || json ? 0.1 : 10))
            return;
        lastShown = time.GetTimestamp();
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize(new { step, total = stepsTotal, phase, secondsLeft }));
            return;
        }
        var metrics = string.Concat(latest.Select(m => string.Create(CultureInfo.InvariantCulture, $"  {m.Key} {m.Value:G4}")));
        var left = secondsLeft is { } seconds ? $"  {TimeSpan.FromSeconds(Math.Round(seconds)):g} left" : "";
        var line = $"{phase} {step}/{(stepsTotal > 0 ? stepsTotal : "?")}{metrics}{left}";
        output.Write(isTerminal ? $"\r\e[K{line}{(isLast ? "\n" : "")}" : line + "\n");
        output.Flush();
    }

    /// <inheritdoc/>
    public void Metric(string name, int step, double value)
    {
        At(step);
        latest[name] = value;
        if (json)
            output.WriteLine(JsonSerializer.Serialize(new { metric = name, step, value }));
    }

    /// <summary>A step before the last one is another training's (a study has several): what the last one measured is not its.</summary>
    private void At(int step)
    {
        if (step < lastStep)
            latest.Clear();
        lastStep = step;
    }

    /// <inheritdoc/>
    public void Log(JobEventLevel level, string message)
    {
        if (json)
            output.WriteLine(JsonSerializer.Serialize(new { level = level.ToString().ToLowerInvariant(), message }));
        else
            output.WriteLine($"{(isTerminal ? "\r\e[K" : "")}{(level is JobEventLevel.Info ? "" : $"{level}: ")}{message}");
    }
}
