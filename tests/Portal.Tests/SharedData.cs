using Xunit;

namespace Portal.Tests;

/// <summary>
/// The folder of shared reference data: the environment variable PORTAL_SHARED, else a folder "shared" beside the repository.
/// It is no part of the repository; tests that need it are marked <see cref="SharedFactAttribute"/>.
/// </summary>
public static class SharedData
{
    /// <summary>The folder, or null where it is absent.</summary>
    public static string? Root { get; } = Find();

    /// <summary>The full path of a file in the folder.</summary>
    public static string Path(string relative)
    {
        return System.IO.Path.Combine(Root ?? throw new InvalidOperationException("shared data is absent"), relative);
    }

    private static string? Find()
    {
        var named = Environment.GetEnvironmentVariable("PORTAL_SHARED");
        if (!string.IsNullOrEmpty(named))
        {
            return Directory.Exists(named) ? named : null;
        }

        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var candidate = System.IO.Path.Combine(folder.FullName, "shared");
            if (Directory.Exists(System.IO.Path.Combine(candidate, "golden")))
            {
                return candidate;
            }
        }

        return null;
    }
}

/// <summary>A fact that needs the shared reference data; skipped, with the reason, where it is absent.</summary>
public sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute()
    {
        if (SharedData.Root is null)
        {
            Skip = "shared reference data is absent: set PORTAL_SHARED, or put the folder \"shared\" beside the repository";
        }
    }
}
