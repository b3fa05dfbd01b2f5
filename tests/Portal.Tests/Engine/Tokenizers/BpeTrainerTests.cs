using System.Text;
using Portal.Engine.Tokenizers;
using Xunit.Abstractions;
using Xunit;

namespace Portal.Tests.Engine.Tokenizers;

/// <summary>
/// The expected merges come from a naive trainer below that recounts all pairs after every merge. Times are the thread's own, so
/// that a busy machine does not matter.
/// </summary>
public sealed class BpeTrainerTests(ITestOutputHelper output)
{
    [Fact]
    public void Learns_the_same_merges_as_recounting_everything()
    {
        var random = new Random(3);
        for (var round = 0; round < 20; round++)
        {
            var text = string.Join(' ', Enumerable.Range(0, 120).Select(_ => Word(random)));

            var learned = new BpeTrainer { VocabularySize = 320 }.Train([text], CancellationToken.None);

            Assert.Equal(NaiveMerges(text, 320), learned.Merges);
        }
    }

    [Fact]
    public void Ties_go_to_the_lowest_pair()
    {
        // Pieces "ba" and " ac": each pair once; minimum 1. Bytes: space 32, a 97, b 98, c 99, so " "+"a" comes first.
        var learned = new BpeTrainer { VocabularySize = 258, MinimumCount = 1 }.Train(["ba ac"], CancellationToken.None);
        Assert.Equal([("Ġ", "a"), ("b", "a")], learned.Merges);
    }

    [Fact]
    public void The_order_of_texts_does_not_matter_and_special_tokens_come_last()
    {
        var texts = new[] { "the cat sat on the mat", "the dog ran to the cat", "a mat and a dog and a cat" };
        var trainer = new BpeTrainer { VocabularySize = 280, SpecialTokens = ["<|user|>", "<|end|>"] };

        var one = trainer.Train(texts, CancellationToken.None);
        var two = trainer.Train(texts.Reverse(), CancellationToken.None);

        Assert.Equal(one.Merges, two.Merges);
        Assert.Equal(one.Tokens.OrderBy(token => token.Value), two.Tokens.OrderBy(token => token.Value));
        Assert.Equal(256 + one.Merges.Count, one.SpecialTokens["<|user|>"]);
        Assert.Equal(one.SpecialTokens["<|user|>"] + 1, one.SpecialTokens["<|end|>"]);
    }

    [Fact]
    public void Too_small_a_vocabulary_and_repeated_special_tokens_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new BpeTrainer { VocabularySize = 256, SpecialTokens = ["<|x|>"] }.Train(["a"], CancellationToken.None));
        Assert.Throws<ArgumentException>(() => new BpeTrainer { VocabularySize = 300, SpecialTokens = ["<|x|>", "<|x|>"] }.Train(["a"], CancellationToken.None));
    }

    [SharedFact]
    public void Five_megabytes_train_in_under_twenty_seconds()
    {
        var text = File.ReadAllText(SharedData.Path("data/text/sotu_1790_on.txt"))[..5_000_000];
        var watch = ThreadTime.Start();

        var vocabulary = new BpeTrainer { VocabularySize = 1024 }.Train(text.Split('\n'), CancellationToken.None);

        output.WriteLine($"trained on 5 MB in {watch.Elapsed.TotalSeconds:f2} s");
        Assert.Equal(1024, vocabulary.Tokens.Count);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
        watch = ThreadTime.Start();
        var ids = new BytePairTokenizer(vocabulary).Encode(text);
        output.WriteLine($"encoded at {5 / watch.Elapsed.TotalSeconds:f1} MB/s, {text.Length / (double)ids.Length:f2} characters a token");
        Assert.True(ids.Length < text.Length / 2);
    }

    private static string Word(Random random)
    {
        var letters = new char[random.Next(1, 7)];
        for (var i = 0; i < letters.Length; i++)
        {
            letters[i] = "abcé"[random.Next(4)];
        }

        return new string(letters);
    }

    private static List<(string, string)> NaiveMerges(string text, int size)
    {
        var ranges = new List<Range>();
        new Pretokeniser(Pretokeniser.Gpt2Pattern).Split(text, ranges);
        var pieces = ranges.Select(range => Encoding.UTF8.GetBytes(text[range]).Select(value => (int)value).ToList()).ToList();
        var spelling = Enumerable.Range(0, 256).Select(value => ByteAlphabet.CharacterOf((byte)value).ToString()).ToList();
        var merges = new List<(string, string)>();
        while (spelling.Count < size)
        {
            var counts = new Dictionary<(int, int), int>();
            foreach (var piece in pieces)
            {
                for (var i = 0; i + 1 < piece.Count; i++)
                {
                    counts[(piece[i], piece[i + 1])] = counts.GetValueOrDefault((piece[i], piece[i + 1])) + 1;
                }
            }

            if (counts.Count == 0 || counts.Values.Max() < 2)
            {
                break;
            }

            var best = counts.OrderByDescending(count => count.Value).ThenBy(count => count.Key).First().Key;
            var joined = spelling[best.Item1] + spelling[best.Item2];
            var token = spelling.IndexOf(joined);
            if (!merges.Contains((spelling[best.Item1], spelling[best.Item2])))
            {
                merges.Add((spelling[best.Item1], spelling[best.Item2]));
            }

            if (token < 0)
            {
                token = spelling.Count;
                spelling.Add(joined);
            }

            foreach (var piece in pieces)
            {
                for (var i = 0; i + 1 < piece.Count; i++)
                {
                    if ((piece[i], piece[i + 1]) == best)
                    {
                        piece[i] = token;
                        piece.RemoveAt(i + 1);
                    }
                }
            }
        }

        return merges;
    }
}
