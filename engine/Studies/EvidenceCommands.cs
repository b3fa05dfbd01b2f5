using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Portal.Engine.Recipes;

namespace Portal.Engine.Studies;

/// <summary><c>engine evidence NAME</c>: runs a study and prints its table. Started by <c>./bench evidence NAME</c>.</summary>
public static class EvidenceCommands
{
    private static readonly Option<DirectoryInfo> Assets = new("--assets") { Description = "The shipped demo.", Required = true };
    private static readonly Option<long[]> Seeds = new("--seeds") { Description = "Named before the run.", DefaultValueFactory = _ => [1, 2, 3], AllowMultipleArgumentsPerToken = true };
    private static readonly Option<DirectoryInfo> Work = new("--work") { Description = "Where half-done runs are kept; a study that was interrupted goes on.", Required = true };
    private static readonly Option<DirectoryInfo> Answers = new("--answers") { Description = "Where sampled answers are kept; studies that ask the same share them. Default: the work folder." };
    private static readonly Option<FileInfo> Json = new("--json") { Description = "Write the rows as JSON too." };
    private static readonly Option<bool> Quick = new("--quick") { Description = "A miniature. Not evidence." };
    private static readonly Option<int?> Threads = new("--threads") { Description = "Threads of an operator. Default: all cores." };

    private static readonly Option<int> AtOnce = new("--at-once")
    {
        Description = "Seeds that run at the same time, each in a process of its own. Default: all cores, 3 at least, so that no third seed has one of two cores to itself.",
        DefaultValueFactory = _ => Math.Max(3, Environment.ProcessorCount),
    };

    public static Command Create(params IReadOnlyList<Study> studies)
    {
        var evidence = new Command("evidence", "Run a study and print its table.");
        foreach (var study in studies)
            evidence.Subcommands.Add(Create(study));
        return evidence;
    }

    private static Command Create(Study study)
    {
        var command = new Command(study.Name, study.Description) { Assets, Seeds, Work, Answers, Json, Quick, AtOnce, Threads };
        foreach (var option in study.Options)
            command.Options.Add(option);
        command.SetAction(async (arguments, stop) =>
        {
            var seeds = arguments.GetRequiredValue(Seeds);
            var work = arguments.GetRequiredValue(Work).FullName;
            IReadOnlyList<Option> shown = [Quick, .. study.Options];
            IReadOnlyList<StudyRow> rows;
            if (seeds.Length > 1 && arguments.GetValue(AtOnce) is > 1 and var together)
            {
                rows = await StudySeeds.Run(study.Name, [.. Given(arguments, [Assets, Work, Answers, .. shown])], seeds, together, work, Console.Error, stop);
            }
            else
            {
                TrainingProcess.Prepare(arguments.GetValue(Threads));
                var run = new StudyRun(arguments, arguments.GetRequiredValue(Assets).FullName, work, arguments.GetValue(Quick),
                    new ConsoleProgress(Console.Error, json: false, !Console.IsErrorRedirected, TimeProvider.System), stop) { Answers = arguments.GetValue(Answers)?.FullName ?? work };
                rows = [.. seeds.SelectMany(seed => study.Run(run, seed))];
            }
            if (arguments.GetValue(Json) is { } file)
                ArtefactFile.Write(file.FullName, stream => JsonSerializer.Serialize(stream, rows, new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true }));
            Console.WriteLine(StudyTable.Markdown($"./bench evidence {study.Name} --seeds {string.Join(' ', seeds)}{string.Concat(Given(arguments, shown).Select(word => $" {Quoted(word)}"))}", rows));
            return 0;
        });
        return command;
    }

    /// <summary>A word as a shell takes it back.</summary>
    private static string Quoted(string word) => word.All(letter => char.IsAsciiLetterOrDigit(letter) || "-_./".Contains(letter)) ? word : $"'{word}'";

    /// <summary>Those of some options that were typed, as they were typed.</summary>
    private static IEnumerable<string> Given(ParseResult arguments, IReadOnlyList<Option> options) =>
        options.Select(arguments.GetResult).OfType<OptionResult>().Where(result => !result.Implicit).SelectMany(result => result.Tokens.Select(token => token.Value).Prepend(result.Option.Name));
}
