using System.Text.Json;

namespace Portal.Data.Registry;

/// <summary>One trained (or imported) network: its files, what it was made from, and what was measured on it.</summary>
public sealed class ModelVersion
{
    public required ModelVersionId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required ModelKind Kind { get; init; }

    /// <summary>1, 2, 3 ... within project and kind.</summary>
    public required int Number { get; init; }

    /// <summary>How it was made, in the field's words: "base", "SFT", "reward model", "DPO", "KTO".</summary>
    public required string Method { get; init; }

    /// <summary>The version it started from; null for a base model.</summary>
    public required ModelVersionId? ParentId { get; init; }

    /// <summary>The judgements it was trained on; null for a base model.</summary>
    public required DatasetVersionId? DatasetVersionId { get; init; }

    public required JobId? JobId { get; init; }

    /// <summary>The job's whole spec, seed included, as JSON; for a base model its provenance.</summary>
    public required string SpecJson { get; init; }

    public required long Seed { get; init; }

    /// <summary>The commit of the code that trained it; "unknown" outside a checkout.</summary>
    public required string Commit { get; init; }

    /// <summary>Folder below the data directory's models folder; chosen by the engine, never by a person.</summary>
    public required string Folder { get; init; }

    /// <summary>The files and their hashes (<see cref="ModelFile"/> list as JSON).</summary>
    public required string FilesJson { get; init; }

    /// <summary>True when simulated judgements or the demo world took part.</summary>
    public required bool IsSynthetic { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public ModelStatus Status { get; private set; } = ModelStatus.Candidate;

    /// <summary>The file that holds a reward model's weights on sparse features.</summary>
    public const string FeatureHeadFile = "reward_head.safetensors";

    /// <summary>How <see cref="FilesJson"/> names it, for queries.</summary>
    public const string FeatureHeadEntry = $"\"{FeatureHeadFile}\"";

    /// <summary>A reward model that is a sum of features (SARM), whatever its method is called: told by its files, since they are what is opened.</summary>
    public bool HasFeatures => Kind is ModelKind.RewardModel && FilesJson.Contains(FeatureHeadEntry, StringComparison.Ordinal);

    /// <summary>What people call it: "policy v3".</summary>
    public string Label => $"{Kind.Noun()} v{Number}";

    /// <summary>The files with their hashes.</summary>
    public IReadOnlyList<ModelFile> Files() => JsonSerializer.Deserialize<List<ModelFile>>(FilesJson) ?? [];

    /// <summary>Served at least once.</summary>
    internal void MarkReleased() => Status = ModelStatus.Released;

    /// <summary>May never serve again.</summary>
    public void Retire() => Status = ModelStatus.Retired;
}

/// <summary>A file of a model version.</summary>
public sealed record ModelFile(string Name, long Bytes, string Sha256);

/// <summary>Kinds of models. A project has one current reward model and one current policy; sparse autoencoders serve inside reward models.</summary>
public enum ModelKind { RewardModel = 1, Policy = 2, SparseAutoencoder = 3 }

/// <summary>Words for kinds.</summary>
public static class ModelKinds
{
    /// <summary>What people call a model of this kind: "policy", "reward model", "SAE".</summary>
    public static string Noun(this ModelKind kind) => kind switch
    {
        ModelKind.RewardModel => "reward model",
        ModelKind.Policy => "policy",
        ModelKind.SparseAutoencoder => "SAE",
    };
}

/// <summary>Where a version stands. Which released version serves is told by the project's pointer.</summary>
public enum ModelStatus { Candidate = 1, Released = 2, Retired = 3 }

/// <summary>One move of a project's pointer. Append-only.</summary>
public sealed class ReleaseRecord
{
    public required ReleaseId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required ModelKind Kind { get; init; }
    public required ModelVersionId? FromVersionId { get; init; }
    public required ModelVersionId ToVersionId { get; init; }
    public required string Reason { get; init; }
    public required Guid By { get; init; }
    public required Guid? Approver { get; init; }
    public required DateTimeOffset At { get; init; }
    public required bool IsRollBack { get; init; }
}

/// <summary>One number measured on a version, with what is needed to read it.</summary>
public sealed class EvaluationResult
{
    public long Id { get; init; }
    public required ModelVersionId ModelVersionId { get; init; }

    /// <summary>The metric's standard name, e.g. "pairwise_accuracy", "mean_reward", "length_tokens", "kl_nats".</summary>
    public required string Name { get; init; }

    /// <summary>On which rows: "held-out", "held-out/directions", "train".</summary>
    public required string Part { get; init; }

    public required double Value { get; init; }

    /// <summary>95 % interval; null where none can be given (n too small): the page then says "not enough evidence".</summary>
    public required double? Low { get; init; }
    public required double? High { get; init; }

    /// <summary>How many units (pairs, prompts) the number rests on.</summary>
    public required int Count { get; init; }

    /// <summary>The version it is compared with; null for a number on its own.</summary>
    public ModelVersionId? ComparedWithId { get; init; }

    public required DateTimeOffset At { get; init; }
}

/// <summary>One sampled response of an evaluation: the same prompt and seed for the candidate and the version it is compared with.</summary>
public sealed class EvaluationSample
{
    public long Id { get; init; }

    /// <summary>The candidate whose evaluation this belongs to.</summary>
    public required ModelVersionId CandidateId { get; init; }

    /// <summary>The version that wrote the response.</summary>
    public required ModelVersionId SampledFromId { get; init; }

    public required PromptId PromptId { get; init; }
    public required ResponseId ResponseId { get; init; }

    /// <summary>0, 1, ... among the samples of this prompt and version.</summary>
    public required int Ordinal { get; init; }

    /// <summary>Score by the reward model named in the evaluation's spec; null where there is none.</summary>
    public required double? Reward { get; init; }

    public required int LengthTokens { get; init; }

    /// <summary>0 for the prompt that the version was made for, 1, 2, ... for those most like it; null for all others. Those that are not held out as well count in no figure.</summary>
    public int? SimilarRank { get; init; }
}
