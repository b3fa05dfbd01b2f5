using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Portal.Engine.Tokenizers;

/// <summary>
/// Reads and writes byte-level BPE tokenizers as Hugging Face's <c>tokenizer.json</c>, with <c>tokenizer_config.json</c> beside
/// it for the names of the start, end and padding token.
/// </summary>
/// <remarks>
/// Anything in the file that would change the ids and that we do not know is refused, never skipped: a tokenizer that is
/// slightly wrong trains a model that is quietly bad.
/// </remarks>
public static class BytePairTokenizerFile
{
    private static readonly JsonSerializerOptions Written = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Reads <c>tokenizer.json</c> at a path.</summary>
    /// <exception cref="InvalidDataException">The file is no tokenizer we know; the message names file and field.</exception>
    public static BytePairTokenizer Load(string path)
    {
        try
        {
            var root = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw Bad("root", "is not an object");
            var configPath = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "tokenizer_config.json"); // a file has a folder
            var config = File.Exists(configPath) ? JsonNode.Parse(File.ReadAllText(configPath)) as JsonObject : null;
            return new BytePairTokenizer(Read(root, config));
        }
        catch (Exception e) when (e is JsonException or ArgumentException or InvalidOperationException or FormatException or Refusal)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>Writes <c>tokenizer.json</c> and <c>tokenizer_config.json</c> into a folder.</summary>
    public static void Save(BytePairTokenizer tokenizer, string folder)
    {
        var vocabulary = tokenizer.Vocabulary;
        Write(Path.Combine(folder, "tokenizer.json"), ToJson(vocabulary));
        var config = new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["bos_token"] = vocabulary.BosToken,
            ["eos_token"] = vocabulary.EosToken,
            ["pad_token"] = vocabulary.PadToken,
            ["clean_up_tokenization_spaces"] = false,
        };
        Write(Path.Combine(folder, "tokenizer_config.json"), config);
    }

    private static void Write(string path, JsonObject json)
    {
        ArtefactFile.Write(path, stream => JsonSerializer.Serialize(stream, json, Written));
    }

    private static BytePairVocabulary Read(JsonObject root, JsonObject? config)
    {
        var model = root["model"] as JsonObject ?? throw Bad("model", "is missing");
        Check(Text(model["type"]) is "BPE" or null, "model.type", $"is \"{Text(model["type"])}\"; only byte-level BPE is read");
        foreach (var name in new[] { "unk_token", "continuing_subword_prefix", "end_of_word_suffix" })
        {
            Check(string.IsNullOrEmpty(Text(model[name])), $"model.{name}", "is set; byte-level BPE has none");
        }

        Check(model["dropout"]?.GetValue<double>() is null or 0, "model.dropout", "is set; encoding would be random");
        Check(!Flag(model["byte_fallback"], false), "model.byte_fallback", "is true; this is not byte-level BPE");

        var special = SpecialTokens(root["added_tokens"] as JsonArray ?? []);
        var vocabulary = model["vocab"] as JsonObject ?? throw Bad("model.vocab", "is missing");
        var tokens = new Dictionary<string, int>(vocabulary.Count, StringComparer.Ordinal);
        var seen = new Dictionary<int, string>();
        foreach (var (spelling, id) in vocabulary)
        {
            var value = id?.GetValue<int>() ?? throw Bad("model.vocab", $"\"{spelling}\" has no id");
            Check(value is >= 0 and < 10_000_000, "model.vocab", $"\"{spelling}\" has id {value}");
            Check(seen.TryAdd(value, spelling), "model.vocab", $"id {value} stands for \"{spelling}\" and \"{seen[value]}\"");
            if (!(special.TryGetValue(spelling, out var specialId) && specialId == value))
            {
                tokens.Add(spelling, value);
            }
        }

        var (pattern, prefixSpace) = PreTokeniser(root["pre_tokenizer"] as JsonObject ?? throw Bad("pre_tokenizer", "is missing"));
        Check(Text(root["decoder"]?["type"]) == "ByteLevel", "decoder.type", "is not \"ByteLevel\"");
        return new BytePairVocabulary
        {
            Tokens = tokens,
            Merges = Merges(model["merges"] as JsonArray ?? throw Bad("model.merges", "is missing")),
            SpecialTokens = special,
            Pattern = pattern,
            AddPrefixSpace = prefixSpace,
            WholePiecesFirst = Flag(model["ignore_merges"], false),
            NormaliseNfc = Normaliser(root["normalizer"]),
            BosToken = Named(config?["bos_token"]),
            EosToken = Named(config?["eos_token"]),
            PadToken = Named(config?["pad_token"]),
        };
    }

    private static Dictionary<string, int> SpecialTokens(JsonArray added)
    {
        var special = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var i = 0; i < added.Count; i++)
        {
            var field = $"added_tokens[{i}]";
            var content = Text(added[i]?["content"]);
            Check(!string.IsNullOrEmpty(content), field, "has no content");
            foreach (var name in new[] { "lstrip", "rstrip", "single_word" })
            {
                Check(!Flag(added[i]![name], false), $"{field}.{name}", $"is true for \"{content}\"; only plain added tokens are read");
            }

            var id = added[i]!["id"]?.GetValue<int>() ?? throw Bad(field, "has no id");
            Check(id is >= 0 and < 10_000_000, $"{field}.id", $"is {id}");
            Check(special.TryAdd(content!, id), field, $"\"{content}\" stands twice");
        }

        return special;
    }

    private static List<(string, string)> Merges(JsonArray array)
    {
        var merges = new List<(string, string)>(array.Count);
        for (var i = 0; i < array.Count; i++)
        {
            // Older files write "a b", newer ones ["a", "b"]; a byte spelling holds no space, so the split is safe.
            var pair = array[i] is JsonArray two
                ? [.. two.Select(part => Text(part) ?? "")]
                : (Text(array[i]) ?? "").Split(' ');
            Check(pair.Length == 2 && pair[0].Length > 0 && pair[1].Length > 0, $"model.merges[{i}]", "is not a pair of tokens");
            merges.Add((pair[0], pair[1]));
        }

        return merges;
    }

    private static (string Pattern, bool PrefixSpace) PreTokeniser(JsonObject node)
    {
        if (Text(node["type"]) == "ByteLevel")
        {
            Check(Flag(node["use_regex"], true), "pre_tokenizer.use_regex", "is false without a Split before it");
            return (Pretokeniser.Gpt2Pattern, Flag(node["add_prefix_space"], true));
        }

        var steps = node["pretokenizers"] as JsonArray;
        Check(
            Text(node["type"]) == "Sequence" && steps is { Count: 2 } && Text(steps[0]?["type"]) == "Split" && Text(steps[1]?["type"]) == "ByteLevel",
            "pre_tokenizer",
            "is neither ByteLevel nor the sequence Split, ByteLevel");
        var (split, bytes) = (steps![0]!, steps[1]!);
        var pattern = Text(split["pattern"]?["Regex"]);
        Check(pattern is not null, "pre_tokenizer.pretokenizers[0].pattern", "is not a Regex");
        Check(Text(split["behavior"]) == "Isolated" && !Flag(split["invert"], false), "pre_tokenizer.pretokenizers[0]", "is not behavior Isolated, invert false");
        Check(!Flag(bytes["use_regex"], true), "pre_tokenizer.pretokenizers[1].use_regex", "is true after a Split");
        Check(!Flag(bytes["add_prefix_space"], true), "pre_tokenizer.pretokenizers[1].add_prefix_space", "is true after a Split");
        return (pattern!, false);
    }

    private static bool Normaliser(JsonNode? node)
    {
        var type = Text(node?["type"]);
        Check(node is null || type == "NFC", "normalizer", $"is \"{type}\"; only NFC or none is read");
        return type == "NFC";
    }

    private static JsonObject ToJson(BytePairVocabulary vocabulary)
    {
        var isGpt2 = vocabulary.Pattern == Pretokeniser.Gpt2Pattern;
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. vocabulary.SpecialTokens.OrderBy(token => token.Value).Select(token => new JsonObject
            {
                ["id"] = token.Value,
                ["content"] = token.Key,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            })]),
            ["normalizer"] = vocabulary.NormaliseNfc ? new JsonObject { ["type"] = "NFC" } : null,
            ["pre_tokenizer"] = isGpt2
                ? ByteLevel(vocabulary.AddPrefixSpace, useRegex: true)
                : new JsonObject
                {
                    ["type"] = "Sequence",
                    ["pretokenizers"] = new JsonArray(
                        new JsonObject
                        {
                            ["type"] = "Split",
                            ["pattern"] = new JsonObject { ["Regex"] = vocabulary.Pattern },
                            ["behavior"] = "Isolated",
                            ["invert"] = false,
                        },
                        ByteLevel(addPrefixSpace: false, useRegex: false)),
                },
            ["post_processor"] = null,
            ["decoder"] = ByteLevel(addPrefixSpace: true, useRegex: true),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = vocabulary.WholePiecesFirst,
                ["vocab"] = new JsonObject(vocabulary.Tokens.OrderBy(token => token.Value)
                    .Select(token => KeyValuePair.Create(token.Key, (JsonNode?)token.Value))),
                ["merges"] = new JsonArray([.. vocabulary.Merges.Select(merge => JsonValue.Create($"{merge.Left} {merge.Right}"))]),
            },
        };
    }

    private static JsonObject ByteLevel(bool addPrefixSpace, bool useRegex)
    {
        return new JsonObject
        {
            ["type"] = "ByteLevel",
            ["add_prefix_space"] = addPrefixSpace,
            ["trim_offsets"] = true,
            ["use_regex"] = useRegex,
        };
    }

    private static string? Text(JsonNode? node)
    {
        return node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
    }

    // In tokenizer_config.json a token is a string or an object with its content.
    private static string? Named(JsonNode? node)
    {
        return Text(node) ?? Text((node as JsonObject)?["content"]);
    }

    private static bool Flag(JsonNode? node, bool missing)
    {
        return node?.GetValue<bool>() ?? missing;
    }

    private static void Check(bool holds, string field, string problem)
    {
        if (!holds)
        {
            throw Bad(field, problem);
        }
    }

    private static Refusal Bad(string field, string problem)
    {
        return new Refusal($"{field} {problem}");
    }

    private sealed class Refusal(string message) : Exception(message);
}
