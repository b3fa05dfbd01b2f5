using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Torch;

/// <summary>
/// Trajectories, schedules and clipping against PyTorch's own (Golden/torch_ops.py). The fused AdamW pass rounds like
/// PyTorch's loop, so 12 steps stay within 2e-6; a wrong bias correction or decay would be off by 1e-2.
/// </summary>
public class OptimizerTests
{
    private static OptimizerHelper Make(string name, Parameter p, Parameter q) => name switch
    {
        "adamw" => optim.AdamW([p, q], 0.05, 0.9, 0.99, 1e-8, 0.1),
        "adamw_skip" => optim.AdamW([p, q], 0.05, weight_decay: 0.01),
        "adamw_amsgrad" => optim.AdamW([p, q], 0.05, weight_decay: 0.1, amsgrad: true),
        "adamw_maximize" => optim.AdamW([p, q], 0.05, weight_decay: 0.1, maximize: true),
        "adamw_groups" => optim.AdamW([new AdamW.ParamGroup([p], lr: 0.01, weight_decay: 0.3), new AdamW.ParamGroup([q], lr: 0.1, beta1: 0.5, beta2: 0.9)], 0.05),
        "adam" => optim.Adam([p, q], 0.05, weight_decay: 0.1),
        "sgd" => optim.SGD([p, q], 0.05),
        "sgd_momentum" => optim.SGD([p, q], 0.05, momentum: 0.9, dampening: 0.1, weight_decay: 0.1),
        "sgd_nesterov" => optim.SGD([p, q], 0.05, momentum: 0.9, nesterov: true),
        _ => throw new ArgumentException(name),
    };

    public static TheoryData<string> Optimizers => [.. TorchGolden.Names("optimizers")];

    private static (Parameter P, Parameter Q) Start(JsonElement golden)
    {
        var start = TorchGolden.UnpackAll(golden.GetProperty("start"));
        return (new Parameter(start[0]), new Parameter(start[1]));
    }

    private static void Feed(JsonElement golden, int step, Parameter p, Parameter q)
    {
        var grads = TorchGolden.UnpackAll(golden.GetProperty("grads")[step]);
        p.grad = grads[0];
        q.grad = golden.GetProperty("skip").GetBoolean() && step % 3 == 1 ? null : grads[1];
    }

    private static void Check(JsonElement golden, int step, Parameter p, Parameter q)
    {
        var expected = TorchGolden.UnpackAll(golden.GetProperty("steps")[step]);
        TorchGolden.AssertClose(expected[0], p, 2e-6, 2e-6, $"first parameter after step {step}");
        TorchGolden.AssertClose(expected[1], q, 2e-6, 2e-6, $"second parameter after step {step}");
    }

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void Follows_PyTorchs_trajectory(string name)
    {
        using var scope = NewDisposeScope();
        var golden = TorchGolden.Named("optimizers", name);
        var (p, q) = Start(golden);
        using var optimizer = Make(name, p, q);

        for (var step = 0; step < 12; step++)
        {
            Feed(golden, step, p, q);
            optimizer.step();
            Check(golden, step, p, q);
        }
    }

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void A_run_saved_after_5_steps_goes_on_exactly(string name)
    {
        using var scope = NewDisposeScope();
        var golden = TorchGolden.Named("optimizers", name);
        var (p, q) = Start(golden);
        using var uninterrupted = Make(name, p, q);
        Parameter p2 = null!, q2 = null!; // made at the cut
        OptimizerHelper resumed = null!;
        for (var step = 0; step < 12; step++)
        {
            if (step == 5)
            {
                using var file = new MemoryStream();
                using var writer = new BinaryWriter(file);
                uninterrupted.save_state_dict(writer);
                file.Position = 0;
                (p2, q2) = (new Parameter(p.detach().clone()), new Parameter(q.detach().clone()));
                resumed = Make(name, p2, q2);
                resumed.load_state_dict(new BinaryReader(file));
            }
            Feed(golden, step, p, q);
            uninterrupted.step();
            if (step < 5) continue;
            Feed(golden, step, p2, q2);
            resumed.step();
            Assert.Equal(p.data<float>().ToArray(), p2.data<float>().ToArray());
            Assert.Equal(q.data<float>().ToArray(), q2.data<float>().ToArray());
        }
        resumed.Dispose();
    }

    [Fact]
    public void State_of_another_optimizer_or_another_number_of_parameters_is_refused()
    {
        using var scope = NewDisposeScope();
        using var adam = optim.AdamW([new Parameter(ones(2))]);
        using var file = new MemoryStream();
        adam.save_state_dict(new BinaryWriter(file));

        using var sgd = optim.SGD([new Parameter(ones(2))], 0.1);
        file.Position = 0;
        Assert.Contains("AdamW", Assert.Throws<InvalidDataException>(() => sgd.load_state_dict(new BinaryReader(file))).Message, StringComparison.Ordinal);

        using var larger = optim.AdamW([new Parameter(ones(2)), new Parameter(ones(2))]);
        file.Position = 0;
        Assert.Throws<ArgumentException>(() => larger.load_state_dict(new BinaryReader(file)));
    }

    // float64 and non-contiguous parameters go through libtorch's operators; the fused pass must agree with them.
    [Fact]
    public void The_fused_step_agrees_with_the_operators()
    {
        using var scope = NewDisposeScope();
        var start = randn(300, 70, generator: new Generator(3));
        var fused = new Parameter(start.clone());
        var plain = new Parameter(start.to(ScalarType.Float64));
        using var first = optim.AdamW([fused], 0.01, weight_decay: 0.1);
        using var second = optim.AdamW([plain], 0.01, weight_decay: 0.1);
        for (var step = 0; step < 5; step++)
        {
            fused.grad = randn(300, 70, generator: new Generator((ulong)(10 + step)));
            plain.grad = fused.grad.to(ScalarType.Float64);
            first.step();
            second.step();
        }

        TorchGolden.AssertClose(plain.detach().to(ScalarType.Float32), fused.detach(), 1e-5, 1e-6, "fused against float64");
    }

    private static optim.lr_scheduler.LRScheduler Schedule(string name, optim.Optimizer o) => name switch
    {
        "lambda" => optim.lr_scheduler.LambdaLR(o, e => Math.Min(1.0, (e + 1) / 5.0) * Math.Pow(0.9, e)),
        "cosine" => optim.lr_scheduler.CosineAnnealingLR(o, 20, 0.01),
        "linear" => optim.lr_scheduler.LinearLR(o, 0.1, 0.8, 7),
        "constant" => optim.lr_scheduler.ConstantLR(o, 0.25, 4),
        "step" => optim.lr_scheduler.StepLR(o, 4, 0.5),
        "multistep" => optim.lr_scheduler.MultiStepLR(o, [3, 9, 10], 0.5),
        "exponential" => optim.lr_scheduler.ExponentialLR(o, 0.9),
        "sequential" => optim.lr_scheduler.SequentialLR(o, [optim.lr_scheduler.LinearLR(o, 0.1, 1, 5), optim.lr_scheduler.CosineAnnealingLR(o, 15, 0.02)], [5]),
        "polynomial" => optim.lr_scheduler.PolynomialLR(o, 10, 2.0),
        _ => throw new ArgumentException(name),
    };

    public static TheoryData<string> Schedules => [.. TorchGolden.Names("schedules")];

    // PyTorch multiplies step by step, the schedules here are closed forms: equal up to the rounding of 25 products.
    [Theory]
    [MemberData(nameof(Schedules))]
    public void Rates_are_PyTorchs(string name)
    {
        using var scope = NewDisposeScope();
        using var optimizer = optim.SGD([new Parameter(zeros(1))], 0.4);
        var schedule = Schedule(name, optimizer);
        foreach (var expected in TorchGolden.Named("schedules", name).GetProperty("rates").EnumerateArray())
        {
            Assert.Equal(expected.GetDouble(), optimizer.ParamGroups.Single().LearningRate, 1e-12);
            Assert.Equal(expected.GetDouble(), schedule.get_last_lr().Single(), 1e-12);
            schedule.step();
        }
    }

    [Fact]
    public void Clipping_scales_to_the_norm_PyTorch_finds()
    {
        using var scope = NewDisposeScope();
        var golden = TorchGolden.Root.GetProperty("clip");
        var grads = TorchGolden.UnpackAll(golden.GetProperty("grads"));
        Parameter[] parameters = [.. grads.Select(g => new Parameter(g.zeros_like()) { grad = g })];

        var norm = nn.utils.clip_grad_norm_(parameters, golden.GetProperty("max").GetDouble());

        Assert.Equal(golden.GetProperty("norm").GetDouble(), norm, 1e-5);
        var expected = TorchGolden.UnpackAll(golden.GetProperty("clipped"));
        for (var k = 0; k < grads.Length; k++) TorchGolden.AssertClose(expected[k], parameters[k].grad!, 1e-5, 1e-7, $"gradient {k}");
    }

    [Fact]
    public void A_small_norm_is_left_alone_and_none_is_zero()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(zeros(2)) { grad = tensor(new[] { 0.3f, 0.4f }) };

        Assert.Equal(0.5, nn.utils.clip_grad_norm_([parameter], 1.0), 1e-6);
        Assert.Equal([0.3f, 0.4f], parameter.grad!.data<float>().ToArray());
        Assert.Equal(0, nn.utils.clip_grad_norm_([new Parameter(zeros(2))], 1.0));
    }
}
