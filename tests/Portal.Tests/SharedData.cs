using Xunit;

namespace Portal.Tests;

/// <summary>
/// Finds the material that lies beside the repository and is not part of it: PORTAL_SHARED, or a folder "shared" beside the repository or further up.
/// </summary>
public static class SharedData
{
    /// <summary>The folder, or null where there is none.</summary>
    public static string? Root { get; } = Find();

    /// <summary>A file below it; only for tests marked <see cref="SharedFactAttribute"/>.</summary>
    public static string Path(string rel) => System.IO.Path.Combine(Root ?? throw new InvalidOperationException("No shared folder; mark the test [SharedFact]."), rel);

    private static string? Find()
    {
        string? named = Environment.GetEnvironmentVariable("PORTAL_SHARED");
        if (!string.IsNullOrEmpty(named)) return Directory.Exists(named) ? named : null;
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            string beside = System.IO.Path.Combine(at.FullName, "shared");
            if (Directory.Exists(System.IO.Path.Combine(beside, "golden"))) return beside;
        }

        return null;
    }
}

/// <summary>A fact that needs the shared folder; skipped, with the reason, where it is absent.</summary>
public sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute()
    {
        if (SharedData.Root is null) Skip = "The shared folder is not here: set PORTAL_SHARED, or put it beside the repository.";
    }
}
