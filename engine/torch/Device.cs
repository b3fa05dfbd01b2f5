using Portal.Torch.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>A device: its type and, where there are several, its index (-1: the current one).</summary>
    public class Device
    {
        /// <summary>The device type.</summary>
        public DeviceType type { get; }

        /// <summary>The index, -1 for "the current one" and for the CPU.</summary>
        public int index { get; }

        public Device(DeviceType deviceType, int index = -1)
        {
            type = deviceType;
            this.index = deviceType == DeviceType.CPU || deviceType == DeviceType.META ? -1 : index;
        }

        /// <summary>A device such as "cpu", "cuda" or "cuda:1".</summary>
        /// <exception cref="ArgumentException">The description is none.</exception>
        public Device(string description) : this(Parse(description, out var index), index)
        {
        }

        public Device(string deviceType, int index = -1) : this(Parse(deviceType, out _), index)
        {
        }

        /// <summary>A CUDA device.</summary>
        public Device(int index) : this(DeviceType.CUDA, index)
        {
        }

        public static implicit operator Device(string description) => new(description);

        /// <inheritdoc/>
        public override string ToString() => index < 0 ? type.ToString().ToLowerInvariant() : $"{type.ToString().ToLowerInvariant()}:{index}";

        // Two devices are the same place when type and index agree; "cuda" and "cuda:0" are kept apart, as in PyTorch.
        internal bool IsSame(Device other) => type == other.type && index == other.index;

        private static DeviceType Parse(string description, out int index)
        {
            ArgumentNullException.ThrowIfNull(description);
            var parts = description.Split(':');
            index = -1;
            if (parts.Length > 2 || !parts[0].All(char.IsLetter) || (parts.Length == 2 && (!int.TryParse(parts[1], out index) || index < 0)) || !Enum.TryParse<DeviceType>(parts[0], ignoreCase: true, out var type))
                throw new ArgumentException($"'{description}' names no device; write cpu, cuda or cuda:0.", nameof(description));
            return type;
        }
    }

    public static Device CPU = new(DeviceType.CPU);
    public static Device META = new(DeviceType.META);
    public static Device CUDA => new(DeviceType.CUDA);

    public static Device device(string description) => new(description);
    public static Device device(string deviceType, int index = -1) => new(deviceType, index);
    public static Device device(DeviceType deviceType, int index = -1) => new(deviceType, index);
    public static Device device(int index) => new(index);

    private static Device defaultDevice = CPU;
    private static ScalarType defaultType = ScalarType.Float32;

    public static Device get_default_device() => defaultDevice;
    public static void set_default_device(Device device) => defaultDevice = device ?? throw new ArgumentNullException(nameof(device));
    public static void set_default_device(string device) => defaultDevice = new Device(device);
    public static ScalarType get_default_dtype() => defaultType;

    /// <summary>The element type of new floating point tensors.</summary>
    /// <exception cref="ArgumentException">It is no floating point type.</exception>
    public static void set_default_dtype(ScalarType dtype) =>
        defaultType = is_floating_point(dtype) ? dtype : throw new ArgumentException($"only floating point types can be the default, not {dtype}.", nameof(dtype));

    public static bool cuda_is_available() => Shim.pt_has_cuda() != 0;
    public static Device InitializeDevice(Device? device) => device ?? defaultDevice;

    /// <summary>CUDA devices.</summary>
    public static class cuda
    {
        public static bool is_available() => cuda_is_available();
        public static bool is_cudnn_available() => Shim.pt_has_cudnn() != 0;

        /// <summary>How many there are; 0 without CUDA.</summary>
        public static int device_count() => is_available() ? Shim.pt_device_count((int)DeviceType.CUDA) : 0;

        /// <summary>Seeds the current device's generator; without CUDA nothing happens, as in PyTorch.</summary>
        public static void manual_seed(long seed)
        {
            if (is_available()) new Generator(Shim.Check(Shim.pt_generator_default((int)DeviceType.CUDA, -1)), new Device(DeviceType.CUDA)).manual_seed(seed);
        }

        public static void manual_seed_all(long seed)
        {
            for (var index = 0; index < device_count(); index++)
                new Generator(Shim.Check(Shim.pt_generator_default((int)DeviceType.CUDA, index)), new Device(DeviceType.CUDA, index)).manual_seed(seed);
        }

        /// <summary>Waits until the device has done what it was asked to.</summary>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">There is no such device.</exception>
        public static void synchronize(Device? device = null) => Shim.Check(Shim.pt_synchronize((int)DeviceType.CUDA, device?.index ?? -1));
    }

    /// <summary>Settings of the libraries below libtorch.</summary>
    public static class backends
    {
        public static class cuda
        {
            public static class matmul
            {
                /// <summary>Whether float32 matrix products may use TF32.</summary>
                public static bool allow_tf32
                {
                    get => Shim.Check(Shim.pt_allow_tf32(0, 0, 0)) != 0;
                    set => Shim.Check(Shim.pt_allow_tf32(0, 1, value ? 1 : 0));
                }
            }
        }

        public static class cudnn
        {
            /// <summary>Whether cuDNN may use TF32.</summary>
            public static bool allow_tf32
            {
                get => Shim.Check(Shim.pt_allow_tf32(1, 0, 0)) != 0;
                set => Shim.Check(Shim.pt_allow_tf32(1, 1, value ? 1 : 0));
            }
        }
    }

    /// <summary>Threads used inside an operator on the CPU.</summary>
    public static int get_num_threads() => Shim.pt_num_threads();

    /// <summary>Sets the threads used inside an operator; Debian's libtorch starts with one.</summary>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">Not positive.</exception>
    public static void set_num_threads(int num) => Shim.Check(Shim.pt_set_num_threads(num));
    public static int get_num_interop_threads() => Shim.pt_num_interop_threads();
    public static void set_num_interop_threads(int num) => Shim.Check(Shim.pt_set_num_interop_threads(num));

    public static bool are_deterministic_algorithms_enabled() => (Shim.Check(Shim.pt_deterministic(0, 0, 0)) & 1) != 0;
    public static bool is_deterministic_algorithms_warn_only_enabled() => (Shim.Check(Shim.pt_deterministic(0, 0, 0)) & 2) != 0;

    /// <summary>Asks for deterministic algorithms; disposing the result puts the former setting back.</summary>
    public static IDisposable use_deterministic_algorithms(bool mode = true, bool warn_only = false)
    {
        var before = Shim.Check(Shim.pt_deterministic(0, 0, 0));
        Shim.Check(Shim.pt_deterministic(1, mode ? 1 : 0, warn_only ? 1 : 0));
        return new Restore(() => Shim.Check(Shim.pt_deterministic(1, before & 1, before >> 1)));
    }

    public static string __version__ => TorchRuntime.Version;

    internal sealed class Restore(Action undo) : IDisposable
    {
        private Action? undo = undo;

        public void Dispose() => Interlocked.Exchange(ref undo, null)?.Invoke();
    }
}
