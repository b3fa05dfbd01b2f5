using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.TinyAssistant;

namespace Portal.Engine.Jobs;

/// <summary>A reward model that differs from another one in its head only: what unlearning and erasure store.</summary>
internal static class HeadVersion
{
    /// <summary>Its row, which the caller adds; inside the write that stores it.</summary>
    /// <param name="method">How it was made, in words.</param>
    /// <param name="folder">Its files, below the models folder, and <paramref name="files"/> as versions keep them.</param>
    public static ModelVersion Of(PortalDbContext db, ModelVersionId id, ModelVersion source, string method, JobRun run, JobSpec spec, string folder, string files, DateTimeOffset now) => new()
    {
        Id = id, ProjectId = source.ProjectId, Kind = ModelKind.RewardModel, Number = ModelStore.NextNumber(db, source.ProjectId, ModelKind.RewardModel), Method = method, ParentId = source.Id, DatasetVersionId = source.DatasetVersionId, JobId = run.JobId,
        SpecJson = spec.ToJson(), Seed = spec.Seed, Commit = MakeDemo.Commit(), Folder = folder, FilesJson = files, IsSynthetic = source.IsSynthetic, CreatedAt = now,
    };
}
