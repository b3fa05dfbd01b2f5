using System.Runtime.InteropServices;

namespace Portal.Tests;

/// <summary>Processor time of the calling thread: what code costs on one core, however busy the machine is.</summary>
internal readonly record struct ThreadTime(TimeSpan Began)
{
    private const int ThreadClock = 3; // CLOCK_THREAD_CPUTIME_ID on Linux

    /// <summary>Time used since <see cref="Start"/>, when read on the same thread.</summary>
    public TimeSpan Elapsed => Now() - Began;

    public static ThreadTime Start()
    {
        return new ThreadTime(Now());
    }

    private static TimeSpan Now()
    {
        return clock_gettime(ThreadClock, out var time) == 0
            ? TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1000)
            : throw new PlatformNotSupportedException("clock_gettime failed");
    }

    [DllImport("libc")]
    private static extern int clock_gettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
