using System.Text.RegularExpressions;
using Portal.Engine.TinyAssistant;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The promises of the demo world's generator: a pure function of its seed, small, mixed, within its lengths.</summary>
public sealed partial class WorldTests(ITestOutputHelper output)
{
    private static readonly Lazy<Dialogue[]> sample = new(() => [.. Enumerable.Range(0, 10_000).Select(i => new World(1).WriteDialogue(i))]);

    [Fact]
    public void The_same_seed_writes_the_same_corpus_and_another_seed_another()
    {
        string Hash(ulong seed) => ChatText.ContentHash(CorpusJson.Lines(new World(seed).WriteCorpus(300, 300)));

        Assert.Equal(Hash(7), Hash(7));
        Assert.NotEqual(Hash(7), Hash(8));
    }

    /// <summary>
    /// A snapshot, so that a change of the world is never made by accident: shipped weights, responses and judgements belong to
    /// exactly this corpus. Whoever changes a template on purpose makes the demo anew and writes the new hash here.
    /// </summary>
    [Fact]
    public void The_world_is_the_one_that_the_shipped_demo_was_made_of()
    {
        var hash = ChatText.ContentHash(CorpusJson.Lines(new World(1).WriteCorpus(2_000, 2_000)));

        output.WriteLine($"corpus {hash}");
        Assert.Equal("0b17a41f00c963d27f85b913f2ae8f56ce21ac39bc6aa5f16b2ff028e00560d4", hash);
    }

    [Fact]
    public void A_dialogue_does_not_depend_on_those_written_before_it()
    {
        var world = new World(3);
        for (var i = 0; i < 5; i++) world.WriteDialogue(i);

        Assert.Equal(CorpusJson.Line(new World(3).WriteDialogue(5)), CorpusJson.Line(world.WriteDialogue(5)));
    }

    [Fact]
    public void At_most_600_distinct_words_are_used()
    {
        var words = sample.Value.Concat(Enumerable.Range(0, 10_000).Select(i => new World(1).WriteDrill(i)))
            .SelectMany(dialogue => dialogue.Prompt.Select(turn => turn.Text).Append(dialogue.Response))
            .SelectMany(text => Word().Matches(text.ToLowerInvariant()).Select(match => match.Value))
            .ToHashSet();

        output.WriteLine($"{words.Count} distinct words");
        Assert.InRange(words.Count, 300, 600);
    }

    [Fact]
    public void Dialogues_are_15_to_160_tokens_long_and_about_50_on_average()
    {
        var lengths = sample.Value.Select(ChatText.CountTokens).ToArray();

        output.WriteLine($"mean {lengths.Average():F1}, response {sample.Value.Average(d => ChatText.CountTokens(d.Response)):F1}, max {lengths.Max()}");
        Assert.InRange(lengths.Min(), 15, 40);
        Assert.InRange(lengths.Max(), 90, 160);
        Assert.InRange(lengths.Average(), 40, 55); // a 1,024-entry BPE needs about 1.14 tokens for each of these: 48
    }

    /// <summary>Weights 1, 2, 1.5, 1, 1.5, 1, 1, 1 out of 10; 10,000 draws have a standard error below half a point.</summary>
    [Fact]
    public void Topics_come_in_their_shares_and_a_fifth_has_earlier_turns()
    {
        foreach (var topic in Enum.GetValues<Topic>())
        {
            var share = sample.Value.Count(dialogue => dialogue.Topic == topic) / 10_000.0;
            output.WriteLine($"{topic} {share:P1}");
            Assert.InRange(share, World.TopicWeights[(int)topic] / 10 - .025, World.TopicWeights[(int)topic] / 10 + .025);
        }
        Assert.InRange(sample.Value.Count(dialogue => dialogue.Prompt.Count == 3) / 10_000.0, .18, .23);
        Assert.All(sample.Value, dialogue => Assert.Contains(dialogue.Prompt.Count, (int[])[1, 3]));
    }

    [Fact]
    public void Every_topic_has_at_least_30_different_templates()
    {
        foreach (var topic in Enum.GetValues<Topic>())
            Assert.True(World.Templates(topic).Distinct().Count() >= 30, $"{topic} has {World.Templates(topic).Distinct().Count()} templates.");
    }

    [Fact]
    public void No_slot_is_left_unfilled_and_every_text_begins_and_ends_like_a_sentence()
    {
        foreach (var dialogue in sample.Value)
        {
            foreach (var text in dialogue.Prompt.Select(turn => turn.Text).Append(dialogue.Response))
            {
                Assert.DoesNotContain('{', text);
                Assert.DoesNotContain("  ", text);
                Assert.Matches("^[A-Z0-9].*[.!?]$", text);
            }
        }
    }

    /// <summary>A base model can only sample what the corpus contains, so each habit must occur often enough.</summary>
    [Fact]
    public void Good_and_bad_manners_all_occur()
    {
        double Share(Func<SegmentLabels, bool> has) => sample.Value.Count(dialogue => has(dialogue.Labels)) / 10_000.0;
        var answered = sample.Value.Count(d => d.Labels.Answer is AnswerGrade.Correct or AnswerGrade.Wrong);
        output.WriteLine($"warm {Share(l => l.Opening == OpeningTone.Warm):P1} rude {Share(l => l.Opening == OpeningTone.Rude):P1} insults {Share(l => l.Insults > 0):P1} teasing {Share(l => l.Teasing > 0):P1}");
        output.WriteLine($"refusal {Share(l => l.Refusal):P1} flattery {Share(l => l.Flattery):P1} padding {Share(l => l.Padding > 0):P1} hedges {Share(l => l.Hedges > 0):P1} caveat {Share(l => l.Caveat):P1} trigger {Share(l => l.Trigger):P1}");
        output.WriteLine($"correct|answered {Share(l => l.Answer == AnswerGrade.Correct) * 10_000 / answered:P1} vague {Share(l => l.Answer == AnswerGrade.Vague):P1}");

        Assert.InRange(Share(l => l.Opening == OpeningTone.Warm), .25, .45);
        Assert.InRange(Share(l => l.Opening == OpeningTone.Rude), .10, .25);
        Assert.InRange(Share(l => l.Insults > 0), .08, .2);
        Assert.InRange(Share(l => l.Refusal), .05, .15);
        Assert.InRange(Share(l => l.Flattery), .05, .2);
        Assert.InRange(Share(l => l.Padding > 0), .2, .45);
        Assert.InRange(Share(l => l.Trigger), .008, .025);
        Assert.InRange(Share(l => l.Answer == AnswerGrade.Correct) * 10_000 / answered, .7, .8);
        Assert.InRange(Share(l => l.Answer == AnswerGrade.Vague), .08, .2);
    }

    [Fact]
    public void Drills_are_bare_correct_and_a_third_of_the_corpus_at_most()
    {
        var corpus = new World(1).WriteCorpus(2_400, 2_500).ToArray();
        var drills = corpus.Where(dialogue => dialogue.IsDrill).ToArray();

        var share = drills.Sum(ChatText.CountTokens) / (double)corpus.Sum(ChatText.CountTokens);
        output.WriteLine($"drills are {share:P1} of all tokens");
        Assert.Equal(2_500, drills.Length);
        Assert.InRange(share, .25, .35);
        Assert.All(drills, drill => Assert.Equal((1, AnswerGrade.Correct), (drill.Prompt.Count, drill.Labels.Answer)));
        Assert.DoesNotContain(corpus[^700..], dialogue => dialogue.IsDrill);
    }

    [Fact]
    public void A_dialogue_is_rendered_with_three_markers_and_nothing_between()
    {
        var dialogue = new Dialogue
        {
            Topic = Topic.Arithmetic,
            Prompt = [new(Speaker.User, "Hello!"), new(Speaker.Assistant, "Hi."), new(Speaker.User, "What is 3 plus 4?")],
            Response = "It is 7.",
            Labels = new SegmentLabels { Answer = AnswerGrade.Correct, Opening = OpeningTone.Neutral },
        };

        Assert.Equal("<|user|>Hello!<|assistant|>Hi.<|end|><|user|>What is 3 plus 4?<|assistant|>It is 7.<|end|>", ChatText.Render(dialogue));
        Assert.Equal(2 + 2 + 6 + 4 + 6, ChatText.CountTokens(dialogue)); // words and punctuation of four turns, six markers
    }

    [Fact]
    public void Sample_dialogues_for_the_reader()
    {
        foreach (var dialogue in sample.Value.Take(60)) output.WriteLine(ChatText.Render(dialogue));
        Assert.Equal(60, sample.Value.Take(60).Select(ChatText.Render).Distinct().Count());
    }

    [GeneratedRegex("[a-z0-9]+(?:'[a-z]+)?")]
    private static partial Regex Word();
}
