using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine.Audits;

namespace Portal.Engine.Jobs;

/// <summary>The rewards that an audit recovered, with what reads texts for them, as it did in the audit. Disposing of it closes the models.</summary>
/// <remarks>A retired base is opened all the same: the audit is about it. What reads a text must be what read it in the audit, to the hash: else a score would be a number of something else, and is refused.</remarks>
/// <param name="Spec">As the audit was asked for.</param>
/// <param name="Likelihoods">The base, where the features read how likely it finds a text; else null.</param>
internal sealed record AuditRewards(PolicyAudit Row, AuditReward Spec, AuditFolder Folder, RecoveredRewards Rewards, AuditModels Models, ITextFeatures Features, IPolicyTexts? Likelihoods) : IDisposable
{
    public void Dispose() => Models.Dispose();

    /// <summary>Opens them.</summary>
    /// <returns>Null where nothing was fitted in the audit.</returns>
    /// <exception cref="CannotTrain">A file, a model or a list of words is missing or not what it was; the message says which.</exception>
    /// <exception cref="FormatException">The rewards are of another version.</exception>
    public static async Task<AuditRewards?> Open(PolicyAudit row, DataDirectory directory, IDbContextFactory<PortalDbContext> contexts, ModelStore store, CancellationToken stop)
    {
        var folder = AuditFolder.Open(directory, row);
        if (folder.Refusal is { } damaged)
            throw new CannotTrain(damaged.ToString());
        if (!folder.Value.Manifest.Files.ContainsKey(RecoveredRewardsFile.FileName))
            return null;
        var rewards = RecoveredRewards.Load(folder.Value.Path);
        await using var db = await contexts.CreateDbContextAsync(stop);
        var spec = (AuditReward)JobSpec.FromJson(await db.Jobs.Where(j => j.Id == row.JobId).Select(j => j.SpecJson).FirstAsync(stop));
        var versions = await db.ModelVersions.AsNoTracking().Where(v => v.Id == row.BaseId || v.Id == row.SaeId).ToDictionaryAsync(v => v.Id, stop);
        if (!versions.TryGetValue(row.BaseId, out var @base))
            throw new CannotTrain($"{row.BaseName}, which read the texts of {row.Label}, is gone, so no other text can be read as it did.");
        var wantsSae = rewards.Features is AuditFeatures.SaeCodes;
        var models = await AuditModels.OpenReaders(@base, wantsSae && row.SaeId is { } sae ? versions.GetValueOrDefault(sae) : null, contexts, store, stop);
        try
        {
            var file = rewards.File;
            if (models.Reader.Hash != file.ReaderHash || (wantsSae && models.Sae?.Hash != file.SaeHash))
                throw new CannotTrain($"What read the texts of {row.Label} is not the model or SAE that is there now, so no other text can be read as it did.");
            var readsBase = rewards.Features is AuditFeatures.Readable && file.Names.Contains(ReadableFeatures.BaseLogProbKey);
            if (readsBase && row.BaseEndpointId is not null)
                throw new CannotTrain($"The rewards of {row.Label} read how likely the endpoint {row.BaseName} finds a text, and nothing new is sent there.");
            ITextFeatures features = rewards.Features switch
            {
                AuditFeatures.HiddenStates => new PooledStates(models.Reader, rewards.Reading),
                AuditFeatures.SaeCodes => models.Sae!, // its hash was compared above
                AuditFeatures.Readable => Readable(row, spec, directory, Made(folder.Value), models, readsBase),
            };
            return features.Names.SequenceEqual(file.Names) ? new AuditRewards(row, spec, folder.Value, rewards, models, features, readsBase ? models.Base : null)
                : throw new CannotTrain($"{row.Label} was made with other features than this version of the portal reads; audit again.");
        }
        catch
        {
            models.Dispose();
            throw;
        }
    }

    /// <summary>The same for a job, which ends where there is no reward.</summary>
    /// <param name="field">Of the job's spec; stands before each refusal.</param>
    /// <param name="lacks">What follows where nothing was fitted: "so there is no reward to train with".</param>
    /// <exception cref="CannotTrain">As above, or nothing was fitted, or the rewards are of another version.</exception>
    public static async Task<AuditRewards> OpenFitted(PolicyAudit row, string field, string lacks, JobRun run, ModelStore store)
    {
        try
        {
            return await Open(row, run.Directory, run.Contexts, store, run.Stop) ?? throw new CannotTrain($"{field}: nothing was fitted in {row.Label}, {lacks}.");
        }
        catch (FormatException e)
        {
            throw new CannotTrain($"{field}: {e.Message}", e);
        }
    }

    /// <summary>The audit's lexicon, while it is the list of words that the audit counted; null where there was none, or it has changed since.</summary>
    public Lexicon? LexiconOf(DataDirectory directory) => LexiconOf(Spec, directory, Made(Folder));

    // The folder's hashes are right, so it is what this or an earlier version wrote; Load has read the rewards' version.
    private static AuditProvenance Made(AuditFolder folder) => folder.Report().Value.Provenance;

    private static Lexicon? LexiconOf(AuditReward spec, DataDirectory directory, AuditProvenance made) =>
        spec.Lexicon is { } name && Path.Combine(directory.Lexicons, $"{name}.json") is var path && File.Exists(path) && Lexicon.Read(path) is var words && words.Hash == made.LexiconHash ? words : null;

    private static ReadableFeatures Readable(PolicyAudit row, AuditReward spec, DataDirectory directory, AuditProvenance made, AuditModels models, bool readsBase)
    {
        var lexicon = LexiconOf(spec, directory, made);
        return made.LexiconHash == lexicon?.Hash && made.PhrasesHash == PhraseLists.Shipped.Hash ? new ReadableFeatures(PhraseLists.Shipped, lexicon, models.Reader.Tokenizer, readsBase)
            : throw new CannotTrain($"The lists of words that {row.Label} counted have changed since, so no other text can be read as it was.");
    }
}
