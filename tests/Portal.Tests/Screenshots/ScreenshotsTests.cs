using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Screenshots;

/// <summary>No page is forgotten by `./run screenshots`.</summary>
public sealed class ScreenshotsTests
{
    /// <summary>Not pages to look at here: what is shown when something is missing or failed, the developers' gallery, and what BestOfNPageTests looks at.</summary>
    private static readonly string[] LeftOut = ["/not-found", "/error", "/best-of/{Run:guid}", "/unlearning/new", "/erasure/{Id:guid}"]; // what needs a published toggle set, pairs that somebody chose, an erasure or minutes of sampling first: BestOfNPageTests and EveryPageTests look at them

    [Fact]
    public void Every_page_is_visited()
    {
        var source = File.ReadAllText(Path.Combine(Repository.Root, "tests", "Portal.Tests", "Screenshots", "TakeScreenshots.cs"));
        var routes = ShellSetup.PageRoutes(typeof(ShellSetup).Assembly).Where(route => !LeftOut.Contains(route) && !route.StartsWith("/dev/", StringComparison.Ordinal)).ToList();
        var forgotten = routes.Where(route => !IsVisited(source, route)).ToList();

        Assert.True(forgotten.Count == 0, $"Screenshots/TakeScreenshots.cs visits no page of the route {string.Join(", ", forgotten)}");
        Assert.True(routes.Count > 20, "hardly any page was found, so nothing is tested");
        Assert.False(IsVisited(source, "/nowhere/{Id:guid}"));
    }

    /// <summary>Routes of the two queues are composed there from their place.</summary>
    private static bool IsVisited(string source, string route) =>
        source.Contains($"\"{route}\"", StringComparison.Ordinal)
        || new[] { "annotate", "judge" }.Any(place => route.StartsWith($"/{place}/", StringComparison.Ordinal)
            && source.Contains("\"/{place}" + route[(place.Length + 1)..].Replace("{", "{{", StringComparison.Ordinal).Replace("}", "}}", StringComparison.Ordinal) + "\"", StringComparison.Ordinal));
}
