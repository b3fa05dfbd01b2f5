using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Serving;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Portal.Tests.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Serving;

/// <summary>Rewards taken apart, against codes computed by plain loops over one text at a time: no batch, no padding, and none of the SAE's code.</summary>
public sealed class FeatureXraysTests : IClassFixture<ToyProject>, IAsyncDisposable
{
    private static readonly SaeConfig Shape = new() { Width = 16, Latents = 64, K = 6, Layer = 1, CentresPositions = true };

    private readonly ToyProject toy;
    private readonly LoadedModels models;
    private readonly ModelVersionId id;
    private readonly SarmReward sarm;

    public FeatureXraysTests(ToyProject toy)
    {
        this.toy = toy;
        models = new LoadedModels(toy.Database.Contexts, toy.Store);
        using var model = ToyWorld.Base();
        sarm = new SarmReward(LlamaWeights.Truncated(model.Backbone, 1), TopKSae.Fresh(Shape, seed: 3));
        using (no_grad())
        using (NewDisposeScope())
        {
            using var random = new Generator(5);
            foreach (var weight in new[] { sarm.HeadWeight, sarm.Sae.PreBias, sarm.Sae.LatentBias })
                weight.copy_(randn(weight.shape, generator: random).mul(0.5));
        }
        id = Add(folder => SarmFolder.Save(sarm, folder, ToyWorld.Tokenizer));
    }

    public async ValueTask DisposeAsync()
    {
        await models.DisposeAsync();
        sarm.Dispose();
    }

    [Fact]
    public async Task Contributions_add_up_to_the_served_reward_and_heat_is_the_code_at_every_token()
    {
        List<ScoreItem> items =
        [
            new(ToyWorld.TurnsOf(ToyWorld.Prompts[3]), ToyWorld.Good(ToyWorld.Prompts[3], 0)), new(ToyWorld.TurnsOf(ToyWorld.Prompts[9]), "Oh please, 🌸 naïve: take it."),
            new(ToyWorld.TurnsOf(ToyWorld.Prompts[5]), ToyWorld.Bad(ToyWorld.Prompts[5], 1)), new(ToyWorld.TurnsOf("Hm?"), ""),
        ];

        var xrays = await new FeatureXrays(models).Take(new FeatureXrayRequest($"{id}", items), default);

        var scores = (await new RewardModelScorer(models).Score(new ScoreRequest($"{id}", items), default)).Scores;
        Assert.Equal((64, 4), (xrays.Latents, xrays.Items.Count));
        for (var i = 0; i < items.Count; i++)
        {
            var xray = xrays.Items[i];
            Assert.Equal(scores[i].Reward, xray.Reward, 1e-6);
            Assert.Equal(xray.Reward, xray.Active.Sum(feature => feature.Contribution), 1e-5);
            Assert.Equal(items[i].Response, string.Concat(xray.Tokens));
            Assert.False(xray.IsTruncated);
            var (codes, mask) = PlainCodes.Of(sarm, items[i].Prompt, items[i].Response);
            Assert.Equal(codes[^1].Where(code => code.Value > 1e-6).Select(code => code.Key).Order(), xray.Active.Where(feature => feature.Activation > 1e-6).Select(feature => feature.Latent).Order());
            Assert.All(xray.Active, feature =>
            {
                Assert.Equal(codes[^1][feature.Latent], feature.Activation, 1e-4);
                Assert.Equal(feature.Weight * feature.Activation, feature.Contribution, 1e-5);
            });
            Assert.Equal(xray.Active.Select(feature => Math.Abs(feature.Contribution)).OrderDescending(), xray.Active.Select(feature => Math.Abs(feature.Contribution)));
            Assert.Equal(xray.Active.Take(12).Select(feature => feature.Latent), xray.Heat.Select(heat => heat.Latent));
            var places = Enumerable.Range(0, mask.Length - 1).Where(at => mask[at]).ToList(); // the end mark is no text
            Assert.Equal(places.Count, xray.Tokens.Count);
            foreach (var heat in xray.Heat)
                for (var at = 0; at < places.Count; at++)
                    Assert.Equal(codes[places[at]].GetValueOrDefault(heat.Latent), heat.Activations[at], 1e-4);
        }
        Assert.Contains(xrays.Items[0].Heat, heat => heat.Activations.Any(z => z > 0)); // or nothing was compared
    }

    /// <summary>Of 48 of 64 latents some are below 0; without ReLU they stay, and belong to the reward.</summary>
    [Fact]
    public async Task Without_ReLU_what_is_below_0_is_listed_too_and_has_no_heat()
    {
        using var bare = new SarmReward(LlamaWeights.Truncated(sarm.Backbone, 1), TopKSae.Of(Shape with { K = 48, UseRelu = false }, sarm.Sae.EncoderWeight, sarm.Sae.LatentBias, sarm.Sae.DecoderWeight, sarm.Sae.PreBias));
        using (no_grad())
            bare.HeadWeight.copy_(sarm.HeadWeight);
        var version = Add(folder => SarmFolder.Save(bare, folder, ToyWorld.Tokenizer));
        List<ScoreItem> items = [new(ToyWorld.TurnsOf(ToyWorld.Prompts[3]), ToyWorld.Good(ToyWorld.Prompts[3], 0)), new(ToyWorld.TurnsOf(ToyWorld.Prompts[5]), ToyWorld.Bad(ToyWorld.Prompts[5], 1))];

        var xrays = await new FeatureXrays(models).Take(new FeatureXrayRequest($"{version}", items), default);

        var scores = (await new RewardModelScorer(models).Score(new ScoreRequest($"{version}", items), default)).Scores;
        for (var i = 0; i < items.Count; i++)
        {
            var (xray, plain) = (xrays.Items[i], PlainCodes.Of(bare, items[i].Prompt, items[i].Response).Codes[^1]);
            Assert.Equal(scores[i].Reward, xray.Active.Sum(feature => feature.Contribution), 1e-5);
            Assert.Equal(48, xray.Active.Count);
            Assert.All(xray.Active, feature => Assert.Equal(plain[feature.Latent], feature.Activation, 1e-4));
            Assert.True(Math.Abs(xray.Active.Where(feature => feature.Activation < 0).Sum(feature => feature.Contribution)) > 1e-3); // without these it would not add up
            Assert.All(xray.Heat, heat => Assert.True(heat.Activations.All(z => z >= 0) && xray.Active.Single(feature => feature.Latent == heat.Latent).Activation > 0));
        }
    }

    [Fact]
    public async Task Asked_features_are_shown_and_what_was_cut_off_has_no_heat()
    {
        var asked = new ScoreItem(ToyWorld.TurnsOf(ToyWorld.Prompts[3]), string.Concat(Enumerable.Repeat("Yes please take it. ", 20)));

        var xray = (await new FeatureXrays(models).Take(new FeatureXrayRequest($"{id}", [asked], [.. Enumerable.Range(0, 12)]), default)).Items.Single();

        Assert.True(xray.IsTruncated);
        Assert.Equal(asked.Response, string.Concat(xray.Tokens));
        Assert.Equal(Enumerable.Range(0, 12), xray.Heat.Select(heat => heat.Latent));
        var unseen = xray.Tokens.Count + 1 - 64; // the model reads 64 tokens, the last of them the end mark
        Assert.InRange(unseen, 10, xray.Tokens.Count - 10);
        Assert.All(xray.Heat, heat => Assert.All(heat.Activations.Take(unseen), z => Assert.Equal(0, z)));
        Assert.Contains(xray.Heat, heat => heat.Activations.Skip(unseen).Any(z => z > 0));
    }

    [Fact]
    public async Task A_conventional_reward_model_has_no_parts_and_wrong_features_and_items_are_named()
    {
        var conventional = Add(folder =>
        {
            using var model = ToyWorld.Base();
            using var reward = LlamaReward.From(model);
            HuggingFaceFolder.Save(reward, folder, ToyWorld.Tokenizer);
        });
        var item = new ScoreItem(ToyWorld.TurnsOf("Hello?"), "Yes.");

        Assert.Equal("model", (await Refused(new FeatureXrayRequest($"{conventional}", [item]), "reads no sparse features")).Field);
        Assert.Equal("model", (await Refused(new FeatureXrayRequest($"{toy.BaseId}", [item]), "writes texts; name a reward model")).Field);
        Assert.Equal("heat_latents", (await Refused(new FeatureXrayRequest($"{id}", [item], [3, 64]), "Feature 64 is not there; this model has 64, numbered from 0.")).Field);
        Assert.Equal("heat_latents", (await Refused(new FeatureXrayRequest($"{id}", [item], [-1]), "Feature -1 is not there")).Field);
        Assert.Equal("items[1]", (await Refused(new FeatureXrayRequest($"{id}", [item, new ScoreItem([], "Yes.")]), "Item 1 needs a prompt")).Field);
        Assert.Equal("items[0]", (await Refused(new FeatureXrayRequest($"{id}", [null!]), "Item 0 needs a prompt")).Field); // JSON may hold null

        async Task<DoorRefusal> Refused(FeatureXrayRequest request, string message)
        {
            var refusal = await Assert.ThrowsAsync<DoorRefusal>(() => new FeatureXrays(models).Take(request, default));
            Assert.Equal(400, refusal.Status);
            Assert.Contains(message, refusal.Message, StringComparison.Ordinal);
            return refusal;
        }
    }

    private ModelVersionId Add(Action<string> save)
    {
        var added = toy.Ids.New<ModelVersionId>();
        save(toy.FolderOf(added));
        using var db = toy.Database.Open();
        db.ModelVersions.Add(toy.Version(added, ModelKind.RewardModel, db.ModelVersions.Count() + 1, toy.BaseId));
        db.SaveChanges();
        return added;
    }
}
