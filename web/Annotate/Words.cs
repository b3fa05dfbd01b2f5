using System.Globalization;
using Microsoft.AspNetCore.Components;
using Portal.Data.Feedback;

namespace Portal.Web.Annotate;

/// <summary>Small words that the pages of this folder share.</summary>
internal static class Words
{
    /// <summary>A count of waiting tasks: exact below <see cref="NextTask.OpenMax"/>, "1,000+" from there.</summary>
    public static string Count(int open) =>
        open.ToString("N0", CultureInfo.CurrentCulture) + (open >= NextTask.OpenMax ? "+" : "");

    /// <summary>The kind that the address asks for: /judge is about single responses, everything else about pairs.</summary>
    public static TaskKind KindOf(NavigationManager navigation) =>
        navigation.ToBaseRelativePath(navigation.Uri).StartsWith("judge", StringComparison.OrdinalIgnoreCase) ? TaskKind.Binary : TaskKind.Pairwise;
}
