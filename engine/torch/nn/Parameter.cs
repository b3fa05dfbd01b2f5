namespace TorchSharp.Modules;

/// <summary>A tensor that a module learns. Shares memory with the tensor it is made of.</summary>
public sealed class Parameter : torch.Tensor
{
    /// <exception cref="System.Runtime.InteropServices.ExternalException">Gradients are wanted of a type that has none.</exception>
    public Parameter(torch.Tensor data, bool requires_grad = true) : base(LeafOf(data)) => this.requires_grad = requires_grad;

    // The parameter is a leaf of its own; the tensor it was made of keeps its history.
    private static nint LeafOf(torch.Tensor data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return data.detach().DecoupleFromNativeHandle();
    }
}
