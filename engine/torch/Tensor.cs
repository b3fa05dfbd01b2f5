using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Portal.Torch.Native;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// An n-dimensional array of one element type on one device, with a gradient where asked for.
    /// </summary>
    /// <remarks>
    /// Members are PyTorch's of the same name: shapes, broadcasting, dtype promotion and error messages are libtorch's. An
    /// operator that fails throws <see cref="ExternalException"/> with libtorch's message; a disposed tensor throws
    /// <see cref="ObjectDisposedException"/>. A new tensor belongs to the innermost <see cref="DisposeScope"/> of its thread;
    /// one that belongs to none is released by <see cref="Dispose()"/> or by the garbage collector.
    /// Views share memory with their origin, and each wrapper holds the memory alive by itself.
    /// </remarks>
    public partial class Tensor : IDisposable
    {
        private nint handle;
        internal int PlaceInScope;
        private static long total, peak;

        internal DisposeScope? OwningDisposeScope { get; set; }

        internal Tensor(nint handle)
        {
            this.handle = handle;
            var now = Interlocked.Increment(ref total);
            if (now > Volatile.Read(ref peak)) Volatile.Write(ref peak, now);
            DisposeScopeManager.Register(this);
        }

        // An operator's result: the handle is owned by the new tensor.
        internal static Tensor Own(nint handle) =>
            handle != 0 ? new Tensor(handle) : throw new InvalidOperationException("libtorch returned an undefined tensor.");

        /// <summary>How many tensors are alive in this process, Parameters included.</summary>
        public static long TotalCount => Interlocked.Read(ref total);

        /// <summary>The most that were alive at once.</summary>
        public static long PeakCount => Volatile.Read(ref peak);

        public bool IsInvalid => handle == 0;

        public IntPtr Handle => Live;

        // Every native call goes through here, so a disposed tensor is an exception and never a wild pointer.
        internal nint Live
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get
            {
                var h = handle;
                if (h == 0) ThrowDisposed();
                return h;
            }
        }

        private static void ThrowDisposed() => throw new ObjectDisposedException(nameof(Tensor), "This tensor was disposed; did it leave its DisposeScope?");

        /// <summary>Gives the memory back, if no view of it lives.</summary>
        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
            if (disposing && handle != 0)
            {
                if (OwningDisposeScope is { } scope) scope.MarkAsDisposed(this);
                else DisposeScopeManager.OfThread.StatisticsOfTensors.DisposedOutsideScopeCount++;
            }
            FreeHandle();
        }

        // The scope has already counted and forgotten it.
        internal void Release()
        {
            FreeHandle();
            GC.SuppressFinalize(this);
        }

        private void FreeHandle()
        {
            var owned = Interlocked.Exchange(ref handle, 0);
            if (owned == 0) return;
            Interlocked.Decrement(ref total);
            Shim.pt_tensor_free(owned);
        }

        ~Tensor() => Dispose(false);

        /// <summary>Gives the handle away: the caller must free it, and this tensor becomes invalid.</summary>
        public IntPtr DecoupleFromNativeHandle()
        {
            var owned = Live;
            OwningDisposeScope?.Detach(this);
            handle = 0;
            Interlocked.Decrement(ref total);
            GC.SuppressFinalize(this);
            return owned;
        }

        public static Tensor UnsafeCreateTensor(IntPtr handle) => Own(handle);

        /// <summary>To the scope around the current owner, or to none. Returns this tensor.</summary>
        public Tensor MoveToOuterDisposeScope()
        {
            OwningDisposeScope?.MoveToOuter(this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(DisposeScope? other)
        {
            if (OwningDisposeScope is { } scope) scope.MoveToOther(other, this);
            else other?.Attach(this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(Tensor other) => MoveToOtherDisposeScope(other.OwningDisposeScope);

        /// <summary>Out of every scope. Returns this tensor.</summary>
        public Tensor DetachFromDisposeScope()
        {
            OwningDisposeScope?.Detach(this);
            return this;
        }

        /// <summary>Another wrapper of the same tensor, with a lifetime of its own.</summary>
        public Tensor alias() => Keep(Own(Shim.Check(Shim.pt_tensor_share(Live))));

        // Returns its argument after making sure that this tensor outlived the native call before.
        private TResult Keep<TResult>(TResult result)
        {
            GC.KeepAlive(this);
            return result;
        }

        // ---- what it is ----

        public long Dimensions => Keep(Shim.pt_rank(Live));
        public long dim() => Dimensions;
        public long ndim => Dimensions;
        public long NumberOfElements => Keep(Shim.pt_numel(Live));
        public long numel() => NumberOfElements;
        public ScalarType dtype => (ScalarType)Keep(Shim.Check(Shim.pt_dtype(Live)));
        public long ElementSize => Keep(Shim.pt_element_size(Live));
        public long element_size() => ElementSize;

        /// <summary>The sizes, a new array.</summary>
        public unsafe long[] shape
        {
            get
            {
                var sizes = new long[Shim.pt_rank(Live)];
                fixed (long* p = sizes) Shim.Check(Shim.pt_sizes(Live, p));
                return Keep(sizes);
            }
        }

        public long[] size() => shape;

        /// <summary>The size of one dimension; negative counts from the end.</summary>
        public unsafe long size(int dim)
        {
            var rank = Shim.pt_rank(Live);
            if (rank > 64) return shape[dim < 0 ? dim + rank : dim];
            long* sizes = stackalloc long[64];
            Shim.Check(Shim.pt_sizes(Live, sizes));
            return Keep(sizes[PlaceOf(dim, rank)]);
        }

        public unsafe long[] stride()
        {
            var strides = new long[Shim.pt_rank(Live)];
            fixed (long* p = strides) Shim.Check(Shim.pt_strides(Live, p));
            return Keep(strides);
        }

        public long stride(int dim)
        {
            var all = stride();
            return all[PlaceOf(dim, all.Length)];
        }

        private static int PlaceOf(int dim, int rank) => dim >= -rank && dim < rank
            ? (dim < 0 ? dim + rank : dim)
            : throw new IndexOutOfRangeException($"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})");

        public long storage_offset() => Keep(Shim.pt_storage_offset(Live));

        public DeviceType device_type => (DeviceType)(uint)Keep(Shim.pt_device(Live));
        public int device_index => (int)(Keep(Shim.pt_device(Live)) >> 32);
        public Device device => new(device_type, device_index);
        public bool is_cuda => device_type == DeviceType.CUDA;
        public bool is_cpu() => device_type == DeviceType.CPU;
        public bool is_meta => device_type == DeviceType.META;

        private const int ContiguousFlag = 1, LeafFlag = 2, RequiresGradFlag = 4, SparseFlag = 8;

        private bool Has(int flag) => (Keep(Shim.Check(Shim.pt_flags(Live))) & flag) != 0;

        public bool is_contiguous() => Has(ContiguousFlag);
        public bool is_leaf => Has(LeafFlag);
        public bool is_sparse => Has(SparseFlag);
        public bool is_pinned() => Keep(Shim.Check(Shim.pt_is_pinned(Live))) != 0;
        public bool is_floating_point() => torch.is_floating_point(dtype);
        public bool is_complex() => torch.is_complex(dtype);
        public bool is_integral() => torch.is_integral(dtype);

        // ---- gradients ----

        /// <summary>Whether gradients are wanted. Setting it to true needs a floating point leaf.</summary>
        public bool requires_grad
        {
            get => Has(RequiresGradFlag);
            set => Keep(Shim.Check(Shim.pt_set_requires_grad(Live, value ? 1 : 0)));
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor with_requires_grad(bool requires_grad = true) => requires_grad_(requires_grad);

        /// <summary>The gradient, null when there is none. Each call makes a wrapper in the current scope.</summary>
        public Tensor? grad
        {
            get
            {
                var gradient = Shim.pt_grad(Live);
                GC.KeepAlive(this);
                return gradient != 0 ? new Tensor(gradient) : null;
            }
            set
            {
                Shim.Check(Shim.pt_set_grad(Live, value is null ? 0 : value.Live));
                GC.KeepAlive(value);
                GC.KeepAlive(this);
            }
        }

        // Whether a gradient stands, without making a wrapper for it.
        internal nint GradHandle() => Keep(Shim.pt_grad(Live));

        public void retain_grad() => Keep(Shim.Check(Shim.pt_retain_grad(Live)));

        /// <summary>Adds the gradients of this scalar to the <see cref="grad"/> of the leaves it was computed from.</summary>
        public void backward() => autograd.Backward([this], null, retain: false, create: false, null);

        public void backward(IList<Tensor>? grad_tensors = null, bool retain_graph = false, bool create_graph = false, IList<Tensor>? inputs = null) =>
            autograd.Backward([this], grad_tensors, retain_graph || create_graph, create_graph, inputs);

        // This tensor keeps its identity and takes the other's values, type and device.
        internal void SetData(Tensor other)
        {
            Shim.Check(Shim.pt_set_data(Live, other.Live));
            GC.KeepAlive(other);
            GC.KeepAlive(this);
        }

        // ---- its values ----

        /// <summary>The bytes of a contiguous CPU tensor, in place: writing changes the tensor. Not to be used after it is disposed.</summary>
        /// <exception cref="InvalidOperationException">It is on another device or not contiguous.</exception>
        public unsafe Span<byte> bytes
        {
            get
            {
                RequireCpu();
                if (!is_contiguous()) throw new InvalidOperationException("Reading the bytes needs a contiguous tensor; call contiguous() first.");
                var length = numel() * ElementSize;
                if (length > int.MaxValue) throw new InvalidOperationException($"{length} bytes do not fit a span; read the tensor in parts.");
                return Keep(length == 0 ? default : new Span<byte>(Data(), (int)length));
            }
            set
            {
                var target = bytes;
                if (target.Length != value.Length) throw new ArgumentException($"The tensor holds {target.Length} bytes, {value.Length} were given.", nameof(value));
                value.CopyTo(target);
            }
        }

        // Span<byte> cannot be a type argument, hence an overload.
        private Span<byte> Keep(Span<byte> span)
        {
            GC.KeepAlive(this);
            return span;
        }

        internal unsafe void* Data() => Shim.pt_data(Live);

        internal void RequireCpu()
        {
            if (device_type != DeviceType.CPU) throw new InvalidOperationException($"Reading data needs a CPU tensor, this one is on {device}; call cpu() first.");
        }

        /// <summary>The values of a CPU tensor, strided as it is. The accessor keeps the tensor alive.</summary>
        /// <exception cref="ArgumentException"><typeparamref name="T"/> is not its element type.</exception>
        public TensorAccessor<T> data<T>() where T : unmanaged
        {
            RequireType<T>();
            RequireCpu();
            return new TensorAccessor<T>(this);
        }

        private void RequireType<T>() where T : unmanaged
        {
            var wanted = TypeOf<T>();
            if (wanted != dtype) throw new ArgumentException($"{typeof(T).Name} is {wanted}, the tensor holds {dtype}; convert one of them.");
        }

        /// <summary>The one value of a tensor of one element, from any device.</summary>
        /// <exception cref="ArgumentException">It holds another number of elements, or <typeparamref name="T"/> is not its element type.</exception>
        public unsafe T item<T>() where T : unmanaged
        {
            if (NumberOfElements != 1) throw new ArgumentException($"only one element tensors can be converted to Scalars; this one has {NumberOfElements}.");
            RequireType<T>();
            if (device_type == DeviceType.CPU) return Keep(*(T*)Data());
            using var here = cpu();
            return *(T*)here.Data();
        }

        /// <summary>The one value, whatever its type.</summary>
        public Scalar ToScalar() => dtype switch
        {
            ScalarType.Byte => item<byte>(),
            ScalarType.Int8 => item<sbyte>(),
            ScalarType.Int16 => item<short>(),
            ScalarType.Int32 => item<int>(),
            ScalarType.Int64 => item<long>(),
            ScalarType.Bool => item<bool>(),
            ScalarType.Float32 => item<float>(),
            ScalarType.Float64 => item<double>(),
            ScalarType.Float16 => item<Half>(),
            ScalarType.ComplexFloat64 => item<System.Numerics.Complex>(),
            _ => ConvertedScalar(),
        };

        private Scalar ConvertedScalar()
        {
            using var wide = to(is_complex() ? ScalarType.ComplexFloat64 : ScalarType.Float64);
            return wide.ToScalar();
        }

        internal static ScalarType TypeOf<T>() where T : unmanaged =>
            typeof(T) == typeof(float) ? ScalarType.Float32
            : typeof(T) == typeof(double) ? ScalarType.Float64
            : typeof(T) == typeof(long) ? ScalarType.Int64
            : typeof(T) == typeof(int) ? ScalarType.Int32
            : typeof(T) == typeof(bool) ? ScalarType.Bool
            : typeof(T) == typeof(byte) ? ScalarType.Byte
            : typeof(T) == typeof(sbyte) ? ScalarType.Int8
            : typeof(T) == typeof(short) ? ScalarType.Int16
            : typeof(T) == typeof(Half) ? ScalarType.Float16
            : typeof(T) == typeof(System.Numerics.Complex) ? ScalarType.ComplexFloat64
            : typeof(T) == typeof((float, float)) ? ScalarType.ComplexFloat32
            : throw new ArgumentException($"{typeof(T).Name} is no element type of a tensor.");

        // Tensors are compared by identity here; == and != compare element by element.
        /// <inheritdoc/>
        public override bool Equals(object? obj) => ReferenceEquals(this, obj);

        /// <inheritdoc/>
        public override int GetHashCode() => RuntimeHelpers.GetHashCode(this);
    }

    public static bool is_floating_point(ScalarType type) => type is ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16;
    public static bool is_complex(ScalarType type) => type is ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64;
    public static bool is_integral(ScalarType type) => type is ScalarType.Byte or ScalarType.Int8 or ScalarType.Int16 or ScalarType.Int32 or ScalarType.Int64;
    public static bool is_floating_point(Tensor input) => input.is_floating_point();
    public static bool is_complex(Tensor input) => input.is_complex();
    public static bool is_integral(Tensor t) => t.is_integral();
}
