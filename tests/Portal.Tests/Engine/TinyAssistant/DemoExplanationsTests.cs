using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.TinyAssistant;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The explanations that ship: an installation stores them under its own ids, and explained again there they are the same.</summary>
[Trait("Speed", "slow")]
public sealed class DemoExplanationsTests : IDisposable
{
    private static readonly DirectoryInfo shipped = new(Path.Combine(Repository.Root, "wwwroot-assets", "demo"));

    private readonly PortalDatabase database = new();
    private readonly ServiceProvider services;

    public DemoExplanationsTests() => services = new ServiceCollection().AddLogging().AddPortalData(new PortalDataOptions(database.Directory)).BuildServiceProvider();

    public void Dispose()
    {
        services.Dispose();
        database.Dispose();
    }

    [Fact]
    public async Task An_installation_stores_them_once_and_explains_the_same_again()
    {
        var reviewer = Guid.NewGuid();
        await database.Writes.WriteAsync(db => db.Users.Add(new Account { Id = reviewer, UserName = DemoExplanations.Asker, NormalizedUserName = DemoExplanations.Asker.ToUpperInvariant(), DisplayName = DemoExplanations.Asker, CreatedAt = DateTimeOffset.UtcNow, IsDemo = true }), default);
        await InstallDemo.Run(services, shipped, default);
        await InstallDemo.Run(services, shipped, default); // a second start stores nothing more

        using var db = database.Open();
        var job = db.Jobs.AsNoTracking().Single(j => j.Kind == nameof(ExplainResponses));
        Assert.Equal((JobState.Succeeded, $"/explain?job={job.Id}"), (job.State, job.ResultPath));
        var flags = db.Flags.AsNoTracking().ToList();
        Assert.InRange(flags.Count, 3, 6);
        Assert.All(flags, flag => Assert.Equal((FlagState.Open, true), (flag.State, db.Annotators.Single(a => a.Id == flag.AnnotatorId).IsSimulated)));
        Assert.Equal(flags.Count, flags.Select(flag => flag.Reason).Distinct().Count());

        // Explanations add up, and rest on votes that the reward model was trained on.
        var reward = db.ModelVersions.AsNoTracking().Single(v => v.Id == db.Projects.Single().CurrentRewardModelId);
        var trained = db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == reward.DatasetVersionId && r.Part == DatasetPart.Train).Select(r => r.JudgementId).ToHashSet();
        var explanations = db.Explanations.AsNoTracking().ToList();
        Assert.Equal(flags.Select(flag => (FlagId?)flag.Id).ToHashSet(), explanations.Select(explanation => explanation.FlagId).ToHashSet());
        Assert.Contains(explanations, explanation => explanation.PolicyId is not null); // some answers are the shipped policy's
        Assert.Contains(explanations, explanation => explanation.Confidence is not ExplanationConfidence.Unexplained); // or nobody could ask for anything
        foreach (var explanation in explanations)
        {
            var pairs = db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == explanation.Id).ToList();
            Assert.Equal((job.Id, reward.Id, true), (explanation.JobId, explanation.RewardModelId, explanation.IsSynthetic));
            Assert.Equal(explanation.Explained, pairs.Sum(pair => pair.RewardShare), 1e-6);
            Assert.All(pairs, pair => Assert.All(pair.Others().Prepend(pair.JudgementId), id => Assert.Contains(id, trained)));
        }

        // A second person can approve the request at once.
        var request = db.UnlearningRequests.AsNoTracking().Single();
        var asked = db.UnlearningPairs.Where(p => p.RequestId == request.Id).Select(p => p.JudgementId).ToList();
        Assert.Equal((UnlearningState.Waiting, reviewer, 1, asked.Count), (request.State, request.RequestedBy, request.ApprovalsNeeded, request.Judgements));
        Assert.All(asked, judgement => Assert.Contains(judgement, trained));
        Assert.Null(request.Approve(Guid.NewGuid(), null, DateTimeOffset.UtcNow, () => new JobId(Guid.CreateVersion7())));
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);

        // What has no name elsewhere is not shipped, and what names something that is not here is not stored.
        var names = (await DemoNames.Of(db, services.GetRequiredService<ContentHasher>(), shipped.FullName, job.ProjectId, default))!; // it has the shipped models
        var ids = services.GetRequiredService<IdFactory>();
        var text = File.ReadAllText(Path.Combine(shipped.FullName, DemoExplanations.File));
        Assert.DoesNotMatch("[0-9a-f]{8}-[0-9a-f]{4}-", text);
        Assert.DoesNotContain("demo:", names.ToIds(text, ids), StringComparison.Ordinal);
        Assert.Null(names.ToIds(text.Replace("demo:judgement:", "demo:judgement:0", StringComparison.Ordinal), ids));
        Assert.Contains("is of this installation only", Assert.Throws<CannotTrain>(() => names.ToNames($"\"{Guid.NewGuid()}\"")).Message, StringComparison.Ordinal);

        // The same job here gives the same numbers: what ships is what the code makes. A remake.
        if (!Soak.IsLong)
            return;
        var run = new JobRun
        {
            JobId = new JobId(Guid.CreateVersion7()), Number = 99, ProjectId = job.ProjectId, CreatedBy = null, Directory = database.Directory, Contexts = database.Contexts, Writes = database.Writes,
            Hasher = services.GetRequiredService<ContentHasher>(), Ids = services.GetRequiredService<IdFactory>(), Time = TimeProvider.System, Progress = new SeenProgress(), Stop = default,
        };
        var result = await new ExplainResponsesRunner().Run((ExplainResponses)JobSpec.FromJson(job.SpecJson), run);
        await database.Writes.WriteAsync(write => result.Save!(write), default); // explanations have rows to save
        foreach (var explanation in explanations)
        {
            var again = db.Explanations.AsNoTracking().Single(e => e.JobId == run.JobId && e.FlagId == explanation.FlagId);
            Assert.Equal((explanation.Confidence, explanation.ExplainedAbove, explanation.PolicyId), (again.Confidence, again.ExplainedAbove, again.PolicyId));
            // Products of another machine differ in their last bits.
            Assert.Equal(explanation.Reward, again.Reward, 1e-3);
            Assert.Equal(explanation.Drop, again.Drop, 1e-3);
            Assert.Equal(First(explanation.Id), First(again.Id));
        }

        List<JudgementId> First(ExplanationId id) => [.. db.ExplainingPairs.Where(p => p.ExplanationId == id && p.CosineRank <= 3).OrderBy(p => p.CosineRank).Select(p => p.JudgementId)];
    }
}
