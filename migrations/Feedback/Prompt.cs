namespace Portal.Data.Feedback;

/// <summary>Something people or programs ask the model: one or more turns that end with the user's.</summary>
public sealed class Prompt
{
    public required PromptId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required ContentId ContentId { get; init; }

    /// <summary>Keyed hash of the turns; unique in a project, so that an import twice adds nothing. Trials are hashed apart: an import of the same words makes a prompt of its own.</summary>
    public required string ContentHash { get; init; }

    /// <summary>Typed on the try page, and stored with an answer that was flagged there: never drawn for sampling, training or audits, never exported.</summary>
    public bool IsTrial { get; init; }

    /// <summary>The subject, where the source says ("directions"); null when it does not.</summary>
    public string? Topic { get; init; }

    /// <summary>The import that brought it; rows of an import are shown only once it is visible. Null for rows made in the portal.</summary>
    public ImportId? ImportId { get; init; }

    /// <summary>The id the row had where it came from; null when it had none.</summary>
    public string? ExternalId { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>One answer to a prompt, immutable. Judgements refer to it by id.</summary>
public sealed class Response
{
    public required ResponseId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required PromptId PromptId { get; init; }
    public required ContentId ContentId { get; init; }

    /// <summary>Keyed hash of the text; unique per prompt and model version.</summary>
    public required string ContentHash { get; init; }

    /// <summary>The version it was sampled from; null for imported texts and those of endpoints.</summary>
    public ModelVersionId? ModelVersionId { get; init; }

    /// <summary>The outside model that wrote it; null for all others.</summary>
    public PolicyEndpointId? EndpointId { get; init; }

    /// <summary>How it was sampled (<see cref="JobSpecs.SamplingSpec"/> as JSON, seed included); null for imported texts.</summary>
    public string? SamplingJson { get; init; }

    public ImportId? ImportId { get; init; }
    public string? ExternalId { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
