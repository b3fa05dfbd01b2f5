using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Serving;

/// <summary>
/// The models the door answers with, kept in memory by version: the few used last. A model computes for one request at a time; requests
/// for different models run beside each other, on threads of the pool, so that the door itself never waits.
/// </summary>
public sealed class LoadedModels(IDbContextFactory<PortalDbContext> contexts, ModelStore store) : IAsyncDisposable
{
    /// <summary>Models in memory at most.</summary>
    public const int ModelsMax = 4;

    /// <summary>Half of the cores: the other half is for the portal and for a job that trains.</summary>
    public static readonly int Threads = Math.Max(1, Environment.ProcessorCount / 2);

    private static readonly Lazy<bool> Prepared = new(() =>
    {
        TrainingProcess.Prepare(Threads);
        return true;
    });

    private readonly Lock gate = new();
    private readonly List<Entry> entries = []; // the one used last at the end

    /// <summary>A model in memory; one of the two models is set, by its kind.</summary>
    public sealed record Opened(ModelVersion Version, ITokenizer Tokenizer, Llama? Policy, IRewardModel? Reward) : IDisposable
    {
        public void Dispose()
        {
            Policy?.Dispose();
            Reward?.Dispose();
        }
    }

    private sealed class Entry(ModelVersionId id)
    {
        public ModelVersionId Id { get; } = id;
        public SemaphoreSlim Turn { get; } = new(1);
        public Opened? Model { get; set; }

        /// <summary>Requests that have it or wait for it; only entries without any are put out.</summary>
        public int Users { get; set; }
    }

    /// <summary>Does something with a model, opening it first where it is not in memory.</summary>
    /// <param name="id">The version's id as text, as requests name it.</param>
    /// <exception cref="DoorRefusal">No such version, one of the other kind, a retired one, or its files cannot be opened.</exception>
    public async Task<T> Use<T>(string id, ModelKind kind, Func<Opened, T> work, CancellationToken stop)
    {
        if (!ModelVersionId.TryParse(id, null, out var versionId))
            throw Unknown(id);
        var entry = Take(versionId);
        try
        {
            await entry.Turn.WaitAsync(stop);
            try
            {
                var version = await Find(versionId, id, kind, stop);
                return await Task.Run(() =>
                {
                    entry.Model ??= Open(version);
                    using var noGrad = no_grad();
                    return work(entry.Model);
                }, stop);
            }
            finally
            {
                entry.Turn.Release();
            }
        }
        finally
        {
            GiveBack(entry);
        }
    }

    /// <summary>How many models are in memory.</summary>
    public int Count
    {
        get
        {
            lock (gate)
                return entries.Count(entry => entry.Model is not null);
        }
    }

    public async ValueTask DisposeAsync()
    {
        List<Entry> all;
        lock (gate)
        {
            all = [.. entries];
            entries.Clear();
        }
        foreach (var entry in all)
        {
            await entry.Turn.WaitAsync();
            entry.Model?.Dispose();
        }
    }

    private Entry Take(ModelVersionId id)
    {
        lock (gate)
        {
            var entry = entries.Find(e => e.Id == id) ?? new Entry(id);
            entries.Remove(entry);
            entries.Add(entry);
            entry.Users++;
            return entry;
        }
    }

    private void GiveBack(Entry entry)
    {
        var out_ = new List<Entry>();
        lock (gate)
        {
            entry.Users--;
            // An entry that came to nothing (no such version) goes at once, the longest unused ones when there are too many.
            out_.AddRange(entries.Where(e => e is { Users: 0, Model: null }));
            out_.AddRange(entries.Where(e => e is { Users: 0, Model: not null }).Take(Math.Max(0, entries.Count(e => e.Model is not null) - ModelsMax)));
            entries.RemoveAll(out_.Contains);
        }
        foreach (var unused in out_)
            unused.Model?.Dispose();
    }

    private async Task<ModelVersion> Find(ModelVersionId versionId, string id, ModelKind kind, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var version = await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == versionId, stop) ?? throw Unknown(id);
        if (version.Status is ModelStatus.Retired)
            throw new DoorRefusal(StatusCodes.Status404NotFound, $"{version.Label} is retired and answers no more.", "model");
        return version.Kind == kind
            ? version
            : throw new DoorRefusal(StatusCodes.Status400BadRequest,
                version.Kind is ModelKind.SparseAutoencoder ? $"{version.Label} neither writes nor scores; name the reward model that reads it."
                : kind is ModelKind.Policy ? $"{version.Label} scores texts; name a policy to write one." : $"{version.Label} writes texts; name a reward model to score one.", "model");
    }

    private Opened Open(ModelVersion version)
    {
        _ = Prepared.Value;
        try
        {
            if (version.Kind is ModelKind.Policy)
            {
                var (policy, tokenizer) = store.OpenPolicy(version);
                policy.eval();
                return new Opened(version, tokenizer, policy, null);
            }
            var (reward, itsTokenizer) = store.OpenReward(version);
            (reward as nn.Module)?.eval();
            return new Opened(version, itsTokenizer, null, reward);
        }
        catch (CannotTrain e)
        {
            throw new DoorRefusal(StatusCodes.Status503ServiceUnavailable, e.Message, "model");
        }
    }

    private static DoorRefusal Unknown(string id) =>
        new(StatusCodes.Status404NotFound, $"There is no model {(id.Length <= 60 ? id : id[..60] + "...")}; GET {Data.Serving.ModelList.Route} lists them.", "model");
}
