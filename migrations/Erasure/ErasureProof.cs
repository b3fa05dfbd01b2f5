using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data.AuditLog;
using Portal.Data.Registry;

namespace Portal.Data.Erasure;

/// <summary>How far an erasure's job is: what a run after a crash needs to go on, and what the proof will say. Ids and numbers, no texts.</summary>
public sealed record ErasureWork
{
    /// <summary>When nothing new could come in any more under the name that is erased; null before.</summary>
    public DateTimeOffset? ClosedAt { get; init; }

    /// <summary>What became of the rows; null until that one write is done.</summary>
    public ErasedRows? Rows { get; init; }

    /// <summary>Files that were removed, or are about to be: noted first, so that a crash in between forgets none.</summary>
    public IReadOnlyList<ErasedFile> Files { get; init; } = [];

    public IReadOnlyList<KeptBackup> Backups { get; init; } = [];
}

/// <summary>What one write changed.</summary>
/// <param name="Counts">Rows and texts removed or emptied, by what they are.</param>
/// <param name="Judgements">That were deleted.</param>
/// <param name="Projects">Whose caches, exports and logs may hold something of it.</param>
public sealed record ErasedRows(IReadOnlyDictionary<string, int> Counts, IReadOnlyList<Guid> Judgements, IReadOnlyList<ProjectId> Projects, IReadOnlyList<ErasedDataset> Datasets, IReadOnlyList<RetiredVersion> Retired, IReadOnlyList<ServingChange> Serving);

/// <summary>A dataset version that lost rows, and its seal before and after.</summary>
public sealed record ErasedDataset(DatasetVersionId Id, int Number, string ManifestBefore, string ManifestAfter, int Rows);

/// <summary>A version that may never serve again.</summary>
/// <param name="FilesSha256">Of the list of its files with their hashes.</param>
public sealed record RetiredVersion(ModelVersionId Id, string Label, string FilesSha256);

/// <summary>What serves instead of a version that was retired.</summary>
/// <param name="To">Null where nothing does, with <paramref name="Why"/>.</param>
/// <param name="FilesBefore">As <see cref="RetiredVersion.FilesSha256"/>.</param>
/// <param name="Pairs">Rows of features that a reward model's head was freed of.</param>
/// <param name="ResidualGradient">‖∇L‖ on the pairs left, after two Newton steps: the certificate. Null where no head was computed.</param>
/// <param name="BodyJob">Trains the whole reward model again; null where nothing was freed at its head only, or it cannot (<paramref name="Why"/>).</param>
public sealed record ServingChange(ProjectId Project, ModelKind Kind, ModelVersionId From, ModelVersionId? To, string FilesBefore, string? FilesAfter, int Pairs, double? ResidualGradient, string? Why, JobId? BodyJob);

/// <summary>A file that was removed, or emptied.</summary>
/// <param name="Store">The folder of the data directory.</param>
public sealed record ErasedFile(string Store, string Sha256, long Bytes);

/// <summary>A backup that still holds what was erased, until its date.</summary>
public sealed record KeptBackup(string Sha256, DateTimeOffset MadeAt, DateTimeOffset GoneBy);

/// <summary>
/// What an erasure did, without what it erased: keyed hashes of ids, hashes of manifests, models and files before and after, counts, dates, and the certificate of each head. Its own hash is in the audit chain.
/// </summary>
/// <param name="Subject">HMAC of the annotator's id, or of each prompt's, under the installation's key.</param>
/// <param name="Judgements">HMAC of each deleted judgement's id, sorted.</param>
/// <param name="Database">How the database was made to keep nothing of it: "sqlite: vacuum, wal truncated", "postgres: vacuum full".</param>
public sealed record ErasureProof(int Form, ErasureRequestId Request, int Number, ErasureKind Kind, IReadOnlyList<string> Subject, DateTimeOffset RequestedAt, DateTimeOffset? DecidedAt, DateTimeOffset FinishedAt, int Job, IReadOnlyList<string> Judgements,
    IReadOnlyDictionary<string, int> Counts, IReadOnlyList<ErasedDataset> Datasets, IReadOnlyList<RetiredVersion> Retired, IReadOnlyList<ServingChange> Serving, IReadOnlyList<ErasedFile> Files, IReadOnlyList<KeptBackup> Backups, string Database)
{
    /// <summary>The form of the record: 1.</summary>
    public const int CurrentForm = 1;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, Converters = { new System.Text.Json.Serialization.JsonStringEnumConverter() } };

    /// <summary>As it is stored, hashed and handed out.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <exception cref="JsonException">It is no proof.</exception>
    public static ErasureProof FromJson(string json) => JsonSerializer.Deserialize<ErasureProof>(json, Json) ?? throw new JsonException("The proof is empty.");

    /// <summary>SHA-256 of the UTF-8 text, hexadecimal.</summary>
    public static string HashOf(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>SHA-256 of a version's list of files, hexadecimal.</summary>
    public static string HashOf(ModelVersion version) => HashOf(version.FilesJson);

    /// <summary>
    /// Whether the proof of a finished request is the one that was written, and whether what it says still holds: its hash, the audit event with that hash, versions that must stay retired, manifests, and nothing that came back.
    /// </summary>
    /// <returns>What is wrong; null when nothing is.</returns>
    public static string? Verify(PortalDbContext db, ErasureRequest request)
    {
        if (request is not { State: ErasureState.Done, ProofJson: { } json, ProofSha256: { } sha })
            return $"Request {request.Number} has no proof: it is {request.State}.";
        if (HashOf(json) != sha)
            return $"The proof of request {request.Number} was changed after it was written: its hash differs.";
        var id = $"{request.Id}";
        // Over (EntityKind, EntityId).
        if (db.AuditEvents.AsNoTracking().Where(e => e.EntityKind == EntityKind && e.EntityId == id && e.Action == FinishAction).OrderBy(e => e.Sequence).FirstOrDefault() is not { } written || !AuditChain.Stands(written))
            return $"The audit log holds no whole event that request {request.Number} was finished.";
        if (!written.PayloadJson.Contains(sha, StringComparison.Ordinal))
            return $"The proof of request {request.Number} is not the one that the audit log names: it was exchanged.";
        ErasureProof proof;
        try
        {
            proof = FromJson(json);
        }
        catch (JsonException)
        {
            return $"The proof of request {request.Number} cannot be read.";
        }
        if (proof.Request != request.Id)
            return $"The proof of request {request.Number} is of another request.";
        return Retirement(db, request, proof) ?? Manifests(db, request, proof) ?? Returned(db, request);
    }

    /// <summary>How the audit log calls requests, and the event that holds the proof's hash.</summary>
    public const string EntityKind = "erasure", FinishAction = "erasure.finish";

    private static string? Retirement(PortalDbContext db, ErasureRequest request, ErasureProof proof)
    {
        var retired = proof.Retired.Select(one => one.Id).ToList();
        return db.ModelVersions.AsNoTracking().FirstOrDefault(v => retired.Contains(v.Id) && v.Status != ModelStatus.Retired) is { } back
            ? $"{back.Label} was retired by request {request.Number} and is not retired any more."
            : null;
    }

    /// <summary>Each manifest is the one this erasure sealed, or the one a later erasure began with.</summary>
    private static string? Manifests(PortalDbContext db, ErasureRequest request, ErasureProof proof)
    {
        if (proof.Datasets.Count == 0)
            return null;
        var later = db.ErasureRequests.AsNoTracking().Where(r => r.State == ErasureState.Done && r.FinishedAt > request.FinishedAt && r.ProofJson != null).OrderBy(r => r.FinishedAt).Select(r => r.ProofJson!).ToList().ConvertAll(FromJson);
        foreach (var dataset in proof.Datasets)
        {
            var now = later.SelectMany(next => next.Datasets).FirstOrDefault(next => next.Id == dataset.Id)?.ManifestBefore
                ?? db.DatasetVersions.Where(v => v.Id == dataset.Id).Select(v => v.ManifestHash).FirstOrDefault();
            if (now != dataset.ManifestAfter)
                return $"Dataset version {dataset.Number} is not as request {request.Number} left it: its manifest has another hash.";
        }
        return null;
    }

    private static string? Returned(PortalDbContext db, ErasureRequest request)
    {
        var subject = ErasureSubject.Of(db, request);
        if (subject.Contents(db).Any(c => c.Text != null))
            return $"A text that request {request.Number} erased is there again.";
        if (subject.Annotator is { } annotator && db.AnnotatorAccounts.Any(link => link.AnnotatorId == annotator))
            return $"The account behind what request {request.Number} erased is known again.";
        return request.Kind is not ErasureKind.AnnotatorLink && (subject.Pairwise(db).Any() || subject.Binary(db).Any())
            ? $"A judgement that request {request.Number} erased is there again."
            : null;
    }
}
