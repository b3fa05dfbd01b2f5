using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Engine.Jobs;
using Portal.Engine.Unlearning;

namespace Portal.Engine.Serving;

/// <summary>The door that says what a reward model would do without some judgements, over <see cref="RemovalPreviews"/>.</summary>
internal static class PreviewRemoval
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<RemovalPreviewRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw PreviewToggles.Bad("model", $"Name a reward model; GET {ModelList.Route} lists them.");
        if (request.Judgements is not { Count: > 0 and <= RemovalPreviewRequest.JudgementsMax })
            throw PreviewToggles.Bad("judgements", $"Name 1 to {RemovalPreviewRequest.JudgementsMax} judgements.");
        if (!Enum.IsDefined(request.Action))
            throw PreviewToggles.Bad("action", $"Name one of {string.Join(", ", Enum.GetNames<UnlearningAction>())}.");
        await EngineHttp.Answer(http, await EngineHttp.Part<RemovalPreviews>(http, "previews unlearning").Take(request, http.RequestAborted));
    }
}

/// <summary>Says what a reward model's head would do without some judgements. The model asked about last stays open: reading its pairs takes seconds once, a preview well below one.</summary>
/// <remarks>What is open holds features of pairs, and texts of held-out ones. So it is closed where an erasure retired the model or took rows out of its data, whether or not anybody asks again (<see cref="ForgetErased"/>).</remarks>
public sealed class RemovalPreviews(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory, ModelStore store) : IDisposable
{
    private readonly SemaphoreSlim turn = new(1);
    private ExplainableReward? open;
    private string? manifest;

    /// <summary>Whether a model is in memory.</summary>
    public bool IsOpen => open is not null;

    /// <summary>Previews.</summary>
    /// <exception cref="DoorRefusal">No such model, one without judgements, or judgements it was not trained on; the message says which.</exception>
    public async Task<RemovalPreviewResponse> Take(RemovalPreviewRequest request, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var version = ModelVersionId.TryParse(request.Model, null, out var id) ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id && v.Kind == ModelKind.RewardModel, stop) : null;
        if (version is null || version.Status is ModelStatus.Retired)
            throw PreviewToggles.Bad("model", "There is no such reward model that can be used.", StatusCodes.Status404NotFound);
        await turn.WaitAsync(stop);
        try
        {
            var sealedNow = await db.DatasetVersions.Where(v => v.Id == version.DatasetVersionId).Select(v => v.ManifestHash).FirstOrDefaultAsync(stop);
            if (open?.Version.Id != version.Id || manifest != sealedNow)
            {
                Close();
                TrainingProcess.Prepare();
                manifest = sealedNow;
                open = await ExplainableReward.Open(new ExplainableSource(contexts, directory, store, NoProgress.Instance, stop), version.ProjectId, version.Id, FeatureSpace.RewardState, seed: 1);
            }
            var judgements = request.Judgements ?? []; // checked at the door
            return judgements.All(judgement => open.Pairs.RowOf(judgement) is null)
                ? throw PreviewToggles.Bad("judgements", $"{version.Label} was trained on none of these judgements, or has forgotten them.", StatusCodes.Status409Conflict)
                : await Task.Run(() => RemovalPreview.Measure($"{version.Id}", open.Pairs, open.Head, open.Influence, judgements, request.Action), stop);
        }
        catch (CannotTrain e)
        {
            throw new DoorRefusal(StatusCodes.Status503ServiceUnavailable, e.Message, "model");
        }
        catch (ArgumentException)
        {
            throw PreviewToggles.Bad("judgements", $"No judgement that {version.Label} was trained on would be left.", StatusCodes.Status409Conflict);
        }
        finally
        {
            turn.Release();
        }
    }

    public void Dispose()
    {
        Close();
        turn.Dispose();
    }

    /// <summary>Closes what an erasure has touched since it was opened.</summary>
    public async Task CloseErased(CancellationToken stop)
    {
        if (open is null)
            return;
        await turn.WaitAsync(stop);
        try
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            if (open is { } model && !await db.ModelVersions.AnyAsync(v => v.Id == model.Version.Id && v.Status != ModelStatus.Retired && db.DatasetVersions.Any(d => d.Id == v.DatasetVersionId && d.ManifestHash == manifest), stop))
                Close();
        }
        finally
        {
            turn.Release();
        }
    }

    private void Close()
    {
        open?.Dispose();
        open = null;
    }
}
