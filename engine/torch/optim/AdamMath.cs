using Portal.Torch.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>
/// The arithmetic of Adam and AdamW for one group of parameters.
/// </summary>
/// <remarks>
/// Plain float32 parameters on the CPU take one fused native pass over memory, where PyTorch's loop takes seven: the step is
/// bound by memory, so this is several times faster, and rounds the same. Everything else (GPUs, other types, amsgrad) goes
/// through libtorch's multi-tensor operators.
/// </remarks>
internal static class AdamMath
{
    internal readonly record struct Settings(double Lr, double Beta1, double Beta2, double Eps, double WeightDecay, bool Decoupled, bool Maximize);

    /// <summary>One parameter with what the step needs of it. MaxSecond is null without amsgrad. Step is already counted up.</summary>
    internal readonly record struct Entry(Parameter Parameter, Tensor Gradient, Tensor First, Tensor Second, Tensor? MaxSecond, long Step);

    internal static void Step(List<Entry> entries, Settings settings)
    {
        if (entries.Count == 0) return;
        if (entries[0].MaxSecond is null && Fused(entries, settings)) return;
        // Bias corrections are numbers of a whole list, so parameters that missed steps go in lists of their own.
        foreach (var sameAge in entries.GroupBy(static e => e.Step)) ByLists([.. sameAge], sameAge.Key, settings);
    }

    private static unsafe bool Fused(List<Entry> entries, Settings s)
    {
        var count = entries.Count;
        var handles = new nint[4 * count];
        var steps = new long[count];
        for (var k = 0; k < count; k++)
        {
            var entry = entries[k];
            handles[k] = entry.Parameter.Live;
            handles[count + k] = entry.Gradient.Live;
            handles[2 * count + k] = entry.First.Live;
            handles[3 * count + k] = entry.Second.Live;
            steps[k] = entry.Step;
        }
        int answer;
        fixed (nint* h = handles)
        fixed (long* t = steps)
            answer = Shim.Check(Shim.pt_adam_step(h, h + count, h + 2 * count, h + 3 * count, t, count, s.Lr, s.Beta1, s.Beta2, s.Eps, s.WeightDecay, s.Decoupled ? 1 : 0, s.Maximize ? 1 : 0));
        GC.KeepAlive(entries);
        return answer == 0;
    }

    private static void ByLists(Entry[] entries, long step, Settings s)
    {
        Tensor[] parameters = [.. entries.Select(static e => e.Parameter)];
        Tensor[] gradients = [.. entries.Select(static e => e.Gradient)];
        Tensor[] firsts = [.. entries.Select(static e => e.First)];
        Tensor[] seconds = [.. entries.Select(static e => e.Second)];
        var correction1 = 1 - Math.Pow(s.Beta1, step);
        var correction2 = 1 - Math.Pow(s.Beta2, step);

        if (s.Maximize) gradients = Ops._foreach_neg.List(gradients);
        if (s.Decoupled) Ops._foreach_mul__Scalar.Do(parameters, 1 - s.Lr * s.WeightDecay);
        else if (s.WeightDecay != 0) gradients = Ops._foreach_add_List.List(gradients, parameters, s.WeightDecay);
        Ops._foreach_mul__Scalar.Do(firsts, s.Beta1);
        Ops._foreach_add__List.Do(firsts, gradients, 1 - s.Beta1);
        Ops._foreach_mul__Scalar.Do(seconds, s.Beta2);
        Ops._foreach_addcmul__Scalar.Do(seconds, gradients, gradients, 1 - s.Beta2);
        for (var k = 0; k < entries.Length; k++)
        {
            if (entries[k].MaxSecond is not { } most) continue;
            using var larger = most.maximum(seconds[k]);
            seconds[k] = most.copy_(larger);
        }
        var denominators = Ops._foreach_sqrt.List(seconds);
        Ops._foreach_div__Scalar.Do(denominators, Math.Sqrt(correction2));
        Ops._foreach_add__Scalar.Do(denominators, s.Eps);
        Ops._foreach_addcdiv__Scalar.Do(parameters, firsts, denominators, -s.Lr / correction1);
    }
}
