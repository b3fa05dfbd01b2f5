using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Portal.Bench;

/// <summary>What a side says once it has its weights and has run once: values that must agree with the other side's.</summary>
/// <param name="FirstLoss">Loss of the first step; for log-probs and generation the mean log-prob of the tokens (of the prompt).</param>
/// <param name="MoreLosses">Further values under the same rule: the loss after one update, the mean reference log-prob of DPO, the weights of a fitted reward.</param>
/// <param name="GreedyIds">What it writes greedily, row after row; empty where the case writes nothing.</param>
/// <param name="Tokens">Tokens (vectors, fits, resamples, answers) of one repetition.</param>
/// <param name="Library">What it computes with, and its version: "PyTorch 1.13.0a0".</param>
/// <param name="Threads">Threads of an operator; of an audit's fits, how many are made at once.</param>
public sealed record Hello(double FirstLoss, IReadOnlyList<double> MoreLosses, IReadOnlyList<int> GreedyIds, int Tokens, string Library, int Threads)
{
    /// <summary>Losses of the two sides may differ by this much, absolutely.</summary>
    public const double LossTolerance = 1e-4;

    /// <summary>Why the two sides do not compute the same; null when they do.</summary>
    public static string? Disagreement(Hello ours, Hello peer)
    {
        if (!(Math.Abs(ours.FirstLoss - peer.FirstLoss) <= LossTolerance))
            return string.Create(CultureInfo.InvariantCulture, $"the first losses differ: ours {ours.FirstLoss:F6}, the peer's {peer.FirstLoss:F6}");
        if (ours.MoreLosses.Count != peer.MoreLosses.Count)
            return $"ours gave {ours.MoreLosses.Count} further losses, the peer {peer.MoreLosses.Count}";
        for (var i = 0; i < ours.MoreLosses.Count; i++)
            if (!(Math.Abs(ours.MoreLosses[i] - peer.MoreLosses[i]) <= LossTolerance))
                return string.Create(CultureInfo.InvariantCulture, $"loss {i + 2} differs: ours {ours.MoreLosses[i]:F6}, the peer's {peer.MoreLosses[i]:F6}");
        if (!ours.GreedyIds.SequenceEqual(peer.GreedyIds))
            return "the greedy tokens differ, first at "
                + $"{ours.GreedyIds.Zip(peer.GreedyIds).TakeWhile(pair => pair.First == pair.Second).Count()} of {ours.GreedyIds.Count} and {peer.GreedyIds.Count}";
        if (ours.Tokens != peer.Tokens || ours.Threads != peer.Threads)
            return $"ours counts {ours.Tokens} tokens on {ours.Threads} threads, the peer {peer.Tokens} on {peer.Threads}";
        return null;
    }
}

/// <summary>
/// One side of a comparison: a process that has loaded its weights and waits for its turn. A line with a number on its standard input asks for
/// so many repetitions; a line of JSON answers. It ends with its input.
/// </summary>
public sealed class TurnProcess : IDisposable
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly string name;
    private readonly Process process;
    private readonly Task<string> errors;

    private TurnProcess(string name, Process process)
    {
        (this.name, this.process) = (name, process);
        errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>What it said when it was ready.</summary>
    public Hello Hello { get; private set; } = null!; // Start fills it before anybody sees the object

    /// <summary>Starts a side and waits until it is ready.</summary>
    /// <exception cref="InvalidOperationException">It ended or gave no answer; the message holds what it wrote to standard error.</exception>
    public static async Task<TurnProcess> Start(string name, ProcessStartInfo start, IReadOnlyDictionary<string, string> environment, CancellationToken stop)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput, start.RedirectStandardError) = (true, true, true);
        foreach (var (variable, value) in environment)
            start.Environment[variable] = value;
        var side = new TurnProcess(name, Process.Start(start) ?? throw new InvalidOperationException($"{name} did not start."));
        try
        {
            side.Hello = await side.Answer<Hello>(stop);
            return side;
        }
        catch
        {
            side.Dispose();
            throw;
        }
    }

    /// <summary>Seconds of each of some repetitions, one after the other.</summary>
    public async Task<IReadOnlyList<double>> Turn(int repetitions, CancellationToken stop)
    {
        await process.StandardInput.WriteLineAsync(repetitions.ToString(CultureInfo.InvariantCulture).AsMemory(), stop);
        await process.StandardInput.FlushAsync(stop);
        var seconds = (await Answer<Seconds>(stop)).All;
        return seconds.Count == repetitions && seconds.All(value => value > 0)
            ? seconds
            : throw new InvalidOperationException($"{name} was asked for {repetitions} repetitions and told of {seconds.Count}.");
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.StandardInput.Close();
            if (!process.WaitForExit(TimeSpan.FromSeconds(10)))
                process.Kill(entireProcessTree: true);
        }
        process.Dispose();
    }

    private async Task<T> Answer<T>(CancellationToken stop)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(Patience);
        string? line;
        try
        {
            line = await process.StandardOutput.ReadLineAsync(patience.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new InvalidOperationException($"{name} gave no answer within {Patience.TotalMinutes:F0} minutes.");
        }
        if (line is null)
            throw new InvalidOperationException($"{name} ended. It wrote:\n{await errors}");
        return JsonSerializer.Deserialize<T>(line, Json) ?? throw new InvalidOperationException($"{name} answered \"{line}\".");
    }

    private sealed record Seconds(IReadOnlyList<double> All);
}
