using System.Runtime.InteropServices;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Torch.Native;

/// <summary>One argument of an operator: a tagged value that becomes 24 bytes on the native side.</summary>
internal readonly struct Arg
{
    /// <summary>The layout shared with portal_torch.cpp.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 24)]
    internal struct Wire
    {
        [FieldOffset(0)] internal int Tag;
        [FieldOffset(4)] internal int Count;
        [FieldOffset(8)] internal long Int;
        [FieldOffset(8)] internal double Double;
        [FieldOffset(8)] internal nint Pointer;
        [FieldOffset(16)] internal double Imaginary;
    }

    internal const int NoneTag = 0, TensorTag = 1, IntTag = 2, DoubleTag = 3, BoolTag = 4, IntsTag = 5, TensorsTag = 6,
        StringTag = 7, DeviceTag = 8, GeneratorTag = 9, DoublesTag = 10, ComplexTag = 11;

    // Keeps what the native side points to alive during the call: a Tensor, long[], Tensor?[], byte[], Generator.
    private readonly object? keep;
    private readonly long bits;
    private readonly int tag;
    private readonly int count;

    private Arg(int tag, long bits, int count = 0, object? keep = null)
    {
        this.tag = tag;
        this.bits = bits;
        this.count = count;
        this.keep = keep;
    }

    internal static Arg None => default;

    public static implicit operator Arg(Tensor tensor)
    {
        if (tensor is null) throw new ArgumentNullException(nameof(tensor), "An operator was given null where it needs a tensor.");
        return new(TensorTag, tensor.Live, 0, tensor);
    }

    /// <summary>A tensor that may be absent.</summary>
    internal static Arg Opt(Tensor? tensor) => tensor is null ? default : (Arg)tensor;

    public static implicit operator Arg(long value) => new(IntTag, value);
    public static implicit operator Arg(long? value) => value is { } v ? new(IntTag, v) : default;
    public static implicit operator Arg(double value) => new(DoubleTag, BitConverter.DoubleToInt64Bits(value));
    public static implicit operator Arg(double? value) => value is { } v ? (Arg)v : default;
    public static implicit operator Arg(bool value) => new(BoolTag, value ? 1 : 0);
    public static implicit operator Arg(ScalarType value) => new(IntTag, (long)value);
    public static implicit operator Arg(ScalarType? value) => value is { } v ? new(IntTag, (long)v) : default;
    public static implicit operator Arg(nn.Reduction value) => new(IntTag, (long)value);
    public static implicit operator Arg(Device? device) => device is null ? default : new(DeviceTag, (long)device.type, device.index);
    public static implicit operator Arg(Generator? generator) => generator is null ? default : new(GeneratorTag, generator.Live, 0, generator);
    public static implicit operator Arg(long[]? values) => values is null ? default : new(IntsTag, 0, values.Length, values);
    public static implicit operator Arg(ReadOnlySpan<long> values) => new(IntsTag, 0, values.Length, values.ToArray());
    public static implicit operator Arg(Tensor?[] tensors) => new(TensorsTag, 0, (tensors ?? throw new ArgumentNullException(nameof(tensors))).Length, tensors);

    public static implicit operator Arg(string? text)
    {
        if (text is null) return default;
        var bytes = Encoding.UTF8.GetBytes(text);
        return new(StringTag, 0, bytes.Length, bytes);
    }

    public static implicit operator Arg(Scalar? scalar)
    {
        if (scalar is null) return default;
        if (scalar.IsComplex) return new(ComplexTag, 0, 0, scalar);
        if (scalar.Type == ScalarType.Bool) return new(BoolTag, scalar.Int);
        return scalar.IsIntegral ? new(IntTag, scalar.Int) : new(DoubleTag, BitConverter.DoubleToInt64Bits(scalar.Double));
    }

    /// <summary>Ends what must live at least until here: called when the native call has returned.</summary>
    internal void KeepAlive() => GC.KeepAlive(keep);

    /// <summary>How many 8-byte places of scratch memory this argument needs.</summary>
    internal int Places => tag switch { IntsTag or TensorsTag => count, StringTag => (count + 7) / 8, _ => 0 };

    /// <summary>Writes the native form; lists are copied to <paramref name="scratch"/>, which moves on.</summary>
    internal unsafe void Write(Wire* wire, ref long* scratch)
    {
        wire->Tag = tag;
        wire->Count = count;
        wire->Int = bits;
        switch (tag)
        {
            case IntsTag:
                ((long[])keep!).AsSpan().CopyTo(new Span<long>(scratch, count));
                wire->Pointer = (nint)scratch;
                scratch += count;
                break;
            case TensorsTag:
                var tensors = (Tensor?[])keep!;
                for (var k = 0; k < count; k++) scratch[k] = tensors[k] is { } tensor ? tensor.Live : 0;
                wire->Pointer = (nint)scratch;
                scratch += count;
                break;
            case StringTag:
                ((byte[])keep!).AsSpan().CopyTo(new Span<byte>(scratch, count));
                wire->Pointer = (nint)scratch;
                scratch += Places;
                break;
            case ComplexTag:
                var z = ((Scalar)keep!).Complex;
                wire->Double = z.Real;
                wire->Imaginary = z.Imaginary;
                break;
        }
    }
}
