using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace Portal.Data;

/// <summary>
/// A typed id: one struct per kind of thing, so that a prompt's id cannot be passed where a response's is wanted.
/// All are version-7 GUIDs, which sort by the time they were made.
/// </summary>
/// <typeparam name="TSelf">The id type itself.</typeparam>
public interface IEntityId<TSelf> where TSelf : struct, IEntityId<TSelf>
{
    /// <summary>The bare GUID, as stored.</summary>
    Guid Value { get; }

    /// <summary>Wraps a bare GUID.</summary>
    static abstract TSelf From(Guid value);
}

/// <summary>Makes ids; the only place where a new one comes from.</summary>
public sealed class IdFactory(TimeProvider time)
{
    /// <summary>A fresh id, later in sort order than those made before it (to the millisecond).</summary>
    public T New<T>() where T : struct, IEntityId<T> => T.From(Guid.CreateVersion7(time.GetUtcNow()));
}

/// <summary>Identifies a project.</summary>
[JsonConverter(typeof(IdJsonConverter<ProjectId>))]
public readonly record struct ProjectId(Guid Value) : IEntityId<ProjectId>
{
    /// <inheritdoc/>
    public static ProjectId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ProjectId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ProjectId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a prompt.</summary>
[JsonConverter(typeof(IdJsonConverter<PromptId>))]
public readonly record struct PromptId(Guid Value) : IEntityId<PromptId>
{
    /// <inheritdoc/>
    public static PromptId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out PromptId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static PromptId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a response to a prompt.</summary>
[JsonConverter(typeof(IdJsonConverter<ResponseId>))]
public readonly record struct ResponseId(Guid Value) : IEntityId<ResponseId>
{
    /// <inheritdoc/>
    public static ResponseId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ResponseId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ResponseId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a content row (a text that can be erased).</summary>
[JsonConverter(typeof(IdJsonConverter<ContentId>))]
public readonly record struct ContentId(Guid Value) : IEntityId<ContentId>
{
    /// <inheritdoc/>
    public static ContentId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ContentId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ContentId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies an annotation task.</summary>
[JsonConverter(typeof(IdJsonConverter<TaskId>))]
public readonly record struct TaskId(Guid Value) : IEntityId<TaskId>
{
    /// <inheritdoc/>
    public static TaskId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out TaskId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static TaskId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies one annotator's lease on one task.</summary>
[JsonConverter(typeof(IdJsonConverter<AssignmentId>))]
public readonly record struct AssignmentId(Guid Value) : IEntityId<AssignmentId>
{
    /// <inheritdoc/>
    public static AssignmentId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out AssignmentId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static AssignmentId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a judgement, pairwise or binary; made by the page on load, so that sending twice stores once.</summary>
[JsonConverter(typeof(IdJsonConverter<JudgementId>))]
public readonly record struct JudgementId(Guid Value) : IEntityId<JudgementId>
{
    /// <inheritdoc/>
    public static JudgementId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out JudgementId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static JudgementId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies an annotator by pseudonym; which account stands behind it is kept in a table of its own.</summary>
[JsonConverter(typeof(IdJsonConverter<AnnotatorId>))]
public readonly record struct AnnotatorId(Guid Value) : IEntityId<AnnotatorId>
{
    /// <inheritdoc/>
    public static AnnotatorId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out AnnotatorId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static AnnotatorId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a flag.</summary>
[JsonConverter(typeof(IdJsonConverter<FlagId>))]
public readonly record struct FlagId(Guid Value) : IEntityId<FlagId>
{
    /// <inheritdoc/>
    public static FlagId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out FlagId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static FlagId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
    /// <summary>Earlier in sort order. Lets a query ask the database for what stands before a row.</summary>
    public static bool operator <(FlagId first, FlagId second) => first.Value < second.Value;
    /// <summary>Later in sort order.</summary>
    public static bool operator >(FlagId first, FlagId second) => first.Value > second.Value;
}

/// <summary>Identifies an import.</summary>
[JsonConverter(typeof(IdJsonConverter<ImportId>))]
public readonly record struct ImportId(Guid Value) : IEntityId<ImportId>
{
    /// <inheritdoc/>
    public static ImportId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ImportId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ImportId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a dataset version.</summary>
[JsonConverter(typeof(IdJsonConverter<DatasetVersionId>))]
public readonly record struct DatasetVersionId(Guid Value) : IEntityId<DatasetVersionId>
{
    /// <inheritdoc/>
    public static DatasetVersionId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out DatasetVersionId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static DatasetVersionId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a model version.</summary>
[JsonConverter(typeof(IdJsonConverter<ModelVersionId>))]
public readonly record struct ModelVersionId(Guid Value) : IEntityId<ModelVersionId>
{
    /// <inheritdoc/>
    public static ModelVersionId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ModelVersionId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ModelVersionId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a job.</summary>
[JsonConverter(typeof(IdJsonConverter<JobId>))]
public readonly record struct JobId(Guid Value) : IEntityId<JobId>
{
    /// <inheritdoc/>
    public static JobId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out JobId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static JobId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies an invitation.</summary>
[JsonConverter(typeof(IdJsonConverter<InvitationId>))]
public readonly record struct InvitationId(Guid Value) : IEntityId<InvitationId>
{
    /// <inheritdoc/>
    public static InvitationId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out InvitationId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static InvitationId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a release or a roll-back.</summary>
[JsonConverter(typeof(IdJsonConverter<ReleaseId>))]
public readonly record struct ReleaseId(Guid Value) : IEntityId<ReleaseId>
{
    /// <inheritdoc/>
    public static ReleaseId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ReleaseId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ReleaseId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a description of a reward model's features.</summary>
[JsonConverter(typeof(IdJsonConverter<FeatureDescriptionId>))]
public readonly record struct FeatureDescriptionId(Guid Value) : IEntityId<FeatureDescriptionId>
{
    /// <inheritdoc/>
    public static FeatureDescriptionId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out FeatureDescriptionId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static FeatureDescriptionId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a label of a feature.</summary>
[JsonConverter(typeof(IdJsonConverter<FeatureLabelId>))]
public readonly record struct FeatureLabelId(Guid Value) : IEntityId<FeatureLabelId>
{
    /// <inheritdoc/>
    public static FeatureLabelId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out FeatureLabelId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static FeatureLabelId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a set of toggles.</summary>
[JsonConverter(typeof(IdJsonConverter<ToggleSetId>))]
public readonly record struct ToggleSetId(Guid Value) : IEntityId<ToggleSetId>
{
    /// <inheritdoc/>
    public static ToggleSetId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ToggleSetId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ToggleSetId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a request to unlearn judgements.</summary>
[JsonConverter(typeof(IdJsonConverter<UnlearningRequestId>))]
public readonly record struct UnlearningRequestId(Guid Value) : IEntityId<UnlearningRequestId>
{
    /// <inheritdoc/>
    public static UnlearningRequestId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out UnlearningRequestId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static UnlearningRequestId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a request to erase what belongs to a person.</summary>
[JsonConverter(typeof(IdJsonConverter<ErasureRequestId>))]
public readonly record struct ErasureRequestId(Guid Value) : IEntityId<ErasureRequestId>
{
    /// <inheritdoc/>
    public static ErasureRequestId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ErasureRequestId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ErasureRequestId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies an explanation of a response.</summary>
[JsonConverter(typeof(IdJsonConverter<ExplanationId>))]
public readonly record struct ExplanationId(Guid Value) : IEntityId<ExplanationId>
{
    /// <inheritdoc/>
    public static ExplanationId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out ExplanationId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static ExplanationId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies a reviewer's mark of a pair.</summary>
[JsonConverter(typeof(IdJsonConverter<PairMarkId>))]
public readonly record struct PairMarkId(Guid Value) : IEntityId<PairMarkId>
{
    /// <inheritdoc/>
    public static PairMarkId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out PairMarkId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static PairMarkId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Identifies an endpoint that answers as a policy.</summary>
[JsonConverter(typeof(IdJsonConverter<PolicyEndpointId>))]
public readonly record struct PolicyEndpointId(Guid Value) : IEntityId<PolicyEndpointId>
{
    /// <inheritdoc/>
    public static PolicyEndpointId From(Guid value) => new(value);
    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
    /// <summary>Parses the text form; false when it is none. Lets routes and query strings bind the id.</summary>
    public static bool TryParse(string? text, IFormatProvider? provider, out PolicyEndpointId id)
    {
        var ok = Guid.TryParse(text, out var value);
        id = new(value);
        return ok;
    }
    /// <summary>Parses the text form or throws <see cref="FormatException"/>.</summary>
    public static PolicyEndpointId Parse(string text, IFormatProvider? provider) => new(Guid.Parse(text));
}

/// <summary>Stores an id as its GUID.</summary>
internal sealed class IdConverter<T>() : ValueConverter<T, Guid>(id => id.Value, value => Wrap(value)) where T : struct, IEntityId<T>
{
    // An expression tree cannot call a static interface member itself.
    private static T Wrap(Guid value) => T.From(value);
}

/// <summary>Writes an id as a plain JSON string.</summary>
public sealed class IdJsonConverter<T> : JsonConverter<T> where T : struct, IEntityId<T>
{
    /// <inheritdoc/>
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => T.From(reader.GetGuid());
    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(value.Value);
    /// <inheritdoc/>
    public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        T.From(Guid.Parse(reader.GetString() ?? ""));
    /// <inheritdoc/>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value.Value.ToString());
}
