using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Registry;

/// <summary>Queues a DPO training on the judged pairs, each ordered as a reward model orders it instead of as people did: the policy that this reward model asks for.</summary>
[Needs(Permission.Administer)]
public sealed class StartRelabelledPolicy(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, StartJob start, ShowTraining training, Access access)
{
    /// <summary>Everything but the order as on the train form: the project's base policy, its rates, all judgements.</summary>
    /// <param name="labeller">Orders the pairs, and scores before and after.</param>
    internal static TrainPreferencePolicy SpecBy(ModelVersionId labeller) => new TrainingInput { Method = PolicyMethod.Dpo }.Policy() with { RelabelledById = labeller, RewardModelId = labeller };

    /// <param name="labeller">The reward model that orders the pairs; it scores before and after too.</param>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ModelVersionId labeller, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var spec = SpecBy(labeller);
        if (SpecChecks.Of(spec) is { Count: > 0 } problems)
            return new Refusal(problems);
        await using var read = await contexts.CreateDbContextAsync(stop);
        if (await read.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == labeller, stop) is not { } version)
            return ReleaseRefusals.NoVersion;
        if (version.Kind is not ModelKind.RewardModel)
            return new Problem("version", $"{version.Label} is no reward model, so it cannot order pairs.");
        var counted = await training.Count(user, version.ProjectId, spec.Rules, stop);
        if (counted.Refusal is { } uncounted)
            return uncounted;
        if (counted.Value.Pairs < StartTraining.UsableMin)
            return StartTraining.TooFew("pairs with a preferred response", counted.Value.Pairs);
        return await writes.WriteAsync<StartedJob>(db => StartedJob.In(db, () => start.Start(db, asked.Value, version.ProjectId, spec, null)), stop);
    }
}
