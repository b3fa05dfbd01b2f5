using Portal.Torch.Native;

namespace TorchSharp;

// New tensors that take type and device from an existing one.
public static partial class torch
{
    public partial class Tensor
    {
        public Tensor empty_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.empty_like(this, dtype, device, requires_grad);
        public Tensor full_like(Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.full_like(this, value, dtype, device, requires_grad);
        public Tensor new_empty(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_empty.T(this, new long[] { dim0, dim1, dim2, dim3 }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_empty(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_empty.T(this, new long[] { dim0, dim1, dim2 }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_empty(long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_empty.T(this, new long[] { rows, columns }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_empty(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_empty.T(this, new long[] { size }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_empty(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_empty.T(this, size, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_empty(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_empty.T(this, size, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_full(long dim0, long dim1, long dim2, long dim3, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_full.T(this, new long[] { dim0, dim1, dim2, dim3 }, value, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_full(long dim0, long dim1, long dim2, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_full.T(this, new long[] { dim0, dim1, dim2 }, value, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_full(long rows, long columns, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_full.T(this, new long[] { rows, columns }, value, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_full(long size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_full.T(this, new long[] { size }, value, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_full(long[] size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_full.T(this, size, value, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_full(ReadOnlySpan<long> size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_full.T(this, size, value, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_ones(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_ones.T(this, new long[] { dim0, dim1, dim2, dim3 }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_ones(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_ones.T(this, new long[] { dim0, dim1, dim2 }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_ones(long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_ones.T(this, new long[] { rows, columns }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_ones(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_ones.T(this, new long[] { size }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_zeros(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_zeros.T(this, new long[] { dim0, dim1, dim2, dim3 }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_zeros(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_zeros.T(this, new long[] { dim0, dim1, dim2 }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_zeros(long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_zeros.T(this, new long[] { rows, columns }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_zeros(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_zeros.T(this, new long[] { size }, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_zeros(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_zeros.T(this, size, dtype, Arg.None, device), requires_grad, null);
        public Tensor new_zeros(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Wanting(Ops.new_zeros.T(this, size, dtype, Arg.None, device), requires_grad, null);
        public Tensor ones_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.ones_like(this, dtype, device, requires_grad);
        public Tensor rand_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.rand_like(this, dtype, device, requires_grad);
        public Tensor randint_like(long low, long high, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.randint_like(this, low, high, dtype, device, requires_grad);
        public Tensor randn_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.randn_like(this, dtype, device, requires_grad);
        public Tensor zeros_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => torch.zeros_like(this, dtype, device, requires_grad);
    }
}
