using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Sae;

namespace Portal.Engine.Serving;

/// <summary>The door that previews toggles, over <see cref="TogglePreviews"/>.</summary>
internal static class PreviewToggles
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<TogglePreviewRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw Bad("model", $"Name a reward model on sparse features; GET {ModelList.Route} lists reward models.");
        if (request.Toggles is null || request.Toggles.Any(toggle => toggle is null))
            throw Bad("toggles", "Give the toggled features, each with its latent and its multiplier.");
        if (request.FlipsMax is < 0 or > TogglePreviewRequest.FlipsListedMax)
            throw Bad("flips_max", $"flips_max is {request.FlipsMax}; 0 to {TogglePreviewRequest.FlipsListedMax} flipped pairs can be listed.");
        if (request.Target is { Length: > FeatureLabel.PatternLengthMax } target)
            throw Bad("target", $"The target has {target.Length} characters, at most {FeatureLabel.PatternLengthMax} are read.");
        if (!string.IsNullOrWhiteSpace(request.Target) && Phrases.Parse(request.Target) is null)
            throw Bad("target", "The target holds no phrase; write phrases with | between them, or leave it out.");
        await EngineHttp.Answer(http, await EngineHttp.Part<TogglePreviews>(http, "previews toggles").Take(request, http.RequestAborted));
    }

    internal static DoorRefusal Bad(string field, string message, int status = StatusCodes.Status400BadRequest) => new(status, message, field);
}

/// <summary>The door that says how sure the means of features are, over the codes that <see cref="TogglePreviews"/> holds.</summary>
internal static class ShowEffects
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<FeatureEffectsRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw PreviewToggles.Bad("model", $"Name a reward model on sparse features; GET {ModelList.Route} lists reward models.");
        if (request.Latents is not { Count: > 0 and <= FeatureEffectsRequest.LatentsMax } latents)
            throw PreviewToggles.Bad("latents", $"Give 1 to {FeatureEffectsRequest.LatentsMax} features.");
        if (latents.GroupBy(latent => latent).FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw PreviewToggles.Bad("latents", $"Feature {twice.Key} is given twice.");
        await EngineHttp.Answer(http, await EngineHttp.Part<TogglePreviews>(http, "previews toggles").Effects(request.Model, latents, http.RequestAborted));
    }
}

/// <summary>Says what toggles would change about a described reward model. Codes, rewards and texts stay in memory for the few versions used last.</summary>
/// <remarks>
/// A version made by toggles has the codes of the version it was made of (<see cref="ToggledVersions"/>) and weights of its own, so it can be toggled at once, without being described again.
/// Erased texts match no target: how many texts of the project were erased is asked before each match, and more of them empty the memory. A pair with an erased text is on target where the other
/// text has a phrase.
/// </remarks>
public sealed class TogglePreviews(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory, ModelStore store)
{
    /// <summary>Versions in memory at most; 100,000 pairs take about 60 MB.</summary>
    public const int VersionsMax = 3;

    /// <summary>Targets of one project whose matches are kept.</summary>
    private const int TargetsMax = 16;

    private readonly CodedPairs coded = new(contexts, directory, store);
    private readonly SemaphoreSlim turn = new(1);
    private readonly List<Entry> entries = []; // the one used last at the end
    private TextMemory? texts;

    private sealed record Entry(ModelVersionId Version, FeatureDescriptionId Description, CodedRewards Rewards);

    /// <param name="Erased">Texts of the project that were erased when these were read.</param>
    private sealed record TextMemory(ProjectId Project, FeatureDescriptionId Description, int Erased, IReadOnlyList<string?> Texts, List<(string Target, ToggleTarget Matches)> Matched);

    /// <summary>How many versions are in memory.</summary>
    public int Count => entries.Count;

    /// <summary>Previews.</summary>
    /// <exception cref="DoorRefusal">No such model, none with features, none described yet, a factor that is not allowed, or a file that cannot be read; the message says what to do.</exception>
    public async Task<TogglePreviewResponse> Take(TogglePreviewRequest request, CancellationToken stop)
    {
        var version = await Find(request.Model ?? "", stop);
        if (version.Status is ModelStatus.Retired)
            throw PreviewToggles.Bad("model", $"{version.Label} is retired; its features can be toggled no more.", StatusCodes.Status404NotFound);
        return await Measure<TogglePreviewResponse>(version, async (description, rewards) =>
        {
            if (ToggleSet.Check(request.Toggles ?? [], rewards.Codes.Latents) is { } problem)
                throw PreviewToggles.Bad("toggles", problem.Message);
            var target = Phrases.Parse(request.Target) is { } phrases ? await Target(version.ProjectId, description, rewards.Codes, phrases, stop) : null;
            return () => ToggleEffect.Measure(request.Model ?? "", rewards, request.Toggles ?? [], target, new ToggleEffectOptions { Seed = request.Seed, FlipsMax = request.FlipsMax }, stop);
        }, stop);
    }

    /// <summary>How sure the means of some features are. Of retired versions too: their features can still be read.</summary>
    /// <exception cref="DoorRefusal">As for previews, or a feature that is not there.</exception>
    public async Task<FeatureEffectsResponse> Effects(string model, IReadOnlyList<int> latents, CancellationToken stop)
    {
        return await Measure(await Find(model, stop), (_, rewards) =>
        {
            if (latents.Where(latent => latent < 0 || latent >= rewards.Codes.Latents).Select(latent => (int?)latent).FirstOrDefault() is { } missing)
                throw PreviewToggles.Bad("latents", $"There is no feature {missing}: this reward model has the features 0 to {rewards.Codes.Latents - 1}.");
            return Task.FromResult(() => new FeatureEffectsResponse(model, rewards.Gaps.Length, rewards.Rewards.Length, FeatureEffects.Of(rewards, latents, stop)));
        }, stop);
    }

    /// <summary>Opens a version's codes and measures on them.</summary>
    /// <param name="prepare">What is asked of files and texts, in turn, so that they are read once whoever asks; what it returns measures, side by side with others.</param>
    internal async Task<T> Measure<T>(ModelVersion version, Func<FeatureDescription, CodedRewards, Task<Func<T>>> prepare, CancellationToken stop)
    {
        try
        {
            Func<T> measure;
            await turn.WaitAsync(stop);
            try
            {
                var description = await Description(version, stop);
                measure = await prepare(description, await Task.Run(() => Rewards(version, description), stop));
            }
            finally
            {
                turn.Release();
            }
            return await Task.Run(measure, stop);
        }
        catch (CannotTrain e)
        {
            throw new DoorRefusal(StatusCodes.Status503ServiceUnavailable, e.Message, "model");
        }
    }

    /// <summary>Forgets texts of a project where one was erased since, and codes whose file an erasure removed.</summary>
    public async Task CloseErased(CancellationToken stop)
    {
        await turn.WaitAsync(stop);
        try
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            if (texts is { } memory && memory.Erased != await Erased(db, memory.Project, stop))
                texts = null;
            entries.RemoveAll(entry => !File.Exists(coded.PathOf(entry.Description)));
        }
        finally
        {
            turn.Release();
        }
    }

    private static Task<int> Erased(PortalDbContext db, ProjectId project, CancellationToken stop) => db.Contents.CountAsync(c => c.ProjectId == project && c.ErasedAt != null, stop);

    /// <summary>A version on sparse features.</summary>
    /// <exception cref="DoorRefusal">There is no such one.</exception>
    internal async Task<ModelVersion> Find(string id, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var version = ModelVersionId.TryParse(id, null, out var versionId) ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == versionId, stop) : null;
        if (version is null)
            throw PreviewToggles.Bad("model", $"There is no model {(id.Length <= 60 ? id : id[..60] + "...")}; GET {ModelList.Route} lists them.", StatusCodes.Status404NotFound);
        return version.HasFeatures
            ? version
            : throw PreviewToggles.Bad("model", $"{version.Label} reads no sparse features, so there is nothing to toggle or to measure; name a reward model that was trained on an SAE (SARM).");
    }

    private async Task<FeatureDescription> Description(ModelVersion version, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await ToggledVersions.DescriptionOf(db, version, stop) ?? throw PreviewToggles.Bad("model", CodedPairs.NotDescribed(version), StatusCodes.Status409Conflict);
    }

    private CodedRewards Rewards(ModelVersion version, FeatureDescription description)
    {
        var entry = entries.Find(one => one.Version == version.Id && one.Description == description.Id);
        if (entry is null)
        {
            var codes = entries.Find(one => one.Description == description.Id)?.Rewards.Codes ?? coded.Codes(description);
            entry = new Entry(version.Id, description.Id, new CodedRewards(codes, coded.Weights(version, codes.Latents)));
        }
        entries.RemoveAll(one => one.Version == version.Id); // an older description goes with it
        entries.Add(entry);
        entries.RemoveRange(0, Math.Max(0, entries.Count - VersionsMax));
        return entry.Rewards;
    }

    private async Task<ToggleTarget> Target(ProjectId project, FeatureDescription description, FeatureCodes codes, Phrases phrases, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var erased = await Erased(db, project, stop);
        if (texts is not { } memory || memory.Description != description.Id || memory.Erased != erased)
            texts = memory = new TextMemory(project, description.Id, erased, await coded.Texts(project, codes, stop), []);
        var key = string.Join('|', phrases.All);
        if (memory.Matched.Find(one => one.Target == key).Matches is { } known)
            return known;
        var matches = await Task.Run(() => ToggleTarget.Of(codes, CodedPairs.Matches(memory.Texts, phrases)), stop);
        memory.Matched.Add((key, matches));
        memory.Matched.RemoveRange(0, Math.Max(0, memory.Matched.Count - TargetsMax));
        return matches;
    }
}
