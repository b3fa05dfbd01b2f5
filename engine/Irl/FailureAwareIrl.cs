using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How failures are used.</summary>
public enum FailureAwareMode
{
    /// <summary>Not at all: the base method, with the list of what it gets wrong.</summary>
    Off,
    /// <summary>They count more. The safe default.</summary>
    Reweight,
    /// <summary>Those that pass a screen count more.</summary>
    Screened,
    /// <summary>They count more and train a correction of their own: the paper's two paths, as we read them.</summary>
    PaperReading,
}

/// <summary>Which base method failure-aware IRL starts from.</summary>
public enum FailureAwareObjective { MaxEntropy, MaxMargin }

/// <summary>Settings of <see cref="FailureAwareIrl"/>. The paper's own are not known to us; these are specs/fairl.md §1.8's.</summary>
public sealed record FailureAwareOptions
{
    public FailureAwareMode Mode { get; init; } = FailureAwareMode.Reweight;

    public FailureAwareObjective Objective { get; init; } = FailureAwareObjective.MaxEntropy;

    /// <summary>τ: share of the median margin below which a pair is a near tie.</summary>
    public double Tau { get; init; } = Failures.DefaultTau;

    /// <summary>w. 3 with a temperature of 0.5 was harmful from 10 % wrong labels on.</summary>
    public double Weight { get; init; } = 1.5;

    /// <summary>T_F of max-entropy; below 1 sharpens.</summary>
    public double FailureTemperature { get; init; } = 1;

    /// <summary>δg of max-margin: how much wider a failure's margin must be.</summary>
    public double ExtraMargin { get; init; } = 1;

    /// <summary>μ: how hard the correction is kept silent on pairs that are no failures.</summary>
    public double Mu { get; init; } = 0.1;

    /// <summary>Rounds of the curriculum at most.</summary>
    public int Rounds { get; init; } = 6;

    public int EpochsARound { get; init; } = 5;

    /// <summary>h of the correction.</summary>
    public int Hidden { get; init; } = 16;

    /// <summary>Null: <see cref="FailureScreen.LogRatio"/> where there are log-ratios, else <see cref="FailureScreen.RepeatSampling"/> where there are repeats, else <see cref="FailureScreen.OutOfFold"/>.</summary>
    public FailureScreen? Screen { get; init; }

    /// <summary>Whether the round with the least hold-out loss is returned, the start included; false: the last one, for study.</summary>
    public bool IsGuarded { get; init; } = true;
}

/// <summary>One round.</summary>
/// <param name="Round">0: before any failure was looked at.</param>
/// <param name="Failing">Failures under the reward this round began with, before any screen.</param>
/// <param name="Admitted">|F_t|, those trained on.</param>
/// <param name="HoldoutNll">Calibrated loss on unseen prompts after the round, nats.</param>
/// <param name="Reward">What the round ended with: ambiguity by round is measured over the runs' rewards.</param>
/// <param name="IsAccepted">Whether it is the one returned.</param>
public sealed record FailureAwareRound(int Round, int Failing, int Misclassified, int NearTies, int ScreenedOut, int Admitted, double HoldoutNll, RecoveredReward Reward, bool IsAccepted);

/// <summary>What a failure-aware run did.</summary>
/// <param name="Screen">Null: none was used.</param>
/// <param name="Rows">Failures of the accepted reward, clear ones first.</param>
public sealed record FailureAwareRun(IReadOnlyList<FailureAwareRound> Rounds, IReadOnlyList<FailureRow> Rows, FailureScreen? Screen)
{
    public FailureAwareRound Accepted => Rounds.Single(round => round.IsAccepted);
}

/// <summary>
/// Failure-aware IRL, our reading of it: after the base method has converged, pairs it gets wrong or hardly tells apart count more, clear errors first.
/// <code>
/// MM:  L = (1/N) [ Σ_{i∉F} max(0, g − m_i) + w Σ_{i∈F} max(0, g + δg − m_i) ]
/// ME:  L = (1/N) [ Σ_{i∉F} softplus(−m_i/T) + w Σ_{i∈F} softplus(−m_i/T_F) ]
/// </code>
/// </summary>
/// <remarks>
/// The paper's text could not be had, so formulas, thresholds and schedule are ours, and every page says so. What is theirs: failures are misclassified pairs and near ties; a base and a correction path;
/// a curriculum from clear to subtle; both objectives.
/// <para>
/// What our simulations say of it (specs/fairl.md §4.4): unscreened it never beat a converged base method overall, since failures of sampled pairs are enriched in wrong labels; with w = 1.5 and the guard
/// it is within 0.006 of it, and gains where a second incentive is rare. Hence the default, and the list of failures is worth having in any case.
/// </para>
/// <para>
/// The guard returns the round with the least calibrated hold-out loss, round 0 included, so that on pairs nobody trained on it is never worse than its base. Source: 2510.06092 (abstract) and specs/fairl.md §1.
/// </para>
/// </remarks>
public sealed class FailureAwareIrl(FailureAwareOptions options) : IIrlMethod
{
    private const double Temperature = 1, Margin = 1;

    public FailureAwareOptions Options => options;

    public string Name => options.Mode switch
    {
        FailureAwareMode.Off => "failure-aware-off",
        FailureAwareMode.Reweight => "failure-aware-reweight",
        FailureAwareMode.Screened => "failure-aware-screened",
        FailureAwareMode.PaperReading => "failure-aware-paper-reading",
    } + (options.Objective is FailureAwareObjective.MaxMargin ? "-max-margin" : "");

    public bool NeedsLogRatios => options is { Mode: FailureAwareMode.Screened, Screen: FailureScreen.LogRatio };

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var train = task.Data.Train;
        var (objective, failing) = Objectives();
        var (theta, trace) = LinearIrl.Train(objective, train, task.Rows, task.Data.Holdout, task.Convergence, random, stop);
        var screen = ScreenOf(task.Data);
        var barred = screen is { } chosen ? FailureScreens.Fixed(chosen, task, objective, random.Split("screen"), stop) : new ScreenReason[train.Count];
        int[] pairs = [.. task.Rows.Distinct().Order()]; // a pair drawn twice is one failure

        var head = options.Mode is FailureAwareMode.PaperReading ? Head.WithCorrection(train, objective, theta, options, random) : Head.Linear(train, objective, theta);
        var started = head.Reward;
        var admittedIn = new int[train.Count];
        List<FailureAwareRound> rounds = [new(0, 0, 0, 0, 0, 0, trace.HoldoutNll, started, false)];
        var training = new HeadTraining(head.Weights, task.Rows, random.Split("rounds"));
        var (risen, still) = (0, 0);
        for (var t = 1; options.Mode is not FailureAwareMode.Off && t <= options.Rounds && risen < 2 && still < 2; t++)
        {
            stop.ThrowIfCancellationRequested();
            var scaled = Scaled(head.Reward, train, pairs);
            int[] all = [.. Enumerable.Range(0, pairs.Length).Where(i => Failures.KindOf(scaled[i], options.Tau) is not FailureKind.None)];
            if (screen is FailureScreen.RepeatSampling)
            {
                var now = head.Reward.Theta; // a screened head has no correction
                foreach (var i in all)
                    barred[pairs[i]] = FailureScreens.BySideMeans(task.Data, pairs[i], now);
            }
            int[] kept = [.. all.Where(i => barred[pairs[i]] is ScreenReason.None)];
            if (kept.Length == 0)
                break;
            var flags = new bool[train.Count];
            var admitted = Failures.Admitted([.. kept.Select(i => scaled[i])], t);
            foreach (var place in admitted)
            {
                var pair = pairs[kept[place]];
                flags[pair] = true;
                if (admittedIn[pair] == 0)
                    admittedIn[pair] = t;
            }
            head.SetFailures(new FailureTerm(flags, failing, options.Weight));
            for (var epoch = 0; epoch < options.EpochsARound; epoch++)
            {
                stop.ThrowIfCancellationRequested();
                training.Epoch(head.Loss);
            }
            var reward = head.Reward;
            var nll = PlattScaling.OfMargins(reward.Margins(task.Data.Holdout)).LogLoss;
            risen = nll > rounds[^1].HoldoutNll ? risen + 1 : 0;
            still = t > 1 && Math.Abs(admitted.Count - rounds[^1].Admitted) < 0.01 * rounds[^1].Admitted ? still + 1 : 0;
            rounds.Add(new FailureAwareRound(t, all.Length, all.Count(i => scaled[i] < 0), all.Count(i => scaled[i] >= 0), all.Length - kept.Length, admitted.Count, nll, reward, false));
        }

        // MinBy takes the first of equals: where a round gained nothing, the start stays.
        var accepted = options.IsGuarded ? rounds.MinBy(round => round.HoldoutNll)! : rounds[^1]; // there is a round 0
        rounds[accepted.Round] = accepted = accepted with { IsAccepted = true };
        return new IrlFit(Name, accepted.Reward, trace) { Failures = new FailureAwareRun(rounds, RowsOf(accepted.Reward, started, train, pairs, admittedIn, barred), screen) };
    }

    private (IPairObjective All, IPairObjective Failing) Objectives() => options.Objective switch
    {
        FailureAwareObjective.MaxEntropy => (new EntropyObjective(Temperature), new EntropyObjective(options.FailureTemperature)),
        FailureAwareObjective.MaxMargin => (new HingeObjective(Margin), new HingeObjective(Margin + options.ExtraMargin)),
    };

    private FailureScreen? ScreenOf(IrlData data) => options.Mode is not FailureAwareMode.Screened ? null
        : options.Screen ?? (data.Train.LogRatios.Any(ratio => ratio is not null) ? FailureScreen.LogRatio : data.RepeatDifference is not null ? FailureScreen.RepeatSampling : FailureScreen.OutOfFold);

    private static double[] Scaled(RecoveredReward reward, PairMatrix train, int[] pairs)
    {
        var margins = reward.Margins(train);
        double[] own = [.. pairs.Select(pair => margins[pair])];
        var scale = Failures.Scale(own);
        return [.. own.Select(margin => margin / scale)];
    }

    private FailureRow[] RowsOf(RecoveredReward reward, RecoveredReward started, PairMatrix train, int[] pairs, int[] admittedIn, ScreenReason[] barred)
    {
        var (margins, baseMargins, before) = (reward.Margins(train), reward.BaseMargins(train), Scaled(started, train, pairs));
        var scale = Failures.Scale(pairs.Select(pair => margins[pair]));
        return
        [
            .. pairs.Select((pair, i) => new FailureRow(pair, Failures.KindOf(margins[pair] / scale, options.Tau), margins[pair] / scale, baseMargins[pair] / scale, before[i], admittedIn[pair], barred[pair]))
                .Where(row => row.Kind is not FailureKind.None || row.Round > 0).OrderBy(row => row.Margin).ThenBy(row => row.Pair),
        ];
    }

    /// <summary>The weights under training, with the loss and the reward they make.</summary>
    private sealed record Head(double[] Weights, BatchLoss Loss, Action<FailureTerm> SetFailures, Func<RecoveredReward> Snapshot)
    {
        /// <summary>A copy that further training does not change.</summary>
        public RecoveredReward Reward => Snapshot();

        public static Head Linear(PairMatrix train, IPairObjective objective, double[] theta)
        {
            var loss = new LinearLoss(train, objective);
            return new Head(theta, loss.Evaluate, term => loss.Failures = term, () => new RecoveredReward((double[])theta.Clone()));
        }

        public static Head WithCorrection(PairMatrix train, IPairObjective objective, double[] theta, FailureAwareOptions options, SeededRandom random)
        {
            var loss = new DualPathLoss(train, objective, options.Hidden, options.Mu, isRouted: true);
            var weights = loss.Start(theta, random);
            return new Head(weights, loss.Evaluate, term => loss.Failures = term, () => loss.Reward(weights));
        }
    }
}
