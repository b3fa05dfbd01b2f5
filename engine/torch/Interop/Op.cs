using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using static TorchSharp.torch;

namespace Portal.Torch.Native;

/// <summary>
/// An operator of libtorch, looked up at its first call. Arguments go in the schema's order; trailing ones may be left out
/// when the schema has defaults for them.
/// </summary>
internal sealed unsafe class Op(string name, string overload = "")
{
    private const int MostArguments = 16, MostScratch = 64;
    private nint handle;

    /// <summary>Whether this libtorch has the operator.</summary>
    internal bool Exists => handle != 0 || (handle = Find()) != 0;

    /// <summary>Calls it for its one tensor.</summary>
    [SkipLocalsInit]
    internal Tensor T(params ReadOnlySpan<Arg> args)
    {
        Arg.Wire result;
        Invoke(args, &result, 1);
        return Tensor.Own(result.Pointer);
    }

    /// <summary>Calls it for two tensors.</summary>
    internal (Tensor, Tensor) T2(params ReadOnlySpan<Arg> args)
    {
        Arg.Wire* results = stackalloc Arg.Wire[2];
        Invoke(args, results, 2);
        return (Tensor.Own(results[0].Pointer), Tensor.Own(results[1].Pointer));
    }

    /// <summary>Calls it for three tensors.</summary>
    internal (Tensor, Tensor, Tensor) T3(params ReadOnlySpan<Arg> args)
    {
        Arg.Wire* results = stackalloc Arg.Wire[3];
        Invoke(args, results, 3);
        return (Tensor.Own(results[0].Pointer), Tensor.Own(results[1].Pointer), Tensor.Own(results[2].Pointer));
    }

    /// <summary>Calls it for four tensors.</summary>
    internal (Tensor, Tensor, Tensor, Tensor) T4(params ReadOnlySpan<Arg> args)
    {
        Arg.Wire* results = stackalloc Arg.Wire[4];
        Invoke(args, results, 4);
        return (Tensor.Own(results[0].Pointer), Tensor.Own(results[1].Pointer), Tensor.Own(results[2].Pointer), Tensor.Own(results[3].Pointer));
    }

    /// <summary>Calls it for a list of tensors.</summary>
    internal Tensor[] List(params ReadOnlySpan<Arg> args)
    {
        Arg.Wire result;
        Invoke(args, &result, 1);
        var tensors = new Tensor[result.Count];
        for (var k = 0; k < tensors.Length; k++) tensors[k] = Tensor.Own(((nint*)result.Pointer)[k]);
        Shim.pt_free((void*)result.Pointer);
        return tensors;
    }

    /// <summary>Calls it for a truth value.</summary>
    internal bool Bool(params ReadOnlySpan<Arg> args)
    {
        Arg.Wire result;
        Invoke(args, &result, 1);
        return result.Int != 0;
    }

    /// <summary>Calls it for its effect, as in-place operators are.</summary>
    internal void Do(params ReadOnlySpan<Arg> args) => Invoke(args, null, 0);

    [SkipLocalsInit]
    private void Invoke(ReadOnlySpan<Arg> args, Arg.Wire* results, int room)
    {
        if (handle == 0 && (handle = Find()) == 0) throw Shim.Failure();
        Arg.Wire* wires = stackalloc Arg.Wire[MostArguments];
        var places = 0;
        foreach (ref readonly var arg in args) places += arg.Places;
        if (places <= MostScratch)
        {
            long* scratch = stackalloc long[MostScratch];
            InvokeWith(args, wires, scratch, results, room);
            return;
        }
        var heap = (long*)NativeMemory.Alloc((nuint)places, sizeof(long));
        try
        {
            InvokeWith(args, wires, heap, results, room);
        }
        finally
        {
            NativeMemory.Free(heap);
        }
    }

    private void InvokeWith(ReadOnlySpan<Arg> args, Arg.Wire* wires, long* scratch, Arg.Wire* results, int room)
    {
        for (var k = 0; k < args.Length; k++) args[k].Write(wires + k, ref scratch);
        var written = Shim.pt_call(handle, wires, args.Length, results, room);
        foreach (ref readonly var arg in args) arg.KeepAlive();
        if (written < 0) throw Shim.Failure();
        if (written < room) throw new InvalidOperationException($"{name} returned {written} values, {room} were expected.");
    }

    private nint Find()
    {
        fixed (byte* nameBytes = Encoding.UTF8.GetBytes(name + '\0'), overloadBytes = Encoding.UTF8.GetBytes(overload + '\0'))
            return Shim.pt_find(nameBytes, overloadBytes);
    }
}
