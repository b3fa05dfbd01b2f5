namespace TorchSharp;

/// <summary>Where a tensor lives; libtorch's numbers.</summary>
public enum DeviceType { CPU = 0, CUDA = 1, MKLDNN = 2, OPENGL = 3, OPENCL = 4, IDEEP = 5, HIP = 6, FPGA = 7, MSNPU = 8, XLA = 9, MPS = 13, META = 14 }

/// <summary>How <c>pad</c> fills the border.</summary>
public enum PaddingModes { Zeros = 0, Reflect = 1, Replicate = 2, Circular = 3, Constant = 4 }

/// <summary>Which matrix product <c>cdist</c> uses for Euclidean distances.</summary>
public enum compute_mode { use_mm_for_euclid_dist_if_necessary = 0, use_mm_for_euclid_dist = 1, donot_use_mm_for_euclid_dist = 2 }

/// <summary>How <c>ToString</c> shows a tensor.</summary>
public enum TensorStringStyle { Metadata = 0, Julia = 1, Numpy = 2, CSharp = 3, Default = 4 }

public static partial class torch
{
    /// <summary>Element types; libtorch's numbers.</summary>
    public enum ScalarType : sbyte
    {
        Byte = 0, Int8 = 1, Int16 = 2, Int32 = 3, Int64 = 4, Float16 = 5, Float32 = 6, Float64 = 7, ComplexFloat32 = 9,
        ComplexFloat64 = 10, Bool = 11, QInt8 = 12, QUInt8 = 13, QInt32 = 14, BFloat16 = 15,
    }

    /// <summary>How a division rounds.</summary>
    public enum RoundingMode { None = 0, trunc = 1, floor = 2 }

    public static ScalarType uint8 = ScalarType.Byte, int8 = ScalarType.Int8, int16 = ScalarType.Int16, int32 = ScalarType.Int32,
        int64 = ScalarType.Int64, float16 = ScalarType.Float16, float32 = ScalarType.Float32, float64 = ScalarType.Float64,
        bfloat16 = ScalarType.BFloat16, complex64 = ScalarType.ComplexFloat32, complex128 = ScalarType.ComplexFloat64,
        @bool = ScalarType.Bool, @short = ScalarType.Int16, @int = ScalarType.Int32, @long = ScalarType.Int64,
        half = ScalarType.Float16, @float = ScalarType.Float32, @double = ScalarType.Float64;
}
