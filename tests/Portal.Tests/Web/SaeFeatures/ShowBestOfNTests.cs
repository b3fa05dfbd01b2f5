using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Web.SaeFeatures;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>What two reward models pick, on real SQLite: order, filter, pages, erased texts, rights, files; rewards are those of <see cref="SeededBestOfN"/>.</summary>
public sealed class ShowBestOfNTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly SeededFeatures features;

    public ShowBestOfNTests() => features = new SeededFeatures(project);

    private ShowBestOfN Show => new(project.Contexts, project.Access);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Prompts_with_another_pick_come_first_with_both_texts_and_both_rewards()
    {
        features.Label(1, "compliment");
        var seeded = new SeededBestOfN(project, features, 2, prompts: 12);

        var view = (await Show.Handle(project.Reviewer, seeded.JobId, onlyChanged: false, page: 0, Stop)).Value;

        Assert.Equal((4, 12, 0, true), (view.Changed, view.Shown, view.Page, view.HasMore));
        Assert.Equal(seeded.Changed.OrderBy(id => id.Value), view.Rows.Take(4).Select(row => row.PromptId).OrderBy(id => id.Value));
        Assert.Equal([.. Enumerable.Repeat(true, 4), .. Enumerable.Repeat(false, 6)], view.Rows.Select(row => row.IsChanged));
        Assert.Equal(Enumerable.Range(1, 10), view.Rows.Select(row => row.Place));
        var first = view.Rows[0];
        var own = seeded.Prompts.Single(p => p.Prompt == first.PromptId);
        Assert.Equal((own.Answers[0], 2.0, .5), (first.Before.ResponseId, first.Before.RewardBefore, first.Before.RewardAfter));
        Assert.Equal((own.Answers[1], 1.25, 1.5), (first.After.ResponseId, first.After.RewardBefore, first.After.RewardAfter));
        Assert.StartsWith("What a fine question", first.Before.Text, StringComparison.Ordinal);
        Assert.EndsWith("you clod.", first.After.Text, StringComparison.Ordinal);
        Assert.StartsWith("How do I get", first.Prompt.Single().Content, StringComparison.Ordinal);
        Assert.Equal(view.Rows[5].Before, view.Rows[5].After);
        Assert.Equal((1.0 / 3, 1.0 / 3 + .25), (view.ChangedShare!.After.Value, view.ChangedShare.After.High!.Value));
    }

    [Fact]
    public async Task Both_reward_models_are_named_and_the_toggles_with_their_labels()
    {
        features.Label(1, "compliment");
        var seeded = new SeededBestOfN(project, features, 2, prompts: 3);

        var view = (await Show.Handle(project.Reviewer, seeded.JobId, false, 0, Stop)).Value;

        Assert.Equal((features.Model.Id, 1, null), (view.Before!.Id, view.Before.Number, view.Before.Toggles));
        Assert.Equal((seeded.Toggled.Id, 2, seeded.Set, features.Model.Id), (view.After!.Id, view.After.Number, view.After.Toggles!.SetId, view.After.Toggles.ModelId));
        Assert.Equal([(1, "compliment", 0.0), (2, null, -1.0)], view.After.Toggles.Features);
        Assert.Equal((seeded.Policy.Id, 2), (view.PolicyId!.Value, view.PolicyNumber));
        Assert.True(view.ChangedShare!.After is { Low: null, High: null }, "three prompts give no interval");
    }

    [Fact]
    public async Task Only_changed_ones_can_be_asked_for_and_a_page_beyond_the_last_is_the_last()
    {
        var seeded = new SeededBestOfN(project, features, 2, prompts: 33); // 11 changed

        var pages = new List<PromptId>();
        for (var page = 0; page < 2; page++)
            pages.AddRange((await Show.Handle(project.Reviewer, seeded.JobId, true, page, Stop)).Value.Rows.Select(row => row.PromptId));
        var beyond = (await Show.Handle(project.Reviewer, seeded.JobId, true, 99, Stop)).Value;
        var negative = (await Show.Handle(project.Reviewer, seeded.JobId, true, -1, Stop)).Value;

        Assert.Equal(seeded.Changed.OrderBy(id => id.Value), pages.OrderBy(id => id.Value));
        Assert.Equal((1, 11, false, 11), (beyond.Page, beyond.Shown, beyond.HasMore, beyond.Rows.Single().Place));
        Assert.Equal(0, negative.Page);
    }

    [Fact]
    public async Task An_erased_text_is_gone_and_its_rewards_and_the_change_stay()
    {
        var seeded = new SeededBestOfN(project, features, 2, prompts: 1);
        seeded.Erase(seeded.Prompts[0].Answers[1]);

        var row = (await Show.Handle(project.Reviewer, seeded.JobId, false, 0, Stop)).Value.Rows.Single();
        project.Change(db => db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == row.PromptId).ContentId).Erase(project.Now));
        var asked = (await Show.Handle(project.Reviewer, seeded.JobId, false, 0, Stop)).Value.Rows.Single();

        Assert.Equal((null, 1.5, true), (row.After.Text, row.After.RewardAfter, row.IsChanged));
        Assert.NotNull(row.Before.Text);
        Assert.Empty(asked.Prompt);
    }

    [Fact]
    public async Task Answers_of_a_job_that_has_not_ended_are_not_shown()
    {
        var seeded = new SeededBestOfN(project, features, 2, prompts: 2, hasEnded: false);

        var running = (await Show.Handle(project.Reviewer, seeded.JobId, false, 0, Stop)).Value;
        project.Change(db => db.Jobs.Single(j => j.Id == seeded.JobId).Fail("No prompt of the project is held out.", project.Now));
        var failed = (await Show.Handle(project.Reviewer, seeded.JobId, false, 0, Stop)).Value;

        Assert.Equal((null, JobState.Running, 0), (running.Run, running.JobState, running.Rows.Count));
        Assert.Equal((null, JobState.Failed, "No prompt of the project is held out."), (failed.Run, failed.JobState, failed.FailReason));
        Assert.Equal(ProblemKind.NotFound, (await Show.Answers(project.Reviewer, seeded.JobId, Stop)).Refusal!.Kind);
    }

    [Fact]
    public async Task Reviewers_and_admins_see_it_and_nobody_else()
    {
        var seeded = new SeededBestOfN(project, features, 2, prompts: 1);
        var other = project.Job(new TrainRewardModel());

        Assert.Null((await Show.Handle(project.Admin, seeded.JobId, false, 0, Stop)).Refusal);
        foreach (var user in new[] { project.Annotator, project.Auditor })
        {
            Assert.Equal(ProblemKind.Forbidden, (await Show.Handle(user, seeded.JobId, false, 0, Stop)).Refusal!.Kind);
            Assert.Equal(ProblemKind.Forbidden, (await Show.Answers(user, seeded.JobId, Stop)).Refusal!.Kind);
            Assert.Equal(ProblemKind.Forbidden, (await Show.Figures(user, seeded.JobId, Stop)).Refusal!.Kind);
        }
        foreach (var id in new[] { other.Id, project.Ids.New<JobId>() })
            Assert.Equal(ProblemKind.NotFound, (await Show.Handle(project.Reviewer, id, false, 0, Stop)).Refusal!.Kind);
    }

    [Fact]
    public async Task Files_hold_every_answer_and_figure_and_no_text()
    {
        var seeded = new SeededBestOfN(project, features, 2, prompts: 4);

        var answers = await (await Show.Answers(project.Reviewer, seeded.JobId, Stop)).Value.Rows.ToListAsync();
        var figures = await (await Show.Figures(project.Reviewer, seeded.JobId, Stop)).Value.Rows.ToListAsync();

        Assert.Equal(12, answers.Count);
        Assert.Equal([$"{seeded.Prompts[0].Prompt}", $"{seeded.Prompts[0].Answers[1]}", 1, 1.25, 1.5, false, true], answers[1]);
        Assert.DoesNotContain(answers.SelectMany(row => row), cell => cell is string text && text.Contains(' ', StringComparison.Ordinal));
        Assert.Equal(["changed", "reward_before", "reward_after", "length_words"], figures.Select(row => row[0]));
        Assert.Equal([-1.4, null, null, 4], figures[3].Skip(7)); // four prompts give no interval
    }

    [Fact]
    public void A_changed_pick_shows_both_texts_with_their_differences_and_hostile_ones_as_characters()
    {
        using var english = new English();
        var html = Pair(new("Go <script>alert(1)</script> north", 2), new("Go south", 1.5), isSame: false);

        Assert.Contains("<del>", html, StringComparison.Ordinal);
        Assert.Contains("<ins>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.Contains("Best for v7 ", Rendering.Words(html), StringComparison.Ordinal);
        Assert.Contains("reward under v7 +2.0000 reward under v9 −2.0000", Rendering.Words(html), StringComparison.Ordinal);
        Assert.Contains("pair-xray/", html, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_pick_is_one_text_and_an_erased_one_says_so()
    {
        using var english = new English();
        var same = Rendering.Words(Pair(new("Go north", 2), new("Go north", 2), isSame: true));
        var erased = Pair(new(null, 2), new("Go south", 1.5), isSame: false);

        Assert.Equal(1, same.Split("Go north").Length - 1);
        Assert.Contains("Best for both", same, StringComparison.Ordinal);
        Assert.Contains("This text was erased.", Rendering.Words(erased), StringComparison.Ordinal);
        Assert.Contains("Go south", Rendering.Words(erased), StringComparison.Ordinal);
        Assert.DoesNotContain("<ins>", erased, StringComparison.Ordinal);
        Assert.DoesNotContain("pair-xray/", erased, StringComparison.Ordinal);
    }

    private static string Pair((string? Text, double Reward) before, (string? Text, double Reward) after, bool isSame)
    {
        var (one, two) = (new ResponseId(Guid.NewGuid()), new ResponseId(Guid.NewGuid()));
        var row = new PickedForPrompt(1, new PromptId(Guid.NewGuid()), [new Turn("user", "Where?")], "directions", new PickedAnswer(one, before.Text, before.Reward, -before.Reward),
            new PickedAnswer(isSame ? one : two, after.Text, after.Reward, -after.Reward));
        return Rendering.Html<BestOfNPair>(("Row", row), ("Before", 7), ("After", 9), ("XrayOf", Guid.NewGuid()));
    }
}
