using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine.TinyAssistant.Story;

/// <summary><c>engine story</c>: the whole journey on the demo world, on an installation of its own, with one table at the end.</summary>
public static class StoryCommands
{
    /// <summary>Says that a folder is a story's and may be removed by the next one.</summary>
    private const string Marker = ".story";

    /// <param name="parts">The engine's own parts: the story runs the very engine that an installation runs.</param>
    public static Command Create(EngineParts parts)
    {
        var assets = new Option<DirectoryInfo>("--assets") { Description = "The shipped demo (its base model is where the story begins).", Required = true };
        var work = new Option<DirectoryInfo>("--work") { Description = "Folder of the scratch installation; made anew, and kept for a look afterwards.", Required = true };
        var tiny = new Option<bool>("--tiny") { Description = "Miniature sizes: shows that every station works, not that anything is learned." };
        var fromNothing = new Option<bool>("--from-nothing") { Description = "Train tokenizer and base too (about 40 minutes on two cores; with --tiny under one)." };
        var seed = new Option<ulong>("--seed") { DefaultValueFactory = _ => 1 };
        var json = new Option<FileInfo>("--json") { Description = "Write the rows as JSON too." };
        var command = new Command("story", "Walk the whole journey on the demo world, no browser, and print one table; ends with 1 when a station did not do its work.")
        {
            assets, work, tiny, fromNothing, seed, json,
        };
        command.SetAction(async (arguments, _) =>
        {
            // Jobs run in processes of their own, which would take another database from here.
            Environment.SetEnvironmentVariable("PORTAL_POSTGRES", null);
            TrainingProcess.Prepare();
            var isTiny = arguments.GetValue(tiny);
            var begins = arguments.GetValue(fromNothing);
            var root = Scratch(arguments.GetRequiredValue(work).FullName);
            var folders = new StoryFolders(arguments.GetRequiredValue(assets).FullName, Directory.CreateDirectory(Path.Combine(root, "world")).FullName, Path.Combine(root, "work"));
            var data = new PortalDataOptions(new DataDirectory(Path.Combine(root, "data")));
            PrepareDatabase(data);
            IReadOnlyList<StoryRow> rows = [];
            await EngineHost.Run(data, new JobQueueOptions(), parts, demo: null, async (services, stop) =>
            {
                var progress = new ConsoleProgress(Console.Error, json: false, !Console.IsErrorRedirected, TimeProvider.System);
                var run = new StoryRun(services, isTiny ? StorySizes.Tiny : new StorySizes(), folders, arguments.GetValue(seed), begins, progress);
                rows = await Walk([.. FoundationStations.All(begins)], run, stop);
            });
            if (arguments.GetValue(json) is { } file)
                ArtefactFile.Write(file.FullName, stream => JsonSerializer.Serialize(stream, rows, new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true }));
            Console.WriteLine(StoryTable.Markdown($"./run story{(begins ? " --from-nothing" : "")}{(isTiny ? " --tiny" : "")} --seed {arguments.GetValue(seed)}", rows));
            return rows.Count > 0 && rows.All(row => row.IsDone) ? 0 : EngineCommandLine.Failed;
        });
        return command;
    }

    /// <summary>Goes from station to station; behind one that did not do its work the rest is not reached.</summary>
    internal static async Task<IReadOnlyList<StoryRow>> Walk(IReadOnlyList<StoryStation> stations, StoryRun run, CancellationToken stop)
    {
        var rows = new List<StoryRow>();
        foreach (var station in stations)
        {
            if (rows.Any(row => !row.IsDone))
            {
                rows.Add(new StoryRow(station.Part, station.Name, null, 0));
                continue;
            }
            Console.Error.WriteLine($"{rows.Count + 1} of {stations.Count}: {station.Name}");
            var watch = Stopwatch.StartNew();
            StationReport report;
            try
            {
                report = await station.Work(run, stop);
            }
            catch (CannotTrain e)
            {
                report = new StationReport("") { Problem = e.Message };
            }
            rows.Add(new StoryRow(station.Part, station.Name, report, watch.Elapsed.TotalSeconds));
        }
        return rows;
    }

    /// <summary>An empty folder: what an earlier story left goes, anything else stays and is refused.</summary>
    private static string Scratch(string folder)
    {
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            if (!File.Exists(Path.Combine(folder, Marker)))
                throw new InvalidOperationException($"{folder} is not empty and was not made by a story; choose another --work.");
            Directory.Delete(folder, recursive: true);
        }
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, Marker), "The scratch installation of `./run story`; the next story removes it.\n");
        return folder;
    }

    /// <summary>What the portal does when it starts.</summary>
    private static void PrepareDatabase(PortalDataOptions data)
    {
        using var services = new ServiceCollection().AddPortalData(data).BuildServiceProvider();
        using (var db = services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext())
            DatabaseSetup.Prepare(db, data, TimeProvider.System.GetUtcNow());
        SqliteConnection.ClearAllPools();
    }
}
