using System.Security.Claims;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Web.Jobs;
using Portal.Web.Registry;
using Portal.Web.Api;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>Toggle sets on real SQLite behind a fake door: who may, who comes second, what is kept, and that nothing serves without a second person.</summary>
public sealed class ToggleSetTests : IAsyncLifetime
{
    private readonly SeededProject project = new();
    private readonly SeededFeatures features;
    private readonly EngineClient engine;
    private FakeEngineDoor door = null!; // set on start

    public ToggleSetTests()
    {
        features = new SeededFeatures(project);
        engine = new EngineClient(project.Directory);
        Second = project.Account(RoleNames.Admin);
        features.Feature(3, atEnd: 80, weight: .82, gap: .2, pairs: 60);
        features.Label(3, "says the old mill");
        project.Change(db => db.Releases.Add(db.Projects.Single(p => p.Id == project.Id)
            .Release(project.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == features.Model.Id), "to begin with", SeededProject.AccountOf(project.Admin), null, project.Now).Value));
    }

    private ClaimsPrincipal Second { get; }
    private StartJob Jobs => new(project.Writes, project.Access, project.Ids, project.Time);
    private StartToggleSet Start => new(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
    private CopyToggleSet Copy => new(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
    private SaveToggleSet Save => new(project.Writes, project.Access, project.Hasher, project.Time);
    private ProposeToggleSet Propose => new(project.Contexts, project.Writes, project.Access, Jobs, engine, project.Hasher, project.Time);
    private WithdrawToggleSet Withdraw => new(project.Writes, project.Access, project.Hasher, project.Time);
    private DecideToggleSet Decide => new(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
    private ShowToggleSet Show => new(project.Contexts, project.Access);
    private ListToggleSets List => new(project.Contexts, project.Access);
    private DiffToggleSets Diff => new(project.Contexts, project.Access);
    private FindFeatures Find => new(project.Contexts, project.Access, new FeatureRanks());
    private PreviewToggles Preview => new(project.Contexts, project.Access, engine);
    private DownloadToggleTable Download => new(project.Contexts, project.Access, engine);

    public async Task InitializeAsync() => door = await FakeEngineDoor.Open(project.Directory);

    public async Task DisposeAsync()
    {
        engine.Dispose();
        await door.DisposeAsync();
        project.Dispose();
    }

    [Fact]
    public async Task A_set_goes_from_draft_to_what_serves_and_back_again()
    {
        var (id, version) = await Proposed();
        var waiting = (await Show.Handle(Second, id, default)).Value;
        Assert.Equal((ToggleSetState.Waiting, true), (waiting.Set.State, waiting.Proposed is { Response.Flips: 10 }));

        var outcome = await Decide.Handle(Second, id, waiting.Set.RowVersion, true, features.Model.Id, "Read 12 flips", default);

        Assert.Equal(ToggleSetState.Published, outcome.Value);
        using (var db = project.Open())
        {
            Assert.Equal(version, db.Projects.Single(p => p.Id == project.Id).CurrentRewardModelId);
            var record = db.Releases.Single(r => r.ToVersionId == version);
            Assert.Equal((SeededProject.AccountOf(project.Admin), (Guid?)SeededProject.AccountOf(Second), false), (record.By, record.Approver, record.IsRollBack));
            Assert.Equal("It pays for a slogan (Approved: Read 12 flips)", record.Reason);
            Assert.Equal("Read 12 flips", db.ToggleSets.Single().DecisionNote);
            Assert.Equal(["toggles.draft", "toggles.save", "job.start", "toggles.propose", "toggles.approve", "model.release"], db.AuditEvents.OrderBy(e => e.Sequence).Select(e => e.Action).ToList());
            Assert.All(db.AuditEvents.ToList(), e => Assert.DoesNotContain("slogan", e.PayloadJson, StringComparison.Ordinal));
            Assert.All(db.AuditEvents.ToList(), e => Assert.DoesNotContain("flips", e.PayloadJson, StringComparison.Ordinal));
            Assert.Null(AuditChain.Verify(db.AuditEvents.OrderBy(e => e.Sequence)).Problem);
        }
        var published = (await Show.Handle(project.Reviewer, id, default)).Value;
        Assert.Equal((true, false, (ModelVersionId?)features.Model.Id), (published.Serves, published.Set.IsSelfApproved, published.RestoredByRollBack?.Id));

        var back = await new RollBackModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time).Handle(project.Admin, project.Id, ModelKind.RewardModel, version, "worse", default);

        Assert.Equal(features.Model.Id, back.Value.ToVersionId);
        Assert.False((await Show.Handle(project.Reviewer, id, default)).Value.Serves);
    }

    [Fact]
    public async Task The_author_approves_only_where_there_is_no_second_admin_and_that_is_marked()
    {
        var (id, version) = await Proposed();

        var refused = await Approve(project.Admin, id);
        Assert.Equal(ProblemKind.Forbidden, refused.Refusal?.Kind);
        using (var db = project.Open())
            Assert.Equal(features.Model.Id, db.Projects.Single(p => p.Id == project.Id).CurrentRewardModelId);

        project.Change(db => db.Users.Single(a => a.Id == SeededProject.AccountOf(Second)).DisabledAt = project.Now);
        var alone = await Approve(project.Admin, id);

        Assert.Equal(ToggleSetState.Published, alone.Value);
        using var after = project.Open();
        Assert.True(after.ToggleSets.Single().IsSelfApproved);
        var record = after.Releases.Single(r => r.ToVersionId == version);
        Assert.Equal((null, "Self-approved: It pays for a slogan"), (record.Approver, record.Reason));
        Assert.Contains("\"selfApproved\":true", after.AuditEvents.Single(e => e.Action == "toggles.approve").PayloadJson, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_two_admins_who_decide_about_one_set_at_once_the_second_is_told()
    {
        var third = project.Account(RoleNames.Admin);
        var (id, _) = await Proposed();
        var seen = Set(id).RowVersion;

        var outcomes = await Task.WhenAll(Decide.Handle(Second, id, seen, true, features.Model.Id, null, default), Decide.Handle(third, id, seen, false, features.Model.Id, "Too few flips", default));

        var loser = Assert.Single(outcomes, o => o.Refusal is not null);
        Assert.Equal(ProblemKind.Conflict, loser.Refusal!.Kind);
        Assert.Contains("decided about this set already", loser.Refusal.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_two_sets_published_at_once_one_wins_and_the_other_still_waits()
    {
        var ((first, _), (other, _)) = (await Proposed(), await Proposed());

        var outcomes = await Task.WhenAll(Approve(Second, first), Approve(Second, other));

        Assert.Contains("changed what serves", Assert.Single(outcomes, o => o.Refusal is not null).Refusal!.ToString(), StringComparison.Ordinal);
        using var db = project.Open();
        Assert.Equal([ToggleSetState.Waiting, ToggleSetState.Published], db.ToggleSets.Select(s => s.State).ToList().Order());
        Assert.Equal(2, db.Releases.Count()); // the first one of all, and the winner's
    }

    [Fact]
    public async Task Who_looked_at_an_earlier_proposal_does_not_approve_a_later_one()
    {
        var id = await Draft();
        await Propose.Handle(project.Admin, id, Set(id).RowVersion, default);
        var looked = Set(id).RowVersion;
        Assert.Equal(ToggleSetState.Draft, (await Withdraw.Handle(project.Admin, id, default)).Value); // its job still waited
        await SaveToggles(id, new Toggle(3, 50));
        await Propose.Handle(project.Admin, id, Set(id).RowVersion, default);
        Make(id);

        Assert.Contains("Somebody changed this set", (await Decide.Handle(Second, id, looked, true, features.Model.Id, null, default)).Refusal?.ToString(), StringComparison.Ordinal);
        Assert.Null((await Decide.Handle(Second, id, Set(id).RowVersion, true, features.Model.Id, null, default)).Refusal);
    }

    /// <summary>More sets than a page holds: the file has each once, newest first.</summary>
    [Fact]
    public async Task All_sets_are_one_file()
    {
        for (var made = 0; made < ListToggleSets.RowsMax + 3; made++)
            await Start.Handle(project.Admin, features.Model.Id, 3, default);

        var table = (await List.Table(project.Reviewer, project.Id, default)).Value;
        var rows = await table.Rows.ToListAsync();

        Assert.Equal(Enumerable.Range(1, ListToggleSets.RowsMax + 3).Reverse(), rows.Select(row => (int)row[0]!));
        Assert.Equal(["Set 1", 1, 1, "Draft", false], rows[^1].Skip(1).Take(5));
        Assert.All(rows, row => Assert.Equal(table.Columns.Count, row.Count));
    }

    [Fact]
    public async Task After_a_failed_job_the_author_takes_the_set_back_and_asks_again()
    {
        var id = await Draft();
        var first = (await Propose.Handle(project.Admin, id, Set(id).RowVersion, default)).Value;
        Assert.Equal(ProblemKind.Conflict, (await Decide.Handle(Second, id, Set(id).RowVersion, true, features.Model.Id, null, default)).Refusal?.Kind); // no version yet
        project.Change(db => db.Jobs.Single(j => j.Id == first.Id).Start(project.Now));
        Assert.Contains("under way", (await Withdraw.Handle(project.Admin, id, default)).Refusal?.ToString(), StringComparison.Ordinal);
        project.Change(db => db.Jobs.Single(j => j.Id == first.Id).Fail("The disk is full.", project.Now));
        Assert.True(Assert.Single((await List.Handle(project.Reviewer, project.Id, 0, default)).Value.Rows).IsStuck);
        Assert.Equal(ProblemKind.Conflict, (await new RestartJob(project.Contexts, Jobs, project.Access).Handle(project.Admin, first.Id, default)).Refusal?.Kind);

        Assert.Equal(ProblemKind.Forbidden, (await Withdraw.Handle(Second, id, default)).Refusal?.Kind);
        Assert.Equal(ToggleSetState.Draft, (await Withdraw.Handle(project.Admin, id, default)).Value);
        var again = await Propose.Handle(project.Admin, id, Set(id).RowVersion, default);

        Assert.NotEqual(first.Id, again.Value.Id);
        Make(id);
        Assert.Contains("is made", (await Withdraw.Handle(project.Admin, id, default)).Refusal?.ToString(), StringComparison.Ordinal);
        Assert.Null((await Approve(Second, id)).Refusal);
    }

    [Fact]
    public async Task A_refused_set_changes_nothing_and_its_version_serves_neither_now_nor_by_the_other_door()
    {
        var (id, version) = await Proposed();
        var release = new ReleaseModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);

        var around = await release.Handle(project.Admin, version, features.Model.Id, "quick", null, default);
        Assert.Contains("waits for a second person", around.Refusal?.ToString(), StringComparison.Ordinal);
        Assert.Equal(ToggleSetState.Refused, (await Decide.Handle(Second, id, Set(id).RowVersion, false, features.Model.Id, "Too few flips", default)).Value);

        Assert.Contains("was refused", (await release.Handle(project.Admin, version, features.Model.Id, "quick", null, default)).Refusal?.ToString(), StringComparison.Ordinal);
        using var db = project.Open();
        Assert.Equal(features.Model.Id, db.Projects.Single(p => p.Id == project.Id).CurrentRewardModelId);
        Assert.Contains(db.AuditEvents, e => e.Action == "toggles.refuse");
    }

    [Fact]
    public async Task A_refusal_needs_words_which_its_author_reads_and_the_audit_log_does_not()
    {
        var (id, _) = await Proposed();
        var seen = Set(id).RowVersion;
        foreach (var (note, says) in new[] { (null, "Say in a few words why"), (" \n ", "Say in a few words why"), (new string('x', ToggleSet.NoteLengthMax + 1), "The note has 2001 characters, at most 2000 are kept.") })
            Assert.StartsWith(says, (await Decide.Handle(Second, id, seen, false, features.Model.Id, note, default)).Refusal?.About("note"), StringComparison.Ordinal);
        Assert.Equal((ToggleSetState.Waiting, seen, null), (Set(id).State, Set(id).RowVersion, Set(id).DecisionNote));
        Assert.NotNull((await Decide.Handle(Second, id, seen, true, features.Model.Id, new string('x', ToggleSet.NoteLengthMax + 1), default)).Refusal?.About("note"));

        Assert.Null((await Decide.Handle(Second, id, seen, false, features.Model.Id, "  Twelve flips are no evidence. ", default)).Refusal);

        var view = (await Show.Handle(project.Admin, id, default)).Value;
        Assert.Equal((ToggleSetState.Refused, "Twelve flips are no evidence."), (view.Set.State, view.Set.DecisionNote));
        Assert.NotNull(view.Decider);
        using var db = project.Open();
        var told = db.AuditEvents.Single(e => e.Action == "toggles.refuse");
        Assert.Contains($"\"noteHash\":\"{project.Hasher.Hash("Twelve flips are no evidence.")}\"", told.PayloadJson, StringComparison.Ordinal);
        Assert.DoesNotContain("evidence", told.PayloadJson, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_of_a_retired_version_is_toggled_and_the_message_says_so()
    {
        var (waiting, _) = await Proposed();
        var draft = await Draft();
        project.Change(db => db.ModelVersions.Single(v => v.Id == features.Model.Id).Retire());
        var toggles = new Toggle[] { new(3, 0) };

        Refusal?[] refusals =
        [
            (await Start.Handle(project.Admin, features.Model.Id, null, default)).Refusal, (await Copy.Handle(project.Admin, draft, default)).Refusal,
            (await Save.Handle(project.Admin, draft, Set(draft).RowVersion, new("x", "", "", toggles), default)).Refusal, (await Preview.Handle(project.Admin, features.Model.Id, toggles, "", default)).Refusal,
            (await Propose.Handle(project.Admin, draft, Set(draft).RowVersion, default)).Refusal, (await Approve(Second, waiting)).Refusal,
        ];

        Assert.All(refusals, refusal => Assert.Contains("reward model v1 is retired", refusal?.ToString(), StringComparison.Ordinal));
        Assert.Null((await Decide.Handle(Second, waiting, Set(waiting).RowVersion, false, features.Model.Id, "Too few flips", default)).Refusal); // refusing stays possible
    }

    /// <summary>Feature 3 weighs .82. Made by −2 of v1, by .5 of that: −1.64, then −.82. The description, the label and the pairs stay those of v1.</summary>
    [Fact]
    public async Task A_version_that_toggles_made_is_read_and_toggled_again_with_its_own_weights()
    {
        features.Feature(5, atEnd: 10, weight: -.3, contribution: .04, gap: .3, pairs: 20);
        var first = await Published(features.Model.Id, new Toggle(3, -2));
        var second = await Published(first, new Toggle(3, .5), new Toggle(5, 3));
        var asked = new List<string?>();
        door.Preview = request =>
        {
            asked.Add(request.Model);
            return FakePreview.Of(request);
        };

        var (ofRoot, ofFirst, ofSecond) = (await Found(features.Model.Id), await Found(first), await Found(second));
        Assert.Equal([(3, .82), (5, -.3)], ofRoot.OrderBy(f => f.Latent).Select(f => (f.Latent, f.HeadWeight)));
        Assert.Equal([(3, -1.64), (5, -.3)], ofFirst.OrderBy(f => f.Latent).Select(f => (f.Latent, Math.Round(f.HeadWeight, 9))));
        Assert.Equal([(3, -.82), (5, -.9)], ofSecond.OrderBy(f => f.Latent).Select(f => (f.Latent, Math.Round(f.HeadWeight, 9))));
        Assert.Equal([5, 3], ofRoot.Select(f => f.Latent)); // gaps .3 and .2
        Assert.Equal([3, 5], ofFirst.Select(f => f.Latent)); // −.4 and .3
        Assert.Equal([5, 3], ofSecond.Select(f => f.Latent)); // .9 and −.2
        Assert.All(ofSecond, f => Assert.Equal(f.Latent == 3 ? "says the old mill" : null, f.Label));
        Assert.Equal([3], (await Find.Handle(project.Reviewer, second, "old mill", default)).Value.Select(f => f.Latent));

        Assert.Null((await Preview.Handle(project.Admin, second, [new Toggle(3, 0)], "", default)).Refusal);
        var id = (await Start.Handle(project.Admin, second, 3, default)).Value;
        await SaveToggles(id, new Toggle(3, 0));
        Assert.Null((await Propose.Handle(project.Admin, id, Set(id).RowVersion, default)).Refusal);
        Assert.Equal([$"{second}", $"{second}"], asked);
        var view = (await Show.Handle(project.Reviewer, id, default)).Value;
        Assert.Equal((8, 120, -.82, "says the old mill"), (view.Latents, view.Pairs, Math.Round(view.Features.Single().HeadWeight, 9), view.Features.Single().Label));
        Assert.Contains("\r\n3,0,says the old mill,0.9,-0.82,", await Csv(id, ToggleTable.Features), StringComparison.Ordinal);
        Assert.Equal("says the old mill", (await Diff.Handle(project.Reviewer, id, (await Copy.Handle(project.Admin, id, default)).Value, default)).Value.Features.Single().Label);
        Assert.Equal([(second, true), (first, false), (features.Model.Id, false)], (await List.Handle(project.Reviewer, project.Id, 0, default)).Value.Models.Select(model => (model.Id, model.Serves)));

        async Task<ModelVersionId> Published(ModelVersionId of, params Toggle[] toggles)
        {
            var set = (await Start.Handle(project.Admin, of, null, default)).Value;
            await SaveToggles(set, toggles);
            Assert.Null((await Propose.Handle(project.Admin, set, Set(set).RowVersion, default)).Refusal);
            var version = Make(set);
            using var db = project.Open();
            Assert.Null((await Decide.Handle(Second, set, Set(set).RowVersion, true, db.Projects.Single(p => p.Id == project.Id).CurrentRewardModelId, null, default)).Refusal);
            return version;
        }

        async Task<IReadOnlyList<ToggledFeature>> Found(ModelVersionId model) => (await Find.Handle(project.Reviewer, model, "", default)).Value;
    }

    [Fact]
    public async Task Reviewers_look_admins_act_and_the_rest_see_nothing()
    {
        var (id, _) = await Proposed();
        var toggles = new Toggle[] { new(3, 0) };
        Refusal?[] looks(ClaimsPrincipal who) =>
        [
            List.Handle(who, project.Id, 0, default).Result.Refusal, Show.Handle(who, id, default).Result.Refusal, Diff.Handle(who, id, id, default).Result.Refusal, Find.Handle(who, features.Model.Id, "", default).Result.Refusal,
            Preview.Handle(who, features.Model.Id, toggles, "", default).Result.Refusal, Download.Handle(who, id, ToggleTable.Flips, default).Result.Refusal, List.Table(who, project.Id, default).Result.Refusal,
        ];
        Refusal?[] acts(ClaimsPrincipal who) =>
        [
            Start.Handle(who, features.Model.Id, null, default).Result.Refusal, Copy.Handle(who, id, default).Result.Refusal, Save.Handle(who, id, 1, new("x", "", "", toggles), default).Result.Refusal,
            Propose.Handle(who, id, 1, default).Result.Refusal, Withdraw.Handle(who, id, default).Result.Refusal, Decide.Handle(who, id, 1, false, null, null, default).Result.Refusal,
        ];

        Assert.All(looks(project.Reviewer), Assert.Null);
        Assert.All(new[] { project.Annotator, project.Auditor }.SelectMany(looks), refusal => Assert.Equal(ProblemKind.Forbidden, refusal?.Kind));
        Assert.All(new[] { project.Annotator, project.Auditor, project.Reviewer }.SelectMany(acts), refusal => Assert.Equal(ProblemKind.Forbidden, refusal?.Kind));
        using var db = project.Open();
        Assert.Single(db.ToggleSets);
    }

    [Theory]
    [InlineData(3, 1e9, "is not between")]
    [InlineData(3, double.NaN, "is not between")]
    [InlineData(3, double.NegativeInfinity, "is not between")]
    [InlineData(8, 0, "There is no feature 8")]
    [InlineData(-1, 0, "There is no feature -1")]
    public async Task A_factor_or_feature_that_cannot_be_is_refused_by_name_and_nothing_is_kept(int latent, double multiplier, string says)
    {
        var id = await Draft();
        var toggles = new Toggle[] { new(latent, multiplier) };

        var saved = await Save.Handle(project.Admin, id, Set(id).RowVersion, new("x", "", "", toggles), default);
        var previewed = await Preview.Handle(project.Admin, features.Model.Id, toggles, "", default);

        Assert.Contains(says, saved.Refusal?.About("toggles"), StringComparison.Ordinal);
        Assert.Contains(says, previewed.Refusal?.About("toggles"), StringComparison.Ordinal);
        Assert.Equal("Less slogan", Set(id).Name);
        Assert.Empty(door.Asked);
    }

    [Fact]
    public async Task A_draft_is_its_authors_and_of_two_tabs_the_second_is_told()
    {
        var id = await Draft();
        var seen = Set(id).RowVersion;
        ToggleSetInput input(string name) => new(name, "", "", [new Toggle(3, 0)]);

        Assert.Equal(ProblemKind.Forbidden, (await Save.Handle(Second, id, seen, input("theirs"), default)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Propose.Handle(Second, id, seen, default)).Refusal?.Kind);
        var first = await Save.Handle(project.Admin, id, seen, input("first tab"), default);
        var second = await Save.Handle(project.Admin, id, seen, input("second tab"), default);

        Assert.Equal(seen + 1, first.Value);
        Assert.Equal(ProblemKind.Conflict, second.Refusal?.Kind);
        Assert.Equal("first tab", Set(id).Name);
        var copy = (await Copy.Handle(Second, id, default)).Value;
        Assert.Equal((SeededProject.AccountOf(Second), "first tab (copy)", 2), (Set(copy).Author, Set(copy).Name, Set(copy).Number));
    }

    [Fact]
    public async Task Without_features_reason_or_engine_nothing_is_proposed()
    {
        var empty = (await Start.Handle(project.Admin, features.Model.Id, null, default)).Value;
        Assert.NotNull((await Propose.Handle(project.Admin, empty, 1, default)).Refusal?.About("toggles"));
        var silent = (await Start.Handle(project.Admin, features.Model.Id, 3, default)).Value;
        Assert.NotNull((await Propose.Handle(project.Admin, silent, Set(silent).RowVersion, default)).Refusal?.About("reason"));
        var ready = await Draft();
        await door.DisposeAsync();

        var away = await Propose.Handle(project.Admin, ready, Set(ready).RowVersion, default);

        Assert.Contains("engine is not running", away.Refusal?.ToString(), StringComparison.Ordinal);
        using var db = project.Open();
        Assert.All(db.ToggleSets.ToList(), set => Assert.Equal(ToggleSetState.Draft, set.State));
        Assert.DoesNotContain(db.Jobs, j => j.Kind == nameof(PublishToggles));
    }

    [Fact]
    public async Task A_difference_names_each_feature_once_and_sets_of_two_models_are_not_compared()
    {
        var (left, right) = (await Draft(), await Draft());
        await SaveToggles(right, new Toggle(3, 0), new Toggle(5, 2));
        var other = new SeededFeatures(project, number: 7);
        var foreign = (await Start.Handle(project.Admin, other.Model.Id, 3, default)).Value;

        var diff = (await Diff.Handle(project.Reviewer, left, right, default)).Value;

        Assert.Equal([new ToggleDifference(5, null, 1, 2), new ToggleDifference(3, "says the old mill", 0, 0)], diff.Features);
        Assert.Equal(ProblemKind.Conflict, (await Diff.Handle(project.Reviewer, left, foreign, default)).Refusal?.Kind);
    }

    [Fact]
    public async Task Features_are_found_by_number_by_label_and_by_what_they_tell()
    {
        features.Feature(5, atEnd: 10, weight: -.3, gap: -.9, pairs: 20);

        Assert.Equal([5], await Latents("5"));
        Assert.Equal([3], await Latents("OLD mill"));
        Assert.Equal([5, 3], await Latents("")); // by size of what they add to gaps
        Assert.Empty(await Latents("goose"));
        Assert.NotNull((await Find.Handle(project.Admin, features.Model.Id, "8", default)).Refusal?.About("find"));

        async Task<IEnumerable<int>> Latents(string typed) => (await Find.Handle(project.Reviewer, features.Model.Id, typed, default)).Value.Select(feature => feature.Latent);
    }

    [Fact]
    public async Task A_preview_has_its_pairs_texts_and_says_where_one_was_erased()
    {
        var prompt = project.Prompt("How many legs has a hen?");
        var (chosen, rejected) = (project.Response(prompt, "Two."), project.Response(prompt, "Four."));
        project.Change(db => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == rejected).ContentId).Erase(project.Now));
        door.Preview = request => FakePreview.Of(request) with { Flipped = [new(prompt, chosen, rejected, -.5, .5, .4, false)] };

        var preview = (await Preview.Handle(project.Reviewer, features.Model.Id, [new Toggle(3, 0)], " old mill ", default)).Value;

        var flip = Assert.Single(preview.Flips);
        Assert.Equal(("How many legs has a hen?", "Two.", null), (flip.Question, flip.Chosen, flip.Rejected));
    }

    [Fact]
    public async Task Tables_are_those_of_the_proposal_and_hold_no_text()
    {
        var (id, _) = await Proposed();
        door.Preview = _ => throw new InvalidOperationException("a proposal is not previewed again");

        var accuracy = await Csv(id, ToggleTable.Accuracy);
        var chosen = await Csv(id, ToggleTable.Features);

        Assert.StartsWith("part,pairs,prompts,before,before_low,before_high,after,after_low,after_high,change,change_low,change_high\r\nall,120,40,0.7,", accuracy, StringComparison.Ordinal);
        Assert.Contains("\r\noff_target,84,5,0.74,,,", accuracy, StringComparison.Ordinal); // too few prompts: no interval, and none is made up
        Assert.Contains("\r\n3,0,says the old mill,0.9,0.82,80,400,", chosen, StringComparison.Ordinal);
        foreach (var table in Enum.GetValues<ToggleTable>())
            Assert.True((await Csv(id, table)).Length > 20);
    }

    private async Task<string> Csv(ToggleSetId id, ToggleTable table) => (await ResultBody.Read((await Download.Handle(project.Reviewer, id, table, default)).ToFile("csv"))).Text;

    private async Task<ToggleSetId> Draft()
    {
        var id = (await Start.Handle(project.Admin, features.Model.Id, null, default)).Value;
        await SaveToggles(id, new Toggle(3, 0));
        return id;
    }

    private async Task SaveToggles(ToggleSetId id, params Toggle[] toggles) =>
        Assert.Null((await Save.Handle(project.Admin, id, Set(id).RowVersion, new("Less slogan", "It pays for a slogan", "old mill", toggles), default)).Refusal);

    /// <summary>A set whose version is made, as the job would.</summary>
    private async Task<(ToggleSetId Set, ModelVersionId Version)> Proposed()
    {
        var id = await Draft();
        Assert.Null((await Propose.Handle(project.Admin, id, Set(id).RowVersion, default)).Refusal);
        return (id, Make(id));
    }

    private ModelVersionId Make(ToggleSetId id)
    {
        var version = project.Model(ModelKind.RewardModel, 100 + Set(id).Number, ToggledVersions.Method, Set(id).ModelVersionId);
        project.Change(db =>
        {
            var set = db.ToggleSets.Single(s => s.Id == id);
            var job = db.Jobs.Single(j => j.Id == set.JobId);
            job.Start(project.Now);
            job.Succeed($"/toggle-studio/{id}", project.Now);
            set.Made(version.Id);
        });
        return version.Id;
    }

    private Task<Outcome<ToggleSetState>> Approve(ClaimsPrincipal who, ToggleSetId id) => Decide.Handle(who, id, Set(id).RowVersion, true, features.Model.Id, null, default);

    private ToggleSet Set(ToggleSetId id)
    {
        using var db = project.Open();
        return db.ToggleSets.Single(s => s.Id == id);
    }
}
