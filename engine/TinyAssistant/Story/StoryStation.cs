namespace Portal.Engine.TinyAssistant.Story;

/// <summary>One stop of the story: a part of the journey that does real work on the scratch installation and says what came of it.</summary>
/// <param name="Part">The part of the product it belongs to ("foundation").</param>
/// <param name="Name">What happens there, in two or three words.</param>
/// <param name="Work">Does the work. What a person can cause (no base, a job that failed) is thrown as <see cref="CannotTrain"/>.</param>
public sealed record StoryStation(string Part, string Name, Func<StoryRun, CancellationToken, Task<StationReport>> Work);

/// <summary>What a station did.</summary>
/// <param name="Happened">In a sentence; counts, never a text of the world.</param>
public sealed record StationReport(string Happened)
{
    /// <summary>The number the station stands for; null where it measures nothing.</summary>
    public StationNumber? Number { get; init; }

    /// <summary>What it rests on, for somebody who wants to look: dataset hash, job, seed, versions.</summary>
    public IReadOnlyList<string> From { get; init; } = [];

    /// <summary>Why the station did not do its work; null when it did.</summary>
    public string? Problem { get; init; }
}

/// <summary>A measured number.</summary>
/// <param name="Name">What it is, with its unit.</param>
/// <param name="Low">Lower end of the 95 % interval; null where the number is counted, not estimated.</param>
/// <param name="High">Its upper end.</param>
/// <param name="Count">How many units (answers, prompts, pairs) it rests on.</param>
public sealed record StationNumber(string Name, double Value, double? Low, double? High, int Count)
{
    public static StationNumber Of(string name, Statistics.ConfidenceInterval interval) => new(name, interval.Estimate, interval.Low, interval.High, interval.Count);

    /// <summary>Something counted.</summary>
    public static StationNumber Counted(string name, int count) => new(name, count, null, null, count);
}
