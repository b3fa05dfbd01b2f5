using Portal.Torch.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>Linear algebra; PyTorch's torch.linalg. A matrix that does not allow the operation is an exception.</summary>
    public static class linalg
    {
        /// <summary>Which parts of a QR decomposition are made.</summary>
        public enum QRMode { Reduced = 0, Complete = 1, R = 2 }

        public static Tensor cholesky(Tensor input) => Ops.linalg_cholesky.T(input);
        public static Tensor cond(Tensor input) => Ops.linalg_cond.T(input);
        public static Tensor cross(Tensor input, Tensor other, long dim = -1) => Ops.linalg_cross.T(input, other, dim);
        public static Tensor det(Tensor input) => Ops.linalg_det.T(input);
        public static Tensor diagonal(Tensor input, int offset = 0, int dim1 = -2, int dim2 = -1) => Ops.diagonal.T(input, offset, dim1, dim2);
        public static (Tensor, Tensor) eig(Tensor input) => Ops.linalg_eig.T2(input);
        public static (Tensor, Tensor) eigh(Tensor input, char UPLO = 'L') => Ops.linalg_eigh.T2(input, UPLO.ToString());
        public static Tensor eigvals(Tensor input) => Ops.linalg_eigvals.T(input);
        public static Tensor eigvalsh(Tensor input, char UPLO = 'L') => Ops.linalg_eigvalsh.T(input, UPLO.ToString());
        public static Tensor inv(Tensor input) => Ops.linalg_inv.T(input);
        public static (Tensor, Tensor, Tensor, Tensor) lstsq(Tensor input, Tensor other) => Ops.linalg_lstsq.T4(input, other);
        public static (Tensor, Tensor, Tensor, Tensor) lstsq(Tensor input, Tensor other, double rcond) => Ops.linalg_lstsq.T4(input, other, rcond);
        public static (Tensor, Tensor, Tensor) lu(Tensor input, bool pivot = true) => Ops.linalg_lu.T3(input, pivot);
        public static (Tensor, Tensor) lu_factor(Tensor input, bool pivot = true) => Ops.linalg_lu_factor.T2(input, pivot);
        public static Tensor matrix_exp(Tensor input) => Ops.linalg_matrix_exp.T(input);
        public static Tensor matrix_norm(Tensor input, double ord, long[]? dims = null, bool keepdim = false) => Ops.linalg_matrix_norm.T(input, ord, dims ?? [-2, -1], keepdim);
        public static Tensor matrix_norm(Tensor input, string ord = "fro", long[]? dims = null, bool keepdim = false) => Ops.linalg_matrix_norm_str_ord.T(input, ord, dims ?? [-2, -1], keepdim);
        public static Tensor matrix_rank(Tensor input, double? atol = null, double? rtol = null, bool hermitian = false) => Ops.linalg_matrix_rank_atol_rtol_float.T(input, atol, rtol, hermitian);
        public static Tensor multi_dot(IList<Tensor> tensors) => Ops.linalg_multi_dot.T(tensors.ToArray());
        public static Tensor norm(Tensor input, double ord, long[]? dims = null, bool keepdim = false) => Ops.linalg_norm.T(input, ord, dims, keepdim);
        public static Tensor norm(Tensor input, int ord, long[]? dims = null, bool keepdim = false) => Ops.linalg_norm.T(input, (double)ord, dims, keepdim);
        public static Tensor norm(Tensor input, long[]? dims = null, bool keepdim = false) => Ops.linalg_norm.T(input, Arg.None, dims, keepdim);
        public static Tensor norm(Tensor input, string ord, long[]? dims = null, bool keepdim = false) => Ops.linalg_norm_ord_str.T(input, ord, dims, keepdim);
        public static Tensor pinv(Tensor input, double? atol = null, double? rtol = null, bool hermitian = false) => Ops.linalg_pinv_atol_rtol_float.T(input, atol, rtol, hermitian);
        public static (Tensor, Tensor) qr(Tensor input, QRMode mode = QRMode.Reduced) => Ops.linalg_qr.T2(input, mode switch { QRMode.Reduced => "reduced", QRMode.Complete => "complete", QRMode.R => "r" });
        public static (Tensor, Tensor) slogdet(Tensor input) => Ops.linalg_slogdet.T2(input);
        public static Tensor solve(Tensor A, Tensor B, bool left = true) => Ops.linalg_solve.T(A, B, left);
        public static (Tensor, Tensor, Tensor) svd(Tensor input, bool fullMatrices = true) => Ops.linalg_svd.T3(input, fullMatrices);
        public static Tensor svdvals(Tensor input) => Ops.linalg_svdvals.T(input);
        public static Tensor vector_norm(Tensor input, double ord = 2, long[]? dims = null, bool keepdim = false) => Ops.linalg_vector_norm.T(input, ord, dims, keepdim);

        /// <summary>Solves a triangular system.</summary>
        public static Tensor solve_triangular(Tensor A, Tensor B, bool upper, bool left = true, bool unitriangular = false, Tensor? @out = null)
        {
            var solution = Ops.linalg_solve_triangular.T(A, B, upper, left, unitriangular);
            if (@out is null) return solution;
            using (solution) return @out.copy_(solution);
        }
    }
}
