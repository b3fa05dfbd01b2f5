using Xunit;

namespace Portal.Tests.Browser;

/// <summary>
/// Looks whether a hostile text got through. Three things watch: the console (script errors, the policy's refusals, dialogs, requests to elsewhere;
/// <see cref="WatchedPage"/>), a canary in place of alert in every frame, and a walk over the document for what would run or load.
/// </summary>
internal static class HostileWatch
{
    public const string Canary = "CANARY";
    /// <summary>Goes into a profile before its first page.</summary>
    public const string Script = $$"""for (const name of ["alert", "confirm", "prompt", "msgbox"]) window[name] = text => console.error("{{Canary}} " + text);""";

    /// <summary>Lists what stands in the document and would run, load or lead away by itself.</summary>
    public const string Scan =
        """
        () => {
          const found = [];
          const tell = (e, why) => found.push(`${why}: ${e.outerHTML.slice(0, 160)}`);
          const addresses = ["href", "src", "srcset", "action", "formaction", "data", "poster", "background", "xlink:href", "ping", "cite"];
          for (const e of document.querySelectorAll("*")) {
            for (const a of e.attributes) {
              if (a.name.startsWith("on")) tell(e, "handler " + a.name);
              if (a.name === "style" && /url\(|expression/i.test(a.value)) tell(e, "style");
              if (!addresses.includes(a.name)) continue;
              let url;
              try { url = new URL(a.value, document.baseURI); } catch { tell(e, "address"); continue; }
              const leads = e.localName === "a" && ["http:", "https:", "mailto:"].includes(url.protocol); // followed only by a person's click
              if (!leads && url.origin !== location.origin) tell(e, "address " + url.protocol);
            }
            if (["iframe", "object", "embed", "frame", "math", "video", "audio", "marquee", "animate", "portal"].includes(e.localName)) tell(e, "element");
            if (e.localName === "script" && !e.src) tell(e, "inline script");
            if (e.localName === "style" && e.isConnected) tell(e, "style sheet");
            if (e.localName === "meta" && e.httpEquiv) tell(e, "meta");
            if (e.localName === "form" && !new URL(e.action, document.baseURI).href.startsWith(location.origin)) tell(e, "form");
          }
          return found;
        }
        """;

    /// <summary>Some texts act only when they are touched.</summary>
    public const string Touch =
        """
        () => {
          for (const e of document.querySelectorAll("main *, header *"))
            for (const kind of ["mouseover", "mouseenter", "pointerover", "focus", "toggle"])
              e.dispatchEvent(new Event(kind, { bubbles: kind === "mouseover" }));
        }
        """;

    /// <summary>Goes there and looks.</summary>
    /// <param name="shows">What must stand on the page, so that a page without hostile texts is no proof.</param>
    public static async Task Go(WatchedPage watched, string path, string? shows = null)
    {
        await watched.Page.GotoAsync(path);
        if (shows is not null)
            Assert.Contains(shows, await watched.Page.EvaluateAsync<string>("() => document.body.textContent"), StringComparison.Ordinal);
        await Look(watched);
    }

    /// <summary>Touches everything; fails with what got through.</summary>
    public static async Task Look(WatchedPage watched)
    {
        await watched.Page.EvaluateAsync(Touch);
        var found = await watched.Page.EvaluateAsync<string[]>(Scan);
        Assert.True(found.Length == 0, $"{watched.Page.Url}\n{string.Join('\n', found)}");
        Assert.True(watched.Problems.Count == 0, $"{watched.Page.Url}\n{string.Join('\n', watched.Problems)}");
    }
}
