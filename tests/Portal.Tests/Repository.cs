namespace Portal.Tests;

/// <summary>Where the sources are, for tests that read them or start what was built from them.</summary>
public static class Repository
{
    /// <summary>The folder that holds Portal.sln, found upwards from the test assembly.</summary>
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Portal.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"No Portal.sln above '{AppContext.BaseDirectory}'.");
    }
}
