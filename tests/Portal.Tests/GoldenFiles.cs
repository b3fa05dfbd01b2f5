namespace Portal.Tests;

/// <summary>The committed golden files in tests/Golden: numbers from other implementations, each beside its generator.</summary>
public static class GoldenFiles
{
    /// <summary>The folder tests/Golden of this repository.</summary>
    public static string Root { get; } = Find();

    /// <summary>The full path of a golden file.</summary>
    public static string Path(string relative)
    {
        return System.IO.Path.Combine(Root, relative);
    }

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var candidate = System.IO.Path.Combine(folder.FullName, "tests", "Golden");
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }

        throw new DirectoryNotFoundException("tests/Golden was not found above the test assembly; run the tests from a checkout");
    }
}
