using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>One of the annotator's latest judgements, in a line.</summary>
public sealed record LastRow(JudgementId Id, string Question, BinaryVerdict Verdict);

/// <summary>The annotator's own last five binary judgements in a project, so that a slip is seen at once.</summary>
[Needs(Permission.Vote)]
public sealed class ListLast(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 5;

    public async Task<Outcome<IReadOnlyList<LastRow>>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Index (AnnotatorId, SubmittedAt).
        var rows = await (from j in db.BinaryJudgements.AsNoTracking()
                          join t in db.Tasks on j.TaskId equals t.Id
                          join p in db.Prompts on t.PromptId equals p.Id
                          join c in db.Contents on p.ContentId equals c.Id
                          where j.AnnotatorId == annotator && j.ProjectId == projectId && j.SupersededAt == null && j.AssignmentId != null
                          orderby j.SubmittedAt descending
                          select new { j.Id, c.Text, j.Verdict }).Take(RowsMax).ToListAsync(stop);
        IReadOnlyList<LastRow> last = [.. rows.Select(r => new LastRow(r.Id, Conversation.LastQuestion(Conversation.Parse(r.Text)), r.Verdict))];
        return new Outcome<IReadOnlyList<LastRow>>.Done(last); // an interface does not convert by itself
    }
}
