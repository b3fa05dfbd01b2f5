using System.Collections;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchSharp.Modules;

/// <summary>Modules in a row, named "0", "1" and so on; it cannot be called.</summary>
public class ModuleList<T> : Module, IList<T> where T : Module
{
    private readonly List<T> list = [];

    public ModuleList(params T[] modules) : base(nameof(ModuleList<T>))
    {
        list.AddRange(modules);
        RegisterComponents();
    }

    // Names are places, so they are given anew after every change.
    protected override void RegisterComponents()
    {
        ClearModules();
        for (var k = 0; k < list.Count; k++) register_module(k.ToString(System.Globalization.CultureInfo.InvariantCulture), list[k]);
    }

    public int Count => list.Count;
    public bool IsReadOnly => false;

    public T this[int index]
    {
        get => list[index];
        set
        {
            list[index] = value;
            RegisterComponents();
        }
    }

    public void Add(T item)
    {
        list.Add(item);
        register_module((list.Count - 1).ToString(System.Globalization.CultureInfo.InvariantCulture), item);
    }

    public void append(params T[] parameters)
    {
        foreach (var item in parameters) Add(item);
    }

    public void extend(IEnumerable<T> modules)
    {
        foreach (var item in modules) Add(item);
    }

    public void Insert(int index, T item)
    {
        list.Insert(index, item);
        RegisterComponents();
    }

    public bool Remove(T item)
    {
        var removed = list.Remove(item);
        RegisterComponents();
        return removed;
    }

    public void RemoveAt(int index)
    {
        list.RemoveAt(index);
        RegisterComponents();
    }

    public void Clear()
    {
        list.Clear();
        ClearModules();
    }

    public bool Contains(T item) => list.Contains(item);
    public int IndexOf(T item) => list.IndexOf(item);
    public void CopyTo(T[] array, int arrayIndex) => list.CopyTo(array, arrayIndex);
    public IEnumerator<T> GetEnumerator() => list.GetEnumerator();
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Parameters in a row, named "0", "1" and so on.</summary>
public class ParameterList : Module, IList<Parameter>
{
    private readonly List<Parameter> list = [];

    public ParameterList(params Parameter[] parameters) : base(nameof(ParameterList)) => append(parameters);

    public int Count => list.Count;
    public bool IsReadOnly => false;

    public Parameter this[int index]
    {
        get => list[index];
        set
        {
            list[index] = value;
            Renumber();
        }
    }

    public void Add(Parameter item)
    {
        list.Add(item);
        Renumber();
    }

    public void append(params Parameter[] parameters) => extend(parameters);

    public void extend(IEnumerable<Parameter> parameters)
    {
        list.AddRange(parameters);
        Renumber();
    }

    public void Insert(int index, Parameter item)
    {
        list.Insert(index, item);
        Renumber();
    }

    public bool Remove(Parameter item)
    {
        var removed = list.Remove(item);
        Renumber();
        return removed;
    }

    public void RemoveAt(int index)
    {
        list.RemoveAt(index);
        Renumber();
    }

    public void Clear()
    {
        list.Clear();
        Renumber();
    }

    // Names are places, so a change gives them anew; the last ones may have gone.
    private void Renumber()
    {
        foreach (var (name, _) in named_parameters(recurse: false).ToList()) ConditionallyRegisterParameter(name, null);
        for (var k = 0; k < list.Count; k++) ConditionallyRegisterParameter(k.ToString(System.Globalization.CultureInfo.InvariantCulture), list[k]);
    }

    public bool Contains(Parameter item) => list.Contains(item);
    public int IndexOf(Parameter item) => list.IndexOf(item);
    public void CopyTo(Parameter[] array, int arrayIndex) => list.CopyTo(array, arrayIndex);
    public IEnumerator<Parameter> GetEnumerator() => list.GetEnumerator();
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Modules called one after the other.</summary>
public class Sequential : Module<Tensor, Tensor>
{
    private readonly List<IModule<Tensor, Tensor>> steps = [];

    protected internal Sequential(params Module<Tensor, Tensor>[] modules) : base(nameof(Sequential))
    {
        foreach (var module in modules) append(module);
    }

    protected internal Sequential(params (string name, Module<Tensor, Tensor> submodule)[] modules) : base(nameof(Sequential))
    {
        foreach (var (name, module) in modules) append(name, module);
    }

    public int Count => steps.Count;

    public IModule<Tensor, Tensor> this[int index] => steps[index];

    public Sequential append(IModule<Tensor, Tensor> module) => append(steps.Count.ToString(System.Globalization.CultureInfo.InvariantCulture), module);

    public Sequential append(string name, IModule<Tensor, Tensor> module)
    {
        register_module(name, module as Module ?? throw new ArgumentException($"'{name}' is no module.", nameof(module)));
        steps.Add(module);
        return this;
    }

    public override Tensor forward(Tensor tensor)
    {
        if (steps.Count == 0) return tensor.alias();
        using var scope = NewDisposeScope();
        var value = tensor;
        foreach (var step in steps) value = step.call(value);
        return ReferenceEquals(value, tensor) ? scope.MoveToOuter(tensor.alias()) : scope.MoveToOuter(value);
    }
}
