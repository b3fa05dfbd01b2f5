using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>Scores the texts of several versions' audits under all their rewards: how far the rewards are apart, and how the answers moved from version to version.</summary>
/// <remarks>
/// Comparable are audits of the same base on the same prompts with the same sampling and seed: then the base wrote the same answers in each, which is what is checked, and rewards read the same features. Only test
/// prompts count, and of them those of which every version's texts and two of the base's are still there.
/// </remarks>
public sealed class MeasureDriftRunner : IJobRunner<MeasureDrift>
{
    private sealed record OpenedVersion(PolicyAudit Row, RecoveredRewards Rewards, IReadOnlyList<AuditTextRow> Texts);

    /// <inheritdoc/>
    public async Task<JobResult> Run(MeasureDrift spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var audits = await Find(spec, run);
        var method = spec.Method ?? audits[0].Method;
        var store = new ModelStore(run);
        using var reader = await Open(audits[0], run, store);
        var versions = new List<OpenedVersion>();
        foreach (var audit in audits)
        {
            run.Stop.ThrowIfCancellationRequested();
            using var own = audit.JobId == audits[0].JobId ? null : await Open(audit, run, store);
            var version = new OpenedVersion(audit, (own ?? reader).Rewards, await Texts(audit, run));
            if (version.Rewards.File.Methods.All(known => known.Name != method))
                throw new CannotTrain($"method: no reward by {method} was recovered in {audit.Label}.");
            if (WhyNot(versions.FirstOrDefault() ?? version, version) is { } problem)
                throw new CannotTrain($"auditIds: {problem}");
            versions.Add(version);
        }
        var (texts, scores) = await Score(versions, reader, method, run);
        var prompts = texts.Select(text => text.Prompt).Distinct(StringComparer.Ordinal).Count();
        if (prompts == 0)
            throw new CannotTrain("auditIds: there is no test prompt of which every version's texts and two of the base's are left.");
        run.Progress.Report(0, 0, "measuring", null);
        var report = RewardDrift.Compute([.. audits.Select(audit => new DriftVersion(audit.JobId, audit.Label, audit.AuditedName))], texts, scores, new SeededRandom((ulong)spec.Seed).Split("drift"));
        return new JobResult($"/audits/compare?drift={run.JobId}", db =>
        {
            db.DriftRuns.Add(new DriftRun
            {
                JobId = run.JobId, ProjectId = run.ProjectId, Method = method, Versions = audits.Count, Prompts = prompts, ReportJson = JsonSerializer.Serialize(report), Seed = spec.Seed, CreatedBy = run.CreatedBy,
                At = run.Time.GetUtcNow(),
            });
            AuditChain.Append(db, run.Time.GetUtcNow(), run.CreatedBy, "audit.drift", "drift", $"{run.JobId}", new { method, audits = audits.Select(audit => $"{audit.JobId}"), job = run.Number });
        });
    }

    private static async Task<IReadOnlyList<PolicyAudit>> Find(MeasureDrift spec, JobRun run)
    {
        if (spec.AuditIds.Count is < MeasureDrift.VersionsMin or > MeasureDrift.VersionsMax || spec.AuditIds.Distinct().Count() != spec.AuditIds.Count)
            throw new CannotTrain($"auditIds: name {MeasureDrift.VersionsMin} to {MeasureDrift.VersionsMax} different audits, one a version.");
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var found = await db.PolicyAudits.AsNoTracking().Where(a => a.ProjectId == run.ProjectId && spec.AuditIds.Contains(a.JobId)).ToDictionaryAsync(a => a.JobId, run.Stop);
        return [.. spec.AuditIds.Select(id => found.GetValueOrDefault(id) ?? throw new CannotTrain($"auditIds: there is no audit {id} in this project, or it has not ended."))];
    }

    private static Task<AuditRewards> Open(PolicyAudit audit, JobRun run, ModelStore store) => AuditRewards.OpenFitted(audit, "auditIds", "so it has no reward to compare", run, store);

    private static async Task<IReadOnlyList<AuditTextRow>> Texts(PolicyAudit audit, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        // Over the primary key (JobId, PromptId, Side, Ordinal).
        return await db.AuditTexts.AsNoTracking().Where(t => t.JobId == audit.JobId && t.Part == AuditPart.Test).OrderBy(t => t.PromptId).ThenBy(t => t.Side).ThenBy(t => t.Ordinal).ToListAsync(run.Stop);
    }

    private static string? WhyNot(OpenedVersion first, OpenedVersion other)
    {
        var (one, two) = (first.Rewards.File, other.Rewards.File);
        if (first.Row.BaseId != other.Row.BaseId || first.Row.BaseEndpointId != other.Row.BaseEndpointId)
            return $"{other.Row.Label} has another base ({other.Row.BaseName}) than {first.Row.Label} ({first.Row.BaseName}).";
        if (one.Features != two.Features || one.Reading != two.Reading || one.ReaderHash != two.ReaderHash || one.SaeHash != two.SaeHash || !one.Names.SequenceEqual(two.Names))
            return $"The rewards of {other.Row.Label} read other features than those of {first.Row.Label}.";
        return Base(first).SequenceEqual(Base(other)) ? null
            : $"{other.Row.Label} rests on other test prompts or other answers of the base than {first.Row.Label}. Audits of several versions are comparable where base, prompts, sampling and seed are the same.";

        static IEnumerable<(PromptId, int, ResponseId?)> Base(OpenedVersion version) => version.Texts.Where(text => text.Side is AuditSide.Base).Select(text => (text.PromptId, text.Ordinal, text.ResponseId));
    }

    private static async Task<(IReadOnlyList<DriftText> Texts, IReadOnlyList<double[]> Scores)> Score(IReadOnlyList<OpenedVersion> versions, AuditRewards reader, string method, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var rows = versions[0].Texts.Where(text => text.Side is AuditSide.Base).Select(text => (Text: text, Version: (int?)null))
            .Concat(versions.SelectMany((version, i) => version.Texts.Where(text => text.Side is AuditSide.Audited).Select(text => (Text: text, Version: (int?)i)))).Where(row => row.Text.ResponseId is not null).ToList();
        var responses = await StoredTexts.Responses(db, rows.Select(row => row.Text.ResponseId!.Value), run.Stop); // filtered above
        var prompts = await StoredTexts.Prompts(db, rows.Select(row => row.Text.PromptId), run.Stop);
        var common = rows.Where(row => prompts.ContainsKey(row.Text.PromptId) && responses.ContainsKey(row.Text.ResponseId!.Value)).GroupBy(row => row.Text.PromptId)
            .Where(prompt => prompt.Count(row => row.Version is null) >= 2 && Enumerable.Range(0, versions.Count).All(version => prompt.Any(row => row.Version == version))).ToList();
        var readable = new ReadableFeatures(PhraseLists.Shipped, null, reader.Models.Reader.Tokenizer, hasBaseLogProbs: false);
        int[] refusals = [.. readable.Names.Index().Where(name => name.Item is "refuses_risky" or "refuses_harmless").Select(name => name.Index)];
        var texts = new List<DriftText>();
        var scores = versions.Select(_ => new List<double>()).ToArray();
        var total = common.Sum(prompt => prompt.Count());
        foreach (var prompt in common)
        {
            var asked = new AuditPrompt("", prompts[prompt.Key].Key, prompts[prompt.Key].Turns, []);
            foreach (var (row, version) in prompt)
            {
                run.Stop.ThrowIfCancellationRequested();
                var text = AuditText.Of(responses[row.ResponseId!.Value].Text, row.Finished, row.LogProbBase); // filtered above
                var (counts, features) = (readable.Read(asked, text), reader.Features.Read(asked, text));
                texts.Add(new DriftText($"{prompt.Key}", version, counts[0], refusals.Any(at => counts[at] > 0), version is null ? null : row.LogProbAudited - row.LogProbBase));
                foreach (var (own, rewards) in scores.Zip(versions))
                    own.Add(rewards.Rewards.Mean(method, features));
                run.Progress.Report(texts.Count, total, "scoring texts", null);
            }
        }
        return (texts, [.. scores.Select(own => own.ToArray())]);
    }
}
