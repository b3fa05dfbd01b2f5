using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Irl;
using Portal.Tests.Data;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Audits;
using Portal.Web.Shell;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>Asking for an audit: who may, what is refused beside which field, limits, and what the list and the forms show.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class StartAuditTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Auditors_and_admins_start_audits_and_the_log_says_who_asked_about_whom(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var (@base, policy) = Policies(project);
        using var start = Start(project);

        foreach (var (person, may) in new[] { (project.Auditor, true), (project.Admin, true), (project.Reviewer, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
            Assert.Equal(may, (await start.Handle(person, project.Id, new AuditReward { AuditedId = policy, BaseId = @base }, Stop)).Refusal is null);

        using var db = project.Open();
        Assert.Equal(2, db.Jobs.Count(j => j.Kind == nameof(AuditReward)));
        var said = db.AuditEvents.AsNoTracking().Where(e => e.Action == "audit.start").OrderBy(e => e.Sequence).ToList();
        Assert.Equal([SeededProject.AccountOf(project.Auditor), SeededProject.AccountOf(project.Admin)], said.Select(e => e.Actor!.Value));
        Assert.All(said, e => Assert.Contains($"{policy}", e.PayloadJson, StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_cannot_be_audited_is_refused_beside_its_field()
    {
        using var project = new SeededProject();
        var (@base, policy) = Policies(project);
        var reward = project.Model(ModelKind.RewardModel, 1).Id;
        var (closed, retired) = (Endpoint(project, "Closed"), Endpoint(project, "Retired"));
        project.Change(db => db.PolicyEndpoints.Single(e => e.Id == retired).Retire(project.Now));
        using var start = Start(project);
        var good = new AuditReward { AuditedId = policy };

        var cases = new (AuditReward Spec, string Field, string Says)[]
        {
            (good with { AuditedId = null }, "auditedId", "Choose the policy to audit"),
            (good with { AuditedEndpointId = closed }, "auditedId", "not both at once"),
            (good with { BaseId = policy }, "baseId", "compared with itself"),
            (good with { AuditedId = @base }, "baseId", "trained from no other version"),
            (good with { AuditedId = reward }, "auditedId", "no such policy"),
            (good with { BaseId = new ModelVersionId(Guid.NewGuid()) }, "baseId", "no such policy"),
            (good with { ReferenceId = policy }, "referenceId", "no such reward model"),
            (good with { SaeId = policy }, "saeId", "no such SAE"),
            (good with { Features = AuditFeatures.SaeCodes }, "saeId", "Choose the SAE"),
            (good with { AuditedId = null, AuditedEndpointId = closed, BaseId = @base }, "auditedEndpointId", "Nobody has agreed"),
            (good with { BaseEndpointId = retired }, "baseEndpointId", "it is retired"),
            (good with { BaseEndpointId = closed, Sampling = new SamplingSpec { TopK = 3 } }, "sampling.topK", "no top-k"),
            (good with { PromptsMax = 3 }, "promptsMax", "between 10 and 20000"),
            (good with { CompletionsOnTest = 0 }, "completionsOnTest", "between 1 and 64"),
            (good with { Repeats = -1 }, "repeats", "between 0 and 32"),
            (good with { Seeds = 0 }, "seeds", "between 1 and 20"),
            (good with { Bootstraps = 99 }, "bootstraps", "between 1 and 20"),
            (good with { HoldoutShare = double.NaN }, "holdoutShare", "between 0.05 and 0.4"),
            (good with { TestShare = 0.9 }, "testShare", "between 0.05 and 0.5"),
            (good with { Sampling = new SamplingSpec { Temperature = -1 } }, "sampling.temperature", "between 0 and 2"),
            (good with { Lexicon = "../portal" }, "lexicon", "letters, digits"),
            (good with { Lexicon = "gone" }, "lexicon", "no list of words of this name"),
        };
        foreach (var (spec, field, says) in cases)
        {
            var outcome = await start.Handle(project.Auditor, project.Id, spec, Stop);
            Assert.True(outcome.Refusal?.About(field)?.Contains(says, StringComparison.Ordinal), $"{field}: {outcome.Refusal}");
            Assert.True(AuditFields.Fields.Contains(field) || field == "sampling.topK", $"a problem with {field} has no place on the form"); // the form never asks for a top-k
        }
        using var db = project.Open();
        Assert.Empty(db.Jobs.Where(j => j.Kind == nameof(AuditReward)));
    }

    [Fact]
    public async Task A_retired_version_may_be_audited_and_an_endpoint_with_consent()
    {
        using var project = new SeededProject();
        var (@base, policy) = Policies(project);
        project.Change(db => db.ModelVersions.Single(v => v.Id == policy).Retire());
        var open = Endpoint(project, "Open");
        project.Change(db => db.PolicyEndpoints.Single(e => e.Id == open).GiveConsent(Guid.NewGuid(), project.Now));
        using var start = Start(project);

        Assert.Null((await start.Handle(project.Auditor, project.Id, new AuditReward { AuditedId = policy }, Stop)).Refusal);
        Assert.Null((await start.Handle(project.Auditor, project.Id, new AuditReward { AuditedEndpointId = open, BaseId = @base }, Stop)).Refusal);
    }

    [Fact]
    public async Task A_project_has_only_so_many_audits_under_way_and_a_person_starts_only_so_many()
    {
        using var project = new SeededProject();
        var (_, policy) = Policies(project);
        using var start = Start(project);
        var spec = new AuditReward { AuditedId = policy };

        for (var i = 0; i < StartAudit.OpenMax; i++)
            Assert.Null((await start.Handle(project.Auditor, project.Id, spec, Stop)).Refusal);
        var sixth = await start.Handle(project.Auditor, project.Id, spec, Stop);
        Assert.Contains($"{StartAudit.OpenMax} audits of this project wait or run already", sixth.Refusal!.ToString(), StringComparison.Ordinal);

        for (var i = StartAudit.OpenMax + 1; i < StartAudit.StartsMax; i++)
            await start.Handle(project.Auditor, project.Id, spec, Stop);
        Assert.Contains("in ten minutes", (await start.Handle(project.Auditor, project.Id, spec, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("in ten minutes", (await start.Handle(project.Admin, project.Id, spec, Stop)).Refusal!.ToString(), StringComparison.Ordinal); // another person
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_list_is_paged_newest_first_with_what_is_under_way_on_top(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        for (var number = 1; number <= ListAudits.RowsMax + 2; number++)
            _ = new SeededAudit(project, number, prompts: 1);
        var running = new SeededAudit(project, ListAudits.RowsMax + 3, prompts: 1, hasEnded: false);
        var list = new ListAudits(project.Contexts, project.Access);

        var first = (await list.Handle(project.Auditor, project.Id, 0, Stop)).Value;
        var beyond = (await list.Handle(project.Auditor, project.Id, 99, Stop)).Value;

        Assert.Equal((ListAudits.RowsMax + 2, 0, true), (first.Total, first.Page, first.HasMore));
        Assert.Equal(Enumerable.Range(3, ListAudits.RowsMax).Reverse(), first.Rows.Select(row => row.Audit.Number));
        Assert.Equal((running.JobId, $"{running.Audited.Label} / {running.Base.Label}"), (first.Jobs.Single().JobId, first.Jobs.Single().Names));
        Assert.Equal((1, false, 2), (beyond.Page, beyond.HasMore, beyond.Rows.Count));
        Assert.Empty(beyond.Jobs);
        Assert.NotNull((await list.Handle(project.Reviewer, project.Id, 0, Stop)).Refusal);
    }

    [Fact]
    public async Task The_form_offers_retired_versions_endpoints_and_lists_of_words_and_knows_how_long_the_last_audit_took()
    {
        using var project = new SeededProject();
        var seeded = new SeededAudit(project);
        project.Change(db => db.ModelVersions.Single(v => v.Id == seeded.Audited.Id).Retire());
        Endpoint(project, "Closed");
        Directory.CreateDirectory(project.Directory.Lexicons);
        await File.WriteAllTextAsync(Path.Combine(project.Directory.Lexicons, "rude.json"), "{}");
        await File.WriteAllTextAsync(Path.Combine(project.Directory.Lexicons, "not a name.json"), "{}");
        var show = new ShowAuditChoices(project.Contexts, project.Access, project.Directory);

        var choices = (await show.Handle(project.Auditor, project.Id, Stop)).Value;

        Assert.Equal([("policy v2", true), ("policy v1", false)], choices.Policies.Select(policy => (policy.Label, policy.IsRetired)));
        Assert.Equal(("Closed", false), (choices.Endpoints.Single().Name, choices.Endpoints.Single().HasConsent));
        Assert.Equal(["rude"], choices.Lexicons);
        Assert.NotNull(choices.SecondsEach);
        Assert.Equal(3, choices.Prompts);
        Assert.NotNull((await show.Handle(project.Annotator, project.Id, Stop)).Refusal);
    }

    [Fact]
    public async Task An_estimate_is_made_for_the_prompts_there_are()
    {
        using var project = new SeededProject();
        var (_, policy) = Policies(project);
        await using var door = await FakeEngineDoor.Open(project.Directory);
        var asked = new List<int>();
        door.Power = request =>
        {
            asked.Add(request.Pairs);
            return new AuditPowerResponse(AuditPowerBasis.NoTexts, 0, request.Pairs, 0.05, 0.8, [new("length_tokens", "Length in tokens", 0.5)], [], 20, 80, 400);
        };
        using var engine = new EngineClient(project.Directory);
        var estimate = new EstimateAudit(project.Access, engine);

        var heldOut = (await estimate.Handle(project.Auditor, project.Id, new AuditReward { AuditedId = policy, PromptsMax = 200 }, Stop)).Value;
        var all = (await estimate.Handle(project.Auditor, project.Id, new AuditReward { AuditedId = policy, PromptsMax = 200, PromptSource = AuditPromptSource.All }, Stop)).Value;
        var wrong = await estimate.Handle(project.Auditor, project.Id, new AuditReward { PromptsMax = 200 }, Stop);

        Assert.Equal([200, 80, 200], asked);
        // 56 train, 12 hold out, 12 test with eight answers; of both policies.
        Assert.Equal((80, 2 * (56 + 12 + (12 * 8)), 80), (heldOut.Work.Prompts, heldOut.Work.Completions, heldOut.Power.Pairs));
        Assert.Equal(200, all.Work.Prompts);
        Assert.NotNull(wrong.Refusal!.About("auditedId"));
        Assert.NotNull((await estimate.Handle(project.Reviewer, project.Id, new AuditReward { AuditedId = policy }, Stop)).Refusal);
    }

    [Fact]
    public void The_forms_methods_are_those_the_engine_offers_and_its_limits_those_of_the_verdict()
    {
        Assert.Equal(IrlMethods.Offered.Select(method => method.Name), AuditInput.Methods);
        Assert.Equal((AuditVerdict.PairsMin, AuditVerdict.PairsForClean), (AuditEstimateCard.PairsMin, AuditEstimateCard.PairsForClean));
    }

    [Fact]
    public void A_form_becomes_the_spec_it_shows()
    {
        var (version, endpoint) = (new ModelVersionId(Guid.NewGuid()), new PolicyEndpointId(Guid.NewGuid()));
        var input = new AuditInput { Audited = AuditInput.Choice(endpoint), Base = $"{version}", HoldoutPercent = 20, PromptSource = AuditPromptSource.All };
        input.Without.Add("max-margin");

        var spec = input.Spec();

        Assert.Equal((null, (PolicyEndpointId?)endpoint, (ModelVersionId?)version, null), (spec.AuditedId, spec.AuditedEndpointId, spec.BaseId, spec.BaseEndpointId));
        Assert.Equal((0.2, AuditPromptSource.All, 6), (spec.HoldoutShare, spec.PromptSource, spec.Methods!.Count));
        Assert.DoesNotContain("max-margin", spec.Methods);
        var reader = new AuditInput { Audited = $"{version}", Base = AuditInput.Choice(endpoint), Reader = $"{version}" }.Spec();
        Assert.Equal(((ModelVersionId?)version, (PolicyEndpointId?)endpoint), (reader.BaseId, reader.BaseEndpointId));
        Assert.Null(new AuditInput().Spec().Methods);
        Assert.Equal(spec.ToJson(), JobSpec.FromJson(spec.ToJson()).ToJson());
    }

    private static (ModelVersionId Base, ModelVersionId Policy) Policies(SeededProject project)
    {
        var root = project.Model(ModelKind.Policy, 1, "base").Id;
        return (root, project.Model(ModelKind.Policy, 2, "RLOO", root).Id);
    }

    private static PolicyEndpointId Endpoint(SeededProject project, string name)
    {
        var endpoint = new PolicyEndpoint { Id = project.Ids.New<PolicyEndpointId>(), ProjectId = project.Id, CreatedBy = SeededProject.AccountOf(project.Admin), CreatedAt = project.Now };
        endpoint.Change(new EndpointSettings { Name = name, BaseUrl = "https://models.example/v1", Model = "small" });
        project.Add(endpoint);
        return endpoint.Id;
    }

    private static StartAudit Start(SeededProject project) => new(project.Writes, new StartJob(project.Writes, project.Access, project.Ids, project.Time), project.Access, project.Directory, project.Time);
}
