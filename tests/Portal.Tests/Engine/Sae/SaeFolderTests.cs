using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

/// <summary>Round trips bit for bit, refusals by file and field, and an export's numbers computed again by numpy (tests/Golden/read_saelens.py).</summary>
public sealed class SaeFolderTests : IDisposable
{
    private static readonly SaeConfig Shape = new() { Width = 12, Latents = 20, K = 4, Layer = 2, ModelHash = "aa", TokenizerHash = "bb" };

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("portal-sae-");

    public void Dispose() => folder.Delete(recursive: true);

    public static TheoryData<SaeConfig> Configs =>
    [
        Shape, Shape with { CentresPositions = true }, Shape with { UseRelu = false }, Shape with { Selection = SaeSelection.BatchTopK, Threshold = 0.75 },
        Shape with { Normalisation = SaeNormalisation.None, NormaliserEpsilon = 0, ModelHash = null, TokenizerHash = null },
    ];

    [Theory]
    [MemberData(nameof(Configs))]
    public void SAELens_comes_back_bit_for_bit(SaeConfig config)
    {
        using var sae = Random(config);

        SaeFolder.Save(sae, folder.FullName, "tiny");
        using var back = SaeFolder.Load(folder.FullName);

        Assert.Equal(config, back.Config);
        AssertSame(sae, back);
    }

    [Fact]
    public void Sparsify_comes_back_bit_for_bit_through_SAELens_too()
    {
        using var sae = Random(Shape);
        SaeFolder.ExportSparsify(sae, Sub("one"));
        using var first = SaeFolder.Load(Sub("one"));
        SaeFolder.Save(first, Sub("two"), "tiny");
        using var second = SaeFolder.Load(Sub("two"));
        SaeFolder.ExportSparsify(second, Sub("three"));

        Assert.Equal(Shape, second.Config);
        AssertSame(sae, second);
        Assert.Equal(File.ReadAllBytes(Path.Combine(Sub("one"), "sae.safetensors")), File.ReadAllBytes(Path.Combine(Sub("three"), "sae.safetensors")));
    }

    /// <summary>Without our files beside it: what another program wrote. The layer is read off the hook's name, and SAELens' own epsilon is used.</summary>
    [Fact]
    public void A_folder_of_SAELens_itself_is_read()
    {
        using var sae = Random(Shape);
        SaeFolder.Save(sae, folder.FullName, "tiny");
        File.Delete(Path.Combine(folder.FullName, "portal.json"));

        using var back = SaeFolder.Load(folder.FullName);

        Assert.Equal(Shape with { ModelHash = null, TokenizerHash = null, NormaliserEpsilon = 1e-5 }, back.Config with { Threshold = null });
        AssertSame(sae, back);
    }

    [Fact]
    public void A_folder_of_sparsify_itself_is_read_when_the_layer_is_given()
    {
        using var sae = Random(Shape);
        SaeFolder.ExportSparsify(sae, folder.FullName);
        Change("cfg.json", json => json.Remove("portal"));

        Assert.Contains("say which", Assert.Throws<InvalidDataException>(() => SaeFolder.Load(folder.FullName)).Message, StringComparison.Ordinal);
        using var back = SaeFolder.Load(folder.FullName, layer: 3);

        Assert.Equal((3, SaeNormalisation.None), (back.Config.Layer, back.Config.Normalisation));
    }

    [Fact]
    public void Numpy_computes_the_same_codes_and_reconstructions()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var sae = Random(Shape);
        SaeFolder.Save(sae, folder.FullName, "tiny");
        var hidden = randn(50, Shape.Width, generator: new Generator().manual_seed(9)).mul(3).add(1);
        var codes = sae.Encode(hidden, SaePosition.ResponseEnd);
        var made = sae.Reconstruct(hidden, [.. Enumerable.Repeat(SaePosition.ResponseEnd, 50)]);
        var input = Path.Combine(folder.FullName, "states.json");
        File.WriteAllText(input, JsonSerializer.Serialize(hidden.ToFloats()));

        using var python = Process.Start(new ProcessStartInfo("/usr/bin/python3", [GoldenFiles.Path("read_saelens.py"), folder.FullName, input]) { RedirectStandardOutput = true })!;
        var answer = JsonNode.Parse(python.StandardOutput.ReadToEnd())!; // JSON, or the next lines fail
        python.WaitForExit();

        Assert.Equal(0, python.ExitCode);
        var dense = zeros(50, Shape.Latents).scatter(1, codes.Indices, codes.Values);
        Assert.True(Distance(dense.ToFloats(), answer["codes"]!) < 1e-5); // a list of 50 · M numbers
        Assert.True(Distance(made.ToFloats(), answer["reconstruction"]!) < 1e-4); // on the scale of the states, up to 10

        static double Distance(float[] ours, JsonNode theirs) => ours.Zip(theirs.AsArray(), (one, other) => Math.Abs(one - other!.GetValue<double>())).Max(); // numbers
    }

    [Theory]
    [InlineData("cfg.json", "k", "99", "k is 99; it must lie between 1 and the 20 latents")]
    [InlineData("cfg.json", "d_sae", "21", "\"W_enc\" is [12, 20]; [12, 21] is expected")]
    [InlineData("cfg.json", "architecture", "\"gated\"", "architecture is gated; topk, and jumprelu with one threshold, are run")]
    [InlineData("cfg.json", "normalize_activations", "\"constant_norm_rescale\"", "normalize_activations is constant_norm_rescale; none and layer_norm are run")]
    [InlineData("cfg.json", "rescale_acts_by_decoder_norm", "true", "rescale_acts_by_decoder_norm is true")]
    [InlineData("cfg.json", "d_in", "\"twelve\"", "d_in is missing or not a whole number")]
    public void What_is_not_run_here_is_refused_by_file_and_field(string file, string field, string value, string message)
    {
        using var sae = Random(Shape);
        SaeFolder.Save(sae, folder.FullName, "tiny");
        File.Delete(Path.Combine(folder.FullName, "portal.json"));
        Change(file, json => json[field] = JsonNode.Parse(value));

        var error = Assert.Throws<InvalidDataException>(() => SaeFolder.Load(folder.FullName));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Contains(folder.FullName, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_matrix_that_lies_the_other_way_round_is_named()
    {
        using var sae = Random(Shape);
        SaeFolder.Save(sae, folder.FullName, "tiny");
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        Safetensors.Write(Path.Combine(folder.FullName, "sae_weights.safetensors"),
            new Dictionary<string, Tensor> { ["W_enc"] = sae.EncoderWeight, ["b_enc"] = sae.LatentBias, ["W_dec"] = sae.DecoderWeight, ["b_dec"] = sae.PreBias[0] }, SafetensorsType.F32);

        var error = Assert.Throws<InvalidDataException>(() => SaeFolder.Load(folder.FullName));

        Assert.Contains("\"W_enc\" is [20, 12]; [12, 20] is expected. It lies the other way round.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_sparsify_cannot_say_is_not_exported()
    {
        using var threshold = Random(Shape with { Selection = SaeSelection.BatchTopK, Threshold = 1 });
        using var centres = Random(Shape with { CentresPositions = true });

        Assert.Contains("threshold", Assert.Throws<CannotTrain>(() => SaeFolder.ExportSparsify(threshold, folder.FullName)).Message, StringComparison.Ordinal);
        Assert.Contains("centre", Assert.Throws<CannotTrain>(() => SaeFolder.ExportSparsify(centres, folder.FullName)).Message, StringComparison.Ordinal);
        Assert.Empty(folder.GetFiles());
    }

    private string Sub(string name) => Path.Combine(folder.FullName, name);

    private void Change(string file, Action<JsonObject> change)
    {
        var path = Path.Combine(folder.FullName, file);
        var json = JsonNode.Parse(File.ReadAllText(path))!.AsObject(); // written by us
        change(json);
        File.WriteAllText(path, json.ToJsonString());
    }

    /// <summary>Every number its own, so that a swap would show.</summary>
    private static TopKSae Random(SaeConfig config)
    {
        var sae = new TopKSae(config);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var generator = new Generator();
        generator.manual_seed(7);
        foreach (var weight in sae.Weights())
            weight.copy_(randn(weight.shape, generator: generator));
        return sae;
    }

    private static void AssertSame(TopKSae one, TopKSae other)
    {
        foreach (var (a, b) in one.Weights().Zip(other.Weights()))
            Assert.Equal(a.detach().ToFloats(), b.detach().ToFloats());
    }
}
