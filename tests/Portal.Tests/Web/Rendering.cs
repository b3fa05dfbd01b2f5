using System.Net;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Forms;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Portal.Tests.Web;

/// <summary>Renders one component to HTML with the framework's own renderer; no browser, no host.</summary>
public static partial class Rendering
{
    /// <summary>HTML as a server would send it, entities included.</summary>
    public static string Html<TComponent>(params (string Name, object? Value)[] parameters) where TComponent : IComponent
    {
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddLocalization();
        services.AddSingleton<AntiforgeryStateProvider, FixedAntiforgery>();
        using var provider = services.BuildServiceProvider();
        using var renderer = new HtmlRenderer(provider, provider.GetRequiredService<ILoggerFactory>());
        return renderer.Dispatcher.InvokeAsync(async () =>
        {
            var view = ParameterView.FromDictionary(parameters.ToDictionary(static parameter => parameter.Name, static parameter => parameter.Value));
            return (await renderer.RenderComponentAsync<TComponent>(view)).ToHtmlString();
        }).GetAwaiter().GetResult();
    }

    /// <summary>Renders a component and then again with other parameters, as a page does that gets news: the framework compares both renderings.</summary>
    /// <returns>The second rendering.</returns>
    public static string HtmlAfterChange<TComponent>((string Name, object? Value)[] first, (string Name, object? Value)[] second) where TComponent : IComponent
    {
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddLocalization();
        using var provider = services.BuildServiceProvider();
        using var renderer = new HtmlRenderer(provider, provider.GetRequiredService<ILoggerFactory>());
        return renderer.Dispatcher.InvokeAsync(async () =>
        {
            var shown = new ShownParameters(first);
            var root = await renderer.RenderComponentAsync<Changing<TComponent>>(ParameterView.FromDictionary(new Dictionary<string, object?> { [nameof(Changing<>.Shown)] = shown }));
            await shown.Change!(second); // set when it was rendered
            return root.ToHtmlString();
        }).GetAwaiter().GetResult();
    }

    private sealed class Changing<TComponent> : ComponentBase where TComponent : IComponent
    {
        [Parameter]
        public ShownParameters Shown { get; set; } = null!; // always given

        protected override void OnInitialized() => Shown.Change = parameters =>
        {
            Shown.Now = parameters;
            return InvokeAsync(StateHasChanged);
        };

        protected override void BuildRenderTree(Microsoft.AspNetCore.Components.Rendering.RenderTreeBuilder builder)
        {
            builder.OpenComponent<TComponent>(0);
            builder.AddMultipleAttributes(1, Shown.Now.Select(static parameter => KeyValuePair.Create(parameter.Name, parameter.Value!)));
            builder.CloseComponent();
        }
    }

    private sealed class ShownParameters((string Name, object? Value)[] now)
    {
        public (string Name, object? Value)[] Now { get; set; } = now;
        public Func<(string Name, object? Value)[], Task>? Change { get; set; }
    }

    /// <summary>What a person reads: tags gone, entities resolved, runs of white space made one space.</summary>
    public static string Words(string html) => Spaces().Replace(WebUtility.HtmlDecode(Tags().Replace(html, " ")), " ").Trim();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tags();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();

    private sealed class FixedAntiforgery : AntiforgeryStateProvider
    {
        public override AntiforgeryRequestToken GetAntiforgeryToken() => new("token", "__RequestVerificationToken");
    }
}
