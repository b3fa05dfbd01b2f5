namespace Portal.Web.Shell;

/// <summary>
/// Response headers that make hostile text harmless even where a page forgets to be careful, and the refusal of
/// WebSocket handshakes from other sites (browsers send cookies with those and ask nobody).
/// </summary>
public static class SecurityHeaders
{
    /// <summary>
    /// The content security policy of every response. Scripts: only files of this site, nothing inline, no eval.
    /// The one exception is <c>style-src-attr 'unsafe-inline'</c>: Radzen's components write style attributes. Style
    /// elements and sheets of other sites stay refused. <c>img-src data:</c> is for the small pictures inside Radzen's sheets.
    /// </summary>
    public const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; " +
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'; manifest-src 'self'";

    public static IApplicationBuilder UseSecurityHeaders(this IApplicationBuilder app) => app.Use(static async (http, next) =>
    {
        // OnStarting, because the exception handler clears headers that were set before it.
        http.Response.OnStarting(static state =>
        {
            var headers = ((HttpContext)state).Response.Headers;
            headers.ContentSecurityPolicy = ContentSecurityPolicy;
            headers.XFrameOptions = "DENY"; // antiforgery would say SAMEORIGIN to browsers that know no frame-ancestors
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "same-origin";
            headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()";
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
            headers["Cross-Origin-Resource-Policy"] = "same-origin";
            return Task.CompletedTask;
        }, http);

        if (IsSocket(http) && IsFromElsewhere(http.Request))
        {
            http.Response.StatusCode = StatusCodes.Status403Forbidden;
            return;
        }

        await next(http);
    });

    private static bool IsSocket(HttpContext http) =>
        http.WebSockets.IsWebSocketRequest
        || string.Equals(http.Request.Headers.Upgrade, "websocket", StringComparison.OrdinalIgnoreCase)
        || http.Request.Path.StartsWithSegments("/_blazor");

    /// <summary>True if a browser says that the request comes from another host. Programs send no Origin and need a key instead.</summary>
    private static bool IsFromElsewhere(HttpRequest request)
    {
        var origin = request.Headers.Origin.ToString();
        if (origin.Length == 0)
        {
            return false;
        }

        return !Uri.TryCreate(origin, UriKind.Absolute, out var from)
            || !string.Equals(from.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase);
    }
}
