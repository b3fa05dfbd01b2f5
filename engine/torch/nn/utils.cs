using Portal.Torch.Native;
using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>Gradient clipping, vectors of parameters, padded sequences.</summary>
        public static class utils
        {
            /// <summary>
            /// Scales all gradients so that their norm, taken over all of them together, is at most max_norm. Parameters without a
            /// gradient do not count.
            /// </summary>
            /// <returns>The norm before scaling; infinite or NaN when a gradient is, and then the gradients are scaled by it all the same, as in PyTorch.</returns>
            public static double clip_grad_norm_(IEnumerable<Parameter> tensors, double max_norm, double norm_type = 2.0)
            {
                using var scope = NewDisposeScope();
                using var quiet = no_grad();
                var gradients = tensors.Select(static p => p.grad).OfType<Tensor>().ToArray();
                if (gradients.Length == 0) return 0;
                var norm = stack(Ops._foreach_norm_Scalar.List(gradients, norm_type), 0).norm((float)norm_type).ToDouble();
                var factor = max_norm / (norm + 1e-6);
                if (!(factor >= 1)) Ops._foreach_mul__Scalar.Do(gradients, (double)(float)factor);
                return norm;
            }

            /// <summary>Limits every element of every gradient to ±clip_value.</summary>
            public static void clip_grad_value_(IEnumerable<Parameter> tensors, double clip_value)
            {
                using var scope = NewDisposeScope();
                using var quiet = no_grad();
                foreach (var parameter in tensors) parameter.grad?.clamp_((Scalar)(-clip_value), (Scalar)clip_value);
            }

            /// <summary>Sequences of different lengths.</summary>
            public static class rnn
            {
                /// <summary>One tensor of all sequences, the shorter ones filled up at their ends. [longest, sequences, ...], or the first two swapped.</summary>
                public static Tensor pad_sequence(IEnumerable<Tensor> sequences, bool batch_first = false, double padding_value = 0) =>
                    Ops.pad_sequence.T(sequences.ToArray(), batch_first, padding_value);
            }

            /// <summary>All parameters, one after the other, as one vector.</summary>
            public static Tensor parameters_to_vector(IEnumerable<Parameter> tensors)
            {
                using var scope = NewDisposeScope();
                return cat(tensors.Select(static p => p.view(-1)).ToArray()).MoveToOuterDisposeScope();
            }

            /// <summary>The reverse of <see cref="parameters_to_vector"/>: copies the vector's parts into the parameters.</summary>
            /// <exception cref="ArgumentException">The lengths differ.</exception>
            public static void vector_to_parameters(Tensor vec, IEnumerable<Parameter> tensors)
            {
                using var scope = NewDisposeScope();
                using var quiet = no_grad();
                var all = tensors.ToList();
                var length = all.Sum(static p => p.numel());
                if (vec.numel() != length) throw new ArgumentException($"The vector has {vec.numel()} elements, the parameters {length}.", nameof(vec));
                long at = 0;
                foreach (var parameter in all)
                {
                    parameter.copy_(vec.narrow(0, at, parameter.numel()).view_as(parameter));
                    at += parameter.numel();
                }
            }
        }
    }
}
