using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Endpoints;
using Portal.Engine.Jobs;
using Portal.Tests.Engine.Endpoints;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>An audit as a job on a real database: rows and files, a killed run, what a failed one leaves, erased prompts, endpoints, and each thing it refuses.</summary>
[Trait("Speed", "slow")]
public sealed class AuditRewardRunnerTests : IDisposable
{
    private readonly AuditedToys toys = new();

    private ToyProject Toy => toys.Toy;

    public void Dispose() => toys.Dispose();

    [Fact]
    public async Task An_audit_leaves_numbers_as_files_texts_as_rows_and_one_row_that_shows_both()
    {
        var job = await toys.Audit(toys.Polite);

        using var db = Toy.Database.Open();
        var audit = db.PolicyAudits.AsNoTracking().Single();
        Assert.Equal((job, 1, (ModelVersionId?)toys.PoliteId, Toy.BaseId, "policy v2", "policy v1", 80), (audit.JobId, audit.Number, audit.AuditedId, audit.BaseId, audit.AuditedName, audit.BaseName, audit.Prompts));
        var report = Opened(audit).Report().Value;
        Assert.Equal((report.Census.Pairs, report.Census.Prompts, report.Verdict.Reasons[0].Sentence), (audit.Pairs, 80, audit.Sentence));
        Assert.True(audit.IsGrey, "80 prompts are fewer than the 200 pairs that a verdict needs");
        Assert.Contains(report.Verdict.Reasons, reason => reason.Kind == "TooFewPairs");
        Assert.NotNull(audit.Accuracy);
        // 48 prompts train, 16 hold out, 16 test with three completions each; of both policies.
        var rows = db.AuditTexts.AsNoTracking().Where(t => t.JobId == job).ToList();
        Assert.Equal(2 * (48 + 16 + (16 * 3)), rows.Count);
        Assert.Equal(report.Census.Completions.Sum(side => side.Written), rows.Count(row => row.Status is CompletionStatus.Written));
        var written = (from row in db.AuditTexts where row.ResponseId != null join r in db.Responses on row.ResponseId equals r.Id join c in db.Contents on r.ContentId equals c.Id select new { row.Side, row.PromptId, Of = r.PromptId, r.ModelVersionId, c.Text }).ToList();
        Assert.All(written, text => Assert.Equal((text.PromptId, text.Side is AuditSide.Audited ? toys.PoliteId : Toy.BaseId), (text.Of, text.ModelVersionId!.Value)));
        double Polite(AuditSide side) => written.Where(text => text.Side == side).Average(text => text.Text!.Contains("please", StringComparison.Ordinal) ? 1.0 : 0);
        Assert.True(Polite(AuditSide.Audited) > Polite(AuditSide.Base) + 0.2, "the policies are the ones that were asked");
        // Every text the report names is a row.
        var ids = rows.Select(row => $"{row.TextId}").ToHashSet();
        Assert.All(report.Pairs.SelectMany(pair => new[] { pair.AuditedText, pair.BaseText }).Concat(report.Points.Select(point => point.Text)), text => Assert.Contains(text, ids));
        var said = db.AuditEvents.AsNoTracking().Single(e => e.Action == "policy.audit");
        Assert.Equal($"{job}", said.EntityId);
        Assert.Contains(audit.ManifestSha256, said.PayloadJson, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_file_of_the_folder_holds_a_text_and_the_split_of_the_training_part_is_counted()
    {
        var job = await toys.Audit(toys.Polite);

        using var db = Toy.Database.Open();
        var audit = db.PolicyAudits.AsNoTracking().Single();
        var folder = Opened(audit);
        Assert.Equal(["report.json", "rewards.json", "scores.jsonl"], folder.Manifest.Files.Keys);
        Assert.Equal(["manifest.json", "report.json", "rewards.json", "scores.jsonl"], Directory.EnumerateFiles(folder.Path).Select(Path.GetFileName).Order());
        foreach (var file in Directory.EnumerateFiles(folder.Path))
            Assert.DoesNotContain("please", await File.ReadAllTextAsync(file), StringComparison.OrdinalIgnoreCase); // each answer of the polite policy says so
        var split = new PromptSplit(0.2, 0, "1");
        Assert.Equal(ToyWorld.Prompts.Count(prompt => split.PartOf(StoredTurns.ToMessages(ToyWorld.TurnsOf(prompt))) is SplitPart.Train), audit.PromptsOfTraining);

        var heldOut = await toys.Audit(toys.Polite with { PromptSource = AuditPromptSource.HeldOut });

        var second = db.PolicyAudits.AsNoTracking().Single(a => a.JobId == heldOut);
        Assert.Equal((2, 80 - audit.PromptsOfTraining, 0), (second.Number, second.Prompts, second.PromptsOfTraining));
        Assert.NotEqual(job, heldOut);
    }

    [Fact]
    public async Task A_run_that_was_killed_while_asking_goes_on_and_ends_in_the_very_report_of_one_that_was_not()
    {
        var whole = await toys.Audit(toys.Polite);
        var killed = toys.AddJob(toys.Polite);
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new AuditRewardRunner().Run(toys.Polite, Toy.Job(killed, new DiesAt("writing completions", 40))));
        using (var db = Toy.Database.Open())
        {
            // Meanwhile somebody asks something new: it is not part of this audit.
            Toy.Vote(db, "May I take the apple from the ship?");
            db.SaveChanges();
        }
        var chunk = Directory.EnumerateFiles(Path.Combine(Toy.Database.Directory.Checkpoints, killed.Value.ToString("N"), "texts")).Order().First();
        var written = File.GetLastWriteTimeUtc(chunk);

        await toys.Finish(killed, toys.Polite);

        Assert.Equal(written, File.GetLastWriteTimeUtc(chunk)); // completions that were there are not asked for again
        using var read = Toy.Database.Open();
        var audits = read.PolicyAudits.AsNoTracking().ToDictionary(a => a.JobId);
        Assert.Equal(Opened(audits[whole]).Bytes(AuditReport.FileName), Opened(audits[killed]).Bytes(AuditReport.FileName));
        Assert.Equal(audits[whole].ManifestSha256, audits[killed].ManifestSha256);
        Assert.Equal(read.AuditTexts.Count(t => t.JobId == whole), read.AuditTexts.Count(t => t.JobId == killed));
    }

    [Fact]
    public async Task A_run_that_was_killed_while_storing_stores_each_text_once_and_does_not_measure_again()
    {
        var job = toys.AddJob(toys.Polite);
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new AuditRewardRunner().Run(toys.Polite, Toy.Job(job, new DiesAt("storing texts", 30))));
        using (var db = Toy.Database.Open())
            Assert.True(db.AuditTexts.Any(t => t.JobId == job), "it was killed among the rows");
        var report = Path.Combine(Toy.Database.Directory.Checkpoints, job.Value.ToString("N"), "report", AuditReport.FileName);
        var measured = File.GetLastWriteTimeUtc(report);

        await toys.Finish(job, toys.Polite);

        Assert.Equal(measured, File.GetLastWriteTimeUtc(report));
        using var read = Toy.Database.Open();
        var rows = read.AuditTexts.AsNoTracking().Where(t => t.JobId == job).ToList();
        Assert.Equal(2 * (48 + 16 + (16 * 3)), rows.Count);
        // The texts of the first try were found again, not written twice.
        Assert.Equal(rows.Select(row => row.ResponseId).OfType<ResponseId>().Distinct().Count(), read.Responses.Count(r => r.ModelVersionId == toys.PoliteId || r.ModelVersionId == Toy.BaseId));
    }

    [Fact]
    public async Task A_job_that_fails_takes_rows_and_folder_with_it_and_one_that_succeeded_keeps_them()
    {
        var done = await toys.Audit(toys.Polite);
        var failed = toys.AddJob(toys.Polite);
        await new AuditRewardRunner().Run(toys.Polite, Toy.Job(failed)); // and its end was never written
        var folder = Path.Combine(Toy.Database.Directory.Audits, failed.Value.ToString("N"));
        Assert.True(File.Exists(Path.Combine(folder, AuditReport.FileName)));

        await new AuditRewardRunner().Discard(toys.Polite, Toy.Job(failed));
        await new AuditRewardRunner().Discard(toys.Polite, Toy.Job(done));

        using var db = Toy.Database.Open();
        Assert.False(Directory.Exists(folder));
        Assert.Equal(0, db.AuditTexts.Count(t => t.JobId == failed));
        Assert.Equal(160 + 64, db.AuditTexts.Count(t => t.JobId == done));
        Opened(db.PolicyAudits.AsNoTracking().Single());
    }

    [Fact]
    public async Task A_prompt_that_is_erased_while_the_audit_runs_gets_no_new_text_and_one_that_is_erased_before_is_not_asked()
    {
        var job = toys.AddJob(toys.Polite);
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new AuditRewardRunner().Run(toys.Polite, Toy.Job(job, new DiesAt("storing texts", 0))));
        PromptId erased;
        using (var db = Toy.Database.Open())
        {
            var prompt = db.Prompts.OrderBy(p => p.Id).First();
            erased = prompt.Id;
            db.Contents.Single(c => c.Id == prompt.ContentId).Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }

        await toys.Finish(job, toys.Polite);
        var later = await toys.Audit(toys.Polite);

        using var read = Toy.Database.Open();
        var rows = read.AuditTexts.AsNoTracking().Where(t => t.JobId == job && t.PromptId == erased).ToList();
        Assert.NotEmpty(rows);
        Assert.All(rows, row => Assert.Null(row.ResponseId));
        Assert.Equal(79, read.PolicyAudits.Single(a => a.JobId == later).Prompts);
        Assert.False(read.AuditTexts.Any(t => t.JobId == later && t.PromptId == erased));
    }

    [Fact]
    public async Task A_retired_version_can_be_audited_and_policies_that_are_the_same_end_in_a_grey_verdict()
    {
        var twin = Toy.Ids.New<ModelVersionId>();
        ArtefactFile.CopyFolder(Toy.FolderOf(toys.PoliteId), Toy.FolderOf(twin), null, default);
        using (var db = Toy.Database.Open())
        {
            db.ModelVersions.Single(v => v.Id == toys.PoliteId).Retire();
            db.ModelVersions.Add(Toy.Version(twin, ModelKind.Policy, 3, toys.PoliteId));
            db.SaveChanges();
        }

        var job = await toys.Audit(AuditedToys.Spec with { AuditedId = twin });

        using var read = Toy.Database.Open();
        var audit = read.PolicyAudits.AsNoTracking().Single(a => a.JobId == job);
        Assert.Equal(toys.PoliteId, audit.BaseId);
        Assert.True(audit.IsGrey);
        Assert.Contains(Opened(audit).Report().Value.Verdict.Reasons, reason => reason.Kind == "EqualPolicies");
    }

    [Fact]
    public async Task An_endpoint_is_audited_with_consent_its_texts_are_its_own_and_nothing_is_sent_without()
    {
        await using var server = await EndpointServer.Start();
        server.Answer = (http, request, number) => EndpointServer.Json(http, new
        {
            choices = Enumerable.Range(0, (int?)request.Body["n"] ?? 1).Select(i => new { index = i, message = new { role = "assistant", content = $"Yes please, take number {number}.{i}." }, finish_reason = "stop" }),
        });
        var guard = new AddressGuard([$"127.0.0.1:{server.Port}"]);
        var endpoint = new PolicyEndpoint { Id = Toy.Ids.New<PolicyEndpointId>(), ProjectId = Toy.Project, CreatedBy = Guid.NewGuid(), CreatedAt = DateTimeOffset.UtcNow };
        endpoint.Change(new EndpointSettings { Name = "Elsewhere", BaseUrl = $"http://127.0.0.1:{server.Port}/v1", Model = "small", Retries = 0 });
        using (var db = Toy.Database.Open())
        {
            db.PolicyEndpoints.Add(endpoint);
            db.SaveChanges();
        }
        var spec = AuditedToys.Spec with { AuditedEndpointId = endpoint.Id, BaseId = Toy.BaseId };

        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new AuditRewardRunner(guard).Run(spec, Toy.Job()));
        Assert.Contains("nobody has agreed that texts of annotators may be sent to the endpoint \"Elsewhere\"", refused.Message, StringComparison.Ordinal);
        Assert.Empty(server.Asked);

        using (var db = Toy.Database.Open())
        {
            db.PolicyEndpoints.Single().GiveConsent(Guid.NewGuid(), DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        var job = await toys.Audit(spec, guard);

        using var read = Toy.Database.Open();
        var audit = read.PolicyAudits.AsNoTracking().Single(a => a.JobId == job);
        Assert.Equal(("Elsewhere", (PolicyEndpointId?)endpoint.Id, null), (audit.AuditedName, audit.AuditedEndpointId, audit.AuditedId));
        var own = (from row in read.AuditTexts where row.JobId == job && row.Side == AuditSide.Audited join r in read.Responses on row.ResponseId equals r.Id join c in read.Contents on r.ContentId equals c.Id select new { r.EndpointId, r.ModelVersionId, c.Text }).ToList();
        Assert.Equal(80 + 32, own.Count);
        Assert.All(own, text => Assert.Equal(((PolicyEndpointId?)endpoint.Id, null), (text.EndpointId, text.ModelVersionId)));
        Assert.All(own, text => Assert.StartsWith("Yes please, take number", text.Text, StringComparison.Ordinal));
        // A chat endpoint cannot say how likely a text is: the method that needs it says why, the others ran.
        Assert.Equal(0, Opened(audit).Report().Value.Provenance.LogRatios);
    }

    /// <summary>PostgreSQL stores no NUL, so no such text may become a row; the place where it would stand says why it is empty.</summary>
    [Fact]
    public async Task A_text_that_no_database_stores_is_a_failed_completion_with_its_reason()
    {
        await using var server = await EndpointServer.Start();
        server.Answer = (http, request, number) => EndpointServer.Json(http, new
        {
            choices = Enumerable.Range(0, (int?)request.Body["n"] ?? 1).Select(i => new { index = i, message = new { role = "assistant", content = i == 1 ? "Yes please,\0 take it." : $"Yes please, take number {number}." }, finish_reason = "stop" }),
        });
        var endpoint = new PolicyEndpoint { Id = Toy.Ids.New<PolicyEndpointId>(), ProjectId = Toy.Project, CreatedBy = Guid.NewGuid(), CreatedAt = DateTimeOffset.UtcNow };
        endpoint.Change(new EndpointSettings { Name = "Elsewhere", BaseUrl = $"http://127.0.0.1:{server.Port}/v1", Model = "small", Retries = 0 });
        endpoint.GiveConsent(Guid.NewGuid(), DateTimeOffset.UtcNow);
        using (var db = Toy.Database.Open())
        {
            db.PolicyEndpoints.Add(endpoint);
            db.SaveChanges();
        }

        var job = await toys.Audit(AuditedToys.Spec with { AuditedEndpointId = endpoint.Id, BaseId = Toy.BaseId }, new AddressGuard([$"127.0.0.1:{server.Port}"]));

        using var read = Toy.Database.Open();
        var rows = read.AuditTexts.AsNoTracking().Where(t => t.JobId == job && t.Side == AuditSide.Audited).ToList();
        var failed = rows.Where(row => row.Status is CompletionStatus.Failed).ToList();
        Assert.Equal((80 + 32, 16), (rows.Count, failed.Count)); // the second of three completions of each test prompt
        Assert.All(failed, row => Assert.Equal(((ResponseId?)null, "The text holds a NUL character at position 12, which the portal's databases do not store."), (row.ResponseId, row.Problem)));
        Assert.DoesNotContain(read.Contents.AsNoTracking().Where(c => c.Text != null).Select(c => c.Text!).AsEnumerable(), text => text.Contains('\0'));
        var counts = Opened(read.PolicyAudits.AsNoTracking().Single()).Report().Value.Census.Completions.Single(side => side.Side is AuditSide.Audited);
        Assert.Equal((80 + 32, 80 + 16, 16), (counts.Asked, counts.Written, counts.Failed));
    }

    [Fact]
    public async Task What_cannot_be_audited_is_refused_by_field()
    {
        Assert.StartsWith("auditedId: name the policy to audit", await Refusal(AuditedToys.Spec));
        Assert.StartsWith("auditedId and auditedEndpointId are both given", await Refusal(toys.Polite with { AuditedEndpointId = Toy.Ids.New<PolicyEndpointId>() }));
        Assert.StartsWith("There is no model version", await Refusal(AuditedToys.Spec with { AuditedId = Toy.Ids.New<ModelVersionId>() }));
        Assert.Equal("policy v1 is not a reward model.", await Refusal(toys.Polite with { ReferenceId = Toy.BaseId }));
        Assert.Equal("policy v1 is not an SAE.", await Refusal(toys.Polite with { SaeId = Toy.BaseId }));
        Assert.Equal("baseEndpointId: there is no such endpoint in this project.", await Refusal(toys.Polite with { BaseEndpointId = Toy.Ids.New<PolicyEndpointId>() }));
        Assert.StartsWith("sampling: topK must be 0", await Refusal(AuditedToys.Spec with { AuditedEndpointId = Toy.Ids.New<PolicyEndpointId>(), Sampling = new SamplingSpec { TopK = 5 } }));
        Assert.StartsWith("lexicon: there is no list of words of this name", await Refusal(toys.Polite with { Lexicon = "../portal" }));
        Assert.StartsWith("lexicon: there is no list of words of this name", await Refusal(toys.Polite with { Lexicon = "insults" }));
        Assert.StartsWith("promptsMax is 0", await Refusal(toys.Polite with { PromptsMax = 0 }));
        Assert.StartsWith("methods: there is no \"best\"", await Refusal(toys.Polite with { Methods = ["best"] }));
        Assert.StartsWith("seeds is 0", await Refusal(toys.Polite with { Seeds = 0 }));
        using (var db = Toy.Database.Open())
        {
            foreach (var content in db.Contents.Where(c => c.Kind == ContentKind.Prompt))
                content.Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        Assert.StartsWith("The project has no prompts to ask", await Refusal(toys.Polite));

        async Task<string> Refusal(AuditReward wrong) => (await Assert.ThrowsAsync<CannotTrain>(() => new AuditRewardRunner().Run(wrong, Toy.Job()))).Message;
    }

    [SmallDiskFact]
    public async Task A_full_disk_leaves_no_manifest_and_with_room_made_the_audit_ends()
    {
        using var disk = new SmallDisk(8);
        var audits = Toy.Database.Directory.Audits;
        if (Directory.Exists(audits))
            Directory.Delete(audits);
        Directory.CreateSymbolicLink(audits, disk.Folder);
        var job = toys.AddJob(toys.Polite);

        var failure = await Assert.ThrowsAnyAsync<IOException>(() => toys.Finish(job, toys.Polite));

        Assert.StartsWith("The disk is full", FullDisk.Explain(failure), StringComparison.Ordinal);
        Assert.DoesNotContain(disk.Files, file => file.EndsWith(AuditManifest.FileName, StringComparison.Ordinal) || file.EndsWith(".new", StringComparison.Ordinal));
        disk.Grow(16_384);
        await toys.Finish(job, toys.Polite);
        using (var db = Toy.Database.Open())
            Opened(db.PolicyAudits.AsNoTracking().Single());
        Directory.Delete(audits); // the link: the disk is about to go
    }

    [Fact]
    public async Task A_lexicon_is_found_by_its_name_and_makes_a_census()
    {
        Directory.CreateDirectory(Toy.Database.Directory.Lexicons);
        await File.WriteAllTextAsync(Path.Combine(Toy.Database.Directory.Lexicons, "rude.json"), """{"severe": ["never"], "mild": []}""");

        await toys.Audit(toys.Polite with { Lexicon = "rude" });

        using var db = Toy.Database.Open();
        var cells = Opened(db.PolicyAudits.AsNoTracking().Single()).Report().Value.Census.Cells;
        Assert.Equal("lexicon", cells!.By);
        Assert.True(cells.BadToGood > cells.GoodToBad, $"{cells.BadToGood} pairs lost their \"never\", {cells.GoodToBad} got one");
    }

    private AuditFolder Opened(PolicyAudit audit) => AuditFolder.Open(Toy.Database.Directory, audit).Value;
}
