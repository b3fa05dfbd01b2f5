using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Audits;
using Portal.Engine.Endpoints;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>Which versions and endpoints an audit is about, found once: what the spec leaves to the project may change meanwhile.</summary>
/// <param name="Base">The policy compared with, and in any case the model whose states are the features.</param>
internal sealed record AuditedVersions(ModelVersion? Audited, ModelVersion Base, PolicyEndpoint? AuditedEndpoint, PolicyEndpoint? BaseEndpoint, ModelVersion? Reference, ModelVersion? Sae)
{
    public string AuditedName => AuditedEndpoint?.Name ?? Audited!.Label; // one of the two is there
    public string BaseName => BaseEndpoint?.Name ?? Base.Label;

    /// <summary>Finds them; retired versions are exhibits and may be audited.</summary>
    /// <param name="baseId">As an earlier run of the job found it; null: not found yet.</param>
    /// <exception cref="CannotTrain">One is not there, of another kind, or may not be asked; the message names the field.</exception>
    public static async Task<AuditedVersions> Find(AuditReward spec, ModelVersionId? baseId, JobRun run, ModelStore store)
    {
        if (spec.AuditedId is null == spec.AuditedEndpointId is null)
            throw new CannotTrain(spec.AuditedId is null ? "auditedId: name the policy to audit, or an endpoint that stands for it." : "auditedId and auditedEndpointId are both given; audit one of them.");
        var audited = spec.AuditedId is { } id ? await store.FindExhibit(run.ProjectId, id, ModelKind.Policy, run.Stop) : null;
        var endpoints = (Audited: await Endpoint(spec.AuditedEndpointId, "auditedEndpointId", run), Base: await Endpoint(spec.BaseEndpointId, "baseEndpointId", run));
        var @base = (baseId ?? spec.BaseId) is { } named ? await store.FindExhibit(run.ProjectId, named, ModelKind.Policy, run.Stop)
            : audited?.ParentId is { } parent ? await store.FindExhibit(run.ProjectId, parent, ModelKind.Policy, run.Stop)
            : await store.BasePolicy(run.ProjectId, run.Stop);
        return new AuditedVersions(audited, @base, endpoints.Audited, endpoints.Base,
            spec.ReferenceId is { } reference ? await store.FindExhibit(run.ProjectId, reference, ModelKind.RewardModel, run.Stop) : null,
            spec.SaeId is { } sae ? await store.FindExhibit(run.ProjectId, sae, ModelKind.SparseAutoencoder, run.Stop) : null);
    }

    private static async Task<PolicyEndpoint?> Endpoint(PolicyEndpointId? id, string field, JobRun run)
    {
        if (id is not { } named)
            return null;
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var endpoint = await db.PolicyEndpoints.AsNoTracking().FirstOrDefaultAsync(e => e.Id == named && e.ProjectId == run.ProjectId, run.Stop) ?? throw new CannotTrain($"{field}: there is no such endpoint in this project.");
        if (endpoint.RetiredAt is not null)
            throw new CannotTrain($"{field}: the endpoint \"{endpoint.Name}\" is retired; choose another one.");
        // Said before anything is computed; the client itself refuses too.
        return endpoint.HasConsent ? endpoint : throw new CannotTrain(
            $"{field}: nobody has agreed that texts of annotators may be sent to the endpoint \"{endpoint.Name}\" ({endpoint.BaseUrl}), so nothing was sent. An admin gives consent on the endpoint's page.");
    }
}

/// <summary>The models of an audit, opened. Disposing of it closes all.</summary>
internal sealed class AuditModels : IDisposable
{
    private readonly List<IDisposable> opened = [];

    private AuditModels(AuditReader reader) => Reader = reader;

    public AuditReader Reader { get; }
    public SaeCodes? Sae { get; private set; }
    public AuditReferenceModel? Reference { get; private set; }
    public IPolicyTexts Audited { get; private set; } = null!; // Open sets both
    public IPolicyTexts Base { get; private set; } = null!;

    /// <summary>Opens everything.</summary>
    /// <param name="guard">Which machines endpoints may be.</param>
    /// <exception cref="CannotTrain">Files or keys cannot be opened, or the SAE reads another model.</exception>
    public static async Task<AuditModels> Open(AuditedVersions versions, JobRun run, ModelStore store, AddressGuard guard)
    {
        var models = await OpenReaders(versions.Base, versions.Sae, run.Contexts, store, run.Stop);
        try
        {
            if (versions.BaseEndpoint is { } elsewhere)
                models.Base = await models.OpenEndpoint(elsewhere, run, guard);
            models.Audited = versions.AuditedEndpoint is { } outside ? await models.OpenEndpoint(outside, run, guard) : models.OpenPolicy(versions.Audited!, store); // one of the two is there
            if (versions.Reference is { } reference)
            {
                var (reward, its) = store.OpenReward(reference);
                models.opened.Add((IDisposable)reward);
                models.Reference = new AuditReferenceModel(new RewardScorer(reward, its), reference.Label, Checkpoint.Fingerprint(reference.Files().Select(file => $"{file.Name} {file.Sha256}")));
            }
            return models;
        }
        catch
        {
            models.Dispose();
            throw;
        }
    }

    /// <summary>Opens what reads texts, and nothing that writes them.</summary>
    /// <inheritdoc cref="Open"/>
    public static async Task<AuditModels> OpenReaders(ModelVersion @base, ModelVersion? sae, IDbContextFactory<PortalDbContext> contexts, ModelStore store, CancellationToken stop)
    {
        var (model, tokenizer) = store.OpenPolicy(@base);
        var models = new AuditModels(AuditReader.Of(model.Backbone, tokenizer)) { opened = { model } };
        try
        {
            model.eval();
            models.Base = new ModelTexts(model, tokenizer, @base.Label);
            models.Sae = sae is null ? null : await models.OpenSae(sae, contexts, store, stop);
            return models;
        }
        catch
        {
            models.Dispose();
            throw;
        }
    }

    public void Dispose() => opened.ForEach(one => one.Dispose());

    private ModelTexts OpenPolicy(ModelVersion version, ModelStore store)
    {
        var (model, tokenizer) = store.OpenPolicy(version);
        opened.Add(model);
        model.eval();
        return new ModelTexts(model, tokenizer, version.Label);
    }

    private async Task<EndpointTexts> OpenEndpoint(PolicyEndpoint endpoint, JobRun run, AddressGuard guard)
    {
        var policy = await new EndpointPolicies(run.Contexts, new EndpointSecrets(run.Directory), guard, new EndpointNetwork(), run.Time).Open(endpoint.Id, new EndpointLimits(), run.Stop);
        opened.Add(policy);
        return new EndpointTexts(endpoint, policy);
    }

    // An SAE says whose states it reads: the base's, mostly; else those of the version it was trained on.
    private async Task<SaeCodes> OpenSae(ModelVersion version, IDbContextFactory<PortalDbContext> contexts, ModelStore store, CancellationToken stop)
    {
        var sae = store.OpenSae(version);
        opened.Add(sae);
        if (sae.Config.ModelHash == Reader.Hash || version.ParentId is not { } parent)
            return new SaeCodes(Reader, sae);
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == parent, stop) is not { } read)
            return new SaeCodes(Reader, sae); // which refuses it in words
        var (decoder, tokenizer) = store.OpenDecoder(read);
        opened.Add(decoder);
        return new SaeCodes(AuditReader.Of(decoder, tokenizer), sae);
    }
}
