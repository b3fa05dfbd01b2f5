using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Engine.Jobs;
using Portal.Engine.Sae;
using Portal.Tests.Data;
using Portal.Tests.Web;
using Portal.Tests.Web.Explain;
using Portal.Tests.Web.Unlearning;
using Xunit;

namespace Portal.Tests.Engine.Serving;

/// <summary>
/// Explanations added up by feature through the engine's door, on rows and a codes file written by hand. Of 72 judgements the five that explain have feature 0 in the chosen answer, the others feature 1; every fourth has feature 2 in the other answer.
/// What the sums are is the pure function's business.
/// </summary>
public sealed class FeatureRollUpsTests : IAsyncLifetime
{
    private const int Latents = 4, Width = 2;
    private static readonly int[] Explaining = [0, 1, 2, 5, 8]; // by weight

    private readonly PortalDatabase database = new();
    private readonly SeededProject project;
    private readonly SeededExplanation seeded;
    private readonly ModelVersionId model;
    private InProcessDoor door = null!; // opened before any test

    public FeatureRollUpsTests()
    {
        project = new SeededProject(database);
        seeded = new SeededExplanation(project, 1);
        for (var i = 12; i < 74; i++)
        {
            var prompt = project.Prompt($"What gives a goose, question {i}?");
            project.Add(new DatasetRow
            {
                DatasetVersionId = seeded.Dataset.Id, Ordinal = i, JudgementId = project.Ids.New<JudgementId>(), PromptId = prompt, Part = i < 72 ? DatasetPart.Train : DatasetPart.HeldOut, ChosenId = project.Response(prompt, $"Feathers, {i}."),
                RejectedId = project.Response(prompt, $"Milk, {i}."), Label = null, Margin = null, Weight = 1, ContentHash = new string('d', 64),
            });
        }
        model = Add(project, 7);
        Describe(project, model, Codes(Rows()));
    }

    public async Task InitializeAsync() => door = await InProcessDoor.Open(project.Directory);

    public async Task DisposeAsync()
    {
        await door.DisposeAsync();
        project.Dispose();
        database.Dispose();
    }

    [Fact]
    public async Task What_the_door_says_is_what_the_pure_function_gives()
    {
        var answer = await Take(AttributionMethod.Projection);

        var rows = Rows();
        var codes = Codes(rows);
        List<CodedJudgement> trained = [.. Enumerable.Range(0, 72).Select(i => new CodedJudgement(rows[i].PromptId, 2 * i, 2 * i + 1))];
        var (items, lookedAt) = FeatureRollUp.Of(codes, trained, [new WeighedPairs("", [(0, .4), (1, .15), (2, .15), (5, .2), (8, .1)])], default); // 1 and 2 were judged alike and share .3
        var expected = new FeatureRollUpResponse($"{model}", 1, 5, 0, 72, 0, lookedAt, items);
        Assert.Equal(JsonSerializer.Serialize(expected, ServingJson.Options), JsonSerializer.Serialize(answer, ServingJson.Options));
        Assert.Equal((0, PairSide.Chosen, 5, 1), Assert.Single(answer.Items) is var item ? (item.Latent, item.Side, item.Judgements, item.Explanations) : default);
        Assert.Equal(72 / 5.0, answer.Items[0].Excess!.Value, 1e-9);
        // Direction counts three pairs of four judgements alike, one of them without the feature: too little to say anything.
        var byRank = await Take(AttributionMethod.Cosine);
        Assert.Equal((1, 4), (byRank.Explanations, byRank.Pairs));
    }

    /// <summary>Judgement 8 has an answer that is newer than the codes, and a text of judgement 5 was erased: three pairs of five are left.</summary>
    [Fact]
    public async Task Pairs_without_codes_and_erased_ones_are_left_out_and_counted()
    {
        var rows = Rows();
        var codes = Codes(rows);
        Describe(project, model, new FeatureCodes
        {
            Latents = Latents, Width = Width, Pairs = [], Responses = [.. codes.Responses.Where((_, i) => i != 17)], // the other answer of judgement 8
            Indices = [.. codes.Indices.Where((_, i) => i / Width != 17)], Values = [.. codes.Values.Where((_, i) => i / Width != 17)],
        });
        var before = await Take(AttributionMethod.Projection);
        Erase(db => db.Responses.Single(r => r.Id == rows[5].ChosenId).ContentId);
        Erase(db => db.Prompts.Single(p => p.Id == rows[40].PromptId).ContentId);

        var after = await Take(AttributionMethod.Projection);

        Assert.Equal((5, 1, 72, 1), (before.Pairs, before.PairsWithoutCodes, before.Judgements, before.JudgementsWithoutCodes));
        Assert.Equal((1, 5, 2, 72, 3), (after.Explanations, after.Pairs, after.PairsWithoutCodes, after.Judgements, after.JudgementsWithoutCodes));
        var item = Assert.Single(after.Items);
        Assert.Equal((3, 3 / 69.0, 1.0), (item.Judgements, item.DataShare, Math.Round(item.Weight, 12))); // of what is left it is all

        void Erase(Func<PortalDbContext, ContentId> which) => project.Change(db =>
        {
            var content = which(db);
            db.Contents.Single(c => c.Id == content).Erase(project.Now);
        });
    }

    /// <summary>The model goes by judgement 5 the other way round, and no more by judgement 0.</summary>
    [Fact]
    public async Task Pairs_count_as_the_explained_model_goes_by_them()
    {
        var unlearning = new SeededUnlearning(project, seeded, SeededProject.AccountOf(project.Reviewer), SeededProject.AccountOf(project.Admin));
        var before = project.Model(ModelKind.RewardModel, 30, "reward model");
        project.Change(db =>
        {
            db.ModelVersions.Where(v => v.Id == seeded.RewardModel.Id).ExecuteUpdate(set => set.SetProperty(v => v.ParentId, before.Id)); // only what was made of another can have unlearnt
            db.UnlearningRequests.Where(r => r.Id == unlearning.Waiting).ExecuteUpdate(set => set.SetProperty(r => r.VersionId, seeded.RewardModel.Id)); // of judgement 0
            db.UnlearningRequests.Where(r => r.Id == unlearning.Made).ExecuteUpdate(set => set.SetProperty(r => r.VersionId, seeded.RewardModel.Id).SetProperty(r => r.Action, UnlearningAction.Relabel)); // of judgement 5
        });

        var answer = await Take(AttributionMethod.Projection);

        Assert.Equal((5, 1, 71, 0), (answer.Pairs, answer.PairsWithoutCodes, answer.Judgements, answer.JudgementsWithoutCodes));
        var item = answer.Items[0]; // .2 of the .6 that are left are judgement 5's, whose feature 0 is on the other side now
        Assert.Equal((0, PairSide.Chosen, Math.Round(.4 / .6, 9), 3, 3 / 71.0), (item.Latent, item.Side, Math.Round(item.Weight, 9), item.Judgements, item.DataShare));
    }

    [Fact]
    public async Task What_cannot_be_added_up_is_refused_by_field_and_says_what_to_do()
    {
        using var elsewhere = new SeededProject(database);
        var (foreign, unexplained, undescribed) = (new SeededExplanation(elsewhere, 2), project.Model(ModelKind.RewardModel, 20, "reward model"), Add(project, 21));
        var (explained, features) = ($"{seeded.RewardModel.Id}", $"{model}");
        const AttributionMethod By = AttributionMethod.Cosine;

        await Refused("model", ProblemKind.Invalid, "Name a reward model on sparse features;", new(null, explained, By));
        await Refused("model", ProblemKind.NotFound, "There is no model dragon;", new("dragon", explained, By));
        await Refused("model", ProblemKind.Invalid, "reward model v1 reads no sparse features", new(explained, explained, By));
        await Refused("model", ProblemKind.Conflict, "The features of reward model v21 are not described yet.", new($"{undescribed}", explained, By));
        await Refused("explained", ProblemKind.Invalid, "Name the reward model whose explanations are added up;", new(features, " ", By));
        await Refused("explained", ProblemKind.NotFound, "There is no such reward model in the project of reward model v7.", new(features, "dragon", By));
        await Refused("explained", ProblemKind.NotFound, "There is no such reward model in the project of reward model v7.", new(features, $"{foreign.RewardModel.Id}", By)); // another project's
        await Refused("explained", ProblemKind.NotFound, "There is no such reward model", new(features, $"{seeded.Policy.Id}", By));
        await Refused("explained", ProblemKind.Conflict, "Nothing is explained by reward model v20 yet.", new(features, $"{unexplained.Id}", By));
        await Refused("by", ProblemKind.Invalid, "Name one of Projection, Influence, NearestNeighbours, Cosine.", new(features, explained, AttributionMethod.Random));
        await Refused("by", ProblemKind.Invalid, "Name one of Projection,", new(features, explained, default));
        foreach (var codes in Directory.EnumerateFiles(project.Directory.Features))
            File.Delete(codes);
        await Refused("model", ProblemKind.Conflict, "The codes of features in", new(features, explained, By));

        async Task Refused(string field, ProblemKind kind, string message, FeatureRollUpRequest request)
        {
            var refusal = (await door.Client.RollUpFeatures(request, default)).Refusal ?? throw new Xunit.Sdk.XunitException($"nothing was refused; expected: {message}");
            Assert.StartsWith(message, refusal.About(field) ?? $"(field {refusal.Problems[0].Field}) {refusal}", StringComparison.Ordinal);
            Assert.Equal(kind, refusal.Kind);
        }
    }

    private async Task<FeatureRollUpResponse> Take(AttributionMethod by) => (await door.Client.RollUpFeatures(new FeatureRollUpRequest($"{model}", $"{seeded.RewardModel.Id}", by), default)).Value;

    private List<DatasetRow> Rows()
    {
        using var db = project.Open();
        return [.. db.DatasetRows.AsNoTracking().Where(row => row.DatasetVersionId == seeded.Dataset.Id).OrderBy(row => row.Ordinal)];
    }

    /// <summary>Two answers of each row, the chosen one first.</summary>
    private static FeatureCodes Codes(List<DatasetRow> rows)
    {
        var (indices, values) = (new int[rows.Count * 2 * Width], new float[rows.Count * 2 * Width]);
        for (var i = 0; i < rows.Count; i++)
        {
            (indices[2 * i * Width], values[2 * i * Width]) = (Explaining.Contains(i) ? 0 : 1, 1);
            if (i % 4 == 0)
                (indices[(2 * i + 1) * Width], values[(2 * i + 1) * Width]) = (2, 1);
        }
        return new FeatureCodes { Latents = Latents, Width = Width, Responses = [.. rows.SelectMany(row => new[] { row.ChosenId, row.RejectedId!.Value })], Indices = indices, Values = values, Pairs = [] }; // pairwise rows have both
    }

    /// <summary>A reward model on features with the file of its head.</summary>
    private static ModelVersionId Add(SeededProject project, int number)
    {
        var id = project.Ids.New<ModelVersionId>();
        SarmFolder.WriteHead(Directory.CreateDirectory(Path.Combine(project.Directory.Models, $"{id}")).FullName, new float[Latents]);
        project.Add(new ModelVersion
        {
            Id = id, ProjectId = project.Id, Kind = ModelKind.RewardModel, Number = number, Method = "SARM", ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1, Commit = "unknown", Folder = $"{id}",
            FilesJson = new ModelStore(project.Contexts, project.Writes, project.Directory, project.Ids, project.Time).FilesJson($"{id}"), IsSynthetic = true, CreatedAt = project.Now,
        });
        return id;
    }

    private static void Describe(SeededProject project, ModelVersionId version, FeatureCodes codes)
    {
        var id = project.Ids.New<FeatureDescriptionId>();
        var path = Path.Combine(project.Directory.Features, $"codes-{id}");
        codes.Write(path);
        project.Add(new FeatureDescription
        {
            Id = id, ProjectId = project.Id, ModelVersionId = version, Latents = codes.Latents, Responses = codes.Responses.Count, SentenceEnds = 0, Pairs = 0, PromptsDiscovery = 1, PromptsTest = 1, SpecJson = "{}",
            CodesSha256 = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))), At = project.Now,
        });
    }
}
