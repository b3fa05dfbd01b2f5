using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Web.Registry;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Registry;

/// <summary>Asking for blind pairs: which two policies answer, and what is refused.</summary>
public sealed class StartBlindVoteTests : IDisposable
{
    private readonly SeededProject project = new();

    private StartBlindVote Start => new(project.Contexts, new StartJob(project.Writes, project.Access, project.Ids, project.Time), new ReleaseOptions(), project.Access);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task The_candidate_is_compared_with_the_policy_that_serves()
    {
        var (serves, candidate) = (Released(), project.Model(ModelKind.Policy, 2));

        var job = await Start.Handle(project.Admin, candidate.Id, CancellationToken.None);

        using var db = project.Open();
        var spec = Assert.IsType<SampleResponses>(JobSpec.FromJson(db.Jobs.Single(j => j.Id == job.Value).SpecJson));
        Assert.Equal((serves.Id, candidate.Id, 10), (spec.PolicyId, spec.CandidateId, spec.Prompts));
    }

    [Fact]
    public async Task What_serves_itself_a_reward_model_and_a_project_where_nothing_serves_are_refused()
    {
        var alone = project.Model(ModelKind.Policy, 2);
        Assert.Equal(ProblemKind.Conflict, (await Start.Handle(project.Admin, alone.Id, CancellationToken.None)).Refusal?.Kind);
        var serves = Released();
        Assert.Equal(ProblemKind.Conflict, (await Start.Handle(project.Admin, serves.Id, CancellationToken.None)).Refusal?.Kind);
        Assert.NotNull((await Start.Handle(project.Admin, project.Model(ModelKind.RewardModel, 1).Id, CancellationToken.None)).Refusal);
        Assert.Equal(ProblemKind.Forbidden, (await Start.Handle(project.Reviewer, alone.Id, CancellationToken.None)).Refusal?.Kind);
        using var db = project.Open();
        Assert.Empty(db.Jobs);
    }

    private ModelVersion Released()
    {
        var version = project.Model(ModelKind.Policy, 1, "base");
        project.Change(db => db.Releases.Add(db.Projects.Single(p => p.Id == project.Id)
            .Release(project.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == version.Id), "first", Guid.NewGuid(), null, project.Now).Value));
        return version;
    }
}
