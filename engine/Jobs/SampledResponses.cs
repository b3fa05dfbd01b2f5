using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;

namespace Portal.Engine.Jobs;

/// <summary>How a job writes many rows without keeping people who judge waiting: few at a time, with pauses between.</summary>
internal static class SmallWrites
{
    /// <summary>Rows of one transaction at most.</summary>
    public const int RowsMax = 100;

    public static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);
}

/// <summary>Responses of one version to some prompts, inside one write: a text it wrote before is found, a new one is added with its content.</summary>
internal sealed class SampledResponses
{
    private readonly PortalDbContext db;
    private readonly JobRun run;
    private readonly ModelVersionId version;
    private readonly string samplingJson;
    private readonly Dictionary<(PromptId, string), ResponseId> known;

    public SampledResponses(PortalDbContext db, JobRun run, ModelVersionId version, string samplingJson, IReadOnlyCollection<PromptId> prompts)
    {
        (this.db, this.run, this.version, this.samplingJson) = (db, run, version, samplingJson);
        var wanted = prompts.ToList();
        known = [];
        foreach (var r in db.Responses.AsNoTracking().Where(r => wanted.Contains(r.PromptId) && r.ModelVersionId == version).Select(r => new { r.Id, r.PromptId, r.ContentHash }))
            known.TryAdd((r.PromptId, r.ContentHash), r.Id);
    }

    /// <summary>The response with this text.</summary>
    /// <returns>Its id, and whether it was added just now.</returns>
    public (ResponseId Id, bool IsNew) Of(PromptId prompt, string text)
    {
        var hash = run.Hasher.Hash(text);
        if (known.TryGetValue((prompt, hash), out var found))
            return (found, false);
        var now = run.Time.GetUtcNow();
        var content = new Content
        {
            Id = run.Ids.New<ContentId>(), ProjectId = run.ProjectId, Kind = ContentKind.Response, Text = text, KeyedHash = hash, CreatedAt = now,
        };
        var response = new Response
        {
            Id = run.Ids.New<ResponseId>(), ProjectId = run.ProjectId, PromptId = prompt, ContentId = content.Id, ContentHash = hash, ModelVersionId = version,
            SamplingJson = samplingJson, CreatedAt = now,
        };
        db.Contents.Add(content);
        db.Responses.Add(response);
        known[(prompt, hash)] = response.Id;
        return (response.Id, true);
    }
}
