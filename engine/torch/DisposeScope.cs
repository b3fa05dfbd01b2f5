using System.Runtime.CompilerServices;

namespace TorchSharp;

/// <summary>
/// Owns the tensors that are made on its thread while it is the innermost scope, and disposes them when it is disposed.
/// What must live longer leaves by <c>MoveToOuter</c> (to the enclosing scope) or <c>Detach</c> (to the garbage collector).
/// </summary>
/// <remarks>Not thread-safe: each thread has its own stack of scopes.</remarks>
public sealed class DisposeScope : IDisposable
{
    // Tensors know their place, so that disposing one early costs no search; other disposables are found by reference.
    private readonly List<IDisposable?> places = [];
    private readonly Stack<int> vacant = new();
    private Dictionary<IDisposable, int>? others;
    private readonly DisposeScopeManager manager;
    private bool disposed;

    internal DisposeScope(DisposeScopeManager manager)
    {
        this.manager = manager;
        OuterScope = manager.Current;
        manager.Current = this;
    }

    internal DisposeScope? OuterScope { get; private set; }

    /// <summary>How many disposables it owns.</summary>
    public int DisposablesCount => places.Count - vacant.Count;

    /// <summary>A copy of the list of what it owns, in no particular order.</summary>
    public IReadOnlyList<IDisposable> DisposablesView => places.OfType<IDisposable>().ToList();

    public bool Contains(IDisposable disposable) => disposable switch
    {
        torch.Tensor tensor => tensor.OwningDisposeScope == this,
        null => false,
        _ => others?.ContainsKey(disposable) ?? false,
    };

    /// <summary>Takes ownership, from another scope too.</summary>
    public void Attach(IDisposable disposable)
    {
        ArgumentNullException.ThrowIfNull(disposable);
        if (Contains(disposable)) return;
        if (disposable is torch.Tensor { OwningDisposeScope: { } former } tensor)
        {
            former.Remove(tensor);
        }
        else
        {
            manager.StatisticsOfTensors.AttachedToScopeCount++;
            manager.StatisticsOfTensors.DetachedFromScopeCount--;
        }
        Add(disposable);
    }

    public void Attach(params IDisposable[] disposables)
    {
        foreach (var disposable in disposables) Attach(disposable);
    }

    public IReadOnlyList<IDisposable> Attach(IEnumerable<IDisposable> disposables)
    {
        var list = disposables.ToList();
        foreach (var disposable in list) Attach(disposable);
        return list;
    }

    public T MoveToOuter<T>(T disposable) where T : IDisposable => MoveToOther(OuterScope, disposable);

    public (T1 first, T2 second) MoveToOuter<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second));

    public (T1 first, T2 second, T3 third) MoveToOuter<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second), MoveToOuter(third));

    public void MoveToOuter(params IDisposable[] disposables) => MoveToOther(OuterScope, disposables);
    public void MoveToOuter(IEnumerable<IDisposable> disposables) => MoveToOther(OuterScope, disposables);

    /// <summary>Hands ownership to <paramref name="scope"/>, or to nobody when that is null. What it does not own stays where it is.</summary>
    public T MoveToOther<T>(DisposeScope? scope, T disposable) where T : IDisposable
    {
        Hand(disposable, scope);
        return disposable;
    }

    private void Hand(IDisposable? disposable, DisposeScope? scope)
    {
        if (disposable is null || scope == this || !Remove(disposable)) return;
        if (scope is null) manager.StatisticsOfTensors.DetachedFromScopeCount++;
        else scope.Add(disposable);
    }

    public (T1 first, T2 second) MoveToOther<T1, T2>(DisposeScope? scope, T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (MoveToOther(scope, first), MoveToOther(scope, second));

    public (T1 first, T2 second, T3 third) MoveToOther<T1, T2, T3>(DisposeScope? scope, T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (MoveToOther(scope, first), MoveToOther(scope, second), MoveToOther(scope, third));

    public void MoveToOther(DisposeScope? scope, params IDisposable[] disposables) => MoveToOther(scope, (IEnumerable<IDisposable>)disposables);

    public void MoveToOther(DisposeScope? scope, IEnumerable<IDisposable> disposables)
    {
        foreach (var disposable in disposables.ToList()) Hand(disposable, scope);
    }

    /// <summary>Gives ownership up: the tensor lives until it is disposed or collected.</summary>
    public T Detach<T>(T disposable) where T : IDisposable => MoveToOther((DisposeScope?)null, disposable);

    public (T1 first, T2 second) Detach<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (Detach(first), Detach(second));

    public (T1 first, T2 second, T3 third) Detach<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (Detach(first), Detach(second), Detach(third));

    public void Detach(params IDisposable[] disposables) => MoveToOther(null, disposables);
    public void Detach(IEnumerable<IDisposable> disposables) => MoveToOther(null, disposables);

    public void DisposeEverything() => DisposeEverythingBut((IEnumerable<IDisposable>)[]);

    /// <summary>Disposes all it owns except <paramref name="inKeep"/>, which it goes on owning.</summary>
    public void DisposeEverythingBut(IEnumerable<IDisposable> inKeep)
    {
        var keep = new HashSet<IDisposable>(inKeep, ReferenceEqualityComparer.Instance);
        for (var place = places.Count - 1; place >= 0; place--)
        {
            if (place >= places.Count || places[place] is not { } disposable || keep.Contains(disposable)) continue;
            Remove(disposable);
            manager.StatisticsOfTensors.DisposedInScopeCount++;
            if (disposable is torch.Tensor tensor) tensor.Release();
            else disposable.Dispose();
        }
    }

    public void DisposeEverythingBut(params IDisposable[] keep) => DisposeEverythingBut((IEnumerable<IDisposable>)keep);

    public T DisposeEverythingBut<T>(T keep) where T : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[keep]);
        return keep;
    }

    public (T1 first, T2 second) DisposeEverythingBut<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[first, second]);
        return (first, second);
    }

    public (T1 first, T2 second, T3 third) DisposeEverythingBut<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[first, second, third]);
        return (first, second, third);
    }

    /// <summary>Forgets a disposable that was disposed by hand. Tensors do this themselves.</summary>
    public void MarkAsDisposed(IDisposable disposable)
    {
        if (Remove(disposable)) manager.StatisticsOfTensors.DisposedInScopeCount++;
    }

    /// <summary>Disposes what it owns and leaves its thread's stack of scopes.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        DisposeEverything();
        manager.Leave(this);
    }

    internal void LeftBy(DisposeScope gone)
    {
        if (OuterScope == gone) OuterScope = gone.OuterScope;
    }

    internal void Add(IDisposable disposable)
    {
        if (!vacant.TryPop(out var place))
        {
            place = places.Count;
            places.Add(disposable);
        }
        else
        {
            places[place] = disposable;
        }
        if (disposable is torch.Tensor tensor)
        {
            tensor.OwningDisposeScope = this;
            tensor.PlaceInScope = place;
        }
        else
        {
            (others ??= new(ReferenceEqualityComparer.Instance))[disposable] = place;
        }
    }

    internal bool Remove(IDisposable disposable)
    {
        int place;
        if (disposable is torch.Tensor tensor)
        {
            if (tensor.OwningDisposeScope != this) return false;
            place = tensor.PlaceInScope;
            tensor.OwningDisposeScope = null;
        }
        else if (others is null || !others.Remove(disposable, out place))
        {
            return false;
        }
        if (place == places.Count - 1)
        {
            places.RemoveAt(place);
        }
        else
        {
            places[place] = null;
            vacant.Push(place);
        }
        // An empty scope starts afresh, so that the vacant places never name one past the end.
        if (places.Count == vacant.Count)
        {
            places.Clear();
            vacant.Clear();
        }
        return true;
    }
}

/// <summary>The stack of dispose scopes of each thread, and its statistics.</summary>
public class DisposeScopeManager
{
    [ThreadStatic] private static DisposeScopeManager? ofThread;

    internal static DisposeScopeManager OfThread => ofThread ??= new DisposeScopeManager();

    internal DisposeScope? Current;
    internal readonly ThreadDisposeScopeStatistics ThreadStatistics = new();

    internal LifetimeStatistics StatisticsOfTensors => ThreadStatistics.TensorStatistics;

    /// <summary>Counts for the calling thread.</summary>
    public static ThreadDisposeScopeStatistics Statistics => OfThread.ThreadStatistics;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Register(torch.Tensor tensor)
    {
        var manager = OfThread;
        if (manager.Current is { } scope)
        {
            manager.StatisticsOfTensors.CreatedInScopeCount++;
            scope.Add(tensor);
        }
        else
        {
            manager.StatisticsOfTensors.CreatedOutsideScopeCount++;
        }
    }

    // Scopes are disposed in any order at worst: the stack closes over the gap.
    internal void Leave(DisposeScope scope)
    {
        if (Current == scope)
        {
            Current = scope.OuterScope;
            return;
        }
        for (var inner = Current; inner is not null; inner = inner.OuterScope) inner.LeftBy(scope);
    }
}

/// <summary>How many disposables of one kind came and went on one thread.</summary>
public sealed class LifetimeStatistics
{
    public long CreatedOutsideScopeCount { get; internal set; }
    public long DisposedOutsideScopeCount { get; internal set; }
    public long CreatedInScopeCount { get; internal set; }
    public long DisposedInScopeCount { get; internal set; }
    public long AttachedToScopeCount { get; internal set; }
    public long DetachedFromScopeCount { get; internal set; }

    /// <summary>Made on this thread less disposed on it.</summary>
    public long ThreadTotalLiveCount => CreatedInScopeCount + CreatedOutsideScopeCount - DisposedInScopeCount - DisposedOutsideScopeCount;

    public void Reset() =>
        CreatedOutsideScopeCount = DisposedOutsideScopeCount = CreatedInScopeCount = DisposedInScopeCount = AttachedToScopeCount = DetachedFromScopeCount = 0;

    /// <inheritdoc/>
    public override string ToString() =>
        $"ThreadTotalLiveCount: {ThreadTotalLiveCount}; CreatedOutsideScopeCount: {CreatedOutsideScopeCount}; DisposedOutsideScopeCount: {DisposedOutsideScopeCount}; CreatedInScopeCount: {CreatedInScopeCount}; DisposedInScopeCount: {DisposedInScopeCount}; AttachedToScopeCount {AttachedToScopeCount}; DetachedFromScopeCount {DetachedFromScopeCount}";
}

/// <summary>The statistics of one thread.</summary>
public sealed class ThreadDisposeScopeStatistics
{
    public LifetimeStatistics TensorStatistics { get; } = new();

    public long CreatedOutsideScopeCount => TensorStatistics.CreatedOutsideScopeCount;
    public long DisposedOutsideScopeCount => TensorStatistics.DisposedOutsideScopeCount;
    public long CreatedInScopeCount => TensorStatistics.CreatedInScopeCount;
    public long DisposedInScopeCount => TensorStatistics.DisposedInScopeCount;
    public long AttachedToScopeCount => TensorStatistics.AttachedToScopeCount;
    public long DetachedFromScopeCount => TensorStatistics.DetachedFromScopeCount;
    public long ThreadTotalLiveCount => TensorStatistics.ThreadTotalLiveCount;

    public void Reset() => TensorStatistics.Reset();

    /// <inheritdoc/>
    public override string ToString() => TensorStatistics.ToString();
}

public static partial class torch
{
    /// <summary>Opens a scope on this thread; dispose it on the same thread.</summary>
    public static DisposeScope NewDisposeScope() => new(DisposeScopeManager.OfThread);

    /// <summary>The innermost scope of this thread, null without one.</summary>
    public static DisposeScope? CurrentDisposeScope => DisposeScopeManager.OfThread.Current;

    /// <summary>Runs <paramref name="expr"/> in a scope of its own; only the result leaves it.</summary>
    public static Tensor WrappedTensorDisposeScope(Func<Tensor> expr)
    {
        using var scope = NewDisposeScope();
        return expr().MoveToOuterDisposeScope();
    }
}
