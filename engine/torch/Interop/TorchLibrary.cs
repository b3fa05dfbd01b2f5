using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Portal.Torch.Native;

/// <summary>
/// Finds, and where needed builds, <c>libportal_torch.so</c>.
/// </summary>
/// <remarks>
/// The build puts a library beside the assembly, linked to the libtorch it found. On another machine, or when TORCH_HOME
/// points to another libtorch (a CUDA build, say), that one does not fit: then <c>native/build.sh</c>, which ships beside the
/// assembly too, compiles the shim once into the user's cache folder (PORTAL_TORCH_CACHE, else XDG_CACHE_HOME or ~/.cache).
/// </remarks>
internal static partial class TorchLibrary
{
    private static readonly Lock Gate = new();
    private static nint library;

    /// <summary>The shim that was loaded; null before it is.</summary>
    internal static string? LoadedPath { get; private set; }

    internal static nint Load()
    {
        lock (Gate)
        {
            if (library != 0) return library;
            // libgomp and OpenBLAS read these when they are loaded, so they must stand in the C environment before; .NET's
            // SetEnvironmentVariable does not reach it. Spinning workers cost a factor of two on small machines.
            setenv("OMP_WAIT_POLICY", "PASSIVE", overwrite: 0);
            // OpenBLAS's own workers look for work for 2^26 cycles before they sleep, some 25 ms taken from whoever else wants the core; 2^20 bridges
            // the gap between two products of a step (a reward model: as fast or faster, a sixth less processor time).
            setenv("OPENBLAS_THREAD_TIMEOUT", "20", overwrite: 0);
            var beside = Path.Combine(AppContext.BaseDirectory, "libportal_torch.so");
            var wantsOther = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("TORCH_HOME"));
            if (!wantsOther && File.Exists(beside) && NativeLibrary.TryLoad(beside, out library))
            {
                LoadedPath = beside;
                return library;
            }
            var built = Build();
            if (!NativeLibrary.TryLoad(built, out library))
                throw new DllNotFoundException($"{built} was built but cannot be loaded. Does LD_LIBRARY_PATH hide a library that libtorch needs? `ldd {built}` shows which one is missing.");
            LoadedPath = built;
            return library;
        }
    }

    private static string Build()
    {
        var script = Path.Combine(AppContext.BaseDirectory, "native", "build.sh");
        if (!File.Exists(script))
            throw new DllNotFoundException($"No libportal_torch.so that fits this machine, and no {script} to build one.");
        var cache = Environment.GetEnvironmentVariable("PORTAL_TORCH_CACHE");
        if (string.IsNullOrEmpty(cache))
        {
            var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            if (string.IsNullOrEmpty(root)) root = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            cache = Path.Combine(root, "portal-torch");
        }
        var start = new ProcessStartInfo("bash") { RedirectStandardError = true, RedirectStandardOutput = true, UseShellExecute = false };
        start.ArgumentList.Add(script);
        start.ArgumentList.Add(cache);
        try
        {
            using var process = Process.Start(start) ?? throw new DllNotFoundException("bash did not start.");
            var output = process.StandardOutput.ReadToEndAsync();
            var errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0) throw new DllNotFoundException($"The shim over libtorch could not be built: {errors}{output.Result}");
        }
        catch (Win32Exception e)
        {
            throw new DllNotFoundException("The shim over libtorch must be built on this machine, and bash is not installed.", e);
        }
        return Path.Combine(cache, "libportal_torch.so");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int setenv(string name, string value, int overwrite);

    [LibraryImport("libc")]
    internal static partial int mallopt(int parameter, int value);
}
