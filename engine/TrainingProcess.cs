using Portal.Engine.Recipes;
using TorchSharp;

namespace Portal.Engine;

/// <summary>What a process that computes with tensors sets once, before its first tensor.</summary>
/// <remarks>
/// On two cores these settings are worth 2.3 to 2.6 times the throughput (specs/rlhf.md §6): memory of one step's logits is kept instead of
/// mapped anew, and OpenMP's threads sleep between operators instead of spinning against each other (the binding sets OMP_WAIT_POLICY
/// itself when it loads libtorch). Seeds are the recipes' business.
/// </remarks>
public static class TrainingProcess
{
    /// <summary>How many threads an operator has where nobody says otherwise, on a machine that others compute on too: BLAS's threads wait for each other by spinning, and take turns with those of the other processes.</summary>
    public const string ThreadsVariable = "PORTAL_THREADS";

    /// <param name="threads">Threads of an operator; null for what <see cref="ThreadsVariable"/> says, or else all cores.</param>
    /// <exception cref="CannotTrain">Fewer than one thread; or libtorch, or the shim over it, is not there; the message says what to do.</exception>
    public static void Prepare(int? threads = null)
    {
        if (threads < 1)
            throw new CannotTrain($"--threads is {threads}; it must be at least 1.");
        if (threads is null && Environment.GetEnvironmentVariable(ThreadsVariable) is { Length: > 0 } said)
            threads = int.TryParse(said, System.Globalization.CultureInfo.InvariantCulture, out var number) && number >= 1 ? number : throw new CannotTrain($"{ThreadsVariable} is \"{said}\"; it must be a whole number of at least 1.");
        try
        {
#if !OFFICIAL_PACKAGES
            // TorchSharp's API has no word for the C library's allocator.
            Portal.Torch.Native.TorchRuntime.ApplyMallocSettings();
            // Nor for the threads of OpenBLAS, which are all cores unless it is told otherwise.
            if (threads is { } count)
                Portal.Torch.Native.TorchRuntime.SetBlasThreads(count);
#endif
            torch.set_num_threads(threads ?? Environment.ProcessorCount);
        }
        catch (Exception e) when (Missing(e) is { } missing)
        {
            throw new CannotTrain($"Models cannot be run here: {missing.Message} `engine doctor` says what it finds; the README names the packages to install.", e);
        }
    }

    /// <summary>What there is to compute with, as lines for people.</summary>
    public static IReadOnlyList<string> Describe()
    {
        try
        {
            Prepare();
            return
            [
#if OFFICIAL_PACKAGES
                "libtorch   of the TorchSharp packages",
#else
                $"libtorch   {Portal.Torch.Native.TorchRuntime.Version}, from {Portal.Torch.Native.TorchRuntime.LoadedFrom}",
                $"shim       {Portal.Torch.Native.TorchRuntime.ShimFrom}",
#endif
                $"threads    {torch.get_num_threads()}",
                $"CUDA       {(torch.cuda.is_available() ? $"{torch.cuda.device_count()} device(s)" : "not there; models run on the processor")}",
            ];
        }
        catch (CannotTrain e)
        {
            return [$"libtorch   not usable. {e.Message}"];
        }
    }

    /// <summary>The missing library behind a failed call; null when the failure is another one.</summary>
    private static DllNotFoundException? Missing(Exception? e)
    {
        while (e is not null and not DllNotFoundException)
            e = e.InnerException;
        return e as DllNotFoundException;
    }
}
