using System.Collections.Concurrent;
using System.Diagnostics;

namespace Portal.Bench;

/// <summary>What came of one run of a load.</summary>
/// <param name="All">Every acknowledged judgement.</param>
/// <param name="PerSecond">Judgements acknowledged in the run's time, per second.</param>
public sealed record LoadResult(IReadOnlyList<Acknowledged> All, double PerSecond)
{
    /// <summary>The latency below which a share of the submits stayed, ms.</summary>
    public double Milliseconds(double share) => PairedRatios.Quantile([.. All.Select(one => one.Milliseconds)], share);
}

/// <summary>
/// Annotators at work, in two ways. <see cref="AsFastAsTheyCan"/>: each submits, opens the next page and submits again without thinking; that
/// gives the rate. <see cref="Paced"/>: all together so many judgements a second, however many they are, each starting at times of its own; that
/// gives latencies that are not only a queue. Opening the page is part of an annotator's round and of the rate, never of a submit's latency.
/// </summary>
public static class AnnotatorLoad
{
    /// <summary>
    /// The portal's limit is 120 calls at once and 30 a second for one person; a run stays below the first, so that it measures the portal and
    /// not its limit. What was used comes back between runs.
    /// </summary>
    public const int JudgementsMax = 100;

    /// <summary>No thinking: until the time is over, or an annotator has given <see cref="JudgementsMax"/> judgements.</summary>
    public static async Task<LoadResult> AsFastAsTheyCan(IReadOnlyList<AnnotatorClient> annotators, TimeSpan time, CancellationToken stop)
    {
        await Opened(annotators, stop);
        var all = new ConcurrentBag<(Acknowledged Judgement, TimeSpan At)>();
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(annotators.Select(async annotator =>
        {
            for (var given = 0; given < JudgementsMax && clock.Elapsed < time; given++)
            {
                if (given > 0)
                    await annotator.Open(stop);
                all.Add((await annotator.Submit(stop), clock.Elapsed));
            }
        }));
        // Those under way when the time was over are stored and checked, and do not count for the rate.
        var counted = all.Where(one => one.At <= time).ToList();
        var seconds = Math.Min(time.TotalSeconds, all.Max(one => one.At).TotalSeconds);
        return new LoadResult([.. all.Select(one => one.Judgement)], counted.Count / seconds);
    }

    /// <summary>Together <paramref name="perSecond"/> judgements a second, evenly spread; an annotator who is late goes on at once.</summary>
    public static async Task<LoadResult> Paced(IReadOnlyList<AnnotatorClient> annotators, double perSecond, TimeSpan time, CancellationToken stop)
    {
        await Opened(annotators, stop);
        var all = new ConcurrentBag<Acknowledged>();
        var each = TimeSpan.FromSeconds(annotators.Count / perSecond);
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(annotators.Select(async (annotator, i) =>
        {
            for (var due = each * i / annotators.Count; due < time; due += each)
            {
                if (due - clock.Elapsed is var wait && wait > TimeSpan.Zero)
                    await Task.Delay(wait, stop);
                all.Add(await annotator.Submit(stop));
                await annotator.Open(stop);
            }
        }));
        return new LoadResult([.. all], all.Count / Math.Max(time.TotalSeconds, clock.Elapsed.TotalSeconds));
    }

    /// <summary>Every annotator has a page before them when the clock starts; a few at a time, so that nothing runs out.</summary>
    private static Task Opened(IReadOnlyList<AnnotatorClient> annotators, CancellationToken stop) =>
        Parallel.ForEachAsync(annotators, new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = stop }, async (annotator, token) => await annotator.Open(token));
}
