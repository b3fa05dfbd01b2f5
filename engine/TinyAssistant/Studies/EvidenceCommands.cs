using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Recipes;

namespace Portal.Engine.TinyAssistant.Studies;

/// <summary><c>engine evidence NAME</c>: runs a study against the sealed truth and prints its table. Started by <c>./bench evidence NAME</c>.</summary>
public static class EvidenceCommands
{
    public static Command Create()
    {
        var assets = new Option<DirectoryInfo>("--assets") { Description = "The shipped demo (its base model is studied).", Required = true };
        var seeds = new Option<long[]>("--seeds") { Description = "Named before the run.", DefaultValueFactory = _ => [1, 2, 3], AllowMultipleArgumentsPerToken = true };
        var work = new Option<DirectoryInfo>("--work") { Description = "Where half-done runs are kept; a study that was interrupted goes on.", Required = true };
        var json = new Option<FileInfo>("--json") { Description = "Write the rows as JSON too." };
        var quick = new Option<bool>("--quick") { Description = "A miniature: fewer prompts, votes and samples. Not evidence." };
        var atOnce = new Option<int>("--at-once") { Description = "Seeds that run at the same time, each in a process of its own. Default: all cores, 3 at least, so that no third seed has one of two cores to itself.", DefaultValueFactory = _ => Math.Max(3, Environment.ProcessorCount) };
        var threads = new Option<int?>("--threads") { Description = "Threads of an operator. Default: all cores." };
        var sizes = new Option<string>("--sizes") { Description = "Other sizes, as JSON: {\"part\": \"Reward\", \"votes\": [3000]}. For tuning, on seeds that are not reported; not evidence." };
        var presets = new Option<DirectoryInfo>("--presets") { Description = "Other presets than the shipped ones. For tuning; not evidence.", DefaultValueFactory = _ => new DirectoryInfo(Path.Combine(AppContext.BaseDirectory, "presets")) };
        var foundation = new Command("foundation", "Reward model, DPO and KTO on simulated votes against the sealed truth.") { assets, seeds, work, json, quick, sizes, presets, atOnce, threads };
        foundation.SetAction(async (arguments, stop) =>
        {
            var named = arguments.GetRequiredValue(seeds);
            var (demo, scratch) = (arguments.GetRequiredValue(assets).FullName, arguments.GetRequiredValue(work).FullName);
            var (isQuick, other, from) = (arguments.GetValue(quick), arguments.GetValue(sizes), arguments.GetRequiredValue(presets).FullName);
            IReadOnlyList<StudyRow> rows;
            if (named.Length > 1 && arguments.GetValue(atOnce) is > 1 and var together)
            {
                rows = await StudySeeds.Run("foundation", ["--assets", demo, "--work", scratch, "--presets", from, .. isQuick ? ["--quick"] : Array.Empty<string>(), .. other is null ? Array.Empty<string>() : ["--sizes", other]], named, together, scratch, Console.Error, stop);
            }
            else
            {
                TrainingProcess.Prepare(arguments.GetValue(threads));
                var progress = new ConsoleProgress(Console.Error, json: false, !Console.IsErrorRedirected, TimeProvider.System);
                var study = Make(demo, from, other is not null ? Sizes(other) : isQuick ? Miniature : new FoundationSizes(), scratch, progress, stop);
                rows = [.. named.SelectMany(study.Run)];
            }
            if (arguments.GetValue(json) is { } file)
                ArtefactFile.Write(file.FullName, stream => JsonSerializer.Serialize(stream, rows, new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true }));
            Console.WriteLine(StudyTable.Markdown($"./bench evidence foundation --seeds {string.Join(' ', named)}{string.Concat(Changes(arguments, isQuick, other, presets))}", rows));
            return 0;
        });
        return new Command("evidence", "Run a study and print its table.") { foundation };
    }

    /// <summary>What makes a run something else than evidence, for the line above its table.</summary>
    private static IEnumerable<string> Changes(ParseResult arguments, bool isQuick, string? other, Option<DirectoryInfo> presets)
    {
        if (isQuick)
            yield return " --quick";
        if (other is not null)
            yield return $" --sizes '{other}'";
        if (arguments.GetResult(presets) is { Implicit: false })
            yield return $" --presets {arguments.GetRequiredValue(presets)}";
    }

    private static FoundationSizes Sizes(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<FoundationSizes>(json, new JsonSerializerOptions(JsonSerializerDefaults.Web)
            {
                Converters = { new JsonStringEnumConverter() }, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
            }) ?? throw new CannotTrain("--sizes is null; it must be an object.");
        }
        catch (JsonException e)
        {
            throw new CannotTrain($"--sizes: {e.Message}", e);
        }
    }

    /// <summary>The miniature of the foundation study: what `./test` runs, with one seed.</summary>
    public static FoundationSizes Miniature { get; } = new()
    {
        Evidence = new EvidenceSizes { TrainPrompts = 200, HoldOutPrompts = 10, TestPrompts = 60, ResponsesPerTrainPrompt = 4, ResponsesPerHoldOutPrompt = 2, CandidatesPerTestPrompt = 6, TrainPairs = 800 },
        BaseSamples = 120, Votes = [800], TestPairs = 800, PolicyPrompts = 60, SamplesPerPrompt = 2, PolicyVotes = 800, Exhibit = false,
    };

    /// <summary>The foundation study on a demo folder, with the presets of a folder.</summary>
    public static FoundationStudy Make(string assets, string presets, FoundationSizes sizes, string work, IRecipeProgress progress, CancellationToken stop)
    {
        return new FoundationStudy(Path.Combine(assets, "base"), Preset<TrainRewardModel>("reward-model"), Preset<TrainPreferencePolicy>("dpo"), Preset<TrainPreferencePolicy>("kto"),
            Preset<TrainPreferencePolicy>("dpo-overoptimised"), sizes, work, progress, stop);

        T Preset<T>(string name) where T : JobSpec => TrainCommands.Read<T>(new FileInfo(Path.Combine(presets, name + ".json")), name);
    }
}
