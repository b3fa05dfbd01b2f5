namespace TorchSharp;

public static partial class torch
{
    public static partial class optim
    {
        /// <summary>Learning rates that change with the steps. Make one after the optimiser, and call <c>step()</c> once after each of its steps.</summary>
        public static class lr_scheduler
        {
            /// <summary>
            /// A schedule. Each of them is a closed form of the initial rates and the number of steps, so that a resumed run with
            /// last_epoch set goes on exactly.
            /// </summary>
            public abstract class LRScheduler
            {
                internal readonly Optimizer? Of;
                internal readonly List<ILearningRateController> Groups = [];
                internal readonly double[] BaseRates = [];
                internal int Epoch;

                protected LRScheduler()
                {
                }

                /// <param name="last_epoch">The step to go on after, with the groups' initial rates as they stand; -1 starts anew from the present rates.</param>
                protected LRScheduler(Optimizer optimizer, int last_epoch = -1, bool verbose = false)
                {
                    Of = optimizer ?? throw new ArgumentNullException(nameof(optimizer));
                    Groups.AddRange(optimizer.ParamGroups);
                    // The first schedule takes the rates as they stand; one made after it builds on the same initial rates, not on
                    // what the first has already made of them.
                    foreach (var group in Groups.OfType<Modules.ParamGroup>())
                    {
                        if (last_epoch < 0 && !group.IsScheduled) group.InitialLearningRate = group.LearningRate;
                        group.IsScheduled = true;
                    }
                    BaseRates = [.. Groups.Select(static g => g.InitialLearningRate)];
                    Epoch = last_epoch;
                    Announces = verbose;
                }

                internal bool Announces { get; }

                // Called at the end of each schedule's constructor, when its settings stand.
                internal void Begin() => step();

                /// <summary>One step further.</summary>
                public virtual void step() => Set(Epoch + 1);

                /// <summary>To a given step.</summary>
                public virtual void step(int? epoch) => Set(epoch ?? Epoch + 1);

                // The rates at a step, whatever they are now.
                internal IEnumerable<double> RatesAt(int epoch)
                {
                    Epoch = epoch;
                    return get_lr();
                }

                internal void Set(int epoch)
                {
                    Epoch = epoch;
                    var rates = get_lr().ToList();
                    for (var k = 0; k < Groups.Count; k++) Groups[k].LearningRate = rates[k];
                    if (Announces) Console.WriteLine($"Adjusting learning rate to {string.Join(", ", rates)}.");
                }

                /// <summary>The rates in force, one for each group.</summary>
                public IEnumerable<double> get_last_lr() => Groups.Select(static g => g.LearningRate);

                /// <summary>The rates at the current step.</summary>
                protected virtual IEnumerable<double> get_lr() => BaseRates;

                internal IEnumerable<double> Scaled(double factor) => BaseRates.Select(rate => rate * factor);
            }

            public static LRScheduler LambdaLR(Optimizer optimizer, Func<int, double> lr_lambda, int last_epoch = -1, bool verbose = false) => new impl.LambdaLR(optimizer, lr_lambda, last_epoch, verbose);
            public static LRScheduler ConstantLR(Optimizer optimizer, double factor = 1.0 / 3, int total_iters = 5, int last_epoch = -1, bool verbose = false) => new impl.ConstantLR(optimizer, factor, total_iters, last_epoch, verbose);
            public static LRScheduler LinearLR(Optimizer optimizer, double start_factor = 1.0 / 3, double end_factor = 1, int total_iters = 5, int last_epoch = -1, bool verbose = false) => new impl.LinearLR(optimizer, start_factor, end_factor, total_iters, last_epoch, verbose);
            public static LRScheduler CosineAnnealingLR(Optimizer optimizer, double T_max, double eta_min = 0, int last_epoch = -1, bool verbose = false) => new impl.CosineAnnealingLR(optimizer, T_max, eta_min, last_epoch, verbose);
            public static LRScheduler StepLR(Optimizer optimizer, int step_size, double gamma = 0.1, int last_epoch = -1, bool verbose = false) => new impl.StepLR(optimizer, step_size, gamma, last_epoch, verbose);
            public static LRScheduler MultiStepLR(Optimizer optimizer, IList<int> milestones, double gamma = 0.1, int last_epoch = -1, bool verbose = false) => new impl.MultiStepLR(optimizer, milestones, gamma, last_epoch, verbose);
            public static LRScheduler ExponentialLR(Optimizer optimizer, double gamma = 0.1, int last_epoch = -1, bool verbose = false) => new impl.ExponentialLR(optimizer, gamma, last_epoch, verbose);
            public static LRScheduler PolynomialLR(Optimizer optimizer, int total_iters = 5, double power = 1, int last_epoch = -1, bool verbose = false) => new impl.PolynomialLR(optimizer, total_iters, power, last_epoch, verbose);

            public static LRScheduler SequentialLR(Optimizer optimizer, IEnumerable<LRScheduler> schedulers, IEnumerable<int> milestones, int last_epoch = -1) => new impl.SequentialLR(optimizer, schedulers, milestones, last_epoch);

            /// <summary>The schedules themselves.</summary>
            public static class impl
            {
                /// <summary>The initial rate times a function of the step.</summary>
                public class LambdaLR : LRScheduler
                {
                    private readonly List<Func<int, double>> factors;

                    public LambdaLR(Optimizer optimizer, Func<int, double> lr_lambda, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        factors = [.. Enumerable.Repeat(lr_lambda, BaseRates.Length)];
                        Begin();
                    }

                    /// <summary>A function for each group.</summary>
                    public LambdaLR(Optimizer optimizer, IEnumerable<Func<int, double>> lr_lambdas, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        factors = [.. lr_lambdas];
                        if (factors.Count != BaseRates.Length) throw new ArgumentException($"{factors.Count} functions for {BaseRates.Length} parameter groups.", nameof(lr_lambdas));
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => BaseRates.Select((rate, k) => rate * factors[k](Epoch));
                }

                /// <summary>A factor for the first steps, then the initial rate.</summary>
                public class ConstantLR : LRScheduler
                {
                    private readonly double factor;
                    private readonly int length;

                    public ConstantLR(Optimizer optimizer, double factor = 1.0 / 3, int total_iters = 5, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        (this.factor, length) = (factor, total_iters);
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => Scaled(Epoch < length ? factor : 1);
                }

                /// <summary>From one factor to another along a line.</summary>
                public class LinearLR : LRScheduler
                {
                    private readonly double first, last;
                    private readonly int length;

                    public LinearLR(Optimizer optimizer, double start_factor = 1.0 / 3, double end_factor = 1, int total_iters = 5, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        (first, last, length) = (start_factor, end_factor, total_iters);
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => Scaled(first + (last - first) * Math.Min(Epoch, length) / length);
                }

                /// <summary>Down a half cosine to eta_min in T_max steps, then up again (Loshchilov and Hutter 2017, arXiv 1608.03983).</summary>
                public class CosineAnnealingLR : LRScheduler
                {
                    private readonly double length, floor;

                    public CosineAnnealingLR(Optimizer optimizer, double T_max, double eta_min = 0, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        (length, floor) = (T_max, eta_min);
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => BaseRates.Select(rate => floor + (rate - floor) * (1 + Math.Cos(Math.PI * Epoch / length)) / 2);
                }

                /// <summary>One schedule after the other; each begins anew at its milestone.</summary>
                public class SequentialLR : LRScheduler
                {
                    private readonly List<LRScheduler> parts;
                    private readonly List<int> milestones;

                    public SequentialLR(Optimizer optimizer, IEnumerable<LRScheduler> schedulers, IEnumerable<int> milestones, int last_epoch = -1) : base(optimizer, last_epoch < 0 ? 0 : last_epoch)
                    {
                        (parts, this.milestones) = ([.. schedulers], [.. milestones]);
                        if (parts.Count != this.milestones.Count + 1) throw new ArgumentException($"{parts.Count} schedules need {parts.Count - 1} milestones, {this.milestones.Count} were given.", nameof(milestones));
                        if (last_epoch < 0) Epoch = -1;
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr()
                    {
                        var current = milestones.Count(m => m <= Epoch);
                        return parts[current].RatesAt(current == 0 ? Epoch : Epoch - milestones[current - 1]);
                    }
                }

                /// <summary>Times gamma every step_size steps.</summary>
                public class StepLR : LRScheduler
                {
                    private readonly double gamma;
                    private readonly int length;

                    public StepLR(Optimizer optimizer, int step_size, double gamma = 0.1, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        (this.gamma, length) = (gamma, step_size);
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => Scaled(Math.Pow(gamma, Epoch / length));
                }

                /// <summary>Times gamma at each milestone.</summary>
                public class MultiStepLR : LRScheduler
                {
                    private readonly double gamma;
                    private readonly IList<int> milestones;

                    public MultiStepLR(Optimizer optimizer, IList<int> milestones, double gamma = 0.1, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        (this.gamma, this.milestones) = (gamma, milestones);
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => Scaled(Math.Pow(gamma, milestones.Count(m => m <= Epoch)));
                }

                /// <summary>Times gamma every step.</summary>
                public class ExponentialLR : LRScheduler
                {
                    private readonly double gamma;

                    public ExponentialLR(Optimizer optimizer, double gamma = 0.1, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        this.gamma = gamma;
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => Scaled(Math.Pow(gamma, Epoch));
                }

                /// <summary>Down to 0 along a power of the steps left.</summary>
                public class PolynomialLR : LRScheduler
                {
                    private readonly double power;
                    private readonly int length;

                    public PolynomialLR(Optimizer optimizer, int total_iters = 5, double power = 1, int last_epoch = -1, bool verbose = false) : base(optimizer, last_epoch, verbose)
                    {
                        (length, this.power) = (total_iters, power);
                        Begin();
                    }

                    protected override IEnumerable<double> get_lr() => Scaled(Math.Pow(1 - (double)Math.Min(Epoch, length) / length, power));
                }
            }
        }
    }
}
