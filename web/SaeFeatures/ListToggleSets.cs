using System.Runtime.CompilerServices;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.SaeFeatures;

/// <summary>One toggle set in the list.</summary>
/// <param name="Toggles">How many features it changes.</param>
/// <param name="IsStuck">It waits, and the job that should make its version has failed or was cancelled.</param>
/// <param name="Serves">The version it made scores responses now.</param>
public sealed record ToggleSetRow(ToggleSetId Id, int Number, string Name, int Toggles, ModelVersionId ModelId, int ModelNumber, ToggleSetState State, bool IsSelfApproved, bool IsStuck,
    string Author, DateTimeOffset CreatedAt, string? Decider, DateTimeOffset? DecidedAt, int? PublishedNumber, ModelVersionId? PublishedId, bool Serves, bool IsMyDraft);

/// <summary>A reward model that sets can be made for.</summary>
public sealed record ToggleableModel(ModelVersionId Id, int Number, string Method, bool Serves);

/// <summary>A page of toggle sets.</summary>
/// <param name="Models">Reward models whose features were described, those that toggles made among them, newest first; the retired are left out.</param>
/// <param name="HasRetired">There are described ones, but they are retired.</param>
/// <param name="MayAct">The person may make sets.</param>
public sealed record ToggleSetList(IReadOnlyList<ToggleSetRow> Rows, int Total, IReadOnlyList<ToggleableModel> Models, bool HasRetired, bool MayAct);

/// <summary>The toggle sets of a project, newest first.</summary>
[Needs(Permission.Review)]
public sealed class ListToggleSets(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 50;
    private const int ModelsMax = 20;

    public async Task<Outcome<ToggleSetList>> Handle(ClaimsPrincipal user, ProjectId projectId, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == projectId, stop) is not { } project)
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        var described = (await ToggledVersions.LinesOf(db, projectId, stop)).Where(line => line.Description is not null).ToLookup(line => line.Version.Status is ModelStatus.Retired);
        // Over (ProjectId, Number).
        var sets = await db.ToggleSets.AsNoTracking().Where(s => s.ProjectId == projectId).OrderByDescending(s => s.Number)
            .Skip(Math.Clamp(page, 0, 100_000) * RowsMax).Take(RowsMax).ToListAsync(stop);
        var versions = sets.SelectMany(s => new[] { s.ModelVersionId, s.PublishedVersionId ?? s.ModelVersionId }).Distinct().ToList();
        var numbers = await db.ModelVersions.AsNoTracking().Where(v => versions.Contains(v.Id)).ToDictionaryAsync(v => v.Id, v => v.Number, stop);
        var people = sets.SelectMany(s => new[] { s.Author, s.DecidedBy ?? s.Author }).Distinct().ToList();
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var jobs = sets.Where(s => s.State is ToggleSetState.Waiting).Select(s => s.JobId).OfType<JobId>().ToList();
        var stuck = (await db.Jobs.AsNoTracking().Where(j => jobs.Contains(j.Id) && (j.State == JobState.Failed || j.State == JobState.Cancelled)).Select(j => j.Id).ToListAsync(stop)).ToHashSet();
        return new ToggleSetList(
            sets.ConvertAll(s => new ToggleSetRow(s.Id, s.Number, s.Name, s.Toggles().Count, s.ModelVersionId, numbers[s.ModelVersionId], s.State, s.IsSelfApproved,
                s is { State: ToggleSetState.Waiting, PublishedVersionId: null, JobId: { } job } && stuck.Contains(job), names.GetValueOrDefault(s.Author, "?"), s.CreatedAt,
                s.DecidedBy is { } by ? names.GetValueOrDefault(by, "?") : null, s.DecidedAt, s.PublishedVersionId is { } made ? numbers.GetValueOrDefault(made) : null, s.PublishedVersionId,
                s.PublishedVersionId is { } version && version == project.CurrentRewardModelId, s.State is ToggleSetState.Draft && s.Author == asked.Value.AccountId)),
            await db.ToggleSets.CountAsync(s => s.ProjectId == projectId, stop),
            [.. described[false].Take(ModelsMax).Select(line => new ToggleableModel(line.Version.Id, line.Version.Number, line.Version.Method, line.Version.Id == project.CurrentRewardModelId))],
            described[true].Any(), asked.Value.May(Permission.Administer));
    }

    /// <summary>All sets of the project as a file, newest first.</summary>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var first = await Handle(user, projectId, 0, stop);
        return first.Refusal is { } refusal
            ? refusal
            : new TableFile("toggle-sets", ["set", "name", "features", "reward_model", "state", "self_approved", "author", "created_at", "decided_by", "decided_at", "made_reward_model", "serves"], Rows(user, projectId, first.Value, stop));
    }

    private async IAsyncEnumerable<IReadOnlyList<object?>> Rows(ClaimsPrincipal user, ProjectId projectId, ToggleSetList shown, [EnumeratorCancellation] CancellationToken stop)
    {
        for (var page = 0; ;)
        {
            foreach (var row in shown.Rows)
                yield return
                [
                    row.Number, row.Name, row.Toggles, row.ModelNumber, row.State.ToString(), row.IsSelfApproved, row.Author, row.CreatedAt.UtcDateTime.ToString("O"), row.Decider, row.DecidedAt?.UtcDateTime.ToString("O"),
                    row.PublishedNumber, row.Serves,
                ];
            if (++page * RowsMax >= shown.Total || await Handle(user, projectId, page, stop) is not { Refusal: null } next)
                yield break;
            shown = next.Value;
        }
    }
}
