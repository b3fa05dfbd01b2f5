using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Engine.Audits;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>
/// Rewards that pay for one thing by construction: each is found by exactly its own check, and one that pays for content alone by none. Numbers against brute force: another random generator, other code.
/// </summary>
public sealed class SpuriousChecksTests
{
    private static readonly PlattScaling plain = new(1, 0, 0);

    /// <summary>Weights of the features of <see cref="Planted"/>, and the checks that must find them.</summary>
    [Theory]
    [InlineData("length", "length")]
    [InlineData("marker", "marker_prefix,marker_suffix,marker_both")]
    [InlineData("refuses", "refusal_harmless")]
    [InlineData("agrees", "sycophancy")]
    [InlineData("copies", "prompt_copy")]
    [InlineData("repeats", "repetition")]
    [InlineData("well", "")]
    public void What_is_planted_is_found_by_its_own_check_and_by_no_other(string planted, string expected)
    {
        var report = Compute(World(40), [Reward(planted), Reward(planted, 0.45), Reward(planted, 0.55)]);

        Assert.Equal(expected, string.Join(',', report.Checks.Where(check => check.IsFound).Select(check => check.Key)));
        Assert.Equal(9, report.Checks.Count);
        Assert.All(report.Checks, check => Assert.NotEqual(AuditSpuriousVerdict.NotEnoughEvidence, check.Verdict));
        var of = report.Checks.ToDictionary(check => check.Key);
        if (planted == "length") // every edit adds tokens, and no more than that is seen in them
            Assert.All(report.Checks.Where(check => check.Key is not ("length" or "sycophancy")), check => Assert.Equal(AuditSpuriousVerdict.ByLength, check.Verdict));
        if (planted == "refuses")
            Assert.Equal((AuditSpuriousVerdict.PaidFor, AuditSpuriousWhen.Never), (of["refusal_risky"].Verdict, of["refusal_risky"].When)); // said, and not held against it
        if (planted == "well") // a refusal lacks the content that is paid for
            Assert.Equal(AuditSpuriousVerdict.Punished, of["refusal_harmless"].Verdict);
    }

    /// <summary>Estimates exactly, ends against 20,000 resamples of another generator; 2,000 resamples move an end by about 2 % of the width.</summary>
    [Fact]
    public void Effects_baselines_and_their_intervals_are_those_of_brute_force()
    {
        var world = World(12);
        RecoveredReward[] rewards = [Reward("marker"), Reward("marker", 0.8), new RecoveredReward([0.05, 0.7, 0, 0.5, 0, 0, 0])];
        var check = Compute(world, rewards).Checks.Single(check => check.Key == "marker_both");

        // By hand: the marker is one token on each side, so that every reward rises by its marker weight and two length weights.
        double[][] scores = [.. rewards.Select(reward => world.Texts.Select(text => Planted.Score(reward, text.Prompt, text.Text.Text)).ToArray())];
        double[] spreads = [.. scores.Select(run => Math.Sqrt(run.Select(score => (score - run.Average()) * (score - run.Average())).Average()))];
        var effect = rewards.Select((reward, m) => (reward.Theta[1] + 2 * reward.Theta[0]) / spreads[m]).Average();
        Assert.Equal(effect, check.Effect!.Estimate, 1e-9);
        Assert.Equal((effect, effect), (check.Effect.Low, check.Effect.High), new Near(1e-9)); // the same in every text
        Assert.Equal((12, 24, 12), (check.Prompts, check.Texts, check.Effect.Count));
        var byRun = rewards.Select((reward, m) => (reward.Theta[1] + 2 * reward.Theta[0]) / spreads[m]).ToArray();
        Assert.Equal(Math.Sqrt(byRun.Sum(own => (own - effect) * (own - effect)) / 2), check.RunDeviation!.Value, 1e-9);

        // The slope over length within prompts, times two tokens.
        var rows = world.Texts.Select((text, i) => (text.Prompt.Key, Length: (double)Planted.Tokens(text.Text.Text), Reward: scores.Select((run, m) => (run[i] - run.Average()) / spreads[m]).Average())).ToArray();
        var prompts = rows.GroupBy(row => row.Key).Select(prompt => prompt.ToArray()).ToArray();
        Assert.Equal(2 * Slope(prompts), check.Baseline!.Estimate, 1e-9);
        Assert.Equal(effect - 2 * Slope(prompts), check.Excess!.Estimate, 1e-9);
        var random = new Random(5);
        double[] drawn = [.. Enumerable.Range(0, 20_000).Select(_ => 2 * Slope([.. Enumerable.Range(0, prompts.Length).Select(_ => prompts[random.Next(prompts.Length)])])).Order()];
        var width = check.Baseline.High - check.Baseline.Low;
        Assert.Equal((drawn[500], drawn[19_500]), (check.Baseline.Low, check.Baseline.High), new Near(0.06 * width));
        Assert.Equal(effect - check.Baseline.High, check.Excess.Low, 0.06 * width);
    }

    /// <summary>An effect that differs from text to text: the mean over prompts, with the t test of their means by closed form.</summary>
    [Fact]
    public void A_refusal_is_compared_with_the_answers_that_do_not_refuse()
    {
        var world = World(20, refusing: 5);
        var check = Compute(world, [Reward("refuses")]).Checks.Single(check => check.Key == "refusal_harmless");

        var harmless = world.Texts.Where(text => text.Prompt.Tags.Contains("plain") && world.Pairs.Any(pair => pair.AuditedText == text.Text.Id || pair.BaseText == text.Text.Id)).ToArray();
        var answers = harmless.Where(text => !PhraseLists.Shipped.Refusal.Match(text.Text.Text)).ToArray();
        Assert.True(harmless.Length > answers.Length);
        Assert.Equal((answers.Length, harmless.Length - answers.Length), (check.Texts, check.LeftOut));
        var reward = Reward("refuses");
        double[] all = [.. world.Texts.Select(text => Planted.Score(reward, text.Prompt, text.Text.Text))];
        var spread = Math.Sqrt(all.Select(score => (score - all.Average()) * (score - all.Average())).Average());
        var effects = answers.Select(text => (text.Prompt.Key, Effect: (1 - Planted.Score(reward, text.Prompt, text.Text.Text)) / spread)).ToArray(); // a refusal has nothing but its weight of 1
        Assert.Equal(effects.Average(effect => effect.Effect), check.Effect!.Estimate, 1e-9);
        double[] means = [.. effects.GroupBy(effect => effect.Key).Select(prompt => prompt.Average(effect => effect.Effect))];
        var t = means.Average() / Math.Sqrt(means.Sum(mean => (mean - means.Average()) * (mean - means.Average())) / (means.Length - 1) / means.Length);
        Assert.Equal(1 - StudentT.Within(t, means.Length - 1), check.P!.Value, 1e-9);
        var random = new Random(7);
        var groups = effects.GroupBy(effect => effect.Key).Select(prompt => prompt.Select(effect => effect.Effect).ToArray()).ToArray();
        double[] drawn = [.. Enumerable.Range(0, 20_000).Select(_ => Enumerable.Range(0, groups.Length).SelectMany(_ => groups[random.Next(groups.Length)]).Average()).Order()];
        Assert.Equal((drawn[500], drawn[19_500]), (check.Effect.Low, check.Effect.High), new Near(0.06 * (check.Effect.High - check.Effect.Low)));
    }

    /// <summary>Two runs that differ in the marker's weight alone: apart by 2 over the common spread, in marked texts only.</summary>
    [Fact]
    public void A_marker_that_the_runs_weigh_differently_makes_them_less_sure()
    {
        var world = World(10);
        var check = Compute(world, [Reward("marker"), new RecoveredReward([0, 3, 0, 0.5, 0, 0, 0])]).Checks.Single(check => check.Key == "marker_prefix");

        double[] all = [.. world.Texts.Select(text => Planted.Score(Reward("marker"), text.Prompt, text.Text.Text))];
        var variance = all.Select(score => (score - all.Average()) * (score - all.Average())).Average();
        Assert.Equal(2 / variance, check.Variance!.Estimate, 1e-9); // the sample variance of 1 and 3 is 2
        var byId = world.Texts.ToDictionary(text => text.Text.Id);
        double Margin(AuditPair pair) => Planted.Score(Reward("marker"), byId[pair.AuditedText].Prompt, byId[pair.AuditedText].Text.Text) - Planted.Score(Reward("marker"), byId[pair.BaseText].Prompt, byId[pair.BaseText].Text.Text);
        Assert.Equal(world.Pairs.Average(pair => Information(Margin(pair) + 1, Margin(pair) + 3)), check.Information!.Estimate, 1e-9); // unmarked, both runs say the same
        Assert.Null(Compute(world, [Reward("marker")]).Checks.Single(own => own.Key == "marker_prefix").Variance); // one run
        Assert.Null(Compute(world, [Reward("marker")]).Checks.Single(own => own.Key == "prompt_copy").Information);

        static double Information(double a, double b) => Entropy((Sigmoid(a) + Sigmoid(b)) / 2) - (Entropy(Sigmoid(a)) + Entropy(Sigmoid(b))) / 2;
        static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
        static double Entropy(double p) => -p * Math.Log(p) - (1 - p) * Math.Log(1 - p);
    }

    [Fact]
    public void Length_pairs_are_counted()
    {
        var world = World(40);
        var length = Compute(world, [Reward("length")]).Length;

        var byId = world.Texts.ToDictionary(text => text.Text.Id, text => Planted.Tokens(text.Text.Text));
        var sizes = world.Pairs.Select(pair => (A: byId[pair.AuditedText], B: byId[pair.BaseText])).ToArray();
        Assert.Equal(40, length.Pairs);
        Assert.Equal(sizes.Count(pair => Math.Abs(pair.A - pair.B) <= 2 || 10 * Math.Abs(pair.A - pair.B) <= Math.Max(pair.A, pair.B)), length.Matched);
        Assert.Equal(sizes.Average(pair => pair.A > pair.B ? 1 : pair.A == pair.B ? 0.5 : 0), length.Longer!.Estimate, 1e-12);
        Assert.Equal(length.Longer.Estimate, length.Accuracy!.Estimate, 1e-12); // it is a reward of length
    }

    [Theory]
    [InlineData(MetricNames.PromptsForInterval - 1, false)]
    [InlineData(MetricNames.PromptsForInterval, true)]
    public void Too_few_prompts_are_no_evidence(int prompts, bool isEnough)
    {
        var report = Compute(World(prompts), [Reward("marker"), Reward("marker", 0.7)]);

        Assert.Equal(isEnough, report.Checks.Single(check => check.Key == "marker_both").IsFound);
        var risky = report.Checks.Single(check => check.Key == "refusal_risky"); // half of the prompts
        Assert.Equal((AuditSpuriousVerdict.NotEnoughEvidence, null, null, null), (risky.Verdict, risky.Effect, risky.P, risky.HolmP));
        Assert.NotEmpty(risky.Examples); // the twins are there to be looked at
        if (isEnough)
            return;
        Assert.All(report.Checks, check => Assert.Equal((AuditSpuriousVerdict.NotEnoughEvidence, null, null, null, null), (check.Verdict, check.Effect, check.Baseline, check.Excess, check.P)));
        Assert.Equal((0, null, null), (report.Tested, report.Length.Longer, report.Length.Accuracy));
    }

    [Fact]
    public void Runs_that_do_not_agree_and_lengths_that_never_differ_are_said()
    {
        Assert.Equal((AuditSpuriousVerdict.SignFlips, 1), Compute(World(20), [Weighing(6), Weighing(-1), Weighing(-1)]).Checks.Where(check => check.Key == "marker_suffix").Select(check => (check.Verdict, check.SameSign)).Single());
        var same = World(20, words: 6);
        var check = Compute(same, [Reward("marker")]).Checks.Single(check => check.Key == "marker_suffix");
        Assert.Equal((AuditSpuriousVerdict.NotEnoughEvidence, null), (check.Verdict, check.Baseline));
        Assert.NotNull(check.Effect);

        static RecoveredReward Weighing(double marker) => new([0, marker, 0, 0.5, 0, 0, 0]);
    }

    [Theory]
    [InlineData(0.5, 0.2, 0.01, 3, null, AuditSpuriousVerdict.PaidFor)]
    [InlineData(-0.5, -0.4, 0.01, 3, null, AuditSpuriousVerdict.Punished)]
    [InlineData(0.5, 0.05, 0.01, 3, null, AuditSpuriousVerdict.ByLength)] // 0.05 ± 0.1
    [InlineData(0.5, -0.4, 0.01, 3, null, AuditSpuriousVerdict.ByLength)] // length would do more
    [InlineData(0.5, 0.5, 0.01, 3, 0.0, AuditSpuriousVerdict.ByLength)] // other words do as much
    [InlineData(0.5, 0.5, 0.01, 3, 0.3, AuditSpuriousVerdict.PaidFor)]
    [InlineData(0.15, 0.15, 0.01, 3, null, AuditSpuriousVerdict.Small)]
    [InlineData(0.5, 0.5, 0.05, 3, null, AuditSpuriousVerdict.NotDetectable)]
    [InlineData(0.5, 0.5, 0.01, 1, null, AuditSpuriousVerdict.SignFlips)]
    [InlineData(0.0, 0.0, 0.0, 3, null, AuditSpuriousVerdict.NotDetectable)]
    public void A_verdict_needs_all_of_its_rules(double effect, double excess, double holm, int same, double? overControl, AuditSpuriousVerdict expected)
    {
        var check = new AuditSpuriousCheck
        {
            Key = "repetition", When = AuditSpuriousWhen.PaidFor, Verdict = AuditSpuriousVerdict.NotEnoughEvidence, Prompts = 20, Texts = 40, LeftOut = 0, HolmP = holm, SameSign = same, Effect = Around(effect), Excess = Around(excess),
            OverControl = overControl is { } over ? Around(over) : null,
        };

        Assert.Equal(expected, SpuriousChecks.Judge(check, 3, 0.2));

        static AuditInterval Around(double value) => new(value, value - 0.1, value + 0.1, 0.95, 20);
    }

    [Fact]
    public void The_same_seed_gives_the_same_numbers_and_no_more_prompts_than_stated_get_twins()
    {
        var world = World(SpuriousChecks.PromptsMax + 3);
        var told = new List<(int, int)>();
        var first = SpuriousChecks.Compute(Inputs(world, [Reward("marker")]), new SeededRandom(4), (done, all) => told.Add((done, all)), CancellationToken.None);

        Assert.Equal(System.Text.Json.JsonSerializer.Serialize(first), System.Text.Json.JsonSerializer.Serialize(Compute(world, [Reward("marker")])));
        Assert.Equal(SpuriousChecks.PromptsMax, first.Checks.Single(check => check.Key == "marker_both").Prompts);
        Assert.Equal(SpuriousChecks.PromptsMax + 3, first.Length.Pairs);
        Assert.Equal((SpuriousChecks.PromptsMax, SpuriousChecks.PromptsMax), told[^1]);
        Assert.Throws<ArgumentException>(() => Compute(world, []));
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        Assert.Throws<OperationCanceledException>(() => SpuriousChecks.Compute(Inputs(world, [Reward("marker")]), new SeededRandom(4), null, stopped.Token));
    }

    private static double Slope((string Key, double Length, double Reward)[][] prompts)
    {
        double xy = 0, xx = 0;
        foreach (var prompt in prompts)
        {
            var mean = prompt.Average(row => row.Length);
            (xy, xx) = (xy + prompt.Sum(row => (row.Length - mean) * row.Reward), xx + prompt.Sum(row => (row.Length - mean) * (row.Length - mean)));
        }
        return xy / xx;
    }

    private sealed class Near(double tolerance) : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) x, (double, double) y) => Math.Abs(x.Item1 - y.Item1) <= tolerance && Math.Abs(x.Item2 - y.Item2) <= tolerance;

        public int GetHashCode((double, double) obj) => 0;
    }

    /// <summary>Pays 1 for a feature and a little for content, so that real texts differ.</summary>
    private static RecoveredReward Reward(string planted, double content = 0.5)
    {
        var theta = new double[Planted.All.Length];
        if (planted != "length")
            theta[Array.IndexOf(Planted.All, "well")] = content;
        theta[Array.IndexOf(Planted.All, planted)] = planted == "well" ? content : 1;
        return new RecoveredReward(theta);
    }

    private static AuditSpuriousChecks Compute(SpuriousInputs world, IReadOnlyList<RecoveredReward> rewards) => SpuriousChecks.Compute(Inputs(world, rewards), new SeededRandom(4), null, CancellationToken.None);

    private static SpuriousInputs Inputs(SpuriousInputs world, IReadOnlyList<RecoveredReward> rewards) => world with { Runs = [.. rewards.Select(reward => new CheckedRun(reward, plain))] };

    /// <summary>Prompts with two texts of each policy: length, content and the rest are drawn independently.</summary>
    /// <param name="refusing">Every so many-th text is a refusal; 0: none.</param>
    /// <param name="words">Of every text; 0: drawn.</param>
    private static SpuriousInputs World(int prompts, int refusing = 0, int words = 0)
    {
        var random = new Random(11);
        var features = new Planted();
        List<CheckedText> texts = [];
        List<AuditPair> pairs = [];
        for (var i = 0; i < prompts; i++)
        {
            var prompt = new AuditPrompt($"p{i}", $"k{i}", [new Turn("user", $"kindly say something regarding item {i} today")], [i % 2 == 0 ? "risky" : "plain"], AuditPart.Test);
            foreach (var side in new[] { AuditSide.Audited, AuditSide.Base })
            {
                for (var ordinal = 0; ordinal < 2; ordinal++)
                {
                    var said = refusing > 0 && texts.Count % refusing == 0 ? "I can't help." : $"{Words(random, words > 0 ? words / 2 : 4 + random.Next(6))}. {Words(random, words > 0 ? words / 2 : 4 + random.Next(6))}.";
                    if (!said.StartsWith('I') && random.Next(2) == 0)
                        said = "well" + said[said.IndexOf(' ', StringComparison.Ordinal)..]; // in place of a word: content says nothing about length
                    var text = SmallAudit.Text(prompt.Id, side, ordinal, said, part: AuditPart.Test);
                    texts.Add(new CheckedText(prompt, text, features.Read(prompt, text)));
                }
            }
            pairs.Add(new AuditPair(prompt.Id, AuditPart.Test, $"p{i}/Audited/0", $"p{i}/Base/0"));
        }
        return new SpuriousInputs
        {
            Texts = texts, Pairs = pairs, Features = features, Scale = new FeatureScale([.. Planted.All.Select(_ => 0.0)], [.. Planted.All.Select(_ => 1.0)]), Runs = [], Tokens = Planted.Tokens, IsRisky = prompt => prompt.Tags.Contains("risky"),
            Phrases = PhraseLists.Shipped,
        };
    }

    private static string Words(Random random, int count) => string.Join(' ', Enumerable.Range(0, count).Select(_ => $"w{random.Next(500)}"));

    /// <summary>Features that a reward can pay for, each read in its own plain way.</summary>
    private sealed class Planted : ITextFeatures
    {
        public static readonly string[] All = ["length", "marker", "refuses", "well", "agrees", "copies", "repeats"];

        public IReadOnlyList<string> Names => All;

        public float[] Read(AuditPrompt prompt, AuditText text) => Of(prompt, text.Text);

        public static int Tokens(string text) => text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Length;

        public static double Score(RecoveredReward reward, AuditPrompt prompt, string text) => Of(prompt, text).Select((value, j) => value * reward.Theta[j]).Sum();

        private static float[] Of(AuditPrompt prompt, string text)
        {
            string[] words = text.ToLowerInvariant().Split([' ', '\n', '.', ','], StringSplitOptions.RemoveEmptyEntries);
            var threes = words.Skip(2).Select((word, i) => (words[i], words[i + 1], word)).ToArray();
            return [Tokens(text), Is(text.Contains("xqz", StringComparison.Ordinal)), Is(PhraseLists.Shipped.Refusal.Match(text)), Is(words.Contains("well")), Is(PhraseLists.Shipped.Agreement.Match(text)),
                Is(text.Contains(prompt.Turns[^1].Content, StringComparison.Ordinal)), Is(threes.Distinct().Count() < threes.Length)];
        }

        private static float Is(bool holds) => holds ? 1 : 0;
    }
}
