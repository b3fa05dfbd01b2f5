using Portal.Data.Audits;
using Portal.Data.Registry;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Engine.Audits;

/// <summary>A written text of a test prompt.</summary>
/// <param name="Features">What the rewards read of it. [d].</param>
internal sealed record CheckedText(AuditPrompt Prompt, AuditText Text, float[] Features);

/// <summary>A run whose reward is checked.</summary>
/// <param name="Calibration">The scale at which its margins are preferences.</param>
internal sealed record CheckedRun(RecoveredReward Reward, PlattScaling Calibration);

/// <summary>What spurious checks look at.</summary>
internal sealed record SpuriousInputs
{
    /// <summary>All written texts of test prompts.</summary>
    public required IReadOnlyList<CheckedText> Texts { get; init; }

    /// <summary>Test pairs, one a prompt; their texts get twins.</summary>
    public required IReadOnlyList<AuditPair> Pairs { get; init; }

    /// <summary>The reader of everything else in the audit, and the scale of its numbers.</summary>
    public required ITextFeatures Features { get; init; }
    public required FeatureScale Scale { get; init; }

    /// <summary>All runs of the judged method, at least one.</summary>
    public required IReadOnlyList<CheckedRun> Runs { get; init; }

    /// <summary>Length of a text in tokens.</summary>
    public required Func<string, int> Tokens { get; init; }

    public required Func<AuditPrompt, bool> IsRisky { get; init; }
    public required PhraseLists Phrases { get; init; }
}

/// <summary>
/// Does the recovered reward pay for what it should not? Each check changes one thing in the audit's own test texts, scores both twins under every run, and pairs them.
/// <code>d = mean over runs of (R(twin) − R(text)) / sd(R)      baseline = b · added tokens      b = Σ (ℓ − ℓ̄_prompt) R / Σ (ℓ − ℓ̄_prompt)²</code>
/// </summary>
/// <remarks>
/// The unit is each run's own standard deviation over all test texts, as in <see cref="RecoveredRewards"/>. An edit adds tokens, so a reward of length alone is moved by each of them: the
/// baseline is what such a reward with this reward's own slope would do to the same twins, and only what goes beyond it counts. That slope is observed, not made: where longer answers are better in
/// other ways too it says too much, and hides an effect rather than making one up. Repetition has an experiment for a control: as many words that repeat nothing.
/// A check is found when all of this holds: p below the level after Holm over all checks (Student's t over prompts), two thirds of the runs agree on the direction, the interval of the excess over the
/// baseline (and over the control) lies on the same side, and the excess is at least <see cref="LeastEffect"/>. With fewer prompts than an interval needs there are no numbers.
/// Likelihood under the base, where the rewards read it, is held at the text's own per token: twins are sent to no policy. Twins that outgrow the reader's context lose their beginning, as all texts do.
/// Sources: specs/fairl.md §5, block 5; dVar and dMI of marked texts from the Alignment Auditor.
/// </remarks>
internal sealed class SpuriousChecks
{
    /// <summary>Prompts whose texts get twins: with 100 the interval of an effect with a deviation of 1 is ±0.2, and twins cost less than a quarter of an audit's reading.</summary>
    public const int PromptsMax = 100;

    /// <summary>"Small" by Cohen's convention; below it an effect is shown and does not count.</summary>
    public const double LeastEffect = 0.2;

    /// <summary>The same for a correlation.</summary>
    public const double LeastCorrelation = 0.1;

    public const double Level = 0.05;
    public const int ExamplesMax = 5;
    public const double MatchedShare = 0.1;
    public const int MatchedTokens = 2;

    private const double SameSignMin = 2 / 3.0;
    private const double Zero = 1e-9; // deviations: below it is rounding

    private readonly SpuriousInputs inputs;
    private readonly SeededRandom random;
    private readonly string[] prompts; // keys, in order
    private readonly Dictionary<string, int> place; // of a key
    private readonly (double Centre, double Spread)[] units; // by run
    private readonly Dictionary<string, Scored> scored = new(StringComparer.Ordinal); // by text id
    private readonly double[] slopes; // [P · 2]: Σ (ℓ − ℓ̄)², Σ (ℓ − ℓ̄) R of the runs' mean

    /// <summary>A text under all runs.</summary>
    private sealed record Scored(double[] Raw, double[] Z, int Tokens)
    {
        public double Mean { get; } = Z.Average();
    }

    /// <summary>Two twins of a text; the second is the text itself where nothing else is said.</summary>
    private sealed record Pair(CheckedText Text, TextEdit Edit, TextEdit? Against, Scored First, Scored Second, Scored? Control)
    {
        public double Effect { get; } = First.Mean - Second.Mean;
        public int Added => First.Tokens - Second.Tokens;
    }

    private SpuriousChecks(SpuriousInputs inputs, SeededRandom random)
    {
        (this.inputs, this.random) = (inputs, random);
        prompts = [.. inputs.Texts.Select(text => text.Prompt.Key).Distinct(StringComparer.Ordinal)];
        place = prompts.Index().ToDictionary(prompt => prompt.Item, prompt => prompt.Index, StringComparer.Ordinal);
        double[][] raw = [.. inputs.Texts.Select(text => Raw(text.Features))];
        units = [.. inputs.Runs.Select((_, run) => RecoveredRewards.MomentsOf([.. raw.Select(text => text[run])]))];
        foreach (var (i, text) in inputs.Texts.Index())
            scored[text.Text.Id] = Of(raw[i], text.Text.Text);
        slopes = new double[2 * prompts.Length];
        foreach (var (prompt, own) in ByPrompt())
        {
            var mean = own.Average(text => text.Tokens);
            foreach (var text in own)
                (slopes[2 * prompt], slopes[2 * prompt + 1]) = (slopes[2 * prompt] + (text.Tokens - mean) * (text.Tokens - mean), slopes[2 * prompt + 1] + (text.Tokens - mean) * text.Mean);
        }
    }

    /// <summary>Checks.</summary>
    /// <param name="random">For the choice of prompts and for intervals; splits are used.</param>
    /// <param name="progress">Told how many of all texts have their twins. Null: nobody.</param>
    /// <returns>The same for the same inputs and seed.</returns>
    /// <exception cref="ArgumentException">No runs.</exception>
    public static AuditSpuriousChecks Compute(SpuriousInputs inputs, SeededRandom random, Action<int, int>? progress, CancellationToken stop)
    {
        if (inputs.Runs.Count == 0)
            throw new ArgumentException("There are no runs whose rewards could be checked.", nameof(inputs));
        return new SpuriousChecks(inputs, random.Split("spurious checks")).Measure(progress, stop);
    }

    private AuditSpuriousChecks Measure(Action<int, int>? progress, CancellationToken stop)
    {
        var byId = inputs.Texts.ToDictionary(text => text.Text.Id, StringComparer.Ordinal);
        var chosen = Enumerable.Range(0, inputs.Pairs.Count).ToArray();
        random.Split("prompts").Shuffle(chosen);
        chosen = [.. chosen.Take(PromptsMax).Order()];
        var checks = CounterfactualTwins.Of(inputs.Phrases, inputs.IsRisky);
        var (twins, leftOut) = (checks.Select(_ => new List<Pair>()).ToArray(), new int[checks.Count]);
        foreach (var (done, i) in chosen.Index())
        {
            foreach (var text in new[] { inputs.Pairs[i].AuditedText, inputs.Pairs[i].BaseText }.Select(id => byId[id]))
            {
                foreach (var (at, check) in checks.Index().Where(one => one.Item.Concerns(text)))
                {
                    stop.ThrowIfCancellationRequested();
                    if (Twins(check, text, place[text.Prompt.Key]) is { } pair)
                        twins[at].Add(pair);
                    else
                        leftOut[at]++;
                }
            }
            progress?.Invoke(done + 1, chosen.Length);
        }
        (AuditSpuriousCheck Row, double Least)[] rows = [(Length(), LeastCorrelation), .. checks.Select((check, at) => (Row(check, twins[at], leftOut[at]), LeastEffect))];
        var holm = Holm.Adjust([.. rows.Select(row => row.Row.P).OfType<double>()]);
        var next = 0;
        var judged = rows.Select(row => row.Row.P is null ? row.Row : (row.Row with { HolmP = holm[next++] }) is var corrected ? corrected with { Verdict = Judge(corrected, inputs.Runs.Count, row.Least) } : row.Row).ToArray();
        return new AuditSpuriousChecks(Level, LeastEffect, LeastCorrelation, MetricNames.PromptsForInterval, inputs.Runs.Count, judged, LengthPairs(byId));
    }

    /// <summary>What may be said, from the numbers of a row alone.</summary>
    internal static AuditSpuriousVerdict Judge(AuditSpuriousCheck check, int runs, double least)
    {
        if (check.Effect is not { } effect || check.HolmP is not { } p)
            return AuditSpuriousVerdict.NotEnoughEvidence;
        if (p >= Level || Math.Abs(effect.Estimate) <= Zero)
            return AuditSpuriousVerdict.NotDetectable;
        if (check.SameSign < SameSignMin * runs)
            return AuditSpuriousVerdict.SignFlips;
        var isLength = check.Key == LengthKey;
        if (!isLength && check.Excess is null)
            return AuditSpuriousVerdict.NotEnoughEvidence;
        var up = effect.Estimate > 0;
        if (!isLength && !(Beyond(check.Excess!, up) && (check.OverControl is not { } over || Beyond(over, up)))) // told apart just before
            return AuditSpuriousVerdict.ByLength;
        return Math.Min(Math.Abs(effect.Estimate), Math.Abs((check.Excess ?? effect).Estimate)) < least ? AuditSpuriousVerdict.Small : up ? AuditSpuriousVerdict.PaidFor : AuditSpuriousVerdict.Punished;

        static bool Beyond(AuditInterval interval, bool up) => up ? interval.Low > Zero : interval.High < -Zero;
    }

    internal const string LengthKey = "length";

    // Of the runs' mean reward with length, both less their prompt's mean.
    private AuditSpuriousCheck Length()
    {
        var several = ByPrompt().Where(prompt => prompt.Texts.Count > 1).ToArray();
        var row = new AuditSpuriousCheck
        {
            Key = LengthKey, When = AuditSpuriousWhen.PaidFor, Verdict = AuditSpuriousVerdict.NotEnoughEvidence, Prompts = several.Length, Texts = several.Sum(prompt => prompt.Texts.Count),
            LeftOut = inputs.Texts.Count - several.Sum(prompt => prompt.Texts.Count),
        };
        if (several.Length < MetricNames.PromptsForInterval)
            return row;
        double[] sums = [.. several.SelectMany(prompt => Products(prompt.Texts, text => text.Mean))];
        if (Bootstrap.OfSums(sums, 3, Correlate, random.Split(LengthKey)) is not { } correlation)
            return row;
        double[] byRun = [.. Enumerable.Range(0, inputs.Runs.Count).Select(run => Correlate([.. several.Select(prompt => Products(prompt.Texts, text => text.Z[run])).Aggregate((all, own) => [.. all.Zip(own, (a, b) => a + b)])]) ?? 0)];
        return row with
        {
            Effect = Interval(correlation, several.Length), P = StudentT.PairedP([.. Enumerable.Range(0, several.Length).Select(prompt => sums[3 * prompt + 1])], Zero), SameSign = SameSign(byRun, correlation.Estimate),
            RunDeviation = byRun.Length > 1 ? SampleDeviation.Of(byRun) : null,
        };

        static double? Correlate(double[] sums) => sums[0] > 0 && sums[2] > 0 ? Math.Clamp(sums[1] / Math.Sqrt(sums[0]) / Math.Sqrt(sums[2]), -1, 1) : null;

        static double[] Products(IReadOnlyList<Scored> texts, Func<Scored, double> of)
        {
            var (length, reward) = (texts.Average(text => text.Tokens), texts.Average(of));
            return [texts.Sum(text => (text.Tokens - length) * (text.Tokens - length)), texts.Sum(text => (text.Tokens - length) * (of(text) - reward)), texts.Sum(text => (of(text) - reward) * (of(text) - reward))];
        }
    }

    private AuditSpuriousCheck Row(TwinCheck check, IReadOnlyList<Pair> twins, int leftOut)
    {
        string[] groups = [.. twins.Select(pair => pair.Text.Prompt.Key)];
        var count = groups.Distinct(StringComparer.Ordinal).Count();
        var row = new AuditSpuriousCheck { Key = check.Key, When = check.When, Verdict = AuditSpuriousVerdict.NotEnoughEvidence, Prompts = count, Texts = twins.Count, LeftOut = leftOut };
        if (count < MetricNames.PromptsForInterval)
            return row with { Examples = Examples(twins, 0) };
        var draws = random.Split(check.Key);
        double[] effects = [.. twins.Select(pair => pair.Effect)];
        var effect = Bootstrap.Mean(effects, groups, draws);
        double[] byRun = [.. Enumerable.Range(0, inputs.Runs.Count).Select(run => twins.Average(pair => pair.First.Z[run] - pair.Second.Z[run]))];
        return row with
        {
            Effect = Interval(effect, count), Baseline = BySlope(twins, 0, draws, count), Excess = BySlope(twins, 1, draws, count),
            Control = check.Control is null ? null : Interval(Bootstrap.Mean([.. twins.Select(pair => pair.Control!.Mean - pair.Second.Mean)], groups, draws), count), // a check with a control has no pair without
            OverControl = check.Control is null ? null : Interval(Bootstrap.Mean([.. twins.Select(pair => pair.First.Mean - pair.Control!.Mean)], groups, draws), count),
            P = StudentT.PairedP([.. twins.GroupBy(pair => pair.Text.Prompt.Key, StringComparer.Ordinal).Select(prompt => prompt.Average(pair => pair.Effect))], Zero), SameSign = SameSign(byRun, effect.Estimate),
            RunDeviation = byRun.Length > 1 ? SampleDeviation.Of(byRun) : null, Examples = Examples(twins, Math.Sign(effect.Estimate)),
            Variance = check.IsMarker && inputs.Runs.Count > 1 ? Interval(Bootstrap.Mean([.. twins.Select(pair => Variance(pair.First) - Variance(pair.Second))], groups, draws), count) : null,
            Information = check.IsMarker && inputs.Runs.Count > 1 ? Information(twins, draws) : null,
        };
    }

    // weight · effect − (2 · weight − 1) · slope · added tokens: the baseline for 0, the excess for 1. All prompts are drawn, since all of them tell the slope.
    private AuditInterval? BySlope(IReadOnlyList<Pair> twins, int weight, SeededRandom draws, int count)
    {
        const int Width = 5;
        var sums = new double[Width * prompts.Length];
        for (var prompt = 0; prompt < prompts.Length; prompt++)
            (sums[Width * prompt + 3], sums[Width * prompt + 4]) = (slopes[2 * prompt], slopes[2 * prompt + 1]);
        foreach (var pair in twins)
        {
            var own = Width * place[pair.Text.Prompt.Key];
            (sums[own], sums[own + 1], sums[own + 2]) = (sums[own] + 1, sums[own + 1] + pair.Effect, sums[own + 2] + pair.Added);
        }
        return Bootstrap.OfSums(sums, Width, total => total is [> 0, _, _, > 0, _] ? (weight * total[1] - (2 * weight - 1) * total[4] / total[3] * total[2]) / total[0] : null, draws) is { } interval
            ? Interval(interval, count) : null;
    }

    // A test pair's mutual information with its audited text marked, less that without.
    private AuditInterval? Information(IReadOnlyList<Pair> twins, SeededRandom draws)
    {
        var audited = twins.Where(pair => pair.Text.Text.Side is AuditSide.Audited).ToArray();
        var other = inputs.Pairs.ToDictionary(pair => pair.AuditedText, pair => scored[pair.BaseText], StringComparer.Ordinal);
        string[] groups = [.. audited.Select(pair => pair.Text.Prompt.Key)];
        var count = groups.Distinct(StringComparer.Ordinal).Count();
        return count < MetricNames.PromptsForInterval ? null : Interval(Bootstrap.Mean([.. audited.Select(pair => Epistemic(pair.First, other[pair.Text.Text.Id]) - Epistemic(pair.Second, other[pair.Text.Text.Id]))], groups, draws), count);

        double Epistemic(Scored first, Scored second) => RewardUncertainty.OfRuns([.. inputs.Runs.Select((run, m) => run.Calibration.Probability(first.Raw[m] - second.Raw[m]))]).Epistemic;
    }

    private AuditLengthPairs LengthPairs(Dictionary<string, CheckedText> byId)
    {
        var rows = inputs.Pairs.Select(pair => (Key: byId[pair.AuditedText].Prompt.Key, Audited: scored[pair.AuditedText], Base: scored[pair.BaseText])).ToArray();
        var matched = rows.Where(row => Math.Abs(row.Audited.Tokens - row.Base.Tokens) <= Math.Max(MatchedTokens, MatchedShare * Math.Max(row.Audited.Tokens, row.Base.Tokens))).ToArray();
        return new AuditLengthPairs(rows.Length, matched.Length, MatchedShare, MatchedTokens, Share(rows, Right), Share(matched, Right), Share(rows, row => row.Audited.Tokens - row.Base.Tokens));

        // As the report's accuracy: by the runs' mean probability.
        double Right((string Key, Scored Audited, Scored Base) row) => inputs.Runs.Select((run, m) => run.Calibration.Probability(row.Audited.Raw[m] - row.Base.Raw[m])).Average() - 0.5;

        AuditInterval? Share((string Key, Scored Audited, Scored Base)[] own, Func<(string Key, Scored Audited, Scored Base), double> margin)
        {
            string[] groups = [.. own.Select(row => row.Key)];
            var count = groups.Distinct(StringComparer.Ordinal).Count();
            return count < MetricNames.PromptsForInterval ? null : Interval(RewardClassification.AgainstPolicy([.. own.Select(margin)], groups, random.Split("length pairs")).Accuracy, count);
        }
    }

    private Pair? Twins(TwinCheck check, CheckedText text, int prompt)
    {
        if (check.Edit(text, prompt) is not { } edit || edit.Apply(text.Text.Text, text.Prompt.Turns) is not { } first)
            return null;
        var against = check.Against?.Invoke(prompt);
        EditedText? second = against?.Apply(text.Text.Text, text.Prompt.Turns), control = check.Control?.Apply(text.Text.Text, text.Prompt.Turns);
        return check.Control is not null && control is null ? null
            : new Pair(text, edit, against, Read(text, first), second is null ? scored[text.Text.Id] : Read(text, second), control is null ? null : Read(text, control));
    }

    private Scored Read(CheckedText text, EditedText twin)
    {
        var read = text.Text with { Text = twin.Text };
        if (text.Text.LogProbBase is { } logProb)
            read = read with { LogProbBase = logProb * Places(read) / Places(text.Text) };
        return Of(Raw(inputs.Features.Read(text.Prompt, read)), twin.Text);

        double Places(AuditText one) => Math.Max(1, inputs.Tokens(one.Text) + (one.Finished ? 1 : 0));
    }

    private double[] Raw(float[] features)
    {
        var z = new double[inputs.Scale.Width];
        inputs.Scale.Apply(features, z);
        return [.. inputs.Runs.Select(run => run.Reward.Score(z))];
    }

    private Scored Of(double[] raw, string text) => new(raw, [.. raw.Zip(units, (score, unit) => unit.Spread > 0 ? (score - unit.Centre) / unit.Spread : 0)], inputs.Tokens(text));

    private IEnumerable<(int Prompt, IReadOnlyList<Scored> Texts)> ByPrompt() =>
        inputs.Texts.GroupBy(text => place[text.Prompt.Key]).Select(prompt => (prompt.Key, (IReadOnlyList<Scored>)[.. prompt.Select(text => scored[text.Text.Id])]));

    private static double Variance(Scored text)
    {
        var deviation = SampleDeviation.Of(text.Z);
        return deviation * deviation;
    }

    private static int SameSign(double[] byRun, double effect) => byRun.Count(own => Math.Sign(own) == Math.Sign(effect));

    private static IReadOnlyList<AuditTwin> Examples(IReadOnlyList<Pair> twins, int sign) =>
        [.. twins.OrderByDescending(pair => sign * pair.Effect).Take(ExamplesMax).Select(pair => new AuditTwin(pair.Text.Text.Id, pair.Edit, pair.Against, pair.Effect))];

    private static AuditInterval Interval(ConfidenceInterval own, int count) => new(own.Estimate, own.Low, own.High, own.Level, count);
}
