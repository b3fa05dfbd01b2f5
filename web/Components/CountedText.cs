using System.Globalization;
using Microsoft.Extensions.Localization;

namespace Portal.Web.Components;

/// <summary>Texts about a number of things: the entry "Rows" for most numbers, the entry "RowsOne" for one.</summary>
public static class CountedText
{
    /// <param name="key">The entry for any number but 1; with "One" behind it, the entry for 1.</param>
    /// <param name="count">Becomes {0}, with the reader's separators.</param>
    /// <param name="more">{1} and so on.</param>
    public static LocalizedString Counted(this IStringLocalizer texts, string key, long count, params object[] more) =>
        texts.CountedAs(key, count, count.ToString("N0", CultureInfo.CurrentCulture), more);

    /// <summary>The same where the number is shown in words of its own ("1,000+").</summary>
    public static LocalizedString CountedAs(this IStringLocalizer texts, string key, long count, string shown, params object[] more) =>
        texts[count == 1 ? key + "One" : key, [shown, .. more]];
}
