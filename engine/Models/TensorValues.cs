using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>Reading tensors into plain arrays.</summary>
public static class TensorValues
{
    extension(Tensor tensor)
    {
        /// <summary>The values of a float32 tensor in row-major order, copied from whatever device.</summary>
        public float[] ToFloats()
        {
            // The accessor holds a handle of its own: undisposed, it would outlive every scope.
            using var here = tensor.cpu();
            using var values = here.data<float>();
            return values.ToArray();
        }
    }
}
