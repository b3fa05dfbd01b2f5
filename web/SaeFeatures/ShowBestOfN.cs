using System.Runtime.CompilerServices;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.SaeFeatures;

/// <summary>The toggles that made a reward model.</summary>
/// <param name="ModelId">The version whose weights they change.</param>
public sealed record AppliedToggles(ToggleSetId SetId, int Number, string Name, ModelVersionId ModelId, IReadOnlyList<(int Latent, string? Label, double Multiplier)> Features);

/// <summary>One of the two reward models.</summary>
/// <param name="HasFeatures">Its rewards can be taken apart feature by feature.</param>
/// <param name="Toggles">Null where no toggles made it.</param>
public sealed record ComparedModel(ModelVersionId Id, int Number, string Method, bool HasFeatures, bool Serves, AppliedToggles? Toggles);

/// <summary>An answer that one of the two models picks, or both.</summary>
/// <param name="Text">Null once erased.</param>
/// <param name="RewardBefore">Under the first model, in its own units; never to be compared with the other's.</param>
public sealed record PickedAnswer(ResponseId ResponseId, string? Text, double RewardBefore, double RewardAfter);

/// <summary>What both models pick from the answers to one prompt.</summary>
/// <param name="Place">1, 2, 3 ... in the order shown.</param>
/// <param name="Prompt">Empty once erased.</param>
public sealed record PickedForPrompt(int Place, PromptId PromptId, IReadOnlyList<Turn> Prompt, string? Topic, PickedAnswer Before, PickedAnswer After)
{
    /// <summary>Equal texts are one response, so this is about texts, also once they are erased.</summary>
    public bool IsChanged => Before.ResponseId != After.ResponseId;
}

/// <summary>A page of a comparison.</summary>
/// <param name="Run">Null while its job has not ended, or when it did not succeed.</param>
/// <param name="JobState">How far the job is.</param>
/// <param name="FailReason">Why it failed; null otherwise.</param>
/// <param name="Before">Null without a run, as everything below is null or empty.</param>
/// <param name="Changed">Prompts with another pick.</param>
/// <param name="Shown">Prompts that the filter leaves, on all pages.</param>
/// <param name="Page">0-based, within range.</param>
public sealed record BestOfNView(JobId JobId, int JobNumber, JobState JobState, string? FailReason, BestOfNRun? Run, ComparedModel? Before, ComparedModel? After, ModelVersionId? PolicyId,
    int PolicyNumber, IReadOnlyList<BestOfNFigure> Figures, int Changed, int Shown, int Page, IReadOnlyList<PickedForPrompt> Rows)
{
    public bool HasMore => (Page + 1) * ShowBestOfN.RowsMax < Shown;

    /// <summary>Share of prompts with another pick, with its interval; null where so few prompts allow none.</summary>
    public BestOfNFigure? ChangedShare => Figures.FirstOrDefault(figure => figure.Name == "changed");
}

/// <summary>What two reward models pick from the same n answers of one policy, prompt by prompt.</summary>
[Needs(Permission.Review)]
public sealed class ShowBestOfN(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    /// <summary>Prompts of a page: each shows two whole texts.</summary>
    public const int RowsMax = 10;

    /// <summary>Answers that a file's stream reads at once.</summary>
    private const int BatchRows = 2_000;

    private static readonly Problem Gone = new("run", "There is no comparison of best answers at this address.", ProblemKind.NotFound);

    /// <param name="onlyChanged">Leaves out prompts for which both models pick the same text.</param>
    /// <param name="page">0-based; outside the range the nearest is shown.</param>
    public async Task<Outcome<BestOfNView>> Handle(ClaimsPrincipal user, JobId id, bool onlyChanged, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id && j.Kind == nameof(CompareBestOfN), stop) is not { } job)
            return Gone;
        if (await db.BestOfNRuns.AsNoTracking().FirstOrDefaultAsync(r => r.JobId == id, stop) is not { } run)
            return new BestOfNView(id, job.Number, job.State, job.FailReason, null, null, null, null, 0, [], 0, 0, 0, []); // answers of a job that has not ended are not shown
        // Over (JobId, PromptId, Ordinal). Two short rows a prompt at most, so they are ordered here; texts are loaded for one page only.
        var picks = await db.BestOfNAnswers.AsNoTracking().Where(a => a.JobId == id && (a.IsBestBefore || a.IsBestAfter)).ToListAsync(stop);
        // Changed ones first, then in the order in which prompts were added: nobody chose by how the texts look.
        var all = picks.GroupBy(a => a.PromptId).Select(own => (own.Key, Before: own.First(a => a.IsBestBefore), After: own.First(a => a.IsBestAfter)))
            .OrderBy(p => p.Before.ResponseId == p.After.ResponseId).ThenBy(p => p.Key.Value).ToList();
        var changed = all.Count(p => p.Before.ResponseId != p.After.ResponseId);
        var left = onlyChanged ? all[..changed] : all;
        var at = Math.Clamp(page, 0, Math.Max(0, (left.Count - 1) / RowsMax));
        var here = left.Skip(at * RowsMax).Take(RowsMax).ToList();
        var texts = (await XrayTexts.Load(db, [.. here.SelectMany(p => new[] { p.Before.ResponseId, p.After.ResponseId }).Distinct()], stop)).ToDictionary(text => text.Id);
        var versions = await db.ModelVersions.AsNoTracking().Where(v => v.Id == run.BeforeId || v.Id == run.AfterId || v.Id == run.PolicyId).ToDictionaryAsync(v => v.Id, stop);
        var serves = await db.Projects.Where(p => p.Id == run.ProjectId).Select(p => p.CurrentRewardModelId).FirstAsync(stop);
        return new BestOfNView(id, job.Number, job.State, null, run, await Compared(db, versions[run.BeforeId], serves, stop), await Compared(db, versions[run.AfterId], serves, stop), run.PolicyId,
            versions[run.PolicyId].Number, run.Figures(), changed, left.Count, at,
            [.. here.Select((p, index) => new PickedForPrompt((at * RowsMax) + index + 1, p.Key, texts.GetValueOrDefault(p.After.ResponseId)?.Prompt ?? [], texts.GetValueOrDefault(p.After.ResponseId)?.Topic,
                Picked(p.Before), Picked(p.After)))]);

        PickedAnswer Picked(BestOfNAnswer answer) => new(answer.ResponseId, texts.GetValueOrDefault(answer.ResponseId)?.Text, answer.RewardBefore, answer.RewardAfter);
    }

    /// <summary>All answers with both rewards as a file, without their texts: those can be erased, a file cannot.</summary>
    public async Task<Outcome<TableFile>> Answers(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var found = await Find(user, id, stop);
        return found.Refusal is { } refusal
            ? refusal
            : new TableFile($"best-of-{found.Value.AnswersPerPrompt}-answers", ["prompt", "response", "ordinal", "reward_before", "reward_after", "best_before", "best_after"], Rows(id));
    }

    /// <summary>The figures of both picks as a file.</summary>
    public async Task<Outcome<TableFile>> Figures(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var found = await Find(user, id, stop);
        if (found.Refusal is { } refusal)
            return refusal;
        return TableFile.Of($"best-of-{found.Value.AnswersPerPrompt}-figures",
            ["figure", "before", "before_low", "before_high", "after", "after_low", "after_high", "change", "change_low", "change_high", "prompts"],
            found.Value.Figures().Select(f => (IReadOnlyList<object?>)
                [f.Name, f.Before.Value, f.Before.Low, f.Before.High, f.After.Value, f.After.Low, f.After.High, f.Change.Value, f.Change.Low, f.Change.High, found.Value.Prompts]));
    }

    private async Task<Outcome<BestOfNRun>> Find(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.BestOfNRuns.AsNoTracking().FirstOrDefaultAsync(r => r.JobId == id, stop) is { } run ? run : Gone;
    }

    private async IAsyncEnumerable<IReadOnlyList<object?>> Rows(JobId id, [EnumeratorCancellation] CancellationToken stop = default)
    {
        for (var last = 0L; ;)
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            var batch = await db.BestOfNAnswers.AsNoTracking().Where(a => a.JobId == id && a.Id > last).OrderBy(a => a.Id).Take(BatchRows).ToListAsync(stop);
            foreach (var a in batch)
                yield return [$"{a.PromptId}", $"{a.ResponseId}", a.Ordinal, a.RewardBefore, a.RewardAfter, a.IsBestBefore, a.IsBestAfter];
            if (batch.Count < BatchRows)
                yield break;
            last = batch[^1].Id;
        }
    }

    private static async Task<ComparedModel> Compared(PortalDbContext db, ModelVersion version, ModelVersionId? serves, CancellationToken stop)
    {
        AppliedToggles? applied = null;
        if (await db.ToggleSets.AsNoTracking().FirstOrDefaultAsync(s => s.PublishedVersionId == version.Id, stop) is { } set)
        {
            var toggles = set.Toggles();
            var labels = await FeatureLabels.Of(db, (await ToggledVersions.LineOfAsync(db, version, stop))?.Root.Id ?? version.Id, [.. toggles.Select(toggle => toggle.Latent)], stop);
            applied = new AppliedToggles(set.Id, set.Number, set.Name, set.ModelVersionId, [.. toggles.Select(toggle => (toggle.Latent, labels.GetValueOrDefault(toggle.Latent)?.Text, toggle.Multiplier))]);
        }
        return new ComparedModel(version.Id, version.Number, version.Method, version.HasFeatures, version.Id == serves, applied);
    }
}
