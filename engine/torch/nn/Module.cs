using System.Reflection;
using System.Text;
using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>Networks: modules, functions, initialisation.</summary>
    public static partial class nn
    {
        /// <summary>How a loss over elements becomes one number; libtorch's numbers.</summary>
        public enum Reduction { None = 0, Mean = 1, Sum = 2 }

        /// <summary>What can be called with one argument.</summary>
        public interface IModule<in T, out TResult>
        {
            TResult call(T input1);
        }

        public interface IModule<in T1, in T2, out TResult>
        {
            TResult call(T1 input1, T2 input2);
        }

        public interface IModule<in T1, in T2, in T3, out TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3);
        }

        public interface IModule<in T1, in T2, in T3, in T4, out TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3, T4 input4);
        }

        public interface IModule<in T1, in T2, in T3, in T4, in T5, out TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5);
        }

        public interface IModule<in T1, in T2, in T3, in T4, in T5, in T6, out TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5, T6 input6);
        }

        /// <summary>
        /// A part of a network: parameters, buffers and parts of its own, each with a name.
        /// </summary>
        /// <remarks>
        /// Call <see cref="RegisterComponents"/> at the end of a constructor to register the fields by their names, or register
        /// each part by the name it has in checkpoints. Registered tensors leave every <see cref="DisposeScope"/>: they live as
        /// long as the module. Moving a module (<c>to</c>) keeps the identity of its parameters, so optimisers go on working.
        /// </remarks>
        public class Module : IDisposable
        {
            private readonly string name;
            private readonly Utils.OrderedDict<string, Module> parts = new();
            private readonly Utils.OrderedDict<string, Tensor> ownBuffers = new();
            private readonly Utils.OrderedDict<string, Parameter> ownParameters = new();
            private readonly HashSet<string> unsaved = [];
            private bool isTraining = true;

            protected Module(string name) => this.name = name ?? throw new ArgumentNullException(nameof(name));

            public virtual string GetName() => name;

            /// <summary>Whether it is in training mode (dropout draws) or in evaluation mode.</summary>
            public bool training => isTraining;

            public virtual void train(bool train = true)
            {
                isTraining = train;
                foreach (var (_, part) in parts) part.train(train);
            }

            public virtual void eval() => train(false);

            // ---- registration ----

            public virtual void register_module(string name, Module submodule)
            {
                if (submodule is null || ReferenceEquals(submodule, this)) throw new ArgumentException($"'{name}' must be another module.", nameof(submodule));
                RequireFree(name);
                parts.Add(name, submodule);
            }

            public void add_module(string name, Module module) => register_module(name, module);

            public virtual void register_parameter(string name, Parameter param)
            {
                RequireFree(name);
                param?.DetachFromDisposeScope();
                if (param is not null) ownParameters.Add(name, param);
            }

            public virtual void register_buffer(string name, Tensor tensor, bool persistent = true)
            {
                ArgumentNullException.ThrowIfNull(tensor);
                RequireFree(name);
                tensor.DetachFromDisposeScope();
                ownBuffers.Add(name, tensor);
                if (!persistent) unsaved.Add(name);
            }

            private void RequireFree(string name)
            {
                ArgumentException.ThrowIfNullOrEmpty(name);
                if (name.Contains('.')) throw new ArgumentException($"The name '{name}' contains '.', which separates modules.", nameof(name));
                if (parts.ContainsKey(name) || ownParameters.ContainsKey(name) || ownBuffers.ContainsKey(name))
                    throw new InvalidOperationException($"Tried to register '{name}' twice in {GetName()}.");
            }

            protected void ConditionallyRegisterParameter(string name, Parameter? value)
            {
                ownParameters.Remove(name);
                if (value is not null) ownParameters.Add(name, (Parameter)value.DetachFromDisposeScope());
            }

            protected void ConditionallyRegisterBuffer(string name, Tensor? value, bool persistent = true)
            {
                ownBuffers.Remove(name);
                unsaved.Remove(name);
                if (value is null) return;
                ownBuffers.Add(name, value.DetachFromDisposeScope());
                if (!persistent) unsaved.Add(name);
            }

            protected void ClearModules() => parts.Clear();

            /// <summary>Registers every field that holds a module, a parameter or a tensor, by the field's name.</summary>
            protected virtual void RegisterComponents()
            {
                foreach (var field in GetType().GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
                {
                    switch (field.GetValue(this))
                    {
                        case Module part when !parts.ContainsKey(NameOf(field)):
                            register_module(NameOf(field), part);
                            break;
                        case Parameter parameter when !ownParameters.ContainsKey(NameOf(field)):
                            register_parameter(NameOf(field), parameter);
                            break;
                        case Tensor buffer and not Modules.Parameter when !ownBuffers.ContainsKey(NameOf(field)):
                            register_buffer(NameOf(field), buffer);
                            break;
                    }
                }
            }

            private static string NameOf(FieldInfo field) => field.GetCustomAttribute<Utils.ComponentNameAttribute>()?.Name ?? field.Name;

            // ---- what it holds ----

            /// <summary>Parameters with dotted names, own ones first, each once even if parts share it.</summary>
            public virtual IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true)
            {
                var seen = new HashSet<nint>();
                foreach (var (path, module) in Walk("", recurse))
                    foreach (var (own, parameter) in module.ownParameters)
                        if (!parameter.IsInvalid && seen.Add(parameter.Live)) yield return (path + own, parameter);
            }

            public virtual IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(static p => p.parameter);

            public virtual IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true, bool include_nonpersistent = true)
            {
                var seen = new HashSet<nint>();
                foreach (var (path, module) in Walk("", recurse))
                    foreach (var (own, buffer) in module.ownBuffers)
                        if ((include_nonpersistent || !module.unsaved.Contains(own)) && !buffer.IsInvalid && seen.Add(buffer.Live)) yield return (path + own, buffer);
            }

            public virtual IEnumerable<Tensor> buffers(bool recurse = true, bool include_nonpersistent = true) =>
                named_buffers(recurse, include_nonpersistent).Select(static b => b.buffer);

            public virtual IEnumerable<(string name, Module module)> named_children()
            {
                foreach (var (own, part) in parts) yield return (own, part);
            }

            public virtual IEnumerable<Module> children() => named_children().Select(static c => c.module);

            /// <summary>All parts at any depth, with dotted names; not this module itself.</summary>
            public virtual IEnumerable<(string name, Module module)> named_modules()
            {
                foreach (var (own, part) in parts)
                {
                    yield return (own, part);
                    foreach (var (inner, module) in part.named_modules()) yield return ($"{own}.{inner}", module);
                }
            }

            public virtual IEnumerable<Module> modules() => named_modules().Select(static m => m.module);

            private IEnumerable<(string Path, Module Module)> Walk(string path, bool recurse)
            {
                yield return (path, this);
                if (!recurse) yield break;
                foreach (var (own, part) in parts)
                    foreach (var inner in part.Walk($"{path}{own}.", recurse: true)) yield return inner;
            }

            public virtual bool has_parameter(string target) => Find(target, static (m, n) => m.ownParameters.ContainsKey(n));
            public virtual bool has_buffer(string target) => Find(target, static (m, n) => m.ownBuffers.ContainsKey(n));
            public virtual Parameter? get_parameter(string target) => Find(target, static (m, n) => m.ownParameters.TryGetValue(n, out var found) ? found : null);
            public virtual Tensor? get_buffer(string target) => Find(target, static (m, n) => m.ownBuffers.TryGetValue(n, out var found) ? found : null);

            private TFound? Find<TFound>(string target, Func<Module, string, TFound> look)
            {
                ArgumentNullException.ThrowIfNull(target);
                var names = target.Split('.');
                var at = this;
                foreach (var step in names[..^1])
                    if (!at.parts.TryGetValue(step, out at!)) return default;
                return look(at, names[^1]);
            }

            /// <summary>Calls <paramref name="fn"/> on every part, innermost first, then on this module.</summary>
            public virtual Module apply(Action<Module> fn)
            {
                foreach (var part in children()) part.apply(fn);
                fn(this);
                return this;
            }

            /// <summary>Drops the gradients, or fills them with zeros.</summary>
            public virtual void zero_grad(bool set_to_none = true)
            {
                foreach (var parameter in parameters())
                {
                    if (set_to_none)
                    {
                        parameter.grad = null;
                        continue;
                    }
                    using var gradient = parameter.grad;
                    gradient?.zero_();
                }
            }

            // ---- state ----

            /// <summary>Parameters and persistent buffers by dotted name: the tensors themselves, not copies. Shared ones stand under each of their names.</summary>
            public virtual Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
            {
                destination ??= [];
                var start = string.IsNullOrEmpty(prefix) ? "" : prefix + ".";
                foreach (var (path, module) in Walk(start, recurse: true))
                {
                    foreach (var (own, parameter) in module.ownParameters) destination.TryAdd(path + own, parameter);
                    foreach (var (own, buffer) in module.ownBuffers)
                        if (!module.unsaved.Contains(own)) destination.TryAdd(path + own, buffer);
                }
                return destination;
            }

            /// <summary>Copies values in by name.</summary>
            /// <returns>Names this module has and the source lacks; names the source has and this module lacks.</returns>
            /// <exception cref="InvalidOperationException">Strict, and the names differ.</exception>
            /// <exception cref="ArgumentException">A shape differs; the message names the tensor. Nothing was copied then.</exception>
            public virtual (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null)
            {
                ArgumentNullException.ThrowIfNull(source);
                var own = state_dict();
                var missing = own.Keys.Where(key => !source.ContainsKey(key) && skip?.Contains(key) != true).ToList();
                var unexpected = source.Keys.Where(key => !own.ContainsKey(key) && skip?.Contains(key) != true).ToList();
                if (strict && missing.Count + unexpected.Count > 0)
                    throw new InvalidOperationException($"The loaded state_dict is not identical to the target dictionary. Missing: {Some(missing)}. Unexpected: {Some(unexpected)}.");
                var common = own.Where(pair => source.ContainsKey(pair.Key) && skip?.Contains(pair.Key) != true).ToList();
                foreach (var (key, target) in common)
                    if (!target.shape.SequenceEqual(source[key].shape))
                        throw new ArgumentException($"'{key}' has shape [{string.Join(", ", source[key].shape)}] in the loaded state, [{string.Join(", ", target.shape)}] in the module.", nameof(source));
                using (no_grad())
                    foreach (var (key, target) in common) target.copy_(source[key]);
                return (missing, unexpected);
            }

            private static string Some(List<string> names) => names.Count == 0 ? "none" : string.Join(", ", names.Take(5)) + (names.Count > 5 ? $" and {names.Count - 5} more" : "");

            /// <summary>Saves the state in TorchSharp's own file format.</summary>
            public Module save(string location, IList<string>? skip = null)
            {
                using var stream = File.Create(location);
                return save(stream, skip);
            }

            public Module save(Stream stream, IList<string>? skip = null)
            {
                using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
                return save(writer, skip);
            }

            public Module save(BinaryWriter writer, IList<string>? skip = null)
            {
                save_state_dict(writer, state_dict(), skip);
                return this;
            }

            public static void save_state_dict(BinaryWriter writer, Dictionary<string, Tensor> sd, IList<string>? skip = null)
            {
                var kept = sd.Where(pair => skip?.Contains(pair.Key) != true).ToList();
                writer.Write7BitEncodedInt64(kept.Count);
                foreach (var (key, tensor) in kept)
                {
                    writer.Write(key);
                    tensor.Save(writer);
                }
            }

            public virtual Module load(string location, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null)
            {
                using var stream = File.OpenRead(location);
                return load(stream, strict, skip, loadedParameters);
            }

            public Module load(Stream stream, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null)
            {
                using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
                return load(reader, strict, skip, loadedParameters);
            }

            /// <summary>Reads what <c>save</c> wrote; types are converted to the module's own.</summary>
            public virtual Module load(BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null)
            {
                using var scope = NewDisposeScope();
                var count = reader.Read7BitEncodedInt64();
                var source = new Dictionary<string, Tensor>();
                for (long k = 0; k < count; k++) source[reader.ReadString()] = Tensor.Load(reader);
                var (missing, _) = load_state_dict(source, strict, skip);
                if (loadedParameters is null) return this;
                foreach (var key in state_dict().Keys) loadedParameters[key] = !missing.Contains(key) && skip?.Contains(key) != true;
                return this;
            }

            // ---- type and device ----

            protected internal virtual Module _to(Device device, ScalarType dtype, bool non_blocking) => Convert(device, dtype, non_blocking);
            protected internal virtual Module _to(ScalarType dtype, bool non_blocking) => Convert(null, dtype, non_blocking);
            protected internal virtual Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking) => Convert(new Device(deviceType, deviceIndex), null, non_blocking);

            // Gradients move along; integer buffers keep their type, as in PyTorch.
            private Module Convert(Device? device, ScalarType? dtype, bool non_blocking)
            {
                using var scope = NewDisposeScope();
                using var quiet = no_grad();
                foreach (var tensor in parameters().Concat(buffers()))
                {
                    ScalarType type = dtype is { } wanted && (tensor.is_floating_point() || tensor.is_complex()) ? wanted : tensor.dtype;
                    var place = device ?? tensor.device;
                    if (type == tensor.dtype && place.type == tensor.device_type && (place.index < 0 || place.index == tensor.device_index)) continue;
                    var gradient = tensor.grad;
                    tensor.grad = null;
                    tensor.SetData(tensor.to(type, place, non_blocking: non_blocking));
                    if (gradient is not null) tensor.grad = gradient.to(type, place, non_blocking: non_blocking);
                }
                return this;
            }

            /// <summary>Disposes its parameters and buffers, and those of its parts.</summary>
            public void Dispose()
            {
                Dispose(true);
                GC.SuppressFinalize(this);
            }

            protected virtual void Dispose(bool disposing)
            {
                if (!disposing) return;
                foreach (var (_, parameter) in ownParameters) parameter.Dispose();
                foreach (var (_, buffer) in ownBuffers) buffer.Dispose();
                foreach (var (_, part) in parts) part.Dispose();
            }
        }

        /// <summary>A module of one input. Call it by <c>call</c>; write it by overriding <c>forward</c>.</summary>
        public abstract class Module<T, TResult>(string name) : HookableModule<Func<Module<T, TResult>, T, T>, Func<Module<T, TResult>, T, TResult, TResult>>(name), IModule<T, TResult>
        {
            public abstract TResult forward(T input);

            public TResult call(T input)
            {
                if (HasNoHooks) return forward(input);
                foreach (var hook in BeforeHooks)
                    if (hook(this, input) is { } changed) input = changed;
                var result = forward(input);
                foreach (var hook in AfterHooks)
                    if (hook(this, input, result) is { } changed) result = changed;
                return result;
            }
        }

        public abstract class Module<T1, T2, TResult>(string name) : HookableModule<Func<Module<T1, T2, TResult>, T1, T2, (T1, T2)?>, Func<Module<T1, T2, TResult>, T1, T2, TResult, TResult>>(name), IModule<T1, T2, TResult>
        {
            public abstract TResult forward(T1 input1, T2 input2);

            public TResult call(T1 input1, T2 input2)
            {
                if (HasNoHooks) return forward(input1, input2);
                foreach (var hook in BeforeHooks)
                    if (hook(this, input1, input2) is { } changed) (input1, input2) = changed;
                var result = forward(input1, input2);
                foreach (var hook in AfterHooks)
                    if (hook(this, input1, input2, result) is { } changed) result = changed;
                return result;
            }
        }

        public abstract class Module<T1, T2, T3, TResult>(string name) : HookableModule<Func<Module<T1, T2, T3, TResult>, T1, T2, T3, (T1, T2, T3)?>, Func<Module<T1, T2, T3, TResult>, T1, T2, T3, TResult, TResult>>(name), IModule<T1, T2, T3, TResult>
        {
            public abstract TResult forward(T1 input1, T2 input2, T3 input3);

            public TResult call(T1 input1, T2 input2, T3 input3)
            {
                if (HasNoHooks) return forward(input1, input2, input3);
                foreach (var hook in BeforeHooks)
                    if (hook(this, input1, input2, input3) is { } changed) (input1, input2, input3) = changed;
                var result = forward(input1, input2, input3);
                foreach (var hook in AfterHooks)
                    if (hook(this, input1, input2, input3, result) is { } changed) result = changed;
                return result;
            }
        }

        public abstract class Module<T1, T2, T3, T4, TResult>(string name) : HookableModule<Func<Module<T1, T2, T3, T4, TResult>, T1, T2, T3, T4, (T1, T2, T3, T4)?>, Func<Module<T1, T2, T3, T4, TResult>, T1, T2, T3, T4, TResult, TResult>>(name), IModule<T1, T2, T3, T4, TResult>
        {
            public abstract TResult forward(T1 input1, T2 input2, T3 input3, T4 input4);

            public TResult call(T1 input1, T2 input2, T3 input3, T4 input4)
            {
                if (HasNoHooks) return forward(input1, input2, input3, input4);
                foreach (var hook in BeforeHooks)
                    if (hook(this, input1, input2, input3, input4) is { } changed) (input1, input2, input3, input4) = changed;
                var result = forward(input1, input2, input3, input4);
                foreach (var hook in AfterHooks)
                    if (hook(this, input1, input2, input3, input4, result) is { } changed) result = changed;
                return result;
            }
        }

        public abstract class Module<T1, T2, T3, T4, T5, TResult>(string name) : HookableModule<Func<Module<T1, T2, T3, T4, T5, TResult>, T1, T2, T3, T4, T5, (T1, T2, T3, T4, T5)?>, Func<Module<T1, T2, T3, T4, T5, TResult>, T1, T2, T3, T4, T5, TResult, TResult>>(name), IModule<T1, T2, T3, T4, T5, TResult>
        {
            public abstract TResult forward(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5);

            public TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5)
            {
                if (HasNoHooks) return forward(input1, input2, input3, input4, input5);
                foreach (var hook in BeforeHooks)
                    if (hook(this, input1, input2, input3, input4, input5) is { } changed) (input1, input2, input3, input4, input5) = changed;
                var result = forward(input1, input2, input3, input4, input5);
                foreach (var hook in AfterHooks)
                    if (hook(this, input1, input2, input3, input4, input5, result) is { } changed) result = changed;
                return result;
            }
        }

        public abstract class Module<T1, T2, T3, T4, T5, T6, TResult>(string name) : HookableModule<Func<Module<T1, T2, T3, T4, T5, T6, TResult>, T1, T2, T3, T4, T5, T6, (T1, T2, T3, T4, T5, T6)?>, Func<Module<T1, T2, T3, T4, T5, T6, TResult>, T1, T2, T3, T4, T5, T6, TResult, TResult>>(name), IModule<T1, T2, T3, T4, T5, T6, TResult>
        {
            public abstract TResult forward(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5, T6 input6);

            public TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5, T6 input6)
            {
                if (HasNoHooks) return forward(input1, input2, input3, input4, input5, input6);
                foreach (var hook in BeforeHooks)
                    if (hook(this, input1, input2, input3, input4, input5, input6) is { } changed) (input1, input2, input3, input4, input5, input6) = changed;
                var result = forward(input1, input2, input3, input4, input5, input6);
                foreach (var hook in AfterHooks)
                    if (hook(this, input1, input2, input3, input4, input5, input6, result) is { } changed) result = changed;
                return result;
            }
        }

        /// <summary>A module whose calls can be watched and changed.</summary>
        public class HookableModule<TPreHook, TPostHook> : Module where TPreHook : Delegate where TPostHook : Delegate
        {
            private readonly Utils.OrderedDict<string, TPreHook> before = new();
            private readonly Utils.OrderedDict<string, TPostHook> after = new();
            private int hooksMade;

            protected HookableModule(string name) : base(name)
            {
            }

            internal bool HasNoHooks => before.Count == 0 && after.Count == 0;

            // Copies, because a hook may remove itself.
            internal IEnumerable<TPreHook> BeforeHooks => before.Values.ToList();
            internal IEnumerable<TPostHook> AfterHooks => after.Values.ToList();

            /// <summary>Runs after every forward; a result that is not null takes the place of the output.</summary>
            public HookRemover register_forward_hook(TPostHook hook)
            {
                var key = $"after{hooksMade++}";
                after.Add(key, hook);
                return new HookRemover(this, key);
            }

            /// <summary>Runs before every forward; a result that is not null takes the place of the input.</summary>
            public HookRemover register_forward_pre_hook(TPreHook hook)
            {
                var key = $"before{hooksMade++}";
                before.Add(key, hook);
                return new HookRemover(this, key);
            }

            /// <summary>Takes a hook away again.</summary>
            public class HookRemover(HookableModule<TPreHook, TPostHook> module, string key)
            {
                public void remove()
                {
                    module.before.Remove(key);
                    module.after.Remove(key);
                }
            }
        }
    }
}
