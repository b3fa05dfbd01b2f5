using System.Globalization;

namespace Portal.Tests.Web;

/// <summary>Writes numbers as the English pages do while it lives.</summary>
public sealed class English : IDisposable
{
    private readonly CultureInfo before = CultureInfo.CurrentCulture;

    public English() => CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("en");

    public void Dispose() => CultureInfo.CurrentCulture = before;
}
