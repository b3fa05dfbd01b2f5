using System.Text.Json.Nodes;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Models;

/// <summary>Model folders and weight files: what is written reads back, and damage is refused by file and tensor.</summary>
public sealed class ModelFilesTests : IDisposable
{
    private static readonly LlamaConfig Small = new()
    {
        HiddenSize = 16,
        IntermediateSize = 20,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        VocabularySize = 300,
        ContextLength = 16,
        TieWordEmbeddings = false,
    };

    private readonly string folder = Directory.CreateTempSubdirectory("portal-model-").FullName;
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_language_model_comes_back_from_its_folder(bool tied)
    {
        var tokenizer = new BytePairTokenizer(new BpeTrainer { VocabularySize = 300 }.Train(["ab ab"], CancellationToken.None));
        using var model = LlamaTests.Model(Small with { TieWordEmbeddings = tied, RopeTheta = 500, NormEpsilon = 1e-4 });
        HuggingFaceFolder.Save(model, folder, tokenizer, notes: new Dictionary<string, string> { ["seed"] = "1" });

        using var loaded = HuggingFaceFolder.LoadLanguageModel(folder);

        Assert.Equal(model.Config, loaded.Config);
        Assert.Equal(Logits(model), Logits(loaded));
        Assert.Equal(tokenizer.Encode("abc"), TokenizerFolder.Load(folder).Encode("abc"));
        using var file = Safetensors.Open(Path.Combine(folder, "model.safetensors"));
        Assert.Equal(tied, !file.Entries.ContainsKey("lm_head.weight"));
        Assert.Equal([8L, 16L], file.Entries["model.layers.1.self_attn.k_proj.weight"].Shape);
        Assert.Equal(("1", "pt"), (file.Metadata["seed"], file.Metadata["format"]));
    }

    [Fact]
    public void Names_and_shapes_are_hugging_faces()
    {
        // Snapshot of the layout of LlamaForCausalLM and LlamaForSequenceClassification.
        using var model = new Llama(Small with { LayerCount = 1 }, 1);
        string[] decoder =
        [
            "model.embed_tokens.weight 300x16", "model.layers.0.input_layernorm.weight 16", "model.layers.0.self_attn.q_proj.weight 16x16",
            "model.layers.0.self_attn.k_proj.weight 8x16", "model.layers.0.self_attn.v_proj.weight 8x16", "model.layers.0.self_attn.o_proj.weight 16x16",
            "model.layers.0.post_attention_layernorm.weight 16", "model.layers.0.mlp.gate_proj.weight 20x16", "model.layers.0.mlp.up_proj.weight 20x16",
            "model.layers.0.mlp.down_proj.weight 16x20", "model.norm.weight 16",
        ];
        Assert.Equal([.. decoder, "lm_head.weight 300x16"], Names(LlamaWeights.Of(model)));
        using var reward = LlamaReward.From(model);
        Assert.Equal([.. decoder, "score.weight 1x16"], Names(LlamaWeights.Of(reward)));
    }

    [Fact]
    public void Half_precision_files_load_as_float32_near_the_original()
    {
        using var model = LlamaTests.Model(Small);
        foreach (var (type, bound) in new[] { (SafetensorsType.F16, 1 / 2048.0), (SafetensorsType.BF16, 1 / 256.0) })
        {
            HuggingFaceFolder.Save(model, folder, null, type);
            using var loaded = HuggingFaceFolder.LoadLanguageModel(folder);
            Assert.Equal(ScalarType.Float32, loaded.HeadWeight.dtype);
            var (expected, found) = (LlamaTests.Numbers(model.HeadWeight), LlamaTests.Numbers(loaded.HeadWeight));
            Assert.All(expected.Zip(found), pair => Assert.True(Math.Abs(pair.First - pair.Second) <= (bound * Math.Abs(pair.First)) + 1e-7));
            Assert.NotEqual(expected, found);
        }
    }

    [Fact]
    public void A_reward_model_comes_back_and_a_language_model_gives_a_zero_head_only_when_asked()
    {
        using var language = LlamaTests.Model(Small);
        using var model = LlamaReward.From(language);
        using (no_grad())
        {
            model.ScoreWeight.normal_();
        }

        HuggingFaceFolder.Save(model, folder, null);
        using var loaded = HuggingFaceFolder.LoadRewardModel(folder);
        Assert.Equal(Rewards(model), Rewards(loaded));
        Assert.Contains("LlamaForSequenceClassification", File.ReadAllText(Path.Combine(folder, "config.json")));

        HuggingFaceFolder.Save(language, folder, null);
        Assert.Contains("\"score.weight\" is missing", Assert.Throws<InvalidDataException>(() => HuggingFaceFolder.LoadRewardModel(folder)).Message);
        using var fresh = HuggingFaceFolder.LoadRewardModel(folder, freshHead: true);
        Assert.All(Rewards(fresh), reward => Assert.Equal(0, reward));
    }

    [Fact]
    public void A_sharded_folder_loads_and_a_missing_shard_is_named()
    {
        using var model = LlamaTests.Model(Small);
        HuggingFaceFolder.Save(model, folder, null);
        Shard();

        using var loaded = HuggingFaceFolder.LoadLanguageModel(folder);

        Assert.Equal(Logits(model), Logits(loaded));
        File.Delete(Path.Combine(folder, "model-00002-of-00002.safetensors"));
        var refusal = Assert.Throws<InvalidDataException>(() => HuggingFaceFolder.LoadLanguageModel(folder));
        Assert.Contains("model-00002-of-00002.safetensors: missing", refusal.Message);
    }

    [Fact]
    public void An_index_may_not_point_outside_its_folder()
    {
        using var model = LlamaTests.Model(Small);
        HuggingFaceFolder.Save(model, folder, null);
        Shard();
        var index = Path.Combine(folder, "model.safetensors.index.json");
        File.WriteAllText(index, File.ReadAllText(index).Replace("model-00001", "../model-00001"));
        Assert.Contains("no file name", Assert.Throws<InvalidDataException>(() => HuggingFaceFolder.LoadLanguageModel(folder)).Message);
    }

    [Fact]
    public void A_missing_or_misshapen_tensor_is_refused_with_both_shapes()
    {
        using var model = LlamaTests.Model(Small);
        var weights = LlamaWeights.Of(model).ToDictionary(slot => slot.Name, slot => slot.Save());
        HuggingFaceFolder.Save(model, folder, null);

        Rewrite(weights.Where(item => item.Key != "model.layers.1.mlp.up_proj.weight"));
        var missing = Refusal();
        Assert.Contains("model.safetensors: the tensor \"model.layers.1.mlp.up_proj.weight\" is missing; expected shape [20, 16]", missing);

        Rewrite(weights.Select(item => item.Key == "model.norm.weight" ? KeyValuePair.Create(item.Key, zeros(15)) : item));
        Assert.Contains("the tensor \"model.norm.weight\" is F32 [15]; expected floating-point [16]", Refusal());

        Rewrite(weights.Append(KeyValuePair.Create("model.layers.0.self_attn.q_proj.bias", zeros(16))));
        Assert.Contains("\"model.layers.0.self_attn.q_proj.bias\" has no place", Refusal());

        Rewrite(weights.Append(KeyValuePair.Create("model.layers.2.input_layernorm.weight", zeros(16))));
        Assert.Contains("\"model.layers.2.input_layernorm.weight\" has no place in a Llama of 2 layers", Refusal());
    }

    [Theory]
    [InlineData("hidden_size", "null", "hidden_size is missing")]
    [InlineData("hidden_size", "-4", "HiddenSize is -4")]
    [InlineData("hidden_size", "\"x\"", "config.json")]
    [InlineData("num_key_value_heads", "3", "KeyValueHeadCount is 3")]
    [InlineData("vocab_size", "2000000000", "VocabularySize is 2000000000")]
    [InlineData("model_type", "\"gpt2\"", "model_type is \"gpt2\"")]
    [InlineData("hidden_act", "\"gelu\"", "hidden_act")]
    [InlineData("attention_bias", "true", "attention_bias")]
    [InlineData("rope_scaling", "{\"rope_type\": \"llama3\"}", "rope_scaling")]
    public void A_config_we_would_misread_is_refused_by_field(string field, string value, string expected)
    {
        using var model = new Llama(Small, 1);
        HuggingFaceFolder.Save(model, folder, null);
        var path = Path.Combine(folder, "config.json");
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        json[field] = JsonNode.Parse(value);
        File.WriteAllText(path, json.ToJsonString());

        var refusal = Refusal();

        Assert.Contains("config.json", refusal);
        Assert.Contains(expected, refusal);
    }

    [Fact]
    public void A_folder_with_pickled_weights_only_says_what_to_do()
    {
        using var model = new Llama(Small, 1);
        HuggingFaceFolder.Save(model, folder, null);
        File.Move(Path.Combine(folder, "model.safetensors"), Path.Combine(folder, "pytorch_model.bin"));
        Assert.Contains("pytorch_model.bin may hold the weights as a pickle", Refusal());
    }

    [Fact]
    public void A_truncated_weight_file_is_refused_by_tensor()
    {
        using var model = new Llama(Small, 1);
        HuggingFaceFolder.Save(model, folder, null);
        var path = Path.Combine(folder, "model.safetensors");
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^10]);
        Assert.Contains("the tensor \"lm_head.weight\" has data_offsets", Refusal());
    }

    [Fact]
    public void Tensors_of_all_formats_come_back_from_a_file()
    {
        var path = Path.Combine(folder, "t.safetensors");
        var source = new Dictionary<string, Tensor>
        {
            ["a"] = randn(3, 4),
            ["half"] = randn(2, 2).to_type(ScalarType.Float16),
            ["brain"] = randn(5).to_type(ScalarType.BFloat16),
            ["whole"] = tensor(new long[] { -1, 1L << 40 }),
            ["none"] = zeros(0, 3),
            ["transposed"] = randn(2, 3).t(),
        };
        Safetensors.Write(path, source);

        using var file = Safetensors.Open(path);

        foreach (var (name, tensor) in source)
        {
            var read = file.Read(name);
            Assert.Equal(tensor.dtype, read.dtype);
            Assert.Equal(tensor.shape, read.shape);
            Assert.Equal(LlamaTests.Numbers(tensor), LlamaTests.Numbers(read));
        }

        Assert.Contains("\"b\" is missing", Assert.Throws<InvalidDataException>(() => file.Read("b")).Message);
        Assert.Throws<ArgumentException>(() => Safetensors.Write(path, new Dictionary<string, Tensor> { ["x"] = zeros(1, dtype: ScalarType.Float64) }));
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file_and_nothing_else()
    {
        var path = Path.Combine(folder, "old");
        File.WriteAllText(path, "old");
        Assert.Throws<IOException>(() => Portal.Engine.ArtefactFile.Write(path, stream =>
        {
            stream.Write(new byte[100_000]);
            throw new IOException("No space left on device");
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(folder));
    }

    [Fact]
    public void A_folder_is_copied_with_its_folders_and_a_stopped_copy_is_made_whole()
    {
        var (from, to) = (Path.Combine(folder, "from"), Path.Combine(folder, "to"));
        Directory.CreateDirectory(Path.Combine(from, "sae"));
        foreach (var name in new[] { "config.json", "sae/cfg.json", "sae/notes.md" })
            File.WriteAllText(Path.Combine(from, name), name);
        using var stop = new CancellationTokenSource();

        Assert.Throws<OperationCanceledException>(() => Portal.Engine.ArtefactFile.CopyFolder(from, to, name =>
        {
            if (Directory.GetFiles(to, "*", SearchOption.AllDirectories).Length > 0)
                stop.Cancel(); // after the first file
            return name != "sae/notes.md";
        }, stop.Token));
        Assert.Single(Directory.GetFiles(to, "*", SearchOption.AllDirectories));
        File.WriteAllText(Path.Combine(to, "config.json"), "half of");
        Portal.Engine.ArtefactFile.CopyFolder(from, to, name => name != "sae/notes.md", default);

        Assert.Equal([("config.json", "config.json"), ("sae/cfg.json", "sae/cfg.json")],
            Directory.GetFiles(to, "*", SearchOption.AllDirectories).Select(path => (Path.GetRelativePath(to, path), File.ReadAllText(path))).Order());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(27)]
    [InlineData(28)]
    [InlineData(4000)]
    public void A_damaged_llama2c_file_is_refused_by_name(int length)
    {
        var path = Path.Combine(folder, "model.bin");
        var bytes = new byte[length];
        if (length >= 28)
        {
            Buffer.BlockCopy(new[] { 16, 20, 2, 4, 2, 300, 16 }, 0, bytes, 0, 28);
        }

        File.WriteAllBytes(path, bytes);
        Assert.Contains("model.bin: ", Assert.Throws<InvalidDataException>(() => Llama2cFile.Load(path)).Message);
    }

    [SharedFact]
    public void Stories260K_survives_the_way_through_a_hugging_face_folder()
    {
        using var model = LlamaTests.Stories();
        var tokenizer = Llama2cTokenizer.Load(SharedData.Path("data/models/stories260K/tok512.bin"));
        HuggingFaceFolder.Save(model, folder, tokenizer);
        using var loaded = HuggingFaceFolder.LoadLanguageModel(folder);
        Assert.Equal(Logits(model), Logits(loaded));
        Assert.Equal(260_032, loaded.Config.ParameterCount);
    }

    private void Shard()
    {
        var single = Path.Combine(folder, "model.safetensors");
        var map = new JsonObject();
        using (var file = Safetensors.Open(single))
        {
            var halves = file.Entries.Keys.Chunk((file.Entries.Count / 2) + 1).ToArray();
            for (var i = 0; i < halves.Length; i++)
            {
                var name = $"model-0000{i + 1}-of-00002.safetensors";
                Safetensors.Write(Path.Combine(folder, name), halves[i].Select(key => KeyValuePair.Create(key, file.Read(key))));
                foreach (var key in halves[i])
                {
                    map[key] = name;
                }
            }
        }

        File.Delete(single);
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());
    }

    private void Rewrite(IEnumerable<KeyValuePair<string, Tensor>> weights)
    {
        Safetensors.Write(Path.Combine(folder, "model.safetensors"), weights.ToList());
    }

    private string Refusal()
    {
        return Assert.Throws<InvalidDataException>(() => HuggingFaceFolder.LoadLanguageModel(folder)).Message;
    }

    private static string[] Names(IReadOnlyList<LlamaWeights.Slot> slots)
    {
        return [.. slots.Select(slot => $"{slot.Name} {string.Join('x', slot.Save().shape)}")];
    }

    private static double[] Logits(Llama model)
    {
        using var noGrad = no_grad();
        return LlamaTests.Numbers(model.Logits(model.Hidden(LlamaTests.Batch(1, 2, 250, 4))));
    }

    private static double[] Rewards(LlamaReward model)
    {
        using var noGrad = no_grad();
        return LlamaTests.Numbers(model.Rewards(LlamaTests.Batch(1, 2, 250, 4), tensor(new long[] { 3 })));
    }
}
