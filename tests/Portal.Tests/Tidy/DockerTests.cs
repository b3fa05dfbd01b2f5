using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>
/// The container files, as far as they can be checked where no image can be fetched: every instruction is known, what is copied exists, versions are
/// the project's, nothing runs as root, health is asked for.
/// </summary>
public sealed partial class DockerTests
{
    private static readonly string[] Known = ["ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL"];

    [Theory]
    [InlineData("Dockerfile.web", "web", "docs", "wwwroot-assets", "migrations")]
    [InlineData("Dockerfile.engine", "engine", "migrations", "wwwroot-assets/demo")]
    public void A_container_file_is_in_order(string file, params string[] copied)
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docker", file));

        Assert.Equal([], Problems(text));
        Assert.StartsWith("# Not built here", text, StringComparison.Ordinal);
        Assert.Contains($"ARG DOTNET={FrameworkVersion()}", text, StringComparison.Ordinal);
        foreach (var path in copied)
            Assert.Contains($"COPY {path} ", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Compose_names_both_container_files_and_one_volume()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docker", "compose.yaml"));
        var files = BuildFile().Matches(text).Select(match => match.Groups[1].Value).ToList();

        Assert.Equal(["docker/Dockerfile.web", "docker/Dockerfile.engine"], files);
        Assert.All(files, file => Assert.True(File.Exists(Path.Combine(Repository.Root, file)), file));
        Assert.Equal(2, Regex.Count(text, "- data:/data"));
        Assert.DoesNotContain('\t', text);
        Assert.All(Regex.Matches(text, "- \"([0-9.:]+)\"").Select(match => match.Groups[1].Value), port => Assert.StartsWith("127.0.0.1:", port, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("FROM debian\nCOPY nowhere /x\nUSER portal\nHEALTHCHECK CMD true\nENTRYPOINT [\"x\"]", "nowhere")]
    [InlineData("FROM debian\nCOPY --from=other /x /y\nUSER portal\nHEALTHCHECK CMD true\nENTRYPOINT [\"x\"]", "other")]
    [InlineData("FROM debian\nUSER root\nHEALTHCHECK CMD true\nENTRYPOINT [\"x\"]", "root")]
    [InlineData("FROM debian AS build\nUSER portal\nFROM debian\nHEALTHCHECK CMD true\nENTRYPOINT [\"x\"]", "root")] // the user of another stage does not count
    [InlineData("FROM debian\nUSER portal\nENTRYPOINT [\"x\"]", "HEALTHCHECK")]
    [InlineData("FROM debian\nINSTALL g++\nUSER portal\nHEALTHCHECK CMD true\nENTRYPOINT [\"x\"]", "INSTALL")]
    [InlineData("FROM debian\nUSER portal\nHEALTHCHECK CMD true\nENTRYPOINT [x]", "ENTRYPOINT")]
    public void What_is_out_of_order_is_found(string text, string named) => Assert.Contains(Problems(text), problem => problem.Contains(named, StringComparison.Ordinal));

    /// <summary>"10.0" of "net10.0".</summary>
    private static string FrameworkVersion() =>
        XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("TargetFramework").Single().Value["net".Length..];

    private static List<string> Problems(string text)
    {
        var problems = new List<string>();
        var stages = new HashSet<string>();
        var (user, health, entry) = ("root", false, false);
        foreach (var line in Instructions(text))
        {
            var (word, rest) = (line.Split(' ')[0], line[(line.Split(' ')[0].Length)..].Trim());
            if (!Known.Contains(word))
                problems.Add($"{word} is no known instruction");
            switch (word)
            {
                case "FROM":
                    (user, health, entry) = ("root", false, false); // a new stage
                    if (rest.Split(" AS ") is [_, var name])
                        stages.Add(name);
                    break;
                case "COPY" when rest.StartsWith("--from=", StringComparison.Ordinal):
                    if (!stages.Contains(rest["--from=".Length..].Split(' ')[0]))
                        problems.Add($"COPY from {rest["--from=".Length..].Split(' ')[0]}, which is no stage");
                    break;
                case "COPY":
                    problems.AddRange(rest.Split(' ', StringSplitOptions.RemoveEmptyEntries)[..^1]
                        .Where(path => !Path.Exists(Path.Combine(Repository.Root, path))).Select(path => $"COPY {path}, which is not there"));
                    break;
                case "USER":
                    user = rest;
                    break;
                case "HEALTHCHECK":
                    health = true;
                    break;
                case "ENTRYPOINT":
                    entry = Regex.IsMatch(rest, "^\\[\"[^\"]+\"(, \"[^\"]+\")*\\]$");
                    if (!entry)
                        problems.Add("ENTRYPOINT is no list of quoted words");
                    break;
            }
        }
        if (user is "root" or "0")
            problems.Add("the last stage runs as root");
        if (!health)
            problems.Add("the last stage has no HEALTHCHECK");
        if (!entry)
            problems.Add("the last stage has no ENTRYPOINT");
        return problems;
    }

    /// <summary>Instructions without comments, continued lines joined.</summary>
    private static IEnumerable<string> Instructions(string text) =>
        Regex.Replace(string.Join('\n', text.ReplaceLineEndings("\n").Split('\n').Where(line => !line.StartsWith('#'))), @"\\\n\s*", " ")
            .Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    [GeneratedRegex(@"dockerfile: (\S+)")]
    private static partial Regex BuildFile();
}
