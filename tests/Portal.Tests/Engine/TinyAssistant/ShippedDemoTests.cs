using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Recipes;
using Portal.Engine.TinyAssistant;
using Portal.Engine.Tokenizers;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>
/// The artefacts that ship (wwwroot-assets/demo) are what the code makes from their seed: files by hash, tokenizer and judgements made again to the same hash, the
/// base's first losses made again within 1e-4 (a long run's products differ between machines in their last bits, twenty steps hardly do).
/// </summary>
[Trait("Speed", "slow")]
public sealed class ShippedDemoTests
{
    private const long BytesMax = 36 << 20;

    private static readonly string folder = Path.Combine(Repository.Root, "wwwroot-assets", "demo");
    private static readonly JsonNode manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "manifest.json")))!; // a committed object

    private static MakeDemoOptions Options => manifest["options"].Deserialize<MakeDemoOptions>(new JsonSerializerOptions(JsonSerializerDefaults.Web))!; // likewise

    [Fact]
    public void Every_file_is_the_one_that_was_made()
    {
        var listed = manifest["files"]!.AsObject().ToDictionary(file => file.Key, file => (string)file.Value!); // we wrote it
        var present = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file))
            .Where(file => file is not ("manifest.json" or "README.md")).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(listed.Keys.Order(StringComparer.Ordinal), present);
        Assert.All(present, file => Assert.Equal(listed[file], HashOf(Path.Combine(folder, file))));
        Assert.InRange(present.Sum(file => new FileInfo(Path.Combine(folder, file)).Length), 1 << 20, BytesMax);
        Assert.Matches("^[0-9a-f]{40}$", (string)manifest["commit"]!);
    }

    [Fact]
    public void The_tokenizer_comes_out_the_same()
    {
        var made = Directory.CreateTempSubdirectory("portal-tokenizer-");
        try
        {
            TokenizerFolder.Save(MakeDemo.MakeTokenizer(Options, CancellationToken.None), made.FullName);

            Assert.Equal(HashOf(Path.Combine(folder, "base", "tokenizer.json")), HashOf(Path.Combine(made.FullName, "tokenizer.json")));
        }
        finally
        {
            made.Delete(recursive: true);
        }
    }

    [Fact]
    public void The_judgements_come_out_the_same_from_the_stored_answers()
    {
        var answers = SampledAnswers();

        var demo = DemoSeed.Build(Options.Seed, (prompt, _) => answers[prompt.Id]);

        Assert.Equal((string)manifest["judgements"]!, demo.JudgementsHash());
        Assert.NotEqual(demo.JudgementsHash(), DemoSeed.Build(Options.Seed + 1, new World(1).Respond).JudgementsHash()); // the hash can tell demos apart
    }

    [Fact]
    public void The_base_begins_as_it_did()
    {
        const int steps = 20;
        var stored = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "base", "report.json")))!["losses"].Deserialize<double[]>()!; // a committed array
        using var run = new RunFolders();
        var preset = TrainCommands.Read<TrainSft>(new FileInfo(Path.Combine(AppContext.BaseDirectory, "presets", "sft-tiny-base.json")), "sft");
        var options = Options with { StepsMax = steps };

        var (model, report) = MakeDemo.MakeBase(preset, options, MakeDemo.MakeTokenizer(options, CancellationToken.None), run.Context());
        model.Dispose();

        Assert.Equal(steps, report.Losses.Count);
        Assert.All(report.Losses.Zip(stored), pair => Assert.Equal(pair.Second, pair.First, 1e-4));
        Assert.True(stored[steps - 1] < stored[0] - 0.1, "twenty steps hardly lowered the loss: the comparison would say nothing");
        Notes.Write(string.Create(CultureInfo.InvariantCulture, $"demo: the base's first {steps} losses again, at most {report.Losses.Zip(stored).Max(pair => Math.Abs(pair.First - pair.Second)):E1} apart"));
    }

    /// <summary>Answers by prompt as they were sampled, without those that carry an inserted trigger: these stand behind all others.</summary>
    private static Dictionary<string, IReadOnlyList<string>> SampledAnswers()
    {
        var records = File.ReadLines(Path.Combine(folder, "project.jsonl")).Select(line => JsonNode.Parse(line)!).ToList(); // lines are objects
        var order = records.Where(record => (string?)record["type"] == "prompt").Select((record, i) => (Id: (string)record["id"]!, i)).ToDictionary(entry => entry.Id, entry => entry.i);
        var answers = order.Keys.ToDictionary(id => id, _ => new List<string>());
        var last = 0;
        foreach (var response in records.Where(record => (string?)record["type"] == "response"))
        {
            var prompt = (string)response["prompt_id"]!; // every response names its prompt
            if (order[prompt] < last)
                break;
            last = order[prompt];
            answers[prompt].Add((string)response["text"]!); // likewise
        }
        return answers.ToDictionary(entry => entry.Key, entry => (IReadOnlyList<string>)entry.Value);
    }

    private static string HashOf(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
