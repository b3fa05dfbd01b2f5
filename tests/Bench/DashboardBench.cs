using System.Diagnostics;
using System.Globalization;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.SaeFeatures;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Bench;

/// <summary>
/// What describing features takes, without a peer: reading responses at their ends and sentence ends through a small SARM model, and the dashboards of 2,048 latents over 100,000 contexts, the model's pass not
/// counted. Made-up codes: 16 of 2,048 a place, some latents far more frequent than others, as trained ones are.
/// </summary>
internal sealed class DashboardBench(bool quick, int threads)
{
    public const string Encode = "encode-at-positions", Dashboards = "dashboards";

    public static readonly IReadOnlyList<string> Cases = [Encode, Dashboards];

    /// <summary>The longest a build of dashboards may take.</summary>
    private const double LimitSeconds = 120;

    private const int Latents = 2_048, Width = 128, K = 16, SentencesEach = 4, PairsEach = 2;

    private int Contexts => quick ? 5_000 : 100_000;
    private int Repetitions => quick ? 1 : 3;

    /// <summary>Runs one case.</summary>
    public BenchRow Run(string name, Action<string> say, CancellationToken stop)
    {
        TrainingProcess.Prepare(threads);
        return name == Encode ? Positions(stop) : Build(say, stop);
    }

    private BenchRow Positions(CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        string[] sentences = ["Yes please, take the bread from the kitchen.", "The mill is old, and nobody minds?", "No, never ask me that again!", "It stands by the river; look for the tower."];
        var tokenizer = new BytePairTokenizer(new BpeTrainer { VocabularySize = 400, SpecialTokens = ChatTemplate.SpecialMarkTokens }.Train(sentences, stop) with { EosToken = "<|end|>", PadToken = "<|pad|>" });
        using var whole = new Llama(new LlamaConfig
        {
            HiddenSize = Width, IntermediateSize = 3 * Width, LayerCount = 4, HeadCount = 4, KeyValueHeadCount = 4, VocabularySize = tokenizer.VocabularySize, ContextLength = 192, TieWordEmbeddings = true,
        }, 1);
        using var sarm = new SarmReward(LlamaWeights.Truncated(whole.Backbone, 2), TopKSae.Fresh(new SaeConfig { Width = Width, Latents = Latents, K = K, Layer = 2 }, 1));
        var random = new SeededRandom(3);
        List<ResponseText> texts = [.. Enumerable.Range(0, quick ? 256 : 4_096).Select(i => new ResponseText("p", [new Turn("user", random.Pick(sentences))],
            string.Join(' ', Enumerable.Range(0, 1 + random.NextInt(SentencesEach)).Select(_ => random.Pick(sentences)))))];
        var reader = new FeatureReader(sarm, tokenizer);
        var positions = reader.Read([.. texts.Take(128)], stop).Count; // warm
        var rates = new List<double>();
        for (var repetition = 0; repetition < Repetitions; repetition++)
        {
            var watch = Stopwatch.StartNew();
            positions = texts.Chunk(1_024).Sum(some => reader.Read(some, stop).Sum(one => one.Places.Count));
            rates.Add(positions / watch.Elapsed.TotalSeconds);
        }
        return new BenchRow { Name = Encode, Ours = PairedRatios.Quantile([.. rates.Order()], 0.5), Unit = "positions/s", Range = (rates.Min(), rates.Max()) };
    }

    private BenchRow Build(Action<string> say, CancellationToken stop)
    {
        var random = new SeededRandom(5);
        var (firings, responses) = (new FeatureFirings(Latents), Contexts / (SentencesEach + 1));
        for (var response = 0; response < responses; response++)
        {
            for (var place = 0; place <= SentencesEach; place++)
            {
                // A square of a uniform number: low latents are frequent, high ones rare.
                var active = new HashSet<int>();
                while (active.Count < K)
                    active.Add((int)(Math.Pow(random.NextDouble(), 2) * Latents));
                firings.Add(new FeaturePlace(response, place == SentencesEach ? ContextPosition.End : ContextPosition.Sentence, 40 * place, 39, random.NextBits() % (ulong)(Contexts / 2)),
                    [.. active], [.. active.Select(_ => (float)(0.05 + 3 * random.NextDouble()))]);
            }
        }
        List<AnnotatorId> people = [.. Enumerable.Range(0, 20).Select(i => AnnotatorId.From(new Guid(i, 0, 0, new byte[8])))];
        List<CodedPair> pairs = [.. Enumerable.Range(0, responses * PairsEach).Select(i => new CodedPair(default, random.NextInt(responses / 2), responses / 2 + random.NextInt(responses / 2), 1, i % 2 == 0))];
        double[] rewards = [.. Enumerable.Range(0, responses).Select(_ => random.NextGaussian())];
        float[] weights = [.. Enumerable.Range(0, Latents).Select(_ => (float)random.NextGaussian())];
        using var decoder = tensor(Enumerable.Range(0, Latents * Width).Select(_ => (float)random.NextGaussian()).ToArray(), [Latents, Width]);
        say($"{Dashboards}: {firings.Places.Count} contexts, {firings.Count} firings");
        var times = new List<double>();
        for (var repetition = 0; repetition < Repetitions; repetition++)
        {
            var watch = Stopwatch.StartNew();
            var built = FeatureDashboards.Build(new DashboardData
            {
                Firings = firings, HeadWeights = weights, Decoder = decoder, Rewards = rewards, Pairs = pairs, Votes = [.. pairs.Select((pair, i) => new PairVote(people[i % people.Count], pair.Chosen, pair.Rejected))],
                ContextsPerFeature = 20, Seed = 1,
            }, firings.ByLatent(), stop);
            times.Add(watch.Elapsed.TotalSeconds);
            if (built.Sum(one => one.FiringAtEnd) != responses * K)
                return new BenchRow { Name = Dashboards, Ours = double.NaN, Unit = "s", Invalid = string.Create(CultureInfo.InvariantCulture, $"{built.Sum(one => one.FiringAtEnd)} firings were counted, {responses * K} are there") };
        }
        return new BenchRow { Name = Dashboards, Ours = PairedRatios.Quantile([.. times.Order()], 0.5), Unit = "s", Limit = LimitSeconds, Range = (times.Min(), times.Max()) };
    }
}
