using System.Security.Cryptography;
using System.Text;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>
/// Every page of the portal at 1440 and 390 pixels, light and dark: no serious finding of axe, nothing on the console, no sideways scrolling. The
/// routes are read from the assembly, so a new page without a visit here fails.
/// </summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class EveryPageTests(AdminPagesFixture portal)
{
    /// <summary>One look at one page. A route may have several: states differ.</summary>
    /// <param name="Route">As written in the page.</param>
    /// <param name="Path">Where to go; null where <paramref name="Reach"/> goes by itself.</param>
    /// <param name="Reach">What to do once there.</param>
    /// <param name="Part">What is other than on the first visit of a large page, as a selector; null for the whole page.</param>
    private sealed record Visit(string Route, Func<AdminPagesFixture, string>? Path = null, Func<WatchedPage, AdminPagesFixture, Task>? Reach = null, bool IsStranger = false, string? Part = null);

    private static readonly Dictionary<string, Visit> Visits = new()
    {
        ["home"] = new("/", _ => "/"),
        ["sign-in"] = new("/sign-in", _ => "/sign-in", IsStranger: true),
        ["sign-in-refused"] = new("/sign-in", _ => "/sign-in", async (page, _) =>
        {
            await page.Page.FillAsync("input[name='Input.Name']", "nobody");
            await page.Page.FillAsync("input[name='Input.Password']", "not the password");
            await page.Page.ClickAsync("main button.primary");
            await page.Page.Locator("main [role=alert]").First.WaitForAsync();
        }, IsStranger: true),
        ["invitation"] = new("/invitation/{Token}", Invitation, IsStranger: true),
        ["invitation-closed"] = new("/invitation/{Token}", _ => "/invitation/0123456789abcdef", IsStranger: true),
        ["account"] = new("/account", _ => "/account"),
        ["people"] = new("/people", _ => "/people"),
        ["projects"] = new("/projects", _ => "/projects"),
        ["project-choose"] = new("/projects/choose", _ => "/projects/choose"),
        ["project-new"] = new("/projects/new", _ => "/projects/new"),
        ["project"] = new("/projects/{ProjectId:guid}", p => $"/projects/{p.Project.Id}"),
        ["annotate-projects"] = new("/annotate", _ => "/annotate?choose=1"),
        ["judge-projects"] = new("/judge", _ => "/judge?choose=1"),
        ["annotate-start"] = new("/annotate/{ProjectId:guid}", p => $"/annotate/{p.Project.Id}"),
        ["judge-start"] = new("/judge/{ProjectId:guid}", p => $"/judge/{p.Empty}"),
        ["annotate"] = new("/annotate/{ProjectId:guid}/{AssignmentId:guid}", p => $"/annotate/{p.Project.Id}", (page, _) => Lease(page)),
        ["judge"] = new("/judge/{ProjectId:guid}/{AssignmentId:guid}", p => $"/judge/{p.Project.Id}", (page, _) => Lease(page)),
        ["my-work"] = new("/my-work", null, async (page, p) =>
        {
            await Judge(page, p);
            await page.Page.GotoAsync("/my-work");
        }),
        ["my-work-change"] = new("/my-work/{JudgementId:guid}", null, async (page, p) =>
        {
            await Judge(page, p);
            await page.Page.GotoAsync("/my-work");
            await page.Page.Locator("td a.btn").First.ClickAsync();
            await page.Page.Reaches(url => url.Contains("/my-work/", StringComparison.Ordinal));
        }),
        ["review"] = new("/review", _ => "/review"),
        ["review-empty"] = new("/review", _ => "/review?state=dismissed&reason=Private"),
        ["review-flag"] = new("/review", p => $"/review?state=open&held=1&flag={p.Triage.Held}", async (page, _) =>
        {
            await page.Page.Locator("[data-panel] .flagged").WaitForAsync();
            await page.IsInteractive();
        }),
        ["try-without-engine"] = new("/try", _ => "/try", async (page, _) =>
        {
            await page.Page.FillAsync("#try-prompt", "What does a goose eat?");
            await page.Page.ClickAsync("#try-ask");
            await page.Page.Locator("main .note.bad").WaitForAsync();
        }),
        ["data"] = new("/data", _ => "/data"),
        ["data-nothing-fits"] = new("/data", _ => "/data?verdict=CannotJudge"),
        ["data-import"] = new("/data/import", _ => "/data/import"),
        ["data-imported"] = new("/data/imports/{Id:guid}", p => $"/data/imports/{p.Import.Id}"),
        ["data-imported-by-job"] = new("/imports/{Id:guid}", p => $"/imports/{p.Import.Id}"),
        ["data-version"] = new("/data/versions/{Id:guid}", p => $"/data/versions/{p.Dataset.Id}"),
        ["data-export"] = new("/data/export", _ => "/data/export"),
        ["train"] = new("/train", _ => "/train", (page, _) => page.Page.Locator("main button.primary:not([disabled])").WaitForAsync()),
        ["train-features"] = new("/train/features", p => p.Toggles.Train, (page, _) => page.IsInteractive()),
        ["toggle-sets"] = new("/toggle-studio", p => p.Toggles.List),
        ["toggle-draft"] = new("/toggle-studio/{Id:guid}", p => $"/toggle-studio/{p.Toggles.Draft}", (page, _) => page.Page.Locator("main .note.bad").WaitForAsync()), // no engine runs
        ["toggle-waiting"] = new("/toggle-studio/{Id:guid}", p => $"/toggle-studio/{p.Toggles.Waiting}"),
        ["toggle-refused"] = new("/toggle-studio/{Id:guid}", p => $"/toggle-studio/{p.Toggles.Refused}"),
        ["toggle-diff"] = new("/toggle-studio/{Id:guid}/diff/{Other:guid}", p => $"/toggle-studio/{p.Toggles.Waiting}/diff/{p.Toggles.Published}"),
        ["jobs"] = new("/jobs", _ => "/jobs"),
        ["run-finished"] = new("/jobs/{Id:guid}", p => $"/jobs/{p.Finished.Id}"),
        ["run-failed"] = new("/jobs/{Id:guid}", p => $"/jobs/{p.Failed.Id}"),
        ["run-live"] = new("/jobs/{Id:guid}", p => $"/jobs/{p.Running.Id}"),
        ["models"] = new("/models", _ => "/models"),
        ["model-reward"] = new("/models/{Id:guid}", p => $"/models/{p.RewardModel.Id}"),
        ["model-policy"] = new("/models/{Id:guid}", p => $"/models/{p.Candidate.Id}"),
        ["model-sae"] = new("/models/{Id:guid}", p => $"/models/{p.Autoencoder.Id}"),
        ["features"] = new("/features", _ => "/features?page=1"), // the last page: its few rows have all kinds of cells, and the pager stands below
        ["features-search-without-engine"] = new("/features", _ => "/features?fires=All&sort=Gap", async (page, _) =>
        {
            await page.Page.FillAsync("textarea[name=Typed]", "Go to the mill.");
            await page.Page.GetByText("Find its features").ClickAsync();
            await page.Page.Locator("main .note.bad").WaitForAsync();
        }),
        ["feature"] = new("/features/{Model:guid}/{Latent:int}", p => $"/features/{p.Features.Model.Id}/0", (page, _) => page.Page.Locator("#label-text").WaitForAsync()),
        ["feature-dead"] = new("/features/{Model:guid}/{Latent:int}", p => $"/features/{p.Features.Model.Id}/8"),
        ["pairs"] = new("/pair-xray", _ => "/pair-xray"),
        ["pair-xray-without-engine"] = new("/pair-xray/{Task:guid}", p => $"/pair-xray/{p.JudgedPair.Id}"),
        ["pair-xray-of-responses"] = new("/pair-xray/{First:guid}/{Second:guid}", p => $"/pair-xray/{p.JudgedPair.SecondResponseId}/{p.JudgedPair.FirstResponseId}"),
        ["response-xray-without-engine"] = new("/response-xray/{Response:guid}", p => $"/response-xray/{p.JudgedPair.FirstResponseId}"),
        ["best-of"] = new("/best-of/{Run:guid}", p => $"/best-of/{p.BestOfN.JobId}"),
        ["best-of-under-way"] = new("/best-of/{Run:guid}", p => $"/best-of/{p.BestOfNUnderWay.JobId}"),
        ["audit"] = new("/audits/{Job:guid}", p => p.FullAudit.Page, (page, _) => page.Page.Locator("table.failures").WaitForAsync()),
        ["audit-near-ties"] = new("/audits/{Job:guid}", p => $"{p.FullAudit.Page}?centred=true&method=max-entropy&failures=NearTie", (page, _) => page.Page.Locator("table.failures").WaitForAsync(), Part: "section[aria-labelledby=failures]"),
        ["audit-hand-over"] = new("/audits/{Job:guid}", p => p.OtherAudit.Page, async (page, _) =>
        {
            await page.Page.ClickAsync("[popovertarget=hand-over]");
            await page.Page.Locator("#hand-over h2").WaitForAsync();
        }, Part: "#hand-over"),
        ["audit-grey"] = new("/audits/{Job:guid}", p => p.GreyAudit.Page),
        ["audit-gone"] = new("/audits/{Job:guid}", _ => $"/audits/{Guid.Empty}"),
        ["audit-print"] = new("/audits/{Job:guid}/print", p => $"{p.FullAudit.Page}/print"),
        ["audit-pairs"] = new("/audits/{Job:guid}/pairs", p => $"{p.FullAudit.Page}/pairs?show=Apart"),
        ["audit-pair"] = new("/audits/{Job:guid}/pairs/{Pair:guid}", p => $"{p.FullAudit.Page}/pairs/{p.FullAudit.Prompts[40].Prompt}"),
        ["audits-compared"] = new("/audits/compare", p => $"/audits/compare?first={p.FullAudit.JobId}&second={p.OtherAudit.JobId}"),
        ["audits-to-compare"] = new("/audits/compare", p => $"/audits/compare?first={p.FullAudit.JobId}&second="),
        ["model-gone"] = new("/models/{Id:guid}", _ => $"/models/{Guid.Empty}"),
        ["results"] = new("/models/{Id:guid}/results", p => $"/models/{p.Candidate.Id}/results"),
        ["audits"] = new("/audits", p => $"/audits?of={p.Audit.JobId}"), // it stands in the list
        ["audit-new"] = new("/audits/new", p => $"/audits/new?audited={p.Audit.Audited.Id}", async (page, _) =>
        {
            await page.Page.Locator("#start-audit").WaitForAsync();
            await page.Page.Locator("#estimate-audit:not([disabled])").WaitForAsync(); // no engine runs: the card says so
        }),
        ["audit-new-refused"] = new("/audits/new", p => $"/audits/new?audited={p.Audit.Audited.Id}", async (page, _) =>
        {
            await page.Page.Locator("#prompts-max").FillAsync("3");
            await page.Page.ClickAsync("#start-audit");
            await page.Page.Locator("main .problem").First.WaitForAsync();
        }),
        ["explain"] = new("/explain", p => $"/explain?of={p.Explanation.Id}&and={p.Uncalibrated.Id}"), // both stand in the list
        ["explanations-together"] = new("/explain/together", p => $"/explain/together?model={p.Explanation.RewardModel.Id}&by=Projection"),
        ["explanations-together-features"] = new("/explain/together", p => $"/explain/together?model={p.Explanation.RewardModel.Id}&by=Projection", async (page, p) =>
        {
            await using var door = await FakeEngineDoor.Open(p.Database.Directory);
            await page.Page.ReloadAsync();
            await page.Page.Locator("section[aria-labelledby=which] tbody tr").First.WaitForAsync();
        }, Part: "section[aria-labelledby=which]"),
        ["explanations-annotator"] = new("/explain/annotators/{Pseudonym}", p => $"/explain/annotators/{p.Explanation.Annotators[0]}?model={p.Explanation.RewardModel.Id}&by=Projection"),
        ["explanation"] = new("/explain/{Id:guid}", p => p.Explanation.Page, (page, _) => page.Page.Locator(".pair input:not([disabled])").First.WaitForAsync()),
        ["explanation-uncalibrated"] = new("/explain/{Id:guid}", p => $"{p.Uncalibrated.Page}?by=Influence&text=whole"),
        ["explanation-gone"] = new("/explain/{Id:guid}", _ => $"/explain/{Guid.Empty}"),
        ["unlearning"] = new("/unlearning", p => $"/unlearning?of={p.Unlearning.Waiting}"), // all its states stand in the list
        ["unlearning-new-without-engine"] = new("/unlearning/new", p => $"/unlearning/new?explanation={p.Explanation.Id}&pair={p.Explanation.Judgements[0]}"),
        ["unlearning-waiting"] = new("/unlearning/{Id:guid}", p => $"/unlearning/{p.Unlearning.Waiting}"),
        ["unlearning-made"] = new("/unlearning/{Id:guid}", p => $"/unlearning/{p.Unlearning.Made}"),
        ["unlearning-gone"] = new("/unlearning/{Id:guid}", _ => $"/unlearning/{Guid.Empty}"),
        ["erasure"] = new("/erasure", p => $"/erasure?of={p.Erasure.Waiting}"), // all its states stand in the list
        ["erasure-new"] = new("/erasure/new", _ => "/erasure/new"),
        ["erasure-new-chosen"] = new("/erasure/new", p => $"/erasure/new?kind=Prompts&prompt={p.FullAudit.Prompts[40].Prompt}", (page, _) => page.Page.Locator("#ask-erasure").WaitForAsync()),
        ["erasure-new-unknown"] = new("/erasure/new", _ => "/erasure/new?kind=AnnotatorLink&annotator=nobody-0"),
        ["erasure-waiting"] = new("/erasure/{Id:guid}", p => $"/erasure/{p.Erasure.Waiting}"),
        ["erasure-stuck"] = new("/erasure/{Id:guid}", p => $"/erasure/{p.Erasure.Stuck}"),
        ["erasure-done"] = new("/erasure/{Id:guid}", p => $"/erasure/{p.Erasure.Done}"),
        ["erasure-gone"] = new("/erasure/{Id:guid}", _ => $"/erasure/{Guid.Empty}"),
        ["endpoints"] = new("/endpoints", p => $"/endpoints?of={p.Endpoint.Id}&and={p.RetiredEndpoint.Id}"), // both stand in the list
        ["endpoint-new"] = new("/endpoints/new", _ => "/endpoints/new", (page, _) => page.Page.Locator("#endpoint-name").WaitForAsync()),
        ["endpoint"] = new("/endpoints/{Id:guid}", p => $"/endpoints/{p.Endpoint.Id}", async (page, _) =>
        {
            await page.Page.Locator("#try-endpoint").ClickAsync(); // no engine runs
            await page.Page.Locator("main .note.bad").WaitForAsync();
        }),
        ["endpoint-retired"] = new("/endpoints/{Id:guid}", p => $"/endpoints/{p.RetiredEndpoint.Id}", (page, _) => page.Page.Locator("main .note").WaitForAsync()),
        ["endpoint-gone"] = new("/endpoints/{Id:guid}", _ => $"/endpoints/{Guid.Empty}"),
        ["docs"] = new("/docs", _ => "/docs"),
        ["doc"] = new("/docs/{Name}", _ => "/docs/tutorial"),
        ["doc-unknown"] = new("/docs/{Name}", _ => "/docs/no-such-page"),
        ["gallery"] = new("/dev/gallery", _ => "/dev/gallery"),
        ["gallery-focus"] = new("/dev/gallery/focus", _ => "/dev/gallery/focus"),
        ["gallery-focus-single"] = new("/dev/gallery/focus", _ => "/dev/gallery/focus?single=true"),
        ["gallery-interactive"] = new("/dev/gallery/interactive", _ => "/dev/gallery/interactive", async (page, _) =>
        {
            await page.Page.Locator("#clicks[data-ready=yes]").WaitForAsync();
            await page.Page.ClickAsync("#count");
            await page.Page.WaitForFunctionAsync("() => document.querySelector('#clicks').textContent.startsWith('1 ')");
        }),
        ["gallery-text"] = new("/dev/gallery/text", _ => "/dev/gallery/text?text=" + Uri.EscapeDataString("# A heading\n\n**Bold**, `code` and [a link](https://example.org).\n\n1. one\n2. two")),
        ["not-found"] = new("/not-found", _ => "/not-found"),
        ["error"] = new("/error", _ => "/error"),
    };

    public static TheoryData<string> Names => [.. Visits.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Is_in_order(string name)
    {
        var visit = Visits[name];
        var path = visit.Path?.Invoke(portal) ?? "/account";
        await using var page = visit.IsStranger ? await portal.OpenAsStranger(path) : await portal.OpenBeside(path);
        if (visit.Reach is { } reach)
            await reach(page, portal);
        await page.Page.Locator("h1").First.WaitForAsync(new() { State = WaitForSelectorState.Attached });
        if (visit.Part is { } part)
            await page.Page.Locator(part).WaitForAsync(); // else axe would look at nothing

        Assert.Matches(RouteOf(visit.Route), new Uri(page.Page.Url).AbsolutePath); // not some other page it was sent to
        await page.IsInOrderInEveryLook(name, withShell: OfEachFrame.Contains(name), visit.Part, isFurtherState: Visits.First(other => other.Value.Route == visit.Route).Key != name);
    }

    /// <summary>One page of each frame: with the menu, without anything, while one judges, of the developers.</summary>
    private static readonly string[] OfEachFrame = ["home", "sign-in", "annotate", "gallery"];

    /// <summary>The routes that are visited, in the order of <see cref="ShellSetup.PageRoutes"/>.</summary>
    internal static IEnumerable<string> Routes => Visits.Values.Select(visit => visit.Route).Distinct().Order(StringComparer.Ordinal);

    /// <summary>What both widths show is read whole on the wide screen, what only a phone shows on the phone.</summary>
    [Theory]
    [InlineData("", "1440-light", "label (critical)")]
    [InlineData("phone-only", "390-light", "label (critical)")]
    [InlineData("scrolls on a phone", "390-dark", "scrollable-region-focusable (serious)")]
    public async Task A_page_that_is_hard_to_use_is_found(string how, string look, string finding)
    {
        await using var page = await portal.Open("/account");
        await page.Page.EvaluateAsync(how == "scrolls on a phone"
            // A table of words that fits a wide screen; nothing in it can be reached by keyboard.
            ? "() => { const d = document.createElement('div'); d.style.cssText = 'overflow-x: auto'; d.innerHTML = '<p style=\"width: 700px\">' + 'words '.repeat(60) + '</p>'; document.querySelector('main').append(d); }"
            : $"() => {{ const i = document.createElement('input'); i.className = '{how}'; document.querySelector('main').append(i); }}"); // no label

        var failure = await Assert.ThrowsAnyAsync<Exception>(() => page.IsInOrderInEveryLook("spoiled"));

        Assert.Contains($"spoiled-{look} axe: {finding}", failure.Message, StringComparison.Ordinal);
    }

    /// <summary>Each theme is looked at whole at one width; what only the other width shows is looked at there.</summary>
    [Theory]
    [InlineData("", "dark", "390-dark")]
    [InlineData("", "light", "1440-light")]
    [InlineData("wide-only", "dark", "1440-dark")]
    [InlineData("phone-only", "light", "390-light")]
    public async Task Faint_words_in_one_of_the_colours_are_found(string shownOnly, string theme, string found)
    {
        await using var page = await portal.Open("/account");
        await page.Page.EvaluateAsync("""
            ([shownOnly, theme]) => {
              const p = document.createElement('p'); p.textContent = 'faint'; p.id = 'faint'; p.className = shownOnly; document.querySelector('main').append(p);
              const s = new CSSStyleSheet(); s.replaceSync(`@media (prefers-color-scheme: ${theme}) { #faint { color: #ddd !important; background: #fff !important } }`);
              document.adoptedStyleSheets = [...document.adoptedStyleSheets, s]; }
            """, new[] { shownOnly, theme });

        var failure = await Assert.ThrowsAnyAsync<Exception>(() => page.IsInOrderInEveryLook("faint"));

        Assert.Contains($"faint-{found} axe: color-contrast (serious)", failure.Message, StringComparison.Ordinal);
    }

    /// <summary>The address pattern of a route: "/models/{Id:guid}" is "/models/" and one part more.</summary>
    private static string RouteOf(string route) => "^" + string.Join("/", route.Split('/').Select(part => part.StartsWith('{') ? "[^/]+" : part)) + "$";

    private static string Invitation(AdminPagesFixture portal)
    {
        var token = RandomNumberGenerator.GetHexString(40, lowercase: true);
        portal.Project.Add(new Invitation
        {
            Id = portal.Project.Ids.New<InvitationId>(), TokenHash = Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(token))), Role = RoleNames.Reviewer,
            Note = "for Ada", CreatedBy = Guid.Empty, CreatedAt = portal.Project.Now, ExpiresAt = portal.Project.Now.AddDays(1),
        });
        return $"/invitation/{token}";
    }

    private static async Task Lease(WatchedPage page)
    {
        await page.Page.ClickAsync("button[value=start]");
        await page.Page.Locator("[data-task]").WaitForAsync();
    }

    /// <summary>Gives one judgement, of a task made for it.</summary>
    private static async Task Judge(WatchedPage page, AdminPagesFixture portal)
    {
        var prompt = portal.Project.Prompt($"What does a goose eat? {Guid.NewGuid()}");
        portal.Project.Pair(prompt, portal.Project.Response(prompt, "Grass."), portal.Project.Response(prompt, "Stones."));
        await page.Page.GotoAsync($"/annotate/{portal.Project.Id}");
        await Lease(page);
        var here = page.Page.Url;
        await page.Page.Locator("[data-key='2']").ClickAsync(new() { Force = true });
        await page.Page.ClickAsync("button[value=submit].primary");
        await page.Page.Reaches(url => url != here);
    }
}

/// <summary>The list of visits against the list of pages; needs no browser.</summary>
public sealed class EveryRouteTests
{
    [Fact]
    public void Every_page_has_a_visit() => Assert.Equal(ShellSetup.PageRoutes(typeof(ShellSetup).Assembly).Distinct(), EveryPageTests.Routes);
}
