using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Datasets;

/// <summary>Has the policy that serves answer prompts, and makes annotation tasks of the answers: of the kinds the project offers.</summary>
[Needs(Permission.Administer)]
public sealed class SampleForTasks(WriteQueue writes, StartJob start, Access access)
{
    /// <param name="prompts">How many prompts, 1 to 5,000; those with the fewest responses come first.</param>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ProjectId projectId, int prompts, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await writes.WriteAsync<StartedJob>(db =>
        {
            if (db.Projects.AsNoTracking().FirstOrDefault(p => p.Id == projectId) is not { } project)
                return new Problem("project", "This project is gone.", ProblemKind.NotFound);
            if (!db.Prompts.Any(p => p.ProjectId == projectId))
                return new Problem("prompts", "There is no prompt to answer yet. Import some first.", ProblemKind.Conflict);
            var spec = new SampleResponses { Prompts = prompts, Tasks = project.TaskKinds is TaskKinds.None ? TaskKinds.Pairwise : project.TaskKinds };
            return SpecChecks.Of(spec) is { Count: > 0 } problems ? new Refusal(problems) : StartedJob.In(db, () => start.Start(db, asked.Value, projectId, spec, null));
        }, stop);
    }
}
