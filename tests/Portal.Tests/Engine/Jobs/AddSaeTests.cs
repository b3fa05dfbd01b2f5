using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Jobs;

/// <summary>SAEs come in from folders of other programs and go out into them: bit for bit, or refused by file and field with nothing kept.</summary>
public sealed class AddSaeTests : IClassFixture<ToyProject>, IDisposable
{
    private readonly ToyProject toy;
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("portal-sae-");
    private readonly SaeConfig shape;

    public AddSaeTests(ToyProject toy)
    {
        this.toy = toy;
        using var model = ToyWorld.Base();
        shape = new SaeConfig { Width = 16, Latents = 40, K = 4, Layer = 1, ModelHash = LlamaWeights.Hash(model.Backbone), TokenizerHash = TokenizerFolder.Hash(ToyWorld.Tokenizer) };
    }

    private AddSae Add => new(toy.Database.Contexts, toy.Database.Writes, toy.Database.Directory, toy.Ids, TimeProvider.System);

    public void Dispose() => root.Delete(recursive: true);

    [Fact]
    public async Task An_SAE_of_SAELens_comes_in_goes_out_and_comes_in_again_bit_for_bit()
    {
        using var sae = TopKSae.Fresh(shape, seed: 3);
        SaeFolder.Save(sae, Sub("saelens"), "toy");
        File.Delete(Path.Combine(Sub("saelens"), "portal.json")); // as another program writes it: no hashes

        var (version, fit) = await Add.Run(Sub("saelens"), "Toy", "policy v1", layer: null, default);
        new ExportSae(toy.Store).Run(version, SaeLayout.Sparsify, Sub("sparsify"));
        var (again, _) = await Add.Run(Sub("sparsify"), "Toy", $"{toy.BaseId}", layer: null, default);
        new ExportSae(toy.Store).Run(again, SaeLayout.SaeLens, Sub("back"));

        Assert.Equal((ModelKind.SparseAutoencoder, "SAE", (ModelVersionId?)toy.BaseId, version.Number + 1), (version.Kind, version.Method, version.ParentId, again.Number));
        Assert.Equal(File.ReadAllBytes(Path.Combine(Sub("saelens"), "sae_weights.safetensors")), File.ReadAllBytes(Path.Combine(Sub("back"), "sae_weights.safetensors")));
        Assert.Null(toy.Store.Verify(again));
        using (var opened = toy.Store.OpenSae(version))
            Assert.Equal(shape with { NormaliserEpsilon = 1e-5 }, opened.Config with { Threshold = null }); // SAELens' epsilon; the hashes are the named model's now
        Assert.Equal(fit!.All.Fvu, toy.Row(version.Id, MetricNames.SaeFvu).Value, 1e-9); // there are responses
        Assert.InRange(toy.Row(version.Id, MetricNames.SaeDeadShare, "all").Count, 320, 320 * 8);
        Assert.Contains("\"modelNamedByFolder\":false", version.SpecJson, StringComparison.Ordinal);
        Assert.Contains("\"modelNamedByFolder\":true", again.SpecJson, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(toy.Database.Directory.Checkpoints));
        using var db = toy.Database.Open();
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
    }

    [Fact]
    public async Task A_folder_that_does_not_fit_is_refused_by_name_and_leaves_nothing()
    {
        var before = (Folders(), Versions());
        Save("width", shape with { Width = 8 });
        Save("layer", shape with { Layer = 3 });
        Save("model", shape with { ModelHash = "0123456789abcdef" });
        Save("tokenizer", shape with { TokenizerHash = "0123456789abcdef" });
        Save("k", shape);
        File.Delete(Path.Combine(Sub("k"), "portal.json"));
        var cfg = Path.Combine(Sub("k"), "cfg.json");
        var json = JsonNode.Parse(File.ReadAllText(cfg))!.AsObject(); // written by us
        json["k"] = 41;
        File.WriteAllText(cfg, json.ToJsonString());
        Save("turned", shape);
        using (NewDisposeScope())
        using (no_grad())
            Safetensors.Write(Path.Combine(Sub("turned"), "sae_weights.safetensors"),
                new Dictionary<string, Tensor> { ["W_enc"] = zeros(40, 16), ["b_enc"] = zeros(40), ["W_dec"] = zeros(40, 16), ["b_dec"] = zeros(16) }, SafetensorsType.F32);
        Save("cut", shape);
        var weights = Path.Combine(Sub("cut"), "sae_weights.safetensors");
        await File.WriteAllBytesAsync(weights, (await File.ReadAllBytesAsync(weights))[..^100]);

        Assert.EndsWith("The SAE reads states of 8 numbers; the model's have 16.", await Refused("width"));
        Assert.EndsWith("The SAE reads after block 3; the model has 2.", await Refused("layer"));
        Assert.Contains("The SAE was trained on another model (0123456789ab,", await Refused("model"), StringComparison.Ordinal);
        Assert.Contains("The SAE was trained with another tokenizer (0123456789ab,", await Refused("tokenizer"), StringComparison.Ordinal);
        Assert.Contains("cfg.json: SAE: k is 41; it must lie between 1 and the 40 latents.", await Refused("k"), StringComparison.Ordinal);
        Assert.Contains("\"W_enc\" is [40, 16]; [16, 40] is expected. It lies the other way round.", await Refused("turned"), StringComparison.Ordinal);
        Assert.Contains("sae_weights.safetensors", await Refused("cut"), StringComparison.Ordinal);
        Assert.Contains("there is no such folder", await Refused("nowhere"), StringComparison.Ordinal);
        Save("good", shape);
        Assert.Equal("--layer is 2; the folder says 1.", await Refused("good", layer: 2));
        Assert.StartsWith("There is no model version \"policy v9\" in \"Toy\". There is ", await Refused("good", model: "policy v9"));
        Assert.Equal("There is no project \"Coffee\". There is \"Toy\".", await Refused("good", project: "Coffee"));
        Assert.Equal(before, (Folders(), Versions()));

        async Task<string> Refused(string folder, string model = "Policy v1", string project = "Toy", int? layer = null) =>
            (await Assert.ThrowsAsync<CannotTrain>(() => Add.Run(Sub(folder), project, model, layer, default))).Message;

        void Save(string folder, SaeConfig config)
        {
            using var sae = TopKSae.Fresh(config, seed: 3);
            SaeFolder.Save(sae, Sub(folder), "toy");
        }

        int Folders() => Directory.EnumerateFileSystemEntries(toy.Database.Directory.Models).Count() + Directory.EnumerateFileSystemEntries(toy.Database.Directory.Checkpoints).Count();

        int Versions()
        {
            using var db = toy.Database.Open();
            return db.ModelVersions.Count();
        }
    }

    [Fact]
    public async Task A_reward_models_SAE_goes_out_with_the_head_beside_it_and_what_has_none_is_refused()
    {
        var id = toy.Ids.New<ModelVersionId>();
        using (var model = ToyWorld.Base())
        using (var sarm = new SarmReward(LlamaWeights.Truncated(model.Backbone, 1), TopKSae.Fresh(shape with { CentresPositions = true }, seed: 3)))
            SarmFolder.Save(sarm, toy.FolderOf(id), ToyWorld.Tokenizer);
        var version = toy.Version(id, ModelKind.RewardModel, 77, null);
        var export = new ExportSae(toy.Store);

        export.Run(version, SaeLayout.SaeLens, Sub("sarm"));

        foreach (var file in new[] { "sae/sae_weights.safetensors", "sae/portal.safetensors", "reward_head.safetensors", "reward_head.json" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(toy.FolderOf(id), file)), File.ReadAllBytes(Path.Combine(Sub("sarm"), Path.GetFileName(file))));
        Assert.Contains("holds one; export it in SAELens' layout", Assert.Throws<CannotTrain>(() => export.Run(version, SaeLayout.Sparsify, Sub("none"))).Message, StringComparison.Ordinal);
        Assert.EndsWith("the folder is not empty.", Assert.Throws<CannotTrain>(() => export.Run(version, SaeLayout.SaeLens, Sub("sarm"))).Message);
        var policy = await toy.Store.Find(toy.Project, toy.BaseId, ModelKind.Policy, default);
        Assert.StartsWith("policy v1 has no SAE;", Assert.Throws<CannotTrain>(() => export.Run(policy, SaeLayout.SaeLens, Sub("none"))).Message);
        Assert.Equal(["sarm"], root.GetFileSystemInfos().Select(entry => entry.Name));
    }

    private string Sub(string name) => Path.Combine(root.FullName, name);
}
