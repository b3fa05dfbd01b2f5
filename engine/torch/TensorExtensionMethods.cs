using System.Globalization;
using System.Text;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>Conversions of one-element tensors to numbers, and TorchSharp's binary form of a tensor.</summary>
public static class TensorExtensionMethods
{
    public static bool ToBoolean(this Tensor value) => value.ToScalar().ToBoolean();
    public static byte ToByte(this Tensor value) => value.ToScalar().ToByte();
    public static sbyte ToSByte(this Tensor value) => value.ToScalar().ToSByte();
    public static short ToInt16(this Tensor value) => value.ToScalar().ToInt16();
    public static int ToInt32(this Tensor value) => value.ToScalar().ToInt32();
    public static long ToInt64(this Tensor value) => value.ToScalar().ToInt64();
    public static Half ToHalf(this Tensor value) => value.ToScalar().ToHalf();
    public static float ToSingle(this Tensor value) => value.ToScalar().ToSingle();
    public static double ToDouble(this Tensor value) => value.ToScalar().ToDouble();

    public static Parameter AsParameter(this Tensor tensor) => new(tensor);

    /// <summary>Bytes of one element.</summary>
    public static int ElementSize(this ScalarType type) => type switch
    {
        ScalarType.Byte or ScalarType.Int8 or ScalarType.Bool or ScalarType.QInt8 or ScalarType.QUInt8 => 1,
        ScalarType.Int16 or ScalarType.Float16 or ScalarType.BFloat16 => 2,
        ScalarType.Int32 or ScalarType.Float32 or ScalarType.QInt32 => 4,
        ScalarType.Int64 or ScalarType.Float64 or ScalarType.ComplexFloat32 => 8,
        ScalarType.ComplexFloat64 => 16,
    };

    /// <summary>The product of the sizes.</summary>
    public static long TotalSize(this IEnumerable<long> shape) => shape.Aggregate(1L, static (product, size) => product * size);

    /// <summary>Writes type, shape and values: varints, then the bytes in row-major order.</summary>
    public static void Save(this Tensor tensor, BinaryWriter writer)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        using var scope = NewDisposeScope();
        var here = tensor.detach().cpu().contiguous();
        writer.Write7BitEncodedInt64((long)here.dtype);
        writer.Write7BitEncodedInt64(here.dim());
        foreach (var size in here.shape) writer.Write7BitEncodedInt64(size);
        here.WriteBytes(writer.BaseStream, writer);
    }

    public static void Save(this Tensor tensor, Stream stream)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        tensor.Save(writer);
    }

    public static void Save(this Tensor tensor, string location)
    {
        using var stream = File.Create(location);
        tensor.Save(stream);
    }

    /// <summary>Reads a tensor that <see cref="Save(Tensor, BinaryWriter)"/> wrote into this one.</summary>
    /// <exception cref="ArgumentException">Type or shape differ.</exception>
    public static void Load(this Tensor tensor, BinaryReader reader, bool skip = false)
    {
        using var loaded = Load(reader, skip: false);
        if (skip) return;
        if (loaded.dtype != tensor.dtype) throw new ArgumentException($"Mismatched element types: the target tensor holds {tensor.dtype}, the saved one {loaded.dtype}.");
        if (!loaded.shape.SequenceEqual(tensor.shape)) throw new ArgumentException($"Mismatched shapes: the target tensor has [{string.Join(", ", tensor.shape)}], the saved one [{string.Join(", ", loaded.shape)}].");
        using (no_grad()) tensor.copy_(loaded);
    }

    public static Tensor Load(BinaryReader reader, bool skip = false)
    {
        var type = (ScalarType)reader.Read7BitEncodedInt64();
        var rank = reader.Read7BitEncodedInt64();
        if (!Enum.IsDefined(type) || rank is < 0 or > 64) throw new InvalidDataException($"This is no saved tensor: type {(int)type}, {rank} dimensions.");
        var shape = new long[rank];
        for (var d = 0; d < shape.Length; d++)
        {
            shape[d] = reader.Read7BitEncodedInt64();
            if (shape[d] < 0) throw new InvalidDataException($"This is no saved tensor: dimension {d} has size {shape[d]}.");
        }
        var tensor = empty(shape, type, CPU);
        tensor.ReadBytes(reader.BaseStream);
        return tensor;
    }

    /// <summary>Type, device, shape, and the values of a small tensor.</summary>
    public static string str(this Tensor tensor, string? fltFormat = null, int? width = null, string? newLine = null, CultureInfo? cultureInfo = null, TensorStringStyle style = TensorStringStyle.Default) =>
        style == TensorStringStyle.Metadata ? tensor.metastr() : TensorText.Of(tensor, fltFormat ?? "g5", cultureInfo ?? CultureInfo.InvariantCulture, newLine ?? Environment.NewLine);

    /// <summary>Shape, type and device.</summary>
    public static string metastr(this Tensor tensor) => TensorText.Header(tensor);
}

internal static class TensorText
{
    private const int MostPerDimension = 6;

    internal static string Header(Tensor tensor) =>
        $"[{string.Join("x", tensor.shape)}], type = {tensor.dtype}, device = {tensor.device}" + (tensor.requires_grad ? ", grad" : "");

    internal static string Of(Tensor tensor, string format, CultureInfo culture, string newLine)
    {
        if (tensor.is_meta) return Header(tensor);
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var values = tensor.detach().cpu();
        var shown = values.is_complex() || values.is_floating_point() || values.is_integral() || values.dtype == ScalarType.Bool ? values : values.to(ScalarType.Float64);
        var text = new StringBuilder();
        Append(text, shown, format, culture, newLine, 0);
        return $"{Header(tensor)}{newLine}{text}";
    }

    private static void Append(StringBuilder text, Tensor tensor, string format, CultureInfo culture, string newLine, int depth)
    {
        if (tensor.dim() == 0)
        {
            text.Append(Number(tensor, format, culture));
            return;
        }
        var size = tensor.size(0);
        var innermost = tensor.dim() == 1;
        text.Append('[');
        for (long k = 0; k < size; k++)
        {
            if (k > 0) text.Append(innermost ? ", " : "," + newLine + new string(' ', depth + 1));
            if (size > 2 * MostPerDimension && k == MostPerDimension)
            {
                text.Append("...");
                k = size - MostPerDimension - 1;
                continue;
            }
            using var part = tensor.select(0, k);
            Append(text, part, format, culture, newLine, depth + 1);
        }
        text.Append(']');
    }

    private static string Number(Tensor tensor, string format, CultureInfo culture)
    {
        var scalar = tensor.ToScalar();
        if (scalar.Type == ScalarType.Bool) return scalar.ToBoolean() ? "true" : "false";
        if (scalar.IsIntegral) return scalar.ToInt64().ToString(culture);
        return scalar.IsComplex ? scalar.ToComplexFloat64().ToString(format, culture) : scalar.ToDouble().ToString(format, culture);
    }
}

public static partial class torch
{
    public partial class Tensor
    {
        /// <summary>Shape, type, device and the first values.</summary>
        public override string ToString() => IsInvalid ? "disposed tensor" : this.str();

        public static Tensor Load(BinaryReader reader) => TensorExtensionMethods.Load(reader);

        public static Tensor Load(Stream stream)
        {
            using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
            return Load(reader);
        }

        public static Tensor Load(string location)
        {
            using var stream = File.OpenRead(location);
            return Load(stream);
        }

        public void save(string location) => this.Save(location);
        public static Tensor load(string location) => Load(location);

        // In pieces, because a tensor may hold more bytes than a span.
        internal unsafe void WriteBytes(Stream stream, BinaryWriter writer)
        {
            writer.Flush();
            var left = numel() * ElementSize;
            for (var at = (byte*)Data(); left > 0;)
            {
                var piece = (int)Math.Min(left, 1 << 24);
                stream.Write(new ReadOnlySpan<byte>(at, piece));
                at += piece;
                left -= piece;
            }
            GC.KeepAlive(this);
        }

        internal unsafe void ReadBytes(Stream stream)
        {
            var left = numel() * ElementSize;
            for (var at = (byte*)Data(); left > 0;)
            {
                var piece = (int)Math.Min(left, 1 << 24);
                stream.ReadExactly(new Span<byte>(at, piece));
                at += piece;
                left -= piece;
            }
            GC.KeepAlive(this);
        }
    }

    public static void save(Tensor t, string location) => t.Save(location);
    public static Tensor load(string location) => Tensor.Load(location);
}
