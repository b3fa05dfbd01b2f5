using System.Diagnostics;
using System.Globalization;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Engine;

namespace Portal.Bench;

/// <summary>How the portal's bench runs.</summary>
/// <param name="Published">The folder with the published portal and engine.</param>
/// <param name="Work">The data directory of the installation the bench makes; must not exist, removed afterwards.</param>
/// <param name="Quick">Fewer annotators, runs and seconds.</param>
public sealed record PortalBenchOptions(DirectoryInfo Published, DirectoryInfo Work, bool Quick);

/// <summary>
/// Judgements per second and the latency of a submit through the portal's real HTTP path, with 1, 50 and 500 annotators: while the engine has
/// nothing to do, while it imports, while it trains. The three states take turns in rounds, and a busy state is compared with the idle one of
/// the same round. After every run each acknowledged judgement must be in the database exactly once.
/// </summary>
public sealed class PortalBench(PortalBenchOptions options)
{
    /// <summary>The p99 of a submit during an import and during training may be so many times the idle one.</summary>
    private const double Target = 2;

    /// <summary>All annotators together in a latency run; one alone stays below the portal's limit of 30 calls a second for a person.</summary>
    private static double PacedPerSecond(int annotators) => Math.Min(25, 20.0 * annotators);

    private const int ImportRows = 20_000;

    /// <summary>A job must have been running for this share of a run, or the run was not what it is called.</summary>
    private const double BusyShareMin = 0.8;

    /// <summary>An idle portal that takes less than this share of what a latency run offers is overloaded, and its latencies are a queue's.</summary>
    private const double TakenShareMin = 0.9;

    private static readonly string[] States = ["idle", "import", "training"];

    private readonly Dictionary<(string State, int Annotators), Cell> cells = [];

    private IReadOnlyList<int> Levels => options.Quick ? [1, 20] : [1, 50, 500];
    private int Rounds => options.Quick ? 2 : PairedRatios.PairsMin;
    private TimeSpan RateTime => TimeSpan.FromSeconds(options.Quick ? 1 : 3);
    private TimeSpan PacedTime => TimeSpan.FromSeconds(options.Quick ? 2 : 8);

    /// <summary>Runs everything.</summary>
    /// <param name="say">Told what goes on, line by line.</param>
    public async Task<(IReadOnlyList<BenchRow> Rows, string Setting)> Run(Action<string> say, CancellationToken stop)
    {
        var quietness = await Machine.Quietness(stop);
        say(quietness);
        TrainingProcess.Prepare();
        var watch = Stopwatch.StartNew();
        using var installation = await PortalInstallation.Start(options.Published, options.Work.FullName, pairs: 1_000, stop);
        installation.EnsureTasks(Levels[^1] * 4);
        var annotators = new List<AnnotatorClient>();
        try
        {
            foreach (var name in installation.AddAnnotators(Levels[^1]))
                annotators.Add(new AnnotatorClient(installation.Address, installation.Judged, name, annotators.Count));
            await Parallel.ForEachAsync(annotators, new ParallelOptions { MaxDegreeOfParallelism = 2, CancellationToken = stop },
                async (annotator, token) => await annotator.SignIn(installation.Password, token));
            say(string.Create(CultureInfo.InvariantCulture, $"{annotators.Count} annotators are signed in after {watch.Elapsed.TotalSeconds:F0} s"));
            // One round that is not counted: the portal compiles what it runs often.
            await Measure(installation, annotators, "idle", counted: false, say, stop);
            for (var round = 1; round <= Rounds; round++)
            {
                await Measure(installation, annotators, "idle", counted: true, say, stop);
                await using (await Busy.Importing(installation, ImportRows, stop))
                    await Measure(installation, annotators, "import", counted: true, say, stop);
                await using (await Busy.Training(installation, stop))
                    await Measure(installation, annotators, "training", counted: true, say, stop);
                say(string.Create(CultureInfo.InvariantCulture, $"round {round} of {Rounds} is over after {watch.Elapsed.TotalMinutes:F1} minutes"));
            }
        }
        finally
        {
            annotators.ForEach(annotator => annotator.Dispose());
        }
        var stored = cells.Values.Sum(cell => cell.Stored);
        var setting = string.Create(CultureInfo.InvariantCulture,
            $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}; SQLite; latencies at {PacedPerSecond(Levels[^1]):F0} judgements a second ({PacedPerSecond(1):F0} of one annotator alone); {Rounds} runs of {RateTime.TotalSeconds:F0} s (rate) and {PacedTime.TotalSeconds:F0} s (latency) each; {stored} acknowledged judgements, each checked to be stored exactly once; {quietness}; {watch.Elapsed.TotalMinutes:F1} minutes.");
        return (Rows(), setting);
    }

    private async Task Measure(PortalInstallation installation, List<AnnotatorClient> annotators, string state, bool counted, Action<string> say, CancellationToken stop)
    {
        foreach (var level in Levels)
        {
            var some = annotators.Take(level).ToList();
            installation.EnsureTasks(level * 2 + 2_500);
            var began = TimeProvider.System.GetUtcNow();
            var rate = await AnnotatorLoad.AsFastAsTheyCan(some, RateTime, stop);
            var paced = await AnnotatorLoad.Paced(some, PacedPerSecond(level), PacedTime, stop);
            var ended = TimeProvider.System.GetUtcNow();
            foreach (var annotator in some.Take(10))
                await annotator.Replay(stop);
            List<Acknowledged> all = [.. rate.All, .. paced.All];
            var problem = installation.Check(all);
            var share = Busy.Share(installation, state, began, ended);
            if (share < BusyShareMin)
                problem ??= string.Create(CultureInfo.InvariantCulture, $"a job was running for only {share:P0} of a run");
            if (problem is not null)
                say($"{state}, {level} annotators: {problem}");
            else if (counted)
                say(string.Create(CultureInfo.InvariantCulture,
                    $"{state}, {level} annotators: {rate.PerSecond:F1} a second; paced {paced.PerSecond:F1} a second, p50 {paced.Milliseconds(0.5):F1} ms, p99 {paced.Milliseconds(0.99):F1} ms"));
            if (!cells.TryGetValue((state, level), out var cell))
                cells[(state, level)] = cell = new Cell();
            cell.Stored += all.Count;
            cell.Problem ??= problem;
            if (counted && state == "idle" && paced.PerSecond < TakenShareMin * PacedPerSecond(level))
                cell.Overload ??= string.Create(CultureInfo.InvariantCulture, $"the idle portal took {paced.PerSecond:F1} of {PacedPerSecond(level):F0} judgements a second; its latencies are a queue's");
            if (counted)
            {
                cell.Rates.Add(rate.PerSecond);
                cell.P50.Add(paced.Milliseconds(0.5));
                cell.P99.Add(paced.Milliseconds(0.99));
            }
        }
    }

    private List<BenchRow> Rows()
    {
        var rows = new List<BenchRow>();
        foreach (var (what, unit, pick) in new (string, string, Func<Cell, List<double>>)[]
                 {
                     ("judgements", "a second", cell => cell.Rates), ("submit-p50", "ms", cell => cell.P50), ("submit-p99", "ms", cell => cell.P99),
                 })
            foreach (var level in Levels)
                foreach (var state in States)
                {
                    var (ours, idle) = (pick(cells[(state, level)]), pick(cells[("idle", level)]));
                    var busy = state != "idle";
                    rows.Add(new BenchRow
                    {
                        Name = $"{what}-{level}-{state}", Ours = PairedRatios.Quantile(ours, 0.5), Unit = unit, LowerIsBetter = unit == "ms",
                        Range = (ours.Min(), ours.Max()), Peer = busy ? PairedRatios.Quantile(idle, 0.5) : null,
                        Ratios = busy ? new PairedRatios([[.. ours.Zip(idle, (with, without) => with / without)]]) : null,
                        Target = busy && what == "submit-p99" ? Target : null, Invalid = cells[(state, level)].Problem ?? cells[("idle", level)].Problem ?? (unit == "ms" ? cells[("idle", level)].Overload : null),
                    });
                }
        return rows;
    }

    /// <summary>What was measured with so many annotators in one state, run after run.</summary>
    private sealed class Cell
    {
        public List<double> Rates { get; } = [];
        public List<double> P50 { get; } = [];
        public List<double> P99 { get; } = [];
        public int Stored { get; set; }
        public string? Problem { get; set; }

        /// <summary>Why latencies say nothing; null when they do.</summary>
        public string? Overload { get; set; }
    }
}

/// <summary>The engine at work on something while annotators judge; ends, and waits for its end, when disposed of.</summary>
internal sealed class Busy : IAsyncDisposable
{
    private readonly PortalInstallation installation;
    private readonly CancellationTokenSource enough = new();
    private Task running = Task.CompletedTask;

    private Busy(PortalInstallation installation) => this.installation = installation;

    /// <summary>Imports one after the other, so that their flips are measured too; the first has begun to read when this returns.</summary>
    public static async Task<Busy> Importing(PortalInstallation installation, int rows, CancellationToken stop)
    {
        var busy = new Busy(installation);
        var first = installation.QueueImport(rows);
        await installation.Until(first, job => job.Step > 0, "an import under way", stop);
        busy.running = busy.KeepImporting(first, rows);
        return busy;
    }

    /// <summary>One training job, past its first step when this returns.</summary>
    public static async Task<Busy> Training(PortalInstallation installation, CancellationToken stop)
    {
        var busy = new Busy(installation);
        var job = installation.QueueTraining();
        await installation.Until(job, row => row.Phase == "training" && row.Step > 0, "a first training step", stop);
        busy.running = busy.UntilEnough(job);
        return busy;
    }

    /// <summary>The share of a time in which a job of the state's kind was running; 1 where the engine was idle as it should be.</summary>
    public static double Share(PortalInstallation installation, string state, DateTimeOffset from, DateTimeOffset to)
    {
        using var db = installation.Open();
        var project = state == "import" ? installation.Imported : installation.Trained;
        var seconds = db.Jobs.Where(j => state == "idle" || j.ProjectId == project).Select(j => new { j.StartedAt, j.FinishedAt }).AsEnumerable()
            .Where(job => job.StartedAt is not null)
            .Sum(job => Math.Max(0, (Min(job.FinishedAt ?? to, to) - Max(job.StartedAt!.Value, from)).TotalSeconds)); // filtered just before
        var share = seconds / (to - from).TotalSeconds;
        return state == "idle" ? 1 - Math.Min(1, share) : share;

        static DateTimeOffset Min(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;
        static DateTimeOffset Max(DateTimeOffset a, DateTimeOffset b) => a > b ? a : b;
    }

    public async ValueTask DisposeAsync()
    {
        await enough.CancelAsync();
        await running;
        enough.Dispose();
    }

    private async Task KeepImporting(JobId first, int rows)
    {
        var next = installation.QueueImport(rows);
        for (var current = first; ;)
        {
            while (!installation.Job(current).IsOver && !enough.IsCancellationRequested)
                await Task.Delay(200);
            if (enough.IsCancellationRequested)
            {
                foreach (var job in new[] { next, current })
                    await End(job);
                return;
            }
            if (installation.Job(current) is { State: not JobState.Succeeded } failed)
                throw new InvalidOperationException($"An import of the bench is {failed.State}: {failed.FailReason}");
            (current, next) = (next, installation.QueueImport(rows));
        }
    }

    private async Task UntilEnough(JobId job)
    {
        while (!enough.IsCancellationRequested)
        {
            if (installation.Job(job) is { IsOver: true } row)
                throw new InvalidOperationException($"The training of the bench is {row.State}: {row.FailReason}");
            await Task.Delay(200);
        }
        await End(job);
    }

    private async Task End(JobId job)
    {
        await installation.Cancel(job, CancellationToken.None);
        await installation.Until(job, row => row.IsOver, "the end of a cancelled job", CancellationToken.None);
    }
}
