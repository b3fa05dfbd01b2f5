using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Engine.Sae;

namespace Portal.Engine.Jobs;

/// <summary>The codes of a described SARM version's judged pairs, its head, and the texts behind the codes: all that toggles need, without opening the network.</summary>
public sealed class CodedPairs(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory, ModelStore store)
{
    /// <summary>What to do about a version whose features nobody described yet.</summary>
    public static string NotDescribed(ModelVersion version) =>
        $"The features of {version.Label} are not described yet. Start the job \"describe features\" for it: previews rest on the codes it caches.";

    /// <summary>Where a description's codes are.</summary>
    public string PathOf(FeatureDescription description) => PathOf(description.Id);

    /// <inheritdoc cref="PathOf(FeatureDescription)"/>
    internal string PathOf(FeatureDescriptionId description) => Path.Combine(directory.Features, $"codes-{description}");

    /// <summary>Reads the codes of a description.</summary>
    /// <exception cref="CannotTrain">The file is missing, changed or damaged; the message names it.</exception>
    public FeatureCodes Codes(FeatureDescription description)
    {
        var path = PathOf(description);
        try
        {
            if (ModelStore.HashOf(path) != description.CodesSha256)
                throw new CannotTrain($"The codes of features in {path} are not the ones that were stored; the hash differs. Describe the features again.");
            var codes = FeatureCodes.Read(path);
            return codes.Latents == description.Latents
                ? codes
                : throw new CannotTrain($"{path} holds codes of {codes.Latents} features; {description.Latents} were described. Describe the features again.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CannotTrain($"The codes of features in {path} cannot be read: {(e is FileNotFoundException or DirectoryNotFoundException ? "the file is missing" : e.Message)}. Describe the features again.", e);
        }
        catch (FormatException e)
        {
            throw new CannotTrain($"{e.Message} Describe the features again.", e);
        }
    }

    /// <summary>The head of a version, one weight a latent. [M].</summary>
    /// <exception cref="CannotTrain">The file is missing, changed or damaged, or of another number of latents; the message names it.</exception>
    public float[] Weights(ModelVersion version, int latents)
    {
        var folder = store.FolderOf(version);
        var path = Path.Combine(folder, SarmFolder.HeadFile);
        if (!File.Exists(path))
            throw new CannotTrain($"{version.Label}: the file {SarmFolder.HeadFile} is missing from {folder}.");
        if (ModelStore.HashOf(path) != version.Files().First(file => file.Name == SarmFolder.HeadFile).Sha256)
            throw new CannotTrain($"{version.Label}: the file {SarmFolder.HeadFile} in {folder} is not the one that was stored; its hash differs.");
        try
        {
            return SarmFolder.ReadHead(folder, latents);
        }
        catch (InvalidDataException e)
        {
            throw new CannotTrain(e.Message, e);
        }
    }

    /// <summary>The texts of coded responses, in their order; null where a text was erased or the response is gone.</summary>
    public async Task<string?[]> Texts(ProjectId project, FeatureCodes codes, CancellationToken stop)
    {
        var places = new Dictionary<ResponseId, int>(codes.Responses.Count);
        for (var i = 0; i < codes.Responses.Count; i++)
            places[codes.Responses[i]] = i;
        var texts = new string?[codes.Responses.Count];
        await using var db = await contexts.CreateDbContextAsync(stop);
        var all = from r in db.Responses.AsNoTracking()
                  where r.ProjectId == project
                  join c in db.Contents on r.ContentId equals c.Id
                  where c.Text != null
                  select new { r.Id, c.Text };
        await foreach (var response in all.AsAsyncEnumerable().WithCancellation(stop))
            if (places.TryGetValue(response.Id, out var place))
                texts[place] = response.Text;
        return texts;
    }

    /// <summary>Which texts have one of some phrases; erased ones have none.</summary>
    public static bool[] Matches(IReadOnlyList<string?> texts, Phrases phrases) => [.. texts.Select(text => text is not null && phrases.Match(text))];
}
