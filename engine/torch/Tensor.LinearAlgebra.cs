using Portal.Torch.Native;
using TorchSharp.Modules;

namespace TorchSharp;

// Products and decompositions.
public static partial class torch
{
    public partial class Tensor
    {
        public Tensor matmul(Tensor target) => Ops.matmul.T(this, target);
        public Tensor mm(Tensor target) => Ops.mm.T(this, target);
        public Tensor bmm(Tensor batch2) => Ops.bmm.T(this, batch2);
        public Tensor mv(Tensor target) => Ops.mv.T(this, target);
        public Tensor dot(Tensor target) => Ops.dot.T(this, target);
        public Tensor vdot(Tensor target) => Ops.vdot.T(this, target);
        public Tensor inner(Tensor vec2) => Ops.inner.T(this, vec2);
        public Tensor outer(Tensor vec2) => Ops.outer.T(this, vec2);
        public Tensor ger(Tensor vec2) => Ops.ger.T(this, vec2);
        public Tensor addmm(Tensor mat1, Tensor mat2, float beta = 1f, float alpha = 1f) => Ops.addmm.T(this, mat1, mat2, beta, alpha);
        public Tensor addmm_(Tensor mat1, Tensor mat2, float beta = 1f, float alpha = 1f)
        {
            Ops.addmm_.Do(this, mat1, mat2, beta, alpha);
            return this;
        }
        public Tensor addmv(Tensor mat, Tensor vec, float beta = 1f, float alpha = 1f) => Ops.addmv.T(this, mat, vec, beta, alpha);
        public Tensor addmv_(Tensor mat, Tensor vec, float beta = 1f, float alpha = 1f)
        {
            Ops.addmv_.Do(this, mat, vec, beta, alpha);
            return this;
        }
        public Tensor addbmm(Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f) => Ops.addbmm.T(this, batch1, batch2, beta, alpha);
        public Tensor addbmm_(Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f)
        {
            Ops.addbmm_.Do(this, batch1, batch2, beta, alpha);
            return this;
        }
        public Tensor baddbmm(Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f) => Ops.baddbmm.T(this, batch1, batch2, beta, alpha);
        public Tensor addr(Tensor vec1, Tensor vec2, float beta = 1f, float alpha = 1f) => Ops.addr.T(this, vec1, vec2, beta, alpha);
        public Tensor addr_(Tensor vec1, Tensor vec2, float beta = 1f, float alpha = 1f)
        {
            Ops.addr_.Do(this, vec1, vec2, beta, alpha);
            return this;
        }
        public Tensor kron(Tensor other) => Ops.kron.T(this, other);
        public Tensor tensordot(Tensor b, long[] dims1, long[] dims2) => Ops.tensordot.T(this, b, dims1, dims2);
        public Tensor trace() => Ops.trace.T(this);
        public Tensor det() => Ops.det.T(this);
        public Tensor logdet() => Ops.logdet.T(this);
        public Tensor inverse() => Ops.inverse.T(this);
        public Tensor pinverse(double rcond = 1E-15, bool hermitian = false) => Ops.linalg_pinv.T(this, rcond, hermitian);
        public Tensor matrix_exp() => Ops.matrix_exp.T(this);
        public Tensor matrix_power(int n) => Ops.matrix_power.T(this, n);
        public Tensor cholesky(bool upper = false) => Ops.cholesky.T(this, upper);
        public Tensor cholesky_inverse(bool upper = false) => Ops.cholesky_inverse.T(this, upper);
        public Tensor cholesky_solve(Tensor input2, bool upper = false) => Ops.cholesky_solve.T(this, input2, upper);
    }

    public static Tensor cholesky(Tensor input) => Ops.linalg_cholesky.T(input);
    public static Tensor einsum(string equation, params Tensor[] tensors) => Ops.einsum.T(equation, tensors);
    public static Tensor chain_matmul(params Tensor[] matrices) => Ops.chain_matmul.T(matrices);
    public static Tensor cdist(Tensor x1, Tensor x2, double p = 2, compute_mode compute_mode = compute_mode.use_mm_for_euclid_dist_if_necessary) => Ops.cdist.T(x1, x2, p, (long)compute_mode);
    public static (Tensor, Tensor) slogdet(Tensor A) => Ops.linalg_slogdet.T2(A);
    public static Tensor lu_solve(Tensor b, Tensor LU_data, Tensor LU_pivots) => Ops.lu_solve.T(b, LU_data, LU_pivots);
    public static Tensor addbmm(Tensor input, Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f) => input.addbmm(batch1, batch2, beta, alpha);
    public static Tensor addbmm_(Tensor input, Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f) => input.addbmm_(batch1, batch2, beta, alpha);
    public static Tensor addmm(Tensor input, Tensor mat1, Tensor mat2, float beta, float alpha) => input.addmm(mat1, mat2, beta, alpha);
    public static Tensor addmm_(Tensor input, Tensor mat1, Tensor mat2, float beta, float alpha) => input.addmm_(mat1, mat2, beta, alpha);
    public static Tensor addmv(Tensor input, Tensor mat1, Tensor mat2, float beta, float alpha) => input.addmv(mat1, mat2, beta, alpha);
    public static Tensor addmv_(Tensor input, Tensor mat1, Tensor mat2, float beta, float alpha) => input.addmv_(mat1, mat2, beta, alpha);
    public static Tensor addr(Tensor input, Tensor vec1, Tensor vec2, float beta = 1f, float alpha = 1f) => input.addr(vec1, vec2, beta, alpha);
    public static Tensor addr_(Tensor input, Tensor vec1, Tensor vec2, float beta = 1f, float alpha = 1f) => input.addr_(vec1, vec2, beta, alpha);
    public static Tensor baddbmm(Tensor input, Tensor batch1, Tensor batch2, float beta = 1f, float alpha = 1f) => input.baddbmm(batch1, batch2, beta, alpha);
    public static Tensor bmm(Tensor input, Tensor batch2) => input.bmm(batch2);
    public static Tensor cholesky(Tensor input, bool upper) => input.cholesky(upper);
    public static Tensor cholesky_inverse(Tensor input, bool upper = false) => input.cholesky_inverse(upper);
    public static Tensor cholesky_solve(Tensor input, Tensor input2, bool upper = false) => input.cholesky_solve(input2, upper);
    public static Tensor det(Tensor input) => input.det();
    public static Tensor dot(Tensor input, Tensor other) => input.dot(other);
    public static Tensor ger(Tensor input, Tensor vec2) => input.ger(vec2);
    public static Tensor inner(Tensor input, Tensor vec2) => input.inner(vec2);
    public static Tensor inverse(Tensor input) => input.inverse();
    public static Tensor kron(Tensor input, Tensor other) => input.kron(other);
    public static Tensor logdet(Tensor input) => input.logdet();
    public static Tensor matmul(Tensor input, Tensor target) => input.matmul(target);
    public static Tensor matrix_exp(Tensor input) => input.matrix_exp();
    public static Tensor matrix_power(Tensor input, int n) => input.matrix_power(n);
    public static Tensor mm(Tensor input, Tensor target) => input.mm(target);
    public static Tensor mv(Tensor input, Tensor target) => input.mv(target);
    public static Tensor outer(Tensor input, Tensor vec2) => input.outer(vec2);
    public static Tensor pinverse(Tensor input, double rcond = 1E-15, bool hermitian = false) => input.pinverse(rcond, hermitian);
    public static Tensor tensordot(Tensor a, Tensor b, long[] dims1, long[] dims2) => a.tensordot(b, dims1, dims2);
    public static Tensor trace(Tensor input) => input.trace();
    public static Tensor vdot(Tensor input, Tensor target) => input.vdot(target);
}
