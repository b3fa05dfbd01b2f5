using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Losses;

/// <summary>
/// The tokens of a batch that a loss is taken over, and where the model predicts them: <b>the only place where labels are
/// shifted</b>. The token at position t + 1 is predicted by the hidden state at position t.
/// </summary>
/// <remarks>
/// N is the number of predicted tokens of all rows together. Picking them out before the output head means that no logit is
/// computed for prompts and padding. A token at position 0 has nothing before it and is never predicted.
/// </remarks>
public sealed class CompletionTokens
{
    private CompletionTokens(Tensor positions, Tensor targets, Tensor rows, Tensor indexes, long batchSize)
    {
        Positions = positions;
        Targets = targets;
        Rows = rows;
        Indexes = indexes;
        BatchSize = batchSize;
    }

    /// <summary>Where each token is predicted, as an index into [B · T]: pick rows of <c>hidden.flatten(0, 1)</c>. [N] int64.</summary>
    public Tensor Positions { get; }

    /// <summary>The tokens to predict. [N] int64.</summary>
    public Tensor Targets { get; }

    /// <summary>The row of the batch each token belongs to. [N] int64.</summary>
    public Tensor Rows { get; }

    /// <summary>Each token's place among the predicted tokens of its row, from 0. [N] int64.</summary>
    public Tensor Indexes { get; }

    /// <summary>B.</summary>
    public long BatchSize { get; }

    /// <summary>N.</summary>
    public long Count => Targets.shape[0];

    /// <summary>The completion tokens of a batch.</summary>
    /// <param name="ids">Token ids, [B, T] int64.</param>
    /// <param name="completionMask">True on the tokens to learn, at the token's own (unshifted) position. [B, T] bool.</param>
    /// <exception cref="ArgumentException">Shapes differ.</exception>
    public static CompletionTokens Of(Tensor ids, Tensor completionMask)
    {
        if (ids.shape.Length != 2 || !ids.shape.SequenceEqual(completionMask.shape))
        {
            throw new ArgumentException($"ids [{string.Join(", ", ids.shape)}] and mask [{string.Join(", ", completionMask.shape)}] must both be [batch, tokens]");
        }

        using var scope = NewDisposeScope();
        var (batch, length) = (ids.shape[0], ids.shape[1]);
        var mask = completionMask.narrow(1, 1, length - 1).to_type(ScalarType.Bool);
        var places = mask.nonzero();
        var (rows, before) = (places.select(1, 0).contiguous(), places.select(1, 1));
        var flat = rows.mul(length).add(before);
        var targets = ids.reshape(-1).index_select(0, flat.add(1));
        var order = mask.to_type(ScalarType.Int64).cumsum(1).reshape(-1).index_select(0, rows.mul(length - 1).add(before)).sub(1);
        return new CompletionTokens(scope.MoveToOuter(flat), scope.MoveToOuter(targets), scope.MoveToOuter(rows), scope.MoveToOuter(order), batch);
    }

    /// <summary>The same from labels: ids where learned, −100 elsewhere.</summary>
    public static CompletionTokens OfLabels(Tensor labels)
    {
        using var scope = NewDisposeScope();
        var tokens = Of(labels, labels.ne(-100));
        foreach (var part in new[] { tokens.Positions, tokens.Targets, tokens.Rows, tokens.Indexes })
        {
            scope.MoveToOuter(part);
        }

        return tokens;
    }

    /// <summary>Picks the predicting positions out of [B, T, …], giving [N, …].</summary>
    public Tensor Pick(Tensor perPosition)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(perPosition.flatten(0, 1).index_select(0, Positions));
    }

    /// <summary>Adds up a value of each token by row: [N] to [B]. Rows without tokens give 0.</summary>
    public Tensor SumByRow(Tensor perToken)
    {
        using var scope = NewDisposeScope();
        var start = zeros([BatchSize], dtype: perToken.dtype, device: perToken.device);
        return scope.MoveToOuter(start.index_add(0, Rows, perToken, 1));
    }

    /// <summary>How many predicted tokens each row has, [B] float32.</summary>
    public Tensor CountByRow()
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(SumByRow(ones_like(Targets, dtype: ScalarType.Float32)));
    }
}
