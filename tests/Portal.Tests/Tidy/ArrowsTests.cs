using Portal.Data;
using Portal.Engine.TinyAssistant;
using Portal.Web.Accounts;
using Xunit;

namespace Portal.Tests.Tidy
{
    /// <summary>Who may refer to whom: the three projects, the engine's folders (ARCHITECTURE.md, "Arrows"), the web's widgets.</summary>
    public sealed class ArrowsTests
    {
        /// <summary>Folders of a rung may use the rungs before it. The root's own types: what every rung may use stands before the first folder, what starts the rest on the last rung.</summary>
        private static readonly string[][] Ladder =
        [
            ["ArtefactFile", "CannotTrain"],
            ["Statistics", "Tokenizers"],
            ["Models", "Losses", "Agreement"],
            ["Generation", "Datasets", "Endpoints"],
            ["Evaluation", "Sae", "Irl", "Influence"],
            ["Recipes"],
            ["Unlearning"],
            ["Audits"],
            ["Jobs", "Erasure", "Serving", "TinyAssistant", "Studies", "CommandLine", "EngineCommandLine", "TrainingProcess", "FullDisk"],
        ];

        private static readonly string Engine = typeof(World).Assembly.Location;
        private static readonly string Web = typeof(Access).Assembly.Location;
        private static readonly string Data = typeof(PortalDbContext).Assembly.Location;

        [Fact]
        public void Web_and_engine_meet_in_data_only()
        {
            Assert.True(!TypeReferences.AssembliesOf(Web).Contains("Portal.Engine"),
                "web refers to the engine. Ask it by a job row (migrations/JobSpecs) or through its HTTP door (web/Shell/EngineClient.cs), and put a type that both need into migrations/.");
            Assert.True(!TypeReferences.AssembliesOf(Engine).Contains("Portal.Web"),
                "The engine refers to web. Write a row that the page reads instead; a type that both need lives in migrations/.");
            Assert.True(!TypeReferences.AssembliesOf(Data).Any(name => name is "Portal.Web" or "Portal.Engine"),
                "migrations/ refers to web or the engine. It is what both stand on: move the type it needs down into migrations/.");
        }

        /// <summary>Metadata names a project only where a type of it is used; the project files must not name it either.</summary>
        [Fact]
        public void No_project_file_names_a_project_it_may_not_use()
        {
            var offenders = SourceFile.All.Where(file => file.Path is "web/Portal.Web.csproj" or "engine/Portal.Engine.csproj" or "migrations/Portal.Data.csproj")
                .SelectMany(file => Forbidden(file).Select(name => $"{file.Path} names {name}")).ToArray();

            Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}. Only web -> data and engine -> data are arrows: remove the reference and pass a row.");
        }

        [Fact]
        public void A_project_file_with_a_wrong_reference_is_caught() =>
            Assert.Equal(["Portal.Engine"], Forbidden(new SourceFile("web/Portal.Web.csproj", """<ProjectReference Include="../engine/Portal.Engine.csproj" />""")));

        /// <summary>Negative control: these tests refer to all three, and the reader of metadata sees it.</summary>
        [Fact]
        public void The_reader_sees_the_references_of_this_assembly() =>
            Assert.Superset(new HashSet<string> { "Portal.Web", "Portal.Engine", "Portal.Data" }, TypeReferences.AssembliesOf(typeof(ArrowsTests).Assembly.Location).ToHashSet());

        [Fact]
        public void Quartz_is_known_to_the_engines_jobs_only()
        {
            Assert.DoesNotContain("Quartz", TypeReferences.AssembliesOf(Web));
            Assert.DoesNotContain("Quartz", TypeReferences.AssembliesOf(Data));
            var users = TypeReferences.Of(Engine).Where(type => type.Value.Any(name => name.StartsWith("Quartz.", StringComparison.Ordinal))).Select(type => type.Key).ToArray();
            Assert.Contains("Portal.Engine.Jobs.JobQueue", users);
            Assert.True(users.All(type => FolderOf(type, "Portal.Engine") == "Jobs"),
                $"{string.Join(", ", users.Where(type => FolderOf(type, "Portal.Engine") != "Jobs"))}: only engine/Jobs knows Quartz. Read and write Job rows instead.");
        }

        [Fact]
        public void A_folder_of_the_engine_uses_the_rungs_above_it_only()
        {
            var offenders = Against(TypeReferences.Of(Engine), "Portal.Engine");

            Assert.True(offenders.Count == 0,
                $"{string.Join("; ", offenders)}. A folder uses those above it in the ladder of ARCHITECTURE.md: move what is needed up, or hand it in as a delegate.");
        }

        /// <summary>A folder that the ladder does not know is on no rung, so that nobody checks it.</summary>
        [Fact]
        public void Every_folder_of_the_engine_stands_on_the_ladder()
        {
            var unknown = TypeReferences.Of(Engine).Keys.Select(type => FolderOf(type, "Portal.Engine")).OfType<string>().Distinct().Except(Ladder.SelectMany(rung => rung)).ToArray();

            Assert.True(unknown.Length == 0, $"engine/{string.Join(", engine/", unknown)}: name its rung in ARCHITECTURE.md (Arrows) and here.");
        }

        /// <summary>Negative controls: this assembly's own little ladder below.</summary>
        [Fact]
        public void An_arrow_upwards_is_caught_and_one_downwards_is_not()
        {
            var offenders = Against(TypeReferences.Of(typeof(ArrowsTests).Assembly.Location), "Portal.Tests.Tidy.Rungs");

            Assert.Equal(["Losses.ReachesUp -> Models.Network", "Losses.ReachesUp -> Recipes.Trains", "Losses.ReachesUpInALambda -> Recipes.Trains", "Models.ReachesASide -> Losses.ReachesUp"], offenders.Order());
        }

        [Fact]
        public void Components_know_no_capability()
        {
            var offenders = TypeReferences.Of(Web).Where(type => FolderOf(type.Key, "Portal.Web") == "Components")
                .SelectMany(type => type.Value.Where(used => FolderOf(used, "Portal.Web") is { } folder and not ("Components" or "_Imports")).Select(used => $"{type.Key} -> {used}")).ToArray();

            Assert.True(offenders.Length == 0, $"{string.Join("; ", offenders)}. A widget shows what it is given: take the value or text as a parameter.");
        }

        /// <summary>The same reading finds the arrows that are there: pages use the widgets.</summary>
        [Fact]
        public void Pages_are_seen_using_components() =>
            Assert.Contains(TypeReferences.Of(Web), type => FolderOf(type.Key, "Portal.Web") == "Annotate" && type.Value.Any(used => FolderOf(used, "Portal.Web") == "Components"));

        private static IReadOnlyList<string> Forbidden(SourceFile project) =>
            [.. new[] { "Portal.Web", "Portal.Engine", "Portal.Torch" }.Where(name => !project.Path.EndsWith($"{name}.csproj", StringComparison.Ordinal)
                && !(name == "Portal.Torch" && project.Name == "Portal.Engine.csproj") && project.Text.Contains($"{name}.csproj", StringComparison.Ordinal))];

        /// <summary>"Losses.A -> Recipes.B" for each type that uses one of its own rung's other folders or of a later rung.</summary>
        private static IReadOnlyList<string> Against(IReadOnlyDictionary<string, IReadOnlySet<string>> references, string root) =>
        [
            .. from type in references
               let folder = FolderOf(type.Key, root)
               where folder is not null && !type.Key[root.Length..].Contains('<')
               from used in type.Value
               let other = FolderOf(used, root)
               where other is not null && other != folder && RungOf(other) >= RungOf(folder) && RungOf(folder) < Ladder.Length - 1
               select $"{type.Key[(root.Length + 1)..]} -> {used[(root.Length + 1)..]}",
        ];

        private static int RungOf(string folder) => Array.FindIndex(Ladder, rung => rung.Contains(folder));

        /// <summary>The first name below a namespace: the folder, or the type where it stands in the root; null for what is elsewhere.</summary>
        private static string? FolderOf(string type, string root) =>
            type.StartsWith(root + ".", StringComparison.Ordinal) ? type[(root.Length + 1)..].Split('.', '/', '<')[0] : null;
    }
}

// What the ladder's test has to catch, and what it has to let pass. Nothing calls them.
namespace Portal.Tests.Tidy.Rungs.Models
{
    internal sealed class Network
    {
        public double Weight { get; init; }
    }

    internal static class ReachesASide
    {
        public static Type Take() => typeof(Losses.ReachesUp);
    }
}

namespace Portal.Tests.Tidy.Rungs.Losses
{
    internal static class ReachesUp
    {
        public static double Take(Recipes.Trains trains) => trains.Model.Weight;
    }

    internal static class ReachesUpInALambda
    {
        public static Func<object> Take() => () => new Recipes.Trains();
    }
}

namespace Portal.Tests.Tidy.Rungs.Recipes
{
    internal sealed class Trains
    {
        public Models.Network Model { get; } = new();
    }
}
