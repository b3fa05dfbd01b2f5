using Portal.Torch.Native;
using TorchSharp;
using TorchSharp.Modules;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Torch;

/// <summary>Who owns a tensor, and that nothing is left behind.</summary>
[Collection(Alone.Name)]
public class LifetimeTests
{
    [Fact]
    public void Training_leaves_no_tensors_and_no_memory_behind()
    {
        using var outer = NewDisposeScope();
        using var model = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.LayerNorm(128), nn.Linear(128, 8));
        using var optimizer = optim.AdamW(model.parameters(), 1e-3);
        using var generator = new Generator(1);
        var input = randn(256, 64, generator: generator);
        var target = randint(8L, [256L], generator: generator);
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        float first = 0, last = 0;
        long liveAfter3 = 0, residentAfter50 = 0;

        for (var step = 0; step < 200; step++)
        {
            using (NewDisposeScope())
            {
                optimizer.zero_grad();
                var loss = nn.functional.cross_entropy(model.call(input), target);
                loss.backward();
                nn.utils.clip_grad_norm_(model.parameters(), 1.0);
                optimizer.step();
                last = loss.item<float>();
            }
            if (step == 0) first = last;
            if (step == 3) liveAfter3 = statistics.ThreadTotalLiveCount;
            if (step == 50) residentAfter50 = TorchRuntime.ResidentBytes();
        }

        Assert.True(last < 0.6 * first, $"loss {first} -> {last}: it did not learn");
        Assert.Equal(liveAfter3, statistics.ThreadTotalLiveCount);
        // One leaked activation a step would be 150 x 131 kB = 20 MB; other tests in the process may move it by less.
        Assert.InRange(TorchRuntime.ResidentBytes() - residentAfter50, long.MinValue, 15 << 20);
    }

    [Fact]
    public void A_step_without_its_scope_is_noticed_by_the_count()
    {
        using var outer = NewDisposeScope();
        var before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        var x = ones(2);
        _ = x * 2 + 1;

        Assert.Equal(before + 3, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void A_scope_disposes_what_was_made_in_it_except_what_left()
    {
        Tensor kept, moved, detached, inside;
        using (var outer = NewDisposeScope())
        {
            using (var inner = NewDisposeScope())
            {
                inside = ones(1);
                moved = inner.MoveToOuter(ones(1));
                kept = ones(1).MoveToOuterDisposeScope();
                detached = inner.Detach(ones(1));
                var early = ones(1);
                early.Dispose();
                Assert.Equal(1, inner.DisposablesCount);
                Assert.Same(inner, CurrentDisposeScope);
            }
            Assert.True(inside.IsInvalid);
            Assert.False(moved.IsInvalid);
            Assert.Equal(2, outer.DisposablesCount);
            Assert.True(outer.Contains(kept));
            outer.DisposeEverythingBut(kept);
            Assert.True(moved.IsInvalid);
            Assert.False(kept.IsInvalid);
            outer.Attach(detached);
        }
        Assert.True(kept.IsInvalid);
        Assert.True(detached.IsInvalid);
        Assert.Null(CurrentDisposeScope);
    }

    [Fact]
    public void Tensors_moved_back_and_forth_and_disposed_early_keep_a_scope_consistent()
    {
        using var outer = NewDisposeScope();
        using var inner = NewDisposeScope();
        var random = new Random(4);
        var live = new List<Tensor>();
        for (var step = 0; step < 2000; step++)
        {
            if (live.Count == 0 || random.Next(3) > 0)
            {
                live.Add(ones(1));
                continue;
            }
            var index = random.Next(live.Count);
            var tensor = live[index];
            if (random.Next(2) == 0)
            {
                tensor.Dispose();
                live.RemoveAt(index);
            }
            else
            {
                tensor.MoveToOtherDisposeScope(inner.Contains(tensor) ? outer : inner);
            }
        }

        Assert.Equal(live.Count, inner.DisposablesCount + outer.DisposablesCount);
        Assert.All(live, t => Assert.True(inner.Contains(t) ^ outer.Contains(t)));
        inner.DisposeEverything();
        outer.DisposeEverything();
        Assert.All(live, t => Assert.True(t.IsInvalid));
    }

    [Fact]
    public async Task Scopes_belong_to_their_thread()
    {
        using var mine = NewDisposeScope();
        var own = ones(3);
        var made = 0;

        var threads = Enumerable.Range(0, 2).Select(k => Task.Factory.StartNew(() =>
        {
            Assert.Null(CurrentDisposeScope);
            for (var round = 0; round < 200; round++)
            {
                using var scope = NewDisposeScope();
                using var quiet = no_grad();
                var value = full(4, k + 1.0).sum().item<float>();
                Assert.Equal(4 * (k + 1), value);
                Assert.Equal(2, scope.DisposablesCount);
                Interlocked.Increment(ref made);
            }
            Assert.True(is_grad_enabled());
        }, TaskCreationOptions.LongRunning)).ToArray();
        await Task.WhenAll(threads).ConfigureAwait(true);

        Assert.Equal(400, made);
        Assert.False(own.IsInvalid);
    }

    [Fact]
    public void Forgotten_tensors_are_given_back_by_the_garbage_collector()
    {
        var before = Tensor.TotalCount;
        Forget();
        for (var round = 0; round < 20 && Tensor.TotalCount > before + 100; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.InRange(Tensor.TotalCount, 0, before + 100); // other tests run beside this one
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Forget()
    {
        for (var k = 0; k < 1000; k++) zeros(10);
    }

    [Fact]
    public void Reading_values_counts_as_no_tensor()
    {
        using var scope = NewDisposeScope();
        var x = ones(3);
        var before = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

        var values = x.data<float>();

        Assert.Equal(3f, values.Sum());
        Assert.Equal(before, DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount);
        values.Dispose();
        Assert.Throws<ObjectDisposedException>(() => values[0]);
    }

    [Fact]
    public void An_alias_and_a_view_outlive_their_origin()
    {
        using var scope = NewDisposeScope();
        var origin = arange(4, ScalarType.Float32);
        var alias = origin.alias();
        var view = origin[1..3];
        var values = origin.data<float>();
        origin.Dispose();

        Assert.Equal(6f, alias.sum().item<float>());
        Assert.Equal([1f, 2f], view.data<float>().ToArray());
        Assert.Equal([0f, 1, 2, 3], values.ToArray());
    }
}
