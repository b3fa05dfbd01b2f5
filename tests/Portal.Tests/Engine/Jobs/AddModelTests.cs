using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A model folder becomes a project's policy on the command line, or nothing of it is kept.</summary>
public sealed class AddModelTests : IDisposable
{
    private readonly PortalDatabase database = new();
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("portal-added-");
    private readonly ProjectId project = new(Guid.CreateVersion7());

    public AddModelTests()
    {
        using (var model = ToyWorld.Model())
            HuggingFaceFolder.Save(model, folder.FullName, ToyWorld.Tokenizer);
        File.WriteAllText(Path.Combine(folder.FullName, "pytorch_model.bin"), "a pickle");
        using var db = database.Open();
        db.Projects.Add(new Project { Id = project, Name = "Tea", CreatedAt = DateTimeOffset.UtcNow });
        db.SaveChanges();
    }

    private AddModel Add => new(database.Contexts, database.Writes, database.Directory, database.Services.GetRequiredService<IdFactory>(), TimeProvider.System);

    public void Dispose()
    {
        database.Dispose();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task The_first_one_serves_the_second_is_a_candidate_and_pickles_stay_outside()
    {
        var first = await Add.Run(folder.FullName, "Tea", isSynthetic: true, default);
        var second = await Add.Run(folder.FullName, "Tea", isSynthetic: false, default);

        Assert.Equal((1, ModelStatus.Released, true), (first.Number, first.Status, first.IsSynthetic));
        Assert.Equal((2, ModelStatus.Candidate, false), (second.Number, second.Status, second.IsSynthetic));
        Assert.DoesNotContain("pytorch_model.bin", first.Files().Select(file => file.Name));
        var store = new ModelStore(database.Contexts, database.Writes, database.Directory, database.Services.GetRequiredService<IdFactory>(), TimeProvider.System);
        Assert.Null(store.Verify(first));
        Assert.Equal(first.Id, (await store.CurrentPolicy(project, default)).Id);
        using var db = database.Open();
        Assert.Equal(2, db.AuditEvents.Count(e => e.Action == "model.add"));
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
    }

    [Fact]
    public async Task A_damaged_folder_is_refused_by_its_file_and_leaves_nothing()
    {
        var weights = Path.Combine(folder.FullName, "model.safetensors");
        await File.WriteAllBytesAsync(weights, (await File.ReadAllBytesAsync(weights))[..^100]);

        var refused = await Assert.ThrowsAsync<CannotTrain>(() => Add.Run(folder.FullName, "Tea", isSynthetic: false, default));

        Assert.Contains("model.safetensors", refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(database.Directory.Models));
        using var db = database.Open();
        Assert.Empty(db.ModelVersions);
    }

    [Fact]
    public async Task A_project_that_is_not_there_is_named_with_those_that_are()
    {
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => Add.Run(folder.FullName, "Coffee", isSynthetic: false, default));

        Assert.Equal("There is no project \"Coffee\". There is \"Tea\".", refused.Message);
    }
}
