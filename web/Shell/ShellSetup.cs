using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Radzen;

namespace Portal.Web.Shell;

/// <summary>Everything every page needs and no capability owns: Blazor, texts, headers, layouts, static assets, theme.</summary>
public static class ShellSetup
{
    /// <summary>Languages with a <c>Texts.xx.resx</c> in every folder; the first is the fallback.</summary>
    private static readonly string[] Languages = ["en"];

    public static WebApplicationBuilder AddShell(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddLocalization();
        // Letters of every script are sent as they are; <, >, &, quotes and controls are still written as entities.
        services.AddWebEncoders(static encoders => encoders.TextEncoderSettings = new TextEncoderSettings(UnicodeRanges.All));
        services.AddRazorComponents().AddInteractiveServerComponents(circuits =>
        {
            // One Wi-Fi outage may part a thousand people at once; the default keeps only 100 of them.
            circuits.DisconnectedCircuitMaxRetained = 1_500;
            circuits.DisconnectedCircuitRetentionPeriod = TimeSpan.FromMinutes(2);
            circuits.DetailedErrors = builder.Environment.IsDevelopment();
        });
        services.AddCascadingAuthenticationState();
        services.AddAuthorization();
        services.AddRadzenComponents();
        services.AddHttpContextAccessor();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(new RoutedPlaces(PageRoutes(typeof(ShellSetup).Assembly), builder.Environment.IsDevelopment()));
        services.TryAddScoped<LoadShellFrame>(_ => static (_, _) => Task.FromResult(ShellFrame.Empty));
        services.AddScoped<CurrentFrame>();
        return builder;
    }

    /// <summary>The part of the pipeline that comes before authentication: errors, headers, language.</summary>
    public static WebApplication UseShell(this WebApplication app)
    {
        app.UseSecurityHeaders();
        if (!app.Environment.IsDevelopment())
        {
            app.UseExceptionHandler("/error", createScopeForErrors: true);
        }

        app.UseStatusCodePagesWithReExecute("/not-found", createScopeForStatusCodePages: true);
        app.Use(static (http, next) =>
        {
            // Programs that ask the API want the bare status, people want the page.
            if (http.Request.Path.StartsWithSegments("/api") && http.Features.Get<IStatusCodePagesFeature>() is { } pages)
            {
                pages.Enabled = false;
            }

            return next(http);
        });
        if (!app.Environment.IsDevelopment())
        {
            // The gallery shows invented values; it exists on developers' machines only.
            app.Map("/dev", static gone => gone.Run(static http =>
            {
                http.Response.StatusCode = StatusCodes.Status404NotFound;
                return Task.CompletedTask;
            }));
        }

        app.UseRequestLocalization(options =>
        {
            options.SetDefaultCulture(Languages[0]).AddSupportedCultures(Languages).AddSupportedUICultures(Languages);
        });
        return app;
    }

    /// <summary>Static assets with fingerprints, all pages, and the theme form.</summary>
    public static WebApplication MapShell(this WebApplication app)
    {
        app.MapStaticAssets().AllowAnonymous();
        app.MapThemeChoice();
        app.MapRazorComponents<App>().AddInteractiveServerRenderMode(options =>
        {
            // The strict policy of SecurityHeaders already says frame-ancestors 'none'.
            options.ContentSecurityFrameAncestorsPolicy = null;
            // A render batch may hold hostile text beside names: compressing them together leaks lengths (CRIME, BREACH).
            options.DisableWebSocketCompression = true;
        });
        return app;
    }

    /// <summary>The routes of all pages of an assembly, as written: "/annotate/{Project}".</summary>
    public static IReadOnlyList<string> PageRoutes(Assembly assembly) =>
        [.. assembly.GetTypes().SelectMany(static type => type.GetCustomAttributes<RouteAttribute>()).Select(static route => route.Template).Order(StringComparer.Ordinal)];
}
