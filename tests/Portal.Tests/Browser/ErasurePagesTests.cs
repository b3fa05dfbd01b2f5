using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>The console's forms as a browser sends them: a person's data and prompts are asked for, words stand in no address, whoever asked decides nothing by any way in, and a proof is downloaded as it is hashed.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class ErasurePagesTests(AdminPagesFixture portal)
{
    [Fact]
    public async Task What_is_erased_is_asked_for_by_plain_forms_and_whoever_asked_decides_nothing()
    {
        var (name, mark) = ($"dunlin-{Guid.NewGuid().ToString("N")[..6]}", Guid.NewGuid().ToString("N"));
        portal.Project.Person(name);
        var prompt = portal.Project.Prompt($"Where do O'Hara & <b>sons</b> live? {mark}");
        await using var watched = await portal.Open("/erasure/new");
        var page = watched.Page;

        await page.FillAsync("#annotator", name);
        await page.CheckAsync("input[value=AnnotatorLabels]");
        await page.ClickAsync("#show-annotator");
        await page.FillAsync("#reason", "Case 12.");
        await page.ClickAsync("#ask-erasure");
        await page.Locator("#not-you").WaitForAsync();
        var asked = new ErasureRequestId(Guid.Parse(page.Url.Split('/')[^1]));
        Assert.Equal((ErasureKind.AnnotatorLabels, ErasureState.Waiting), (Row(asked).Kind, Row(asked).State));

        // By hand, past the page: with the token it is refused, without one nobody listens.
        var answers = await page.EvaluateAsync<string[]>("""
            async id => {
              const post = async token => {
                const body = new FormData();
                body.set("request", id); body.set("seen", "0"); body.set("approve", "true");
                if (token) body.set("__RequestVerificationToken", token);
                const answer = await fetch("/erasure/decide", { method: "POST", body });
                return `${answer.status} ${decodeURIComponent(answer.url)}`;
              };
              return [await post(document.querySelector("input[name=__RequestVerificationToken]").value), await post(null)];
            }
            """, $"{asked}");
        Assert.Contains("A second person decides", answers[0], StringComparison.Ordinal);
        Assert.StartsWith("400", answers[1], StringComparison.Ordinal);
        await page.ClickAsync("#withdraw");
        await page.GetByText("taken back").First.WaitForAsync();
        Assert.Equal(ErasureState.Withdrawn, Row(asked).State);

        await page.GotoAsync("/erasure/new");
        await page.FillAsync("#words", $"O'Hara & <b>sons</b> live? {mark}");
        await page.ClickAsync("#find-prompts");
        await page.Locator("#ask-erasure").WaitForAsync();
        Assert.DoesNotContain(mark, page.Url, StringComparison.Ordinal);
        Assert.Equal(1, await page.Locator("input[name=prompt]").CountAsync());
        await page.FillAsync("#reason", "Case 13.");
        await page.ClickAsync("#ask-erasure");
        await page.Locator("#withdraw").WaitForAsync();
        var second = new ErasureRequestId(Guid.Parse(page.Url.Split('/')[^1]));
        using (var db = portal.Project.Open())
            Assert.Equal(prompt, db.ErasurePrompts.AsNoTracking().Single(p => p.RequestId == second).PromptId);
        await page.ClickAsync("#withdraw");
        await page.GetByText("taken back").First.WaitForAsync();

        var done = portal.Erasure.Done;
        await page.GotoAsync($"/erasure/{done}");
        var download = await page.RunAndWaitForDownloadAsync(() => page.ClickAsync("#download-proof"));
        Assert.Equal(Row(done).ProofSha256, ErasureProof.HashOf(await File.ReadAllTextAsync(await download.PathAsync())));
    }

    private ErasureRequest Row(ErasureRequestId id)
    {
        using var db = portal.Project.Open();
        return db.ErasureRequests.AsNoTracking().Single(r => r.Id == id);
    }
}
