using System.Text.Json;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>
/// A comparison of best answers in a seeded project, as its job would leave it: a reward model, the one that toggles made of it, and three answers to each prompt.
/// The model before always picks the first answer. The one after picks the second for every third prompt, else the first too.
/// </summary>
internal sealed class SeededBestOfN
{
    /// <summary>Rewards of the three answers before; after, where the pick changes; after, where it stays.</summary>
    public static readonly double[] Before = [2, 1.25, -.5], Turned = [.5, 1.5, -1], Kept = [1.75, .75, -1];

    private readonly SeededProject project;

    /// <param name="number">Of the toggled version.</param>
    /// <param name="hasEnded">False: the job still writes answers.</param>
    public SeededBestOfN(SeededProject project, SeededFeatures features, int number, int prompts = 12, bool hasEnded = true)
    {
        this.project = project;
        Policy = project.Model(ModelKind.Policy, number, "base");
        Toggled = project.Model(ModelKind.RewardModel, number, ToggledVersions.Method, features.Model.Id);
        Set = AddSet(features);
        JobId = project.Job(new CompareBestOfN { BeforeId = features.Model.Id, AfterId = Toggled.Id, Answers = 3, Prompts = prompts }).Id;
        for (var index = 0; index < prompts; index++)
            Answer(number, index);
        project.Change(db => db.Jobs.Single(j => j.Id == JobId).Start(project.Now));
        if (!hasEnded)
            return;
        project.Add(new BestOfNRun
        {
            JobId = JobId, ProjectId = project.Id, PolicyId = Policy.Id, BeforeId = features.Model.Id, AfterId = Toggled.Id, Prompts = prompts, AnswersPerPrompt = 3, At = project.Now,
            FiguresJson = JsonSerializer.Serialize<IReadOnlyList<BestOfNFigure>>(
            [
                new("changed", Estimate(0, 0), Estimate(Changed.Count / (double)prompts, .25), Estimate(Changed.Count / (double)prompts, .25)), new("reward_before", Estimate(.92, .2), Estimate(.61, .25), Estimate(-.31, .2)),
                new("reward_after", Estimate(.5, .2), Estimate(.88, .2), Estimate(.38, .21)), new("length_words", Estimate(9.5, 1.2), Estimate(8.1, 1.4), Estimate(-1.4, 1.1)),
            ]),
        });
        project.Change(db => db.Jobs.Single(j => j.Id == JobId).Succeed($"/best-of/{JobId}", project.Now));

        Estimated Estimate(double value, double reach) => prompts < MetricNames.PromptsForInterval ? new(value, null, null) : new(value, value - reach, value + reach);
    }

    public ModelVersion Policy { get; }
    public ModelVersion Toggled { get; }
    public ToggleSetId Set { get; }
    public JobId JobId { get; }

    /// <summary>Prompts in the order in which they were added, with their three answers.</summary>
    public List<(PromptId Prompt, ResponseId[] Answers)> Prompts { get; } = [];

    /// <summary>Those with another pick.</summary>
    public IReadOnlyList<PromptId> Changed => [.. Prompts.Where((_, index) => index % 3 == 0).Select(p => p.Prompt)];

    /// <summary>Erases the text of an answer.</summary>
    public void Erase(ResponseId id) => project.Change(db => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == id).ContentId).Erase(project.Now));

    private void Answer(int number, int index)
    {
        var prompt = project.Prompt($"How do I get from the mill to the well, way {number}.{index}?", "directions");
        string[] texts = [$"What a fine question, dear friend! Go north past the old mill, then {index} houses on.", $"Go north past the mill, then {index} houses on, you clod.", "Ask somebody else."];
        ResponseId[] answers = [.. texts.Select(text => project.Response(prompt, text, Policy.Id))];
        Prompts.Add((prompt, answers));
        var isTurned = index % 3 == 0;
        project.Add([.. answers.Select((answer, ordinal) => (object)new BestOfNAnswer
        {
            JobId = JobId, PromptId = prompt, ResponseId = answer, Ordinal = ordinal, RewardBefore = Before[ordinal], RewardAfter = (isTurned ? Turned : Kept)[ordinal],
            IsBestBefore = ordinal == 0, IsBestAfter = ordinal == (isTurned ? 1 : 0),
        })]);
    }

    private ToggleSetId AddSet(SeededFeatures features)
    {
        var (author, approver) = (SeededProject.AccountOf(project.Admin), Guid.NewGuid());
        using var db = project.Open();
        var set = new ToggleSet
        {
            Id = project.Ids.New<ToggleSetId>(), ProjectId = project.Id, ModelVersionId = features.Model.Id, Number = (db.ToggleSets.Max(s => (int?)s.Number) ?? 0) + 1, Author = author, CreatedAt = project.Now,
        };
        Toggle[] toggles = [new(1, 0), new(2, -1)];
        var job = project.Job(new PublishToggles { ToggleSetId = set.Id });
        var preview = JsonSerializer.Serialize(FakePreview.Of(new TogglePreviewRequest($"{features.Model.Id}", toggles, "")), ServingJson.Options);
        if ((set.Change("fewer compliments", "Nobody asked for compliments.", "", toggles, features.Description.Latents) ?? set.Propose(preview, job.Id)) is { } problem)
            throw new InvalidOperationException(problem.Message);
        set.Made(Toggled.Id);
        if (set.Decide(approve: true, approver, isAlone: false, null, project.Now) is { } refused)
            throw new InvalidOperationException(refused.Message);
        db.Add(set);
        db.SaveChanges();
        project.Change(other =>
        {
            var row = other.Jobs.Single(j => j.Id == job.Id);
            row.Start(project.Now);
            row.Succeed($"/toggle-studio/{set.Id}", project.Now);
        });
        return set.Id;
    }
}
