using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Erasure;

namespace Portal.Engine.Jobs;

/// <summary>
/// Removes what an approved request asks for, in steps that bear a crash at any point: close the way in, free the heads that serve (while the data are still there), one write for all rows, the files, the database's own slack, and a proof.
/// </summary>
/// <remarks>
/// Each step is noted on the request and begins with what is noted, so a second run goes on and ends in the same state. Nothing is undone when it fails: what is removed stays removed, and the request can be run again.
/// Source: specs/xrlhf.md §6.3.
/// </remarks>
public sealed class EraseDataRunner : IJobRunner<EraseData>
{
    private const int Steps = 5;

    /// <summary>How long the portal may still take a person for the annotator they were: its answers about people are so old at most (Access.Freshness), and a little more.</summary>
    internal TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(25);

    /// <summary>How long a pause between readers of the database is waited for.</summary>
    internal TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(5);

    /// <inheritdoc/>
    public async Task<JobResult> Run(EraseData spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var request = await Find(spec, run);
        var work = request.Work();
        Tell(run, 0, "closing the way in");
        work = await Close(run, request, work);

        if (work.Rows is null)
        {
            Tell(run, 1, "freeing the heads that serve");
            var heads = await Heads(spec, run, request);
            Tell(run, 2, "removing rows");
            work = await Write(run, spec, (db, row) => row.Work() with { Rows = new EraseRows(db, row, spec, run, heads).Run() });
        }
        var rows = work.Rows!; // written just now, or by an earlier run

        Tell(run, 3, "removing files");
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
        {
            var (files, backups) = EraseFiles.Plan(db, request.Kind, rows, run);
            work = await Write(run, spec, (_, row) => row.Work() is var noted ? noted with { Files = [.. noted.Files.Union(files)], Backups = backups } : noted);
            EraseFiles.Run(db, request.Kind, rows, run);
        }

        Tell(run, 4, "emptying the database's slack");
        var database = await CompactDatabase.Run(run, Patience);
        var bodies = await Bodies(run, rows);
        return new JobResult($"/erasure/{spec.RequestId}", db => Finish(db, spec, run, work, database, bodies));
    }

    /// <summary>Files of heads whose versions never came to be. What was removed stays removed.</summary>
    public async Task Discard(EraseData spec, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var known = (await db.ModelVersions.Select(v => v.Id).ToListAsync(run.Stop)).ToHashSet();
        foreach (var head in known.Select(source => FreedHead.IdOf(spec.RequestId, source)).Where(head => !known.Contains(head)))
        {
            var folder = Path.Combine(run.Directory.Models, JobRun.FolderName(JobId.From(head.Value)));
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
    }

    private static void Tell(JobRun run, int step, string what) => run.Progress.Report(step, Steps, what, null);

    private static async Task<ErasureRequest> Find(EraseData spec, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var request = await db.ErasureRequests.AsNoTracking().FirstOrDefaultAsync(r => r.Id == spec.RequestId, run.Stop) ?? throw new CannotTrain($"requestId: there is no request {spec.RequestId}.");
        Check(request, run);
        return request;
    }

    private static void Check(ErasureRequest request, JobRun run)
    {
        if (request.State is not (ErasureState.Approved or ErasureState.Running) || request.JobId != run.JobId)
            throw new CannotTrain($"Request {request.Number} does not wait for this job: it was taken back, or is finished.");
    }

    /// <summary>Changes the request and what else belongs to the step, in one write.</summary>
    private static async Task<ErasureWork> Write(JobRun run, EraseData spec, Func<PortalDbContext, ErasureRequest, ErasureWork> step) => await run.Writes.WriteAsync(db =>
    {
        db.LockJobs();
        var row = db.ErasureRequests.First(r => r.Id == spec.RequestId);
        Check(row, run);
        var work = step(db, row);
        row.Note(work);
        return work;
    }, run.Stop);

    /// <summary>No judgement comes in any more under the name, or about the prompts.</summary>
    private async Task<ErasureWork> Close(JobRun run, ErasureRequest request, ErasureWork work)
    {
        if (work.ClosedAt is null)
        {
            work = await Write(run, new EraseData { RequestId = request.Id }, (db, row) =>
            {
                var subject = ErasureSubject.Of(db, row);
                if (subject.Annotator is { } annotator)
                    db.AnnotatorAccounts.Where(link => link.AnnotatorId == annotator).ExecuteDelete();
                subject.Tasks(db).ExecuteUpdate(set => set.SetProperty(t => t.State, TaskState.Withdrawn));
                return row.Work() with { ClosedAt = run.Time.GetUtcNow() };
            });
        }
        var open = work.ClosedAt!.Value + Grace - run.Time.GetUtcNow(); // set above
        if (open > TimeSpan.Zero)
            await Task.Delay(open, run.Time, run.Stop);
        return work;
    }

    /// <summary>A freed head for each reward model that serves and learned from it.</summary>
    private static async Task<IReadOnlyList<FreedHead>> Heads(EraseData spec, JobRun run, ErasureRequest request)
    {
        List<ModelVersion> serving;
        HashSet<Guid> judgements;
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
        {
            var subject = ErasureSubject.Of(db, request);
            var (projects, learned) = (subject.Projects(db), subject.Learned(db).ToDictionary(v => v.Id));
            serving = [.. db.Projects.Where(p => projects.Contains(p.Id)).Select(p => p.CurrentRewardModelId).ToList().OfType<ModelVersionId>().Where(learned.ContainsKey).Select(id => learned[id])];
            judgements = serving.Count == 0 ? [] : [.. subject.Pairwise(db).Select(j => j.Id).AsEnumerable().Select(id => id.Value)];
        }
        var heads = new List<FreedHead>();
        foreach (var version in serving)
        {
            var head = await FreedHead.Of(run, spec, version, judgements);
            run.Progress.Log(head.WhyNot is null ? JobEventLevel.Info : JobEventLevel.Warning,
                head.WhyNot is { } why ? $"{version.Label} serves no more and nothing takes its place: {why}" : $"{version.Label}: {head.Pairs} pairs taken off its head; the gradient left on the others is {head.ResidualGradient:E1}.");
            heads.Add(head);
        }
        return heads;
    }

    /// <summary>How each reward model that was freed at its head only is trained again from its beginning; without a spec where it cannot be.</summary>
    private static async Task<IReadOnlyList<(ProjectId Project, ModelVersionId Version, JobSpec? Spec)>> Bodies(JobRun run, ErasedRows rows)
    {
        var bodies = new List<(ProjectId, ModelVersionId, JobSpec?)>();
        foreach (var change in rows.Serving.Where(change => change.ResidualGradient is not null))
        {
            await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
            var version = await db.ModelVersions.AsNoTracking().FirstAsync(v => v.Id == change.To, run.Stop);
            var training = await TrainedVersion.TrainingOf(run.Contexts, version, run.Stop);
            JobSpec? spec = training switch
            {
                { Spec: TrainRewardModel reward, Root.ParentId: var parent } => reward with { BackboneId = parent, Rules = reward.Rules with { Before = null } },
                { Spec: TrainSarm sarm } when await db.ModelVersions.AnyAsync(v => v.Id == sarm.SaeId && v.Status != ModelStatus.Retired, run.Stop) => sarm with { Rules = sarm.Rules with { Before = null } },
                _ => null,
            };
            bodies.Add((change.Project, change.To!.Value, spec)); // a head was computed, so there is a version
        }
        return bodies;
    }

    /// <summary>The end: the trainings that are owed, the proof, and its hash in the audit log.</summary>
    private static void Finish(PortalDbContext db, EraseData spec, JobRun run, ErasureWork work, string database, IReadOnlyList<(ProjectId Project, ModelVersionId Version, JobSpec? Spec)> bodies)
    {
        db.LockJobs();
        var (request, now, rows) = (db.ErasureRequests.First(r => r.Id == spec.RequestId), run.Time.GetUtcNow(), work.Rows!); // the steps before have written it
        Check(request, run);
        List<ServingChange> serving = [.. rows.Serving.Select(change => bodies.FirstOrDefault(body => body.Version == change.To) is { Version: var version } body && version == change.To ? Owed(db, run, change, body.Project, body.Spec, now) : change)];
        var whose = request.AnnotatorId is { } annotator ? [$"{annotator}"] : db.ErasurePrompts.Where(p => p.RequestId == request.Id).Select(p => p.PromptId).AsEnumerable().Select(prompt => $"{prompt}").ToList();
        List<string> subject = [.. whose.Select(id => run.Hasher.Hash(id)).Order(StringComparer.Ordinal)];
        var proof = new ErasureProof(ErasureProof.CurrentForm, request.Id, request.Number, request.Kind, subject, request.RequestedAt, request.DecidedAt, now, run.Number, [.. rows.Judgements.Select(id => run.Hasher.Hash($"{id}")).Order(StringComparer.Ordinal)],
            rows.Counts, rows.Datasets, rows.Retired, serving, work.Files, work.Backups, database);
        request.Finish(proof, now);
        AuditChain.Append(db, now, run.CreatedBy, ErasureProof.FinishAction, ErasureProof.EntityKind, $"{request.Id}", new { request.Number, kind = request.Kind.ToString(), proof = request.ProofSha256, judgements = rows.Judgements.Count, retired = rows.Retired.Count, job = run.Number });
    }

    /// <summary>A freed head's body is trained again by a job of its own; the request is finished without waiting for it.</summary>
    private static ServingChange Owed(PortalDbContext db, JobRun run, ServingChange change, ProjectId project, JobSpec? training, DateTimeOffset now)
    {
        if (training is null)
            return change with { Why = "Its training cannot be repeated as it was, because what it began with was retired as well. Train a reward model anew." };
        var job = AskForJob.Add(db, run.Ids.New<JobId>(), project, training, null, by: null, now);
        db.SaveChanges(); // the next one's number follows it
        return change with { BodyJob = job.Id };
    }
}
