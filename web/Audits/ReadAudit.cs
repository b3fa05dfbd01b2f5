using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>A model that takes part in an audit, as it stands today.</summary>
/// <param name="Name">As it was called when it was audited.</param>
/// <param name="Path">Its page; null where it has none any more.</param>
/// <param name="IsRetired">It may not serve or be asked again; the audit stays.</param>
public sealed record AuditedModel(string Name, string? Path, bool IsRetired);

/// <summary>An audit and its report.</summary>
/// <param name="By">Who asked for it; null when the system did, or the account is gone.</param>
/// <param name="Reference">The trained reward model it was compared with; null: none.</param>
/// <param name="Sae">Whose latents are rows of the second incentive table; null: none.</param>
public sealed record EndedAudit(PolicyAudit Row, AuditReport Report, AuditFolder Folder, string? By, AuditedModel Audited, AuditedModel Base, AuditedModel? Reference, AuditedModel? Sae)
{
    /// <summary>Re-RL checks that ended, newest first, at most <see cref="ReadAudit.ReRlMax"/>.</summary>
    public required IReadOnlyList<ReRlRun> ReRlRuns { get; init; }

    /// <summary>Whether who asks may start one.</summary>
    public required bool MayCheckReRl { get; init; }

    /// <summary>Jobs of re-RL checks that wait or run.</summary>
    public required IReadOnlyList<Job> ReRlUnderWay { get; init; }
}

/// <summary>What stands at an audit's address.</summary>
/// <param name="FailReason">Why the job failed; null otherwise.</param>
/// <param name="Ended">Null while the job has not ended, or when it did not succeed.</param>
public sealed record OpenedAudit(JobId JobId, ProjectId ProjectId, int JobNumber, JobState JobState, string? FailReason, AuditReward Spec, EndedAudit? Ended);

/// <summary>A text of an audit as it is stored now.</summary>
/// <param name="Id">As the report names it.</param>
/// <param name="Prompt">Empty once erased.</param>
/// <param name="Text">Null once it, or the prompt it answers, was erased; and where none was written.</param>
/// <param name="Problem">Why none was written; null where one was.</param>
public sealed record AuditTextShown(string Id, PromptId PromptId, IReadOnlyList<Turn> Prompt, string? Topic, AuditSide Side, AuditPart Part, int Ordinal, CompletionStatus Status, ResponseId? ResponseId,
    string? Text, bool Finished, double? LogProbAudited, double? LogProbBase, string? Problem)
{
    /// <summary>There was a text, and it was erased since, or its prompt was.</summary>
    public bool IsErased => Status is CompletionStatus.Written && Text is null;
}

/// <summary>Reads an audit: its row, its report from the folder whose hashes must be the stored ones, and texts by the ids the report names them by.</summary>
[Needs(Permission.Audit)]
public sealed class ReadAudit(IDbContextFactory<PortalDbContext> contexts, Access access, DataDirectory directory)
{
    /// <summary>Texts of one question; pages ask for what they show.</summary>
    public const int TextsMax = 200;

    /// <summary>Re-RL checks of an audit that are shown.</summary>
    public const int ReRlMax = 20;

    private static readonly Problem Gone = new("audit", "There is no audit at this address.", ProblemKind.NotFound);

    /// <summary>An audit, or how far its job is.</summary>
    /// <returns>Or that there is none, or that a file of its report is missing or changed.</returns>
    public async Task<Outcome<OpenedAudit>> Handle(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id && j.Kind == nameof(AuditReward), stop) is not { } job)
            return Gone;
        var opened = new OpenedAudit(id, job.ProjectId, job.Number, job.State, job.FailReason, (AuditReward)JobSpec.FromJson(job.SpecJson), null);
        if (await db.PolicyAudits.AsNoTracking().FirstOrDefaultAsync(a => a.JobId == id, stop) is not { } row)
            return opened;
        var folder = AuditFolder.Open(directory, row);
        if (folder.Refusal is { } damaged)
            return damaged;
        var report = folder.Value.Report();
        if (report.Refusal is { } unread)
            return unread;
        ModelVersionId?[] named = [row.AuditedId, row.BaseId, row.ReferenceId, row.SaeId];
        var versions = await db.ModelVersions.AsNoTracking().Where(v => named.Contains(v.Id)).ToDictionaryAsync(v => v.Id, stop);
        PolicyEndpointId?[] outside = [row.AuditedEndpointId, row.BaseEndpointId];
        var retired = await db.PolicyEndpoints.AsNoTracking().Where(e => outside.Contains(e.Id)).ToDictionaryAsync(e => e.Id, e => e.RetiredAt is not null, stop);
        var by = await db.Users.AsNoTracking().Where(a => a.Id == row.CreatedBy).Select(a => a.DisplayName).FirstOrDefaultAsync(stop);
        return opened with
        {
            Ended = new EndedAudit(row, report.Value, folder.Value, by, Policy(row.AuditedName, row.AuditedId, row.AuditedEndpointId), Policy(row.BaseName, row.BaseId, row.BaseEndpointId), Model(row.ReferenceId), Model(row.SaeId))
            {
                // Over the index (AuditJobId, At).
                ReRlRuns = await db.ReRlRuns.AsNoTracking().Where(r => r.AuditJobId == id).OrderByDescending(r => r.At).Take(ReRlMax).ToListAsync(stop), ReRlUnderWay = StartCheckReRl.Open(db, row),
                MayCheckReRl = asked.Value.May(Permission.Administer),
            },
        };

        AuditedModel Policy(string name, ModelVersionId? version, PolicyEndpointId? endpoint) => endpoint is { } outer
            ? new AuditedModel(name, null, retired.GetValueOrDefault(outer, true)) // endpoints have no page of their own that auditors may see
            : new AuditedModel(name, version is { } own && versions.ContainsKey(own) ? $"models/{own}" : null, version is not { } known || versions.GetValueOrDefault(known)?.Status is null or ModelStatus.Retired);

        AuditedModel? Model(ModelVersionId? version) => version is not { } own ? null
            : versions.TryGetValue(own, out var found) ? new AuditedModel(found.Label, $"models/{own}", found.Status is ModelStatus.Retired) : new AuditedModel($"{own}", null, true);
    }

    /// <summary>An audit that has ended.</summary>
    /// <param name="notYet">Said where it has not, or failed.</param>
    public async Task<Outcome<EndedAudit>> Ended(ClaimsPrincipal user, JobId id, Problem notYet, CancellationToken stop)
    {
        var opened = await Handle(user, id, stop);
        return opened.Refusal is { } refusal ? refusal : opened.Value.Ended is { } ended ? ended : notYet;
    }

    /// <summary>Both texts of pairs by their ids, asked for in as many questions as needed. Ids whose rows are gone are left out.</summary>
    public async Task<Outcome<IReadOnlyDictionary<string, AuditTextShown>>> OfPairs(ClaimsPrincipal user, JobId id, IEnumerable<AuditPair> pairs, CancellationToken stop)
    {
        var shown = new Dictionary<string, AuditTextShown>(StringComparer.Ordinal);
        foreach (var some in pairs.DistinctBy(pair => pair.Id).SelectMany(pair => new[] { pair.AuditedText, pair.BaseText }).Chunk(TextsMax))
        {
            var found = await Texts(user, id, some, stop);
            if (found.Refusal is { } why)
                return why;
            foreach (var text in found.Value)
                shown[text.Id] = text;
        }
        return shown;
    }

    /// <summary>Texts of an audit.</summary>
    /// <param name="ids">As the report names them, at most <see cref="TextsMax"/>. Ids that the audit does not have are left out.</param>
    /// <returns>In the order asked.</returns>
    public async Task<Outcome<IReadOnlyList<AuditTextShown>>> Texts(ClaimsPrincipal user, JobId id, IReadOnlyCollection<string> ids, CancellationToken stop)
    {
        if (ids.Count > TextsMax)
            return new Problem("texts", $"{ids.Count} texts were asked for; at most {TextsMax} are read at once.", ProblemKind.TooMuch);
        var wanted = ids.Select(AuditTextId.Parse).OfType<AuditTextId>().ToList();
        var found = await Rows(user, id, [.. wanted.Select(text => text.PromptId).Distinct()], stop);
        if (found.Refusal is { } refusal)
            return refusal;
        var byId = found.Value.ToDictionary(text => text.Id, StringComparer.Ordinal);
        return new Outcome<IReadOnlyList<AuditTextShown>>.Done([.. wanted.Select(text => byId.GetValueOrDefault($"{text}")).OfType<AuditTextShown>()]);
    }

    /// <summary>All texts of some prompts: audited completions, then the base's, each in order.</summary>
    /// <param name="prompts">At most <see cref="PromptsMax"/>.</param>
    public async Task<Outcome<IReadOnlyList<AuditTextShown>>> OfPrompts(ClaimsPrincipal user, JobId id, IReadOnlyCollection<PromptId> prompts, CancellationToken stop)
    {
        if (prompts.Count > PromptsMax)
            return new Problem("prompts", $"Texts of {prompts.Count} prompts were asked for; at most {PromptsMax} are read at once.", ProblemKind.TooMuch);
        return await Rows(user, id, prompts, stop);
    }

    /// <summary>Prompts of one question: each may have 128 texts.</summary>
    public const int PromptsMax = 20;

    private async Task<Outcome<IReadOnlyList<AuditTextShown>>> Rows(ClaimsPrincipal user, JobId id, IReadOnlyCollection<PromptId> prompts, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (!await db.PolicyAudits.AnyAsync(a => a.JobId == id, stop))
            return Gone; // texts of an audit that has not ended are not shown
        // Over (JobId, PromptId, Side, Ordinal), then primary keys.
        var rows = await (from text in db.AuditTexts.AsNoTracking()
                          where text.JobId == id && prompts.Contains(text.PromptId)
                          join prompt in db.Prompts on text.PromptId equals prompt.Id
                          join question in db.Contents on prompt.ContentId equals question.Id
                          join response in db.Responses on text.ResponseId equals response.Id into responses
                          from response in responses.DefaultIfEmpty()
                          join answer in db.Contents on response.ContentId equals answer.Id into answers
                          from answer in answers.DefaultIfEmpty()
                          orderby text.PromptId, text.Side, text.Ordinal
                          select new { Row = text, prompt.Topic, Prompt = question.Text, answer.Text }).ToListAsync(stop);
        // What answers an erased prompt may repeat it, so it goes with the prompt.
        return new Outcome<IReadOnlyList<AuditTextShown>>.Done([.. rows.Select(row => new AuditTextShown($"{row.Row.TextId}", row.Row.PromptId, Conversation.Parse(row.Prompt), row.Prompt is null ? null : row.Topic, row.Row.Side,
            row.Row.Part, row.Row.Ordinal, row.Row.Status, row.Row.ResponseId, row.Prompt is null ? null : row.Text, row.Row.Finished, row.Row.LogProbAudited, row.Row.LogProbBase, row.Row.Problem))]);
    }
}
