using Microsoft.AspNetCore.Identity;
using Portal.Data.Accounts;

namespace Portal.Web.Accounts;

/// <summary>Endpoints that are no pages.</summary>
public static class AccountEndpoints
{
    public static void MapAccounts(this IEndpointRouteBuilder app) =>
        // A form with an antiforgery token: nobody can be signed out by a link.
        app.MapPost("/sign-out", async (SignInManager<Account> signIn, HttpContext http, [Microsoft.AspNetCore.Mvc.FromForm] string? back) =>
        {
            await signIn.SignOutAsync();
            http.Response.Headers["Clear-Site-Data"] = "\"cache\"";
            return Results.LocalRedirect(Shell.LocalPath.Of(back));
        });
}
