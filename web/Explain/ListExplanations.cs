using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Web.Accounts;

namespace Portal.Web.Explain;

/// <summary>One explanation of the list.</summary>
/// <param name="Question">The prompt's last question; empty once erased.</param>
/// <param name="Text">The response; null once erased.</param>
/// <param name="Model">The reward model, as people call it.</param>
/// <param name="Marks">Pairs of it that somebody marked.</param>
public sealed record ExplanationRow(Explanation Explanation, string Question, string? Text, string Model, int Marks);

/// <summary>Explanations that wait, run, or failed since the last one that ended.</summary>
public sealed record ExplanationJob(JobId Id, int Number, JobState State, int Responses, int Step, int StepsTotal, string Phase, string? FailReason, DateTimeOffset At);

/// <summary>A page of explanations.</summary>
/// <param name="Page">0-based, within range.</param>
/// <param name="HasRewardModel">There is something to explain with.</param>
public sealed record ExplanationList(IReadOnlyList<ExplanationRow> Rows, IReadOnlyList<ExplanationJob> Jobs, int Total, int Page, bool HasRewardModel)
{
    public bool HasMore => (Page + 1) * ListExplanations.RowsMax < Total;
}

/// <summary>The explanations of a project, newest first.</summary>
[Needs(Permission.Review)]
public sealed class ListExplanations(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 25;
    private const int JobsMax = 10;

    /// <param name="confidence">Null for all.</param>
    /// <param name="job">Those of one job; null for all.</param>
    /// <param name="page">0-based; outside the range the nearest is shown.</param>
    public async Task<Outcome<ExplanationList>> Handle(ClaimsPrincipal user, ProjectId project, ExplanationConfidence? confidence, JobId? job, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over the index (ProjectId, At).
        var all = db.Explanations.AsNoTracking().Where(e => e.ProjectId == project && (confidence == null || e.Confidence == confidence) && (job == null || e.JobId == job));
        var total = await all.CountAsync(stop);
        var at = Math.Clamp(page, 0, Math.Max(0, (total - 1) / RowsMax));
        var rows = await (from e in all
                          orderby e.At descending, e.Id descending
                          join r in db.Responses on e.ResponseId equals r.Id
                          join c in db.Contents on r.ContentId equals c.Id
                          join p in db.Prompts on r.PromptId equals p.Id
                          join pc in db.Contents on p.ContentId equals pc.Id
                          join m in db.ModelVersions on e.RewardModelId equals m.Id
                          select new { Explanation = e, c.Text, Prompt = pc.Text, Model = m, Marks = db.PairMarks.Where(k => k.ExplanationId == e.Id).Select(k => k.JudgementId).Distinct().Count() })
            .Skip(at * RowsMax).Take(RowsMax).ToListAsync(stop);
        return new ExplanationList([.. rows.Select(row => new ExplanationRow(row.Explanation, Conversation.LastQuestion(Conversation.Parse(row.Prompt)), row.Text, row.Model.Label, row.Marks))],
            at == 0 ? await Jobs(db, project, rows.Count > 0 ? rows[0].Explanation.At : null, stop) : [], total, at,
            await db.ModelVersions.AnyAsync(v => v.ProjectId == project && v.Kind == Data.Registry.ModelKind.RewardModel && v.Status != Data.Registry.ModelStatus.Retired, stop));
    }

    private static async Task<IReadOnlyList<ExplanationJob>> Jobs(PortalDbContext db, ProjectId project, DateTimeOffset? last, CancellationToken stop)
    {
        // Over IX_Jobs_ProjectId_Number.
        var jobs = await db.Jobs.AsNoTracking().Where(j => j.ProjectId == project && j.Kind == nameof(ExplainResponses) && (j.State == JobState.Queued || j.State == JobState.Running || (j.State == JobState.Failed && (last == null || j.FinishedAt > last))))
            .OrderByDescending(j => j.Number).Take(JobsMax).ToListAsync(stop);
        return [.. jobs.Select(job => (job, Spec: (ExplainResponses)JobSpec.FromJson(job.SpecJson))).Select(entry => new ExplanationJob(entry.job.Id, entry.job.Number, entry.job.State, entry.Spec.FlagIds.Count + entry.Spec.ResponseIds.Count,
            entry.job.Step, entry.job.StepsTotal, entry.job.Phase, entry.job.FailReason, entry.job.CreatedAt))];
    }
}
