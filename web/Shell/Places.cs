using System.Security.Claims;
using Portal.Data.Accounts;

namespace Portal.Web.Shell;

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
        new("Annotate", "Teach", "/annotate", RoleNames.Annotator, RoleNames.Reviewer, RoleNames.Admin),
        new("Judge", "Teach", "/judge", RoleNames.Annotator, RoleNames.Reviewer, RoleNames.Admin),
        new("MyWork", "Teach", "/my-work", RoleNames.Annotator, RoleNames.Reviewer, RoleNames.Admin),
        new("Chat", "Teach", "/chat", RoleNames.Annotator, RoleNames.Reviewer, RoleNames.Admin),
        new("Review", "Check", "/review", RoleNames.Reviewer, RoleNames.Admin),
        new("Try", "Check", "/try", RoleNames.Reviewer, RoleNames.Admin),
        new("Data", "Check", "/data", RoleNames.Admin),
        new("Train", "Train", "/train", RoleNames.Admin),
        new("Models", "Train", "/models", RoleNames.Reviewer, RoleNames.Auditor, RoleNames.Admin),
        new("Features", "Understand", "/features", RoleNames.Reviewer, RoleNames.Admin),
        new("PairXray", "Understand", "/pair-xray", RoleNames.Reviewer, RoleNames.Admin),
        new("ToggleStudio", "Understand", "/toggle-studio", RoleNames.Reviewer, RoleNames.Admin),
        new("Audits", "Understand", "/audits", RoleNames.Auditor, RoleNames.Admin),
        new("Explain", "Understand", "/explain", RoleNames.Reviewer, RoleNames.Admin),
        new("Unlearning", "Understand", "/unlearning", RoleNames.Reviewer, RoleNames.Admin),
        new("Erasure", "Understand", "/erasure", RoleNames.Admin),
        new("Projects", "Run", "/projects", RoleNames.Admin),
        new("Endpoints", "Run", "/endpoints", RoleNames.Admin),
        new("People", "Run", "/people", RoleNames.Admin),
        new("Admin", "Run", "/admin", RoleNames.Admin),
        new("Gallery", "Run", "/dev/gallery"),
        new("Docs", "Help", "/docs", [.. RoleNames.All]),
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
