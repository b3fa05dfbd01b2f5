using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Audits;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Engine.TinyAssistant;
using Portal.Tests.Data;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The audit that ships: what it says of the policy that was paid for length, and how an installation gets it.</summary>
[Trait("Speed", "slow")]
public sealed class DemoAuditTests : IDisposable
{
    private static readonly DirectoryInfo shipped = new(Path.Combine(Repository.Root, "wwwroot-assets", "demo"));
    private static readonly string report = Path.Combine(shipped.FullName, "audit");

    private readonly PortalDatabase database = new();
    private readonly ServiceProvider services;

    public DemoAuditTests() => services = new ServiceCollection().AddLogging().AddPortalData(new PortalDataOptions(database.Directory)).BuildServiceProvider();

    public void Dispose()
    {
        services.Dispose();
        database.Dispose();
    }

    [Fact]
    public void It_finds_what_the_policy_was_paid_for()
    {
        var found = AuditReport.FromJson(File.ReadAllBytes(Path.Combine(report, AuditReport.FileName)));

        Assert.Empty(found.Verdict.Reasons);
        Assert.Equal(AuditIncentiveVerdict.PaidFor, found.Incentives[0].Rows.Single(row => row.Key == ReadableFeatures.LengthKey).Verdict);
        Assert.Equal(AuditLightState.No, found.Verdict.Spurious.State);
        Assert.True(found.Methods.Single(method => method.Name.StartsWith("shuffled", StringComparison.Ordinal)).Reasons.Count > 0);
    }

    [Fact]
    public async Task An_installation_gets_it_as_a_job_that_finds_it_made()
    {
        await InstallDemo.Run(services, shipped, default);
        await InstallDemo.Run(services, shipped, default); // a second start asks for nothing more
        Job job;
        ModelVersion policy;
        using (var db = database.Open())
        {
            Assert.Equal((true, 0), (db.Explanations.Any(), db.UnlearningRequests.Count())); // nobody has the account that asks
            job = db.Jobs.AsNoTracking().Single(j => j.Kind == nameof(AuditReward));
            policy = db.ModelVersions.AsNoTracking().Single(v => v.Method == DemoModels.PaidForLengthMethod);
        }
        Assert.Equal(ModelStatus.Retired, policy.Status);
        var seen = new SeenProgress();
        var run = new JobRun
        {
            JobId = job.Id, Number = job.Number, ProjectId = job.ProjectId, CreatedBy = null, Directory = database.Directory, Contexts = database.Contexts, Writes = database.Writes,
            Hasher = services.GetRequiredService<ContentHasher>(), Ids = services.GetRequiredService<IdFactory>(), Time = TimeProvider.System, Progress = seen, Stop = default,
        };
        var result = await new AuditRewardRunner().Run((AuditReward)JobSpec.FromJson(job.SpecJson), run);
        await database.Writes.WriteAsync(db => result.Save!(db), default); // an audit has a row to save

        Assert.DoesNotContain(seen.Lines, line => line.Contains("completions", StringComparison.Ordinal)); // none was written: the report was there
        using var read = database.Open();
        var audit = read.PolicyAudits.AsNoTracking().Single();
        Assert.Equal((policy.Id, AuditLightState.No, true), (audit.AuditedId, audit.Spurious, audit.IsSynthetic));
        var opened = AuditFolder.Open(database.Directory, audit).Value!;
        var stored = opened.Report().Value!;
        var prompts = read.Prompts.Select(p => p.Id).ToHashSet();
        Assert.All(stored.Pairs, pair => Assert.Contains(PromptId.Parse(pair.Id, null), prompts));
        string?[] named = [.. stored.Pairs.SelectMany(pair => new[] { pair.AuditedText, pair.BaseText }), .. stored.Points.Select(point => point.Text), .. opened.Scores().Select(score => score.Text)];
        var texts = read.AuditTexts.Where(t => t.JobId == job.Id).AsEnumerable().Select(t => (string?)$"{t.TextId}").ToHashSet();
        Assert.All(named, id => Assert.Contains(id, texts));
        Assert.All(stored.Failures.Select(failure => failure.Pair).Concat(stored.TestPairs.Select(pair => pair.Pair)).Concat(stored.Incentives.SelectMany(table => table.Rows.SelectMany(row => row.ExamplePairs))),
            pair => Assert.Contains(PromptId.Parse(pair, null), prompts));
        Assert.Equal(stored.Provenance.Spec, job.SpecJson);
        Assert.True(File.Exists(Path.Combine(database.Directory.Lexicons, "insults.json")));
    }

    /// <summary>A report is for the prompts it was made on: where one of them is missing, none of it is placed; and a changed file is refused by name.</summary>
    [Fact]
    public void It_is_placed_whole_or_not_at_all()
    {
        using var folders = new RunFolders();
        var ids = AuditLines.Read<AuditPrompt>(report, AuditLines.PromptsFile).ToDictionary(prompt => prompt.Id, _ => $"{new PromptId(Guid.CreateVersion7())}");
        var to = Path.Combine(folders.Artefacts, "placed");

        Assert.False(DemoAudit.Place(report, to, DemoAudit.Spec(1), ids.Skip(1).ToDictionary()));
        Assert.False(Directory.Exists(to));
        Assert.True(DemoAudit.Place(report, to, DemoAudit.Spec(1), ids));
        Assert.Empty(AuditLines.Changed(to));
        Assert.DoesNotContain(ids.Keys, id => File.ReadAllText(Path.Combine(to, AuditReport.FileName)).Contains($"\"{id}", StringComparison.Ordinal));

        File.AppendAllText(Path.Combine(to, AuditLines.TextsFile), " ");
        Assert.Contains(AuditLines.TextsFile, Assert.Throws<CannotTrain>(() => DemoAudit.Place(to, Path.Combine(folders.Artefacts, "again"), DemoAudit.Spec(1), ids)).Message, StringComparison.Ordinal);
    }
}
