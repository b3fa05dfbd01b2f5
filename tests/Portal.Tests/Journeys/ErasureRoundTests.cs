using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.AuditLog;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Erasure;
using Portal.Engine.Models;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;
using Conversation = Portal.Data.Feedback.Conversation;

namespace Portal.Tests.Journeys;

/// <summary>
/// A prompt with its answers and reasons is erased, in the browser, against a live portal and a live engine: an admin finds it by its words and asks, another one approves, the queue's job removes it, the page shows the proof. The scanner, which found
/// every planted text in the data directory before, finds none after; what learned from it is retired; `audit-verify` passes. A minute, half of it the queue's own wait for what others still read: a round of <c>./test --soak</c>,
/// since its parts are tests of their own.
/// </summary>
[Trait("Speed", "soak")]
public sealed class ErasureRoundTests : IAsyncLifetime
{
    private static readonly OptimizationSpec Quick = new() { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 32, Epochs = 1, CheckpointEverySteps = 0 };

    /// <summary>Short, so that the toy model reads them whole; the prompt is one that is trained on, which follows from its words.</summary>
    private static readonly string Question = Enumerable.Range(0, 100).Select(i => $"question{i}-7f31c6e2").First(words =>
        new PromptSplit(new DatasetRules().HeldOutShare, 0, "1").PartOf([new Message(MessageRole.User, words)]) is SplitPart.Train);
    private static readonly string[] Canaries = [Question, "chosen-5be07a91c4", "rejected-c19d44f0b7", "reason-80a2f6d35e"];

    private readonly DirectoryInfo assets = Directory.CreateTempSubdirectory("portal-base-");
    private LivePortal live = null!; // set before the test
    private int station;

    public async Task InitializeAsync()
    {
        using (var model = ToyWorld.Base())
            HuggingFaceFolder.Save(model, Path.Combine(assets.FullName, "base"), ToyWorld.Tokenizer);
        live = await LivePortal.Start();
    }

    public async Task DisposeAsync()
    {
        await live.DisposeAsync();
        assets.Delete(recursive: true);
    }

    [Fact]
    public async Task What_a_person_asks_to_be_erased_is_nowhere_afterwards_and_what_learned_from_it_is_retired()
    {
        await live.StartEngine(assets.FullName);
        await using var first = await live.Visit("/");
        var admin = first.Page;
        await Chromium.SignIn(admin, live.Directory, "demo-admin");
        await admin.Locator("header .project", new() { HasText = "Tiny Assistant" }).WaitForAsync();
        var (reward, judgements) = await Taught();
        Assert.Equal(Canaries.Order(), Found().Order()); // the scanner sees them all

        // An admin finds the prompt by its words and asks; they cannot decide.
        await admin.GotoAsync("/erasure");
        await Look(first, "none-yet");
        await admin.GotoAsync("/erasure/new");
        await admin.FillAsync("#words", Question);
        await admin.ClickAsync("#find-prompts");
        await admin.Locator("#ask-erasure").WaitForAsync();
        await Look(first, "what-it-would-remove");
        await admin.FillAsync("#reason", "Case 12: they asked in writing.");
        await admin.ClickAsync("#ask-erasure");
        await admin.Locator("#not-you").WaitForAsync();
        Assert.Equal(0, await admin.Locator("button[popovertarget=approve]").CountAsync());
        var request = admin.Url;

        // Another admin approves; the queue does the rest.
        await using var second = await live.Visit("/");
        var other = second.Page;
        await Chromium.SignIn(other, live.Directory, "demo-second-admin");
        await other.GotoAsync(request);
        await other.ClickAsync("button[popovertarget=approve]");
        await other.FillAsync("#approve-note", "Checked against the letter.");
        await other.ClickAsync("#approve button.danger, #approve button.primary");
        await live.Ended(nameof(EraseData));
        await other.Goes(request);
        await other.Locator("#download-proof").WaitForAsync();
        await Look(second, "proof");

        Assert.Empty(Found());
        await using (var db = live.Open())
        {
            var row = await db.ErasureRequests.AsNoTracking().SingleAsync();
            Assert.Equal((ErasureState.Done, null), (row.State, ErasureProof.Verify(db, row)));
            Assert.NotEqual(row.RequestedBy, row.DecidedBy);
            var proof = ErasureProof.FromJson(row.ProofJson!); // it is done
            Assert.Equal(judgements.Count, proof.Judgements.Count);
            Assert.Contains(reward, proof.Retired.Select(one => one.Id));
            Assert.Equal(ModelStatus.Retired, (await db.ModelVersions.AsNoTracking().SingleAsync(v => v.Id == reward)).Status);
            Assert.False(await db.PairwiseJudgements.AnyAsync(j => judgements.Contains(j.Id)));
            Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        }
        await other.GotoAsync($"/models/{reward}");
        await other.GetByText("retired", new() { Exact = false }).First.WaitForAsync();
        Assert.Equal(0, await AuditVerify());
        Assert.DoesNotContain("fail:", live.EngineLog, StringComparison.Ordinal);
    }

    /// <summary>The demo's project gets the toy world's votes and two on the canary prompt, one with its reason, and a reward model of them.</summary>
    private async Task<(ModelVersionId Reward, IReadOnlyList<JudgementId> Judgements)> Taught()
    {
        await using var db = live.Open();
        var project = (await db.Projects.SingleAsync()).Id;
        var now = DateTimeOffset.UtcNow;
        var annotators = new[] { "heron-12", "robin-7" }.Select(name => new Annotator { Id = live.Ids.New<AnnotatorId>(), Pseudonym = name, CreatedAt = now }).ToArray();
        db.Annotators.AddRange(annotators);
        foreach (var words in ToyWorld.Prompts)
            ToyVotes.Add(db, live.Ids, live.Hasher, project, annotators[0].Id, words);
        var question = Stored(ContentKind.Prompt, Conversation.Serialize(ToyWorld.TurnsOf(Question)));
        var prompt = new Prompt { Id = live.Ids.New<PromptId>(), ProjectId = project, ContentId = question.Id, ContentHash = question.KeyedHash, CreatedAt = now };
        db.Prompts.Add(prompt);
        var (good, bad) = (Response(Canaries[1]), Response(Canaries[2]));
        var task = AnnotationTask.Create(live.Ids.New<TaskId>(), project, TaskKind.Pairwise, prompt.Id, good, bad, 2, now);
        db.Tasks.Add(task);
        var judgements = annotators.Select(annotator => Vote(annotator.Id, annotator == annotators[0] ? Stored(ContentKind.Rationale, Canaries[3]).Id : null)).ToList();
        var spec = new TrainRewardModel { LengthMax = 64, Optimization = Quick };
        var job = new Job { Id = live.Ids.New<JobId>(), Number = ((await db.Jobs.MaxAsync(j => (int?)j.Number)) ?? 0) + 1, ProjectId = project, Kind = spec.Kind, SpecJson = spec.ToJson(), AfterJobId = null, CreatedBy = null, CreatedAt = now };
        db.Jobs.Add(job);
        await db.SaveChangesAsync();
        await live.Ended(nameof(TrainRewardModel));
        return (ModelVersionId.From(job.Id.Value), judgements);

        JudgementId Vote(AnnotatorId by, ContentId? reason)
        {
            task.CountVote();
            var judgement = new PairwiseJudgement
            {
                Id = live.Ids.New<JudgementId>(), ProjectId = project, TaskId = task.Id, AnnotatorId = by, Source = JudgementSource.Person, SubmittedAt = now, Verdict = PairwiseVerdict.Preferred, PreferredResponseId = good, Strength = 2, LeftResponseId = good, RationaleId = reason,
            };
            db.PairwiseJudgements.Add(judgement);
            return judgement.Id;
        }

        ResponseId Response(string text)
        {
            var words = Stored(ContentKind.Response, text);
            var response = new Response { Id = live.Ids.New<ResponseId>(), ProjectId = project, PromptId = prompt.Id, ContentId = words.Id, ContentHash = words.KeyedHash, CreatedAt = now };
            db.Responses.Add(response);
            return response.Id;
        }

        Content Stored(ContentKind kind, string text)
        {
            var row = new Content { Id = live.Ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = live.Hasher.Hash(text), CreatedAt = now };
            db.Contents.Add(row);
            return row;
        }
    }

    /// <summary>The canaries that are in the data directory, in any coding, whole or in part.</summary>
    private IReadOnlyList<string> Found()
    {
        var scanner = new CanaryScanner(Canaries, CanaryScanner.TokenizersOf(live.Directory));
        scanner.Files(live.Directory.Root, null, null, CancellationToken.None);
        return [.. scanner.Report().Findings.Select(one => Canaries[one.Text]).Distinct()];
    }

    /// <summary>`./run audit-verify` on the live directory: its exit status.</summary>
    private async Task<int> AuditVerify()
    {
        using var process = Process.Start(new ProcessStartInfo("dotnet", ["exec", Path.Combine(BuiltEngine.Built("Portal.Engine"), "Portal.Engine.dll"), "audit-verify", "--data", live.Directory.Root]) { RedirectStandardOutput = true, RedirectStandardError = true })!; // it can be started, or that is said
        await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    private Task Look(WatchedPage page, string name) => page.IsInOrderOnTheWay($"erasure-{++station:00}-{name}");
}
