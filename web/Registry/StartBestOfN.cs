using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Registry;

/// <summary>Has the policy that serves answer held-out prompts several times, and compares what a toggled reward model picks with what the one before the toggles picks.</summary>
[Needs(Permission.Administer)]
public sealed class StartBestOfN(WriteQueue writes, StartJob start, Access access)
{
    /// <param name="toggled">A reward model that toggles made.</param>
    /// <param name="answers">n, 2 to 64.</param>
    /// <param name="prompts">Held-out prompts at most, 1 to 5,000.</param>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ModelVersionId toggled, int answers, int prompts, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await writes.WriteAsync<StartedJob>(db =>
        {
            if (db.ModelVersions.AsNoTracking().FirstOrDefault(v => v.Id == toggled) is not { } version)
                return ReleaseRefusals.NoVersion;
            if (version is not { Kind: ModelKind.RewardModel, Method: ToggledVersions.Method, ParentId: { } parent })
                return new Problem("version", $"{version.Label} was not made by toggles, so there is no version before them to compare it with.");
            var spec = new CompareBestOfN { BeforeId = parent, AfterId = toggled, Answers = answers, Prompts = prompts };
            return SpecChecks.Of(spec) is { Count: > 0 } problems
                ? new Refusal(problems)
                : StartedJob.In(db, () => start.Start(db, asked.Value, version.ProjectId, spec, null));
        }, stop);
    }
}
