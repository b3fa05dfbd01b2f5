using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace Portal.Tests;

/// <summary>A file system of its own with little room (tmpfs), so that writing really fails with "no space left".</summary>
/// <remarks>Mounting wants root or sudo, as installing the packages that ./test needs does.</remarks>
public sealed class SmallDisk : IDisposable
{
    private static readonly Lazy<string?> Missing = new(Probe);

    public SmallDisk(int kibibytes)
    {
        Folder = Directory.CreateTempSubdirectory("portal-small-").FullName;
        Root("mount", "-t", "tmpfs", "-o", Size(kibibytes), "tmpfs", Folder);
    }

    /// <summary>Why no small disk can be made here; null when one can.</summary>
    public static string? Obstacle => Missing.Value;

    /// <summary>Its root.</summary>
    public string Folder { get; }

    /// <summary>Every file on it, from its root, in order.</summary>
    public IReadOnlyList<string> Files => [.. Directory.EnumerateFiles(Folder, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(Folder, path)).Order(StringComparer.Ordinal)];

    /// <summary>Makes room: the disk as large as this.</summary>
    public void Grow(int kibibytes) => Root("mount", "-o", $"remount,{Size(kibibytes)}", Folder);

    /// <summary>What is taken on it, files included that were deleted and are open still (a write-ahead log, say).</summary>
    public int UsedKibibytes
    {
        get
        {
            var drive = new DriveInfo(Folder);
            return (int)((drive.TotalSize - drive.TotalFreeSpace + 1023) / 1024);
        }
    }

    /// <summary>Bytes of a folder's files, in whole pages as this file system counts.</summary>
    public static int KibibytesOf(string folder) =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Sum(path => (int)((new FileInfo(path).Length + 4095) / 4096 * 4));

    public void Dispose()
    {
        Root("umount", "-l", Folder);
        Directory.Delete(Folder);
    }

    private static string Size(int kibibytes) => string.Create(CultureInfo.InvariantCulture, $"size={kibibytes}k,mode=0777");

    private static string? Probe()
    {
        try
        {
            new SmallDisk(64).Dispose();
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return $"no small file system can be mounted here: {e.Message}";
        }
    }

    private static void Root(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(Environment.IsPrivilegedProcess ? command[0] : "sudo",
            Environment.IsPrivilegedProcess ? command[1..] : ["-n", .. command]) { RedirectStandardError = true, RedirectStandardOutput = true })!; // a new process each time
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{string.Join(' ', command)}: {said.Trim()}");
    }
}

/// <summary>A fact that needs a disk that can be filled; skipped, with the reason, where none can be mounted.</summary>
public sealed class SmallDiskFactAttribute : FactAttribute
{
    public SmallDiskFactAttribute() => Skip = SmallDisk.Obstacle;
}
