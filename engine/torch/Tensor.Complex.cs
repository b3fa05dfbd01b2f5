using Portal.Torch.Native;

namespace TorchSharp;

// Pairs of numbers seen as complex ones, and back.
public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Op viewAsComplex = new("aten::view_as_complex");
        private static readonly Op viewAsReal = new("aten::view_as_real");

        public Tensor view_as_complex() => viewAsComplex.T(this);
        public Tensor view_as_real() => viewAsReal.T(this);
    }
}
