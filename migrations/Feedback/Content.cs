namespace Portal.Data.Feedback;

/// <summary>
/// A text that a person or a model wrote. Everything else refers to it by id or keyed hash, so that erasing the text leaves the
/// judgement, the manifest and the audit chain whole.
/// </summary>
public sealed class Content
{
    public required ContentId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required ContentKind Kind { get; init; }

    /// <summary>The text; for prompts the turns as JSON (<see cref="Conversation"/>). Null once erased.</summary>
    public required string? Text { get; set; }

    /// <summary>HMAC-SHA-256 of the text under the installation's key, 64 hex digits: equal texts can be found, texts cannot be guessed.</summary>
    public required string KeyedHash { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? ErasedAt { get; private set; }

    /// <summary>Removes the text for good; the hash stays.</summary>
    public void Erase(DateTimeOffset at)
    {
        Text = null;
        ErasedAt ??= at;
    }
}

/// <summary>What a content row holds.</summary>
public enum ContentKind { Prompt = 1, Response = 2, Rationale = 3, FlagNote = 4, PreferredAnswer = 5 }
