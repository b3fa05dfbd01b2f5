using Portal.Torch.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>One place of an index expression: a position, a slice, all, "the rest", a new dimension, or a tensor of positions.</summary>
    public readonly struct TensorIndex
    {
        internal enum Kind { Null, None, Ellipsis, Position, Slice, Tensor }

        internal readonly Kind What;
        internal readonly long? Start, Stop, Step;
        internal readonly torch.Tensor? At;

        private TensorIndex(Kind what, long? start = null, long? stop = null, long? step = null, torch.Tensor? at = null)
        {
            What = what;
            Start = start;
            Stop = stop;
            Step = step;
            At = at;
        }

        /// <summary>A slice; negative places count from the end. The step must be positive.</summary>
        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) => new(Kind.Slice, start, stop, step);

        public static TensorIndex Slice(Range range) => new(Kind.Slice,
            range.Start.IsFromEnd ? -range.Start.Value : range.Start.Value,
            range.End.IsFromEnd ? (range.End.Value == 0 ? null : -range.End.Value) : range.End.Value);

        public static TensorIndex Slice((int? start, int? end) range) => new(Kind.Slice, range.start, range.end);

        public static TensorIndex Single(long? index) => new(Kind.Position, index ?? throw new ArgumentNullException(nameof(index)));

        public static TensorIndex Bool(bool value) => new(Kind.Tensor, at: torch.tensor(value));

        public static TensorIndex Tensor(torch.Tensor tensor) => new(Kind.Tensor, at: tensor ?? throw new ArgumentNullException(nameof(tensor)));

        public static TensorIndex Ellipsis = new(Kind.Ellipsis);
        public static TensorIndex None = new(Kind.None);
        public static TensorIndex Null = new(Kind.None);
        public static TensorIndex Colon = new(Kind.Slice);

        public static implicit operator TensorIndex(long value) => Single(value);
        public static implicit operator TensorIndex(Range range) => Slice(range);
        public static implicit operator TensorIndex(Index index) => Single(index.IsFromEnd ? -index.Value : index.Value);
        public static implicit operator TensorIndex((int? start, int? end) range) => Slice(range);
    }

    public partial class Tensor
    {
        /// <summary>
        /// Parts of the tensor, as in Python: positions drop a dimension, slices are views, tensors of integers or truth values
        /// pick elements (a copy). Setting writes into this tensor.
        /// </summary>
        public Tensor this[params TensorIndex[] indices]
        {
            get => index(indices);
            set => Write(value, indices, accumulate: false);
        }

        public Tensor this[params Tensor[] indices]
        {
            get => index(indices);
            set => Ops.index_put_.Do(this, indices, value, false);
        }

        public Tensor this[params long[] indices]
        {
            get => Positions(indices);
            set => WriteAt(indices, value);
        }

        public Tensor this[long i1]
        {
            get => Ops.select_int.T(this, 0L, i1);
            set => WriteAt([i1], value);
        }

        public Tensor this[long i1, long i2]
        {
            get => Positions(i1, i2);
            set => WriteAt([i1, i2], value);
        }

        public Tensor this[long i1, long i2, long i3]
        {
            get => Positions(i1, i2, i3);
            set => WriteAt([i1, i2, i3], value);
        }

        public Tensor this[long i1, long i2, long i3, long i4]
        {
            get => Positions(i1, i2, i3, i4);
            set => WriteAt([i1, i2, i3, i4], value);
        }

        public Tensor index(params TensorIndex[] indices)
        {
            using var scope = NewDisposeScope();
            var (view, picks) = Select(indices);
            var result = picks is null ? view : Ops.index_Tensor.T(view, picks);
            // No index at all, or a lone ellipsis, must not give this tensor itself away to the outer scope.
            if (ReferenceEquals(result, this)) result = alias();
            return result.MoveToOuterDisposeScope();
        }

        public Tensor index(params Tensor[] indices) => Ops.index_Tensor.T(this, indices);

        /// <summary>Writes values at the places the index names; where one is named twice and <c>accumulate</c> is set, they are added.</summary>
        public Tensor index_put_(Tensor value, params TensorIndex[] indices) => Write(value, indices, accumulate: false);
        public Tensor index_put_(Tensor value, TensorIndex[] indices, bool accumulate = false) => Write(value, indices, accumulate);

        public Tensor index_put_(Tensor value, params Tensor[] indices)
        {
            Ops.index_put_.Do(this, indices, value, false);
            return this;
        }

        public Tensor index_put_(Tensor value, Tensor[] indices, bool accumulate = false)
        {
            Ops.index_put_.Do(this, indices, value, accumulate);
            return this;
        }

        public Tensor index_put_(Scalar value, params TensorIndex[] indices)
        {
            using var filler = Single(value, dtype, device, false);
            return Write(filler, indices, accumulate: false);
        }

        private Tensor Write(Tensor value, TensorIndex[] indices, bool accumulate)
        {
            using var scope = NewDisposeScope();
            var (view, picks) = Select(indices);
            if (picks is not null) Ops.index_put_.Do(view, picks, value, accumulate);
            else if (accumulate) view.add_(value);
            else view.copy_(value);
            return this;
        }

        private Tensor Positions(params ReadOnlySpan<long> indices)
        {
            if (indices.IsEmpty) return alias();
            var view = Ops.select_int.T(this, 0L, indices[0]);
            for (var k = 1; k < indices.Length; k++)
            {
                var next = Ops.select_int.T(view, 0L, indices[k]);
                view.Dispose();
                view = next;
            }
            return view;
        }

        private void WriteAt(ReadOnlySpan<long> indices, Tensor value)
        {
            using var view = Positions(indices);
            view.copy_(value);
        }

        // Applies what makes views; tensors of positions are left for the index operator, one place a dimension.
        private (Tensor View, Tensor?[]? Picks) Select(TensorIndex[] indices)
        {
            ArgumentNullException.ThrowIfNull(indices);
            var view = this;
            long at = 0;
            var consumed = indices.Sum(static i => i.What switch
            {
                TensorIndex.Kind.Position or TensorIndex.Kind.Slice => 1L,
                TensorIndex.Kind.Tensor => i.At!.dtype is ScalarType.Bool or ScalarType.Byte ? i.At.dim() : 1L, // a mask covers its own dimensions
                _ => 0L,
            });
            if (consumed > Dimensions) throw new IndexOutOfRangeException($"too many indices for tensor of dimension {Dimensions}");
            if (indices.Count(static i => i.What == TensorIndex.Kind.Ellipsis) > 1) throw new ArgumentException("an index can only have a single ellipsis ('...')", nameof(indices));
            List<Tensor?>? picks = null;
            foreach (var place in indices)
            {
                switch (place.What)
                {
                    case TensorIndex.Kind.Position:
                        view = Ops.select_int.T(view, at, place.Start);
                        break;
                    case TensorIndex.Kind.Slice:
                        if (place.Start is not (null or 0) || place.Stop is not null || place.Step is not (null or 1))
                            view = Ops.slice_Tensor.T(view, at, place.Start, place.Stop, place.Step ?? 1);
                        at++;
                        break;
                    case TensorIndex.Kind.None:
                        view = Ops.unsqueeze.T(view, at++);
                        break;
                    case TensorIndex.Kind.Ellipsis:
                        at += Dimensions - consumed;
                        break;
                    case TensorIndex.Kind.Tensor:
                        picks ??= [];
                        while (picks.Count < at) picks.Add(null);
                        picks.Add(place.At);
                        at += place.At!.dtype is ScalarType.Bool or ScalarType.Byte ? place.At.dim() : 1;
                        break;
                }
            }
            return (view, picks?.ToArray());
        }
    }
}
