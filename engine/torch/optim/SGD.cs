using Portal.Torch.Native;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchSharp.Modules
{
    /// <summary>Stochastic gradient descent with momentum, as PyTorch's.</summary>
    public class SGD : OptimizerHelper, IMomentum
    {
        public SGD(IEnumerable<Parameter> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
            : this([new ParamGroup { Parameters = parameters }], lr, momentum, dampening, weight_decay, nesterov, maximize)
        {
        }

        /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
        public SGD(IEnumerable<ParamGroup> parameters, double lr, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
        {
            if (lr < 0) throw new ArgumentException($"Invalid learning rate: {lr}", nameof(lr));
            if (momentum < 0) throw new ArgumentException($"Invalid momentum: {momentum}", nameof(momentum));
            if (weight_decay < 0) throw new ArgumentException($"Invalid weight_decay: {weight_decay}", nameof(weight_decay));
            if (nesterov && (momentum == 0 || dampening != 0)) throw new ArgumentException("Nesterov momentum requires a momentum and zero dampening", nameof(nesterov));
            defaults = new Options
            {
                LearningRate = lr, InitialLearningRate = lr, momentum = momentum, dampening = dampening, weight_decay = weight_decay, nesterov = nesterov, maximize = maximize,
            };
            foreach (var group in parameters) add_param_group(group);
        }

        private readonly Options defaults;

        public double Momentum
        {
            get => defaults.momentum!.Value; // the constructor sets it
            set
            {
                defaults.momentum = value;
                foreach (var group in Groups) ((ParamGroup)group).Momentum = value;
            }
        }

        /// <summary>Adds a group; options it lacks are the optimiser's own.</summary>
        public override void add_param_group(Modules.ParamGroup param_group)
        {
            var options = param_group.Options as Options ?? new Options { LearningRate = param_group.Options.LearningRate, InitialLearningRate = param_group.Options.InitialLearningRate };
            options.LearningRate ??= defaults.LearningRate;
            options.momentum ??= defaults.momentum;
            options.dampening ??= defaults.dampening;
            options.weight_decay ??= defaults.weight_decay;
            options.nesterov ??= defaults.nesterov;
            options.maximize ??= defaults.maximize;
            var group = param_group as ParamGroup ?? new ParamGroup { Parameters = param_group.Parameters };
            group.Options = options;
            Register(group, static parameter => new State(parameter));
        }

        /// <inheritdoc/>
        public override Tensor? step(Func<Tensor>? closure = null) => _step<ParamGroup>(Step, closure);

        private void Step(ParamGroup group)
        {
            var options = group.Options;
            var parameters = new List<Tensor>();
            var gradients = new List<Tensor>();
            var states = new List<State>();
            foreach (var parameter in group.Parameters)
            {
                if (parameter.grad is not { } gradient) continue;
                parameters.Add(parameter);
                gradients.Add(gradient);
                states.Add((State)StateOf(parameter));
            }
            if (parameters.Count == 0) return;
            Tensor[] weights = [.. parameters], steps = [.. gradients];
            if (options.maximize!.Value) steps = Ops._foreach_neg.List(steps);
            if (options.weight_decay!.Value != 0) steps = Ops._foreach_add_List.List(steps, weights, options.weight_decay.Value);
            if (options.momentum!.Value != 0) steps = WithMomentum(steps, states, options);
            Ops._foreach_add__List.Do(weights, steps, -options.LearningRate!.Value);
        }

        private static Tensor[] WithMomentum(Tensor[] steps, List<State> states, Options options)
        {
            var buffers = new Tensor[steps.Length];
            for (var k = 0; k < steps.Length; k++)
            {
                if (states[k].momentum_buffer is { } buffer)
                {
                    buffers[k] = buffer.mul_(options.momentum!.Value).add_(steps[k], 1 - options.dampening!.Value);
                }
                else
                {
                    // The first step has no past: the buffer is the gradient, undampened.
                    buffers[k] = steps[k].clone().DetachFromDisposeScope();
                    states[k].momentum_buffer = buffers[k];
                }
            }
            return options.nesterov!.Value ? Ops._foreach_add_List.List(steps, buffers, options.momentum!.Value) : buffers;
        }

        /// <summary>Options of a group; what is null is the optimiser's own.</summary>
        public class Options : OptimizerOptions
        {
            public double? momentum;
            public double? dampening;
            public double? weight_decay;
            public bool? nesterov;
            public bool? maximize;

            public override void SaveStateDict(BinaryWriter writer)
            {
                base.SaveStateDict(writer);
                writer.Write(momentum!.Value);
                writer.Write(dampening!.Value);
                writer.Write(weight_decay!.Value);
                writer.Write(nesterov!.Value);
                writer.Write(maximize!.Value);
            }

            public override void LoadStateDict(BinaryReader reader)
            {
                base.LoadStateDict(reader);
                momentum = reader.ReadDouble();
                dampening = reader.ReadDouble();
                weight_decay = reader.ReadDouble();
                nesterov = reader.ReadBoolean();
                maximize = reader.ReadBoolean();
            }

            public override void LoadStateDict(OptimizerOptions source)
            {
                base.LoadStateDict(source);
                var other = (Options)source;
                momentum = other.momentum;
                dampening = other.dampening;
                weight_decay = other.weight_decay;
                nesterov = other.nesterov;
                maximize = other.maximize;
            }
        }

        /// <summary>Parameters with options of their own.</summary>
        public class ParamGroup : ParamGroup<Options>, IMomentum
        {
            public ParamGroup() => Options = new Options();

            public ParamGroup(IEnumerable<Parameter> parameters, Options options) : base(parameters, options)
            {
            }

            public ParamGroup(IEnumerable<Parameter> parameters, double lr = 1e-3, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false)
                : base(parameters, new Options { LearningRate = lr, InitialLearningRate = lr, momentum = momentum, dampening = dampening, weight_decay = weight_decay, nesterov = nesterov, maximize = maximize })
            {
            }

            public double Momentum { get => Options.momentum ?? 0; set => Options.momentum = value; }
        }

        /// <summary>The momentum of one parameter, null before its first step.</summary>
        public class State(Parameter parameter) : OptimizerState(parameter), IDisposable
        {
            public Tensor? momentum_buffer;

            public override void Initialize(OptimizerOptions options) => momentum_buffer = null;
            public override void SaveStateDict(BinaryWriter writer) => SaveConditionalStateTensor(writer, momentum_buffer);
            public override void LoadStateDict(BinaryReader reader) => LoadConditionalStateTensor(reader, ref momentum_buffer, Owner.device);

            public override void LoadStateDict(OptimizerState source)
            {
                momentum_buffer?.Dispose();
                momentum_buffer = ((State)source).momentum_buffer is { } buffer ? Kept(buffer.clone()) : null;
            }

            public override void to(Device device)
            {
                if (momentum_buffer is not null) momentum_buffer = Moved(momentum_buffer, device);
            }

            public override bool ApproximatelyEquals(OptimizerState other) => other is State state && Near(momentum_buffer, state.momentum_buffer);

            public void Dispose() => momentum_buffer?.Dispose();
        }
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>Stochastic gradient descent.</summary>
            public static Modules.SGD SGD(IEnumerable<Modules.Parameter> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false) =>
                new(parameters, learningRate, momentum, dampening, weight_decay, nesterov, maximize);

            public static Modules.SGD SGD(IEnumerable<(string name, Modules.Parameter parameter)> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false) =>
                new(parameters.Select(static p => p.parameter), learningRate, momentum, dampening, weight_decay, nesterov, maximize);

            public static Modules.SGD SGD(IEnumerable<Modules.SGD.ParamGroup> parameters, double learningRate, double momentum = 0, double dampening = 0, double weight_decay = 0, bool nesterov = false, bool maximize = false) =>
                new(parameters, learningRate, momentum, dampening, weight_decay, nesterov, maximize);
        }
    }
}
