using System.Text.Json;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Tests.Engine.Irl;

/// <summary>tests/Golden/irl_vectors.json: numpy, PyTorch's autograd and AdamW, mpmath; made by the script beside it.</summary>
internal sealed record IrlGolden(IReadOnlyList<LogisticCase> Logistic, IReadOnlyList<RidgeCase> Ridge, IReadOnlyList<LossCase> Losses, AdamWCase Adamw, IReadOnlyList<DistanceCase> Distances,
    PlattCases Platt, QuantileCase QuantileBins, IReadOnlyList<EntropyCase> Entropies, IReadOnlyList<IncentiveCase> Incentives)
{
    public static IrlGolden File { get; } = JsonSerializer.Deserialize<IrlGolden>(System.IO.File.ReadAllText(GoldenFiles.Path("irl_vectors.json")),
        new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower })!;

    /// <summary>Pairs whose features are taken as they are.</summary>
    public static PairMatrix Pairs(double[] audited, double[]? @base, int columns, double[]? logRatios = null)
    {
        float[] Row(double[]? values, int row) => values is null ? new float[columns] : [.. values.Skip(row * columns).Take(columns).Select(value => (float)value)];
        var rows = audited.Length / columns;
        return PairMatrix.Of([.. Enumerable.Range(0, rows).Select(i => new IrlPair($"p{i}", Row(audited, i), Row(@base, i), logRatios?[i]))], Unscaled(columns));
    }

    public static FeatureScale Unscaled(int columns) => new(new double[columns], [.. Enumerable.Repeat(1.0, columns)]);
}

internal sealed record LogisticCase(int Rows, int Columns, double Temperature, double[] X, double[] Counts, double[] Signs, double[] Precision, double[] Weights, double[] Errors,
    double LogDeterminant, double Objective, double[] Probe, double Variance)
{
    public ColumnMatrix Design => ColumnMatrix.FromRows(X, Rows, Columns);
}

internal sealed record RidgeCase(int Rows, int HoldoutRows, int Columns, double[] X, double[] Y, double[] HoldoutX, double[] HoldoutY, double Ridge, double[] Theta);

internal sealed record LossCase(string Objective, int Hidden, bool Routed, int Rows, int Columns, double[] Plus, double[] Minus, bool[] Failing, double Temperature, double FailureTemperature, double Margin,
    double ExtraMargin, double Weight, double Mu, double[] Weights, double Loss, double RoutedLoss, double[] Gradient)
{
    public PairMatrix Pairs => IrlGolden.Pairs(Plus, Minus, Columns);

    public IPairObjective All => Objective == "entropy" ? new EntropyObjective(Temperature) : new HingeObjective(Margin);

    public FailureTerm Term => new(Failing, Objective == "entropy" ? new EntropyObjective(FailureTemperature) : new HingeObjective(Margin + ExtraMargin), Weight);
}

internal sealed record AdamWCase(double[] Start, double[][] Gradients, double[][] After);

internal sealed record DistanceCase(int[] Sizes, double[] Weights, double[] A, double[] B, double Rho, double Starc, double GlobalRho, double Regret)
{
    public CandidateSets Sets
    {
        get
        {
            var at = 0;
            return CandidateSets.Weighted([.. Sizes.Select(size => Weights[at..(at += size)])]);
        }
    }
}

internal sealed record PlattCases(IReadOnlyList<PlattMargins> Margins, PlattTexts Texts);

internal sealed record PlattMargins(double[] Margins, double Slope, double Loss);

internal sealed record PlattTexts(double[] Scores, bool[] Labels, double Slope, double Offset, double Loss);

internal sealed record QuantileCase(double[] Predicted, bool[] CameTrue, int[] Counts, double Error);

internal sealed record EntropyCase(double Mean, double Deviation, double Total, double Aleatoric, double Epistemic);

internal sealed record IncentiveCase(int[] Prompts, double[] Audited, double[] Base, int Columns, double[] Effects, double[] Errors, double[] Alone, double[] AloneErrors, double[] Held, double[] HeldErrors,
    double[] P, double[] Holm, double[] Vif, double[] Shares, double RewardDeviation)
{
    public IncentiveData Data => new([.. Enumerable.Range(0, Columns).Select(k => $"feature {k}")], Rows(Audited), Rows(Base), [.. Prompts.Select(prompt => $"p{prompt}")], Length: 0);

    private double[][] Rows(double[] values) => [.. values.Chunk(Columns)];
}
