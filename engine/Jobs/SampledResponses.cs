using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;

namespace Portal.Engine.Jobs;

/// <summary>How a job writes many rows without keeping people who judge waiting: few at a time, with pauses between.</summary>
internal static class SmallWrites
{
    /// <summary>Rows of one transaction at most.</summary>
    public const int RowsMax = 100;

    public static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);
}

/// <summary>Sampled responses to some prompts, inside one write: a text that a version or an endpoint wrote before is found, a new one is added with its content.</summary>
internal sealed class SampledResponses
{
    private readonly PortalDbContext db;
    private readonly ProjectId project;
    private readonly ContentHasher hasher;
    private readonly IdFactory ids;
    private readonly TimeProvider time;
    private readonly string samplingJson;
    private readonly Dictionary<(PromptId, Writer, string), ResponseId> known;

    /// <summary>Who wrote a text: a version, or an endpoint.</summary>
    private readonly record struct Writer(ModelVersionId? Version, PolicyEndpointId? Endpoint);

    public SampledResponses(PortalDbContext db, JobRun run, string samplingJson, IReadOnlyCollection<PromptId> prompts)
        : this(db, run.ProjectId, run.Hasher, run.Ids, run.Time, samplingJson, prompts)
    {
    }

    public SampledResponses(PortalDbContext db, ProjectId project, ContentHasher hasher, IdFactory ids, TimeProvider time, string samplingJson,
        IReadOnlyCollection<PromptId> prompts)
    {
        (this.db, this.project, this.hasher, this.ids, this.time, this.samplingJson) = (db, project, hasher, ids, time, samplingJson);
        var wanted = prompts.ToList();
        known = [];
        foreach (var r in db.Responses.AsNoTracking().Where(r => wanted.Contains(r.PromptId) && (r.ModelVersionId != null || r.EndpointId != null))
                     .Select(r => new { r.Id, r.PromptId, r.ModelVersionId, r.EndpointId, r.ContentHash }))
            known.TryAdd((r.PromptId, new Writer(r.ModelVersionId, r.EndpointId), r.ContentHash), r.Id);
    }

    /// <summary>The response of a version with this text.</summary>
    /// <returns>Its id, and whether it was added just now.</returns>
    public (ResponseId Id, bool IsNew) Of(PromptId prompt, ModelVersionId version, string text) => Of(prompt, new Writer(version, null), text);

    /// <summary>The response of an endpoint with this text.</summary>
    /// <inheritdoc cref="Of(PromptId, ModelVersionId, string)"/>
    public (ResponseId Id, bool IsNew) Of(PromptId prompt, PolicyEndpointId endpoint, string text) => Of(prompt, new Writer(null, endpoint), text);

    private (ResponseId Id, bool IsNew) Of(PromptId prompt, Writer writer, string text)
    {
        // A model with byte tokens can write a NUL, which PostgreSQL does not store; whoever measured the answer must find it again, so it is kept with the mark for what cannot be shown.
        text = text.Replace('\0', '\uFFFD');
        var hash = hasher.Hash(text);
        if (known.TryGetValue((prompt, writer, hash), out var found))
            return (found, false);
        var now = time.GetUtcNow();
        var content = new Content { Id = ids.New<ContentId>(), ProjectId = project, Kind = ContentKind.Response, Text = text, KeyedHash = hash, CreatedAt = now };
        var response = new Response
        {
            Id = ids.New<ResponseId>(), ProjectId = project, PromptId = prompt, ContentId = content.Id, ContentHash = hash, ModelVersionId = writer.Version, EndpointId = writer.Endpoint,
            SamplingJson = samplingJson, CreatedAt = now,
        };
        db.Contents.Add(content);
        db.Responses.Add(response);
        known[(prompt, writer, hash)] = response.Id;
        return (response.Id, true);
    }
}
