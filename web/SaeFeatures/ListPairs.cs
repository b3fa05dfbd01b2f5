using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Api;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>A judged pair to choose from.</summary>
/// <param name="Question">Empty once erased.</param>
/// <param name="ForFirst">Latest judgements that prefer the first response.</param>
/// <param name="ForSecond">Those that prefer the second one.</param>
/// <param name="Other">Ties and the like.</param>
/// <param name="Reward">Reward of the first minus that of the second; null where the model was not asked, or a text was erased.</param>
public sealed record PairLine(TaskId TaskId, string Question, string? Topic, int ForFirst, int ForSecond, int Other, DateTimeOffset At, double? Reward)
{
    /// <summary>What the majority prefers: 1 the first, −1 the second, 0 neither.</summary>
    public int People => Math.Sign(ForFirst - ForSecond);

    /// <summary>Model and majority prefer different ones. Null where one of the two says nothing.</summary>
    public bool? Disagrees => Reward is { } reward && reward != 0 && People != 0 ? Math.Sign(reward) != People : null;
}

/// <summary>Judged pairs.</summary>
/// <param name="Compared">Pairs whose rewards were asked for; 0 where nobody asked.</param>
/// <param name="Refused">Why the engine did not answer.</param>
public sealed record PairList(IReadOnlyList<FeatureVersion> Versions, FeatureVersion? Version, IReadOnlyList<PairLine> Rows, int Compared, Refusal? Refused);

/// <summary>Where one pair stands in a list: the pairs before and after it.</summary>
/// <param name="Previous">Null at the top of the list.</param>
/// <param name="Next">Null at its end.</param>
public sealed record PairPlace(TaskId? Previous, TaskId? Next);

/// <summary>Pairs to look into: the latest judged ones, or those of the latest on which model and people disagree.</summary>
[Needs(Permission.Review)]
public sealed class ListPairs(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    public const int RowsMax = 40;

    /// <summary>Pairs that are scored in one go: two responses each, as many as the door takes.</summary>
    public const int ComparedMax = ScoreRequest.ItemsMax / 2;

    /// <summary>Judgements looked through for different pairs.</summary>
    private const int JudgementsMax = 1_000;

    /// <param name="disagreements">Asks the reward model about the latest pairs and shows those it orders otherwise than the majority, largest difference first.</param>
    public async Task<Outcome<PairList>> Handle(ClaimsPrincipal user, ProjectId project, ModelVersionId? wanted, bool disagreements, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var versions = await FeatureVersions.Load(db, project, stop);
        var version = FeatureVersions.Choose(versions, wanted);
        if (version is null && wanted is not null)
            return FeatureVersions.Unknown;
        var chosen = (await Latest(db, project, stop)).Take(disagreements ? ComparedMax : RowsMax).ToList();
        var votes = await db.PairwiseJudgements.AsNoTracking().Where(j => chosen.Contains(j.TaskId) && j.SupersededAt == null)
            .Select(j => new { j.TaskId, j.PreferredResponseId, j.SubmittedAt }).ToListAsync(stop);
        var tasks = await db.Tasks.AsNoTracking().Where(t => chosen.Contains(t.Id) && t.SecondResponseId != null).ToDictionaryAsync(t => t.Id, stop);
        var prompts = tasks.Values.Select(t => t.PromptId).Distinct().ToList();
        var questions = await (from p in db.Prompts.AsNoTracking()
                               join c in db.Contents on p.ContentId equals c.Id
                               where prompts.Contains(p.Id)
                               select new { p.Id, c.Text, p.Topic }).ToDictionaryAsync(p => p.Id, stop);
        var rewards = new Dictionary<ResponseId, double>();
        Refusal? why = null;
        if (disagreements && version is not null)
            why = await Score(db, version, [.. tasks.Values.SelectMany(t => new[] { t.FirstResponseId, t.SecondResponseId!.Value })], rewards, stop); // filtered
        var lines = new List<PairLine>();
        foreach (var id in chosen)
        {
            if (!tasks.TryGetValue(id, out var task) || !questions.TryGetValue(task.PromptId, out var question))
                continue;
            var said = votes.Where(v => v.TaskId == id).ToList();
            lines.Add(new PairLine(id, Conversation.LastQuestion(Conversation.Parse(question.Text)), question.Topic, said.Count(v => v.PreferredResponseId == task.FirstResponseId),
                said.Count(v => v.PreferredResponseId == task.SecondResponseId), said.Count(v => v.PreferredResponseId is null), said.Max(v => v.SubmittedAt),
                rewards.TryGetValue(task.FirstResponseId, out var first) && rewards.TryGetValue(task.SecondResponseId!.Value, out var second) ? first - second : null)); // filtered
        }
        var compared = lines.Count(line => line.Reward is not null);
        return new PairList(versions, version,
            disagreements && why is null ? [.. lines.Where(line => line.Disagrees is true).OrderByDescending(line => Math.Abs(line.Reward!.Value)).Take(RowsMax)] : [.. lines.Take(RowsMax)], // has a reward
            compared, why);
    }

    /// <summary>The neighbours of a pair in the list that a reader came from. A pair that the list does not hold has none; nor has one where the engine does not answer.</summary>
    public async Task<Outcome<PairPlace>> Place(ClaimsPrincipal user, ProjectId project, TaskId task, ModelVersionId? wanted, bool disagreements, CancellationToken stop)
    {
        List<TaskId> listed;
        if (disagreements)
        {
            var list = await Handle(user, project, wanted, disagreements: true, stop);
            if (list.Refusal is { } refusal)
                return refusal;
            listed = list.Value.Refused is null ? [.. list.Value.Rows.Select(row => row.TaskId)] : [];
        }
        else
        {
            var asked = await access.Check(user, Permission.Review, stop);
            if (asked.Refusal is { } refusal)
                return refusal;
            await using var db = await contexts.CreateDbContextAsync(stop);
            listed = await Latest(db, project, stop);
        }
        return listed.IndexOf(task) is >= 0 and var at
            ? new PairPlace(at == 0 ? null : listed[at - 1], at + 1 == listed.Count ? null : listed[at + 1])
            : new PairPlace(null, null);
    }

    /// <summary>Pairs by their latest judgement, latest first. (ProjectId, SubmittedAt) gives the judgements; tasks and texts follow by key.</summary>
    private static async Task<List<TaskId>> Latest(PortalDbContext db, ProjectId project, CancellationToken stop) =>
        [.. (await db.PairwiseJudgements.AsNoTracking().Where(j => j.ProjectId == project && j.SupersededAt == null)
            .OrderByDescending(j => j.SubmittedAt).ThenByDescending(j => j.Id).Take(JudgementsMax).Select(j => j.TaskId).ToListAsync(stop)).Distinct()];

    /// <summary>The same pairs as a file, without their texts: those can be erased, a file cannot.</summary>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, ProjectId project, ModelVersionId? wanted, bool disagreements, CancellationToken stop)
    {
        var listed = await Handle(user, project, wanted, disagreements, stop);
        if ((listed.Refusal ?? listed.Value.Refused) is { } refusal)
            return refusal;
        return TableFile.Of("pairs", ["task", "for_first", "for_second", "neither", "reward_difference", "at"], listed.Value.Rows.Select(row =>
            (IReadOnlyList<object?>)[row.TaskId.ToString(), row.ForFirst, row.ForSecond, row.Other, row.Reward, row.At.UtcDateTime.ToString("O")]));
    }

    /// <summary>Rewards of the responses whose texts are there.</summary>
    private async Task<Refusal?> Score(PortalDbContext db, FeatureVersion version, IReadOnlyList<ResponseId> ids, Dictionary<ResponseId, double> rewards, CancellationToken stop)
    {
        var texts = (await XrayTexts.Load(db, [.. ids.Distinct()], stop)).Where(text => !text.IsErased).ToList();
        if (texts.Count == 0)
            return null;
        var answer = await engine.Score(new ScoreRequest($"{version.Id}", texts.ConvertAll(text => new ScoreItem(text.Prompt, text.Text!))), stop); // not erased
        if (answer.Refusal is { } refusal)
            return refusal;
        foreach (var (text, score) in texts.Zip(answer.Value.Scores))
            rewards[text.Id] = score.Reward;
        return null;
    }
}
