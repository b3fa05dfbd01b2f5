using Microsoft.AspNetCore.Antiforgery;

namespace Portal.Web.Api;

/// <summary>
/// Asks for the antiforgery token on every JSON endpoint that changes something: forms are checked by the framework, JSON bodies are not.
/// </summary>
public sealed class RequireAntiforgery(IAntiforgery antiforgery) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next) =>
        await antiforgery.IsRequestValidAsync(context.HttpContext)
            ? await next(context)
            : Results.Json(new { problems = new[] { new { field = "", message = "The page is out of date. Reload it; what you typed is kept." } } },
                statusCode: StatusCodes.Status400BadRequest);
}
