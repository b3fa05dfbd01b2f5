using System.Text.Json;
using System.Text.Json.Nodes;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>
/// Model folders in Hugging Face's layout: <c>config.json</c>, <c>model.safetensors</c> (or several with an index), and the
/// tokenizer's files beside them. Language models (LlamaForCausalLM) and reward models (LlamaForSequenceClassification).
/// </summary>
/// <remarks>
/// A folder we would run differently from its maker is refused by field: biases, other activations, scaled rotary positions.
/// Files from strangers: no pickle, and every tensor's name and shape is checked before the model is made.
/// </remarks>
public static class HuggingFaceFolder
{
    private const string ConfigFile = "config.json";
    internal const string WeightsFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";

    /// <summary>Reads a language model, on the CPU in float32 whatever the file's format.</summary>
    /// <exception cref="InvalidDataException">A file is damaged or a tensor is missing or has another shape; the message names
    /// file, tensor, expected and found shape.</exception>
    public static Llama LoadLanguageModel(string folder)
    {
        using var weights = new WeightFiles(folder);
        var config = ReadConfig(folder);
        weights.CheckBackbone(config);
        var model = new Llama(config);
        weights.Fill(LlamaWeights.Of(model));
        return model;
    }

    /// <summary>
    /// Reads a reward model. A folder of a language model (no <c>score.weight</c>) gives its decoder with a fresh zero head
    /// when <paramref name="freshHead"/> is true.
    /// </summary>
    /// <exception cref="InvalidDataException">As for language models; and where the head is missing and none was asked for.</exception>
    public static LlamaReward LoadRewardModel(string folder, bool freshHead = false)
    {
        using var weights = new WeightFiles(folder);
        var config = ReadConfig(folder);
        weights.CheckBackbone(config);
        var model = new LlamaReward(config);
        var isFresh = freshHead && !weights.Has("score.weight");
        weights.Fill(isFresh ? LlamaWeights.Of(model.Backbone) : LlamaWeights.Of(model));
        return model;
    }

    /// <summary>Reads a decoder without any head: of a language model, a reward model, or one that was saved alone.</summary>
    /// <inheritdoc cref="LoadLanguageModel"/>
    public static LlamaBackbone LoadDecoder(string folder)
    {
        using var weights = new WeightFiles(folder);
        var config = ReadConfig(folder);
        weights.CheckBackbone(config);
        var model = new LlamaBackbone(config);
        weights.Fill(LlamaWeights.Of(model));
        return model;
    }

    /// <summary>Writes a decoder alone (LlamaModel) and its tokenizer; as for language models.</summary>
    public static void SaveDecoder(LlamaBackbone model, string folder, ITokenizer? tokenizer, SafetensorsType type = SafetensorsType.F32)
    {
        Save(LlamaWeights.Of(model), model.Config, "LlamaModel", folder, tokenizer, type, notes: null);
    }

    /// <summary>Writes a language model and its tokenizer.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">Made where absent; files of the same name are replaced one by one, each only when whole.</param>
    /// <param name="tokenizer">Written beside the model; null leaves what is there.</param>
    /// <param name="type">The format of the weights: F32, or F16 for half the size.</param>
    /// <param name="notes">Text for the weight file's header: seed, dataset, commit.</param>
    public static void Save(
        Llama model, string folder, ITokenizer? tokenizer, SafetensorsType type = SafetensorsType.F32, IReadOnlyDictionary<string, string>? notes = null)
    {
        Save(LlamaWeights.Of(model), model.Config, "LlamaForCausalLM", folder, tokenizer, type, notes);
    }

    /// <summary>Writes a reward model and its tokenizer; as for language models.</summary>
    public static void Save(
        LlamaReward model, string folder, ITokenizer? tokenizer, SafetensorsType type = SafetensorsType.F32, IReadOnlyDictionary<string, string>? notes = null)
    {
        Save(LlamaWeights.Of(model), model.Config, "LlamaForSequenceClassification", folder, tokenizer, type, notes);
    }

    /// <summary>Reads <c>config.json</c>.</summary>
    /// <exception cref="InvalidDataException">No such file, or a field is missing or asks for what we do not run; named.</exception>
    public static LlamaConfig ReadConfig(string folder)
    {
        var path = Path.Combine(folder, ConfigFile);
        if (!File.Exists(path))
        {
            throw new InvalidDataException($"{path}: missing; a model folder needs one");
        }

        try
        {
            var json = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new InvalidDataException($"{path}: not a JSON object");
            RefuseUnknownKinds(json, path);
            var config = new LlamaConfig
            {
                HiddenSize = Number("hidden_size"),
                IntermediateSize = Number("intermediate_size"),
                LayerCount = Number("num_hidden_layers"),
                HeadCount = Number("num_attention_heads"),
                KeyValueHeadCount = json["num_key_value_heads"] is null ? Number("num_attention_heads") : Number("num_key_value_heads"),
                VocabularySize = Number("vocab_size"),
                ContextLength = Number("max_position_embeddings"),
                // 0 means "as usual", so that configs with and without the field are equal.
                HeadSize = json["head_dim"] is null || Number("head_dim") * (long)Number("num_attention_heads") == Number("hidden_size") ? 0 : Number("head_dim"),
                NormEpsilon = json["rms_norm_eps"]?.GetValue<double>() ?? 1e-6,
                RopeTheta = (json["rope_theta"] ?? json["rope_parameters"]?["rope_theta"])?.GetValue<double>() ?? 10_000,
                TieWordEmbeddings = json["tie_word_embeddings"]?.GetValue<bool>() ?? false,
            };
            config.Validate();
            return config;

            int Number(string name)
            {
                return json[name]?.GetValue<int>() ?? throw new InvalidDataException($"{path}: {name} is missing");
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    private static void RefuseUnknownKinds(JsonObject json, string path)
    {
        Refuse(Text("model_type") is not (null or "llama"), "model_type", "only llama is read");
        Refuse(Text("hidden_act") is not (null or "silu"), "hidden_act", "only silu is run");
        Refuse(json["attention_bias"]?.GetValue<bool>() ?? false, "attention_bias", "projections with bias are not run");
        Refuse(json["mlp_bias"]?.GetValue<bool>() ?? false, "mlp_bias", "projections with bias are not run");
        var scaling = json["rope_scaling"] as JsonObject ?? json["rope_parameters"] as JsonObject;
        var kind = (scaling?["rope_type"] ?? scaling?["type"])?.GetValue<string>();
        Refuse(kind is not (null or "default"), "rope_scaling", $"rotary positions of type {kind} are not run");

        string? Text(string name)
        {
            return json[name]?.GetValue<string>();
        }

        void Refuse(bool refused, string field, string reason)
        {
            if (refused)
            {
                throw new InvalidDataException($"{path}: {field} is {json[field]?.ToJsonString() ?? "set"}: {reason}");
            }
        }
    }

    private static void Save(
        IReadOnlyList<LlamaWeights.Slot> slots,
        LlamaConfig config,
        string architecture,
        string folder,
        ITokenizer? tokenizer,
        SafetensorsType type,
        IReadOnlyDictionary<string, string>? notes)
    {
        Directory.CreateDirectory(folder);
        using (var noGrad = no_grad())
        using (var scope = NewDisposeScope())
        {
            // "format": "pt" is what transformers looks for.
            var metadata = new Dictionary<string, string>(notes ?? new Dictionary<string, string>()) { ["format"] = "pt" };
            Safetensors.Write(Path.Combine(folder, WeightsFile), slots.Select(slot => KeyValuePair.Create(slot.Name, slot.Save())), type, metadata);
        }

        var json = ConfigJson(config, architecture, type, tokenizer);
        ArtefactFile.Write(Path.Combine(folder, ConfigFile), stream => JsonSerializer.Serialize(stream, json, new JsonSerializerOptions { WriteIndented = true }));
        if (tokenizer is not null)
        {
            TokenizerFolder.Save(tokenizer, folder);
        }
    }

    private static JsonObject ConfigJson(LlamaConfig config, string architecture, SafetensorsType type, ITokenizer? tokenizer)
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(architecture),
            ["model_type"] = "llama",
            ["hidden_size"] = config.HiddenSize,
            ["intermediate_size"] = config.IntermediateSize,
            ["num_hidden_layers"] = config.LayerCount,
            ["num_attention_heads"] = config.HeadCount,
            ["num_key_value_heads"] = config.KeyValueHeadCount,
            ["head_dim"] = config.HeadSize,
            ["vocab_size"] = config.VocabularySize,
            ["max_position_embeddings"] = config.ContextLength,
            ["rms_norm_eps"] = config.NormEpsilon,
            ["rope_theta"] = config.RopeTheta,
            ["rope_parameters"] = new JsonObject { ["rope_type"] = "default", ["rope_theta"] = config.RopeTheta },
            ["hidden_act"] = "silu",
            ["attention_bias"] = false,
            ["mlp_bias"] = false,
            ["tie_word_embeddings"] = config.TieWordEmbeddings,
            ["torch_dtype"] = type switch
            {
                SafetensorsType.F32 => "float32",
                SafetensorsType.F16 => "float16",
                SafetensorsType.BF16 => "bfloat16",
                SafetensorsType.I64 => throw new ArgumentException("weights cannot be written as whole numbers"),
            },
        };
        if (tokenizer is not null)
        {
            json["bos_token_id"] = tokenizer.BosId;
            json["eos_token_id"] = tokenizer.EosId;
            json["pad_token_id"] = tokenizer.PadId;
        }

        if (architecture == "LlamaForSequenceClassification")
        {
            json["num_labels"] = 1;
            json["id2label"] = new JsonObject { ["0"] = "REWARD" };
            json["label2id"] = new JsonObject { ["REWARD"] = 0 };
        }

        return json;
    }

    /// <summary>The safetensors files of a folder: one, or several with an index that says which tensor is where.</summary>
    private sealed class WeightFiles : IDisposable
    {
        private readonly Dictionary<string, Safetensors> files = new(StringComparer.Ordinal);
        private readonly Dictionary<string, Safetensors> byTensor = new(StringComparer.Ordinal);
        private readonly string describedBy;

        public WeightFiles(string folder)
        {
            var (single, index) = (Path.Combine(folder, WeightsFile), Path.Combine(folder, IndexFile));
            describedBy = File.Exists(index) && !File.Exists(single) ? index : single;
            try
            {
                if (describedBy == index)
                {
                    ReadIndex(folder, index);
                }
                else if (File.Exists(single))
                {
                    Add(single, _ => true);
                }
                else
                {
                    var pickles = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.bin").Concat(Directory.GetFiles(folder, "*.pt")).Select(Path.GetFileName) : [];
                    var hint = string.Join(", ", pickles);
                    throw new InvalidDataException(
                        $"{single}: missing{(hint.Length > 0 ? $"; {hint} may hold the weights as a pickle, which is not read: convert to safetensors" : "")}");
                }
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public bool Has(string tensor)
        {
            return byTensor.ContainsKey(tensor);
        }

        /// <summary>Refuses weights of the decoder that we would silently leave out, such as biases or extra norms.</summary>
        public void CheckBackbone(LlamaConfig config)
        {
            var blocks = Enumerable.Range(0, config.LayerCount).Select(layer => $"model.layers.{layer}.").ToHashSet(StringComparer.Ordinal);
            string[] known =
            [
                "input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight",
                "post_attention_layernorm.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight", "self_attn.rotary_emb.inv_freq",
            ];
            foreach (var (name, file) in byTensor.Where(item => item.Key.StartsWith("model.", StringComparison.Ordinal)))
            {
                var isKnown = name is "model.embed_tokens.weight" or "model.norm.weight"
                    || known.Any(part => name.EndsWith("." + part, StringComparison.Ordinal) && blocks.Contains(name[..^part.Length]));
                if (!isKnown)
                {
                    throw new InvalidDataException($"{file.Path}: the tensor \"{name}\" has no place in a Llama of {config.LayerCount} layers");
                }
            }
        }

        public void Fill(IReadOnlyList<LlamaWeights.Slot> slots)
        {
            foreach (var slot in slots)
            {
                if (!byTensor.TryGetValue(slot.Name, out var file))
                {
                    throw new InvalidDataException($"{describedBy}: the tensor \"{slot.Name}\" is missing; expected shape [{string.Join(", ", slot.Shape)}]");
                }

                var entry = file.Entries[slot.Name];
                if (!entry.Shape.SequenceEqual(slot.Shape) || entry.Type == SafetensorsType.I64)
                {
                    throw new InvalidDataException(
                        $"{file.Path}: the tensor \"{slot.Name}\" is {entry.Type} [{string.Join(", ", entry.Shape)}]; expected floating-point [{string.Join(", ", slot.Shape)}]");
                }
            }

            foreach (var slot in slots)
            {
                using var scope = NewDisposeScope();
                slot.Load(byTensor[slot.Name].Read(slot.Name));
            }
        }

        public void Dispose()
        {
            foreach (var file in files.Values)
            {
                file.Dispose();
            }
        }

        private void ReadIndex(string folder, string index)
        {
            JsonObject map;
            try
            {
                map = (JsonNode.Parse(File.ReadAllText(index)) as JsonObject)?["weight_map"] as JsonObject
                    ?? throw new InvalidDataException($"{index}: weight_map is missing");
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"{index}: not valid JSON ({e.Message})", e);
            }

            foreach (var group in map.GroupBy(item => item.Value is JsonValue value && value.TryGetValue<string>(out var name) ? name : ""))
            {
                // The index comes from a stranger: it may name files beside it, not paths.
                if (group.Key.Length == 0 || group.Key != Path.GetFileName(group.Key))
                {
                    throw new InvalidDataException($"{index}: the tensor \"{group.First().Key}\" is said to be in \"{group.Key}\", which is no file name");
                }

                var path = Path.Combine(folder, group.Key);
                if (!File.Exists(path))
                {
                    throw new InvalidDataException($"{path}: missing, but {IndexFile} says the tensor \"{group.First().Key}\" is in it");
                }

                var wanted = group.Select(item => item.Key).ToHashSet(StringComparer.Ordinal);
                Add(path, wanted.Contains);
                if (wanted.FirstOrDefault(name => !byTensor.ContainsKey(name)) is { } absent)
                {
                    throw new InvalidDataException($"{path}: the tensor \"{absent}\" is missing, but {IndexFile} says it is in it");
                }
            }
        }

        private void Add(string path, Func<string, bool> wanted)
        {
            var file = Safetensors.Open(path);
            files[path] = file;
            foreach (var name in file.Entries.Keys.Where(wanted))
            {
                byTensor[name] = file;
            }
        }
    }
}
