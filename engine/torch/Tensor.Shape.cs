using Portal.Torch.Native;
using TorchSharp.Modules;

namespace TorchSharp;

// Views, copies, joins, parts and scatter.
public static partial class torch
{
    public partial class Tensor
    {
        public Tensor view(params long[] shape) => Ops.view.T(this, shape);
        public Tensor view_as(Tensor other) => Ops.view_as.T(this, other);
        public Tensor reshape(params long[] shape) => Ops.reshape.T(this, shape);
        public Tensor transpose(long dim0, long dim1) => Ops.transpose_int.T(this, dim0, dim1);
        public Tensor transpose_(long dim0, long dim1)
        {
            Ops.transpose_.Do(this, dim0, dim1);
            return this;
        }
        public Tensor swapaxes(long dim0, long dim1) => Ops.transpose_int.T(this, dim0, dim1);
        public Tensor swapdims(long dim0, long dim1) => Ops.transpose_int.T(this, dim0, dim1);
        public Tensor permute(params long[] permutation) => Ops.permute.T(this, permutation);
        public Tensor permute(IEnumerable<long> permutation) => permute(permutation.ToArray());
        public Tensor t() => Ops.t.T(this);
        public Tensor expand(params long[] sizes) => Ops.expand.T(this, sizes);
        public Tensor expand(long[] sizes, bool isImplicit = false) => Ops.expand.T(this, sizes, isImplicit);
        public Tensor expand(Size sizes, bool isImplicit = false) => Ops.expand.T(this, sizes.Shape, isImplicit);
        public Tensor expand(ReadOnlySpan<long> sizes, bool isImplicit = false) => Ops.expand.T(this, sizes, isImplicit);
        public Tensor expand_as(Tensor other) => Ops.expand_as.T(this, other);
        public Tensor broadcast_to(params long[] shape) => Ops.broadcast_to.T(this, shape);
        public Tensor repeat(params long[] sizes) => Ops.repeat.T(this, sizes);
        public Tensor tile(long[] reps) => Ops.tile.T(this, reps);
        public Tensor repeat_interleave(long repeats, long? dim = null, long? output_size = null) => Ops.repeat_interleave_self_int.T(this, repeats, dim, output_size);
        public Tensor repeat_interleave(Tensor repeats, long? dim = null, long? output_size = null) => Ops.repeat_interleave_self_Tensor.T(this, repeats, dim, output_size);
        public Tensor squeeze(long? dim = null) => dim is { } along ? Ops.squeeze_dim.T(this, along) : Ops.squeeze.T(this);
        public Tensor unsqueeze(long dim) => Ops.unsqueeze.T(this, dim);
        public Tensor unsqueeze_(long dim)
        {
            Ops.unsqueeze_.Do(this, dim);
            return this;
        }
        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Ops.flatten_using_ints.T(this, start_dim, end_dim);
        public Tensor unflatten(long dim, params long[] sizes) => Ops.unflatten_int.T(this, dim, sizes);
        public Tensor unflatten(long dim, Size sizes) => Ops.unflatten_int.T(this, dim, sizes.Shape);
        public Tensor ravel() => Ops.ravel.T(this);
        public Tensor movedim(long[] source, long[] destination) => Ops.movedim_intlist.T(this, source, destination);
        public Tensor moveaxis(long[] source, long[] destination) => Ops.movedim_intlist.T(this, source, destination);
        public Tensor narrow(long dim, long start, long length) => Ops.narrow.T(this, dim, start, length);
        public Tensor slice(long dim, long start, long finish, long step) => Ops.slice_Tensor.T(this, dim, start, finish, step);
        public Tensor select(long dim, long index) => Ops.select_int.T(this, dim, index);
        public Tensor index_select(long dim, Tensor index) => Ops.index_select.T(this, dim, index);
        public Tensor index_add(long dim, Tensor index, Tensor source, Scalar alpha) => Ops.index_add.T(this, dim, index, source, alpha);
        public Tensor index_add_(long dim, Tensor index, Tensor source, Scalar alpha)
        {
            Ops.index_add_.Do(this, dim, index, source, alpha);
            return this;
        }
        public Tensor index_copy(long dim, Tensor index, Tensor source) => Ops.index_copy.T(this, dim, index, source);
        public Tensor index_copy_(long dim, Tensor index, Tensor source)
        {
            Ops.index_copy_.Do(this, dim, index, source);
            return this;
        }
        public Tensor index_fill(long dim, Tensor index, Scalar value) => Ops.index_fill_int_Scalar.T(this, dim, index, value);
        public Tensor index_fill_(long dim, Tensor index, Scalar value)
        {
            Ops.index_fill__int_Scalar.Do(this, dim, index, value);
            return this;
        }
        public Tensor gather(long dim, Tensor index) => Ops.gather.T(this, dim, index);
        public Tensor scatter(long dim, Tensor index, Tensor src) => Ops.scatter_src.T(this, dim, index, src);
        public Tensor scatter_(long dim, Tensor index, Tensor src)
        {
            Ops.scatter__src.Do(this, dim, index, src);
            return this;
        }
        public Tensor scatter_add(long dim, Tensor index, Tensor src) => Ops.scatter_add.T(this, dim, index, src);
        public Tensor scatter_add_(long dim, Tensor index, Tensor src)
        {
            Ops.scatter_add_.Do(this, dim, index, src);
            return this;
        }
        public Tensor select_scatter(Tensor src, long dim, long index) => Ops.select_scatter.T(this, src, dim, index);
        public Tensor slice_scatter(Tensor src, long dim = 0, long? start = null, long? end = null, long step = 1) => Ops.slice_scatter.T(this, src, dim, start, end, step);
        public Tensor diagonal_scatter(Tensor src, long offset = 0, long dim1 = 0, long dim2 = 1) => Ops.diagonal_scatter.T(this, src, offset, dim1, dim2);
        public Tensor masked_select(Tensor mask) => Ops.masked_select.T(this, mask);
        public Tensor masked_scatter(Tensor mask, Tensor value) => Ops.masked_scatter.T(this, mask, value);
        public Tensor masked_scatter_(Tensor mask, Tensor value)
        {
            Ops.masked_scatter_.Do(this, mask, value);
            return this;
        }
        public Tensor take(Tensor index) => Ops.take.T(this, index);
        public Tensor take_along_dim(Tensor indices) => Ops.take_along_dim.T(this, indices);
        public Tensor take_along_dim(Tensor indices, long dim) => Ops.take_along_dim.T(this, indices, dim);
        public Tensor[] split(long size, int dim = 0) => Ops.split_Tensor.List(this, size, dim);
        public Tensor[] split(params long[] sizes) => Ops.split_with_sizes.List(this, sizes, 0L);
        public Tensor[] split(long[] sizes, long dim = 0) => Ops.split_with_sizes.List(this, sizes, dim);
        public Tensor[] split(ReadOnlySpan<long> sizes, long dim = 0) => Ops.split_with_sizes.List(this, sizes, dim);
        public Tensor[] tensor_split(long size, long dim = 0) => Ops.tensor_split_sections.List(this, size, dim);
        public Tensor[] tensor_split(long[] sizes, long dim = 0) => Ops.tensor_split_indices.List(this, sizes, dim);
        public Tensor[] chunk(long chunks, long dim = 0) => Ops.chunk.List(this, chunks, dim);
        public Tensor[] unbind(long dimension = 0) => Ops.unbind_int.List(this, dimension);
        public Tensor[] hsplit(long size) => Ops.hsplit_int.List(this, size);
        public Tensor[] vsplit(long size) => Ops.vsplit_int.List(this, size);
        public Tensor roll(long shifts, long? dims = null) => dims is { } along ? Ops.roll.T(this, shifts, along) : Ops.roll.T(this, shifts);
        public Tensor roll(long[] shifts) => Ops.roll.T(this, shifts);
        public Tensor roll(long[] shifts, long[] dims) => Ops.roll.T(this, shifts, dims);
        public Tensor flip(params long[] dims) => Ops.flip.T(this, dims);
        public Tensor fliplr() => Ops.fliplr.T(this);
        public Tensor flipud() => Ops.flipud.T(this);
        public Tensor rot90(long k = 1, (long, long)? dims = null) => Ops.rot90.T(this, k, dims is { } plane ? new long[] { plane.Item1, plane.Item2 } : new long[] { 0, 1 });
        public Tensor unfold(long dimension, long size, long step) => Ops.unfold.T(this, dimension, size, step);
        public Tensor as_strided(long[] size, long[] strides, long storageOffset = 0) => Ops.as_strided.T(this, size, strides, storageOffset);
        public Tensor contiguous() => Ops.contiguous.T(this);
        public Tensor clone() => Ops.clone.T(this);
        public Tensor detach() => Ops.detach.T(this);
        public Tensor detach_()
        {
            Ops.detach_.Do(this);
            return this;
        }
        public Tensor diag(long diagonal = 0) => Ops.diag.T(this, diagonal);
        public Tensor diagonal(long offset = 0, long dim1 = 0, long dim2 = 1) => Ops.diagonal.T(this, offset, dim1, dim2);
        public Tensor diag_embed(long offset = 0, long dim1 = -2, long dim2 = -1) => Ops.diag_embed.T(this, offset, dim1, dim2);
        public Tensor diagflat(long offset = 0) => Ops.diagflat.T(this, offset);
        public Tensor tril(long diagonal = 0) => Ops.tril.T(this, diagonal);
        public Tensor tril_(long diagonal = 0)
        {
            Ops.tril_.Do(this, diagonal);
            return this;
        }
        public Tensor triu(long diagonal = 0) => Ops.triu.T(this, diagonal);
        public Tensor triu_(long diagonal = 0)
        {
            Ops.triu_.Do(this, diagonal);
            return this;
        }
        public Tensor copy_(Tensor source, bool nonBlocking = false)
        {
            Ops.copy_.Do(this, source, nonBlocking);
            return this;
        }
        public Tensor to_dense() => Ops.to_dense.T(this);
        public Tensor type_as(Tensor tensor) => to(tensor.dtype, tensor.device);

        /// <summary>Drops dimensions of size 1 in place.</summary>
        public Tensor squeeze_(long? dim = null)
        {
            if (dim is { } along) Ops.squeeze__dim.Do(this, along);
            else Ops.squeeze_.Do(this);
            return this;
        }

        public Tensor T => Ops.numpy_T.T(this);
        public Tensor mT => Ops.mT.T(this);

        /// <summary>Takes the other's storage, shape and strides.</summary>
        public Tensor set_(Tensor source)
        {
            Ops.set__source_Tensor.Do(this, source);
            return this;
        }

        // ---- element type and device ----

        /// <summary>In another element type. When nothing changes and no copy is asked for, the result shares memory with this tensor.</summary>
        public Tensor to(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            After(disposeAfter, Ops.to_dtype.T(this, type, non_blocking, copy));

        public Tensor to_type(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) => to(type, copy, disposeAfter, non_blocking);
        public Tensor type(ScalarType dtype) => to(dtype);

        public Tensor to(Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            After(disposeAfter, Ops.to_device.T(this, device, dtype, non_blocking, copy));

        public Tensor to(string device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            to(new Device(device), copy, disposeAfter, non_blocking);

        public Tensor to(DeviceType deviceType, int deviceIndex = -1, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            to(new Device(deviceType, deviceIndex), copy, disposeAfter, non_blocking);

        public Tensor to(ScalarType type, Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            After(disposeAfter, Ops.to_device.T(this, device, type, non_blocking, copy));

        public Tensor to(Tensor other, bool non_blocking = false) => Ops.to_device.T(this, other.device, other.dtype, non_blocking, false);

        public Tensor cpu() => to(CPU);
        public Tensor cuda(Device? device = null, bool non_blocking = false) => to(device ?? CUDA, non_blocking: non_blocking);
        public Tensor pin_memory() => Ops.pin_memory.T(this);

        private Tensor After(bool disposeThis, Tensor result)
        {
            if (disposeThis) Dispose();
            return result;
        }

        public Tensor @bool() => to(ScalarType.Bool);
        public Tensor @byte() => to(ScalarType.Byte);
        public Tensor @char() => to(ScalarType.Int8);
        public Tensor @short() => to(ScalarType.Int16);
        public Tensor @int() => to(ScalarType.Int32);
        public Tensor @long() => to(ScalarType.Int64);
        public Tensor half() => to(ScalarType.Float16);
        public Tensor bfloat16() => to(ScalarType.BFloat16);
        public Tensor @float() => to(ScalarType.Float32);
        public Tensor @double() => to(ScalarType.Float64);
    }

    public static Tensor movedim(Tensor input, long source, long destination) => Ops.movedim_int.T(input, source, destination);
    public static Tensor moveaxis(Tensor input, long source, long destination) => Ops.movedim_int.T(input, source, destination);
    public static Tensor gather(Tensor input, long dim, Tensor index, bool sparse_grad = false) => Ops.gather.T(input, dim, index, sparse_grad);
    public static Tensor[] split(Tensor tensor, long[] split_size_or_sections, long dim = 0) => Ops.split_with_sizes.List(tensor, split_size_or_sections, dim);
    public static Tensor[] unbind(Tensor tensor, int dim = 0) => tensor.unbind((long)dim);
    public static Tensor cat(IList<Tensor> tensors, long dim = 0) => Ops.cat.T(tensors.ToArray(), dim);
    public static Tensor cat(Tensor[] tensors, long dim = 0) => Ops.cat.T(tensors, dim);
    public static Tensor cat(ReadOnlySpan<Tensor> tensors, long dim = 0) => Ops.cat.T(tensors.ToArray(), dim);
    public static Tensor concat(IList<Tensor> tensors, long dim = 0) => Ops.cat.T(tensors.ToArray(), dim);
    public static Tensor concat(Tensor[] tensors, long dim = 0) => Ops.cat.T(tensors, dim);
    public static Tensor concatenate(IList<Tensor> tensors, long axis = 0) => Ops.cat.T(tensors.ToArray(), axis);
    public static Tensor concatenate(Tensor[] tensors, long axis = 0) => Ops.cat.T(tensors, axis);
    public static Tensor stack(IEnumerable<Tensor> tensors, long dim = 0) => Ops.stack.T(tensors.ToArray(), dim);
    public static Tensor hstack(IList<Tensor> tensors) => Ops.hstack.T(tensors.ToArray());
    public static Tensor hstack(params Tensor[] tensors) => Ops.hstack.T(tensors);
    public static Tensor vstack(IList<Tensor> tensors) => Ops.vstack.T(tensors.ToArray());
    public static Tensor vstack(Tensor[] tensors) => Ops.vstack.T(tensors);
    public static Tensor dstack(IList<Tensor> tensors) => Ops.dstack.T(tensors.ToArray());
    public static Tensor dstack(params Tensor[] tensors) => Ops.dstack.T(tensors);
    public static Tensor column_stack(IList<Tensor> tensors) => Ops.column_stack.T(tensors.ToArray());
    public static Tensor column_stack(params Tensor[] tensors) => Ops.column_stack.T(tensors);
    public static Tensor row_stack(IList<Tensor> tensors) => Ops.vstack.T(tensors.ToArray());
    public static Tensor row_stack(params Tensor[] tensors) => Ops.vstack.T(tensors);
    public static Tensor block_diag(params Tensor[] tensors) => Ops.block_diag.T(tensors);
    public static Tensor[] meshgrid(IEnumerable<Tensor> tensors, string indexing = "ij") => Ops.meshgrid_indexing.List(tensors.ToArray(), indexing);
    public static Tensor cartesian_prod(params Tensor[] tensors) => Ops.cartesian_prod.T(tensors);
    public static Tensor combinations(Tensor input, int r = 2, bool with_replacement = false) => Ops.combinations.T(input, r, with_replacement);
    public static IList<Tensor> broadcast_tensors(params Tensor[] tensors) => Ops.broadcast_tensors.List(tensors);
    public static IEnumerable<Tensor> atleast_1d(params Tensor[] input) => Ops.atleast_1d_Sequence.List(input);
    public static IEnumerable<Tensor> atleast_2d(params Tensor[] input) => Ops.atleast_2d_Sequence.List(input);
    public static Tensor tril_indices(long row, long col, long offset = 0, ScalarType dtype = ScalarType.Int64, Device? device = null) => Ops.tril_indices.T(row, col, offset, dtype, Arg.None, device);
    public static Tensor triu_indices(long row, long col, long offset = 0, ScalarType dtype = ScalarType.Int64, Device? device = null) => Ops.triu_indices.T(row, col, offset, dtype, Arg.None, device);
    public static Tensor broadcast_to(Tensor input, params long[] shape) => input.broadcast_to(shape);
    public static Tensor[] chunk(Tensor input, long chunks, long dim = 0) => input.chunk(chunks, dim);
    public static Tensor clone(Tensor input) => input.clone();
    public static Tensor diag(Tensor input, long diagonal = 0) => input.diag(diagonal);
    public static Tensor diag_embed(Tensor input, long offset = 0, long dim1 = -2, long dim2 = -1) => input.diag_embed(offset, dim1, dim2);
    public static Tensor diagflat(Tensor input, long offset = 0) => input.diagflat(offset);
    public static Tensor diagonal(Tensor input, long offset = 0, long dim1 = 0, long dim2 = 1) => input.diagonal(offset, dim1, dim2);
    public static Tensor diagonal_scatter(Tensor input, Tensor src, long offset = 0, long dim1 = 0, long dim2 = 1) => input.diagonal_scatter(src, offset, dim1, dim2);
    public static Tensor flatten(Tensor input, long start_dim = 0, long end_dim = -1) => input.flatten(start_dim, end_dim);
    public static Tensor flip(Tensor input, params long[] dims) => input.flip(dims);
    public static Tensor fliplr(Tensor input) => input.fliplr();
    public static Tensor flipud(Tensor input) => input.flipud();
    public static Tensor gather(Tensor input, long dim, Tensor index) => input.gather(dim, index);
    public static Tensor[] hsplit(Tensor input, long indices_or_sections) => input.hsplit(indices_or_sections);
    public static Tensor index_add(Tensor input, long dim, Tensor index, Tensor source, Scalar alpha) => input.index_add(dim, index, source, alpha);
    public static Tensor index_add_(Tensor input, long dim, Tensor index, Tensor source, Scalar alpha) => input.index_add_(dim, index, source, alpha);
    public static Tensor index_copy(Tensor input, long dim, Tensor index, Tensor source) => input.index_copy(dim, index, source);
    public static Tensor index_copy_(Tensor input, long dim, Tensor index, Tensor source) => input.index_copy_(dim, index, source);
    public static Tensor index_fill(Tensor input, long dim, Tensor index, Scalar value) => input.index_fill(dim, index, value);
    public static Tensor index_fill_(Tensor input, long dim, Tensor index, Scalar value) => input.index_fill_(dim, index, value);
    public static Tensor index_select(Tensor input, long dim, Tensor index) => input.index_select(dim, index);
    public static Tensor masked_select(Tensor input, Tensor mask) => input.masked_select(mask);
    public static Tensor moveaxis(Tensor input, long[] source, long[] destination) => input.moveaxis(source, destination);
    public static Tensor movedim(Tensor input, long[] source, long[] destination) => input.movedim(source, destination);
    public static Tensor narrow(Tensor input, long dim, long start, long length) => input.narrow(dim, start, length);
    public static Tensor permute(Tensor input, params long[] permutation) => input.permute(permutation);
    public static Tensor ravel(Tensor input) => input.ravel();
    public static Tensor repeat_interleave(Tensor input, long repeats, long? dim = null, long? output_size = null) => input.repeat_interleave(repeats, dim, output_size);
    public static Tensor repeat_interleave(Tensor input, Tensor repeats, long? dim = null, long? output_size = null) => input.repeat_interleave(repeats, dim, output_size);
    public static Tensor reshape(Tensor input, params long[] shape) => input.reshape(shape);
    public static Tensor roll(Tensor input, long shifts, long? dims = null) => input.roll(shifts, dims);
    public static Tensor roll(Tensor input, long[] shifts) => input.roll(shifts);
    public static Tensor roll(Tensor input, long[] shifts, long[] dims) => input.roll(shifts, dims);
    public static Tensor rot90(Tensor input, long k = 1, (long, long)? dims = null) => input.rot90(k, dims);
    public static Tensor scatter(Tensor input, long dim, Tensor index, Tensor src) => input.scatter(dim, index, src);
    public static Tensor scatter_(Tensor input, long dim, Tensor index, Tensor src) => input.scatter_(dim, index, src);
    public static Tensor scatter_add(Tensor input, long dim, Tensor index, Tensor src) => input.scatter_add(dim, index, src);
    public static Tensor scatter_add_(Tensor input, long dim, Tensor index, Tensor src) => input.scatter_add_(dim, index, src);
    public static Tensor select(Tensor input, long dim, long index) => input.select(dim, index);
    public static Tensor select_scatter(Tensor input, Tensor src, long dim, long index) => input.select_scatter(src, dim, index);
    public static Tensor slice_scatter(Tensor input, Tensor src, long dim = 0, long? start = null, long? end = null, long step = 1) => input.slice_scatter(src, dim, start, end, step);
    public static Tensor squeeze(Tensor input, long? dim = null) => input.squeeze(dim);
    public static Tensor swapaxes(Tensor input, long axis0, long axis1) => input.swapaxes(axis0, axis1);
    public static Tensor swapdims(Tensor input, long dim0, long dim1) => input.swapdims(dim0, dim1);
    public static Tensor t(Tensor input) => input.t();
    public static Tensor take(Tensor input, Tensor index) => input.take(index);
    public static Tensor take_along_dim(Tensor input, Tensor indices, long dim = 0) => input.take_along_dim(indices, dim);
    public static Tensor[] tensor_split(Tensor input, long indices_or_sections, long dim = 0) => input.tensor_split(indices_or_sections, dim);
    public static Tensor[] tensor_split(Tensor input, long[] indices_or_sections, long dim = 0) => input.tensor_split(indices_or_sections, dim);
    public static Tensor tile(Tensor input, long[] dims) => input.tile(dims);
    public static Tensor transpose(Tensor input, long dim0, long dim1) => input.transpose(dim0, dim1);
    public static Tensor tril(Tensor input, long diagonal = 0) => input.tril(diagonal);
    public static Tensor tril_(Tensor input, long diagonal = 0) => input.tril_(diagonal);
    public static Tensor triu(Tensor input, long diagonal = 0) => input.triu(diagonal);
    public static Tensor triu_(Tensor input, long diagonal = 0) => input.triu_(diagonal);
    public static Tensor[] unbind(Tensor input, long dim = 0) => input.unbind(dim);
    public static Tensor unflatten(Tensor input, long dim, params long[] sizes) => input.unflatten(dim, sizes);
    public static Tensor unflatten(Tensor input, long dim, Size sizes) => input.unflatten(dim, sizes);
    public static Tensor unsqueeze(Tensor input, long dim) => input.unsqueeze(dim);
    public static Tensor unsqueeze_(Tensor input, long dim) => input.unsqueeze_(dim);
    public static long numel(Tensor input) => input.numel();

    /// <summary>The element type that an operation on both would have.</summary>
    public static ScalarType result_type(Tensor tensor1, Tensor tensor2)
    {
        using var scope = NewDisposeScope();
        return (tensor1.flatten().narrow(0, 0, 0) + tensor2.flatten().narrow(0, 0, 0)).dtype;
    }
}
