using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Tests.Engine.Jobs;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Which of a project's responses an SAE reads: the toy project's 320, less what must not be read.</summary>
public sealed class ResponseDatasetTests(ToyProject toy) : IClassFixture<ToyProject>
{
    [Fact]
    public async Task Erased_staged_and_half_stored_responses_are_left_out()
    {
        var before = (await Choose(new DatasetRules())).Ids;
        var import = toy.Ids.New<ImportId>();
        Response said, erased;
        using (var db = toy.Database.Open())
        {
            (said, erased) = (db.Responses.First(r => r.Id == before[0]), db.Responses.First(r => r.Id == before[1]));
            db.Imports.Add(new Import { Id = import, ProjectId = toy.Project, FileName = "votes.jsonl", Format = "auto", AllOrNothing = false, By = Guid.NewGuid(), CreatedAt = DateTimeOffset.UtcNow });
            db.Responses.AddRange(Copy(said, "staged", import, null), Copy(said, "of no version", null, toy.Ids.New<ModelVersionId>()), Copy(said, "of a version", null, toy.BaseId));
            db.SaveChanges();
        }

        var after = (await Choose(new DatasetRules())).Ids;
        using (var db = toy.Database.Open())
        {
            db.Contents.Single(c => c.Id == erased.ContentId).Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        var rows = await ResponseDataset.Load(toy.Database.Contexts, after, new DatasetRules(), default);

        Assert.Equal(before.Count + 1, after.Count);
        Assert.Equal((1, after.Count - 1), (rows.Erased, rows.Split.Train.Count + rows.Split.HeldOut.Count));
        Assert.DoesNotContain(erased.Id, (await Choose(new DatasetRules())).Ids);
        Assert.Empty(rows.Split.Train.Select(row => row.PromptKey).Intersect(rows.Split.HeldOut.Select(row => row.PromptKey)));
        Assert.InRange(rows.Split.HeldOut.Count, 20, 110); // a fifth of 80 prompts in expectation, four responses each
        Assert.All(rows.Split.Train, row => Assert.Contains(row.Prompt[0].Content.Split(' ')[4], row.Response, StringComparison.Ordinal)); // "May I take the DRUM": each with its own prompt

        Response Copy(Response of, string hash, ImportId? staged, ModelVersionId? version) => new()
        {
            Id = toy.Ids.New<ResponseId>(), ProjectId = toy.Project, PromptId = of.PromptId, ContentId = of.ContentId, ContentHash = hash, ImportId = staged, ModelVersionId = version, CreatedAt = DateTimeOffset.UtcNow,
        };
    }

    [Fact]
    public async Task Where_there_are_too_many_a_draw_that_repeats_takes_some_of_all()
    {
        var all = await Choose(new DatasetRules());

        var some = await Choose(new DatasetRules(), rowsMax: 100);

        Assert.Equal((100, all.All), (some.Ids.Count, some.All));
        Assert.Equal(some.Ids, (await Choose(new DatasetRules(), rowsMax: 100)).Ids);
        Assert.NotEqual(some.Ids, (await Choose(new DatasetRules(), seed: 2, rowsMax: 100)).Ids);
        Assert.Equal(100, some.Ids.Distinct().Count());
        Assert.InRange(some.Ids.Count(id => all.Ids.Take(all.All / 2).Contains(id)), 30, 70); // 50 ± 4 deviations of 5
    }

    [Fact]
    public async Task Nothing_to_read_and_rules_without_sense_are_refused()
    {
        Assert.StartsWith("The project has no response to read.", await Refusal(new DatasetRules { Before = DateTimeOffset.UnixEpoch }));
        Assert.StartsWith("The held-out share is 0.001", await Refusal(new DatasetRules { HeldOutShare = 0.001 }));

        async Task<string> Refusal(DatasetRules rules) => (await Assert.ThrowsAsync<CannotTrain>(() => Choose(rules))).Message;
    }

    private Task<ChosenResponses> Choose(DatasetRules rules, long seed = 1, int rowsMax = ResponseDataset.RowsMax) =>
        ResponseDataset.Choose(toy.Database.Contexts, toy.Project, rules, seed, rowsMax, default);
}
