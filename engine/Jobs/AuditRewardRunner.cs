using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Audits;
using Portal.Engine.Endpoints;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>Two policies, the project's prompts, and what reward would explain how they differ: a report whose numbers are files and whose texts are rows.</summary>
/// <remarks>
/// What is asked of whom is decided when the job first runs and noted beside its checkpoint; completions are kept chunk by chunk, so a run after a crash goes on with the next chunk, and a report that is whole is
/// not made again. Rows are stored in small writes under the job's id before it ends; nothing shows them before the audit's row is there, and a job that fails removes them and the folder.
/// </remarks>
/// <param name="guard">Which machines endpoints may be; null: as the operator of this process set it.</param>
public sealed class AuditRewardRunner(AddressGuard? guard = null) : IJobRunner<AuditReward>
{
    private const string NoteFile = "audit.json", ReportFolder = "report", TextsFolder = "texts";

    private sealed record Note(ModelVersionId Base, IReadOnlyList<PromptId> Prompts, IReadOnlyList<PromptId> OfTraining);

    /// <inheritdoc/>
    public async Task<JobResult> Run(AuditReward spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var work = JobRun.CheckpointFolder(run.Directory, run.JobId);
        var context = new RecipeContext(Path.Combine(work, ReportFolder), Path.Combine(work, TextsFolder), spec.Seed, run.Progress, run.Time, run.Stop);
        if (spec.Sampling is { TopK: > 0 } && (spec.AuditedEndpointId ?? spec.BaseEndpointId) is not null)
            throw new CannotTrain("sampling: topK must be 0 where an endpoint answers: its API has none, so the two policies would be asked in different ways.");
        var store = new ModelStore(run);
        var noted = Read(Path.Combine(work, NoteFile));
        var versions = await AuditedVersions.Find(spec, noted?.Base, run, store);
        var note = noted ?? await Decide(spec, versions, run, work, context);
        // What the report keeps names all that took part, also what the spec left to the project.
        spec = spec with { BaseId = versions.Base.Id };
        var lexicon = LexiconOf(spec, run);
        var asked = new ProjectPrompts(note.Prompts, note.OfTraining);

        var report = Finished(context.ArtefactFolder) ?? await Audit(spec, versions, asked, lexicon, run, store, context);
        run.Progress.Report(0, 0, "storing texts", null);
        var stored = new StoredAudit(run, spec, versions);
        await stored.Remove();
        var trained = note.OfTraining.ToHashSet();
        var prompts = AuditLines.Read<AuditPrompt>(context.ArtefactFolder, AuditLines.PromptsFile).Select(prompt => PromptId.Parse(prompt.Id, null)).ToList();
        await stored.Texts(AuditLines.Read<AuditText>(context.ArtefactFolder, AuditLines.TextsFile));
        var manifest = stored.Numbers(context.ArtefactFolder);
        context.Log($"{versions.AuditedName} against {versions.BaseName}: {report.Census.Pairs} pairs of {report.Census.Prompts} prompts. {Sentence(report.Verdict)}");
        return new JobResult($"/audits/{run.JobId}", db =>
        {
            var isSynthetic = db.Projects.Where(p => p.Id == run.ProjectId).Select(p => p.IsSynthetic).First() || versions.Base.IsSynthetic || versions.Audited is { IsSynthetic: true };
            var audit = stored.Row(db, report, manifest, prompts.Count, prompts.Count(trained.Contains), isSynthetic, Sentence(report.Verdict));
            db.PolicyAudits.Add(audit);
            AuditChain.Append(db, run.Time.GetUtcNow(), run.CreatedBy, "policy.audit", "audit", $"{run.JobId}", new
            {
                audit.Number, audited = $"{versions.Audited?.Id.Value ?? versions.AuditedEndpoint!.Id.Value}", @base = $"{versions.BaseEndpoint?.Id.Value ?? versions.Base.Id.Value}", manifest, job = run.Number,
            });
        });
    }

    /// <inheritdoc/>
    public async Task Discard(AuditReward spec, JobRun run)
    {
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
            if (await db.PolicyAudits.AnyAsync(a => a.JobId == run.JobId, run.Stop))
                return; // it came to be after all
        await StoredAudit.Remove(run);
    }

    /// <summary>Where a job that has not run yet finds a whole report, if somebody made one for it.</summary>
    internal static string ReportOf(DataDirectory directory, JobId job) => Path.Combine(JobRun.CheckpointFolder(directory, job), ReportFolder);

    /// <summary>The verdict in one sentence: why it is grey, or what speaks against the policy, or else what was found.</summary>
    internal static string Sentence(AuditVerdictStrip verdict)
    {
        AuditLight[] lights = [verdict.Spurious, verdict.Faithful, verdict.Identifiable];
        var sentence = verdict.Reasons is [{ } reason, ..] ? reason.Sentence : (lights.FirstOrDefault(light => light.State is AuditLightState.No) ?? lights.FirstOrDefault(light => light.State is AuditLightState.NotEnoughEvidence) ?? verdict.Faithful).Sentence;
        return sentence.Length <= PolicyAudit.SentenceLengthMax ? sentence : $"{sentence[..(PolicyAudit.SentenceLengthMax - 4)]} ...";
    }

    private static Note? Read(string path) => File.Exists(path) ? JsonSerializer.Deserialize<Note>(File.ReadAllText(path)) : null;

    private static async Task<Note> Decide(AuditReward spec, AuditedVersions versions, JobRun run, string work, RecipeContext context)
    {
        context.Report(0, 0, "collecting prompts");
        if (spec.PromptsMax < 1)
            throw new CannotTrain($"promptsMax is {spec.PromptsMax}; it must be at least 1.");
        var prompts = await ProjectPrompts.Draw(spec, ProjectPrompts.RulesOf(spec, versions.Audited), run);
        context.Log($"{versions.AuditedName} is audited against {versions.BaseName} on {prompts.Ids.Count} prompts of the project{(spec.PromptSource is AuditPromptSource.HeldOut ? ", all held out" : "")}.");
        if (prompts.OfTraining.Count > 0)
            context.Warn($"{prompts.OfTraining.Count} of the prompts are of the part that the project's models are trained on: what a policy learnt by heart there looks like a preference.");
        var note = new Note(versions.Base.Id, prompts.Ids, prompts.OfTraining);
        ArtefactFile.Write(Path.Combine(work, NoteFile), file => JsonSerializer.Serialize(file, note));
        return note;
    }

    private async Task<AuditReport> Audit(AuditReward spec, AuditedVersions versions, ProjectPrompts asked, Lexicon? lexicon, JobRun run, ModelStore store, RecipeContext context)
    {
        var prompts = await asked.Read(run);
        using var models = await AuditModels.Open(versions, run, store, guard ?? AddressGuard.FromEnvironment());
        var report = await AuditRewardRecipe.Run(spec, new AuditInputs(prompts, models.Audited, models.Base, models.Reader) { Sae = models.Sae, Reference = models.Reference, Lexicon = lexicon }, context);
        foreach (var outside in new[] { models.Audited, models.Base }.OfType<EndpointTexts>())
            context.Log(outside.Account);
        return report;
    }

    /// <summary>The report of an earlier run of this job that was stopped while it stored; null where there is none, or not a whole one.</summary>
    private static AuditReport? Finished(string folder)
    {
        try
        {
            return AuditLines.Changed(folder).Count == 0 ? AuditReport.FromJson(File.ReadAllBytes(Path.Combine(folder, AuditReport.FileName))) : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static Lexicon? LexiconOf(AuditReward spec, JobRun run)
    {
        if (spec.Lexicon is not { } name)
            return null;
        var path = Path.Combine(run.Directory.Lexicons, $"{name}.json");
        return AuditReward.IsLexiconName(name) && File.Exists(path) ? Lexicon.Read(path)
            : throw new CannotTrain("lexicon: there is no list of words of this name. An operator puts it into the data directory, lexicons/NAME.json.");
    }
}
