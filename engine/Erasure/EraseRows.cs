using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;

namespace Portal.Engine.Erasure;

/// <summary>
/// All that an erasure does to rows, in one write: it is done whole or not at all, and what is asked of the database is asked inside it, so that nothing that came in meanwhile is left over. docs/security.md has the table of what becomes of what.
/// </summary>
internal sealed class EraseRows(PortalDbContext db, ErasureRequest request, EraseData spec, JobRun run, IReadOnlyList<FreedHead> heads)
{
    /// <summary>What stands where a name or a message may have held something of it.</summary>
    public const string Gone = "(erased)";

    private readonly SortedDictionary<string, int> counts = new(StringComparer.Ordinal);
    private readonly ErasureSubject subject = ErasureSubject.Of(db, request);
    private readonly DateTimeOffset now = run.Time.GetUtcNow();

    public ErasedRows Run()
    {
        var (projects, learned) = (subject.Projects(db), subject.Learned(db));
        List<Guid> judgements = subject.Kind is ErasureKind.AnnotatorLink ? [] : [.. subject.Pairwise(db).Select(j => j.Id).AsEnumerable().Concat(subject.Binary(db).Select(j => j.Id)).Select(id => id.Value)];
        Count("texts", subject.Contents(db).Where(c => c.Text != null).ExecuteUpdate(set => set.SetProperty(c => c.Text, (string?)null).SetProperty(c => c.ErasedAt, now)));
        Count("drafts", subject.Drafts(db).ExecuteDelete());
        List<ErasedDataset> datasets = [];
        if (subject.Kind is not ErasureKind.AnnotatorLink)
        {
            datasets = Datasets();
            Findings(learned, projects);
        }
        if (subject.Kind is ErasureKind.Prompts)
            Prompts();
        if (subject.Kind is ErasureKind.AnnotatorLabels)
            Votes();
        if (subject.Kind is not ErasureKind.AnnotatorLink)
            Count("judgements", subject.Pairwise(db).ExecuteDelete() + subject.Binary(db).ExecuteDelete());
        if (subject.Annotator is { } annotator)
            Name(annotator);
        Notes(projects);
        var retired = Retire(learned);
        return new ErasedRows(counts, judgements, projects, datasets, retired, [.. Serving(projects, learned)]);
    }

    private void Count(string what, int rows) => counts[what] = counts.GetValueOrDefault(what) + rows;

    /// <summary>Takes the rows out of each version of the data and seals it anew.</summary>
    private List<ErasedDataset> Datasets()
    {
        var gone = subject.Rows(db).Select(r => new { r.DatasetVersionId, r.Ordinal, r.JudgementId }).ToList();
        var simulated = subject.Pairwise(db).Where(j => j.Source == JudgementSource.Simulated).Select(j => j.Id).AsEnumerable().Concat(subject.Binary(db).Where(j => j.Source == JudgementSource.Simulated).Select(j => j.Id)).ToHashSet();
        var done = new List<ErasedDataset>();
        foreach (var rows in gone.GroupBy(row => row.DatasetVersionId))
        {
            var version = db.DatasetVersions.AsNoTracking().First(v => v.Id == rows.Key);
            var (before, after) = DatasetManifest.TakeOut(db, version, rows.Select(row => row.Ordinal).ToHashSet(), rows.Count(row => simulated.Contains(row.JudgementId)));
            done.Add(new ErasedDataset(version.Id, version.Number, before, after, rows.Count()));
        }
        Count("dataset rows", gone.Count);
        return [.. done.OrderBy(dataset => dataset.Number)];
    }

    /// <summary>What was found out with it: explanations by models that learned from it, effects on policies that did, marks, what unlearning named, whose votes go to which feature.</summary>
    private void Findings(IReadOnlyList<ModelVersion> learned, IReadOnlyList<ProjectId> projects)
    {
        var models = learned.Select(v => v.Id).ToList();
        Count("explaining pairs", db.ExplainingPairs.Where(p => db.Explanations.Any(e => e.Id == p.ExplanationId && models.Contains(e.RewardModelId))).ExecuteDelete());
        db.ExplanationLimits.Where(l => models.Contains(l.RewardModelId)).ExecuteDelete();
        // What pairs would do to a policy that learned from it was found out with its weights.
        List<ModelVersionId?> policies = [.. models];
        db.ExplainingPairs.Where(p => p.PolicyEffect != null && db.Explanations.Any(e => e.Id == p.ExplanationId && policies.Contains(e.PolicyId))).ExecuteUpdate(set => set.SetProperty(p => p.PolicyEffect, (double?)null));
        db.Explanations.Where(e => policies.Contains(e.PolicyId)).ExecuteUpdate(set => set.SetProperty(e => e.PolicyId, (ModelVersionId?)null));
        Count("marks", db.PairMarks.Where(m => subject.Pairwise(db).Any(j => j.Id == m.JudgementId)).ExecuteDelete());
        Count("unlearning pairs", db.UnlearningPairs.Where(p => subject.Pairwise(db).Any(j => j.Id == p.JudgementId)).ExecuteDelete());
        if (subject.Annotator is { } annotator)
        {
            var id = $"{annotator}";
            Count("shares of votes", db.SaeFeatures.Where(f => f.VotersJson.Contains(id)).ExecuteUpdate(set => set.SetProperty(f => f.VotersJson, "[]")));
        }
        // Labels that a rule made are words of the project's texts.
        if (subject.Kind is ErasureKind.Prompts)
            Count("labels by rule", db.FeatureLabels.Where(l => projects.Contains(l.ProjectId) && (l.Source == LabelSource.Keyword || l.Source == LabelSource.Probe)).ExecuteDelete());
    }

    private void Prompts()
    {
        var prompts = subject.Prompts;
        db.Prompts.IgnoreQueryFilters().Where(p => prompts.Contains(p.Id)).ExecuteUpdate(set => set.SetProperty(p => p.ExternalId, (string?)null).SetProperty(p => p.Topic, (string?)null));
        db.Responses.IgnoreQueryFilters().Where(r => prompts.Contains(r.PromptId)).ExecuteUpdate(set => set.SetProperty(r => r.ExternalId, (string?)null));
        db.AuditTexts.Where(t => prompts.Contains(t.PromptId) && t.Problem != null).ExecuteUpdate(set => set.SetProperty(t => t.Problem, (string?)null));
        Count("contexts of features", db.FeatureContexts.IgnoreQueryFilters().Where(c => db.Responses.Any(r => r.Id == c.ResponseId && prompts.Contains(r.PromptId))).ExecuteDelete());
        Count("tasks withdrawn", subject.Tasks(db).Where(t => t.State != TaskState.Withdrawn).ExecuteUpdate(set => set.SetProperty(t => t.State, TaskState.Withdrawn)));
    }

    /// <summary>Opens the places of votes that go, and removes what was noted while they were given.</summary>
    private void Votes()
    {
        var counted = subject.Pairwise(db).Where(j => !j.IsSurplus && j.SupersededAt == null).Select(j => j.TaskId).AsEnumerable().Concat(subject.Binary(db).Where(j => !j.IsSurplus && j.SupersededAt == null).Select(j => j.TaskId)).GroupBy(task => task).ToDictionary(task => task.Key, task => task.Count());
        foreach (var some in counted.Keys.Chunk(500))
        {
            foreach (var task in db.Tasks.IgnoreQueryFilters().Where(t => some.Contains(t.Id)).ToList())
            {
                for (var vote = 0; vote < counted[task.Id]; vote++)
                    task.UncountVote();
            }
        }
        db.SaveChanges();
        Count("assignments", db.Assignments.Where(a => a.AnnotatorId == subject.Annotator).ExecuteDelete());
        Count("task events", db.TaskEvents.Where(e => e.AnnotatorId == subject.Annotator).ExecuteDelete());
    }

    /// <summary>Nobody's name from now on, and no account behind it.</summary>
    private void Name(AnnotatorId annotator)
    {
        var name = $"erased-{request.Number}";
        db.Annotators.Where(a => a.Id == annotator).ExecuteUpdate(set => set.SetProperty(a => a.Pseudonym, name));
        Count("links to an account", db.AnnotatorAccounts.Where(link => link.AnnotatorId == annotator).ExecuteDelete());
    }

    /// <summary>Notes of imports and jobs may quote a row: problems, reasons and messages go, names of files become nobody's. Numbers stay.</summary>
    private void Notes(IReadOnlyList<ProjectId> projects)
    {
        Count("import problems", db.ImportProblems.Where(p => db.Imports.Any(i => i.Id == p.ImportId && projects.Contains(i.ProjectId))).ExecuteDelete());
        Count("names of files", db.Imports.Where(i => projects.Contains(i.ProjectId) && i.FileName != Gone).ExecuteUpdate(set => set.SetProperty(i => i.FileName, Gone)));
        db.Imports.Where(i => projects.Contains(i.ProjectId) && i.FailReason != null).ExecuteUpdate(set => set.SetProperty(i => i.FailReason, Gone));
        Count("reasons of jobs", db.Jobs.Where(j => projects.Contains(j.ProjectId) && j.FailReason != null && j.FailReason != Gone).ExecuteUpdate(set => set.SetProperty(j => j.FailReason, Gone)));
        Count("messages of jobs", db.JobEvents.Where(e => e.JobId != run.JobId && db.Jobs.Any(j => j.Id == e.JobId && projects.Contains(j.ProjectId))).ExecuteDelete());
        foreach (var job in db.Jobs.AsNoTracking().Where(j => projects.Contains(j.ProjectId) && j.Kind == nameof(ImportData)).ToList())
        {
            var json = ((ImportData)JobSpec.FromJson(job.SpecJson) with { FileName = Gone, Columns = new Dictionary<string, string>() }).ToJson();
            db.Jobs.Where(j => j.Id == job.Id).ExecuteUpdate(set => set.SetProperty(j => j.SpecJson, json));
        }
    }

    private List<RetiredVersion> Retire(IReadOnlyList<ModelVersion> learned)
    {
        var ids = learned.Select(v => v.Id).ToList();
        foreach (var version in db.ModelVersions.Where(v => ids.Contains(v.Id)).ToList())
        {
            version.Retire();
            AuditChain.Append(db, now, run.CreatedBy, "model.retire", "model", $"{version.Id}", new { kind = version.Kind.ToString(), version.Number, erasure = $"{request.Id}" });
        }
        Count("models retired", ids.Count);
        return [.. learned.Select(v => new RetiredVersion(v.Id, v.Label, ErasureProof.HashOf(v)))];
    }

    /// <summary>What serves instead: of reward models the freed head, of policies the nearest version before that served and did not learn from it. Else nothing.</summary>
    private IEnumerable<ServingChange> Serving(IReadOnlyList<ProjectId> projects, IReadOnlyList<ModelVersion> learned)
    {
        var retired = learned.ToDictionary(v => v.Id);
        foreach (var project in db.Projects.Where(p => projects.Contains(p.Id)).ToList())
        {
            if (project.CurrentRewardModelId is { } reward && retired.TryGetValue(reward, out var model))
                yield return heads.FirstOrDefault(head => head.Source.Id == reward) is { WhyNot: null } head ? Freed(project, head) : Stop(project, model, heads.FirstOrDefault(head => head.Source.Id == reward)?.WhyNot ?? "It began to serve while the erasure ran.");
            if (project.CurrentPolicyId is { } policy && retired.TryGetValue(policy, out var written))
                yield return Before(written, retired) is { } earlier ? Release(project, written, earlier, null, $"Erasure {request.Number}: {written.Label} learned from what was erased; {earlier.Label} did not.") : Stop(project, written, "No version before it that served is free of what was erased.");
        }
    }

    private ServingChange Freed(Project project, FreedHead head)
    {
        var version = HeadVersion.Of(db, head.Id, head.Source, FreedHead.Method, run, spec, head.Folder, head.FilesJson, now);
        db.ModelVersions.Add(version);
        AuditChain.Append(db, now, run.CreatedBy, "erasure.free", "model", $"{version.Id}", new { from = $"{head.Source.Id}", pairs = head.Pairs, residualGradient = head.ResidualGradient, erasure = $"{request.Id}" });
        return Release(project, head.Source, version, head, $"Erasure {request.Number}: the head of {head.Source.Label} without what was erased. Its body still has to be trained again.");
    }

    private ServingChange Release(Project project, ModelVersion from, ModelVersion to, FreedHead? head, string reason)
    {
        db.Releases.Add(project.Release(run.Ids.New<ReleaseId>(), to, reason, by: Guid.Empty, approver: null, now).Value);
        AuditChain.Append(db, now, run.CreatedBy, "model.release", "modelVersion", $"{to.Id}", new { kind = to.Kind.ToString(), from = $"{from.Id}", erasure = $"{request.Id}" });
        return new ServingChange(project.Id, from.Kind, from.Id, to.Id, ErasureProof.HashOf(from), ErasureProof.HashOf(to), head?.Pairs ?? 0, head?.ResidualGradient, null, null);
    }

    private ServingChange Stop(Project project, ModelVersion from, string why)
    {
        project.StopServing(from.Kind);
        AuditChain.Append(db, now, run.CreatedBy, "model.stop", "modelVersion", $"{from.Id}", new { kind = from.Kind.ToString(), erasure = $"{request.Id}" });
        return new ServingChange(project.Id, from.Kind, from.Id, null, ErasureProof.HashOf(from), null, 0, null, why, null);
    }

    private ModelVersion? Before(ModelVersion version, IReadOnlyDictionary<ModelVersionId, ModelVersion> retired)
    {
        for (var id = version.ParentId; id is { } parent && db.ModelVersions.FirstOrDefault(v => v.Id == parent && v.Kind == version.Kind) is { } found; id = found.ParentId)
        {
            if (found.Status is ModelStatus.Released && !retired.ContainsKey(found.Id))
                return found;
        }
        return null;
    }
}
