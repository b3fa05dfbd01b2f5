using Portal.Torch.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// A source of random numbers with a state of its own. The state of a CPU generator is PyTorch's, byte for byte, so a
    /// saved state draws the same numbers there.
    /// </summary>
    public class Generator : IDisposable
    {
        private nint handle;
        private static readonly Lock DefaultGate = new();
        private static Generator? shared;

        public Generator(ulong seed = 0, Device? device = null)
        {
            this.device = device ?? CPU;
            handle = Shim.Check(Shim.pt_generator_new(seed, (int)this.device.type, this.device.index));
        }

        internal Generator(nint handle, Device device)
        {
            this.handle = handle;
            this.device = device;
        }

        /// <summary>The CPU generator that draws when none is named.</summary>
        public static Generator Default
        {
            get
            {
                lock (DefaultGate) return shared ??= new Generator(Shim.Check(Shim.pt_generator_default((int)DeviceType.CPU, -1)), CPU);
            }
        }

        /// <summary>Where it draws.</summary>
        public Device device { get; }

        public IntPtr Handle => Live;

        internal nint Live => handle != 0 ? handle : throw new ObjectDisposedException(nameof(Generator), "This generator was disposed.");

        /// <summary>The whole state, a byte tensor.</summary>
        public Tensor get_state()
        {
            var state = Tensor.Own(Shim.Check(Shim.pt_generator_state(Live)));
            GC.KeepAlive(this);
            return state;
        }

        /// <summary>Puts a state from <see cref="get_state"/> back.</summary>
        public void set_state(Tensor value)
        {
            ArgumentNullException.ThrowIfNull(value);
            Shim.Check(Shim.pt_generator_set_state(Live, value.Live));
            GC.KeepAlive(value);
            GC.KeepAlive(this);
        }

        public Generator manual_seed(long seed)
        {
            Shim.Check(Shim.pt_generator_set_seed(Live, unchecked((ulong)seed)));
            GC.KeepAlive(this);
            return this;
        }

        /// <summary>Takes a new seed from the system and returns it.</summary>
        public long seed() => Seed(renew: 1);

        public long initial_seed() => Seed(renew: 0);

        private unsafe long Seed(int renew)
        {
            ulong seed;
            Shim.Check(Shim.pt_generator_seed(Live, renew, &seed));
            GC.KeepAlive(this);
            return unchecked((long)seed);
        }

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
            var owned = Interlocked.Exchange(ref handle, 0);
            if (owned != 0) Shim.pt_generator_free(owned);
        }

        ~Generator() => Dispose(false);
    }

    /// <summary>Seeds the default generators of all devices and returns the CPU's.</summary>
    public static Generator manual_seed(long seed) => random.manual_seed(seed);
    public static long initial_seed() => Generator.Default.initial_seed();
    public static long seed() => Generator.Default.seed();
    public static Tensor get_rng_state() => Generator.Default.get_state();
    public static void set_rng_state(Tensor new_state) => Generator.Default.set_state(new_state);

    public static class random
    {
        public static Generator manual_seed(long seed)
        {
            Shim.Check(Shim.pt_manual_seed(unchecked((ulong)seed)));
            return Generator.Default;
        }

        public static long initial_seed() => torch.initial_seed();
        public static long seed() => torch.seed();
        public static Tensor get_rng_state() => torch.get_rng_state();
        public static void set_rng_state(Tensor new_state) => torch.set_rng_state(new_state);
    }
}
