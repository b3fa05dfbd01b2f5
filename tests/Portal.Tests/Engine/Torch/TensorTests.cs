using System.Runtime.InteropServices;
using TorchSharp;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Torch;

/// <summary>Creation, wrong use, generators and conversions.</summary>
public class TensorTests
{
    [Fact]
    public void Wrong_use_is_a_managed_exception_with_libtorchs_message()
    {
        using var scope = NewDisposeScope();
        var a = ones(2, 3);

        Assert.Contains("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", Assert.Throws<ExternalException>(() => a.matmul(a)).Message, StringComparison.Ordinal);
        Assert.Contains("must match the size of tensor b (4)", Assert.Throws<ExternalException>(() => a + ones(4)).Message, StringComparison.Ordinal);
        Assert.Contains("invalid for input of size 6", Assert.Throws<ExternalException>(() => a.view(5)).Message, StringComparison.Ordinal);
        Assert.Contains("index out of range", Assert.Throws<ExternalException>(() => nn.functional.cross_entropy(ones(1, 3).index_select(0, tensor(new[] { 5L })), tensor(new[] { 0L }))).Message, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("Target 7 is out of bounds", Assert.Throws<ExternalException>(() => nn.functional.cross_entropy(ones(1, 3), tensor(new[] { 7L }))).Message, StringComparison.Ordinal);
        Assert.Contains("does not require grad", Assert.Throws<ExternalException>(() => a.sum().backward()).Message, StringComparison.Ordinal);
        Assert.Contains("floating point", Assert.Throws<ExternalException>(() => arange(3).requires_grad = true).Message, StringComparison.Ordinal);
        Assert.Contains("negative", Assert.Throws<ExternalException>(() => zeros(-1)).Message, StringComparison.Ordinal);
        Assert.Throws<ExternalException>(() => a.multinomial(-1));
        Assert.Throws<ExternalException>(() => linalg.cholesky(-eye(2)));
    }

    [Fact]
    public void A_second_backward_through_a_freed_graph_is_refused()
    {
        using var scope = NewDisposeScope();
        var x = ones(3, requires_grad: true);
        var y = x.exp().sum();
        y.backward();

        Assert.Contains("second time", Assert.Throws<ExternalException>(() => y.backward()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Disposed_and_null_tensors_are_refused()
    {
        using var scope = NewDisposeScope();
        var gone = ones(2);
        gone.Dispose();
        gone.Dispose();

        Assert.True(gone.IsInvalid);
        Assert.Throws<ObjectDisposedException>(() => gone + 1);
        Assert.Throws<ObjectDisposedException>(() => gone.shape);
        Assert.Throws<ObjectDisposedException>(() => ones(2).add(gone));
        Assert.Throws<ObjectDisposedException>(() => cat([ones(2), gone]));
        Assert.Throws<ArgumentNullException>(() => ones(2).add((Tensor)null!));
        Assert.Throws<ArgumentNullException>(() => ones(2).copy_(null!));
        Assert.Equal("disposed tensor", gone.ToString());
    }

    [Fact]
    public void Reading_with_the_wrong_type_or_count_is_refused()
    {
        using var scope = NewDisposeScope();

        Assert.Contains("Float32", Assert.Throws<ArgumentException>(() => ones(1).item<long>()).Message, StringComparison.Ordinal);
        Assert.Contains("only one element", Assert.Throws<ArgumentException>(() => ones(2).item<float>()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ones(2).data<double>());
        Assert.Throws<InvalidOperationException>(() => ones(2, 3).t().bytes.Length);
        Assert.Throws<IndexOutOfRangeException>(() => ones(2).size(1));
        Assert.Throws<IndexOutOfRangeException>(() => ones(2)[.., ..]);
    }

    [Fact]
    public void Arrays_of_every_type_and_rank_are_copied()
    {
        using var scope = NewDisposeScope();
        float[] source = [1, 2, 3];
        var copy = tensor(source);
        source[0] = 9;

        Assert.Equal([1f, 2f, 3f], copy.data<float>().ToArray());
        Assert.Equal([2L, 3L], tensor(new long[,] { { 1, 2, 3 }, { 4, 5, 6 } }).shape);
        Assert.Equal(6L, tensor(new long[,] { { 1, 2, 3 }, { 4, 5, 6 } })[1, 2].item<long>());
        Assert.Equal([2L, 1L, 2L], tensor(new int[,,] { { { 1, 2 } }, { { 3, 4 } } }).shape);
        Assert.Equal(ScalarType.Bool, tensor(new[] { true, false }).dtype);
        Assert.Equal(ScalarType.Float64, tensor(new[] { 1.5 }).dtype);
        Assert.Equal(1.5f, tensor(new[] { 1.5 }, dtype: ScalarType.Float32).item<float>());
        Assert.Equal((Half)0.5f, tensor((IList<Half>)[(Half)0.5f]).item<Half>());
        Assert.Equal(ScalarType.Float32, tensor(1.5f).dtype);
        Assert.Equal(ScalarType.Int64, tensor(3L).dtype);
        Assert.Equal([2L, 2L], tensor(new float[] { 1, 2, 3, 4 }, [2, 2]).shape);
        Assert.Contains("12 bytes", Assert.Throws<ExternalException>(() => tensor(new float[] { 1, 2, 3 }, [2, 2])).Message, StringComparison.Ordinal);
        Assert.Equal([0L], tensor(Array.Empty<float>()).shape);
    }

    [Fact]
    public void Factories_choose_types_as_PyTorch()
    {
        using var scope = NewDisposeScope();

        Assert.Equal(ScalarType.Int64, arange(5).dtype);
        Assert.Equal(ScalarType.Float32, arange(0, 1, 0.25).dtype);
        Assert.Equal([0f, 0.25f, 0.5f, 0.75f], arange(0, 1, 0.25).data<float>().ToArray());
        Assert.Equal(ScalarType.Int64, full(2, 7).dtype);
        Assert.Equal(ScalarType.Float32, full(2, 7.0).dtype);
        Assert.Equal([0f, 0.5f, 1f], linspace(0, 1, 3).data<float>().ToArray());
        Assert.Equal(ScalarType.Bool, (ones(2) == 1).dtype);
        Assert.Equal(ScalarType.Float32, (arange(3) * 0.5).dtype);
        Assert.Equal(ScalarType.Float64, (ones(2) + ones(2, ScalarType.Float64)).dtype);
    }

    [Fact]
    public void Writing_through_an_index_changes_the_tensor()
    {
        using var scope = NewDisposeScope();
        var a = zeros(3, 4);

        a[1] = ones(4);
        a[TensorIndex.Colon, 3] = 5;
        a[0, 0] = 2f;
        a[TensorIndex.Tensor(tensor(new[] { 2L, 2L })), TensorIndex.Tensor(tensor(new[] { 0L, 1L }))] = tensor(new[] { 7f, 8f });
        a[a == 5] = 6;

        Assert.Equal([2f, 0, 0, 6, 1, 1, 1, 6, 7, 8, 0, 6], a.data<float>().ToArray());
    }

    [Fact]
    public void Strided_values_are_read_in_row_major_order()
    {
        using var scope = NewDisposeScope();
        var turned = arange(6, ScalarType.Float32).view(2, 3).t();

        Assert.Equal([0f, 3, 1, 4, 2, 5], turned.data<float>().ToArray());
        Assert.Equal(4f, turned.data<float>()[1, 1]);
        Assert.Equal([0f, 3, 1, 4, 2, 5], turned.data<float>());
        Assert.Throws<IndexOutOfRangeException>(() => turned.data<float>()[3, 0]);
    }

    [Fact]
    public void Draws_are_PyTorchs_for_the_same_seed()
    {
        using var scope = NewDisposeScope();
        var golden = TorchGolden.Root.GetProperty("draws");
        using var generator = new Generator().manual_seed(1234);

        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("uniform")), rand(5, generator: generator), 0, 0, "uniform");
        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("normal")), randn(20, generator: generator), 1e-6, 1e-6, "normal");
        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("integers")), randint(1000L, [6L], generator: generator), 0, 0, "integers");
        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("permutation")), randperm(8, generator: generator), 0, 0, "permutation");
        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("multinomial")), tensor(new[] { 0.1f, 0.2f, 0.3f, 0.4f }).multinomial(10, true, generator), 0, 0, "multinomial");
    }

    [Fact]
    public void A_restored_generator_draws_the_same_again()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        randn(7, generator: generator);
        var state = generator.get_state();
        var first = randn(50, generator: generator).data<float>().ToArray();
        var other = randn(50, generator: generator).data<float>().ToArray();
        generator.set_state(state);

        Assert.Equal(first, randn(50, generator: generator).data<float>().ToArray());
        Assert.NotEqual(first, other);
        Assert.Throws<ExternalException>(() => generator.set_state(ones(3)));
    }

    [Fact]
    public void The_default_generator_is_seeded_saved_and_restored()
    {
        using var scope = NewDisposeScope();
        manual_seed(11);
        var state = get_rng_state();
        var first = rand(4).data<float>().ToArray();
        set_rng_state(state);
        Assert.Equal(first, rand(4).data<float>().ToArray());
        manual_seed(11);
        Assert.Equal(first, rand(4).data<float>().ToArray());
        Assert.Equal(11, initial_seed());
    }

    [Fact]
    public void Gradients_are_not_recorded_where_that_is_asked_for()
    {
        using var scope = NewDisposeScope();
        var x = ones(2, requires_grad: true);

        using (no_grad())
        {
            Assert.False((x * 2).requires_grad);
            using (enable_grad()) Assert.True((x * 2).requires_grad);
        }
        Assert.True((x * 2).requires_grad);
        using (inference_mode())
        {
            Assert.True(is_inference_mode_enabled());
            Assert.False((x * 2).requires_grad);
        }
        Assert.False(is_inference_mode_enabled());
        Assert.False(x.detach().requires_grad);
        Assert.True(is_grad_enabled());
    }

    [Fact]
    public void Second_derivatives_and_chosen_inputs_are_found()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { 2f }).requires_grad_();
        var unused = ones(1, requires_grad: true);
        var first = autograd.grad([x.pow(3).sum()], [x], create_graph: true)[0];
        var second = autograd.grad([first.sum()], [x])[0];

        Assert.Equal(12f, first.item<float>());
        Assert.Equal(12f, second.item<float>());
        Assert.Null(x.grad);
        Assert.Null(autograd.grad([x.sum()], [unused], allow_unused: true)[0]);
        Assert.Throws<ExternalException>(() => autograd.grad([x.sum()], [unused]));
    }

    [Fact]
    public void Half_precision_converts_and_computes()
    {
        using var scope = NewDisposeScope();
        var b = tensor(new[] { 1f, 2.5f, -3f }).to(ScalarType.BFloat16);

        Assert.Equal(ScalarType.BFloat16, b.dtype);
        Assert.Equal(2, b.ElementSize);
        Assert.Equal([2f, 5f, -6f], (b + b).@float().data<float>().ToArray());
        Assert.Equal(2.5, b[1].ToDouble());
    }

    [Fact]
    public void Text_shows_shape_type_and_the_edges_of_large_tensors()
    {
        using var scope = NewDisposeScope();

        Assert.Contains("[2x2], type = Float32, device = cpu", ones(2, 2).ToString(), StringComparison.Ordinal);
        Assert.Contains("...", arange(100).ToString(), StringComparison.Ordinal);
        Assert.Contains("99", arange(100).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_saved_tensor_is_read_back_and_a_truncated_one_refused()
    {
        using var scope = NewDisposeScope();
        var original = randn(3, 4, generator: new Generator(1)).t();
        using var file = new MemoryStream();
        original.Save(file);
        var whole = file.ToArray();

        Assert.True(Tensor.Load(new MemoryStream(whole)).allclose(original, 0, 0));
        Assert.ThrowsAny<IOException>(() => Tensor.Load(new MemoryStream(whole[..^1])));
        Assert.Throws<InvalidDataException>(() => Tensor.Load(new MemoryStream([99, 99, 1])));
    }

    [Fact]
    public void Threads_and_devices_are_reported()
    {
        var before = get_num_threads();
        set_num_threads(2);
        Assert.Equal(2, get_num_threads());
        set_num_threads(before);
        Assert.Throws<ExternalException>(() => set_num_threads(0));
        Assert.Equal(cuda.is_available(), cuda.device_count() > 0);
        Assert.Equal("cuda:1", new Device("cuda:1").ToString());
        Assert.Throws<ArgumentException>(() => new Device("tpu"));
    }
}
