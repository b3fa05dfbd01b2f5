namespace Portal.Web.Shell;

/// <summary>Paths that come from a query or a form and lead back: only ones inside this site are followed.</summary>
public static class LocalPath
{
    /// <summary>The path if it is one of this site, "/" otherwise (another host, a scheme, "//host", "/\host").</summary>
    public static string Of(string? path) => Is(path) ? path : "/";

    /// <summary>True for a path that stays on this site.</summary>
    public static bool Is([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] string? path) =>
        path is ['/', ..] and not ['/', '/' or '\\', ..] && !path.Any(char.IsControl);
}
