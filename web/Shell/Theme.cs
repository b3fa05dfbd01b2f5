using Microsoft.AspNetCore.Antiforgery;

namespace Portal.Web.Shell;

/// <summary>What a person chose to look at; <see cref="System"/> follows the device.</summary>
public enum Theme
{
    System,
    Light,
    Dark,
    High,
}

/// <summary>Reads the choice from its cookie, so that the first byte of a page already has the right colours.</summary>
public static class ThemeChoice
{
    public const string Cookie = "portal-theme";

    public static Theme Read(HttpContext? http) =>
        http?.Request.Cookies[Cookie] is { } name && Parse(name) is { } theme ? theme : Theme.System;

    /// <summary>The lower-case name used in cookie, form and <c>data-theme</c>.</summary>
    public static string Name(Theme theme) => theme switch
    {
        Theme.System => "system",
        Theme.Light => "light",
        Theme.Dark => "dark",
        Theme.High => "high",
    };

    /// <summary>Null for anything but the four names.</summary>
    public static Theme? Parse(string? name)
    {
        foreach (var theme in Enum.GetValues<Theme>())
        {
            if (Name(theme) == name)
            {
                return theme;
            }
        }

        return null;
    }

    /// <summary>
    /// POST /theme: the form behind the theme menu. With script the page changes at once and this only remembers;
    /// without script the browser follows the redirect back. Needs no sign-in: it changes nothing but one's own cookie.
    /// </summary>
    public static void MapThemeChoice(this WebApplication app) => app.MapPost("/theme", static async (HttpContext http, IAntiforgery antiforgery) =>
    {
        if (!await antiforgery.IsRequestValidAsync(http))
        {
            return Results.BadRequest("The form is out of date. Load the page again and choose once more.");
        }

        var form = await http.Request.ReadFormAsync(http.RequestAborted);
        if (Parse(form["theme"]) is not { } theme)
        {
            return Results.BadRequest("theme must be system, light, dark or high.");
        }

        http.Response.Cookies.Append(Cookie, Name(theme), new CookieOptions
        {
            MaxAge = TimeSpan.FromDays(365),
            HttpOnly = true,
            IsEssential = true,
            SameSite = SameSiteMode.Lax,
            Secure = http.Request.IsHttps,
        });
        return Results.LocalRedirect(LocalPath.Of(form["back"]));
    }).AllowAnonymous().DisableAntiforgery();
}
