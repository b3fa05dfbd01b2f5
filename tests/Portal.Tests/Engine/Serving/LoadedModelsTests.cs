using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Serving;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Serving;

/// <summary>What stands behind the door: texts and scores by version, few models in memory, refusals that say why.</summary>
public sealed class LoadedModelsTests : IAsyncDisposable
{
    private readonly PortalDatabase database = new();
    private readonly ProjectId project;
    private readonly LoadedModels models;
    private int number;

    public LoadedModelsTests()
    {
        project = Ids.New<ProjectId>();
        using var db = database.Open();
        db.Projects.Add(new Project { Id = project, Name = "Door", CreatedAt = DateTimeOffset.UtcNow });
        db.SaveChanges();
        models = new LoadedModels(database.Contexts, Store);
    }

    private IdFactory Ids => database.Services.GetRequiredService<IdFactory>();
    private ModelStore Store => new(database.Contexts, database.Writes, database.Directory, Ids, TimeProvider.System);

    public async ValueTask DisposeAsync()
    {
        await models.DisposeAsync();
        database.Dispose();
    }

    [Fact]
    public async Task A_policy_answers_the_same_to_the_same_seed_with_log_probabilities_of_its_own()
    {
        var id = Add(ModelKind.Policy);
        var request = new GenerationRequest
        {
            Model = $"{id}", Messages = ToyWorld.TurnsOf(ToyWorld.Prompts[3]), Count = 3, Sampling = new SamplingSpec { Temperature = 1, TokensMax = 24, Seed = 7 }, StopAt = [], TopLogProbs = 2,
        };
        var writer = new PolicyWriter(models);
        var first = await writer.Generate(request, default);
        Assert.Equal(first.Texts.Select(text => text.Text), (await writer.Generate(request, default)).Texts.Select(text => text.Text));
        Assert.NotEqual(first.Texts.Select(text => text.Text), (await writer.Generate(request with { Sampling = request.Sampling with { Seed = 8 } }, default)).Texts.Select(text => text.Text));
        Assert.Equal(3, first.Texts.Count);
        using var model = ToyWorld.Base();
        var complete = first.Texts.First(text => text.IsComplete);
        Assert.Equal(complete.Text, string.Concat(complete.Tokens.Select(token => token.Text)));
        Assert.All(complete.Tokens, token => Assert.Equal(2, token.Top.Count));
        // All tokens but the mark that ends the answer, which ToyWorld's sum holds too.
        var whole = ToyWorld.LogProb(model, ToyWorld.Prompts[3], complete.Text);
        Assert.InRange(complete.Tokens.Sum(token => token.LogProb!.Value), whole - 1e-3, whole + 10);
        Assert.Equal(complete.Tokens.Count + 1, complete.LengthTokens);
    }

    [Fact]
    public async Task A_stop_text_ends_an_answer_before_it()
    {
        var id = Add(ModelKind.Policy);
        var request = new GenerationRequest
        {
            Model = $"{id}", Messages = ToyWorld.TurnsOf(ToyWorld.Prompts[3]), Count = 8, Sampling = new SamplingSpec { TokensMax = 24 }, StopAt = ["the"],
        };
        var texts = (await new PolicyWriter(models).Generate(request, default)).Texts;
        Assert.All(texts, text => Assert.DoesNotContain("the", text.Text, StringComparison.Ordinal));
        Assert.Contains((await new PolicyWriter(models).Generate(request with { StopAt = [] }, default)).Texts, text => text.Text.Contains("the", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Few_models_stay_in_memory_however_many_are_asked()
    {
        var ids = Enumerable.Range(0, LoadedModels.ModelsMax + 3).Select(_ => Add(ModelKind.RewardModel)).ToList();
        var scorer = new RewardModelScorer(models);
        var item = new ScoreItem(ToyWorld.TurnsOf(ToyWorld.Prompts[0]), "Yes please.");
        var all = await Task.WhenAll(ids.Concat(ids).Select(id => scorer.Score(new ScoreRequest($"{id}", [item, item]), default)));
        Assert.All(all, answer => Assert.Equal(answer.Scores[0].Reward, answer.Scores[1].Reward, 1e-6));
        Assert.InRange(models.Count, 1, LoadedModels.ModelsMax);
    }

    [Theory]
    [InlineData("not an id", 404)]
    [InlineData("00000000-0000-0000-0000-000000000001", 404)]
    public async Task A_model_that_is_not_there_is_refused(string id, int status)
    {
        var refused = await Assert.ThrowsAsync<DoorRefusal>(() => new RewardModelScorer(models).Score(new ScoreRequest(id, [new ScoreItem(ToyWorld.TurnsOf("Hello?"), "Yes.")]), default));
        Assert.Equal((status, "model"), (refused.Status, refused.Field));
        Assert.Equal(0, models.Count);
    }

    [Fact]
    public async Task A_policy_asked_to_score_and_a_prompt_that_does_not_fit_are_refused()
    {
        var id = Add(ModelKind.Policy);
        Assert.Equal(400, (await Assert.ThrowsAsync<DoorRefusal>(() => new RewardModelScorer(models).Score(new ScoreRequest($"{id}", []), default))).Status);
        var request = new GenerationRequest
        {
            Model = $"{id}", Messages = ToyWorld.TurnsOf(string.Concat(Enumerable.Repeat(ToyWorld.Prompts[0], 9))), Count = 1, Sampling = new SamplingSpec(), StopAt = [],
        };
        var refused = await Assert.ThrowsAsync<DoorRefusal>(() => new PolicyWriter(models).Generate(request, default));
        Assert.Equal((400, "messages"), (refused.Status, refused.Field));
    }

    private ModelVersionId Add(ModelKind kind)
    {
        var id = Ids.New<ModelVersionId>();
        var folder = Path.Combine(database.Directory.Models, id.Value.ToString("N"));
        using (var model = ToyWorld.Base())
        {
            if (kind is ModelKind.Policy)
            {
                HuggingFaceFolder.Save(model, folder, ToyWorld.Tokenizer);
            }
            else
            {
                using var reward = LlamaReward.From(model);
                HuggingFaceFolder.Save(reward, folder, ToyWorld.Tokenizer);
            }
        }
        using var db = database.Open();
        db.ModelVersions.Add(new ModelVersion
        {
            Id = id, ProjectId = project, Kind = kind, Number = ++number, Method = ModelStore.BaseMethod, ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}",
            Seed = 1, Commit = "unknown", Folder = id.Value.ToString("N"), FilesJson = Store.FilesJson(id.Value.ToString("N")), IsSynthetic = true, CreatedAt = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
        return id;
    }
}
