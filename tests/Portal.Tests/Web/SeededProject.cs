using System.Security.Claims;
using System.Text.Json;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Annotators;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Tests.Data;
using Portal.Web.Accounts;

namespace Portal.Tests.Web;

/// <summary>
/// A database with one project and one account a role, and short ways to add synthetic rows through the entities, as handlers' tests need
/// them. Nothing here is shown to anybody: the rows live as long as the test.
/// </summary>
public sealed class SeededProject : IDisposable
{
    private readonly PortalDatabase database;
    private readonly bool owned;
    private int numbers;

    /// <param name="shared">A database that another owner disposes of; null makes one.</param>
    public SeededProject(PortalDatabase? shared = null)
    {
        owned = shared is null;
        database = shared ?? new PortalDatabase();
        Ids = database.Services.GetRequiredService<IdFactory>();
        Hasher = database.Services.GetRequiredService<ContentHasher>();
        Access = new Access(database.Contexts, database.Writes, Ids, Time);
        Id = Ids.New<ProjectId>();
        Add(new Project { Id = Id, Name = $"Project {Id}", CreatedAt = Now, IsSynthetic = true });
        Admin = Account(RoleNames.Admin);
        Reviewer = Account(RoleNames.Reviewer);
        Auditor = Account(RoleNames.Auditor);
        Annotator = Account(RoleNames.Annotator);
    }

    public ProjectId Id { get; }
    public IdFactory Ids { get; }
    public ContentHasher Hasher { get; }
    public Access Access { get; }
    public TimeProvider Time { get; } = TimeProvider.System;
    public DateTimeOffset Now => Time.GetUtcNow();
    public DataDirectory Directory => database.Directory;
    public WriteQueue Writes => database.Writes;
    public IDbContextFactory<PortalDbContext> Contexts => database.Contexts;
    public ClaimsPrincipal Admin { get; }
    public ClaimsPrincipal Reviewer { get; }
    public ClaimsPrincipal Auditor { get; }
    public ClaimsPrincipal Annotator { get; }

    public PortalDbContext Open() => database.Open();

    public void Add(params object[] rows)
    {
        using var db = Open();
        db.AddRange(rows);
        db.SaveChanges();
    }

    /// <summary>Another account with a role, as a signed-in principal.</summary>
    public ClaimsPrincipal Account(string role)
    {
        using var db = Open();
        var wanted = db.Roles.FirstOrDefault(r => r.Name == role);
        if (wanted is null)
            db.Roles.Add(wanted = new IdentityRole<Guid>(role) { Id = Guid.NewGuid(), NormalizedName = role.ToUpperInvariant() });
        var name = $"{role}-{++numbers}-{Id}";
        var account = new Account { Id = Guid.NewGuid(), UserName = name, NormalizedUserName = name.ToUpperInvariant(), DisplayName = name, CreatedAt = Now };
        db.Users.Add(account);
        db.UserRoles.Add(new IdentityUserRole<Guid> { UserId = account.Id, RoleId = wanted.Id });
        db.SaveChanges();
        return new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, account.Id.ToString()), new Claim(ClaimTypes.Role, role)], "test"));
    }

    public AnnotatorId Person(string pseudonym, bool simulated = false)
    {
        var annotator = new Annotator { Id = Ids.New<AnnotatorId>(), Pseudonym = pseudonym, IsSimulated = simulated, CreatedAt = Now };
        Add(annotator);
        return annotator.Id;
    }

    public PromptId Prompt(string text, string? topic = null)
    {
        var json = Conversation.Serialize([new Turn("user", text)]);
        var content = Content(ContentKind.Prompt, json);
        var prompt = new Prompt { Id = Ids.New<PromptId>(), ProjectId = Id, ContentId = content.Id, ContentHash = content.KeyedHash, Topic = topic, CreatedAt = Now };
        Add(content, prompt);
        return prompt.Id;
    }

    public ResponseId Response(PromptId prompt, string text, ModelVersionId? from = null)
    {
        var content = Content(ContentKind.Response, text);
        var response = new Response
        {
            Id = Ids.New<ResponseId>(), ProjectId = Id, PromptId = prompt, ContentId = content.Id, ContentHash = content.KeyedHash, ModelVersionId = from, CreatedAt = Now,
        };
        Add(content, response);
        return response.Id;
    }

    public AnnotationTask Pair(PromptId prompt, ResponseId first, ResponseId second, ModelVersionId? candidate = null)
    {
        var task = AnnotationTask.Create(Ids.New<TaskId>(), Id, TaskKind.Pairwise, prompt, first, second, 1, Now,
            candidate is null ? TaskPurpose.Collect : TaskPurpose.BlindComparison, candidate: candidate);
        Add(task);
        return task;
    }

    public AnnotationTask Single(PromptId prompt, ResponseId response)
    {
        var task = AnnotationTask.Create(Ids.New<TaskId>(), Id, TaskKind.Binary, prompt, response, null, 1, Now);
        Add(task);
        return task;
    }

    public PairwiseJudgement Vote(AnnotationTask task, AnnotatorId by, PairwiseVerdict verdict, ResponseId? preferred = null, int? strength = null,
        JudgementSource source = JudgementSource.Person, DateTimeOffset? at = null, bool surplus = false)
    {
        var judgement = new PairwiseJudgement
        {
            Id = Ids.New<JudgementId>(), ProjectId = Id, TaskId = task.Id, AnnotatorId = by, Source = source, SubmittedAt = at ?? Now, Verdict = verdict,
            PreferredResponseId = preferred, Strength = strength, LeftResponseId = task.FirstResponseId, IsSurplus = surplus,
        };
        Add(judgement);
        return judgement;
    }

    public BinaryJudgement Vote(AnnotationTask task, AnnotatorId by, BinaryVerdict verdict, JudgementSource source = JudgementSource.Person)
    {
        var judgement = new BinaryJudgement
        {
            Id = Ids.New<JudgementId>(), ProjectId = Id, TaskId = task.Id, AnnotatorId = by, Source = source, SubmittedAt = Now, Verdict = verdict,
            ResponseId = task.FirstResponseId,
        };
        Add(judgement);
        return judgement;
    }

    public DatasetVersion Dataset(int number, IReadOnlyList<PairwiseJudgement> judgements, PromptId prompt, ResponseId chosen, ResponseId rejected)
    {
        var version = new DatasetVersion
        {
            Id = Ids.New<DatasetVersionId>(), ProjectId = Id, Number = number, Kind = TaskKind.Pairwise,
            RulesJson = JsonSerializer.Serialize(new Portal.Data.JobSpecs.DatasetRules()), ManifestHash = new string('a', 64), RowsTrain = judgements.Count,
            RowsHeldOut = 0, PromptsTrain = 1, PromptsHeldOut = 0, DroppedJson = """{"tie":2}""", RowsSimulated = 0, CreatedAt = Now, JobId = null,
        };
        Add(version);
        Add([.. judgements.Select((judgement, index) => (object)new DatasetRow
        {
            DatasetVersionId = version.Id, Ordinal = index, JudgementId = judgement.Id, PromptId = prompt, Part = DatasetPart.Train, ChosenId = chosen,
            RejectedId = rejected, Label = null, Margin = null, Weight = 1, ContentHash = new string('b', 64),
        })]);
        return version;
    }

    /// <param name="method">One of SARM's, or toggles: the version then has the file of a model of features.</param>
    public ModelVersion Model(ModelKind kind, int number, string method = "DPO", ModelVersionId? parent = null, DatasetVersionId? dataset = null, JobId? job = null)
    {
        var version = new ModelVersion
        {
            Id = Ids.New<ModelVersionId>(), ProjectId = Id, Kind = kind, Number = number, Method = method, ParentId = parent, DatasetVersionId = dataset, JobId = job,
            SpecJson = """{"kind":"TrainPreferencePolicy","seed":1}""", Seed = 1, Commit = "unknown", Folder = $"{kind}-{number}",
            FilesJson = JsonSerializer.Serialize(new[] { new ModelFile(method.StartsWith("SARM", StringComparison.Ordinal) || method == ToggledVersions.Method ? ModelVersion.FeatureHeadFile : "model.safetensors",
                1_845_504, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") }),
            IsSynthetic = true, CreatedAt = Now,
        };
        Add(version);
        return version;
    }

    public void Result(ModelVersionId version, string name, string part, double value, double? low, double? high, int count, ModelVersionId? comparedWith = null) =>
        Add(new EvaluationResult { ModelVersionId = version, Name = name, Part = part, Value = value, Low = low, High = high, Count = count, ComparedWithId = comparedWith, At = Now });

    public Job Job(Portal.Data.JobSpecs.JobSpec spec, int? number = null, JobId? after = null)
    {
        using var db = Open();
        var job = new Job
        {
            Id = Ids.New<JobId>(), Number = number ?? (db.Jobs.Max(j => (int?)j.Number) ?? 0) + 1, ProjectId = Id, Kind = spec.Kind, SpecJson = spec.ToJson(),
            AfterJobId = after, CreatedBy = AccountOf(Admin), CreatedAt = Now,
        };
        db.Add(job);
        db.SaveChanges();
        return job;
    }

    /// <summary>Changes rows in one write.</summary>
    public void Change(Action<PortalDbContext> change)
    {
        using var db = Open();
        change(db);
        db.SaveChanges();
    }

    public static Guid AccountOf(ClaimsPrincipal user) => Guid.Parse(user.FindFirstValue(ClaimTypes.NameIdentifier)!);

    public void Dispose()
    {
        if (owned)
            database.Dispose();
    }

    private Content Content(ContentKind kind, string text) => new()
    {
        Id = Ids.New<ContentId>(), ProjectId = Id, Kind = kind, Text = text, KeyedHash = Hasher.Hash(text), CreatedAt = Now,
    };
}
