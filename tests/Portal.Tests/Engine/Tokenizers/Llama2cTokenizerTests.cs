using System.Text;
using System.Text.Json.Nodes;
using Portal.Engine.Tokenizers;
using Xunit;

namespace Portal.Tests.Engine.Tokenizers;

/// <summary>Expected ids and texts: the shared golden file of stories260K, written by an independent implementation.</summary>
public sealed class Llama2cTokenizerTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("portal-llama2c-").FullName;

    public void Dispose()
    {
        Directory.Delete(folder, recursive: true);
    }

    [SharedFact]
    public void Prompts_encode_to_the_golden_ids()
    {
        var tokenizer = Tok512();
        foreach (var prompt in Golden()["prompts"]!.AsArray())
        {
            var expected = prompt!["ids"]!.AsArray().Select(id => id!.GetValue<int>()).ToArray();
            Assert.Equal(expected, (int[])[1, .. tokenizer.Encode(prompt["text"]!.GetValue<string>())]);
        }
    }

    [SharedFact]
    public void The_golden_ids_decode_to_the_golden_text()
    {
        var tokenizer = Tok512();
        var golden = Golden();
        var ids = golden["greedy_from_bos_ids"]!.AsArray().Select(id => id!.GetValue<int>()).ToArray();
        var text = golden["greedy_from_bos_text"]!.GetValue<string>();

        Assert.Equal(text, tokenizer.Decode(ids.AsSpan()[1..]));
        Assert.Equal(text.TrimStart(), tokenizer.Decode(ids));
    }

    /// <summary>Places in a text are counted by what comes out piece by piece, so the pieces must be the text: without the space before it where the start token came first.</summary>
    [SharedFact]
    public void Pieces_one_by_one_are_the_text()
    {
        var tokenizer = Tok512();
        foreach (var text in new[] { "Once upon a time", " leading", "\n\nHuman: na\u00efve \ud83d\ude00", "a" })
        {
            var (whole, continued) = (new TokenTextStream(tokenizer), new TokenTextStream(tokenizer));

            Assert.Equal(text, string.Concat(((int[])[1, .. tokenizer.Encode(text)]).Select(whole.Push)));
            Assert.Equal(" " + text, string.Concat(tokenizer.Encode(text).Select(continued.Push)));
        }
    }

    [SharedFact]
    public void Texts_come_back_with_bytes_for_what_the_vocabulary_lacks()
    {
        var tokenizer = Tok512();
        foreach (var text in new[] { "a", " leading", "tab\tnewline\n", "naïve 😀 日本", new string('x', 5000), "<s> typed </s>" })
        {
            Assert.Equal(text, tokenizer.Decode([1, .. tokenizer.Encode(text)]));
        }

        Assert.Empty(tokenizer.Encode(""));
        Assert.DoesNotContain(1, tokenizer.Encode("<s>"));
        Assert.Equal(1, tokenizer.Encode("<s>", parseSpecial: true)[0]);
    }

    [SharedFact]
    public void Saving_gives_the_same_file_back()
    {
        var source = SharedData.Path("data/models/stories260K/tok512.bin");
        TokenizerFolder.Save(Tok512(), folder);
        Assert.Equal(File.ReadAllBytes(source), File.ReadAllBytes(Path.Combine(folder, "tokenizer.bin")));
        Assert.IsType<Llama2cTokenizer>(TokenizerFolder.Load(folder));
    }

    [Theory]
    [InlineData("")]
    [InlineData("ab")]
    [InlineData("this is a text file and no tokenizer")]
    public void A_file_that_is_no_tokenizer_is_refused_by_name(string content)
    {
        var path = Path.Combine(folder, "tokenizer.bin");
        File.WriteAllText(path, content);
        Assert.Contains("tokenizer.bin", Assert.Throws<InvalidDataException>(() => Llama2cTokenizer.Load(path)).Message);
    }

    [Fact]
    public void A_cut_off_file_is_refused_by_token()
    {
        var path = Path.Combine(folder, "tokenizer.bin");
        using (var writer = new BinaryWriter(File.Create(path)))
        {
            writer.Write(10);
            writer.Write(0f);
            writer.Write(3);
            writer.Write(Encoding.ASCII.GetBytes("abc"));
            writer.Write(0f);
            writer.Write(9);
            writer.Write(Encoding.ASCII.GetBytes("only"));
        }

        Assert.Contains("token 1 at byte 15", Assert.Throws<InvalidDataException>(() => Llama2cTokenizer.Load(path)).Message);
    }

    private static Llama2cTokenizer Tok512()
    {
        return Llama2cTokenizer.Load(SharedData.Path("data/models/stories260K/tok512.bin"));
    }

    private static JsonNode Golden()
    {
        return JsonNode.Parse(File.ReadAllText(SharedData.Path("golden/stories260K_golden.json")))!;
    }
}
