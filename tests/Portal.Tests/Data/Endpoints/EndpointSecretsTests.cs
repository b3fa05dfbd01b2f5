using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Xunit;

namespace Portal.Tests.Data.Endpoints;

/// <summary>Keys of endpoints: sealed in the database, opened only with the key file, by whichever process has it; every way to lose it says what to do.</summary>
public sealed class EndpointSecretsTests : IDisposable
{
    private const string Key = "sk-live-A1b2C3d4E5f6G7h8";
    private readonly PortalDatabase database = new();
    private readonly EndpointSecrets secrets;

    public EndpointSecretsTests() => secrets = new EndpointSecrets(database.Directory);

    private string KeyFile => Path.Combine(database.Directory.Keys, EndpointSecrets.FileName);

    public void Dispose() => database.Dispose();

    [Fact]
    public void The_database_does_not_hold_the_key_and_another_process_opens_it()
    {
        var endpoint = Stored(Key);

        using (var db = database.Open())
            db.Database.ExecuteSqlRaw("PRAGMA wal_checkpoint(TRUNCATE)");
        var bytes = Directory.EnumerateFiles(database.Directory.Root, "portal.db*").SelectMany(ReadShared).ToArray();
        Assert.False(Holds(bytes, Key), "the key stands in the database's files");
        Assert.True(Holds(bytes, endpoint.Name)); // the control: the scanner finds what is there
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(KeyFile));

        using var other = database.Open();
        var read = other.PolicyEndpoints.AsNoTracking().Single(e => e.Id == endpoint.Id);
        Assert.Equal(Key, new EndpointSecrets(new DataDirectory(database.Directory.Root)).Open(read).Value!.Reveal()); // it has one
    }

    [Fact]
    public void The_same_key_is_sealed_differently_each_time() =>
        Assert.NotEqual(secrets.Seal(New(), Key).Value, secrets.Seal(New(), Key).Value);

    [Fact]
    public void Without_its_file_a_key_does_not_open_and_no_new_file_is_made()
    {
        var endpoint = Stored(Key);
        File.Delete(KeyFile);

        Assert.Contains("is missing", secrets.Open(endpoint).Refusal!.ToString(), StringComparison.Ordinal); // refused, so there is one
        Assert.False(File.Exists(KeyFile));
    }

    [Fact]
    public void With_another_file_or_a_damaged_one_it_says_so()
    {
        var endpoint = Stored(Key);
        DataDirectory.WritePrivate(KeyFile, new byte[32]);
        Assert.Contains("another file", secrets.Open(endpoint).Refusal!.ToString(), StringComparison.Ordinal);

        DataDirectory.WritePrivate(KeyFile, new byte[31]);
        Assert.Contains("damaged", secrets.Open(endpoint).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("damaged", secrets.Seal(endpoint, Key).Refusal!.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_sealed_key_opens_for_its_own_endpoint_at_its_own_address_only()
    {
        var endpoint = New();
        var box = secrets.Seal(endpoint, Key).Value;

        var other = New();
        other.SetKey(box);
        Assert.Contains("does not belong", secrets.Open(other).Refusal!.ToString(), StringComparison.Ordinal);

        endpoint.SetKey([.. box[..^1], (byte)(box[^1] ^ 1)]);
        Assert.Contains("changed in the database", secrets.Open(endpoint).Refusal!.ToString(), StringComparison.Ordinal);
        endpoint.SetKey([1, 2, 3]);
        Assert.NotNull(secrets.Open(endpoint).Refusal);
        endpoint.SetKey(box);
        Assert.Equal(Key, secrets.Open(endpoint).Value!.Reveal()); // the control
        endpoint.SetKey(null);
        Assert.Null(secrets.Open(endpoint).Value);
    }

    /// <summary>Whoever may edit an endpoint could otherwise have its key sent to a place of their own.</summary>
    [Fact]
    public void Another_address_drops_key_and_consent_and_anything_else_keeps_them()
    {
        var endpoint = New();
        endpoint.SetKey(secrets.Seal(endpoint, Key).Value);
        endpoint.GiveConsent(Guid.NewGuid(), DateTimeOffset.UnixEpoch);

        Assert.False(endpoint.Change(Settings with { Name = "Another name", Model = "other", BaseUrl = "https://API.example.org/v1/" })); // the same address, written otherwise
        Assert.True(endpoint is { HasKey: true, HasConsent: true });
        Assert.True(endpoint.Change(Settings with { BaseUrl = "https://elsewhere.example/v1" }));
        Assert.True(endpoint is { HasKey: false, HasConsent: false, ConsentBy: null });
    }

    [Theory]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("two words")]
    [InlineData("line\nbreak")]
    [InlineData("schlüssel")]
    public void What_cannot_be_a_key_is_refused_without_being_repeated(string typed)
    {
        var problem = EndpointSecrets.Check(typed);

        Assert.Equal("key", problem?.Field);
        if (typed.Trim().Length > 0)
            Assert.DoesNotContain(typed, problem!.Message, StringComparison.Ordinal); // there is a problem
    }

    [Fact]
    public void Neither_a_key_nor_its_sealed_form_is_written_into_json_or_text()
    {
        var endpoint = New();
        endpoint.SetKey(secrets.Seal(endpoint, Key).Value);
        var open = secrets.Open(endpoint).Value!; // it has one

        var written = $"{JsonSerializer.Serialize(endpoint)} {JsonSerializer.Serialize(open)} {open} {JsonSerializer.Serialize(new { open })}";

        Assert.DoesNotContain(Key, written, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToBase64String(endpoint.SealedKey!)[..16], written, StringComparison.Ordinal);
        Assert.Contains("\"HasKey\":true", written, StringComparison.Ordinal); // the control: it was written
        Assert.Equal("before [key] after", open.Cover($"before {Key} after"));
    }

    private static EndpointSettings Settings => new() { Name = "Somebody's model", BaseUrl = "https://api.example.org/v1", Model = "small" };

    private static PolicyEndpoint New(ProjectId? project = null)
    {
        var endpoint = new PolicyEndpoint { Id = new(Guid.NewGuid()), ProjectId = project ?? new(Guid.NewGuid()), CreatedBy = Guid.NewGuid(), CreatedAt = DateTimeOffset.UnixEpoch };
        endpoint.Change(Settings);
        return endpoint;
    }

    private PolicyEndpoint Stored(string key)
    {
        using var db = database.Open();
        var project = new Project { Id = new(Guid.NewGuid()), Name = "P", CreatedAt = DateTimeOffset.UnixEpoch };
        var endpoint = New(project.Id);
        endpoint.SetKey(secrets.Seal(endpoint, key).Value);
        db.AddRange(project, endpoint);
        db.SaveChanges();
        return endpoint;
    }

    private static byte[] ReadShared(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var copy = new MemoryStream();
        file.CopyTo(copy);
        return copy.ToArray();
    }

    private static bool Holds(byte[] bytes, string text) => bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0 || bytes.AsSpan().IndexOf(Encoding.Unicode.GetBytes(text)) >= 0;
}
