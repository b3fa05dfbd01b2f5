using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Serving;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Endpoints;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.Endpoints;

/// <summary>What admins do with endpoints, and what nobody can: read a key, move it to another address, agree to what they did not see.</summary>
public sealed class EndpointHandlersTests : IDisposable
{
    private const string Key = "sk-web-0123456789abcdef";
    private static readonly EndpointSettings Settings = new() { Name = "Outside model", BaseUrl = "https://api.example.org/v1/", Model = "small", AsksLogProbs = true };

    private readonly SeededProject project = new();
    private readonly EngineClient engine;
    private readonly TryEndpoint trial;

    public EndpointHandlersTests()
    {
        engine = new EngineClient(project.Directory);
        trial = new TryEndpoint(project.Contexts, project.Writes, project.Access, engine, project.Time);
    }

    private CreateEndpoint Create => new(project.Writes, project.Access, project.Ids, project.Time);
    private EditEndpoint Edit => new(project.Writes, project.Access, project.Time);
    private ChangeEndpointKey ChangeKey => new(project.Contexts, project.Writes, project.Access, new EndpointSecrets(project.Directory), project.Time);
    private ConsentToEndpoint Consent => new(project.Writes, project.Access, project.Time);
    private RetireEndpoint Retire => new(project.Writes, project.Access, project.Time);
    private ListEndpoints List => new(project.Contexts, project.Access);
    private ShowEndpoint Show => new(project.Contexts, project.Access);

    public void Dispose()
    {
        trial.Dispose();
        engine.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task Only_admins_see_and_change_endpoints()
    {
        var id = await Made();
        foreach (var person in new[] { project.Annotator, project.Reviewer, project.Auditor, new ClaimsPrincipal() })
        {
            IOutcome[] outcomes =
            [
                await List.Handle(person, project.Id, default), await Show.Handle(person, id, default), await Create.Handle(person, project.Id, Settings with { Name = "Mine" }, default),
                await Edit.Handle(person, id, Settings, 1, default), await ChangeKey.Handle(person, id, 1, Key, default), await ChangeKey.Handle(person, id, 1, null, default),
                await Consent.Handle(person, id, 1, true, default), await Retire.Handle(person, id, 1, default), await trial.Handle(person, id, default),
            ];
            Assert.All(outcomes, outcome => Assert.Equal(ProblemKind.Forbidden, outcome.Refusal?.Kind));
        }
        Assert.Equal(1, Row(id).RowVersion);
        Assert.Single((await List.Handle(project.Admin, project.Id, default)).Value); // the control
    }

    [Fact]
    public async Task An_endpoint_is_made_once_by_its_name_and_wrong_fields_are_named()
    {
        var id = await Made();

        Assert.Equal("https://api.example.org/v1", Row(id).BaseUrl);
        Assert.NotNull((await Create.Handle(project.Admin, project.Id, Settings, default)).Refusal?.About("name"));
        var wrong = (await Create.Handle(project.Admin, project.Id, new EndpointSettings { Name = " ", BaseUrl = "file:///etc/passwd", Model = "a\nb", TimeoutSeconds = 0, ParallelRequests = 99, Retries = -1, Api = (EndpointApi)7 }, default)).Refusal;
        Assert.Equal(["api", "baseUrl", "model", "name", "parallelRequests", "retries", "timeoutSeconds"], wrong!.Problems.Select(problem => problem.Field).Order()); // refused
    }

    [Fact]
    public async Task A_key_is_stored_sealed_and_comes_back_in_nothing()
    {
        var id = await Made();

        Assert.True((await ChangeKey.Handle(project.Admin, id, 1, $" {Key} ", default)).Value);

        Assert.Equal(Key, new EndpointSecrets(project.Directory).Open(Row(id)).Value!.Reveal()); // it has one
        var seen = JsonSerializer.Serialize(new { list = (await List.Handle(project.Admin, project.Id, default)).Value, shown = (await Show.Handle(project.Admin, id, default)).Value });
        Assert.DoesNotContain(Key, seen, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToBase64String(Row(id).SealedKey!)[..12], seen, StringComparison.Ordinal);
        Assert.Contains("\"HasKey\":true", seen, StringComparison.Ordinal); // the control
        using var db = project.Open();
        Assert.All(db.AuditEvents.Select(e => e.PayloadJson).ToList(), payload => Assert.DoesNotContain(Key, payload, StringComparison.Ordinal));

        Assert.False((await ChangeKey.Handle(project.Admin, id, 2, null, default)).Value);
        Assert.Null(Row(id).SealedKey);
    }

    [Fact]
    public async Task Another_address_takes_key_and_consent_away()
    {
        var id = await Made();
        await ChangeKey.Handle(project.Admin, id, 1, Key, default);
        await Consent.Handle(project.Admin, id, 2, true, default);
        Assert.False((await Edit.Handle(project.Admin, id, Settings with { Model = "large" }, 3, default)).Value);
        Assert.True(Row(id) is { HasKey: true, HasConsent: true });

        Assert.True((await Edit.Handle(project.Admin, id, Settings with { BaseUrl = "https://thief.example/v1" }, 4, default)).Value);

        Assert.True(Row(id) is { HasKey: false, HasConsent: false });
    }

    /// <summary>Who agreed to one address, or typed a key for it, did so for no other one.</summary>
    [Fact]
    public async Task What_somebody_else_changed_meanwhile_is_not_agreed_to()
    {
        var id = await Made();
        await Edit.Handle(project.Admin, id, Settings with { BaseUrl = "https://elsewhere.example/v1" }, 1, default);

        IOutcome[] late = [await Consent.Handle(project.Admin, id, 1, true, default), await ChangeKey.Handle(project.Admin, id, 1, Key, default), await Edit.Handle(project.Admin, id, Settings, 1, default), await Retire.Handle(project.Admin, id, 1, default)];

        Assert.All(late, outcome => Assert.Equal(ProblemKind.Conflict, outcome.Refusal?.Kind));
        Assert.True(Row(id) is { HasConsent: false, HasKey: false, RetiredAt: null, BaseUrl: "https://elsewhere.example/v1" });
    }

    [Fact]
    public async Task Consent_keeps_who_and_when_and_can_be_withdrawn()
    {
        var id = await Made();
        await Consent.Handle(project.Admin, id, 1, true, default);

        var shown = (await Show.Handle(project.Admin, id, default)).Value;
        Assert.StartsWith("admin-1-", shown.Consenter, StringComparison.Ordinal); // as SeededProject names its first account
        Assert.InRange(shown.ConsentAt!.Value, project.Now.AddMinutes(-5), project.Now); // given
        await Consent.Handle(project.Admin, id, 2, false, default);
        Assert.True(Row(id) is { ConsentBy: null, ConsentAt: null });
        Assert.Equal(["endpoint.create", "endpoint.consent", "endpoint.consent-withdraw"], Actions(id));
    }

    [Fact]
    public async Task A_retired_endpoint_forgets_its_key_and_is_not_changed_or_asked()
    {
        var id = await Made();
        await ChangeKey.Handle(project.Admin, id, 1, Key, default);
        await Retire.Handle(project.Admin, id, 2, default);

        Assert.True(Row(id) is { HasKey: false, RetiredAt: not null });
        IOutcome[] outcomes = [await Edit.Handle(project.Admin, id, Settings, 3, default), await ChangeKey.Handle(project.Admin, id, 3, Key, default), await Consent.Handle(project.Admin, id, 3, true, default), await trial.Handle(project.Admin, id, default)];
        Assert.All(outcomes, outcome => Assert.Contains("retired", outcome.Refusal!.ToString(), StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_trial_notes_what_the_endpoint_can_and_a_failed_one_notes_nothing()
    {
        await using var door = await FakeEngineDoor.Open(project.Directory);
        var id = await Made();
        door.Trial = _ => new EndpointTrialResponse(null, null, 5, null, null, "It refused the key (401).", null);
        Assert.Equal("It refused the key (401).", (await trial.Handle(project.Admin, id, default)).Value.Problem);
        Assert.Null(Row(id).TriedAt);

        door.Trial = request => new EndpointTrialResponse($"Hello from {request.Endpoint}", "stop", 12, true, false, null, "No echo.");
        var answer = (await trial.Handle(project.Admin, id, default)).Value;
        Assert.Equal($"Hello from {id}", answer.Text);
        Assert.True(Row(id) is { TriedAt: not null, GivesLogProbs: true, ScoresGivenTexts: false });
        Assert.Equal(["endpoint.create", "endpoint.try", "endpoint.try"], Actions(id));

        await Edit.Handle(project.Admin, id, Settings with { Model = "large" }, Row(id).RowVersion, default); // another model: not known any more
        Assert.True(Row(id) is { TriedAt: null, GivesLogProbs: null });
    }

    [Fact]
    public async Task Trials_have_a_limit_of_their_own_for_each_person()
    {
        await using var door = await FakeEngineDoor.Open(project.Directory);
        var id = await Made();
        for (var i = 0; i < TryEndpoint.TrialsPerMinute; i++)
            Assert.Null((await trial.Handle(project.Admin, id, default)).Refusal);

        Assert.Equal(ProblemKind.TooMuch, (await trial.Handle(project.Admin, id, default)).Refusal?.Kind);
        Assert.Null((await trial.Handle(project.Account("admin"), id, default)).Refusal); // somebody else still may
    }

    private async Task<PolicyEndpointId> Made() => (await Create.Handle(project.Admin, project.Id, Settings, default)).Value;

    private PolicyEndpoint Row(PolicyEndpointId id)
    {
        using var db = project.Open();
        return db.PolicyEndpoints.AsNoTracking().Single(e => e.Id == id);
    }

    private List<string> Actions(PolicyEndpointId id)
    {
        using var db = project.Open();
        return [.. db.AuditEvents.Where(e => e.EntityId == $"{id}").OrderBy(e => e.Sequence).Select(e => e.Action)];
    }
}
