using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Web.Registry;
using Xunit;

namespace Portal.Tests.Web.Registry;

/// <summary>Releasing and rolling back on real SQLite: who may, who comes second, and what is kept.</summary>
public sealed class ReleaseModelTests : IDisposable
{
    private readonly SeededProject project = new();

    private ReleaseModel Release => new(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
    private RollBackModel RollBack => new(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task A_release_moves_the_pointer_and_leaves_a_record_and_an_audit_event()
    {
        var version = project.Model(ModelKind.Policy, 1);

        var outcome = await Release.Handle(project.Admin, version.Id, null, " Fewer insults ", null, CancellationToken.None);

        Assert.Null(outcome.Refusal);
        using var db = project.Open();
        Assert.Equal(version.Id, db.Projects.Single(p => p.Id == project.Id).CurrentPolicyId);
        Assert.Equal("Fewer insults", db.Releases.Single().Reason);
        Assert.Equal(ModelStatus.Released, db.ModelVersions.Single().Status);
        var told = db.AuditEvents.OrderBy(e => e.Sequence).Last();
        Assert.Equal(("model.release", version.Id.ToString()), (told.Action, told.EntityId));
        Assert.DoesNotContain("insults", told.PayloadJson, StringComparison.Ordinal);
        Assert.Null(AuditChain.Verify(db.AuditEvents.OrderBy(e => e.Sequence)).Problem);
    }

    [Fact]
    public async Task Of_two_people_who_decide_at_once_the_second_is_refused()
    {
        var (first, second) = (project.Model(ModelKind.Policy, 1), project.Model(ModelKind.Policy, 2));

        var outcomes = await Task.WhenAll(Release.Handle(project.Admin, first.Id, null, "mine", null, CancellationToken.None),
            Release.Handle(project.Admin, second.Id, null, "mine", null, CancellationToken.None));

        var loser = Assert.Single(outcomes, o => o.Refusal is not null);
        Assert.Equal(ProblemKind.Conflict, loser.Refusal!.Kind);
        using var db = project.Open();
        Assert.Single(db.Releases);
        Assert.Single(db.AuditEvents, e => e.Action == "model.release");
    }

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    public async Task Without_a_reason_nothing_is_released(string reason)
    {
        var version = project.Model(ModelKind.Policy, 1);

        var outcome = await Release.Handle(project.Admin, version.Id, null, reason, null, CancellationToken.None);

        Assert.NotNull(outcome.Refusal?.About("reason"));
        using var db = project.Open();
        Assert.Null(db.Projects.Single(p => p.Id == project.Id).CurrentPolicyId);
        Assert.Empty(db.Releases);
        Assert.Empty(db.AuditEvents.Where(e => e.Action == "model.release"));
    }

    [Fact]
    public async Task Only_admins_release_and_roll_back()
    {
        var version = project.Model(ModelKind.Policy, 1);

        foreach (var other in new[] { project.Annotator, project.Reviewer, project.Auditor })
        {
            Assert.Equal(ProblemKind.Forbidden, (await Release.Handle(other, version.Id, null, "why", null, CancellationToken.None)).Refusal?.Kind);
            Assert.Equal(ProblemKind.Forbidden, (await RollBack.Handle(other, project.Id, ModelKind.Policy, version.Id, "why", CancellationToken.None)).Refusal?.Kind);
        }
    }

    [Fact]
    public async Task An_approver_must_be_a_second_person_with_an_account()
    {
        var version = project.Model(ModelKind.Policy, 1);

        var self = await Release.Handle(project.Admin, version.Id, null, "why", SeededProject.AccountOf(project.Admin), CancellationToken.None);
        var nobody = await Release.Handle(project.Admin, version.Id, null, "why", Guid.NewGuid(), CancellationToken.None);
        var other = await Release.Handle(project.Admin, version.Id, null, "why", SeededProject.AccountOf(project.Reviewer), CancellationToken.None);

        Assert.NotNull(self.Refusal?.About("approver"));
        Assert.NotNull(nobody.Refusal?.About("approver"));
        Assert.Null(other.Refusal);
    }

    [Fact]
    public async Task Rolling_back_twice_goes_back_two_versions_and_never_forward()
    {
        var versions = Enumerable.Range(1, 3).Select(number => project.Model(ModelKind.Policy, number)).ToList();
        ModelVersionId? seen = null;
        foreach (var version in versions)
        {
            Assert.Null((await Release.Handle(project.Admin, version.Id, seen, "next", null, CancellationToken.None)).Refusal);
            seen = version.Id;
        }

        var once = await RollBack.Handle(project.Admin, project.Id, ModelKind.Policy, versions[2].Id, "bad", CancellationToken.None);
        var twice = await RollBack.Handle(project.Admin, project.Id, ModelKind.Policy, versions[1].Id, "bad too", CancellationToken.None);
        var thrice = await RollBack.Handle(project.Admin, project.Id, ModelKind.Policy, versions[0].Id, "all bad", CancellationToken.None);

        Assert.Equal(versions[1].Id, once.Value.ToVersionId);
        Assert.Equal(versions[0].Id, twice.Value.ToVersionId);
        Assert.Equal(ProblemKind.Conflict, thrice.Refusal?.Kind);
        using var db = project.Open();
        Assert.Equal(versions[0].Id, db.Projects.Single(p => p.Id == project.Id).CurrentPolicyId);
    }

    [Fact]
    public async Task A_roll_back_of_something_that_no_longer_serves_is_refused()
    {
        var (first, second) = (project.Model(ModelKind.RewardModel, 1), project.Model(ModelKind.RewardModel, 2));
        await Release.Handle(project.Admin, first.Id, null, "a", null, CancellationToken.None);
        await Release.Handle(project.Admin, second.Id, first.Id, "b", null, CancellationToken.None);

        var late = await RollBack.Handle(project.Admin, project.Id, ModelKind.RewardModel, first.Id, "c", CancellationToken.None);

        Assert.Equal(ProblemKind.Conflict, late.Refusal?.Kind);
    }
}
