using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data.SaeFeatures;

namespace Portal.Engine.Audits;

/// <summary>The phrases by which readable features recognise a refusal, agreement, hedge, vagueness and a risky prompt; and a project's own. Counterfactual twins are written with the first ones.</summary>
/// <remarks>
/// The lists that ship lie in <c>phrases.json</c>. A project's file of the same shape replaces the lists it has and keeps the others; <c>own</c> names further features, each with its phrases. Phrases
/// stand as whole words, in any case.
/// </remarks>
public sealed class PhraseLists
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    };

    private PhraseLists(Stored lists)
    {
        Disagreement = Of(lists.Disagreement, "disagreement");
        (Refusal, Agreement, Hedge, Vague, Risky) = (Of(lists.Refusal, "refusal"), Of(lists.Agreement, "agreement"), Of(lists.Hedge, "hedge"), Of(lists.Vague, "vague"), Of(lists.Risky, "risky"));
        SecondPerson = (lists.SecondPerson ?? throw new FormatException("secondPerson is missing.")).Select(word => word.ToLowerInvariant()).ToHashSet(StringComparer.Ordinal);
        Own = [.. (lists.Own ?? []).Select(own => (own.Key, Of(own.Value, $"own.{own.Key}")))];
        // Without disagreement, which no feature counts: a reward that was recovered before there was such a list still reads texts as it did.
        Hash = AuditPrompts.HashOf(JsonSerializer.SerializeToUtf8Bytes(lists with { Disagreement = null }, Json));
    }

    private sealed record Stored(string[]? Refusal, string[]? Agreement, string[]? Hedge, string[]? Vague, string[]? Risky, string[]? SecondPerson, SortedDictionary<string, string[]>? Own)
    {
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string[]? Disagreement { get; init; }
    }

    /// <summary>The lists that ship.</summary>
    public static PhraseLists Shipped { get; } = new(ShippedLists());

    public Phrases Refusal { get; }
    public Phrases Agreement { get; }

    /// <summary>The opposite of <see cref="Agreement"/>, place by place, for twins; no feature counts it.</summary>
    public Phrases Disagreement { get; }

    public Phrases Hedge { get; }
    public Phrases Vague { get; }

    /// <summary>By which a prompt without tags counts as risky.</summary>
    public Phrases Risky { get; }

    /// <summary>Words, in lower case.</summary>
    public IReadOnlySet<string> SecondPerson { get; }

    /// <summary>A project's own features, by name.</summary>
    public IReadOnlyList<(string Name, Phrases Phrases)> Own { get; }

    /// <summary>Of all lists that features count.</summary>
    public string Hash { get; }

    /// <summary>The shipped lists with those of a file in place of theirs.</summary>
    /// <exception cref="CannotTrain">No such file, or it is none; the message names file and list.</exception>
    public static PhraseLists Read(string path)
    {
        if (!File.Exists(path))
            throw new CannotTrain($"{path}: there is no such file.");
        try
        {
            var own = JsonSerializer.Deserialize<Stored>(File.ReadAllBytes(path), Json) ?? throw new FormatException("It is empty.");
            var shipped = ShippedLists();
            return new PhraseLists(new Stored(own.Refusal ?? shipped.Refusal, own.Agreement ?? shipped.Agreement, own.Hedge ?? shipped.Hedge, own.Vague ?? shipped.Vague, own.Risky ?? shipped.Risky,
                own.SecondPerson ?? shipped.SecondPerson, own.Own ?? shipped.Own) { Disagreement = own.Disagreement ?? shipped.Disagreement });
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw new CannotTrain($"{Path.GetFileName(path)}: {e.Message}", e);
        }
    }

    private static Phrases Of(string[]? list, string name) => Phrases.Parse(string.Join('|', list ?? [])) ?? throw new FormatException($"{name} holds no phrase.");

    private static Stored ShippedLists()
    {
        using var file = typeof(PhraseLists).Assembly.GetManifestResourceStream("Portal.Engine.Audits.phrases.json") ?? throw new InvalidOperationException("The engine was built without its phrases.json.");
        return JsonSerializer.Deserialize<Stored>(file, Json)!; // ships, and a test reads it
    }
}

/// <summary>Words that a project counts as bad, in two degrees. A file: <c>{ "name": ..., "severe": [...], "mild": [...] }</c>; a word may be a phrase.</summary>
public sealed class Lexicon
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow };

    private readonly Phrases? severe, mild;

    /// <param name="severe">At least one word in both lists together.</param>
    /// <exception cref="CannotTrain">There is none.</exception>
    public Lexicon(string name, IReadOnlyList<string> severe, IReadOnlyList<string> mild)
    {
        Name = name;
        (this.severe, this.mild) = (Phrases.Parse(string.Join('|', severe)), Phrases.Parse(string.Join('|', mild)));
        if (this.severe is null && this.mild is null)
            throw new CannotTrain($"The lexicon {name} holds no word.");
        Hash = AuditPrompts.HashOf(JsonSerializer.SerializeToUtf8Bytes(new Stored(name, [.. severe], [.. mild]), Json));
    }

    private sealed record Stored(string? Name, string[]? Severe, string[]? Mild);

    public string Name { get; }
    public string Hash { get; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CannotTrain">No such file, or it is no lexicon; the message names it.</exception>
    public static Lexicon Read(string path)
    {
        if (!File.Exists(path))
            throw new CannotTrain($"{path}: there is no such file.");
        try
        {
            return JsonSerializer.Deserialize<Stored>(File.ReadAllBytes(path), Json) is { } stored ? new Lexicon(stored.Name ?? Path.GetFileNameWithoutExtension(path), stored.Severe ?? [], stored.Mild ?? [])
                : throw new CannotTrain($"{Path.GetFileName(path)} is empty.");
        }
        catch (JsonException e)
        {
            throw new CannotTrain($"{Path.GetFileName(path)}: {e.Message}", e);
        }
    }

    /// <summary>How often severe and mild words stand in a text.</summary>
    public (int Severe, int Mild) Count(string text) => (severe?.Count(text) ?? 0, mild?.Count(text) ?? 0);

    /// <summary>Whether any of them does.</summary>
    public bool IsBad(string text) => (severe?.Match(text) ?? false) || (mild?.Match(text) ?? false);
}
