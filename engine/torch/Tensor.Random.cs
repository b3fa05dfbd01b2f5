using Portal.Torch.Native;
using TorchSharp.Modules;

namespace TorchSharp;

// Draws. A null generator means the default one of the tensor's device.
public static partial class torch
{
    public partial class Tensor
    {
        public Tensor bernoulli(Generator? generator = null) => Ops.bernoulli.T(this, generator);
        public Tensor bernoulli_(double p = 0.5, Generator? generator = null)
        {
            Ops.bernoulli__float.Do(this, p, generator);
            return this;
        }
        public Tensor bernoulli_(Tensor p, Generator? generator = null)
        {
            Ops.bernoulli__Tensor.Do(this, p, generator);
            return this;
        }
        public Tensor multinomial(long num_samples, bool replacement = false, Generator? generator = null) => Ops.multinomial.T(this, num_samples, replacement, generator);
        public Tensor normal_(double mean = 0, double std = 1, Generator? generator = null)
        {
            Ops.normal_.Do(this, mean, std, generator);
            return this;
        }
        public Tensor uniform_(double from, double to, Generator? generator = null)
        {
            Ops.uniform_.Do(this, from, to, generator);
            return this;
        }
        public Tensor exponential_(double lambda = 1, Generator? generator = null)
        {
            Ops.exponential_.Do(this, lambda, generator);
            return this;
        }
        public Tensor log_normal_(double mean = 0, double std = 1, Generator? generator = null)
        {
            Ops.log_normal_.Do(this, mean, std, generator);
            return this;
        }
        public Tensor cauchy_(double median = 0, double sigma = 1, Generator? generator = null)
        {
            Ops.cauchy_.Do(this, median, sigma, generator);
            return this;
        }
        public Tensor geometric_(double p, Generator? generator = null)
        {
            Ops.geometric_.Do(this, p, generator);
            return this;
        }
        public Tensor random_(double from, double to, Generator? generator = null)
        {
            Ops.random__from.Do(this, (long)from, (long)to, generator);
            return this;
        }
        public Tensor poisson(Generator? generator = null) => Ops.poisson.T(this, generator);
    }

    public static Tensor binomial(Tensor count, Tensor probs, Generator? generator = null) => Ops.binomial.T(count, probs, generator);
    public static Tensor normal(Tensor mean, Tensor std, Generator? generator = null) => Ops.normal_Tensor_Tensor.T(mean, std, generator);
    public static Tensor _standard_gamma(Tensor input, Generator? generator = null) => Ops._standard_gamma.T(input, generator);
    public static Tensor _sample_dirichlet(Tensor input, Generator? generator = null) => Ops._sample_dirichlet.T(input, generator);
    public static Tensor bernoulli(Tensor input, Generator? generator = null) => input.bernoulli(generator);
    public static Tensor multinomial(Tensor input, long num_samples, bool replacement = false, Generator? generator = null) => input.multinomial(num_samples, replacement, generator);
    public static Tensor poisson(Tensor input, Generator? generator = null) => input.poisson(generator);
}
