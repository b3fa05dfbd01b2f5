using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Registry;

namespace Portal.Web.SaeFeatures;

/// <summary>The job that makes a set's version.</summary>
public sealed record PublishingJob(JobId Id, int Number, JobState State, string? FailReason);

/// <summary>Another set of the same reward model, to compare with.</summary>
public sealed record OtherSet(ToggleSetId Id, int Number, string Name, ToggleSetState State);

/// <summary>A toggle set with everything its page shows.</summary>
/// <param name="Latents">M of the reward model; null where its features were not described.</param>
/// <param name="Pairs">Judged pairs that previews rest on.</param>
/// <param name="Features">The toggled features, by number.</param>
/// <param name="Serving">The reward model that serves now; null for none.</param>
/// <param name="Published">The version the set made; null before.</param>
/// <param name="RestoredByRollBack">What a roll-back of that version would put back; null where it does not serve, or nothing served before.</param>
/// <param name="Proposed">The preview that the author saw when proposing; null before.</param>
/// <param name="Decider">Who approved or refused; null before.</param>
/// <param name="MayAct">The person may change, propose and decide.</param>
/// <param name="IsMine">The person is its author.</param>
/// <param name="IsAlone">No other account could approve.</param>
public sealed record ToggleSetView(ToggleSet Set, VersionLink Model, int? Latents, int Pairs, IReadOnlyList<ToggledFeature> Features, VersionLink? Serving, VersionLink? Published,
    VersionLink? RestoredByRollBack, PublishingJob? Job, TogglePreview? Proposed, string Author, string? Decider, IReadOnlyList<OtherSet> Others, bool MayAct, bool IsMine, bool IsAlone)
{
    /// <summary>The version cannot serve again, so nothing of the set can be published.</summary>
    public bool IsRetired => Model.Status is ModelStatus.Retired;

    /// <summary>The version the set made is what scores responses now.</summary>
    public bool Serves => Published is { } made && Serving?.Id == made.Id;
}

/// <summary>Loads one toggle set.</summary>
[Needs(Permission.Review)]
public sealed class ShowToggleSet(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    private const int OthersMax = 30;

    public async Task<Outcome<ToggleSetView>> Handle(ClaimsPrincipal user, ToggleSetId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ToggleSets.AsNoTracking().FirstOrDefaultAsync(s => s.Id == id, stop) is not { } set)
            return ToggleRefusals.Gone;
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == set.ProjectId, stop);
        var serving = project.CurrentOf(ModelKind.RewardModel);
        var restored = serving is { } now && now == set.PublishedVersionId ? RollBackModel.Target(db, project.Id, ModelKind.RewardModel, now) : null;
        var links = await ShowModel.Links(db, [set.ModelVersionId, serving, set.PublishedVersionId, restored], stop);
        var described = await DescribedFeatures.Of(db, await db.ModelVersions.AsNoTracking().FirstAsync(v => v.Id == set.ModelVersionId, stop), stop);
        var features = described is null ? [] : await ToggledFeature.Load(db, described, [.. set.Toggles().Select(toggle => toggle.Latent)], stop);
        var job = await db.Jobs.AsNoTracking().Where(j => j.Id == set.JobId).Select(j => new PublishingJob(j.Id, j.Number, j.State, j.FailReason)).FirstOrDefaultAsync(stop);
        var preview = set.PreviewJson is { } json && JsonSerializer.Deserialize<TogglePreviewResponse>(json, ServingJson.Options) is { } stored ? await TogglePreview.With(db, stored, stop) : null;
        var people = new[] { set.Author, set.DecidedBy ?? set.Author };
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var others = await db.ToggleSets.AsNoTracking().Where(s => s.ModelVersionId == set.ModelVersionId && s.Id != id).OrderByDescending(s => s.Number).Take(OthersMax)
            .Select(s => new OtherSet(s.Id, s.Number, s.Name, s.State)).ToListAsync(stop);
        return new ToggleSetView(set, links[set.ModelVersionId], described?.Description.Latents, described?.Description.Pairs ?? 0, features, Link(serving), Link(set.PublishedVersionId), Link(restored), job,
            preview, names.GetValueOrDefault(set.Author, "?"), set.DecidedBy is { } by ? names.GetValueOrDefault(by, "?") : null, others, person.May(Permission.Administer),
            person.AccountId == set.Author, DecideToggleSet.IsAlone(db, person.AccountId));

        VersionLink? Link(ModelVersionId? wanted) => wanted is { } w ? links.GetValueOrDefault(w) : null;
    }
}
