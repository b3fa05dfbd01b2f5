using System.Security.Claims;

namespace Portal.Web.Shell;

/// <summary>What the frame around a page shows: the project one is in and what waits at each place.</summary>
/// <param name="ProjectName">Null outside any project.</param>
/// <param name="IsSynthetic">True where the project's data was generated; the header then says so on every page.</param>
/// <param name="Waiting">Counts by <see cref="Place.Key"/>; a place without a count, or with 0, shows none.</param>
public sealed record ShellFrame(string? ProjectName, bool IsSynthetic, IReadOnlyDictionary<string, int> Waiting)
{
    public static ShellFrame Empty { get; } = new(null, false, new Dictionary<string, int>());
}

/// <summary>
/// Loads the frame once per page. The shell registers one that is empty; the capability that owns projects registers
/// its own after <see cref="ShellSetup.AddShell"/>. It runs on every page, so it must be one cheap query.
/// </summary>
public delegate Task<ShellFrame> LoadShellFrame(ClaimsPrincipal user, CancellationToken stop);

/// <summary>The frame of the page that is being rendered: menu and header ask, one query answers.</summary>
public sealed class CurrentFrame(LoadShellFrame load)
{
    private Task<ShellFrame>? frame;

    public Task<ShellFrame> Of(ClaimsPrincipal user) => frame ??= load(user, CancellationToken.None);
}
