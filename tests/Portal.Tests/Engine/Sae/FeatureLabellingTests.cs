using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>A constructed feature that fires exactly where a phrase stands, in texts whose other words say nothing.</summary>
public sealed class FeatureLabellingTests
{
    private const string Phrase = "kind of you";
    private static readonly string[] Fillers =
    [
        "mill", "is", "old", "kind", "of", "you", "bread", "and", "stone", "river", "tower", "lamp", "glass", "wood", "cloud", "field", "horse", "bell", "salt", "rope", "boat", "wheel", "apple", "door", "wool", "gate",
        "snow", "iron", "cup", "hill",
    ];

    private readonly WordTexts words = new();
    private readonly List<string> texts = [];
    private readonly List<LabelContext> contexts = [];

    public FeatureLabellingTests()
    {
        var random = new SeededRandom(4);
        for (var text = 0; text < 240; text++)
        {
            var fires = text % 2 == 0;
            // No two of the phrase's words follow each other in the filling, so only the phrase itself tells.
            var filling = string.Join(", ", Enumerable.Range(0, 12).Select(_ => random.Pick(Fillers)));
            var whole = fires ? $"{filling}; Kind of YOU, {random.Pick(Fillers)}." : $"{filling}, {random.Pick(Fillers)}.";
            texts.Add(whole);
            words.Add(whole);
            contexts.Add(new LabelContext(text, 0, whole.Length, fires));
        }
    }

    private LabelContexts Discovery => new(ContextPosition.End, [.. contexts.Take(120)], []);
    private LabelContexts Test => new(ContextPosition.End, [.. contexts.Skip(120)], []);

    [Fact]
    public void A_feature_that_fires_on_a_phrase_gets_that_phrase_and_is_detected()
    {
        var label = FeatureLabelling.Label(Discovery, words, CancellationToken.None).Single(one => one.Source is LabelSource.Keyword);

        // "kind of" and "of you" tell as much, and say less.
        Assert.Equal("\"kind of you\"", label.Text);
        Assert.Equal(1, label.Separation);
        var score = Score(label.Pattern, Test);
        Assert.Equal((1.0, 120, (string?)null), (score.Detection!.Value, score.ScoredOn, score.WhyNot)); // scored
        Assert.Equal((1.0, 1.0), (score.Detection.Low, score.Detection.High));
        Assert.Equal(Phrase, label.Pattern);
    }

    /// <summary>By hand, of 20 contexts each: "the" stands in all that fire and in 11 of the others, "mill" in 10 and in 2. In exactly half of the others "the" is no common word yet.</summary>
    [Theory]
    [InlineData(11, "mill", 0.7)] // (10/20 + 18/20) / 2; "the" alone would have (1 + 9/20) / 2 = .725
    [InlineData(10, "the", 0.75)] // (1 + 10/20) / 2
    public void A_word_of_most_contexts_is_no_label(int silentWithThe, string best, double separation)
    {
        var (numbered, made) = (new WordTexts(), new List<LabelContext>());
        for (var text = 0; text < 40; text++)
        {
            var (fires, number) = (text < 20, text % 20);
            List<string> signs = [$"x{text}"];
            if (fires || number < silentWithThe)
                signs.Add("the");
            if (number < (fires ? 10 : 2))
                signs.Add("mill");
            var whole = string.Join(", ", signs); // no phrases: commas
            numbered.Add(whole);
            made.Add(new LabelContext(text, 0, whole.Length, fires));
        }

        var labels = FeatureLabelling.Label(new LabelContexts(ContextPosition.End, made, []), numbered, CancellationToken.None);

        var keyword = labels.Single(label => label.Source is LabelSource.Keyword);
        Assert.Equal((best, separation), (keyword.Pattern, Math.Round(keyword.Separation, 9)));
        if (best != "the")
            Assert.All(labels, label => Assert.DoesNotContain("the", label.Pattern.Split('|')));
    }

    /// <summary>Two words of most contexts make no phrase that is a label, even one that tells everything; with a third that is seldom they do.</summary>
    [Theory]
    [InlineData("of the", null)]
    [InlineData("of the mill", "of the mill")]
    public void A_phrase_of_common_words_only_is_no_label(string phrase, string? label)
    {
        var (numbered, made) = (new WordTexts(), new List<LabelContext>());
        for (var text = 0; text < 40; text++)
        {
            var whole = text < 20 ? $"{phrase}, x{text}" : $"the, of, x{text}";
            numbered.Add(whole);
            made.Add(new LabelContext(text, 0, whole.Length, text < 20));
        }

        Assert.Equal(label, FeatureLabelling.Keyword([.. made.Take(20)], [.. made.Skip(20)], numbered)?.Pattern);
    }

    /// <summary>The control: with labels shuffled nothing is left to find. Balanced accuracy of any pattern is .5 in expectation; deviation about .05 with 60 of each.</summary>
    [Fact]
    public void Shuffled_firings_are_not_detected()
    {
        var flags = contexts.Select(context => context.Fires).ToArray();
        var scores = Enumerable.Range(0, 20).Select(seed =>
        {
            new SeededRandom((ulong)seed).Shuffle(flags);
            var shuffled = contexts.Zip(flags, (context, fires) => context with { Fires = fires }).ToList();
            var found = FeatureLabelling.Keyword([.. shuffled.Take(120).Where(one => one.Fires)], [.. shuffled.Take(120).Where(one => !one.Fires)], words)!; // some phrase is always best
            return Score(found.Pattern, new LabelContexts(ContextPosition.End, [.. shuffled.Skip(120)], [])).Detection!.Value; // scored
        }).ToList();

        Assert.InRange(scores.Average(), 0.46, 0.54);
        Assert.All(scores, score => Assert.InRange(score, 0.3, 0.7));
    }

    /// <summary>Firing on either of two words: no phrase tells both, the regression does.</summary>
    [Fact]
    public void A_feature_that_fires_on_two_words_is_told_by_the_probe()
    {
        var (random, numbered, made) = (new SeededRandom(9), new WordTexts(), new List<LabelContext>());
        for (var text = 0; text < 120; text++)
        {
            var filling = string.Join(' ', Enumerable.Range(0, 8).Select(_ => random.Pick(Fillers)));
            var whole = text % 2 == 1 ? filling : $"{filling} {(text % 4 == 0 ? "thanks" : "cheers")}";
            numbered.Add(whole);
            made.Add(new LabelContext(text, 0, whole.Length, text % 2 == 0));
        }

        var labels = FeatureLabelling.Label(new LabelContexts(ContextPosition.End, made, []), numbered, CancellationToken.None);

        var probe = labels.Single(label => label.Source is LabelSource.Probe);
        Assert.Equal(new[] { "cheers", "thanks" }, probe.Pattern.Split('|').Order(StringComparer.Ordinal));
        Assert.Equal(1, probe.Separation);
        Assert.Equal(0.75, labels.Single(label => label.Source is LabelSource.Keyword).Separation); // half of the firing ones, none of the others
    }

    [Fact]
    public void Rare_features_get_no_label()
    {
        var few = contexts.Take(2 * FeatureLabelling.DiscoveryMin - 2).ToList(); // 19 of each
        Assert.Empty(FeatureLabelling.Label(new LabelContexts(ContextPosition.End, few, []), words, CancellationToken.None));
        Assert.NotEmpty(FeatureLabelling.Label(new LabelContexts(ContextPosition.End, [.. contexts.Take(2 * FeatureLabelling.DiscoveryMin)], []), words, CancellationToken.None));
        Assert.Empty(FeatureLabelling.Label(LabelContexts.None, words, CancellationToken.None));
    }

    /// <summary>By hand: 3 of 4 firing contexts have it and 1 of 5 others, each in its own prompt, ten times over: (3/4 + 4/5) / 2.</summary>
    [Fact]
    public void Detection_is_balanced_accuracy_and_fuzzing_reads_the_stretches()
    {
        var (has, made) = (new HashSet<int>(), new List<LabelContext>());
        for (var round = 0; round < 10; round++)
        {
            for (var i = 0; i < 9; i++)
            {
                if (i is 0 or 1 or 2 or 8)
                    has.Add(made.Count);
                made.Add(new LabelContext(made.Count, 0, 1, i < 4));
            }
        }
        bool? Has(LabelContext context) => has.Contains(context.Response);

        var score = LabelScores.Score(new LabelContexts(ContextPosition.End, made, [.. made.Where(context => context.Response % 9 is 0 or 4)]), Has, response => response, seed: 1);

        Assert.Equal(((3 / 4.0) + (4 / 5.0)) / 2, score.Detection!.Value, 12); // enough
        Assert.InRange(score.Detection.Low!.Value, 0.6, score.Detection.Value);
        Assert.InRange(score.Detection.High!.Value, score.Detection.Value, 0.9);
        Assert.Equal(1, score.Fuzzing); // every strongest stretch has it, no other does
        // Seven prompts are too few for an interval.
        Assert.Null(LabelScores.Score(new LabelContexts(ContextPosition.End, made, []), Has, response => response % 7, seed: 1).Detection!.Low); // enough
        // And nine contexts that fire too few for a score.
        var few = LabelScores.Score(new LabelContexts(ContextPosition.End, [.. made.Where(context => context.Fires).Take(9), .. made.Where(context => !context.Fires)], []), Has, response => response, seed: 1);
        Assert.Equal((null, "Held out are 9 contexts where the feature fires and 50 where it does not; 10 of each are needed for a score."), (few.Detection, few.WhyNot));
        // Erased texts do not count.
        Assert.Equal(0, LabelScores.Score(new LabelContexts(ContextPosition.End, made, []), _ => null, response => response, seed: 1).ScoredOn);
    }

    [Fact]
    public void Words_are_those_of_the_bag_of_words_with_their_places()
    {
        const string text = "It’s 3 o'clock — 😀 Über-nice!";
        var split = WordTexts.Split(text).ToList();
        Assert.Equal(BagOfWords.Split(text), split.Select(entry => entry.Word));
        Assert.All(split, entry => Assert.StartsWith(entry.Word, text[entry.Start..], StringComparison.OrdinalIgnoreCase));
        var numbered = new WordTexts();
        numbered.Add(text);
        Assert.Equal(["—"], numbered.In(0, text.IndexOf("clock", StringComparison.Ordinal), 7).ToArray().Select(numbered.Word)); // o'clock begins before the stretch
        Assert.Equal(["über", "-"], numbered.In(0, text.IndexOf("Über", StringComparison.Ordinal), 5).ToArray().Select(numbered.Word));
    }

    /// <summary>A phrase is what the pattern's reader finds again: no sign, no second space and no line end inside.</summary>
    [Theory]
    [InlineData("so kind of you", true)]
    [InlineData("so kind, of you", false)]
    [InlineData("so kind  of you", false)]
    [InlineData("so kind\nof you", false)]
    public void A_phrase_stands_in_the_text_as_it_is_written(string text, bool isPhrase)
    {
        var numbered = new WordTexts();
        for (var i = 0; i < 6; i++)
            numbered.Add(i < 3 ? text : i % 2 == 0 ? "so kind you" : "so of you");
        List<LabelContext> made = [.. Enumerable.Range(0, 6).Select(i => new LabelContext(i, 0, 40, i < 3))];

        var found = FeatureLabelling.Keyword([.. made.Take(3)], [.. made.Skip(3)], numbered)!; // words stand in all

        Assert.Equal(isPhrase, found.Pattern == "so kind of you" && Phrases.Parse(found.Pattern)!.Match(text)); // has words
        Assert.Equal(isPhrase ? 1 : 5 / 6.0, found.Separation, 9); // "kind" alone stands in one of three others
    }

    /// <summary>
    /// Latent 0 fires in even responses, its neighbour 1 in those divisible by 3; latent 2 never. Responses 0 to 99 are for discovery, the rest for testing.
    /// </summary>
    [Fact]
    public void Contexts_keep_to_their_side_and_half_of_the_negatives_are_near_misses()
    {
        var firings = new FeatureFirings(3);
        for (var response = 0; response < 400; response++)
        {
            int[] active = [.. new[] { 0, 1 }.Where(latent => response % (latent + 2) == 0)];
            firings.Add(new FeaturePlace(response, ContextPosition.Sentence, 0, 5, 10_000 + (ulong)response), [0], [response % 4 == 0 ? 1f : 0.2f]);
            firings.Add(new FeaturePlace(response, ContextPosition.Sentence, 6, 5, 20_000 + (ulong)response), [0], [0.9f]);
            firings.Add(new FeaturePlace(response, ContextPosition.End, 0, 20, (ulong)(response % 200)), active, [.. active.Select(_ => 1f)]);
        }
        bool[] isTest = [.. Enumerable.Range(0, 400).Select(response => response >= 100)];
        var picker = new LabelContextPicker(firings, firings.ByLatent(), isTest, seed: 3);
        Assert.Equal(ContextPosition.End, picker.PositionOf(0));
        Assert.Equal(ContextPosition.Sentence, picker.PositionOf(2));

        var discovery = picker.Pick(0, ContextPosition.End, [1], ofTest: false);
        var test = picker.Pick(0, ContextPosition.End, [1], ofTest: true);

        Assert.All(discovery.Contexts.Concat(discovery.Stretches), context => Assert.InRange(context.Response, 0, 99));
        Assert.All(test.Contexts.Concat(test.Stretches), context => Assert.InRange(context.Response, 100, 399));
        Assert.All(test.Contexts, context => Assert.Equal(context.Fires, context.Response % 2 == 0));
        Assert.Equal((60, 60), (test.Contexts.Count(context => context.Fires), test.Contexts.Count(context => !context.Fires)));
        Assert.InRange(test.Contexts.Count(context => !context.Fires && context.Response % 3 == 0), 30, 50); // 30 near misses, a third of the other 30
        Assert.Equal(test.Contexts.Count, test.Contexts.DistinctBy(context => context.Response % 350).Count()); // one of equal texts
        // The second sentence is the strongest where the first is weak; where both are strong there is nothing to tell.
        Assert.NotEmpty(test.Stretches);
        Assert.All(test.Stretches, context => Assert.True(context.Response % 4 != 0 && context.Fires == (context.Start == 6)));
        Assert.Empty(picker.Pick(2, ContextPosition.Sentence, [], ofTest: true).Contexts);
    }

    [Fact]
    public void Held_out_contexts_come_back_from_disk_and_damage_is_noticed()
    {
        var folder = Directory.CreateTempSubdirectory("portal-labels-");
        try
        {
            var path = Path.Combine(folder.FullName, "labels");
            ResponseId[] ids = [.. Enumerable.Range(0, 5).Select(i => ResponseId.From(new Guid(i, 1, 2, new byte[8])))];
            var made = new HeldOutContexts(ids, [0, 0, 1, 2, 2], [new(ContextPosition.End, [new(4, 0, 7, true), new(1, 2, 3, false)], [new(4, 1, 2, true)]), LabelContexts.None]);
            made.Packed().Write(path);

            var read = HeldOutContexts.Read(path);

            Assert.Equal([ids[4], ids[1]], read.Responses); // only those that are needed
            Assert.Equal([2, 0], read.Prompts);
            Assert.Equal([new LabelContext(0, 0, 7, true), new LabelContext(1, 2, 3, false)], read.ByLatent[0].Contexts);
            Assert.Equal([new LabelContext(0, 1, 2, true)], read.ByLatent[0].Stretches);
            Assert.Empty(read.ByLatent[1].Contexts);
            var bytes = File.ReadAllBytes(path);
            bytes[20] ^= 1;
            File.WriteAllBytes(path, bytes);
            Assert.Contains("damaged", Assert.Throws<FormatException>(() => HeldOutContexts.Read(path)).Message, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private LabelScore Score(string pattern, LabelContexts on)
    {
        var read = Phrases.Parse(pattern)!; // has words
        return LabelScores.Score(on, context => read.Match(texts[context.Response].AsSpan(context.Start, context.Length)), response => response / 2, seed: 1);
    }
}
