using Microsoft.EntityFrameworkCore;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.Storage;

namespace Portal.Data.Erasure;

/// <summary>What an erasure would remove, counted.</summary>
/// <param name="Texts">Texts that are there now and would be emptied.</param>
/// <param name="DatasetRows">Rows of frozen data that would go, of so many <paramref name="Datasets"/>.</param>
/// <param name="Retired">Versions that could never serve again, as people call them.</param>
/// <param name="Serving">Those of them that serve today.</param>
/// <param name="Exports">Files to download that would be removed, whoever made them.</param>
/// <param name="Backups">Copies of the database, which are removed by their date.</param>
public sealed record ErasureRadius(int Texts, int Judgements, int Drafts, int Flags, int DatasetRows, int Datasets, int Tasks, IReadOnlyList<string> Retired, IReadOnlyList<string> Serving, int Exports, int Backups, int Projects);

/// <summary>Whose data, or which, an erasure is about: the one place that says which rows belong to it. Staged rows of imports count as well.</summary>
/// <param name="Annotator">Null for prompts.</param>
/// <param name="Prompts">With their twins: the same words, stored in the same project as a trial. Empty for an annotator.</param>
public sealed record ErasureSubject(ErasureKind Kind, ProjectId Project, AnnotatorId? Annotator, IReadOnlyList<PromptId> Prompts)
{
    /// <summary>Of a request, as the database is now.</summary>
    public static ErasureSubject Of(PortalDbContext db, ErasureRequest request) =>
        Of(db, request.Kind, request.ProjectId, request.AnnotatorId, [.. db.ErasurePrompts.AsNoTracking().Where(p => p.RequestId == request.Id).Select(p => p.PromptId)]);

    /// <inheritdoc cref="Of(PortalDbContext, ErasureRequest)"/>
    public static ErasureSubject Of(PortalDbContext db, ErasureKind kind, ProjectId project, AnnotatorId? annotator, IReadOnlyList<PromptId> prompts)
    {
        if (kind is not ErasureKind.Prompts)
            return new ErasureSubject(kind, project, annotator, []);
        var hashes = from p in db.Prompts.IgnoreQueryFilters() where prompts.Contains(p.Id) join c in db.Contents on p.ContentId equals c.Id select c.KeyedHash;
        var all = from p in db.Prompts.IgnoreQueryFilters() where p.ProjectId == project join c in db.Contents on p.ContentId equals c.Id where hashes.Contains(c.KeyedHash) select p.Id;
        return new ErasureSubject(kind, project, null, [.. all.AsEnumerable().Union(prompts)]);
    }

    private bool IsPrompts => Kind is ErasureKind.Prompts;

    /// <summary>The tasks that ask about the prompts; none for an annotator.</summary>
    public IQueryable<AnnotationTask> Tasks(PortalDbContext db) => db.Tasks.IgnoreQueryFilters().Where(t => Prompts.Contains(t.PromptId));

    /// <summary>Judgements that are theirs, or about the prompts. Under <see cref="ErasureKind.AnnotatorLink"/> they stay.</summary>
    public IQueryable<PairwiseJudgement> Pairwise(PortalDbContext db) => IsPrompts
        ? db.PairwiseJudgements.IgnoreQueryFilters().Where(j => db.Tasks.IgnoreQueryFilters().Any(t => t.Id == j.TaskId && Prompts.Contains(t.PromptId)))
        : db.PairwiseJudgements.IgnoreQueryFilters().Where(j => j.AnnotatorId == Annotator);

    /// <inheritdoc cref="Pairwise"/>
    public IQueryable<BinaryJudgement> Binary(PortalDbContext db) => IsPrompts
        ? db.BinaryJudgements.IgnoreQueryFilters().Where(j => db.Tasks.IgnoreQueryFilters().Any(t => t.Id == j.TaskId && Prompts.Contains(t.PromptId)))
        : db.BinaryJudgements.IgnoreQueryFilters().Where(j => j.AnnotatorId == Annotator);

    /// <summary>Flags they raised, or on responses to the prompts. Their words go, the flag stays.</summary>
    public IQueryable<Flag> Flags(PortalDbContext db) => IsPrompts
        ? db.Flags.Where(f => db.Responses.IgnoreQueryFilters().Any(r => r.Id == f.ResponseId && Prompts.Contains(r.PromptId)))
        : db.Flags.Where(f => f.AnnotatorId == Annotator);

    public IQueryable<Draft> Drafts(PortalDbContext db) => IsPrompts
        ? db.Drafts.Where(d => db.Assignments.Any(a => a.Id == d.AssignmentId && db.Tasks.IgnoreQueryFilters().Any(t => t.Id == a.TaskId && Prompts.Contains(t.PromptId))))
        : db.Drafts.Where(d => d.AnnotatorId == Annotator);

    /// <summary>The texts: what they wrote beside judgements and flags; of prompts these and the prompts and responses themselves.</summary>
    public IQueryable<Content> Contents(PortalDbContext db)
    {
        var words = Pairwise(db).Select(j => j.RationaleId).Concat(Binary(db).Select(j => j.RationaleId)).Concat(Flags(db).Select(f => f.NoteId)).Concat(Flags(db).Select(f => f.PreferredId));
        return IsPrompts
            ? db.Contents.Where(c => db.Prompts.IgnoreQueryFilters().Any(p => p.ContentId == c.Id && Prompts.Contains(p.Id)) || db.Responses.IgnoreQueryFilters().Any(r => r.ContentId == c.Id && Prompts.Contains(r.PromptId)) || words.Contains(c.Id))
            : db.Contents.Where(c => words.Contains(c.Id));
    }

    /// <summary>Rows of frozen data that go: of a judgement that is erased, or about a prompt that is. None under <see cref="ErasureKind.AnnotatorLink"/>, where votes stay.</summary>
    public IQueryable<DatasetRow> Rows(PortalDbContext db) => Kind switch
    {
        ErasureKind.AnnotatorLink => db.DatasetRows.Where(_ => false),
        ErasureKind.Prompts => db.DatasetRows.Where(r => Prompts.Contains(r.PromptId)),
        ErasureKind.AnnotatorLabels => db.DatasetRows.Where(r => Pairwise(db).Any(j => j.Id == r.JudgementId) || Binary(db).Any(j => j.Id == r.JudgementId)),
    };

    /// <summary>Where something of it is, and where it was asked for.</summary>
    public IReadOnlyList<ProjectId> Projects(PortalDbContext db) => IsPrompts
        ? [Project]
        : [.. Pairwise(db).Select(j => j.ProjectId).Concat(Binary(db).Select(j => j.ProjectId)).Concat(Flags(db).Select(f => f.ProjectId)).Concat(db.Assignments.Where(a => a.AnnotatorId == Annotator).Select(a => a.ProjectId)).Distinct().AsEnumerable().Append(Project).Distinct().OrderBy(p => p.Value)];

    /// <summary>
    /// Versions that learned from it, and all that were made of those: their children, policies and autoencoders trained with them. Untracked. A judgement that was held out only measured a version, and retires none.
    /// </summary>
    /// <remarks>
    /// Autoencoders and policies trained with a reward model read the prompts of a whole project without a frozen list of them: where prompts are erased, all that are younger than the eldest of those count as having read them.
    /// </remarks>
    public IReadOnlyList<ModelVersion> Learned(PortalDbContext db)
    {
        if (Kind is ErasureKind.AnnotatorLink)
            return [];
        var datasets = Rows(db).Where(r => r.Part == DatasetPart.Train).Select(r => r.DatasetVersionId).Distinct().ToHashSet();
        var projects = Projects(db);
        var versions = db.ModelVersions.AsNoTracking().Where(v => projects.Contains(v.ProjectId)).OrderBy(v => v.CreatedAt).ThenBy(v => v.Id).ToList();
        var since = IsPrompts ? db.Prompts.IgnoreQueryFilters().Where(p => Prompts.Contains(p.Id) && !p.IsTrial).Select(p => (DateTimeOffset?)p.CreatedAt).Min() : null;
        var learned = versions.Where(v => (v.DatasetVersionId is { } dataset && datasets.Contains(dataset)) || (since < v.CreatedAt && SpecOf(v) is TrainSae or TrainRlooPolicy)).Select(v => v.Id).ToHashSet();
        for (var before = -1; before != learned.Count;)
        {
            before = learned.Count;
            learned.UnionWith(versions.Where(v => Sources(v).Any(learned.Contains)).Select(v => v.Id));
        }
        return versions.FindAll(v => learned.Contains(v.Id) && v.Status is not ModelStatus.Retired);
    }

    /// <summary>Counts all that.</summary>
    public ErasureRadius Radius(PortalDbContext db, DataDirectory directory)
    {
        var (projects, learned) = (Projects(db), Learned(db));
        var serving = db.Projects.AsNoTracking().Where(p => projects.Contains(p.Id)).Select(p => new { p.CurrentRewardModelId, p.CurrentPolicyId }).ToList().SelectMany(p => new[] { p.CurrentRewardModelId, p.CurrentPolicyId }).ToHashSet();
        var staysJudged = Kind is ErasureKind.AnnotatorLink;
        return new ErasureRadius(Contents(db).Count(c => c.Text != null), staysJudged ? 0 : Pairwise(db).Count() + Binary(db).Count(), Drafts(db).Count(), Flags(db).Count(), Rows(db).Count(), Rows(db).Select(r => r.DatasetVersionId).Distinct().Count(),
            Tasks(db).Count(), [.. learned.Select(v => v.Label)], [.. learned.Where(v => serving.Contains(v.Id)).Select(v => v.Label)], ExportsOf(db, directory, projects).Count, Directory.EnumerateFiles(directory.Backups).Count(), projects.Count);
    }

    /// <summary>Files to download that were made of some projects, with their reports.</summary>
    public static IReadOnlyList<string> ExportsOf(PortalDbContext db, DataDirectory directory, IReadOnlyList<ProjectId> projects)
    {
        var paths = db.Jobs.AsNoTracking().Where(j => projects.Contains(j.ProjectId) && j.Kind == nameof(ExportData) && j.ResultPath != null).Select(j => j.ResultPath!).ToList();
        return [.. paths.Select(path => Path.Combine(directory.Exports, Path.GetFileName(path))).SelectMany(path => new[] { path, $"{path}.report.json" }).Where(File.Exists)];
    }

    /// <summary>What a version was made of. What only scored or measured it is none of that.</summary>
    private static IEnumerable<ModelVersionId> Sources(ModelVersion version) => (SpecOf(version) switch
    {
        TrainSft spec => [spec.ParentId],
        TrainRewardModel spec => [spec.BackboneId],
        TrainPreferencePolicy spec => [spec.ParentId, spec.RelabelledById],
        TrainRlooPolicy spec => [spec.ParentId, spec.RewardModelId],
        TrainSae spec => [spec.ModelId],
        TrainSarm spec => [spec.SaeId],
        _ => (IEnumerable<ModelVersionId?>)[],
    }).Append(version.ParentId).OfType<ModelVersionId>();

    private static JobSpec? SpecOf(ModelVersion version)
    {
        try
        {
            return JobSpec.FromJson(version.SpecJson);
        }
        catch (FormatException)
        {
            return null; // an imported model's provenance is no spec
        }
    }
}
