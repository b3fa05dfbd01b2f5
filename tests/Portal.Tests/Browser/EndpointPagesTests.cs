using Portal.Data.Endpoints;
using Portal.Data.Serving;
using Portal.Tests.Web.SaeFeatures;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>Endpoints in a real browser: made, given a key, tried, agreed to, retired; hostile answers stay text, and the key comes back in nothing.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class EndpointPagesTests(AdminPagesFixture fixture)
{
    private const string Key = "sk-browser-0123456789abcdef";

    [Fact]
    public async Task An_admin_makes_one_gives_it_a_key_tries_it_agrees_and_retires_it()
    {
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open("/endpoints");
        var p = page.Page;
        await p.ClickAsync("main a.btn.primary");
        await p.Locator("#endpoint-name").WaitForAsync();
        await p.FillAsync("#endpoint-name", "Village model");
        await p.FillAsync("#endpoint-url", "https://user:word@api.example.org/v1");
        await p.FillAsync("#endpoint-model", "small");
        await p.CheckAsync("main .check input");
        await p.ClickAsync("form:has(#endpoint-name) button.primary");
        await p.Locator(".field.invalid .problem").WaitForAsync();
        await page.IsInOrderInEveryLook("endpoint-refused");
        await p.FillAsync("#endpoint-url", "https://api.example.org/v1");
        await p.ClickAsync("form:has(#endpoint-name) button.primary");
        await p.Locator("#endpoint-key").WaitForAsync();

        await p.FillAsync("#endpoint-key", Key);
        await p.ClickAsync("form:has(#endpoint-key) button.primary");
        await p.GetByText("The key is stored.").WaitForAsync();
        Assert.Equal("", await p.InputValueAsync("#endpoint-key"));

        door.Trial = _ => new EndpointTrialResponse("<img src=x onerror=alert(1)> Hello\u202e!", "length", 40, true, null, null, null);
        await p.ClickAsync("#try-endpoint");
        await p.Locator("#trial-answer").WaitForAsync();
        Assert.Contains("<img src=x onerror=alert(1)>", await p.InnerTextAsync("#trial-answer"), StringComparison.Ordinal);
        Assert.Equal(0, await p.Locator("#trial-answer img").CountAsync());

        await p.ClickAsync("button[popovertarget=consent]");
        Assert.Contains("https://api.example.org/v1", await p.InnerTextAsync("#consent"), StringComparison.Ordinal);
        await p.ClickAsync("#consent button.danger");
        await p.Locator("#consent-given").WaitForAsync();
        await page.IsInOrderInEveryLook("endpoint-made");
        Assert.DoesNotContain(Key, await p.ContentAsync(), StringComparison.Ordinal);
        await p.ReloadAsync();
        await p.Locator("#consent-given").WaitForAsync();
        Assert.DoesNotContain(Key, await p.ContentAsync(), StringComparison.Ordinal);
        Assert.Contains("Village model", await p.ContentAsync(), StringComparison.Ordinal); // the control

        door.Trial = _ => new EndpointTrialResponse(null, null, 40, null, null, "It refused the key (401). It says: <b>no</b>", null);
        await p.ClickAsync("#try-endpoint");
        await p.Locator("#trial-problem").WaitForAsync();
        Assert.Contains("<b>no</b>", await p.InnerTextAsync("#trial-problem"), StringComparison.Ordinal);

        await p.ClickAsync("button[popovertarget=retire]");
        await p.ClickAsync("#retire button.danger");
        await p.GetByText("This endpoint is retired").WaitForAsync();
        await page.IsInOrder();
        using var db = fixture.Project.Open();
        var stored = db.PolicyEndpoints.Single(e => e.Name == "Village model");
        Assert.Equal((fixture.Project.Id, "https://api.example.org/v1", EndpointApi.ChatCompletions, true, false), (stored.ProjectId, stored.BaseUrl, stored.Api, stored.HasConsent, stored.HasKey));
    }
}
