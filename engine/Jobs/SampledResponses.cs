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

/// <summary>Sampled responses to some prompts, inside one write: a text a version wrote before is found, a new one is added with its content.</summary>
internal sealed class SampledResponses
{
    private readonly PortalDbContext db;
    private readonly ProjectId project;
    private readonly ContentHasher hasher;
    private readonly IdFactory ids;
    private readonly TimeProvider time;
    private readonly string samplingJson;
    private readonly Dictionary<(PromptId, ModelVersionId, string), ResponseId> known;

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
        foreach (var r in db.Responses.AsNoTracking().Where(r => wanted.Contains(r.PromptId) && r.ModelVersionId != null)
                     .Select(r => new { r.Id, r.PromptId, r.ModelVersionId, r.ContentHash }))
            known.TryAdd((r.PromptId, r.ModelVersionId!.Value, r.ContentHash), r.Id); // asked for above
    }

    /// <summary>The response of a version with this text.</summary>
    /// <returns>Its id, and whether it was added just now.</returns>
    public (ResponseId Id, bool IsNew) Of(PromptId prompt, ModelVersionId version, string text)
    {
        var hash = hasher.Hash(text);
        if (known.TryGetValue((prompt, version, hash), out var found))
            return (found, false);
        var now = time.GetUtcNow();
        var content = new Content { Id = ids.New<ContentId>(), ProjectId = project, Kind = ContentKind.Response, Text = text, KeyedHash = hash, CreatedAt = now };
        var response = new Response
        {
            Id = ids.New<ResponseId>(), ProjectId = project, PromptId = prompt, ContentId = content.Id, ContentHash = hash, ModelVersionId = version,
            SamplingJson = samplingJson, CreatedAt = now,
        };
        db.Contents.Add(content);
        db.Responses.Add(response);
        known[(prompt, version, hash)] = response.Id;
        return (response.Id, true);
    }
}
