using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>A job that people know by its number.</summary>
public sealed record JobLink(JobId Id, int Number);

/// <summary>The table of features of one reward model.</summary>
/// <param name="Versions">All reward models with features, newest first; empty where there is none yet.</param>
/// <param name="Version">The one that is shown; null where there is none.</param>
/// <param name="Description">What the rows rest on; null where the features were not described yet.</param>
/// <param name="MadeBy">The job that made the description.</param>
/// <param name="Describing">A job that is describing features of this project now.</param>
/// <param name="HasMore">There is another page.</param>
/// <param name="WithoutIntervals">Why the rows have no intervals; null where they have.</param>
/// <param name="Search">Why the typed text could not be searched with; null where nothing was typed, or it could.</param>
public sealed record FeaturesView(IReadOnlyList<FeatureVersion> Versions, FeatureVersion? Version, FeatureDescription? Description, JobLink? MadeBy, JobLink? Describing,
    RankedFeatures? Ranks, IReadOnlyList<FeatureRow> Rows, bool HasMore, Refusal? WithoutIntervals, Refusal? Search, bool MayDescribe);

/// <summary>A page of the features of a reward model: sorted and filtered in the database, or those that fire on a typed text.</summary>
[Needs(Permission.Review)]
public sealed class ShowFeatures(IDbContextFactory<PortalDbContext> contexts, Access access, FeatureRanks ranks, EngineClient engine)
{
    /// <summary>Characters of a text to search with.</summary>
    public const int TypedLengthMax = 2_000;

    /// <param name="wanted">The reward model; null for the one that serves, or the newest described one.</param>
    /// <param name="typed">Shows the features that are active at the end of this text, strongest first, instead of the filtered ones. Null or blank: no search.</param>
    public async Task<Outcome<FeaturesView>> Handle(ClaimsPrincipal user, ProjectId project, ModelVersionId? wanted, FeatureFilter filter, string? typed, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (filter.Find?.Length > FeatureTable.FindLengthMax)
            return new Problem("find", $"The search has {filter.Find.Length} characters; {FeatureTable.FindLengthMax} are enough for a label.");
        await using var db = await contexts.CreateDbContextAsync(stop);
        var versions = await FeatureVersions.Load(db, project, stop);
        var chosen = FeatureVersions.Choose(versions, wanted);
        if (chosen is null && wanted is not null)
            return FeatureVersions.Unknown;
        var may = asked.Value.May(Permission.Administer);
        var describing = await db.Jobs.AsNoTracking().Where(j => j.ProjectId == project && j.Kind == nameof(DescribeFeatures) && (j.State == JobState.Queued || j.State == JobState.Running))
            .OrderBy(j => j.Number).Select(j => new JobLink(j.Id, j.Number)).FirstOrDefaultAsync(stop);
        if (await DescribedFeatures.Of(db, chosen?.Line, stop) is not { Description: { } description } features)
            return new FeaturesView(versions, chosen, null, null, describing, null, [], false, null, null, may);
        var job = new JobId(description.Id.Value); // a description has its job's id
        var madeBy = await db.Jobs.AsNoTracking().Where(j => j.Id == job).Select(j => new JobLink(j.Id, j.Number)).FirstOrDefaultAsync(stop);
        var ranked = await ranks.Of(db, description.Id, stop);
        if (!string.IsNullOrWhiteSpace(typed))
        {
            var (found, why) = await Search(db, chosen!.Id, features, typed, ranked, stop);
            var (sure, unsure) = await FeatureIntervals.Add(engine, chosen.Id, found, stop);
            return new FeaturesView(versions, chosen, description, madeBy, describing, ranked, sure, false, unsure, why, may);
        }
        var latents = await FeatureTable.PageOf(db, features, filter, ranks, stop);
        var rows = await FeatureTable.Rows(db, features, [.. latents.Take(FeatureTable.RowsMax)], ranked, stop);
        var (shown, whyNot) = await FeatureIntervals.Add(engine, chosen!.Id, rows, stop);
        return new FeaturesView(versions, chosen, description, madeBy, describing, ranked, shown, latents.Count > FeatureTable.RowsMax, whyNot, null, may);
    }

    private async Task<(IReadOnlyList<FeatureRow> Rows, Refusal? Why)> Search(PortalDbContext db, ModelVersionId version, DescribedFeatures features, string typed,
        RankedFeatures ranked, CancellationToken stop)
    {
        if (typed.Length > TypedLengthMax)
            return ([], new Refusal([new Problem("typed", $"The text has {typed.Length} characters, at most {TypedLengthMax} can be searched with.")]));
        // The reward is read at the end of the response; the question before it is left empty.
        var answer = await engine.Xray(new FeatureXrayRequest($"{version}", [new ScoreItem([new Turn("user", "")], typed)]), stop);
        if (answer.Refusal is { } why)
            return ([], why);
        var active = answer.Value.Items[0].Active.Where(feature => feature.Activation > 0).ToDictionary(feature => feature.Latent, feature => feature.Activation);
        var latents = active.Keys.ToList();
        var rows = await FeatureTable.Rows(db, features, latents, ranked, stop);
        return ([.. rows.Select(row => row with { Here = active[row.Latent] }).OrderByDescending(row => row.Here).ThenBy(row => row.Latent)], null);
    }
}
