using TorchSharp;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Tests.Engine.Torch;

/// <summary>Names, state, modes, hooks and conversion of modules.</summary>
public class ModuleTests
{
    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly Linear inner = Linear(3, 3, hasBias: false);
        private readonly Parameter scale = Parameter(ones(3));
        private readonly Tensor table = zeros(2);

        internal Block() : base(nameof(Block))
        {
            RegisterComponents();
            register_buffer("cache", ones(1), persistent: false);
        }

        public override Tensor forward(Tensor input) => inner.call(input) * scale;
    }

    private sealed class Net : Module<Tensor, Tensor>
    {
        private readonly ModuleList<Block> blocks = ModuleList(new Block(), new Block());
        private readonly Dropout drop = Dropout(0.5);
        private readonly Linear head;

        internal Net() : base(nameof(Net))
        {
            head = Linear(3, 2);
            register_module("h", blocks);
            register_module("drop", drop);
            register_module("lm_head", head);
        }

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            var x = input;
            foreach (var block in blocks) x = block.call(x);
            return scope.MoveToOuter(head.call(drop.call(x)));
        }
    }

    [Fact]
    public void Parameters_carry_the_names_of_their_places()
    {
        using var net = new Net();

        Assert.Equal(["h.0.scale", "h.0.inner.weight", "h.1.scale", "h.1.inner.weight", "lm_head.weight", "lm_head.bias"], net.named_parameters().Select(p => p.name));
        Assert.Equal(["h.0.table", "h.0.cache", "h.1.table", "h.1.cache"], net.named_buffers().Select(b => b.name));
        Assert.Contains("h.0.table", net.state_dict().Keys);
        Assert.DoesNotContain("h.0.cache", net.state_dict().Keys);
        Assert.Equal(["h", "h.0", "h.0.inner", "h.1", "h.1.inner", "drop", "lm_head"], net.named_modules().Select(m => m.name));
        Assert.NotNull(net.get_parameter("h.1.inner.weight"));
        Assert.Null(net.get_parameter("h.7.inner.weight"));
    }

    [Fact]
    public void Loading_a_state_makes_two_networks_the_same()
    {
        using var scope = NewDisposeScope();
        using var one = new Net();
        using var two = new Net();
        one.eval();
        two.eval();
        var x = randn(4, 3, generator: new Generator(2));
        Assert.False(one.call(x).allclose(two.call(x)));

        var (missing, unexpected) = two.load_state_dict(one.state_dict());

        Assert.Empty(missing);
        Assert.Empty(unexpected);
        Assert.True(one.call(x).allclose(two.call(x), 0, 0));
        using var file = new MemoryStream();
        one.save(file);
        using var three = new Net();
        three.eval();
        file.Position = 0;
        three.load(file);
        Assert.True(one.call(x).allclose(three.call(x), 0, 0));
    }

    [Fact]
    public void A_state_that_does_not_fit_is_refused_and_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var net = new Net();
        var before = net.get_parameter("lm_head.bias")!.clone();
        var state = net.state_dict().ToDictionary(p => p.Key, p => p.Value.clone());
        state["lm_head.bias"] = ones(2) * 9;
        state["h.0.scale"] = ones(4);

        var shape = Assert.Throws<ArgumentException>(() => net.load_state_dict(state));
        Assert.Contains("'h.0.scale' has shape [4]", shape.Message, StringComparison.Ordinal);
        state.Remove("h.0.scale");
        Assert.Contains("h.0.scale", Assert.Throws<InvalidOperationException>(() => net.load_state_dict(state)).Message, StringComparison.Ordinal);
        Assert.True(net.get_parameter("lm_head.bias")!.allclose(before, 0, 0));
        Assert.Equal(["h.0.scale"], net.load_state_dict(state, strict: false).Item1);
        Assert.Equal(9f, net.get_parameter("lm_head.bias")![0].item<float>());
    }

    [Fact]
    public void A_shared_parameter_is_trained_once_and_saved_under_both_names()
    {
        using var net = Sequential(("a", Linear(3, 3, hasBias: false)), ("b", Linear(3, 3, hasBias: false)));
        ((Linear)net[1]).weight = ((Linear)net[0]).weight;

        Assert.Equal(["a.weight"], net.named_parameters().Select(p => p.name));
        Assert.Equal(["a.weight", "b.weight"], net.state_dict().Keys);
    }

    [Fact]
    public void Dropout_draws_in_training_only()
    {
        using var scope = NewDisposeScope();
        using var drop = Dropout(0.5);
        var x = ones(1000);

        Assert.True(drop.training);
        var trained = drop.call(x);
        Assert.InRange((trained == 0).sum().item<long>(), 400, 600); // 6 standard deviations around 500
        Assert.Equal(2f, trained.max().item<float>());
        drop.eval();
        Assert.True(drop.call(x).allclose(x, 0, 0));
    }

    [Fact]
    public void Hooks_see_and_change_inputs_and_outputs_until_removed()
    {
        using var scope = NewDisposeScope();
        using var layer = Linear(2, 2);
        var x = ones(1, 2);
        var plain = layer.call(x);
        var before = layer.register_forward_pre_hook((_, input) => input * 2);
        var after = layer.register_forward_hook((_, _, output) => output + 1);

        Assert.True(layer.call(x).allclose(layer.forward(x * 2) + 1));
        before.remove();
        after.remove();
        Assert.True(layer.call(x).allclose(plain, 0, 0));
    }

    [Fact]
    public void Converting_keeps_parameters_gradients_and_the_optimizer()
    {
        using var scope = NewDisposeScope();
        using var layer = Linear(2, 2);
        var weight = layer.weight;
        using var optimizer = optim.SGD(layer.parameters(), 0.1);
        layer.call(ones(1, 2)).sum().backward();

        layer.to(ScalarType.Float64);

        Assert.Same(weight, layer.weight);
        Assert.Equal(ScalarType.Float64, layer.weight.dtype);
        Assert.Equal(ScalarType.Float64, layer.weight.grad!.dtype);
        Assert.True(layer.weight.is_leaf);
        var old = layer.weight.detach().clone();
        optimizer.step();
        Assert.True((old - 0.1).allclose(layer.weight));
        layer.zero_grad();
        Assert.Null(layer.weight.grad);
    }

    [Fact]
    public void Initial_values_have_the_spread_they_promise()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var w = empty(400, 300);

        Assert.Equal(0.02, init.normal_(w, 0, 0.02).std().item<float>(), 1e-3);
        Assert.Equal(Math.Sqrt(2.0 / 700), init.xavier_normal_(w).std().item<float>(), 1e-3);
        Assert.Equal(Math.Sqrt(6.0 / 700), init.xavier_uniform_(w).max().item<float>(), 1e-3);
        Assert.Equal(Math.Sqrt(2.0 / 300), init.kaiming_normal_(w, nonlinearity: init.NonlinearityType.ReLU).std().item<float>(), 1e-3);
        Assert.Equal(1 / Math.Sqrt(300), Linear(300, 400).weight.abs().max().item<float>(), 1e-3);
        Assert.InRange(init.trunc_normal_(w, 0, 1, -1, 1).abs().max().item<float>(), 0.95, 1.0);
        Assert.True(init.orthogonal_(w).t().matmul(w).allclose(eye(300), atol: 1e-4));
        Assert.Equal(0f, init.zeros_(w).abs().max().item<float>());
        Assert.Throws<ArgumentException>(() => init.xavier_normal_(empty(3)));
    }

    [Fact]
    public void Names_that_clash_or_contain_a_dot_are_refused()
    {
        using var net = Sequential(("a", Linear(1, 1)));

        Assert.Throws<InvalidOperationException>(() => net.register_module("a", Linear(1, 1)));
        Assert.Throws<ArgumentException>(() => net.register_module("b.c", Linear(1, 1)));
    }
}
