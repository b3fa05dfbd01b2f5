using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>
/// The head of a SARM model on codes that do not move (mode 0): Bradley-Terry with linear rewards, which is a logistic regression on z_chosen − z_rejected.
/// </summary>
/// <remarks>Convex for a penalty above 0, so there is one answer; weights of latents that no pair tells apart are exactly 0. Source: specs/sarm.md §1.5, mode 0.</remarks>
public static class SarmHead
{
    /// <summary>Fits w.</summary>
    /// <param name="chosen">Codes of the preferred answers, pair by pair.</param>
    /// <param name="rejected">Codes of the others.</param>
    /// <param name="latents">M.</param>
    /// <param name="l2">λ of (λ/2)‖w‖², above 0; the loss is the mean over pairs.</param>
    public static LogisticModel Fit(IReadOnlyList<SparseVector> chosen, IReadOnlyList<SparseVector> rejected, int latents, double l2, CancellationToken stop)
    {
        if (chosen.Count != rejected.Count || chosen.Count == 0)
            throw new CannotTrain($"A head needs pairs; {chosen.Count} preferred and {rejected.Count} other answers were given.");
        List<SparseVector> differences = [.. chosen.Zip(rejected, (one, other) => one.Minus(other))];
        if (differences.All(difference => difference.Indices.Length == 0))
            throw new CannotTrain("All latents are dead at the ends of these responses: the codes of both answers are equal in every pair, and a head can learn nothing from them.");
        return LogisticRegression.Fit(differences, [.. differences.Select(_ => true)], latents, l2, intercept: false, stop);
    }

    /// <summary>Codes as sparse vectors, row by row; zeros are left out.</summary>
    public static IReadOnlyList<SparseVector> Rows(SparseCodes codes)
    {
        var (rows, width) = ((int)codes.Values.shape[0], (int)codes.Values.shape[1]);
        using var values = codes.Values.detach().to_type(TorchSharp.torch.ScalarType.Float32).cpu().contiguous().data<float>();
        using var indices = codes.Indices.cpu().contiguous().data<long>();
        var (z, at) = (values.ToArray(), indices.ToArray());
        return
        [
            .. Enumerable.Range(0, rows).Select(row =>
            {
                var entries = Enumerable.Range(row * width, width).Where(i => z[i] != 0).OrderBy(i => at[i]).ToArray();
                return new SparseVector([.. entries.Select(i => (int)at[i])], [.. entries.Select(i => (double)z[i])]);
            }),
        ];
    }
}
