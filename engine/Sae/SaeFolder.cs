using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Portal.Data.JobSpecs;
using Portal.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>
/// SAEs on disk: SAELens' layout (version 6) with what it cannot say in two files beside it, and sparsify's for exchange.
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>SAELens: <c>cfg.json</c>, <c>sae_weights.safetensors</c> with W_enc [d, M], b_enc [M], W_dec [M, d], b_dec [d]; a BatchTopK SAE is its "jumprelu" with one
/// threshold for all. Ours beside them: <c>portal.json</c> (layer, normaliser, hashes) and, with a centre for each position,
/// <c>portal.safetensors</c>, of which b_dec is the response end's.</item>
/// <item>sparsify: <c>cfg.json</c>, <c>sae.safetensors</c> with encoder.weight [M, d], encoder.bias [M], W_dec [M, d], b_dec [d]. It knows no normaliser: ours stands in
/// cfg.json under "portal", and another program has to normalise first.</item>
/// </list>
/// Weights go through both unchanged, bit for bit. SAELens adds 1e-5 to the deviation where we add 1e-6, and always applies the ReLU.
/// Files from strangers: shapes and orientation are checked before anything is used. Formats: specs/sarm.md §4.
/// </remarks>
public static class SaeFolder
{
    private const string ConfigFile = "cfg.json", SaeLensFile = "sae_weights.safetensors", SparsifyFile = "sae.safetensors", PortalFile = "portal.json", CentresFile = "portal.safetensors";

    /// <summary>SAELens' own value, for folders that are not ours.</summary>
    private const double SaeLensEpsilon = 1e-5;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, Converters = { new System.Text.Json.Serialization.JsonStringEnumConverter() },
    };

    /// <summary>Writes an SAE in SAELens' layout, the one the portal itself keeps.</summary>
    /// <param name="modelName">What the file calls the model.</param>
    public static void Save(TopKSae sae, string folder, string modelName)
    {
        Directory.CreateDirectory(folder);
        var config = sae.Config;
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var tensors = new List<KeyValuePair<string, Tensor>>
        {
            new("W_enc", sae.EncoderWeight.t().contiguous()), new("b_enc", sae.LatentBias), new("W_dec", sae.DecoderWeight), new("b_dec", sae.PreBias[0]),
        };
        if (config.Selection is SaeSelection.BatchTopK)
            tensors.Add(new("threshold", full(config.Latents, Threshold(config))));
        WriteTensors(folder, SaeLensFile, tensors);
        if (config.CentresPositions)
            WriteTensors(folder, CentresFile, [new("pre_bias", sae.PreBias)]);
        var json = new JsonObject
        {
            ["architecture"] = config.Selection is SaeSelection.TopK ? "topk" : "jumprelu",
            ["d_in"] = config.Width, ["d_sae"] = config.Latents, ["dtype"] = "float32", ["device"] = "cpu", ["apply_b_dec_to_input"] = true,
            ["normalize_activations"] = config.Normalisation is SaeNormalisation.ZScore ? "layer_norm" : "none", ["reshape_activations"] = "none",
            ["metadata"] = new JsonObject { ["sae_lens_version"] = "6.0.0", ["sae_lens_training_version"] = "6.0.0", ["model_name"] = modelName, ["hook_name"] = HookName(config.Layer) },
        };
        if (config.Selection is SaeSelection.TopK)
            (json["k"], json["rescale_acts_by_decoder_norm"]) = (config.K, false);
        Write(folder, ConfigFile, json);
        ArtefactFile.Write(Path.Combine(folder, PortalFile), stream => JsonSerializer.Serialize(stream, config, Json));
    }

    /// <summary>Writes an SAE in sparsify's layout.</summary>
    /// <exception cref="CannotTrain">It has more than sparsify can say: a threshold, or two centres.</exception>
    public static void ExportSparsify(TopKSae sae, string folder)
    {
        var config = sae.Config;
        if (config.Selection is SaeSelection.BatchTopK)
            throw new CannotTrain("A BatchTopK SAE has a threshold, and sparsify's layout no place for it; export it in SAELens' layout.");
        if (config.CentresPositions)
            throw new CannotTrain("This SAE has a centre for each kind of position, and sparsify's layout holds one; export it in SAELens' layout.");
        Directory.CreateDirectory(folder);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        WriteTensors(folder, SparsifyFile, [new("encoder.weight", sae.EncoderWeight), new("encoder.bias", sae.LatentBias), new("W_dec", sae.DecoderWeight), new("b_dec", sae.PreBias[0])]);
        Write(folder, ConfigFile, new JsonObject
        {
            ["activation"] = "topk", ["expansion_factor"] = Math.Max(1, config.Latents / config.Width), ["normalize_decoder"] = true, ["num_latents"] = config.Latents, ["k"] = config.K,
            ["multi_topk"] = false, ["skip_connection"] = false, ["transcode"] = false, ["d_in"] = config.Width, ["portal"] = JsonSerializer.SerializeToNode(config, Json),
        });
    }

    /// <summary>Reads an SAE in either layout.</summary>
    /// <param name="layer">Blocks run before the states are read, where the folder does not say.</param>
    /// <exception cref="InvalidDataException">A file is missing or damaged, a tensor has another shape or lies the other way round, or the SAE is of a kind
    /// that is not run here; the message names file and field.</exception>
    public static TopKSae Load(string folder, int? layer = null)
    {
        var path = Path.Combine(folder, ConfigFile);
        var json = ReadJson(path);
        return File.Exists(Path.Combine(folder, SparsifyFile)) ? LoadSparsify(folder, path, json, layer)
            : File.Exists(Path.Combine(folder, SaeLensFile)) ? LoadSaeLens(folder, path, json, layer)
            : throw new InvalidDataException($"{folder}: neither {SaeLensFile} (SAELens) nor {SparsifyFile} (sparsify) is there.");
    }

    private static TopKSae LoadSaeLens(string folder, string path, JsonObject json, int? layer)
    {
        var architecture = Text(json, path, "architecture");
        Refuse(architecture is not ("topk" or "jumprelu"), path, "architecture", architecture, "topk, and jumprelu with one threshold, are run");
        Refuse(json["apply_b_dec_to_input"]?.GetValue<bool>() is false, path, "apply_b_dec_to_input", "false", "the centre is always taken off the input");
        Refuse(json["rescale_acts_by_decoder_norm"]?.GetValue<bool>() is true, path, "rescale_acts_by_decoder_norm", "true", "fold the norms into the weights first");
        var normalisation = json["normalize_activations"]?.GetValue<string>() ?? "none";
        Refuse(normalisation is not ("none" or "layer_norm"), path, "normalize_activations", normalisation, "none and layer_norm are run");
        var config = ReadConfig(Path.Combine(folder, PortalFile)) ?? new SaeConfig
        {
            Width = Number(json, path, "d_in"), Latents = Number(json, path, "d_sae"), K = architecture == "topk" ? Number(json, path, "k") : 1,
            Layer = LayerOf(json["metadata"] as JsonObject, path, layer), Selection = architecture == "topk" ? SaeSelection.TopK : SaeSelection.BatchTopK, Threshold = 0,
            Normalisation = normalisation == "none" ? SaeNormalisation.None : SaeNormalisation.ZScore, NormaliserEpsilon = normalisation == "none" ? 0 : SaeLensEpsilon,
        };
        var (d, m) = (config.Width, config.Latents);
        Validate(config, path);
        using var file = Safetensors.Open(Path.Combine(folder, SaeLensFile));
        using var scope = NewDisposeScope();
        var encoder = Read(file, "W_enc", [d, m]);
        var (bias, decoder, centre) = (Read(file, "b_enc", [m]), Read(file, "W_dec", [m, d]), Read(file, "b_dec", [d]));
        if (config.Selection is SaeSelection.BatchTopK)
        {
            var threshold = Read(file, "threshold", [m]);
            var (low, high) = (threshold.min().item<float>(), threshold.max().item<float>());
            Refuse(low != high, file.Path, "threshold", $"{low} to {high}", "one threshold for all latents is run");
            config = config with { Threshold = low };
        }
        if (!config.CentresPositions)
            return TopKSae.Of(config, encoder.t(), bias, decoder, centre.unsqueeze(0));
        using var centres = Safetensors.Open(Path.Combine(folder, CentresFile));
        return TopKSae.Of(config, encoder.t(), bias, decoder, Read(centres, "pre_bias", [config.Centres, d]));
    }

    private static TopKSae LoadSparsify(string folder, string path, JsonObject json, int? layer)
    {
        var activation = json["activation"]?.GetValue<string>() ?? "topk";
        Refuse(activation != "topk", path, "activation", activation, "topk is run");
        Refuse(json["transcode"]?.GetValue<bool>() is true, path, "transcode", "true", "transcoders are not run");
        Refuse(json["skip_connection"]?.GetValue<bool>() is true, path, "skip_connection", "true", "skip connections are not run");
        var d = Number(json, path, "d_in");
        var latents = json["num_latents"]?.GetValue<int>() is { } count and > 0 ? count : d * Number(json, path, "expansion_factor");
        var config = json["portal"]?.Deserialize<SaeConfig>(Json) ?? new SaeConfig
        {
            Width = d, Latents = latents, K = Number(json, path, "k"), Layer = layer ?? throw new InvalidDataException($"{path}: the layer does not stand in this file; say which."),
            Normalisation = SaeNormalisation.None, NormaliserEpsilon = 0,
        };
        Validate(config, path);
        using var file = Safetensors.Open(Path.Combine(folder, SparsifyFile));
        using var scope = NewDisposeScope();
        return TopKSae.Of(config, Read(file, "encoder.weight", [config.Latents, d]), Read(file, "encoder.bias", [config.Latents]), Read(file, "W_dec", [config.Latents, d]),
            Read(file, "b_dec", [d]).unsqueeze(0));
    }

    private static Tensor Read(Safetensors file, string name, long[] shape)
    {
        if (!file.Entries.TryGetValue(name, out var entry))
            throw new InvalidDataException($"{file.Path}: the tensor \"{name}\" is missing.");
        if (!entry.Shape.SequenceEqual(shape))
        {
            var turned = shape.Length == 2 && entry.Shape.SequenceEqual(shape.Reverse()) ? " It lies the other way round." : "";
            throw new InvalidDataException($"{file.Path}: the tensor \"{name}\" is [{string.Join(", ", entry.Shape)}]; [{string.Join(", ", shape)}] is expected.{turned}");
        }
        var read = file.Read(name).to_type(ScalarType.Float32);
        return read.isfinite().all().item<bool>() ? read : throw new InvalidDataException($"{file.Path}: the tensor \"{name}\" has numbers that are not finite.");
    }

    private static void WriteTensors(string folder, string name, IReadOnlyList<KeyValuePair<string, Tensor>> tensors) =>
        Safetensors.Write(Path.Combine(folder, name), tensors, SafetensorsType.F32, new Dictionary<string, string> { ["format"] = "pt" });

    private static void Write(string folder, string name, JsonObject json) =>
        ArtefactFile.Write(Path.Combine(folder, name), stream => JsonSerializer.Serialize(stream, json, Json));

    private static SaeConfig? ReadConfig(string path)
    {
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<SaeConfig>(File.ReadAllText(path), Json) : null;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    private static JsonObject ReadJson(string path)
    {
        if (!File.Exists(path))
            throw new InvalidDataException($"{path}: missing; an SAE's folder needs one.");
        try
        {
            return JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new InvalidDataException($"{path}: not a JSON object.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    private static void Validate(SaeConfig config, string path)
    {
        try
        {
            config.Validate();
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    private static int Number(JsonObject json, string path, string field) =>
        json[field] is JsonValue value && value.TryGetValue<int>(out var number) ? number : throw new InvalidDataException($"{path}: {field} is missing or not a whole number.");

    private static string Text(JsonObject json, string path, string field) =>
        json[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw new InvalidDataException($"{path}: {field} is missing or not a text.");

    private static void Refuse(bool refused, string path, string field, string value, string reason)
    {
        if (refused)
            throw new InvalidDataException($"{path}: {field} is {value}; {reason}.");
    }

    private static string HookName(int layer) => layer == 0 ? "blocks.0.hook_resid_pre" : string.Create(CultureInfo.InvariantCulture, $"blocks.{layer - 1}.hook_resid_post");

    private static int LayerOf(JsonObject? metadata, string path, int? given)
    {
        var hook = metadata?["hook_name"]?.GetValue<string>() ?? "";
        if (hook.Split('.') is ["blocks", var number, "hook_resid_pre" or "hook_resid_post"] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var block))
            return hook.EndsWith("post", StringComparison.Ordinal) ? block + 1 : block;
        return given ?? throw new InvalidDataException($"{path}: metadata.hook_name is \"{hook}\", which names no residual stream; say which layer.");
    }

    private static double Threshold(SaeConfig config) => config.Threshold ?? throw new InvalidOperationException("This BatchTopK SAE has no threshold; it was not trained to its end.");
}
