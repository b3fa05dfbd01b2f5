using System.Security.Claims;
using Microsoft.AspNetCore.Identity;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Tests.Data;
using Portal.Web.Accounts;
using Portal.Web.Annotate;
using Portal.Web.MyWork;
using Portal.Web.Projects;
using Portal.Web.Review;

namespace Portal.Tests.Web.Annotate;

/// <summary>
/// The portal's handlers over a real database of their own, without HTTP: real SQLite in a temporary folder or real Postgres, and a clock that
/// the test moves.
/// </summary>
public sealed class TestPortal : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("portal-web-").FullName;
    private readonly ServiceProvider services;

    public TestPortal(PostgresFixture? postgres = null)
    {
        var directory = new DataDirectory(root);
        directory.Create();
        services = new ServiceCollection()
            .AddSingleton<TimeProvider>(Clock)
            .AddPortalData(new PortalDataOptions(directory, postgres?.CreateDatabase(migrated: true)))
            .AddSingleton<Access>().AddAnnotate().AddProjects().AddMyWork().AddReview()
            .BuildServiceProvider();
        if (postgres is null)
            MigratedDatabase.CopyTo(directory);
        Seed = new Seeding(services.GetRequiredService<IDbContextFactory<PortalDbContext>>(), services.GetRequiredService<IdFactory>(),
            services.GetRequiredService<ContentHasher>(), Clock);
    }

    /// <summary>The time that every handler sees.</summary>
    public TestClock Clock { get; } = new();

    public Seeding Seed { get; }

    public T Get<T>() where T : notnull => services.GetRequiredService<T>();

    public PortalDbContext Open() => services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext();

    /// <summary>Somebody who is signed in.</summary>
    public ClaimsPrincipal Person(string name, params string[] roles) => Seed.Person(name, roles.Length == 0 ? [RoleNames.Annotator] : roles);

    public void Dispose()
    {
        services.Dispose();
        SqliteConnection.ClearAllPools();
        Directory.Delete(root, recursive: true);
    }
}

/// <summary>A clock that stands until it is moved.</summary>
public sealed class TestClock : TimeProvider
{
    private DateTimeOffset now = new(2026, 5, 4, 9, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => now;

    public void Advance(TimeSpan by) => now += by;
}

/// <summary>Puts people, projects, prompts and tasks into a database, through the entities.</summary>
public sealed class Seeding(IDbContextFactory<PortalDbContext> contexts, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    public ClaimsPrincipal Person(string name, params string[] roles)
    {
        using var db = contexts.CreateDbContext();
        var account = new Account { Id = Guid.CreateVersion7(), UserName = name, NormalizedUserName = name.ToUpperInvariant(), DisplayName = name, CreatedAt = time.GetUtcNow() };
        db.Users.Add(account);
        foreach (var role in roles)
        {
            var row = db.Roles.FirstOrDefault(r => r.Name == role);
            if (row is null)
                db.Roles.Add(row = new IdentityRole<Guid>(role) { Id = Guid.CreateVersion7(), NormalizedName = role.ToUpperInvariant() });
            db.UserRoles.Add(new IdentityUserRole<Guid> { UserId = account.Id, RoleId = row.Id });
        }
        db.SaveChanges();
        return new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, account.Id.ToString()), new Claim(ClaimTypes.Name, name)], "test"));
    }

    public ProjectId Project(string name = "Alder Green", string guidelines = "Facts first, then tone.", TaskKinds kinds = TaskKinds.Pairwise | TaskKinds.Binary,
        string? warning = null, bool synthetic = false)
    {
        using var db = contexts.CreateDbContext();
        var project = new Project { Id = ids.New<ProjectId>(), Name = name, CreatedAt = time.GetUtcNow(), IsSynthetic = synthetic };
        project.Change(name, guidelines, warning, kinds, 1, 50);
        db.Projects.Add(project);
        db.SaveChanges();
        return project.Id;
    }

    /// <summary>A pairwise task, or a binary one where <paramref name="second"/> is null.</summary>
    public AnnotationTask Task(ProjectId project, string question, string first, string? second = null, int votes = 1, ModelVersionId? candidate = null,
        IReadOnlyList<Turn>? earlier = null, string? topic = null, int priority = 0)
    {
        using var db = contexts.CreateDbContext();
        var now = time.GetUtcNow();
        var turns = Conversation.Serialize([.. earlier ?? [], new Turn("user", question)]);
        var prompt = new Prompt { Id = ids.New<PromptId>(), ProjectId = project, ContentId = Content(ContentKind.Prompt, turns), ContentHash = hasher.Hash(turns), Topic = topic, CreatedAt = now };
        db.Prompts.Add(prompt);
        var responses = new[] { first, second }.OfType<string>().Select(text => new Response
        {
            Id = ids.New<ResponseId>(), ProjectId = project, PromptId = prompt.Id, ContentId = Content(ContentKind.Response, text),
            ContentHash = hasher.Hash(text), CreatedAt = now,
        }).ToList();
        db.Responses.AddRange(responses);
        var task = AnnotationTask.Create(ids.New<TaskId>(), project, second is null ? TaskKind.Binary : TaskKind.Pairwise, prompt.Id, responses[0].Id,
            second is null ? null : responses[1].Id, votes, now, candidate is null ? TaskPurpose.Collect : TaskPurpose.BlindComparison, priority, candidate);
        db.Tasks.Add(task);
        db.SaveChanges();
        return task;

        ContentId Content(ContentKind kind, string text)
        {
            var content = new Content { Id = ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = now };
            db.Contents.Add(content);
            return content.Id;
        }
    }
}
