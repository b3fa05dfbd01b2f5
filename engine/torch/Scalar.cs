using System.Numerics;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>A number with an element type, as operators take it. Made by implicit conversion.</summary>
public sealed class Scalar : IDisposable
{
    internal readonly long Int;
    internal readonly double Double;
    internal readonly Complex Complex;

    private Scalar(ScalarType type, long integer, double real, Complex complex = default)
    {
        Type = type;
        Int = integer;
        Double = real;
        Complex = complex;
    }

    /// <summary>The element type of the number.</summary>
    public ScalarType Type { get; }

    internal bool IsIntegral => Type <= ScalarType.Int64 || Type == ScalarType.Bool;
    internal bool IsComplex => Type is ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64;

    private static Scalar OfInt(ScalarType type, long value) => new(type, value, value, value);
    private static Scalar OfReal(ScalarType type, double value) => new(type, 0, value, value);

    public static implicit operator Scalar(bool value) => OfInt(ScalarType.Bool, value ? 1 : 0);
    public static implicit operator Scalar(byte value) => OfInt(ScalarType.Byte, value);
    public static implicit operator Scalar(sbyte value) => OfInt(ScalarType.Int8, value);
    public static implicit operator Scalar(short value) => OfInt(ScalarType.Int16, value);
    public static implicit operator Scalar(int value) => OfInt(ScalarType.Int32, value);
    public static implicit operator Scalar(long value) => OfInt(ScalarType.Int64, value);
    public static implicit operator Scalar(Half value) => OfReal(ScalarType.Float16, (double)value);
    public static implicit operator Scalar(float value) => OfReal(ScalarType.Float32, value);
    public static implicit operator Scalar(double value) => OfReal(ScalarType.Float64, value);
    public static implicit operator Scalar(Complex value) => new(ScalarType.ComplexFloat64, 0, value.Real, value);
    public static implicit operator Scalar((float, float) value) => new(ScalarType.ComplexFloat32, 0, value.Item1, new Complex(value.Item1, value.Item2));

    /// <summary>Nothing native is held: kept for code written against TorchSharp.</summary>
    public void Dispose()
    {
    }
}

/// <summary>Conversions between numbers and <see cref="Scalar"/>.</summary>
public static class ScalarExtensionMethods
{
    public static Scalar ToScalar(this bool value) => value;
    public static Scalar ToScalar(this byte value) => value;
    public static Scalar ToScalar(this sbyte value) => value;
    public static Scalar ToScalar(this short value) => value;
    public static Scalar ToScalar(this int value) => value;
    public static Scalar ToScalar(this long value) => value;
    public static Scalar ToScalar(this Half value) => value;
    public static Scalar ToScalar(this float value) => value;
    public static Scalar ToScalar(this double value) => value;
    public static Scalar ToScalar(this Complex value) => value;

    public static bool ToBoolean(this Scalar value) => value.IsIntegral ? value.Int != 0 : value.Double != 0;
    public static byte ToByte(this Scalar value) => checked((byte)value.ToInt64());
    public static sbyte ToSByte(this Scalar value) => checked((sbyte)value.ToInt64());
    public static short ToInt16(this Scalar value) => checked((short)value.ToInt64());
    public static int ToInt32(this Scalar value) => checked((int)value.ToInt64());
    public static long ToInt64(this Scalar value) => value.IsIntegral ? value.Int : (long)value.Double;
    public static Half ToHalf(this Scalar value) => (Half)value.Double;
    public static float ToSingle(this Scalar value) => (float)value.Double;
    public static double ToDouble(this Scalar value) => value.Double;
    public static Complex ToComplexFloat64(this Scalar value) => value.Complex;
}
