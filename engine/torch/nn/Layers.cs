using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchSharp.Modules;

/// <summary>Marks modules without parameters.</summary>
public interface IParameterLessModule;

/// <summary>A module that holds nothing to learn.</summary>
public abstract class ParameterLessModule<T1, TResult>(string name) : Module<T1, TResult>(name), IParameterLessModule;

/// <summary>y = x Wᵀ + b. Weight [out, in], bias [out] or null.</summary>
public sealed class Linear : Module<Tensor, Tensor>
{
    internal Linear(Parameter weight, Parameter? bias) : base(nameof(Linear))
    {
        this.weight = weight;
        this.bias = bias;
    }

    public Parameter weight { get => field; set { field = value; ConditionallyRegisterParameter("weight", value); } }

    public Parameter? bias { get => field; set { field = value; ConditionallyRegisterParameter("bias", value); } }

    public long in_features => weight.size(1);
    public long out_features => weight.size(0);

    public override Tensor forward(Tensor tensor) => functional.linear(tensor, weight, bias);
}

/// <summary>Rows of a table by their numbers. Weight [entries, width].</summary>
public sealed class Embedding : Module<Tensor, Tensor>
{
    private readonly long padding;
    private readonly bool scaleByFrequency, sparseGradient;

    internal Embedding(Parameter weight, long? padding_idx, bool scale_grad_by_freq, bool sparse) : base(nameof(Embedding))
    {
        this.weight = weight;
        padding = padding_idx ?? -1;
        if (padding_idx is < 0) padding += weight.size(0);
        scaleByFrequency = scale_grad_by_freq;
        sparseGradient = sparse;
    }

    public Parameter weight { get => field; set { field = value; ConditionallyRegisterParameter("weight", value); } }

    public override Tensor forward(Tensor input) => Portal.Torch.Native.Ops.embedding.T(weight, input, padding, scaleByFrequency, sparseGradient);
}

/// <summary>Mean 0 and variance 1 over the last dimensions, then scale and shift.</summary>
public sealed class LayerNorm : Module<Tensor, Tensor>
{
    internal LayerNorm(long[] normalized_shape, double eps, Parameter? weight, Parameter? bias) : base(nameof(LayerNorm))
    {
        this.normalized_shape = normalized_shape;
        this.eps = eps;
        this.weight = weight;
        this.bias = bias;
        elementwise_affine = weight is not null;
    }

    public long[] normalized_shape { get; set; }
    public double eps { get; set; }
    public bool elementwise_affine { get; set; }
    public Parameter? weight { get => field; set { field = value; ConditionallyRegisterParameter("weight", value); } }
    public Parameter? bias { get => field; set { field = value; ConditionallyRegisterParameter("bias", value); } }

    public void reset_parameters()
    {
        if (weight is not null) init.ones_(weight);
        if (bias is not null) init.zeros_(bias);
    }

    public override Tensor forward(Tensor tensor) => functional.layer_norm(tensor, normalized_shape, weight, bias, eps);
}

/// <summary>While training, sets elements to zero with probability p and scales the rest by 1 / (1 - p).</summary>
public sealed class Dropout : ParameterLessModule<Tensor, Tensor>
{
    internal Dropout(double p, bool inplace) : base(nameof(Dropout))
    {
        this.p = p;
        this.inplace = inplace;
    }

    public double p { get; set; }
    public bool inplace { get; set; }

    public override Tensor forward(Tensor tensor) => functional.dropout(tensor, p, training, inplace);
}

public sealed class Identity : ParameterLessModule<Tensor, Tensor>
{
    internal Identity() : base(nameof(Identity))
    {
    }

    public override Tensor forward(Tensor tensor) => tensor.alias();
}

public sealed class ReLU : ParameterLessModule<Tensor, Tensor>
{
    internal ReLU(bool inplace) : base(nameof(ReLU)) => this.inplace = inplace;

    public bool inplace { get; set; }
    public override Tensor forward(Tensor tensor) => functional.relu(tensor, inplace);
}

public sealed class SiLU : ParameterLessModule<Tensor, Tensor>
{
    internal SiLU(bool inplace) : base(nameof(SiLU)) => this.inplace = inplace;

    public bool inplace { get; set; }
    public override Tensor forward(Tensor tensor) => functional.silu(tensor, inplace);
}

public sealed class Sigmoid : ParameterLessModule<Tensor, Tensor>
{
    internal Sigmoid(bool inplace) : base(nameof(Sigmoid)) => this.inplace = inplace;

    public bool inplace { get; set; }
    public override Tensor forward(Tensor tensor) => functional.sigmoid(tensor, inplace);
}

public sealed class Tanh : ParameterLessModule<Tensor, Tensor>
{
    internal Tanh(bool inplace) : base(nameof(Tanh)) => this.inplace = inplace;

    public bool inplace { get; set; }
    public override Tensor forward(Tensor tensor) => functional.tanh(tensor, inplace);
}

public sealed class GELU : ParameterLessModule<Tensor, Tensor>
{
    internal GELU(Approximate approximate, bool inplace) : base(nameof(GELU)) => (this.approximate, this.inplace) = (approximate, inplace);

    /// <summary>Exact, or by a hyperbolic tangent.</summary>
    public enum Approximate { none = 0, tanh = 1 }

    public Approximate approximate { get; set; }
    public bool inplace { get; set; }
    public override Tensor forward(Tensor tensor) => functional.gelu(tensor, approximate, inplace);
}

public sealed class Softmax : ParameterLessModule<Tensor, Tensor>
{
    internal Softmax(long dim) : base(nameof(Softmax)) => this.dim = dim;

    public long dim { get; set; }
    public override Tensor forward(Tensor tensor) => tensor.softmax(dim);
}

public sealed class LogSoftmax : ParameterLessModule<Tensor, Tensor>
{
    internal LogSoftmax(long dim) : base(nameof(LogSoftmax)) => this.dim = dim;

    public long dim { get; set; }
    public override Tensor forward(Tensor tensor) => tensor.log_softmax(dim);
}

public sealed class LogSigmoid : ParameterLessModule<Tensor, Tensor>
{
    internal LogSigmoid() : base(nameof(LogSigmoid))
    {
    }

    public override Tensor forward(Tensor tensor) => tensor.log_sigmoid();
}
