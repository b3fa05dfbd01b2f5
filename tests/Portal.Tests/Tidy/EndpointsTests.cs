using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Infrastructure;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.StaticAssets;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>Every door of the running portal asks for a sign-in, but for the ones named here.</summary>
/// <remarks>What is listed is what the portal has mapped when it listens: pages, API, forms and hubs.</remarks>
public sealed class EndpointsTests
{
    /// <summary>What strangers may reach, and why. Files of the site (css, js, icons) are open too.</summary>
    private static readonly IReadOnlyDictionary<string, string> Open = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["/health"] = "says ok and nothing else, to whoever watches the process",
        ["/sign-in"] = "nobody is known before",
        ["/invitation/{Token}"] = "the token is the permission",
        ["/theme"] = "light or dark, kept in a cookie, on the sign-in page too",
        ["/error"] = "says that something went wrong, to everybody it goes wrong for",
        ["/not-found"] = "likewise",
        ["/api/engine/notice"] = "a program without an account, which shows its token",
        ["/dev/gallery"] = "answers 404 outside development (web/Shell/ShellSetup.cs)",
        ["/dev/gallery/focus"] = "likewise",
        ["/dev/gallery/interactive"] = "likewise",
        ["/dev/gallery/text"] = "likewise",
    };

    [Fact]
    public async Task Every_endpoint_asks_for_a_sign_in_but_for_the_named_ones()
    {
        await using var portal = await RunningPortal.Start();
        var fallback = await portal.Services.GetRequiredService<IAuthorizationPolicyProvider>().GetFallbackPolicyAsync();
        var endpoints = portal.Services.GetRequiredService<EndpointDataSource>().Endpoints;

        Assert.True(fallback is not null && fallback.Requirements.OfType<DenyAnonymousAuthorizationRequirement>().Any(),
            "There is no fallback policy that asks for a sign-in, so an endpoint that says nothing is open. Set it in web/Accounts/AccountsSetup.cs.");
        var missing = new[] { "/", "/projects", "/api/v1/judgements", "/hubs/jobs", "/_blazor" }.Except(endpoints.Select(RouteOf)).ToArray();
        Assert.True(missing.Length == 0, $"{string.Join(", ", missing)} is not seen among {string.Join(", ", endpoints.Select(RouteOf).Distinct().Order())}: the listing has holes.");
        var strangers = Anonymous(endpoints);
        var unnamed = strangers.Except(Open.Keys).ToArray();
        Assert.True(unnamed.Length == 0, $"{string.Join(", ", unnamed)}: open to strangers. Take AllowAnonymous away; a door that strangers must reach is added to the list here, with its reason.");
        var closed = Open.Keys.Except(strangers).ToArray();
        Assert.True(closed.Length == 0, $"{string.Join(", ", closed)}: listed as open here, but not mapped or not open. Take it off the list.");
    }

    /// <summary>Negative control: in a small application with three endpoints, exactly the open one is found.</summary>
    [Fact]
    public async Task An_open_endpoint_is_caught()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddAuthorization();
        await using var app = builder.Build();
        app.MapGet("/closed", () => "");
        app.MapGet("/asks", () => "").RequireAuthorization();
        app.MapGet("/open", () => "").AllowAnonymous();

        Assert.Equal(["/open"], Anonymous(((IEndpointRouteBuilder)app).DataSources.SelectMany(source => source.Endpoints)));
    }

    private static IReadOnlyList<string> Anonymous(IEnumerable<Endpoint> endpoints) =>
    [
        .. endpoints.Where(endpoint => endpoint.Metadata.GetMetadata<IAllowAnonymous>() is not null && endpoint.Metadata.GetMetadata<StaticAssetDescriptor>() is null)
            .Select(RouteOf).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal),
    ];

    private static string RouteOf(Endpoint endpoint) => endpoint is RouteEndpoint { RoutePattern.RawText: { } route } ? "/" + route.TrimStart('/') : endpoint.DisplayName ?? "";
}
