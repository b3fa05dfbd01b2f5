using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Web.Accounts;

namespace Portal.Web.Registry;

/// <summary>A version as another page's lineage names it.</summary>
public sealed record VersionLink(ModelVersionId Id, ModelKind Kind, int Number, string Method, ModelStatus Status);

/// <summary>The judgements behind a dataset version.</summary>
/// <param name="BySource">Used judgements, by where they come from.</param>
/// <param name="Annotators">Pseudonyms with the most used judgements, most first, at most <see cref="ShowModel.AnnotatorsMax"/>.</param>
/// <param name="AnnotatorCount">All of them.</param>
public sealed record FeedbackOrigin(IReadOnlyDictionary<JudgementSource, int> BySource, IReadOnlyList<(string Pseudonym, bool IsSimulated, int Count)> Annotators,
    int AnnotatorCount)
{
    /// <summary>Judgements used.</summary>
    public int Total => BySource.Values.Sum();
}

/// <summary>One move of the pointer, with the person's name.</summary>
public sealed record ReleaseLine(DateTimeOffset At, string By, string? Approver, string Reason, bool IsRollBack, int? FromNumber, int ToNumber);

/// <summary>A comparison of this reward model with another one by what they pick from the same answers (<see cref="BestOfNRun"/>).</summary>
public sealed record BestOfNLink(JobId JobId, int BeforeNumber, int Prompts, int Answers, DateTimeOffset At);

/// <summary>An audit of this policy, or of another one against it.</summary>
public sealed record AuditLink(JobId JobId, int Number, string AuditedName, string BaseName, bool IsGrey, string Sentence, DateTimeOffset At);

/// <summary>Everything the page of one version shows, and its lineage both ways.</summary>
/// <param name="Current">What serves for this kind now; null when nothing does.</param>
/// <param name="RestoredByRollBack">What a roll-back of this version would put back; null when this version does not serve, or nothing served before.</param>
/// <param name="Samples">Responses sampled from it.</param>
/// <param name="Tasks">Annotation tasks that show at least one of them.</param>
/// <param name="BestOfN">Newest first, at most <see cref="ShowModel.BestOfNMax"/>; empty for people who may not read answers.</param>
/// <param name="Audits">Newest first, at most <see cref="ShowModel.AuditsMax"/>; empty for people who may not read audits.</param>
/// <param name="MayAudit">The person may audit it: it is a policy, retired or not.</param>
/// <param name="LabelledBy">The reward model that ordered its training pairs instead of people; null where people did.</param>
public sealed record ModelView(ModelVersion Version, string ProjectName, VersionLink? Current, VersionLink? RestoredByRollBack,
    IReadOnlyList<MetricValue> Values, DateTimeOffset? EvaluatedAt, DatasetVersion? Dataset, FeedbackOrigin? Feedback, VersionLink? Parent, VersionLink? ComparedWith,
    IReadOnlyList<VersionLink> Children, int? JobNumber, int Samples, int Tasks, bool HasSideBySide, BlindTally Votes, IReadOnlyList<ReleaseLine> Releases, bool MayRelease,
    IReadOnlyList<BestOfNLink> BestOfN, VersionLink? LabelledBy, IReadOnlyList<AuditLink> Audits, bool MayAudit)
{
    public bool Serves => Current?.Id == Version.Id;
}

/// <summary>Loads one version with everything it came from and everything that came from it.</summary>
[Needs(Permission.Review)]
public sealed class ShowModel(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int AnnotatorsMax = 12;
    private const int ChildrenMax = 50;
    private const int ReleasesMax = 20;
    internal const int BestOfNMax = 10;
    internal const int AuditsMax = 5;

    public async Task<Outcome<ModelView>> Handle(ClaimsPrincipal user, ModelVersionId id, CancellationToken stop)
    {
        var asked = await ModelReaders.Check(access, user, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id, stop) is not { } version)
            return ReleaseRefusals.NoVersion;
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == version.ProjectId, stop);
        var results = await db.EvaluationResults.AsNoTracking().Where(r => r.ModelVersionId == id).OrderBy(r => r.Id).ToListAsync(stop);
        var comparedWith = results.Select(r => r.ComparedWithId).FirstOrDefault(c => c is not null) ?? version.ParentId;
        var dataset = version.DatasetVersionId is { } datasetId
            ? await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(d => d.Id == datasetId, stop)
            : null;
        var current = project.CurrentOf(version.Kind);
        var restored = current == id ? RollBackModel.Target(db, project.Id, version.Kind, id) : null;
        var labelledBy = LabellerOf(version);
        var links = await Links(db, [version.ParentId, comparedWith, current, restored, labelledBy], stop);
        var children = await db.ModelVersions.AsNoTracking().Where(v => v.ParentId == id).OrderBy(v => v.CreatedAt).Take(ChildrenMax)
            .Select(v => new VersionLink(v.Id, v.Kind, v.Number, v.Method, v.Status)).ToListAsync(stop);
        var responses = db.Responses.Where(r => r.ModelVersionId == id).Select(r => r.Id);
        return new ModelView(version, project.Name, Link(current), Link(restored), [.. results.Select(MetricValue.From)],
            results.Count > 0 ? results.Max(r => r.At) : null, dataset, dataset is null ? null : await FeedbackOf(db, dataset.Id, stop),
            Link(version.ParentId), Link(comparedWith), children,
            version.JobId is { } jobId ? await db.Jobs.Where(j => j.Id == jobId).Select(j => (int?)j.Number).FirstOrDefaultAsync(stop) : null,
            await responses.CountAsync(stop),
            await db.Tasks.CountAsync(t => responses.Contains(t.FirstResponseId) || (t.SecondResponseId != null && responses.Contains(t.SecondResponseId.Value)), stop),
            await db.EvaluationSamples.AnyAsync(s => s.CandidateId == id, stop), await BlindTally.Load(db, id, stop), await ReleasesOf(db, version, stop),
            asked.Value.May(Permission.Administer), asked.Value.May(Permission.Review) ? await BestOfNOf(db, id, stop) : [], Link(labelledBy),
            asked.Value.May(Permission.Audit) ? await AuditsOf(db, id, stop) : [], version.Kind is ModelKind.Policy && asked.Value.May(Permission.Audit));

        VersionLink? Link(ModelVersionId? wanted) => wanted is { } w ? links.GetValueOrDefault(w) : null;
    }

    internal static async Task<Dictionary<ModelVersionId, VersionLink>> Links(PortalDbContext db, IEnumerable<ModelVersionId?> wanted, CancellationToken stop)
    {
        var ids = wanted.OfType<ModelVersionId>().Distinct().ToList();
        return await db.ModelVersions.AsNoTracking().Where(v => ids.Contains(v.Id)).Select(v => new VersionLink(v.Id, v.Kind, v.Number, v.Method, v.Status))
            .ToDictionaryAsync(v => v.Id, stop);
    }

    /// <summary>Whose judgements a dataset version holds. Joins its rows (by primary key) to both kinds of judgement.</summary>
    public static async Task<FeedbackOrigin> FeedbackOf(PortalDbContext db, DatasetVersionId dataset, CancellationToken stop)
    {
        var rows = db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == dataset);
        var pairs = await (from row in rows
                           join j in db.PairwiseJudgements.IgnoreQueryFilters() on row.JudgementId equals j.Id
                           group j by new { j.Source, j.AnnotatorId } into same
                           select new { same.Key.Source, same.Key.AnnotatorId, Count = same.Count() }).ToListAsync(stop);
        var singles = await (from row in rows
                             join j in db.BinaryJudgements.IgnoreQueryFilters() on row.JudgementId equals j.Id
                             group j by new { j.Source, j.AnnotatorId } into same
                             select new { same.Key.Source, same.Key.AnnotatorId, Count = same.Count() }).ToListAsync(stop);
        var all = pairs.Concat(singles).ToList();
        var people = all.GroupBy(x => x.AnnotatorId).Select(g => (Id: g.Key, Count: g.Sum(x => x.Count))).OrderByDescending(x => x.Count).ToList();
        var ids = people.Take(AnnotatorsMax).Select(p => p.Id).ToList();
        var names = await db.Annotators.AsNoTracking().Where(a => ids.Contains(a.Id)).ToDictionaryAsync(a => a.Id, stop);
        return new FeedbackOrigin(all.GroupBy(x => x.Source).ToDictionary(g => g.Key, g => g.Sum(x => x.Count)),
            [.. people.Take(AnnotatorsMax).Where(p => names.ContainsKey(p.Id)).Select(p => (names[p.Id].Pseudonym, names[p.Id].IsSimulated, p.Count))], people.Count);
    }

    /// <summary>Over (AfterId, At).</summary>
    private static async Task<IReadOnlyList<BestOfNLink>> BestOfNOf(PortalDbContext db, ModelVersionId id, CancellationToken stop) =>
        await (from run in db.BestOfNRuns.AsNoTracking()
               join before in db.ModelVersions on run.BeforeId equals before.Id
               where run.AfterId == id
               orderby run.At descending
               select new BestOfNLink(run.JobId, before.Number, run.Prompts, run.AnswersPerPrompt, run.At)).Take(BestOfNMax).ToListAsync(stop);

    /// <summary>Over (AuditedId, At) and (BaseId, At).</summary>
    private static async Task<IReadOnlyList<AuditLink>> AuditsOf(PortalDbContext db, ModelVersionId id, CancellationToken stop) =>
        [.. (await db.PolicyAudits.AsNoTracking().Where(a => a.AuditedId == id || a.BaseId == id).OrderByDescending(a => a.At).Take(AuditsMax).ToListAsync(stop))
            .Select(a => new AuditLink(a.JobId, a.Number, a.AuditedName, a.BaseName, a.IsGrey, a.Sentence, a.At))];

    private static ModelVersionId? LabellerOf(ModelVersion version)
    {
        if (version.Kind is not ModelKind.Policy || !version.SpecJson.Contains(nameof(TrainPreferencePolicy), StringComparison.Ordinal))
            return null;
        try
        {
            return (JobSpec.FromJson(version.SpecJson) as TrainPreferencePolicy)?.RelabelledById;
        }
        catch (FormatException)
        {
            return null; // a spec of another version of the portal, or a base model's plain text
        }
    }

    private static async Task<IReadOnlyList<ReleaseLine>> ReleasesOf(PortalDbContext db, ModelVersion version, CancellationToken stop)
    {
        var releases = await db.Releases.AsNoTracking().Where(r => r.ProjectId == version.ProjectId && r.Kind == version.Kind
                                                                   && (r.ToVersionId == version.Id || r.FromVersionId == version.Id))
            .OrderByDescending(r => r.At).Take(ReleasesMax).ToListAsync(stop);
        var links = await Links(db, releases.SelectMany(r => new ModelVersionId?[] { r.FromVersionId, r.ToVersionId }), stop);
        var people = releases.SelectMany(r => new[] { r.By, r.Approver ?? r.By }).Distinct().ToList();
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        return
        [
            .. releases.Select(r => new ReleaseLine(r.At, names.GetValueOrDefault(r.By, "?"), r.Approver is { } a ? names.GetValueOrDefault(a, "?") : null, r.Reason,
                r.IsRollBack, r.FromVersionId is { } from ? links.GetValueOrDefault(from)?.Number : null, links[r.ToVersionId].Number)),
        ];
    }
}
