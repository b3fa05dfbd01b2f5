using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Tests.Web;
using Portal.Tests.Web.Erasure;
using Portal.Tests.Web.Explain;
using Portal.Tests.Web.SaeFeatures;
using Portal.Tests.Web.Unlearning;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>
/// Forty hostile texts as prompts, responses, reasons of votes, notes of flags, reasons of releases, file names, names of projects, guidelines and
/// more, on the pages that show them: nothing runs, nothing is asked of another site, and nothing stands in the page that could. What comes in from
/// files is <see cref="Portal.Tests.Journeys.HostileFilesTests"/>.
/// </summary>
/// <remarks><see cref="HostileWatch"/> watches; the control inserts the same texts as they are and must be noticed.</remarks>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed partial class HostilePagesTests(AdminPagesFixture portal)
{
    private const int Screens = 20;

    private static IReadOnlyList<string> Texts => HostileTexts.Forty;

    [Fact]
    public async Task Nothing_runs_where_people_judge()
    {
        var hostile = Seed();
        for (var i = 0; i < Screens; i++)
        {
            var prompt = hostile.Prompt(Texts[i], Texts[39 - i]);
            hostile.Pair(prompt, hostile.Response(prompt, Texts[2 * i]), hostile.Response(prompt, Texts[(2 * i) + 1]));
            var other = hostile.Prompt(Texts[Screens + i], Texts[i]);
            hostile.Single(other, hostile.Response(other, Texts[39 - i]));
        }
        await using var watched = await Open(hostile);
        var page = watched.Page;
        var shown = new HashSet<string>();
        foreach (var (place, reasons) in new[] { ("annotate", Texts.Take(Screens)), ("judge", Texts.Skip(Screens)) })
        {
            await HostileWatch.Go(watched, $"/{place}/{hostile.Id}");
            await page.ClickAsync("button[value=start]");
            foreach (var reason in reasons)
            {
                await page.WaitForFunctionAsync("() => document.querySelector('[data-task]') && Object.keys(localStorage).some(key => key === 'portal.draft.' + document.querySelector('[data-task]').dataset.assignment)");
                var here = await page.GetAttributeAsync("[data-task]", "data-assignment");
                await HostileWatch.Look(watched);
                shown.UnionWith(await page.EvaluateAsync<string[]>("() => [...document.querySelectorAll('[data-view=raw]')].map(e => e.textContent.trim())"));
                await page.FillAsync("textarea[name=rationale]", reason);
                await page.Keyboard.PressAsync("Escape");
                await page.Keyboard.PressAsync(place == "annotate" ? "2" : "g");
                await page.Keyboard.PressAsync("Enter");
                await page.WaitForFunctionAsync("here => document.querySelector('[data-task]')?.dataset.assignment !== here", here);
            }
        }
        await HostileWatch.Go(watched, "/my-work");
        var change = await page.Locator("td a.btn").First.GetAttributeAsync("href");
        await HostileWatch.Go(watched, "/my-work?before=" + (portal.Project.Now.UtcTicks - TimeSpan.TicksPerSecond).ToString(CultureInfo.InvariantCulture));
        await HostileWatch.Go(watched, "/" + change);
        Assert.Equal(Texts[39], await page.InputValueAsync("textarea[name=rationale]")); // the last reason, word by word
        await HostileWatch.Go(watched, "/data?kind=Pairwise");
        Assert.Contains("alert(1)", await page.InnerTextAsync("main"), StringComparison.Ordinal);
        await HostileWatch.Go(watched, "/data?kind=Binary");

        // Each of the forty stood on a screen as text; some of its spaces may have been drawn as one.
        Assert.Equal(40, Texts.Count(text => shown.Any(one => Plain(one).Contains(Plain(text), StringComparison.Ordinal))));
        await using var db = portal.Database.Open();
        var stored = await (from c in db.Contents where c.Kind == ContentKind.Rationale && c.ProjectId == hostile.Id select c.Text).ToListAsync();
        Assert.Equal(40, Texts.Intersect(stored).Count());
    }

    [Fact]
    public async Task Nothing_runs_where_work_is_looked_at()
    {
        var hostile = Seed();
        var (before, after) = (hostile.Model(ModelKind.Policy, 1, Texts[0]), hostile.Model(ModelKind.Policy, 2, Texts[1]));
        var person = hostile.Person("heron-" + Guid.NewGuid().ToString("N")[..6]);
        var rows = new List<object>();
        for (var i = 0; i < 40; i++)
        {
            var prompt = hostile.Prompt(Texts[i], Texts[39 - i]);
            var (old, fresh) = (hostile.Response(prompt, Texts[i], before.Id), hostile.Response(prompt, Texts[39 - i] + " ", after.Id));
            var note = new Content { Id = hostile.Ids.New<ContentId>(), ProjectId = hostile.Id, Kind = ContentKind.FlagNote, Text = Texts[i], KeyedHash = "", CreatedAt = hostile.Now };
            var better = new Content { Id = hostile.Ids.New<ContentId>(), ProjectId = hostile.Id, Kind = ContentKind.PreferredAnswer, Text = Texts[39 - i], KeyedHash = "", CreatedAt = hostile.Now };
            rows.AddRange([note, better, new Flag { Id = hostile.Ids.New<FlagId>(), ProjectId = hostile.Id, ResponseId = old, AnnotatorId = person, Reason = FlagReason.Other, NoteId = note.Id, PreferredId = better.Id, Place = "results", Severity = FlagSeverity.High, At = hostile.Now.AddYears(-1).AddMinutes(i) }]);
            if (i < Screens)
                rows.AddRange([Sample(after.Id, before.Id, prompt, old), Sample(after.Id, after.Id, prompt, fresh)]);
            rows.Add(new ReleaseRecord
            {
                Id = hostile.Ids.New<ReleaseId>(), ProjectId = hostile.Id, Kind = ModelKind.Policy, FromVersionId = null, ToVersionId = i % 2 == 0 ? before.Id : after.Id,
                Reason = Texts[i], By = SeededProject.AccountOf(hostile.Admin), Approver = null, At = hostile.Now.AddMinutes(i), IsRollBack = false,
            });
            var import = new Import { Id = hostile.Ids.New<ImportId>(), ProjectId = hostile.Id, FileName = Texts[i], Format = "trl-preference", AllOrNothing = false, By = Guid.NewGuid(), CreatedAt = hostile.Now.AddMinutes(i % 2 == 0 ? i : -i) };
            import.Fail(Texts[39 - i], hostile.Now);
            rows.AddRange([import, new ImportProblem { ImportId = import.Id, Row = i + 1, Field = Texts[i], Reason = Texts[39 - i] }]);
            var invitation = new Invitation { Id = hostile.Ids.New<InvitationId>(), TokenHash = $"{Guid.NewGuid():N}", Role = RoleNames.Reviewer, Note = Texts[i], CreatedBy = SeededProject.AccountOf(hostile.Admin), CreatedAt = hostile.Now, ExpiresAt = hostile.Now.AddDays(1) };
            rows.Add(invitation);
        }
        hostile.Add([.. rows]);
        Job? run = null;
        foreach (var text in Texts)
        {
            run = hostile.Job(new TrainRewardModel());
            hostile.Change(db =>
            {
                var job = db.Jobs.Single(j => j.Id == run.Id);
                job.Start(hostile.Now);
                job.Report(1, 2, text, null, hostile.Now);
                if (text.Contains("script", StringComparison.OrdinalIgnoreCase))
                    job.Succeed(text.Contains('(', StringComparison.Ordinal) ? "javascript:alert(1)" : text, hostile.Now);
                else
                    job.Fail(text, hostile.Now);
                if (text == Texts[^1])
                    db.AddRange(Texts.Select(line => new JobEvent { JobId = job.Id, At = hostile.Now, Level = JobEventLevel.Info, Message = line }));
                db.Add(new MetricPoint { JobId = job.Id, Name = text, Step = 1, Value = 1 });
            });
        }
        await using var watched = await Open(hostile);
        var page = watched.Page;

        await HostileWatch.Go(watched, $"/models/{after.Id}/results", shows: "alert(1)");
        for (var i = 1; i <= Screens; i++)
            await HostileWatch.Go(watched, $"/models/{after.Id}/results?order=Random&sample={i}{(i % 2 == 0 ? "" : "&differences=off")}");
        await HostileWatch.Go(watched, $"/models/{before.Id}", shows: "alert(1)");
        await HostileWatch.Go(watched, $"/models/{after.Id}", shows: "alert(1)");
        await HostileWatch.Go(watched, "/models");
        await HostileWatch.Go(watched, "/data", shows: "alert(1)");
        await HostileWatch.Go(watched, "/jobs", shows: "alert(1)");
        await HostileWatch.Go(watched, $"/jobs/{run!.Id}", shows: Texts[0]); // forty jobs were made
        await watched.IsInteractive();
        await HostileWatch.Look(watched);
        await HostileWatch.Go(watched, $"/data/imports/{rows.OfType<Import>().First().Id}", shows: Texts[39]);
        await HostileWatch.Go(watched, $"/imports/{rows.OfType<Import>().Last().Id}", shows: Texts[39]);
        await HostileWatch.Go(watched, "/people", shows: "alert(1)");
        await HostileWatch.Go(watched, "/review?state=open", shows: "alert(1)"); // oldest first: a year old
        await watched.IsInteractive();
        await HostileWatch.Look(watched);
        await HostileWatch.Go(watched, "/" + (await page.Locator("a[href*='after=']").First.GetAttributeAsync("href"))!.TrimStart('/'), shows: "alert(1)"); // forty flags are two pages
        foreach (var flag in rows.OfType<Flag>().Where((_, i) => i % 8 == 0))
            await HostileWatch.Go(watched, $"/review?state=all&flag={flag.Id}", shows: "alert(1)"); // its whole text, the note and the better answer
        await HostileWatch.Go(watched, "/", shows: "alert(1)");

        hostile.Change(db => db.Releases.Add(db.Projects.Single(p => p.Id == hostile.Id).Release(hostile.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == before.Id), "to try it",
            SeededProject.AccountOf(hostile.Admin), null, hostile.Now).Value));
        await using var door = await FakeEngineDoor.Open(portal.Database.Directory);
        door.Chat = request => string.Join("\n\n", Texts.Skip(10 * (int)request.Seed!).Take(10)); // the portal names one
        await HostileWatch.Go(watched, "/try");
        await page.FillAsync("#try-prompt", Texts[0]);
        await page.FillAsync("#try-seed", "0");
        await page.ClickAsync("#try-ask");
        await page.GetByText("seed 3").WaitForAsync();
        await HostileWatch.Look(watched); // forty texts in four answers
    }

    /// <summary>Pairs behind a bad answer, requests to forget and to erase: every text, name, reason and note of them is hostile.</summary>
    [Fact]
    public async Task Nothing_runs_where_answers_are_explained_forgotten_and_erased()
    {
        var hostile = Seed();
        var explanation = new SeededExplanation(hostile, 701, ExplanationConfidence.Good);
        var long_ = new SeededExplanation(hostile, 702);
        var features = new SeededFeatures(hostile, 703);
        var unlearning = new SeededUnlearning(hostile, explanation, SeededProject.AccountOf(hostile.Admin), Guid.NewGuid());
        var erasure = new SeededErasure(hostile, SeededProject.AccountOf(hostile.Admin), Guid.NewGuid());
        var whose = explanation.Annotators.Concat(long_.Annotators).ToList();
        var (reason, some, others) = (Texts[0], string.Join(' ', Texts.Take(20)), string.Join(' ', Texts.Skip(20)));
        hostile.Change(db =>
        {
            var number = 0;
            string Next() => Texts[number++ % Texts.Count];
            foreach (var content in db.Contents.Where(c => c.ProjectId == hostile.Id && c.Text != null).OrderBy(c => c.Id).ToList())
                content.Text = content.Kind is ContentKind.Prompt ? Conversation.Serialize([new Turn("user", Next())]) : Next();
            var whole = db.Responses.Where(r => r.Id == long_.Response).Select(r => r.ContentId).Single();
            db.Contents.Single(c => c.Id == whole).Text = string.Join("\n\n", Texts);
            foreach (var annotator in db.Annotators.Where(a => whose.Contains(a.Pseudonym)).Select(a => new { a.Id, a.Pseudonym }).ToList())
            {
                var name = $"{Next()} {annotator.Pseudonym}";
                db.Annotators.Where(a => a.Id == annotator.Id).ExecuteUpdate(set => set.SetProperty(a => a.Pseudonym, name));
            }
            db.UnlearningRequests.Where(r => r.ProjectId == hostile.Id).ExecuteUpdate(set => set.SetProperty(r => r.Reason, reason).SetProperty(r => r.DecisionNote, r => r.DecisionNote == null ? null : some));
            db.ErasureRequests.Where(r => r.ProjectId == hostile.Id).ExecuteUpdate(set => set.SetProperty(r => r.Reason, reason).SetProperty(r => r.DecisionNote, r => r.DecisionNote == null ? null : others));
        });
        await using var watched = await Open(hostile);

        await HostileWatch.Go(watched, "/explain", shows: "alert(1)");
        await HostileWatch.Go(watched, $"/explain/together?model={explanation.RewardModel.Id}&by=Projection", shows: Texts.First(text => text.Contains("alert(1)", StringComparison.Ordinal))[..8]);
        foreach (var page in new[] { explanation.Page, $"{long_.Page}?text=whole", $"{explanation.Page}?by=Influence", $"{explanation.Page}?by=NearestNeighbours&text=whole" })
            await HostileWatch.Go(watched, page, shows: "alert(1)");
        await HostileWatch.Go(watched, "/unlearning", shows: Texts[0]);
        await HostileWatch.Go(watched, $"/unlearning/new?explanation={explanation.Id}{string.Concat(explanation.Judgements.Select(judgement => $"&pair={judgement}"))}"); // too many: refused
        features.Label(0, Texts[0]);
        features.Label(2, Texts.First(text => text.Contains("alert(1)", StringComparison.Ordinal)));
        await using (await FakeEngineDoor.Open(portal.Database.Directory))
        {
            await HostileWatch.Go(watched, $"/explain/together?model={explanation.RewardModel.Id}&by=Projection");
            Assert.Equal(2, await watched.Page.Locator("section[aria-labelledby=which] tbody tr").CountAsync());
            await HostileWatch.Look(watched);
            // In more data the same are few: the pairs, and all that a person gave whose name is hostile.
            using var db = hostile.Open();
            var row = db.DatasetRows.AsNoTracking().First(r => r.DatasetVersionId == explanation.Dataset.Id);
            hostile.Add([.. Enumerable.Range(100, 228).Select(i => new DatasetRow { DatasetVersionId = row.DatasetVersionId, Ordinal = i, JudgementId = hostile.Ids.New<JudgementId>(), PromptId = row.PromptId, Part = DatasetPart.Train, ChosenId = row.ChosenId, RejectedId = row.RejectedId, Label = null, Margin = null, Weight = 1, ContentHash = row.ContentHash })]);
            var last = explanation.Judgements[8];
            var name = (from j in db.PairwiseJudgements where j.Id == last join a in db.Annotators on j.AnnotatorId equals a.Id select a.Pseudonym).Single();
            foreach (var choice in new[] { $"pair={explanation.Judgements[1]}&action=Relabel", $"annotator={Uri.EscapeDataString(name)}&from=2020-01-01&until=2100-01-01" })
            {
                await HostileWatch.Go(watched, $"/unlearning/new?explanation={explanation.Id}&{choice}");
                Assert.Equal(1, await watched.Page.Locator("#ask-unlearning").CountAsync());
                await watched.IsInOrder(within: "main");
            }
            Assert.Equal(name, await watched.Page.Locator("#person bdi").TextContentAsync());
            Assert.Equal(name, await watched.Page.Locator("form[action='/unlearning/ask'] input[name=annotator]").InputValueAsync());
            await watched.Picture("unlearning-of-a-person");
            await watched.Page.SetViewportSizeAsync(390, 844);
            await watched.IsInOrder(within: "#person"); // a long name does not push the page wide
            await watched.Picture("unlearning-of-a-person-390");
        }
        foreach (var request in new[] { unlearning.Waiting, unlearning.Made, unlearning.Refused })
            await HostileWatch.Go(watched, $"/unlearning/{request}", shows: Texts[0]);
        await HostileWatch.Go(watched, "/erasure", shows: Texts[0]);
        foreach (var request in new[] { erasure.Waiting, erasure.Refused, erasure.Stuck, erasure.Done })
            await HostileWatch.Go(watched, $"/erasure/{request}", shows: Texts[0]);
        foreach (var text in Texts.Where((_, i) => i % 10 == 0))
        {
            await HostileWatch.Go(watched, "/erasure/new");
            await watched.Page.FillAsync("#words", text);
            await watched.Page.ClickAsync("#find-prompts");
            await watched.Page.Locator("input[name=prompt]").First.WaitForAsync();
            await HostileWatch.Look(watched);
        }
    }

    [Fact]
    public async Task Nothing_runs_where_projects_are_named()
    {
        var hostile = Seed();
        var projects = Texts.Select(text =>
        {
            var project = new Project { Id = hostile.Ids.New<ProjectId>(), Name = $"{text} {Guid.NewGuid().ToString("N")[..6]}", CreatedAt = hostile.Now };
            project.Change(project.Name, text, text, TaskKinds.Pairwise, 1, 5);
            return project;
        }).ToList();
        hostile.Add([.. projects]);
        await using var watched = await Open(hostile);
        var page = watched.Page;
        try
        {
            foreach (var (project, text) in projects.Zip(Texts))
            {
                await HostileWatch.Go(watched, $"/annotate/{project.Id}"); // name, warning and guidelines
                Assert.Equal(project.Name, await page.Locator("header .project").First.TextContentAsync() is { } name ? name.Split(". Go to another project")[0] : null);
                Assert.Equal(text, await page.Locator(".note.warn bdi").TextContentAsync());
            }
            await HostileWatch.Go(watched, "/projects", shows: Texts[0]);
            Assert.Equal(40, projects.Select(p => p.Name).Intersect(await page.Locator("main th a").AllTextContentsAsync()).Count());
            await HostileWatch.Go(watched, "/projects/choose", shows: Texts[0]);
            await HostileWatch.Go(watched, "/annotate?choose=1", shows: Texts[0]);
            await HostileWatch.Go(watched, "/");
            foreach (var project in new[] { projects[0], projects[3] })
            {
                await HostileWatch.Go(watched, $"/projects/{project.Id}");
                await watched.IsInteractive();
                foreach (var text in Texts.Chunk(10).Select(some => string.Join("\n\n", some)))
                {
                    await page.FillAsync("main textarea", text); // the preview follows the typing
                    await page.Locator("main .text").First.WaitForAsync();
                    await HostileWatch.Look(watched);
                }
            }
        }
        finally
        {
            hostile.Change(db => db.Projects.Where(p => projects.Select(x => x.Id).Contains(p.Id)).ExecuteUpdate(set => set.SetProperty(p => p.ArchivedAt, hostile.Now))); // out of other tests' lists
        }
    }

    /// <summary>The control: written into a page as they are, or by a careless Markdown, the same texts are noticed.</summary>
    [Fact]
    public async Task The_same_texts_written_raw_are_noticed()
    {
        await using var watched = await Open(Seed());
        var page = watched.Page;
        var missed = new List<string>();
        foreach (var policy in new[] { "", Portal.Web.Shell.SecurityHeaders.ContentSecurityPolicy })
        {
            foreach (var text in Texts)
            {
                var known = watched.Problems.Count;
                await page.UnrouteAllAsync();
                await page.RouteAsync("**/raw", route => route.FulfillAsync(new RouteFulfillOptions
                {
                    ContentType = "text/html; charset=utf-8", Headers = policy.Length == 0 ? [] : new Dictionary<string, string> { ["Content-Security-Policy"] = policy },
                    Body = $"<!DOCTYPE html><title>raw</title><main>{Careless(text)}</main>",
                }));
                await page.GotoAsync("/raw", new() { WaitUntil = WaitUntilState.Commit });
                try
                {
                    await page.WaitForLoadStateAsync(LoadState.Load);
                    await page.EvaluateAsync(HostileWatch.Touch);
                    if ((await page.EvaluateAsync<string[]>(HostileWatch.Scan)).Length == 0 && watched.Problems.Count == known)
                        missed.Add(text);
                }
                catch (Exception e) when (e is PlaywrightException or TimeoutException)
                {
                    Assert.True(watched.Problems.Count > known, $"{text}: {e.Message}"); // it led away
                }
            }
        }

        // What stays quiet even so was never markup: entities, escaped or foreign signs, code. It is the same with and without the policy.
        Assert.True(missed.Count <= 2 * 12, $"{missed.Count / 2} of 40 went unnoticed:\n{string.Join('\n', missed)}");
        Assert.Contains(watched.Problems, problem => problem.Contains(HostileWatch.Canary, StringComparison.Ordinal));
        Assert.Contains(watched.Problems, problem => problem.Contains("request to elsewhere", StringComparison.Ordinal));
        Assert.Contains(watched.Problems, problem => problem.Contains("script-src", StringComparison.Ordinal));
    }

    /// <summary>Links and pictures of Markdown, written into HTML without a second thought; all else as it is.</summary>
    private static string Careless(string text) => Link().Replace(Picture().Replace(text, "<img alt='' src=\"$1\">"), "<a href=\"$1\">x</a>");

    private static string Plain(string text) => string.Concat(text.Where(c => !char.IsWhiteSpace(c) && char.GetUnicodeCategory(c) is not UnicodeCategory.Format));

    private async Task<WatchedPage> Open(SeededProject hostile)
    {
        var context = await portal.Profile();
        await context.AddInitScriptAsync(HostileWatch.Script);
        await context.AddCookiesAsync([new Cookie { Name = "portal-project", Value = $"{hostile.Id}", Url = portal.Address.ToString() }]);
        return new WatchedPage(await context.NewPageAsync(), portal.Address);
    }

    /// <summary>A project of its own with a hostile name.</summary>
    private SeededProject Seed()
    {
        var hostile = new SeededProject(portal.Database);
        var name = $"{Texts[0]} {Guid.NewGuid().ToString("N")[..6]}";
        hostile.Change(db =>
        {
            var project = db.Projects.Single(p => p.Id == hostile.Id);
            project.Change(name, string.Join("\n\n", Texts.Take(10)), Texts[1], TaskKinds.Pairwise | TaskKinds.Binary, 1, 50);
        });
        return hostile;
    }

    private static EvaluationSample Sample(ModelVersionId candidate, ModelVersionId from, PromptId prompt, ResponseId response) => new()
    {
        CandidateId = candidate, SampledFromId = from, PromptId = prompt, ResponseId = response, Ordinal = 0, Reward = 0.5, LengthTokens = 9,
    };

    [GeneratedRegex(@"!\[[^\]]*\]\(\s*<?([^)>]*)>?\)")]
    private static partial Regex Picture();

    [GeneratedRegex(@"\[[^\]]*\]\(\s*<?([^)>]*)>?\)")]
    private static partial Regex Link();
}
