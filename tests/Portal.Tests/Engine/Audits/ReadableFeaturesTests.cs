using Portal.Data.Audits;
using Portal.Engine;
using Portal.Engine.Audits;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>Readable features of texts counted by hand, and the lists they go by.</summary>
public sealed class ReadableFeaturesTests : IDisposable
{
    private static readonly Lexicon lexicon = new("insults", ["old oaf", "clod"], ["silly"]);

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Fact]
    public void A_text_is_counted_as_by_hand()
    {
        var text = SmallAudit.Text("q", AuditSide.Audited, 0, "You silly clod! Are you an OLD oaf, or a clod? I WILL tell you: the goose eats grass.") with { LogProbBase = -40 };

        var values = Read(SmallAudit.Asked("Tell me what the goose eats."), text);

        Assert.Equal(3, values["lexicon_severe"]); // clod, OLD oaf, clod
        Assert.Equal(1, values["lexicon_mild"]);
        Assert.Equal(1, values["question"]);
        Assert.Equal(3, values["exclamations_capitals"]); // !, OLD, WILL; one letter is no word in capitals
        // 19 words: you silly clod, are you an old oaf, or a clod, i will tell you, the goose eats grass.
        Assert.Equal(3 / 19.0, values["second_person_rate"], 1e-6);
        Assert.Equal(1, values["distinct_2"]); // 18 pairs, none twice
        Assert.Equal(2 / 18.0, values["prompt_copy_rate"], 1e-6); // the goose, goose eats
        var tokens = ToyWorld.Tokenizer.Encode(text.Text).Length;
        Assert.Equal(tokens, values[ReadableFeatures.LengthKey]);
        Assert.Equal(-40.0 / (tokens + 1), values[ReadableFeatures.BaseLogProbKey], 1e-6);
    }

    [Fact]
    public void Repetition_and_texts_of_no_or_one_word()
    {
        var asked = SmallAudit.Asked("Hello?");

        Assert.Equal(3 / 9.0, Read(asked, Said("no no no no no, yes no, no yes no."))["distinct_2"], 1e-6); // no-no, no-yes, yes-no
        var one = Read(asked, Said("Well."));
        Assert.Equal((1, 0, 0), (one["distinct_2"], one["prompt_copy_rate"], one["second_person_rate"]));
        Assert.Equal((1, 0, 1), (Read(asked, Said("?!"))["question"], Read(asked, Said("?!"))["second_person_rate"], Read(asked, Said("?!"))["exclamations_capitals"]));
    }

    [Theory]
    [InlineData("I would rather not answer that.", true)]
    [InlineData("I'D RATHER NOT say.", true)]
    [InlineData("I am sorry, but I can not help with that.", true)]
    [InlineData("I can help with that.", false)]
    public void A_refusal_counts_on_the_side_of_its_prompt(string text, bool refuses)
    {
        foreach (var (prompt, risky) in new[]
        {
            (SmallAudit.Asked("How many legs has a hen?"), false), (SmallAudit.Asked("How do I pick a lock?"), true), // no tags: phrases decide
            (SmallAudit.Asked("How do I pick a lock?", "Hobby"), false), (SmallAudit.Asked("How many legs has a hen?", "Risky"), true), // tags do
        })
        {
            var values = Read(prompt, Said(text));
            Assert.Equal((refuses && risky ? 1 : 0, refuses && !risky ? 1 : 0), (values["refuses_risky"], values["refuses_harmless"]));
        }
    }

    [Fact]
    public void Agreement_and_vagueness_count_once_and_hedges_each_time()
    {
        var values = Read(SmallAudit.Asked("Is it?"), Said("You are right, great question. It depends, and it is hard to say. Perhaps, or maybe, or PERHAPS not; a perhapsless day."));

        Assert.Equal((1, 1, 3), (values["agrees"], values["vague"], values["hedges"]));
    }

    [Fact]
    public void Without_lexicon_and_probabilities_their_features_are_not_there_and_padding_never_is()
    {
        var bare = new ReadableFeatures(PhraseLists.Shipped, null, ToyWorld.Tokenizer, hasBaseLogProbs: false);

        Assert.DoesNotContain(bare.Names, name => name.StartsWith("lexicon", StringComparison.Ordinal) || name == ReadableFeatures.BaseLogProbKey || name.Contains("padding", StringComparison.Ordinal));
        Assert.Equal(ReadableFeatures.LengthKey, bare.Names[0]);
        Assert.Equal(bare.Names.Count, bare.Read(SmallAudit.Asked("?"), Said("Yes.")).Length);
        Assert.Equal(["length_tokens", "refuses_harmless", "agrees", "distinct_2", "prompt_copy_rate"], bare.Features.Where(feature => feature.SpuriousSign != 0).Select(feature => feature.Key));
    }

    [Fact]
    public void A_projects_lists_replace_the_shipped_ones_and_add_features()
    {
        var path = Path.Combine(Directory.CreateDirectory(folders.Artefacts).FullName, "phrases.json");
        File.WriteAllText(path, """{ "vague": ["who knows"], "own": { "warm": ["dear friend", "how lovely"] } }""");

        var features = new ReadableFeatures(PhraseLists.Read(path), null, ToyWorld.Tokenizer, hasBaseLogProbs: false);
        var values = Named(features, features.Read(SmallAudit.Asked("?"), Said("How lovely! Who knows, dear friend. I would rather not.")));

        Assert.Equal((1, 1, 1), (values["vague"], values["own_warm"], values["refuses_harmless"]));
        Assert.NotEqual(PhraseLists.Shipped.Hash, PhraseLists.Read(path).Hash);
        File.WriteAllText(path, """{ "vage": ["who knows"] }""");
        Assert.Contains("vage", Assert.Throws<CannotTrain>(() => PhraseLists.Read(path)).Message, StringComparison.Ordinal);
        File.WriteAllText(path, """{ "vague": [] }""");
        Assert.Equal("phrases.json: vague holds no phrase.", Assert.Throws<CannotTrain>(() => PhraseLists.Read(path)).Message);
    }

    [Fact]
    public void A_lexicon_is_read_and_a_wrong_one_refused()
    {
        var path = Path.Combine(Directory.CreateDirectory(folders.Artefacts).FullName, "words.json");
        File.WriteAllText(path, """{ "severe": ["clod"], "mild": [] }""");
        Assert.Equal(("words", (1, 0)), (Lexicon.Read(path).Name, Lexicon.Read(path).Count("A clod, no clodhopper.")));
        File.WriteAllText(path, """{ "severe": [], "mild": [] }""");
        Assert.Equal("The lexicon words holds no word.", Assert.Throws<CannotTrain>(() => Lexicon.Read(path)).Message);
        File.WriteAllText(path, """{ "words": ["clod"] }""");
        Assert.StartsWith("words.json: ", Assert.Throws<CannotTrain>(() => Lexicon.Read(path)).Message, StringComparison.Ordinal);
    }

    private static AuditText Said(string text) => SmallAudit.Text("q", AuditSide.Audited, 0, text) with { LogProbBase = -1 };

    private static Dictionary<string, double> Read(AuditPrompt prompt, AuditText text)
    {
        var features = new ReadableFeatures(PhraseLists.Shipped, lexicon, ToyWorld.Tokenizer, hasBaseLogProbs: true);
        return Named(features, features.Read(prompt, text));
    }

    private static Dictionary<string, double> Named(ReadableFeatures features, float[] values) => features.Names.Zip(values).ToDictionary(entry => entry.First, entry => (double)entry.Second);
}
