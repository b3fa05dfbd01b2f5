using System.Security.Claims;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Tests.Data;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>Reading audits on both databases: the report with its hashes, texts by id, erased ones, retired models, rights.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class ReadAuditTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_audit_is_read_with_its_report_its_models_and_its_texts_in_the_order_asked(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var seeded = new SeededAudit(project);
        var read = Read(project);

        var audit = (await read.Handle(project.Auditor, seeded.JobId, Stop)).Value;

        Assert.Equal((JobState.Succeeded, seeded.Audited.Id), (audit.JobState, audit.Spec.AuditedId!.Value));
        var ended = audit.Ended!;
        Assert.Equal(seeded.Report!.ToJson(), ended.Report.ToJson());
        Assert.Equal((1, "policy v2", $"models/{seeded.Audited.Id}", false), (ended.Row.Number, ended.Audited.Name, ended.Audited.Path, ended.Audited.IsRetired));
        Assert.Equal([0.0, 1, 2], ended.Folder.Scores().Select(line => line.Methods["max-entropy"][0]));
        string[] ids = [$"{seeded.Prompts[2]}/base/1", $"{seeded.Prompts[0]}/audited/1", "nothing", $"{Guid.NewGuid()}/audited/0", $"{seeded.Prompts[0]}/audited/9"];
        var texts = (await read.Texts(project.Auditor, seeded.JobId, ids, Stop)).Value;
        Assert.Equal([ids[0], ids[1]], texts.Select(text => text.Id));
        Assert.Equal((CompletionStatus.Failed, null, "The prompt is too long.", false), (texts[0].Status, texts[0].Text, texts[0].Problem, texts[0].IsErased));
        Assert.Equal(("Audited says 1: past the mill, 1.0.", "Which way to the well, try 1.0?", -13.5, "directions"), (texts[1].Text, texts[1].Prompt.Single().Content, texts[1].LogProbAudited!.Value, texts[1].Topic));
        var ofPrompt = (await read.OfPrompts(project.Auditor, seeded.JobId, [seeded.Prompts[1]], Stop)).Value;
        Assert.Equal([(AuditSide.Audited, 0), (AuditSide.Audited, 1), (AuditSide.Base, 0), (AuditSide.Base, 1)], ofPrompt.Select(text => (text.Side, text.Ordinal)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_erased_prompt_takes_its_answers_out_of_the_audit_and_an_erased_answer_only_itself(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var seeded = new SeededAudit(project);
        project.Change(db => db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == seeded.Prompts[0]).ContentId).Erase(project.Now));
        project.Change(db =>
        {
            var response = db.AuditTexts.Single(t => t.PromptId == seeded.Prompts[1] && t.Side == AuditSide.Base && t.Ordinal == 0).ResponseId!.Value; // it was written
            db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == response).ContentId).Erase(project.Now);
        });

        var texts = (await Read(project).OfPrompts(project.Admin, seeded.JobId, [seeded.Prompts[0], seeded.Prompts[1]], Stop)).Value;

        var (erased, other) = (texts.Where(text => text.PromptId == seeded.Prompts[0]).ToList(), texts.Where(text => text.PromptId == seeded.Prompts[1]).ToList());
        Assert.Equal(4, erased.Count); // its numbers stay
        Assert.All(erased, text => Assert.True(text is { Text: null, Prompt: [], Topic: null, IsErased: true }));
        Assert.Equal([false, false, true, false], other.Select(text => text.IsErased));
        Assert.All(other, text => Assert.Single(text.Prompt));
        Assert.NotNull((await Read(project).Handle(project.Admin, seeded.JobId, Stop)).Value.Ended);
    }

    [Fact]
    public async Task A_changed_a_missing_and_a_foreign_file_are_refused_by_name()
    {
        using var project = new SeededProject();
        var (changed, missing, gone, forged) = (new SeededAudit(project, 1), new SeededAudit(project, 2), new SeededAudit(project, 3), new SeededAudit(project, 4));
        await File.AppendAllTextAsync(Path.Combine(changed.Folder, AuditReport.FileName), " ");
        File.Delete(Path.Combine(missing.Folder, AuditFolder.ScoresFile));
        Directory.Delete(gone.Folder, recursive: true);
        await File.AppendAllTextAsync(Path.Combine(forged.Folder, AuditManifest.FileName), "\n");

        Assert.StartsWith("Audit 1: report.json is not the file that was stored", await Refusal(changed));
        Assert.StartsWith("Audit 2: scores.jsonl is missing", await Refusal(missing));
        Assert.StartsWith("Audit 3: ", await Refusal(gone));
        Assert.StartsWith("Audit 4: manifest.json is not the file that was stored", await Refusal(forged));

        async Task<string> Refusal(SeededAudit audit)
        {
            var outcome = await Read(project).Handle(project.Admin, audit.JobId, Stop);
            Assert.Equal(ProblemKind.Conflict, outcome.Refusal!.Kind);
            return outcome.Refusal.ToString();
        }
    }

    [Fact]
    public async Task An_audit_of_a_retired_model_stays_readable_and_says_so()
    {
        using var project = new SeededProject();
        var seeded = new SeededAudit(project);
        project.Change(db => db.ModelVersions.Single(v => v.Id == seeded.Audited.Id).Retire());

        var ended = (await Read(project).Handle(project.Auditor, seeded.JobId, Stop)).Value.Ended!;

        Assert.Equal((true, false), (ended.Audited.IsRetired, ended.Base.IsRetired));
        Assert.Equal("policy v2", ended.Audited.Name);
    }

    [Fact]
    public async Task A_policys_page_leads_to_its_audits_and_to_a_new_one_for_those_who_may_audit()
    {
        using var project = new SeededProject();
        var seeded = new SeededAudit(project);
        var reward = project.Model(ModelKind.RewardModel, 1);
        var show = new Portal.Web.Registry.ShowModel(project.Contexts, project.Access);

        foreach (var (person, may) in new[] { (project.Auditor, true), (project.Admin, true), (project.Reviewer, false) })
        {
            var (audited, other) = ((await show.Handle(person, seeded.Audited.Id, Stop)).Value, (await show.Handle(person, seeded.Base.Id, Stop)).Value);
            Assert.Equal((may, may ? 1 : 0, may ? 1 : 0), (audited.MayAudit, audited.Audits.Count, other.Audits.Count));
            Assert.All(audited.Audits, link => Assert.Equal((seeded.JobId, 1, "policy v2", "policy v1", true), (link.JobId, link.Number, link.AuditedName, link.BaseName, link.IsGrey)));
            Assert.False((await show.Handle(person, reward.Id, Stop)).Value.MayAudit); // a reward model writes nothing
        }
    }

    [Fact]
    public async Task An_audit_that_has_not_ended_shows_its_job_and_no_text()
    {
        using var project = new SeededProject();
        var seeded = new SeededAudit(project, hasEnded: false);

        var opened = (await Read(project).Handle(project.Auditor, seeded.JobId, Stop)).Value;
        var texts = await Read(project).OfPrompts(project.Auditor, seeded.JobId, [seeded.Prompts[0]], Stop);

        Assert.Equal((JobState.Running, null), (opened.JobState, opened.Ended));
        Assert.Equal(ProblemKind.NotFound, texts.Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Read(project).Handle(project.Auditor, new JobId(Guid.NewGuid()), Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Read(project).Handle(project.Auditor, project.Job(new CompareBestOfN()).Id, Stop)).Refusal!.Kind); // another kind of job
    }

    [Fact]
    public async Task Only_auditors_and_admins_read_audits_and_too_much_at_once_is_refused()
    {
        using var project = new SeededProject();
        var seeded = new SeededAudit(project);
        var read = Read(project);

        foreach (var (person, may) in new[] { (project.Admin, true), (project.Auditor, true), (project.Reviewer, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
        {
            Assert.Equal(may, (await read.Handle(person, seeded.JobId, Stop)).Refusal is null);
            Assert.Equal(may, (await read.Texts(person, seeded.JobId, [$"{seeded.Prompts[0]}/base/0"], Stop)).Refusal is null);
            Assert.Equal(may, (await read.OfPrompts(person, seeded.JobId, seeded.Prompts, Stop)).Refusal is null);
        }
        Assert.Equal(ProblemKind.TooMuch, (await read.Texts(project.Admin, seeded.JobId, [.. Enumerable.Repeat("x", ReadAudit.TextsMax + 1)], Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.TooMuch, (await read.OfPrompts(project.Admin, seeded.JobId, [.. Enumerable.Range(0, ReadAudit.PromptsMax + 1).Select(_ => new PromptId(Guid.NewGuid()))], Stop)).Refusal!.Kind);
    }

    [Theory]
    [InlineData("0197a1f0-0000-7000-8000-000000000001/audited/0", true)]
    [InlineData("0197a1f0-0000-7000-8000-000000000001/base/12", true)]
    [InlineData("0197a1f0-0000-7000-8000-000000000001/other/0", false)]
    [InlineData("0197a1f0-0000-7000-8000-000000000001/base/-1", false)]
    [InlineData("line 12/audited/0", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void An_id_of_a_text_is_read_as_it_is_written(string? text, bool isId) => Assert.Equal(isId ? text : null, AuditTextId.Parse(text)?.ToString());

    private static ReadAudit Read(SeededProject project) => new(project.Contexts, project.Access, project.Directory);
}
