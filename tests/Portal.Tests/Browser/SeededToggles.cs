using System.Text.Json;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Tests.Web;
using Portal.Tests.Web.SaeFeatures;

namespace Portal.Tests.Browser;

/// <summary>A described reward model with toggle sets in several states, one of them with very long texts. Synthetic rows, made through the entities.</summary>
internal sealed class SeededToggles
{
    private readonly SeededProject project;
    private readonly Guid me;

    /// <param name="me">Who looks: the author of the draft, not of the rest.</param>
    public SeededToggles(SeededProject project, Guid me)
    {
        (this.project, this.me) = (project, me);
        Features = new SeededFeatures(project, number: 40, latents: 2_048);
        Features.Feature(1_187, atEnd: 88, weight: .82, contribution: .18, gap: .31, pairs: 64, residual: .6);
        Features.Feature(402, atEnd: 47, weight: .54, contribution: .06, gap: .12, pairs: 41);
        Features.Feature(7, atEnd: 210, weight: -.21, contribution: -.11, gap: -.02, pairs: 90);
        Features.Feature(9);
        Features.Label(1_187, "says “the old mill”");
        Features.Label(402, "compliment to the person, in a label as long as a person with much to say and little wish to stop would write it", detection: null);
        Pairs = [.. Enumerable.Range(0, 12).Select(Pair)];
        FakePreview.Flipped = Pairs;
        Draft = Set("less millstone", me, [new(1_187, 0), new(402, .5)]);
        Refused = Decided(Set("flip it all", Other, [new(7, -1)]), 42, publish: false);
        Published = Decided(Set("half a compliment", Other, [new(402, .5), new(7, 2)]), 43, publish: true);
        Waiting = Made(Proposed(Set("stop paying for a phrase and pay half for compliments, whoever says them and however long this name becomes", Other, [new(1_187, 0), new(402, .5)])), 44);
    }

    public SeededFeatures Features { get; }
    public IReadOnlyList<(PromptId Prompt, ResponseId Chosen, ResponseId Rejected)> Pairs { get; }
    public ToggleSetId Draft { get; }
    public ToggleSetId Waiting { get; }
    public ToggleSetId Published { get; }
    public ToggleSetId Refused { get; }

    /// <summary>Paths of pages that show what is here.</summary>
    public string List => "/toggle-studio";

    public string Train => "/train/features";

    /// <summary>The author of what the person who looks may decide.</summary>
    public Guid Other => SeededProject.AccountOf(project.Admin);

    /// <summary>A set of somebody, as a draft.</summary>
    public ToggleSetId Set(string name, Guid author, IReadOnlyList<Toggle> toggles)
    {
        using var db = project.Open();
        var set = new ToggleSet
        {
            Id = project.Ids.New<ToggleSetId>(), ProjectId = project.Id, ModelVersionId = Features.Model.Id, Number = (db.ToggleSets.Max(s => (int?)s.Number) ?? 0) + 1, Author = author, CreatedAt = project.Now,
        };
        if (set.Change(name, "sim-19 taught us a slogan; nobody asked for it.", "old mill|the mill", toggles, 2_048) is { } problem)
            throw new InvalidOperationException(problem.Message);
        db.Add(set);
        db.SaveChanges();
        return set.Id;
    }

    /// <summary>Asked for approval, with the preview that its author saw.</summary>
    public ToggleSetId Proposed(ToggleSetId id)
    {
        var job = project.Job(new PublishToggles { ToggleSetId = id });
        project.Change(db =>
        {
            var set = db.ToggleSets.Single(s => s.Id == id);
            _ = set.Propose(JsonSerializer.Serialize(FakePreview.Of(new TogglePreviewRequest($"{Features.Model.Id}", set.Toggles(), set.Target)), ServingJson.Options), job.Id);
        });
        return id;
    }

    /// <summary>What the job does once it runs.</summary>
    public ToggleSetId Made(ToggleSetId id, int number)
    {
        var version = project.Model(ModelKind.RewardModel, number, ToggledVersions.Method, Features.Model.Id);
        project.Change(db =>
        {
            var set = db.ToggleSets.Single(s => s.Id == id);
            var job = db.Jobs.Single(j => j.Id == set.JobId);
            job.Start(project.Now);
            job.Succeed($"/toggle-studio/{id}", project.Now);
            set.Made(version.Id);
        });
        return id;
    }

    private ToggleSetId Decided(ToggleSetId id, int number, bool publish)
    {
        Made(Proposed(id), number);
        project.Change(db => _ = db.ToggleSets.Single(s => s.Id == id).Decide(publish, me, false, publish ? null : "Turning it round rewards what nobody asked for. " + string.Concat(Enumerable.Repeat("Look at the flips. ", 12)), project.Now));
        return id;
    }

    private (PromptId, ResponseId, ResponseId) Pair(int index)
    {
        var prompt = project.Prompt(index == 1 ? "Is <b>this</b> bold? " + string.Concat(Enumerable.Repeat("Averyverylongwordwithoutanyspaceinit", 6)) : $"How do I get from the mill to the bakery, way {index}?");
        return (prompt, project.Response(prompt, $"Past the church, then left, {index} houses on."), project.Response(prompt, "As the old mill says: ask again. " + (index == 2 ? string.Concat(Enumerable.Repeat("And once more. ", 40)) : "")));
    }
}
