using TorchSharp;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using I = TorchSharp.torch.TensorIndex;

namespace Portal.Tests.Engine.Torch;

/// <summary>
/// Values and gradients of each operator against PyTorch's own (Golden/torch_ops.py, python3-torch 1.13.1). Both sides run
/// the same kernels, so the tolerance (1e-5 relative, 1e-6 absolute) only allows for another libtorch or thread count.
/// </summary>
public class OperatorTests
{
    // a, b, c: the float inputs in order; i, j: the integer ones.
    private static readonly Dictionary<string, Func<Tensor[], Tensor[], Tensor>> Calls = new()
    {
        ["abs"] = (f, _) => f[0].abs(),
        ["exp"] = (f, _) => f[0].exp(),
        ["sigmoid"] = (f, _) => f[0].sigmoid(),
        ["tanh"] = (f, _) => f[0].tanh(),
        ["relu"] = (f, _) => f[0].relu(),
        ["silu"] = (f, _) => F.silu(f[0]),
        ["gelu"] = (f, _) => F.gelu(f[0]),
        ["gelu_tanh"] = (f, _) => F.gelu(f[0], GELU.Approximate.tanh),
        ["logsigmoid"] = (f, _) => F.logsigmoid(f[0]),
        ["softplus"] = (f, _) => F.softplus(f[0]),
        ["square"] = (f, _) => f[0].square(),
        ["neg"] = (f, _) => -f[0],
        ["erf"] = (f, _) => f[0].erf(),
        ["sin"] = (f, _) => f[0].sin(),
        ["cos"] = (f, _) => f[0].cos(),
        ["floor"] = (f, _) => f[0].floor(),
        ["sign"] = (f, _) => f[0].sign(),
        ["expm1"] = (f, _) => f[0].expm1(),
        ["log"] = (f, _) => f[0].log(),
        ["sqrt"] = (f, _) => f[0].sqrt(),
        ["rsqrt"] = (f, _) => rsqrt(f[0]),
        ["reciprocal"] = (f, _) => f[0].reciprocal(),
        ["log1p"] = (f, _) => f[0].log1p(),
        ["lgamma"] = (f, _) => f[0].lgamma(),
        ["add_alpha"] = (f, _) => f[0].add(f[1], 0.25),
        ["sub_scalar_left"] = (f, _) => 2.5 - f[0],
        ["div_scalar_left"] = (f, _) => 2.5 / f[0],
        ["div_floor"] = (f, _) => f[0].div(f[1], RoundingMode.floor),
        ["mul_broadcast"] = (f, _) => f[0] * f[1],
        ["pow_tensor"] = (f, _) => f[0].pow(f[1]),
        ["pow_scalar"] = (f, _) => f[0].pow(3),
        ["remainder"] = (f, _) => f[0] % 0.7,
        ["clamp"] = (f, _) => f[0].clamp(-0.5, 0.5),
        ["maximum"] = (f, _) => maximum(f[0], f[1]),
        ["where"] = (f, i) => where(i[0] > 0, f[0], f[1]),
        ["lerp"] = (f, _) => f[0].lerp(f[1], f[2]),
        ["addcmul"] = (f, _) => f[0].addcmul(f[1], f[2], 0.3),
        ["addcdiv"] = (f, _) => f[0].addcdiv(f[1], f[2], 0.3),
        ["masked_fill"] = (f, i) => f[0].masked_fill(i[0] > 0, -7.0),
        ["logaddexp"] = (f, _) => logaddexp(f[0], f[1]),
        ["xlogy"] = (f, _) => f[0].xlogy(f[1]),
        ["nan_to_num"] = (_, i) => ((i[0] - 1).@float() / 0).nan_to_num(1.5, 3.0, -2.0),
        ["sum_all"] = (f, _) => f[0].sum(),
        ["sum_dims"] = (f, _) => f[0].sum([0, 2], keepdim: true),
        ["mean_dim"] = (f, _) => f[0].mean([-1], keepdim: true),
        ["var"] = (f, _) => f[0].var(),
        ["var_dim"] = (f, _) => f[0].var(1, unbiased: false, keepdim: true),
        ["std_dim"] = (f, _) => f[0].std(0),
        ["prod_dim"] = (f, _) => f[0].prod(1),
        ["max_dim"] = (f, _) => f[0].max(1).Item1,
        ["amin"] = (f, _) => f[0].amin(0, 1),
        ["argmax"] = (f, _) => f[0].argmax(1),
        ["topk"] = (f, _) => f[0].topk(2, 1).Item1,
        ["topk_index"] = (f, _) => f[0].topk(2, 1).Item2,
        ["sort"] = (f, _) => f[0].sort(0, descending: true).Item1,
        ["argsort"] = (f, _) => f[0].argsort(0),
        ["cumsum"] = (f, _) => f[0].cumsum(1),
        ["logsumexp"] = (f, _) => f[0].logsumexp(1),
        ["softmax"] = (f, _) => f[0].softmax(-1),
        ["log_softmax"] = (f, _) => f[0].log_softmax(0),
        ["norm"] = (f, _) => f[0].norm(),
        ["norm_dim"] = (f, _) => f[0].norm(1, p: 1f),
        ["median"] = (f, _) => f[0].median(),
        ["quantile"] = (f, _) => f[0].quantile(tensor(new[] { 0.25f, 0.6f }), 0),
        ["cov"] = (f, _) => f[0].cov(),
        ["matmul"] = (f, _) => f[0].matmul(f[1]),
        ["bmm"] = (f, _) => f[0].bmm(f[1]),
        ["mv"] = (f, _) => f[0].mv(f[1]),
        ["addmm"] = (f, _) => f[0].addmm(f[1], f[2], 0.5f, 2f),
        ["baddbmm"] = (f, _) => f[0].baddbmm(f[1], f[2], 0.5f, 2f),
        ["einsum"] = (f, _) => einsum("bij,bkj->bik", f[0], f[1]),
        ["outer"] = (f, _) => f[0].outer(f[1]),
        ["cdist"] = (f, _) => cdist(f[0], f[1]),
        ["cholesky"] = (f, _) => linalg.cholesky(f[0].matmul(f[0].t()) + 3 * eye(3)),
        ["solve"] = (f, _) => linalg.solve(f[0] + 3 * eye(3), f[1]),
        ["eigvalsh"] = (f, _) => linalg.eigvalsh(f[0] + f[0].t()),
        ["svdvals"] = (f, _) => linalg.svdvals(f[0]),
        ["lstsq"] = (f, _) => linalg.lstsq(f[0], f[1]).Item1,
        ["slogdet"] = (f, _) => linalg.slogdet(f[0] + 3 * eye(3)).Item2,
        ["permute"] = (f, _) => f[0].permute(2, 0, 1) * 2,
        ["expand"] = (f, _) => f[0].unsqueeze(1).expand(3, 5, 4),
        ["cat"] = (f, _) => cat([f[0], f[1]], 1),
        ["stack"] = (f, _) => stack([f[0], f[1]], -1),
        ["split"] = (f, _) => f[0].split([1, 3], 1)[1],
        ["chunk"] = (f, _) => f[0].chunk(2)[1],
        ["gather"] = (f, i) => f[0].gather(1, i[0]),
        ["scatter_add"] = (f, i) => f[0].scatter_add(1, i[0], f[1]),
        ["index_select"] = (f, i) => f[0].index_select(1, i[0]),
        ["index_add"] = (f, i) => f[0].index_add(0, i[0], f[1], 1),
        ["index_slices"] = (f, _) => f[0][1.., I.Ellipsis, I.None, -1],
        ["index_step"] = (f, _) => f[0][I.Ellipsis, I.Slice(step: 2)],
        ["index_tensors"] = (f, i) => f[0][i[0], i[1]],
        ["index_mixed"] = (f, i) => f[0][I.Colon, I.Tensor(i[0]), 1..],
        ["index_mask"] = (f, i) => f[0][i[0] > 0],
        ["tril"] = (f, _) => f[0].tril(-1),
        ["triu"] = (f, _) => f[0].triu(1),
        ["roll"] = (f, _) => f[0].roll(2, 1),
        ["repeat_interleave"] = (f, _) => f[0].repeat_interleave(3, 1),
        ["pad"] = (f, _) => F.pad(f[0], [1L, 2, 0, 1], value: 0.5),
        ["pad_sequence"] = (f, _) => nn.utils.rnn.pad_sequence([f[0], f[1]], batch_first: true, padding_value: -1),
        ["linear"] = (f, _) => F.linear(f[0], f[1], f[2]),
        ["embedding"] = (f, i) => new EmbeddingOf(f[0]).Rows(i[0]),
        ["layer_norm"] = (f, _) => F.layer_norm(f[0], [4], f[1], f[2]),
        ["cross_entropy"] = (f, i) => F.cross_entropy(f[0], i[0]),
        ["cross_entropy_ignore"] = (f, i) => F.cross_entropy(f[0], i[0], ignore_index: 2, reduction: nn.Reduction.Sum, label_smoothing: 0.1),
        ["nll_loss"] = (f, i) => F.nll_loss(f[0].log_softmax(1), i[0], reduction: nn.Reduction.None),
        ["bce_logits"] = (f, i) => F.binary_cross_entropy_with_logits(f[0], i[0].@float()),
        ["mse_loss"] = (f, _) => F.mse_loss(f[0], f[1]),
        ["smooth_l1"] = (f, _) => F.smooth_l1_loss(f[0], f[1], beta: 0.5),
        ["huber"] = (f, _) => F.huber_loss(f[0], f[1], delta: 0.5),
        ["kl_div"] = (f, _) => F.kl_div(f[0].log_softmax(1), f[1].log_softmax(1), reduction: nn.Reduction.Sum),
        ["one_hot"] = (_, i) => F.one_hot(i[0], 5),
        ["normalize"] = (f, _) => F.normalize(f[0]),
        ["cosine_similarity"] = (f, _) => F.cosine_similarity(f[0], f[1]),
        ["attention_causal"] = (f, _) => F.scaled_dot_product_attention(f[0], f[1], f[2], is_casual: true),
        ["attention_mask"] = (f, i) => F.scaled_dot_product_attention(f[0], f[1], f[2], i[0] > 0),
    };

    // The module's forward with a given leaf as its table, so that the gradient reaches the leaf.
    private sealed class EmbeddingOf(Tensor table)
    {
        public Tensor Rows(Tensor ids) => table.index_select(0, ids.flatten()).view([.. ids.shape, table.size(1)]);
    }

    public static TheoryData<string> Cases => [.. TorchGolden.Names("cases")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Matches_PyTorch_in_value_and_gradient(string name)
    {
        using var scope = NewDisposeScope();
        var golden = TorchGolden.Named("cases", name);
        var floats = TorchGolden.UnpackAll(golden.GetProperty("floats"));
        foreach (var input in floats) input.requires_grad = true;

        var output = Calls[name](floats, TorchGolden.UnpackAll(golden.GetProperty("ints")));

        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("out")), output, 1e-5, 1e-6, name);
        Assert.Equal(golden.TryGetProperty("weight", out var weight), output.requires_grad);
        if (!output.requires_grad) return;
        (output * TorchGolden.Unpack(weight)).sum().backward();
        var expected = golden.GetProperty("grads").EnumerateArray().ToList();
        for (var k = 0; k < floats.Length; k++)
            TorchGolden.AssertClose(TorchGolden.Unpack(expected[k]), floats[k].grad!, 1e-4, 1e-5, $"gradient {k} of {name}");
    }

    [Fact]
    public void An_embedding_module_looks_up_rows_and_gives_them_their_gradients()
    {
        using var scope = NewDisposeScope();
        var golden = TorchGolden.Named("cases", "embedding");
        var module = nn.Embedding_from_pretrained(TorchGolden.Unpack(golden.GetProperty("floats")[0]), freeze: false);

        var output = module.call(TorchGolden.Unpack(golden.GetProperty("ints")[0]));
        (output * TorchGolden.Unpack(golden.GetProperty("weight"))).sum().backward();

        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("out")), output, 0, 0, "rows");
        TorchGolden.AssertClose(TorchGolden.Unpack(golden.GetProperty("grads")[0]), module.weight.grad!, 1e-5, 1e-6, "gradient");
    }

    [Fact]
    public void The_comparison_notices_a_wrong_value_and_a_wrong_shape()
    {
        using var scope = NewDisposeScope();

        Assert.ThrowsAny<Exception>(() => TorchGolden.AssertClose(tensor(new[] { 1f, 2f }), tensor(new[] { 1f, 2.001f }), 1e-5, 1e-6, "value"));
        Assert.ThrowsAny<Exception>(() => TorchGolden.AssertClose(ones(2, 1), ones(1, 2), 1e-5, 1e-6, "shape"));
    }
}
