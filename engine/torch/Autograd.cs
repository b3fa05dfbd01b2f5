using Portal.Torch.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>Gradients are not recorded until the result is disposed.</summary>
    public static IDisposable no_grad() => new GradMode(on: false);
    public static IDisposable enable_grad(bool enabled = true) => new GradMode(enabled);
    public static IDisposable set_grad_enabled(bool mode = true) => new GradMode(mode);
    public static bool is_grad_enabled() => Shim.pt_grad_mode() != 0;

    /// <summary>No gradients and no version counting until the result is disposed; tensors made inside can never get gradients.</summary>
    public static IDisposable inference_mode(bool mode = true) => new InferenceMode(mode);
    public static bool is_inference_mode_enabled() => Shim.pt_inference_mode() != 0;

    // Both modes are per thread: enter and leave on the same one, in order.
    private sealed class GradMode : IDisposable
    {
        private readonly int before = Shim.pt_grad_mode();
        private bool left;

        internal GradMode(bool on) => Shim.pt_set_grad_mode(on ? 1 : 0);

        public void Dispose()
        {
            if (left) return;
            left = true;
            Shim.pt_set_grad_mode(before);
        }
    }

    private sealed class InferenceMode(bool on) : IDisposable
    {
        private nint guard = Shim.Check(Shim.pt_enter_inference_mode(on ? 1 : 0));

        public void Dispose()
        {
            var owned = Interlocked.Exchange(ref guard, 0);
            if (owned != 0) Shim.pt_leave_inference_mode(owned);
        }
    }

    /// <summary>Reverse-mode differentiation.</summary>
    public static class autograd
    {
        /// <summary>Adds the gradients of the tensors to the leaves they came from, or to <paramref name="inputs"/> only.</summary>
        public static void backward(IList<Tensor> tensors, IList<Tensor>? grad_tensors = null, bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null) =>
            Backward(tensors, grad_tensors, retain_graph ?? create_graph, create_graph, inputs);

        public static void backward(Tensor tensor, IList<Tensor>? grad_tensors = null, bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null) =>
            Backward([tensor], grad_tensors, retain_graph ?? create_graph, create_graph, inputs);

        public static void backward(Tensor tensor, Tensor grad_tensor, bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null) =>
            Backward([tensor], [grad_tensor], retain_graph ?? create_graph, create_graph, inputs);

        /// <summary>The gradients of the sum of the outputs by each input; null for an unused one when <paramref name="allow_unused"/>.</summary>
        public static unsafe IList<Tensor> grad(IList<Tensor> outputs, IList<Tensor> inputs, IList<Tensor>? grad_outputs = null, bool retain_graph = false, bool create_graph = false, bool allow_unused = false)
        {
            var roots = Handles(outputs);
            var leaves = Handles(inputs);
            var seeds = grad_outputs is null ? null : Handles(grad_outputs);
            if (seeds is not null && seeds.Length != roots.Length) throw new ArgumentException($"{seeds.Length} grad_outputs for {roots.Length} outputs.", nameof(grad_outputs));
            var results = new nint[leaves.Length];
            fixed (nint* r = roots, l = leaves, s = seeds, o = results)
                Shim.Check(Shim.pt_gradients(r, roots.Length, s, l, leaves.Length, retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, o));
            GC.KeepAlive(outputs);
            GC.KeepAlive(inputs);
            GC.KeepAlive(grad_outputs);
            return results.Select(h => h != 0 ? Tensor.Own(h) : null!).ToList(); // null stands for "unused", as documented
        }

        internal static unsafe void Backward(IList<Tensor> tensors, IList<Tensor>? seeds, bool retain, bool create, IList<Tensor>? inputs)
        {
            var roots = Handles(tensors);
            var grads = seeds is null ? null : Handles(seeds);
            if (grads is not null && grads.Length != roots.Length) throw new ArgumentException($"{grads.Length} grad_tensors for {roots.Length} tensors.", nameof(seeds));
            var leaves = inputs is null ? [] : Handles(inputs);
            fixed (nint* r = roots, g = grads, l = leaves)
                Shim.Check(Shim.pt_backward(r, roots.Length, g, retain ? 1 : 0, create ? 1 : 0, l, leaves.Length));
            GC.KeepAlive(tensors);
            GC.KeepAlive(seeds);
            GC.KeepAlive(inputs);
        }

        internal static nint[] Handles(IList<Tensor> tensors)
        {
            ArgumentNullException.ThrowIfNull(tensors);
            var handles = new nint[tensors.Count];
            for (var k = 0; k < handles.Length; k++) handles[k] = (tensors[k] ?? throw new ArgumentNullException(nameof(tensors), $"Tensor {k} is null.")).Live;
            return handles;
        }
    }
}
