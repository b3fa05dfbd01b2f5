using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Portal.Data.Erasure;

namespace Portal.Data.Storage;

/// <summary>
/// How long a copy of the database outlives an erasure. Copies that were made before one hold what it erased, so each is removed so many days after it was made; copies that no erasure came after stay as long as an operator wants.
/// </summary>
public static class BackupRetention
{
    /// <summary>Days where nobody says otherwise: a month, which is what people are told who ask for an erasure.</summary>
    public const int DaysDefault = 30;

    /// <summary>The operator's word: whole days, 0 or more.</summary>
    public const string Variable = "PORTAL_BACKUP_DAYS";

    /// <summary>The days that hold here.</summary>
    /// <exception cref="InvalidOperationException">The variable is set to something else than a number of days.</exception>
    public static int Days => Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } text ? DaysDefault
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var days) ? days
        : throw new InvalidOperationException($"{Variable} is \"{text}\"; it is a number of days, for example {DaysDefault}.");

    /// <summary>When a copy was made: by its name where the portal made it, else by the file's time.</summary>
    public static DateTimeOffset MadeAt(string path) =>
        DateTimeOffset.TryParseExact(Path.GetFileNameWithoutExtension(path), "'portal-'yyyyMMdd-HHmmss", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var named) ? named : new DateTimeOffset(File.GetLastWriteTimeUtc(path), TimeSpan.Zero);

    /// <summary>All copies, the eldest first.</summary>
    public static IReadOnlyList<string> All(DataDirectory directory) => [.. Directory.EnumerateFiles(directory.Backups, "*", SearchOption.AllDirectories).OrderBy(MadeAt)];

    /// <summary>Removes the copies that are past their date and hold what was erased since.</summary>
    /// <returns>Those removed.</returns>
    public static IReadOnlyList<string> RemoveDue(PortalDbContext db, DataDirectory directory, DateTimeOffset now)
    {
        var last = db.ErasureRequests.Where(r => r.State == ErasureState.Done).Max(r => r.FinishedAt);
        List<string> due = [.. All(directory).Where(path => MadeAt(path) is var made && made < last && made.AddDays(Days) <= now)];
        due.ForEach(File.Delete);
        return due;
    }
}
