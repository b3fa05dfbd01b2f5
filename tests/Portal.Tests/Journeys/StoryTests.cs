using System.Text.Json;
using Portal.Engine.TinyAssistant.Story;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>
/// The whole journey in miniature, by the engine that was built: `./run story --tiny`. Each station looks into rows and files whether its work was done;
/// here it is looked at that every station was reached, and that a station which fails ends the story with 1.
/// </summary>
[Trait("Speed", "slow")]
public sealed class StoryTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("portal-story-");

    public void Dispose() => root.Delete(recursive: true);

    /// <summary>Long rounds (PORTAL_SOAK=1) train tokenizer and base too.</summary>
    private static readonly bool FromNothing = Soak.IsLong;

    [Fact]
    public async Task A_vote_travels_from_the_shipped_base_to_new_tasks()
    {
        var json = Path.Combine(root.FullName, "rows.json");
        var (code, table) = await Tell(["--tiny", .. FromNothing ? ["--from-nothing"] : Array.Empty<string>(), "--work", Path.Combine(root.FullName, "story"), "--json", json]);

        Assert.True(code == 0, table);
        using var rows = JsonDocument.Parse(await File.ReadAllTextAsync(json));
        var stations = rows.RootElement.EnumerateArray().Select(row => row.GetProperty("station").GetString()).ToList();
        Assert.Equal([.. FromNothing ? ["tokenizer", "base from nothing"] : Array.Empty<string>(), "base model", "installation", "answers", "votes", "import", "dataset version", "reward model",
            "policy (DPO)", "sealed truth", "release", "new tasks", "engine's door"], stations);
        Assert.All(rows.RootElement.EnumerateArray(), row => Assert.NotEmpty(row.GetProperty("report").GetProperty("from").EnumerateArray()));
        Notes.Write($"./run story --tiny: {table.Split('\n').Last(line => line.Contains("stations did", StringComparison.Ordinal))}");
    }

    [Fact]
    public async Task A_station_that_cannot_do_its_work_ends_the_story_with_1()
    {
        var assets = Directory.CreateDirectory(Path.Combine(root.FullName, "no-demo"));
        var (code, table) = await Tell("--tiny", "--work", Path.Combine(root.FullName, "story"), "--assets", assets.FullName);

        Assert.Equal(1, code);
        Assert.Contains("| base model | **FAILED: ", table, StringComparison.Ordinal);
        Assert.Contains("holds no base model", table, StringComparison.Ordinal);
        Assert.Contains("| new tasks | not reached |", table, StringComparison.Ordinal);
        Assert.Contains("0 of 12 stations did their work", table, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_is_not_a_storys_is_left_alone()
    {
        var file = Path.Combine(root.FullName, "mine.txt");
        await File.WriteAllTextAsync(file, "mine");
        var (code, said) = await Tell("--tiny", "--work", root.FullName, "--assets", root.FullName);

        Assert.Equal(1, code);
        Assert.Contains("was not made by a story", said, StringComparison.Ordinal);
        Assert.Equal("mine", await File.ReadAllTextAsync(file));
    }

    [Fact]
    public void The_table_says_number_interval_and_what_failed()
    {
        var table = StoryTable.Markdown("./run story",
        [
            new StoryRow("foundation", "votes", new StationReport("Judged.") { Number = new StationNumber("share", 0.8134, 0.7, 0.9, 1_200), From = ["job 3", "seed 1"] }, 1.26),
            new StoryRow("foundation", "import", new StationReport("Read.") { Number = StationNumber.Counted("rows", 12_345), Problem = "Two rows are missing." }, 60),
            new StoryRow("foundation", "release", null, 0),
        ]);

        Assert.Contains("| votes | Judged. | share 0.813 | 0.700 to 0.900 | 1,200 | 1.3 | job 3 · seed 1 |", table, StringComparison.Ordinal);
        Assert.Contains("| import | **FAILED: Two rows are missing.** Read. | rows 12,345 | – | 12,345 | 60.0 |", table, StringComparison.Ordinal);
        Assert.Contains("| release | not reached | – | – | – | 0.0 |", table, StringComparison.Ordinal);
        Assert.Contains("1 of 3 stations did their work in 1:01 minutes", table, StringComparison.Ordinal);
    }

    /// <summary>Standard output and error together, as a person sees them.</summary>
    private static async Task<(int Code, string Said)> Tell(params string[] arguments)
    {
        if (!arguments.Contains("--assets"))
            arguments = [.. arguments, "--assets", Path.Combine(Repository.Root, "wwwroot-assets", "demo")];
        var (code, output, errors) = await BuiltEngine.Run(Patience, ["story", .. arguments]);
        return (code, errors + output);
    }
}
