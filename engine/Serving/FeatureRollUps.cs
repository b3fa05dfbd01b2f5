using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Engine.Jobs;
using Portal.Engine.Sae;

namespace Portal.Engine.Serving;

/// <summary>The door that adds explanations up by feature, over <see cref="FeatureRollUps"/>.</summary>
internal static class RollUpFeatures
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<FeatureRollUpRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw PreviewToggles.Bad("model", $"Name a reward model on sparse features; GET {ModelList.Route} lists reward models.");
        if (string.IsNullOrWhiteSpace(request.Explained))
            throw PreviewToggles.Bad("explained", $"Name the reward model whose explanations are added up; GET {ModelList.Route} lists reward models.");
        if (!ExplainResponsesRunner.Kept.Contains(request.By))
            throw PreviewToggles.Bad("by", $"Name one of {string.Join(", ", ExplainResponsesRunner.Kept)}.");
        await EngineHttp.Answer(http, await EngineHttp.Part<FeatureRollUps>(http, "adds explanations up").Take(request, http.RequestAborted));
    }
}

/// <summary>Adds the explanations of a reward model up by the features of one that has been described, over the codes that <see cref="TogglePreviews"/> holds.</summary>
/// <remarks>Rows are read each time: with 20,000 judgements of 32 codes and 1,000 explanations all of it takes about half a second, and a standing copy would have to be forgotten after every erasure.</remarks>
public sealed class FeatureRollUps(IDbContextFactory<PortalDbContext> contexts, TogglePreviews coded)
{
    /// <summary>Adds up.</summary>
    /// <exception cref="DoorRefusal">No such model, none with features, none described yet, one of another project, nothing explained, or a file that cannot be read; the message says what to do.</exception>
    public async Task<FeatureRollUpResponse> Take(FeatureRollUpRequest request, CancellationToken stop)
    {
        var version = await coded.Find(request.Model ?? "", stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        var explained = ModelVersionId.TryParse(request.Explained, null, out var id) ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id && v.ProjectId == version.ProjectId && v.Kind == ModelKind.RewardModel, stop) : null;
        if (explained is null)
            throw PreviewToggles.Bad("explained", $"There is no such reward model in the project of {version.Label}.", StatusCodes.Status404NotFound);
        var explanations = await WeighedExplanations.Load(db, explained.ProjectId, explained.Id, request.By, stop)
            ?? throw PreviewToggles.Bad("explained", $"Nothing is explained by {explained.Label} yet.", StatusCodes.Status409Conflict);
        var judgements = await Trained(db, explained, explanations.Dataset, stop);
        return await coded.Measure(version, (_, rewards) => Task.FromResult(() => Of($"{version.Id}", rewards.Codes, judgements, explanations, stop)), stop);
    }

    /// <param name="IsErased">A text of it was erased.</param>
    private sealed record Trainee(JudgementId Judgement, PromptId Prompt, ResponseId Chosen, ResponseId Rejected, bool IsErased);

    /// <summary>The judgements that a model goes by, the way round it goes by them.</summary>
    private static async Task<IReadOnlyList<Trainee>> Trained(PortalDbContext db, ModelVersion explained, DatasetVersionId dataset, CancellationToken stop)
    {
        var erased = db.Contents.Where(c => c.ProjectId == explained.ProjectId && c.ErasedAt != null).Select(c => c.Id);
        var responses = (await db.Responses.AsNoTracking().Where(r => r.ProjectId == explained.ProjectId && erased.Contains(r.ContentId)).Select(r => r.Id).ToListAsync(stop)).ToHashSet();
        var prompts = (await db.Prompts.AsNoTracking().Where(p => p.ProjectId == explained.ProjectId && erased.Contains(p.ContentId)).Select(p => p.Id).ToListAsync(stop)).ToHashSet();
        var rows = await db.DatasetRows.AsNoTracking().Where(d => d.DatasetVersionId == dataset && d.Part == DatasetPart.Train && d.RejectedId != null)
            .Select(d => new { d.JudgementId, d.PromptId, d.ChosenId, d.RejectedId }).ToListAsync(stop);
        var standing = UnlearntPairs.Of(db, explained);
        return
        [
            .. from row in rows
               let now = standing.GetValueOrDefault(row.JudgementId)
               where now is not { IsGone: true }
               let rejected = row.RejectedId!.Value // asked for above
               let isErased = prompts.Contains(row.PromptId) || responses.Contains(row.ChosenId) || responses.Contains(rejected)
               select now is { IsTurned: true } ? new Trainee(row.JudgementId, row.PromptId, rejected, row.ChosenId, isErased) : new Trainee(row.JudgementId, row.PromptId, row.ChosenId, rejected, isErased),
        ];
    }

    private static FeatureRollUpResponse Of(string model, FeatureCodes codes, IReadOnlyList<Trainee> judgements, WeighedExplanations explanations, CancellationToken stop)
    {
        var places = new Dictionary<ResponseId, int>(codes.Responses.Count);
        for (var i = 0; i < codes.Responses.Count; i++)
            places[codes.Responses[i]] = i;
        var (trained, rows) = (new List<CodedJudgement>(judgements.Count), new Dictionary<JudgementId, int>(judgements.Count));
        foreach (var judgement in judgements)
        {
            if (judgement.IsErased || !places.TryGetValue(judgement.Chosen, out var chosen) || !places.TryGetValue(judgement.Rejected, out var rejected))
                continue;
            rows[judgement.Judgement] = trained.Count;
            trained.Add(new CodedJudgement(judgement.Prompt, chosen, rejected));
        }
        var found = explanations.Judgements.Select(judgement => rows.TryGetValue(judgement, out var row) ? row : -1).ToArray();
        List<WeighedPairs> counted = [.. explanations.Counted.Select(one => new WeighedPairs(one.Prompt, [.. one.Pairs.Where(pair => found[pair.Row] >= 0).Select(pair => (found[pair.Row], pair.Weight))])).Where(one => one.Pairs.Count > 0)];
        var (items, lookedAt) = FeatureRollUp.Of(codes, trained, counted, stop);
        return new FeatureRollUpResponse(model, counted.Count, found.Length, found.Count(row => row < 0), judgements.Count, judgements.Count - trained.Count, lookedAt, items);
    }
}
