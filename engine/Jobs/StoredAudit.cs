using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;

namespace Portal.Engine.Jobs;

/// <summary>What stays of an audit: texts as rows, numbers as files, and the row that shows both.</summary>
internal sealed class StoredAudit(JobRun run, AuditReward spec, AuditedVersions versions)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    private string Folder => FolderOf(run);

    /// <summary>Stores completions: a response each, and its place in the audit. Those of a prompt that was erased meanwhile get their place only.</summary>
    public async Task Texts(IEnumerable<AuditText> texts)
    {
        var sampling = JsonSerializer.Serialize(spec.Sampling, Json);
        var all = texts.GroupBy(text => text.PromptId, StringComparer.Ordinal).ToList();
        var (done, chunk) = (0, new List<IGrouping<string, AuditText>>());
        foreach (var prompt in all)
        {
            chunk.Add(prompt);
            // A text is up to three rows: content, response, place.
            if (chunk.Sum(own => own.Count()) * 3 < SmallWrites.RowsMax && prompt != all[^1])
                continue;
            List<IGrouping<string, AuditText>> some = [.. chunk];
            await run.Writes.WriteAsync(db => Store(db, some, sampling), run.Stop);
            chunk.Clear();
            run.Progress.Report(done += some.Count, all.Count, "storing texts", null);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
    }

    /// <summary>Keeps the numbers: copies the report's files but the two with texts, and writes a manifest of what is kept.</summary>
    /// <returns>SHA-256 of the manifest.</returns>
    public string Numbers(string from)
    {
        string[] kept = [AuditReport.FileName, AuditLines.ScoresFile, RecoveredRewardsFile.FileName];
        ArtefactFile.CopyFolder(from, Folder, kept.Contains, run.Stop);
        AuditLines.WriteManifest(Folder, [.. kept.Where(name => File.Exists(Path.Combine(Folder, name)))]);
        return AuditFolder.HashOf(Path.Combine(Folder, AuditManifest.FileName));
    }

    /// <summary>The row that shows the audit; inside the write that stores it.</summary>
    public PolicyAudit Row(PortalDbContext db, AuditReport report, string manifest, int prompts, int ofTraining, bool isSynthetic, string sentence)
    {
        var method = report.Methods.FirstOrDefault(own => own.Name == report.Method);
        return new PolicyAudit
        {
            JobId = run.JobId, ProjectId = run.ProjectId, Number = (db.PolicyAudits.Where(a => a.ProjectId == run.ProjectId).Max(a => (int?)a.Number) ?? 0) + 1, AuditedId = versions.Audited?.Id, BaseId = versions.Base.Id,
            AuditedEndpointId = versions.AuditedEndpoint?.Id, BaseEndpointId = versions.BaseEndpoint?.Id, AuditedName = versions.AuditedName, BaseName = versions.BaseName, ReferenceId = versions.Reference?.Id,
            SaeId = versions.Sae?.Id, Seed = spec.Seed, PromptSource = spec.PromptSource, Prompts = prompts, PromptsOfTraining = ofTraining, Pairs = report.Census.Pairs, Folder = JobRun.FolderName(run.JobId),
            ManifestSha256 = manifest, Identifiable = report.Verdict.Identifiable.State, Faithful = report.Verdict.Faithful.State, Spurious = report.Verdict.Spurious.State, Sentence = sentence, Method = report.Method,
            Accuracy = method?.Accuracy?.Estimate, AccuracyLow = method?.Accuracy?.Low, AccuracyHigh = method?.Accuracy?.High, Undetermined = method?.Undetermined?.Estimate,
            Distance = method?.Reference?.Distance?.Estimate, DistanceLow = method?.Reference?.Distance?.Low, DistanceHigh = method?.Reference?.Distance?.High,
            IncentivesFound = report.Incentives.FirstOrDefault(table => table.Name == "readable")?.Rows.Count(row => row.Verdict is AuditIncentiveVerdict.PaidFor or AuditIncentiveVerdict.Punished) ?? 0,
            IsSynthetic = isSynthetic, CreatedBy = run.CreatedBy, At = run.Time.GetUtcNow(),
        };
    }

    /// <summary>Removes what an earlier run of the job stored.</summary>
    public Task Remove() => Remove(run);

    /// <summary>Removes what a job stored: places and folder. Responses stay, as those of every job that sampled.</summary>
    public static async Task Remove(JobRun run)
    {
        while (await run.Writes.WriteAsync(db => RemoveSome(db, run.JobId), run.Stop) > 0)
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        if (Directory.Exists(FolderOf(run)))
            Directory.Delete(FolderOf(run), recursive: true);
    }

    private static int RemoveSome(PortalDbContext db, JobId job)
    {
        var prompts = db.AuditTexts.Where(t => t.JobId == job).Select(t => t.PromptId).Distinct().OrderBy(prompt => prompt).Take(SmallWrites.RowsMax / 20).ToList();
        return prompts.Count == 0 ? 0 : db.AuditTexts.Where(t => t.JobId == job && prompts.Contains(t.PromptId)).ExecuteDelete();
    }

    private static string FolderOf(JobRun run) => Path.Combine(run.Directory.Audits, JobRun.FolderName(run.JobId));

    private void Store(PortalDbContext db, IReadOnlyList<IGrouping<string, AuditText>> prompts, string sampling)
    {
        var ids = prompts.Select(own => PromptId.Parse(own.Key, null)).ToList();
        var stage = new SampledResponses(db, run, sampling, ids);
        var readable = (from p in db.Prompts.AsNoTracking() where ids.Contains(p.Id) join c in db.Contents on p.ContentId equals c.Id where c.Text != null select p.Id).ToHashSet();
        foreach (var text in prompts.SelectMany(own => own))
        {
            var prompt = PromptId.Parse(text.PromptId, null);
            db.AuditTexts.Add(new AuditTextRow
            {
                JobId = run.JobId, PromptId = prompt, Side = text.Side, Ordinal = text.Ordinal, Part = text.Part, Status = text.Status,
                ResponseId = text.Status is CompletionStatus.Written && readable.Contains(prompt) ? ResponseOf(stage, prompt, text) : null, Finished = text.Finished,
                LogProbAudited = text.LogProbAudited, LogProbBase = text.LogProbBase, Problem = text.Problem is { Length: > AuditTextRow.ProblemLengthMax } problem ? problem[..AuditTextRow.ProblemLengthMax] : text.Problem,
            });
        }
    }

    private ResponseId ResponseOf(SampledResponses stage, PromptId prompt, AuditText text) => (text.Side, versions) switch
    {
        (AuditSide.Audited, { AuditedEndpoint: { } endpoint }) => stage.Of(prompt, endpoint.Id, text.Text).Id,
        (AuditSide.Base, { BaseEndpoint: { } endpoint }) => stage.Of(prompt, endpoint.Id, text.Text).Id,
        (AuditSide.Audited, { Audited: { } version }) => stage.Of(prompt, version.Id, text.Text).Id,
        (AuditSide.Base, _) => stage.Of(prompt, versions.Base.Id, text.Text).Id,
        _ => throw new InvalidOperationException("An audit has an audited version or an endpoint."),
    };
}
