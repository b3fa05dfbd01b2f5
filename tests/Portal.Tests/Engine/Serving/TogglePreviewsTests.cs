using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Sae;
using Portal.Engine.Serving;
using Portal.Tests.Data;
using Portal.Tests.Engine.Sae;
using Xunit;

namespace Portal.Tests.Engine.Serving;

/// <summary>Previews through the engine's door, on a codes file and rows written by hand; figures against the pure functions, whose own tests work them out by brute force.</summary>
public sealed class TogglePreviewsTests : IAsyncLifetime
{
    private static readonly CodedWorld World = CodedWorld.Random(prompts: 60);
    private static readonly IReadOnlyList<Toggle> Two = [new(3, 0), new(7, -1)];

    private readonly PortalDatabase database = new();
    private readonly ProjectId project;
    private InProcessDoor door = null!; // opened before any test
    private ModelVersionId model;
    private int number;

    public TogglePreviewsTests() => project = Ids.New<ProjectId>();

    private IdFactory Ids => database.Services.GetRequiredService<IdFactory>();
    private ModelStore Store => new(database.Contexts, database.Writes, database.Directory, Ids, TimeProvider.System);

    public async Task InitializeAsync()
    {
        using (var db = database.Open())
        {
            db.Projects.Add(new Project { Id = project, Name = "Toggles", CreatedAt = DateTimeOffset.UtcNow });
            db.SaveChanges();
        }
        WriteTexts();
        model = Add(World.Weights);
        Describe(model);
        door = await InProcessDoor.Open(database.Directory);
    }

    public async Task DisposeAsync()
    {
        await door.DisposeAsync();
        database.Dispose();
    }

    [Fact]
    public async Task A_preview_is_what_the_pure_functions_give_for_texts_with_a_phrase()
    {
        var answer = (await door.Client.PreviewToggles(new TogglePreviewRequest($"{model}", Two, "oh dear|plum jam", FlipsMax: 5, Seed: 3), default)).Value;

        var codes = World.Codes();
        var expected = ToggleEffect.Measure($"{model}", new CodedRewards(codes, World.Weights), Two, ToggleTarget.Of(codes, World.Targets), new ToggleEffectOptions { Seed = 3, FlipsMax = 5 }, default);
        Assert.Equal(JsonSerializer.Serialize(expected, ServingJson.Options), JsonSerializer.Serialize(answer, ServingJson.Options));
        Assert.Equal(5, answer.Flipped.Count);
        Assert.InRange(answer.OnTarget!.Pairs, 10, World.Pairs.Count - 10);
        var none = (await door.Client.PreviewToggles(new TogglePreviewRequest($"{model}", Two), default)).Value;
        Assert.Equal((World.Pairs.Count, null, answer.Flips), (none.Pairs, none.OnTarget, none.Flips));
    }

    [Fact]
    public async Task What_cannot_be_previewed_is_refused_by_field_and_says_what_to_do()
    {
        var (policy, conventional, undescribed, retired) = (AddFiles(ModelKind.Policy, "config.json"), AddFiles(ModelKind.RewardModel, "config.json"), Add(World.Weights), Add(World.Weights));
        Describe(retired);
        using (var db = database.Open())
        {
            db.ModelVersions.Single(v => v.Id == retired).Retire();
            db.SaveChanges();
        }

        await Refused("model", ProblemKind.NotFound, "There is no model dragon;", new TogglePreviewRequest("dragon", Two));
        await Refused("model", ProblemKind.Invalid, "Name a reward model on sparse features;", new TogglePreviewRequest(null, Two));
        await Refused("model", ProblemKind.Invalid, "policy v1 reads no sparse features, so there is nothing to toggle or to measure;", new TogglePreviewRequest($"{policy}", Two));
        await Refused("model", ProblemKind.Invalid, "reward model v2 reads no sparse features", new TogglePreviewRequest($"{conventional}", Two));
        await Refused("model", ProblemKind.Conflict, "The features of reward model v3 are not described yet. Start the job \"describe features\" for it", new TogglePreviewRequest($"{undescribed}", Two));
        await Refused("model", ProblemKind.NotFound, "reward model v4 is retired; its features can be toggled no more.", new TogglePreviewRequest($"{retired}", Two));
        await Refused("toggles", ProblemKind.Invalid, "Give the toggled features", new TogglePreviewRequest($"{model}", null));
        await Refused("toggles", ProblemKind.Invalid, "There is no feature 30: this reward model has the features 0 to 29.", new TogglePreviewRequest($"{model}", [new(30, 0)]));
        await Refused("toggles", ProblemKind.Invalid, "65 features are toggled, at most 64 in one set.", new TogglePreviewRequest($"{model}", [.. Enumerable.Range(0, 65).Select(i => new Toggle(i, 0))]));
        await Refused("toggles", ProblemKind.Invalid, "Feature 3: the factor 1000000000 is not between −100 and 100.", new TogglePreviewRequest($"{model}", [new(3, 1e9)]));
        await Refused("toggles", ProblemKind.Invalid, "Feature 3 is toggled twice.", new TogglePreviewRequest($"{model}", [new(3, 0), new(3, 2)]));
        await Refused("flips_max", ProblemKind.Invalid, "flips_max is 501; 0 to 500 flipped pairs can be listed.", new TogglePreviewRequest($"{model}", Two, FlipsMax: 501));
        await Refused("target", ProblemKind.Invalid, "The target holds no phrase;", new TogglePreviewRequest($"{model}", Two, " | "));
        await Refused("target", ProblemKind.Invalid, "The target has 501 characters, at most 500 are read.", new TogglePreviewRequest($"{model}", Two, new string('x', 501)));
    }

    [Fact]
    public async Task Effects_are_what_the_pure_function_gives_and_a_retired_model_still_has_them()
    {
        var answer = (await door.Client.Effects(new FeatureEffectsRequest($"{model}", [7, 3]), default)).Value;

        var expected = new FeatureEffectsResponse($"{model}", World.Pairs.Count, World.Responses, FeatureEffects.Of(new CodedRewards(World.Codes(), World.Weights), [7, 3], default));
        Assert.Equal(JsonSerializer.Serialize(expected, ServingJson.Options), JsonSerializer.Serialize(answer, ServingJson.Options));
        Assert.True(answer.Items[0].Gap!.Low < answer.Items[0].Gap!.High);
        using (var db = database.Open())
        {
            db.ModelVersions.Single(v => v.Id == model).Retire();
            db.SaveChanges();
        }
        Assert.Equal(2, (await door.Client.Effects(new FeatureEffectsRequest($"{model}", [7, 3]), default)).Value.Items.Count);

        await Refused("model", "Name a reward model", new FeatureEffectsRequest(null, [1]));
        await Refused("model", "There is no model dragon", new FeatureEffectsRequest("dragon", [1]));
        await Refused("latents", "Give 1 to 1000 features.", new FeatureEffectsRequest($"{model}", null));
        await Refused("latents", "Give 1 to 1000 features.", new FeatureEffectsRequest($"{model}", [.. Enumerable.Range(0, 1_001)]));
        await Refused("latents", "There is no feature 30: this reward model has the features 0 to 29.", new FeatureEffectsRequest($"{model}", [0, 30]));
        await Refused("latents", "There is no feature -1", new FeatureEffectsRequest($"{model}", [-1]));
        await Refused("latents", "Feature 3 is given twice.", new FeatureEffectsRequest($"{model}", [3, 3]));

        async Task Refused(string field, string message, FeatureEffectsRequest request) =>
            Assert.StartsWith(message, (await door.Client.Effects(request, default)).Refusal?.About(field) ?? "nothing was refused", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_or_missing_codes_file_is_refused_by_its_name()
    {
        var codes = Directory.EnumerateFiles(database.Directory.Features).Single();
        var bytes = File.ReadAllBytes(codes);
        bytes[^40] ^= 1;
        File.WriteAllBytes(codes, bytes);
        await Refused("model", ProblemKind.Conflict, $"The codes of features in {codes} are not the ones that were stored; the hash differs.", new TogglePreviewRequest($"{model}", Two));

        // The same file with a hash that fits, but of a wrong length: what reads it must notice.
        File.WriteAllBytes(codes, bytes[..^3]);
        SetHash(bytes[..^3]);
        await Refused("model", ProblemKind.Conflict, $"{codes} is damaged: its length does not fit its head.", new TogglePreviewRequest($"{model}", Two));

        File.Delete(codes);
        await Refused("model", ProblemKind.Conflict, $"The codes of features in {codes} cannot be read: the file is missing. Describe the features again.", new TogglePreviewRequest($"{model}", Two));

        void SetHash(byte[] content)
        {
            using var db = database.Open();
            db.FeatureDescriptions.ExecuteUpdate(set => set.SetProperty(d => d.CodesSha256, Convert.ToHexStringLower(SHA256.HashData(content))));
        }
    }

    [Fact]
    public async Task A_damaged_head_is_refused_by_its_name()
    {
        var folder = Store.FolderOf(Version(model));
        SarmFolder.WriteHead(folder, new float[World.Latents]);

        await Refused("model", ProblemKind.Conflict, $"reward model v1: the file reward_head.safetensors in {folder} is not the one that was stored", new TogglePreviewRequest($"{model}", Two));
    }

    [Fact]
    public async Task An_erased_text_matches_no_target_though_it_was_in_memory()
    {
        var request = new TogglePreviewRequest($"{model}", Two, "plum jam|oh dear");
        var before = (await door.Client.PreviewToggles(request, default)).Value;
        // The only text of its pair with the phrase: without it the pair is off target.
        var pair = Enumerable.Range(0, World.Pairs.Count).First(pair => World.Targets[World.Pairs[pair].Chosen] && !World.Targets[World.Pairs[pair].Rejected] && World.Pairs.Count(p => p.Chosen == World.Pairs[pair].Chosen || p.Rejected == World.Pairs[pair].Chosen) == 1);
        var erased = World.Codes().Responses[World.Pairs[pair].Chosen];
        using (var db = database.Open())
        {
            var content = db.Responses.Single(r => r.Id == erased).ContentId;
            db.Contents.Single(c => c.Id == content).Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }

        var after = (await door.Client.PreviewToggles(request, default)).Value;

        Assert.Equal(before.OnTarget!.Pairs - 1, after.OnTarget!.Pairs);
        Assert.Equal(before.Flips, after.Flips);
    }

    [Fact]
    public async Task A_newer_description_takes_effect_at_once_and_few_versions_stay_in_memory()
    {
        Assert.Equal(World.Pairs.Count, (await Take(model)).Pairs);
        Describe(model, World.Codes().On([.. World.Pairs.Take(20)]));
        Assert.Equal(20, (await Take(model)).Pairs);

        for (var i = 0; i < TogglePreviews.VersionsMax + 1; i++)
        {
            var other = Add(World.Weights);
            Describe(other);
            await Take(other);
        }
        Assert.Equal(TogglePreviews.VersionsMax, door.Part<TogglePreviews>().Count);
    }

    /// <summary>Published from the first: the same codes, other weights. It needs no description of its own, and one of its own goes before.</summary>
    [Fact]
    public async Task A_version_made_by_toggles_is_previewed_with_its_parents_codes_and_its_own_weights()
    {
        var weights = ToggledReward.Weights(World.Weights, Two);
        var toggled = Add(weights, model, ToggledVersions.Method);
        var again = Add(weights, toggled, ToggledVersions.Method);
        var trained = Add(weights, model); // a child that no toggles made has other codes

        var answer = await Take(again);

        var codes = World.Codes();
        Assert.Equal(ToggleEffect.Measure("", new CodedRewards(codes, weights), Two, null, new(), default).AllPairs, answer.AllPairs);
        Assert.NotEqual((await Take(model)).AllPairs, answer.AllPairs);
        await Refused("model", ProblemKind.Conflict, "The features of reward model v4 are not described yet.", new TogglePreviewRequest($"{trained}", Two));
        Describe(toggled, codes.On([.. World.Pairs.Take(30)]));
        Assert.Equal((30, World.Pairs.Count), ((await Take(again)).Pairs, (await Take(model)).Pairs));
    }

    private async Task<TogglePreviewResponse> Take(ModelVersionId id) => (await door.Client.PreviewToggles(new TogglePreviewRequest($"{id}", Two), default)).Value;

    private async Task Refused(string field, ProblemKind kind, string message, TogglePreviewRequest request)
    {
        var refusal = (await door.Client.PreviewToggles(request, default)).Refusal ?? throw new Xunit.Sdk.XunitException($"nothing was refused; expected: {message}");
        Assert.StartsWith(message, refusal.About(field) ?? $"(field {refusal.Problems[0].Field}) {refusal}", StringComparison.Ordinal);
        Assert.Equal(kind, refusal.Kind);
    }

    private ModelVersion Version(ModelVersionId id)
    {
        using var db = database.Open();
        return db.ModelVersions.AsNoTracking().Single(v => v.Id == id);
    }

    private ModelVersionId Add(float[] weights, ModelVersionId? parent = null, string method = "SARM")
    {
        var id = Ids.New<ModelVersionId>();
        Directory.CreateDirectory(Path.Combine(database.Directory.Models, $"{id}"));
        SarmFolder.WriteHead(Path.Combine(database.Directory.Models, $"{id}"), weights);
        return AddRow(id, ModelKind.RewardModel, parent, method);
    }

    private ModelVersionId AddFiles(ModelKind kind, string name)
    {
        var id = Ids.New<ModelVersionId>();
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(database.Directory.Models, $"{id}")).FullName, name), "{}");
        return AddRow(id, kind, null, "reward model");
    }

    private ModelVersionId AddRow(ModelVersionId id, ModelKind kind, ModelVersionId? parent, string method)
    {
        using var db = database.Open();
        db.ModelVersions.Add(new ModelVersion
        {
            Id = id, ProjectId = project, Kind = kind, Number = kind is ModelKind.Policy ? 1 : ++number, Method = method, ParentId = parent, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1,
            Commit = "unknown", Folder = $"{id}", FilesJson = Store.FilesJson($"{id}"), IsSynthetic = false, CreatedAt = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
        return id;
    }

    private void Describe(ModelVersionId version, FeatureCodes? codes = null)
    {
        codes ??= World.Codes();
        var id = Ids.New<FeatureDescriptionId>();
        var path = Path.Combine(database.Directory.Features, $"codes-{id}");
        codes.Write(path);
        using var db = database.Open();
        db.FeatureDescriptions.Add(new FeatureDescription
        {
            Id = id, ProjectId = project, ModelVersionId = version, Latents = codes.Latents, Responses = codes.Responses.Count, SentenceEnds = 0, Pairs = codes.Pairs.Count, PromptsDiscovery = 1, PromptsTest = 1,
            SpecJson = "{}", CodesSha256 = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))), At = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
    }

    /// <summary>Texts of the coded responses: those of the target have a phrase, others have its letters in other words.</summary>
    private void WriteTexts()
    {
        var hasher = database.Services.GetRequiredService<ContentHasher>();
        var codes = World.Codes();
        using var db = database.Open();
        var prompts = new Dictionary<int, PromptId>();
        foreach (var pair in codes.Pairs)
            (prompts[pair.Chosen], prompts[pair.Rejected]) = (pair.PromptId, pair.PromptId);
        foreach (var prompt in codes.Pairs.Select(pair => pair.PromptId).Distinct())
        {
            var content = Text(ContentKind.Prompt, Conversation.Serialize([new Turn("user", $"Question {prompt}")]));
            db.Prompts.Add(new Prompt { Id = prompt, ProjectId = project, ContentId = content.Id, ContentHash = content.KeyedHash, CreatedAt = DateTimeOffset.UtcNow });
        }
        for (var response = 0; response < codes.Responses.Count; response++)
        {
            if (!prompts.TryGetValue(response, out var prompt))
                continue;
            var content = Text(ContentKind.Response, World.Targets[response] ? response % 2 == 0 ? $"Some Plum Jam, {response}." : $"{response}: oh DEAR!" : $"plum jams, {response}; oh dearest");
            db.Responses.Add(new Response { Id = codes.Responses[response], ProjectId = project, PromptId = prompt, ContentId = content.Id, ContentHash = content.KeyedHash, CreatedAt = DateTimeOffset.UtcNow });
        }
        db.SaveChanges();

        Content Text(ContentKind kind, string text)
        {
            var content = new Content { Id = Ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = DateTimeOffset.UtcNow };
            db.Contents.Add(content);
            return content;
        }
    }
}
