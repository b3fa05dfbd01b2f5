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
    /// <param name="threads">Threads of an operator; null for all cores.</param>
    public static void Prepare(int? threads = null)
    {
#if !OFFICIAL_PACKAGES
        // TorchSharp's API has no word for the C library's allocator.
        Portal.Torch.Native.TorchRuntime.ApplyMallocSettings();
#endif
        torch.set_num_threads(threads ?? Environment.ProcessorCount);
    }
}
