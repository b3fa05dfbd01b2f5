using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Api;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>One feature's part in a difference of rewards.</summary>
/// <param name="First">Its contribution to the first response's reward; 0 where it does not fire.</param>
public sealed record PairPart(int Latent, string? Label, double Weight, double First, double Second)
{
    /// <summary>What it adds to the first response's reward over the second's.</summary>
    public double Difference => First - Second;
}

/// <summary>What people said about a pair.</summary>
/// <param name="Voter">A pseudonym.</param>
public sealed record PairVote(string Voter, bool IsSimulated, PairwiseVerdict Verdict, ResponseId? Preferred, int? Strength);

/// <summary>Two responses to one prompt, taken apart together.</summary>
/// <param name="Parts">Features that differ, largest difference first; together the difference of the rewards.</param>
/// <param name="Shared">Features that are not 0 in both with equal contributions: they cancel out.</param>
/// <param name="Heat">Of each feature whose heat was asked for, its activation at the tokens of the first and of the second response.</param>
public sealed record PairXrayView(TaskId? TaskId, XrayText First, XrayText Second, IReadOnlyList<PairVote> Votes, IReadOnlyList<FeatureVersion> Versions, FeatureVersion? Version,
    FeatureXray? FirstXray, FeatureXray? SecondXray, IReadOnlyList<PairPart> Parts, int Shared, IReadOnlyDictionary<int, (TokenHeat First, TokenHeat Second)> Heat, Refusal? Refused)
{
    /// <summary>Reward of the first minus that of the second; null where the engine did not answer.</summary>
    public double? Difference => FirstXray?.Reward - SecondXray?.Reward;
}

/// <summary>Asks the engine which features make a reward model prefer one response over another, and sets what people said beside it.</summary>
[Needs(Permission.Review)]
public sealed class ShowPairXray(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    /// <summary>Features whose heat the page offers.</summary>
    public const int HeatShown = 6;

    /// <summary>Contributions this close cancel out: what rounding leaves of equal float32 values.</summary>
    private const double Equal = 1e-7;

    /// <summary>The pair of an annotation task.</summary>
    public async Task<Outcome<PairXrayView>> OfTask(ClaimsPrincipal user, TaskId id, ModelVersionId? wanted, int? heat, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Tasks.AsNoTracking().FirstOrDefaultAsync(t => t.Id == id, stop) is not { } task)
            return new Problem("task", "This pair is gone, or was never here.", ProblemKind.NotFound);
        return task.SecondResponseId is { } second
            ? await Show(db, task.FirstResponseId, second, id, wanted, heat, stop)
            : new Problem("task", "This task asks about one response; open the response's own X-ray.", ProblemKind.NotFound);
    }

    /// <summary>Any two responses to one prompt.</summary>
    public async Task<Outcome<PairXrayView>> OfResponses(ClaimsPrincipal user, ResponseId first, ResponseId second, ModelVersionId? wanted, int? heat, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (first == second)
            return new Problem("second", "A response is not compared with itself; open its own X-ray.");
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await Show(db, first, second, null, wanted, heat, stop);
    }

    /// <summary>The differences as a file.</summary>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, ResponseId first, ResponseId second, ModelVersionId? wanted, CancellationToken stop)
    {
        var shown = await OfResponses(user, first, second, wanted, null, stop);
        if (shown.Refusal is { } refusal)
            return refusal;
        if (shown.Value.Difference is not { } difference)
            return shown.Value.Refused ?? (shown.Value.Version is null ? new Refusal([FeatureVersions.None]) : new Refusal([new Problem("response", "A text of this pair was erased.", ProblemKind.NotFound)]));
        return TableFile.Of($"pair-{first}-{second}", ["feature", "label", "weight", "first", "second", "difference", "difference_without"],
            shown.Value.Parts.Select(part => (IReadOnlyList<object?>)[part.Latent, part.Label, part.Weight, part.First, part.Second, part.Difference, difference - part.Difference]));
    }

    /// <summary>What people said about the pair, as a file. It needs no reward model and no text.</summary>
    public async Task<Outcome<TableFile>> VotesTable(ClaimsPrincipal user, ResponseId first, ResponseId second, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var texts = (await XrayTexts.Load(db, [first, second], stop)).ToDictionary(text => text.Id);
        if (!texts.TryGetValue(first, out var one) || !texts.TryGetValue(second, out var other))
            return XrayTexts.Gone;
        return TableFile.Of($"pair-{first}-{second}-votes", ["annotator", "simulated", "verdict", "preferred", "strength"], (await Votes(db, one, other, stop)).Select(vote =>
            (IReadOnlyList<object?>)[vote.Voter, vote.IsSimulated, vote.Verdict.ToString(), vote.Preferred == first ? "first" : vote.Preferred == second ? "second" : null, vote.Strength]));
    }

    private async Task<Outcome<PairXrayView>> Show(PortalDbContext db, ResponseId firstId, ResponseId secondId, TaskId? task, ModelVersionId? wanted, int? heat, CancellationToken stop)
    {
        var texts = (await XrayTexts.Load(db, [firstId, secondId], stop)).ToDictionary(text => text.Id);
        if (!texts.TryGetValue(firstId, out var first) || !texts.TryGetValue(secondId, out var second))
            return XrayTexts.Gone;
        if (first.PromptId != second.PromptId)
            return new Problem("second", "The two responses answer different prompts; their rewards cannot be compared.");
        var votes = await Votes(db, first, second, stop);
        var versions = await FeatureVersions.Load(db, first.ProjectId, stop);
        var version = FeatureVersions.Choose(versions, wanted);
        if (version is null && wanted is not null)
            return FeatureVersions.Unknown;
        var empty = new PairXrayView(task, first, second, votes, versions, version, null, null, [], 0, new Dictionary<int, (TokenHeat, TokenHeat)>(), null);
        if (version is null || first.IsErased || second.IsErased)
            return empty;
        ScoreItem[] items = [new(first.Prompt, first.Text!), new(second.Prompt, second.Text!)]; // neither is erased
        var answer = await engine.Xray(new FeatureXrayRequest($"{version.Id}", items), stop);
        if (answer.Refusal is { } why)
            return empty with { Refused = why };
        var (parts, shared) = Differences(answer.Value.Items[0], answer.Value.Items[1]);
        // Heat of the same features in both texts, chosen by what they differ in: only known after the first answer.
        int[] heated = [.. parts.Take(HeatShown).Select(part => part.Latent).Union(heat is >= 0 and { } asked && asked < answer.Value.Latents ? [asked] : Array.Empty<int>())];
        var heats = heated.Length == 0 ? answer : await engine.Xray(new FeatureXrayRequest($"{version.Id}", items, heated), stop);
        if (heats.Refusal is { } later)
            return empty with { Refused = later };
        var labels = await FeatureLabels.Of(db, version.Line.Root.Id, [.. parts.Select(part => part.Latent), .. heated], stop);
        var found = from one in heats.Value.Items[0].Heat join other in heats.Value.Items[1].Heat on one.Latent equals other.Latent select (one, other);
        return empty with
        {
            FirstXray = answer.Value.Items[0], SecondXray = answer.Value.Items[1], Shared = shared, Heat = found.ToDictionary(h => h.one.Latent),
            Parts = [.. parts.Select(part => part with { Label = labels.GetValueOrDefault(part.Latent)?.Text })],
        };
    }

    /// <summary>Feature by feature, first minus second; what is equal in both is only counted.</summary>
    internal static (IReadOnlyList<PairPart> Parts, int Shared) Differences(FeatureXray first, FeatureXray second)
    {
        var (a, b) = (first.Active.ToDictionary(f => f.Latent), second.Active.ToDictionary(f => f.Latent));
        var all = a.Keys.Union(b.Keys).Select(latent => new PairPart(latent, null, (a.GetValueOrDefault(latent) ?? b[latent]).Weight,
            a.GetValueOrDefault(latent)?.Contribution ?? 0, b.GetValueOrDefault(latent)?.Contribution ?? 0)).ToList();
        return ([.. all.Where(part => Math.Abs(part.Difference) > Equal).OrderByDescending(part => Math.Abs(part.Difference)).ThenBy(part => part.Latent)],
            all.Count(part => Math.Abs(part.Difference) <= Equal));
    }

    /// <summary>Latest judgements of every task that shows these two, whichever came first. Tasks by prompt, judgements by task.</summary>
    private static async Task<IReadOnlyList<PairVote>> Votes(PortalDbContext db, XrayText first, XrayText second, CancellationToken stop)
    {
        var (one, other) = (first.Id, second.Id);
        var rows = await (from task in db.Tasks.AsNoTracking()
                          join judgement in db.PairwiseJudgements on task.Id equals judgement.TaskId
                          join annotator in db.Annotators on judgement.AnnotatorId equals annotator.Id
                          where task.PromptId == first.PromptId && judgement.SupersededAt == null
                                && ((task.FirstResponseId == one && task.SecondResponseId == other) || (task.FirstResponseId == other && task.SecondResponseId == one))
                          orderby judgement.SubmittedAt, judgement.Id
                          select new { annotator.Pseudonym, annotator.IsSimulated, judgement.Verdict, judgement.PreferredResponseId, judgement.Strength }).ToListAsync(stop);
        return [.. rows.Select(row => new PairVote(row.Pseudonym, row.IsSimulated, row.Verdict, row.PreferredResponseId, row.Strength))];
    }
}
