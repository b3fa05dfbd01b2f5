using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace Portal.Tests.Data.Sqlite;

/// <summary>
/// Microsoft.Data.Sqlite and EF's provider are compiled against the real SQLitePCLRaw.core. A member our stand-in lacks would
/// fail only where it is called, so every reference in their metadata is resolved here, as the runtime does it. The negative
/// controls doctor a copy of Microsoft.Data.Sqlite.dll itself: its references then ask for what the stand-in does not have.
/// </summary>
public sealed class SqliteReferencesTests
{
    private static readonly string DataSqlite = typeof(SqliteConnection).Assembly.Location;
    private static readonly string EfSqlite = typeof(SqliteDbContextOptionsBuilderExtensions).Assembly.Location;

    [Fact]
    public void Every_reference_of_Microsoft_Data_Sqlite_resolves()
    {
        var image = File.ReadAllBytes(DataSqlite);

        Assert.Empty(Unresolved(image, typeof(SqliteConnection).Module));
        // 13 types and 77 members of ours in 10.0.14: the list must not be empty because a filter went wrong.
        var ours = References(image).Where(r => r.Scope == "SQLitePCLRaw.core").ToList();
        Assert.Equal(13, ours.Count(r => r.Handle.Kind == HandleKind.TypeReference));
        Assert.Equal(77, ours.Count(r => r.Handle.Kind == HandleKind.MemberReference));
    }

    [Fact]
    public void Every_reference_of_the_EF_provider_resolves() =>
        Assert.Empty(Unresolved(File.ReadAllBytes(EfSqlite), typeof(SqliteDbContextOptionsBuilderExtensions).Module));

    /// <summary>Members called through SafeHandle name SafeHandle, not our type, so resolving them does not show that ours are SafeHandles.</summary>
    [Theory]
    [InlineData(typeof(SQLitePCL.sqlite3))]
    [InlineData(typeof(SQLitePCL.sqlite3_stmt))]
    [InlineData(typeof(SQLitePCL.sqlite3_blob))]
    [InlineData(typeof(SQLitePCL.sqlite3_backup))]
    public void Handles_are_SafeHandles(Type handle) => Assert.True(typeof(SafeHandle).IsAssignableFrom(handle));

    [Fact]
    public void A_renamed_member_is_noticed()
    {
        var image = File.ReadAllBytes(DataSqlite);

        Rename(image, "sqlite3_keyword_count", "sqlite3_keyword_c0unt");

        Assert.Equal(["raw.sqlite3_keyword_c0unt"], Unresolved(image, Load(image)));
    }

    [Fact]
    public void A_renamed_type_is_noticed()
    {
        var image = File.ReadAllBytes(DataSqlite);

        Rename(image, "delegate_rollback", "delegate_r0llback");

        Assert.Contains("delegate_r0llback", Unresolved(image, Load(image)));
    }

    [Fact]
    public void A_changed_return_type_is_noticed()
    {
        var image = File.ReadAllBytes(DataSqlite);

        ReturnLongInsteadOfInt(image, "sqlite3_changes");

        var unresolved = Unresolved(image, Load(image));
        Assert.Contains("raw.sqlite3_changes", unresolved);
        Assert.DoesNotContain("raw.sqlite3_errmsg", unresolved);
    }

    private sealed record Reference(EntityHandle Handle, string Name, string? Scope);

    /// <summary>The names of the references that the runtime cannot resolve from <paramref name="module"/>, whose file is <paramref name="image"/>.</summary>
    private static List<string> Unresolved(byte[] image, Module module)
    {
        var unresolved = new List<string>();
        foreach (var reference in References(image))
        {
            try
            {
                var token = MetadataTokens.GetToken(reference.Handle);
                _ = reference.Handle.Kind == HandleKind.TypeReference ? module.ResolveType(token) : module.ResolveMember(token);
            }
            catch (Exception e) when (e is MissingMemberException or TypeLoadException or FileNotFoundException or FileLoadException)
            {
                unresolved.Add(reference.Name);
            }
        }
        return unresolved;
    }

    private static List<Reference> References(byte[] image)
    {
        using var file = new PEReader(new MemoryStream(image));
        var metadata = file.GetMetadataReader();
        var types = metadata.TypeReferences.Select(h => new Reference(h, TypeName(metadata, h), Scope(metadata, h)));
        // Members of constructed generic types need a context to resolve; they are the framework's, the stand-in has no generics.
        var members = metadata.MemberReferences
            .Select(h => (Handle: h, Member: metadata.GetMemberReference(h)))
            .Where(m => m.Member.Parent.Kind == HandleKind.TypeReference)
            .Select(m => (m.Handle, m.Member, Type: (TypeReferenceHandle)m.Member.Parent))
            .Select(m => new Reference(m.Handle, $"{TypeName(metadata, m.Type)}.{metadata.GetString(m.Member.Name)}", Scope(metadata, m.Type)));
        return [.. types, .. members];
    }

    private static string TypeName(MetadataReader metadata, TypeReferenceHandle type) => metadata.GetString(metadata.GetTypeReference(type).Name);

    private static string? Scope(MetadataReader metadata, TypeReferenceHandle type) => metadata.GetTypeReference(type).ResolutionScope switch
    {
        { Kind: HandleKind.AssemblyReference } scope => metadata.GetString(metadata.GetAssemblyReference((AssemblyReferenceHandle)scope).Name),
        { Kind: HandleKind.TypeReference } outer => Scope(metadata, (TypeReferenceHandle)outer),
        _ => null,
    };

    private static Module Load(byte[] image) => Assembly.Load(image).ManifestModule;

    private static void Rename(byte[] image, string name, string sameLength)
    {
        var at = image.AsSpan().IndexOf(Encoding.UTF8.GetBytes('\0' + name + '\0'));
        Assert.True(at >= 0, $"{name} is not a name in the metadata.");
        Encoding.UTF8.GetBytes(sameLength).CopyTo(image, at + 1);
    }

    /// <summary>Overwrites the return type in a member's signature blob. References with equal signatures share it and change too.</summary>
    private static void ReturnLongInsteadOfInt(byte[] image, string name)
    {
        int at;
        using (var file = new PEReader(new MemoryStream(image)))
        {
            var metadata = file.GetMetadataReader();
            var member = metadata.MemberReferences.Select(metadata.GetMemberReference).Single(m => metadata.GetString(m.Name) == name);
            at = file.PEHeaders.MetadataStartOffset + metadata.GetHeapMetadataOffset(HeapIndex.Blob) + metadata.GetHeapOffset(member.Signature);
        }
        const byte Int32 = 0x08, Int64 = 0x0A;
        const int AfterLengthConventionAndCount = 3; // ECMA-335 II.23.2.2; each is one byte in a signature this short
        Assert.Equal(Int32, image[at + AfterLengthConventionAndCount]);
        image[at + AfterLengthConventionAndCount] = Int64;
    }
}
