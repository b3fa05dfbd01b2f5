using System.Runtime.InteropServices;

namespace Portal.Torch.Native;

/// <summary>
/// What an engine needs to know about, and ask of, the libtorch below it that TorchSharp's API has no word for.
/// </summary>
/// <remarks>Not part of the TorchSharp API: with the official package these calls fall away, so keep them in one place.</remarks>
public static unsafe class TorchRuntime
{
    /// <summary>The version of libtorch the shim was compiled against, such as "1.13.0".</summary>
    public static string Version => Marshal.PtrToStringUTF8((nint)Shim.pt_version())!;

    /// <summary>The file libtorch was loaded from.</summary>
    public static string LoadedFrom => Marshal.PtrToStringUTF8((nint)Shim.pt_loaded_from())!;

    /// <summary>The shim over libtorch that this process uses: the one beside the program, or one that was built on this machine.</summary>
    public static string ShimFrom
    {
        get
        {
            TorchLibrary.Load();
            return TorchLibrary.LoadedPath!; // set by Load, which throws otherwise
        }
    }

    /// <summary>
    /// Tells glibc's malloc to keep large blocks instead of mapping and unmapping them: the logits of one training step are
    /// hundreds of megabytes, and without this a third of a step goes into page faults. Memory that was used once stays with
    /// the process, so call it in processes that train, not in a web server.
    /// </summary>
    /// <returns>False when the C library refused (it is not glibc).</returns>
    public static bool ApplyMallocSettings()
    {
        const int TrimThreshold = -1, TopPad = -2, MmapMax = -4, ArenaMax = -8;
        // Without mmapped blocks everything comes from the heap, which is never trimmed (-1). Only the main arena can grow
        // past 64 MiB without falling back to mmap, so all threads share that one.
        return TorchLibrary.mallopt(MmapMax, 0) != 0 & TorchLibrary.mallopt(TrimThreshold, -1) != 0
             & TorchLibrary.mallopt(TopPad, 256 << 20) != 0 & TorchLibrary.mallopt(ArenaMax, 1) != 0;
    }

    /// <summary>
    /// Sets the threads of OpenBLAS, where libtorch stands on it (Debian's does): its pool is not OpenMP's, so that
    /// torch.set_num_threads leaves it at all cores.
    /// </summary>
    /// <returns>False when this libtorch brings its own matrix products (MKL), whose threads torch.set_num_threads sets.</returns>
    public static bool SetBlasThreads(int threads)
    {
        TorchLibrary.Load();
        if (!NativeLibrary.TryLoad("libopenblas.so.0", out var blas) || !NativeLibrary.TryGetExport(blas, "openblas_set_num_threads", out var set))
            return false;
        ((delegate* unmanaged[Cdecl]<int, void>)set)(threads);
        return true;
    }

    /// <summary>Free and total bytes of the current CUDA device.</summary>
    /// <exception cref="ExternalException">No CUDA device.</exception>
    public static (long FreeBytes, long TotalBytes) CudaMemory()
    {
        long free, total;
        Shim.Check(Shim.pt_cuda_memory(&free, &total));
        return (free, total);
    }

    /// <summary>Resident memory of this process in bytes, 0 where /proc is missing.</summary>
    public static long ResidentBytes()
    {
        const string statm = "/proc/self/statm";
        if (!File.Exists(statm)) return 0;
        var pages = File.ReadAllText(statm).Split(' ')[1];
        return long.Parse(pages, System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }
}
