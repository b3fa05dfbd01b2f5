using System.Globalization;
using System.Runtime.InteropServices;

namespace Portal.Bench;

/// <summary>On what a bench ran, as its table says it.</summary>
public static class Machine
{
    /// <summary>Above this share of busy cores before the start, figures of a run are not worth keeping.</summary>
    public const double BusyMax = 0.10;

    /// <summary>Cores, processor, memory, system.</summary>
    public static string Describe()
    {
        var model = Lines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "processor unknown";
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1L << 30);
        return string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} × {model}, {memory:F0} GiB, {RuntimeInformation.OSDescription}, {RuntimeInformation.FrameworkDescription}");
    }

    /// <summary>The share of all cores that was busy during a second; 0 where /proc is missing.</summary>
    public static async Task<double> BusyShare(CancellationToken stop)
    {
        var (busyBefore, allBefore) = Ticks();
        await Task.Delay(TimeSpan.FromSeconds(1), stop);
        var (busy, all) = Ticks();
        return all > allBefore ? (busy - busyBefore) / (double)(all - allBefore) : 0;
    }

    /// <summary>Says how busy the machine is, and what that means.</summary>
    public static async Task<string> Quietness(CancellationToken stop)
    {
        var share = await BusyShare(stop);
        return string.Create(CultureInfo.InvariantCulture,
            $"{share:P0} of the cores were busy before the start{(share > BusyMax ? ": NOT a quiet machine, these figures compare nothing" : "")}");
    }

    private static (long Busy, long All) Ticks()
    {
        if (Lines("/proc/stat").FirstOrDefault() is not { } first)
            return (0, 0);
        // cpu user nice system idle iowait irq softirq steal: idle and waiting for disks are not busy.
        var ticks = first.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(text => long.Parse(text, CultureInfo.InvariantCulture)).ToArray();
        return (ticks.Sum() - ticks[3] - ticks[4], ticks.Sum());
    }

    private static IEnumerable<string> Lines(string path) => File.Exists(path) ? File.ReadLines(path) : [];
}
