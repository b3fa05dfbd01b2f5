using System.Text;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchSharp
{
    public static partial class torch
    {
        /// <summary>Optimisers and learning rate schedules.</summary>
        public static partial class optim
        {
            /// <summary>What a schedule changes.</summary>
            public interface ILearningRateController
            {
                double LearningRate { get; set; }
                double InitialLearningRate { get; set; }
            }

            public interface IMomentum
            {
                double Momentum { get; set; }
            }

            public interface IBetas
            {
                (double, double) Betas { get; set; }
            }

            /// <summary>Changes parameters by their gradients.</summary>
            public abstract class Optimizer : IDisposable
            {
                internal readonly List<ParamGroup> Groups = [];

                internal Optimizer()
                {
                }

                /// <summary>Groups of parameters with options of their own.</summary>
                public virtual IEnumerable<ILearningRateController> ParamGroups => Groups;

                public virtual IEnumerable<Parameter> parameters() => Groups.SelectMany(static g => g.Parameters);

                /// <summary>Fills the gradients with zeros. <c>Module.zero_grad()</c> drops them, which is cheaper.</summary>
                public abstract void zero_grad();

                public abstract void add_param_group(ParamGroup param_group);

                /// <summary>One step by the gradients that stand. Parameters without one are left alone.</summary>
                /// <param name="closure">Recomputes the loss, with gradients on, before the step; its result is returned, else null.</param>
                public abstract Tensor? step(Func<Tensor>? closure = null);

                public void Dispose()
                {
                    Dispose(true);
                    GC.SuppressFinalize(this);
                }

                protected virtual void Dispose(bool disposing)
                {
                }

                /// <summary>Options of each group, and the state of each parameter: the live objects, not copies.</summary>
                public class StateDictionary
                {
                    internal StateDictionary()
                    {
                    }

                    public List<OptimizerOptions> Options { get; } = [];
                    public List<OptimizerState> State { get; } = [];

                    /// <summary>For each group, the places of its parameters' states.</summary>
                    public List<List<int>> StateIndexRef { get; } = [];
                }
            }
        }
    }
}

namespace TorchSharp.Modules
{
    /// <summary>What a group of parameters is trained with.</summary>
    public class OptimizerOptions
    {
        public double? LearningRate { get; set; }
        public double InitialLearningRate { get; set; }

        public virtual void SaveStateDict(BinaryWriter writer)
        {
            writer.Write(InitialLearningRate);
            writer.Write(LearningRate!.Value); // set by every group's constructor
        }

        public virtual void LoadStateDict(BinaryReader reader)
        {
            InitialLearningRate = reader.ReadDouble();
            LearningRate = reader.ReadDouble();
        }

        public virtual void LoadStateDict(OptimizerOptions source)
        {
            InitialLearningRate = source.InitialLearningRate;
            LearningRate = source.LearningRate;
        }
    }

    /// <summary>What an optimiser remembers about one parameter.</summary>
    public abstract class OptimizerState
    {
        internal readonly Parameter Owner;

        protected OptimizerState(Parameter parameter) => Owner = parameter;

        public abstract void Initialize(OptimizerOptions options);
        public abstract void SaveStateDict(BinaryWriter writer);
        public abstract void LoadStateDict(BinaryReader reader);
        public abstract void LoadStateDict(OptimizerState source);

        public virtual void to(Device device)
        {
        }

        /// <summary>Whether both remember the same, up to rounding.</summary>
        public virtual bool ApproximatelyEquals(OptimizerState other) => false;

        protected static void SaveConditionalStateTensor(BinaryWriter writer, Tensor? tensor)
        {
            writer.Write(tensor is not null);
            tensor?.Save(writer);
        }

        protected static void LoadConditionalStateTensor(BinaryReader reader, ref Tensor? result, Device device)
        {
            result?.Dispose();
            result = reader.ReadBoolean() ? Kept(TensorExtensionMethods.Load(reader).to(device, disposeAfter: true)) : null;
        }

        // State outlives the scope it was made in.
        internal static Tensor Kept(Tensor tensor) => tensor.DetachFromDisposeScope();

        internal Tensor ZerosLikeOwner()
        {
            using var quiet = no_grad();
            return Kept(Owner.zeros_like());
        }

        internal static void Load(Tensor target, BinaryReader reader)
        {
            using var quiet = no_grad();
            target.Load(reader);
        }

        internal static void Copy(Tensor target, Tensor source)
        {
            using var quiet = no_grad();
            target.copy_(source);
        }

        internal static Tensor Moved(Tensor tensor, Device device)
        {
            if (tensor.device_type == device.type && (device.index < 0 || device.index == tensor.device_index)) return tensor;
            return Kept(tensor.to(device, disposeAfter: true));
        }

        internal static bool Near(Tensor? left, Tensor? right) => left is null ? right is null : right is not null && left.allclose(right);
    }

    /// <summary>Parameters that are trained with the same options.</summary>
    public class ParamGroup : ILearningRateController
    {
        public IEnumerable<Parameter> Parameters { get; set; } = [];
        public OptimizerOptions Options { get; set; } = new();

        internal bool IsScheduled;

        public double LearningRate { get => Options.LearningRate!.Value; set => Options.LearningRate = value; } // a group always has one
        public double InitialLearningRate { get => Options.InitialLearningRate; set => Options.InitialLearningRate = value; }
    }

    /// <inheritdoc/>
    public class ParamGroup<TOptions> : ParamGroup where TOptions : OptimizerOptions
    {
        public ParamGroup()
        {
        }

        public ParamGroup(IEnumerable<Parameter> parameters, TOptions? options = null)
        {
            Parameters = parameters;
            if (options is not null) base.Options = options;
        }

        public new TOptions Options { get => (TOptions)base.Options; set => base.Options = value; }
    }

    /// <summary>What all optimisers here share: groups, state by parameter, saving and loading.</summary>
    public abstract class OptimizerHelper : Optimizer
    {
        private readonly Dictionary<Parameter, OptimizerState> states = new(ReferenceEqualityComparer.Instance);

        public OptimizerHelper()
        {
        }

        internal OptimizerState StateOf(Parameter parameter) => states[parameter];

        // Called by add_param_group of each optimiser with its own defaults filled in.
        internal void Register(ParamGroup group, Func<Parameter, OptimizerState> make)
        {
            group.Parameters = group.Parameters as IList<Parameter> ?? group.Parameters.ToList();
            foreach (var parameter in group.Parameters)
            {
                ArgumentNullException.ThrowIfNull(parameter);
                if (!parameter.is_leaf) throw new ArgumentException("can't optimize a non-leaf Tensor");
                var state = make(parameter);
                if (!states.TryAdd(parameter, state)) throw new ArgumentException("some parameters appear in more than one parameter group");
                state.Initialize(group.Options);
            }
            if (group.Options.InitialLearningRate == 0) group.Options.InitialLearningRate = group.LearningRate;
            Groups.Add(group);
        }

        /// <inheritdoc/>
        public override void zero_grad()
        {
            using var scope = NewDisposeScope();
            using var quiet = no_grad();
            foreach (var parameter in parameters()) parameter.grad?.zero_();
        }

        /// <summary>Runs <paramref name="body"/> for each group without recording gradients.</summary>
        protected Tensor? _step<T>(Action<T> body, Func<Tensor>? loss_closure = null) where T : ParamGroup
        {
            Tensor? loss = null;
            if (loss_closure is not null)
                using (enable_grad()) loss = loss_closure();
            using var scope = NewDisposeScope();
            using var quiet = no_grad();
            foreach (var group in Groups) body((T)group);
            return loss;
        }

        /// <summary>The live options and states, in the order of the groups and their parameters.</summary>
        public virtual StateDictionary state_dict()
        {
            var dictionary = new StateDictionary();
            foreach (var group in Groups)
            {
                dictionary.Options.Add(group.Options);
                var places = new List<int>();
                foreach (var parameter in group.Parameters)
                {
                    places.Add(dictionary.State.Count);
                    dictionary.State.Add(states[parameter]);
                }
                dictionary.StateIndexRef.Add(places);
            }
            return dictionary;
        }

        /// <exception cref="ArgumentException">The number of groups or parameters differs.</exception>
        public virtual void load_state_dict(StateDictionary state_dict)
        {
            var own = this.state_dict();
            RequireSame(state_dict.Options.Count, own.Options.Count, "parameter groups");
            RequireSame(state_dict.State.Count, own.State.Count, "states");
            for (var k = 0; k < own.Options.Count; k++)
                if (own.Options[k] != state_dict.Options[k]) own.Options[k].LoadStateDict(state_dict.Options[k]);
            for (var k = 0; k < own.State.Count; k++)
                if (own.State[k] != state_dict.State[k]) own.State[k].LoadStateDict(state_dict.State[k]);
        }

        /// <summary>Writes everything a resumed run needs; the format is TorchSharp's own.</summary>
        public void save_state_dict(BinaryWriter writer)
        {
            writer.Write(GetType().Name);
            var own = state_dict();
            writer.Write7BitEncodedInt64(own.Options.Count);
            writer.Write7BitEncodedInt64(own.State.Count);
            foreach (var options in own.Options) options.SaveStateDict(writer);
            foreach (var state in own.State) state.SaveStateDict(writer);
        }

        public void save_state_dict(string location)
        {
            using var stream = File.Create(location);
            using var writer = new BinaryWriter(stream, Encoding.UTF8);
            save_state_dict(writer);
        }

        /// <exception cref="InvalidDataException">It was saved by another kind of optimiser.</exception>
        /// <exception cref="ArgumentException">The number of groups or parameters differs.</exception>
        public void load_state_dict(BinaryReader reader)
        {
            var kind = reader.ReadString();
            if (kind != GetType().Name) throw new InvalidDataException($"Mismatched optimizer type: expected '{GetType().Name}', but found '{kind}' in the loaded stream.");
            var own = state_dict();
            RequireSame(reader.Read7BitEncodedInt64(), own.Options.Count, "parameter groups");
            RequireSame(reader.Read7BitEncodedInt64(), own.State.Count, "states");
            foreach (var options in own.Options) options.LoadStateDict(reader);
            foreach (var state in own.State) state.LoadStateDict(reader);
        }

        public void load_state_dict(string location)
        {
            using var stream = File.OpenRead(location);
            using var reader = new BinaryReader(stream, Encoding.UTF8);
            load_state_dict(reader);
        }

        private static void RequireSame(long loaded, long own, string what)
        {
            if (loaded != own) throw new ArgumentException($"Invalid optimizer state: it has {loaded} {what}, this optimizer {own}.");
        }

        /// <summary>Moves the state to where the parameters went.</summary>
        public void to(Device device)
        {
            foreach (var state in states.Values) state.to(device);
        }

        protected override void Dispose(bool disposing)
        {
            if (!disposing) return;
            foreach (var state in states.Values) (state as IDisposable)?.Dispose();
            states.Clear();
            Groups.Clear();
        }
    }
}
