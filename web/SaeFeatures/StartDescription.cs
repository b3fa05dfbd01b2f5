using System.Security.Claims;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.SaeFeatures;

/// <summary>Asks for a description of a reward model's features, with the spec's own defaults.</summary>
[Needs(Permission.Administer)]
public sealed class StartDescription(WriteQueue writes, StartJob start, Access access)
{
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ProjectId project, ModelVersionId model, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var spec = new DescribeFeatures { RewardModelId = model };
        if (SpecChecks.Of(spec) is { Count: > 0 } problems)
            return new Refusal(problems);
        return await writes.WriteAsync<StartedJob>(db => StartedJob.In(db, () => start.Start(db, asked.Value, project, spec, null)), stop);
    }
}
