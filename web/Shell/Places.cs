using System.Security.Claims;

namespace Portal.Web.Shell;

/// <summary>The four roles, by the names that claims carry.</summary>
public static class Roles
{
    public const string Annotator = "annotator";
    public const string Reviewer = "reviewer";
    public const string Auditor = "auditor";
    public const string Admin = "admin";
}

/// <summary>One entry of the menu.</summary>
/// <param name="Key">Names the text <c>Place.{Key}</c> and the count in <see cref="ShellFrame.Waiting"/>.</param>
/// <param name="Section">Names the text <c>Section.{Section}</c>; null stands above all sections.</param>
/// <param name="Path">Where it leads; shown only if a page has exactly this route.</param>
/// <param name="Roles">Who sees it; empty means everybody, signed in or not.</param>
public sealed record Place(string Key, string? Section, string Path, params string[] Roles)
{
    /// <summary>The menu from top to bottom. Hiding is a courtesy: handlers check permission, not this list.</summary>
    public static IReadOnlyList<Place> All { get; } =
    [
        new("Home", null, "/"),
        new("Annotate", "Teach", "/annotate", Shell.Roles.Annotator, Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("Judge", "Teach", "/judge", Shell.Roles.Annotator, Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("MyWork", "Teach", "/my-work", Shell.Roles.Annotator, Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("Chat", "Teach", "/chat", Shell.Roles.Annotator, Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("Review", "Check", "/review", Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("Data", "Check", "/data", Shell.Roles.Admin),
        new("Train", "Train", "/train", Shell.Roles.Admin),
        new("Models", "Train", "/models", Shell.Roles.Reviewer, Shell.Roles.Auditor, Shell.Roles.Admin),
        new("Features", "Understand", "/features", Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("PairXray", "Understand", "/pair-xray", Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("ToggleStudio", "Understand", "/toggle-studio", Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("Audits", "Understand", "/audits", Shell.Roles.Auditor, Shell.Roles.Admin),
        new("Explain", "Understand", "/explain", Shell.Roles.Reviewer, Shell.Roles.Admin),
        new("Projects", "Run", "/projects", Shell.Roles.Admin),
        new("People", "Run", "/people", Shell.Roles.Admin),
        new("Admin", "Run", "/admin", Shell.Roles.Admin),
        new("Gallery", "Run", "/dev/gallery"),
    ];
}

/// <summary>Which places exist in this build: a place appears in the menu with its page, never before it.</summary>
/// <param name="routes">Route templates of all pages.</param>
/// <param name="isDevelopment">Places below /dev exist only then.</param>
public sealed class RoutedPlaces(IReadOnlyList<string> routes, bool isDevelopment)
{
    private readonly HashSet<string> routes = new(routes, StringComparer.OrdinalIgnoreCase);

    /// <summary>True if a page has exactly this path as a route.</summary>
    public bool Exists(string path) =>
        routes.Contains(path) && (isDevelopment || !path.StartsWith("/dev/", StringComparison.Ordinal));

    /// <summary>The entries this person sees, in the order of <see cref="Place.All"/>.</summary>
    public IReadOnlyList<Place> VisibleTo(ClaimsPrincipal user) =>
        [.. Place.All.Where(place => Exists(place.Path) && (place.Roles.Length == 0 || place.Roles.Any(user.IsInRole)))];
}
