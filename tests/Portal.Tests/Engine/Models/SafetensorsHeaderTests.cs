using System.Buffers.Binary;
using System.Text;
using Portal.Engine.Models;
using Xunit;

namespace Portal.Tests.Engine.Models;

/// <summary>Files are built by hand from the format's description; each refusal must name the file and the tensor.</summary>
public sealed class SafetensorsHeaderTests
{
    [Fact]
    public void A_good_file_gives_its_tensors_in_data_order_and_its_notes()
    {
        var json = """
            {"__metadata__": {"format": "pt"},
             "b": {"dtype": "F16", "shape": [2, 3], "data_offsets": [8, 20]},
             "a": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
             "none": {"dtype": "F32", "shape": [0, 4611686018427387904, 4611686018427387904], "data_offsets": [20, 20]}}
            """;
        var (entries, metadata) = Read(File(json, 20));

        Assert.Equal(["a", "b", "none"], entries.Select(entry => entry.Name));
        Assert.Equal(SafetensorsType.F16, entries[1].Type);
        Assert.Equal([2, 3], entries[1].Shape);
        Assert.Equal((8 + Encoding.UTF8.GetByteCount(json) + 8, 12), (entries[1].Offset, entries[1].Length));
        Assert.Equal("pt", metadata["format"]);
    }

    [Fact]
    public void What_is_written_reads_back()
    {
        var head = SafetensorsHeader.Write(
            [("x\"y", SafetensorsType.BF16, new long[] { 3 }), ("z", SafetensorsType.F32, new long[] { 2, 2 })],
            new Dictionary<string, string> { ["note"] = "ü" });
        Assert.Equal(0, head.Length % 8);

        var (entries, metadata) = Read([.. head, .. new byte[22]]);

        Assert.Equal(["x\"y", "z"], entries.Select(entry => entry.Name));
        Assert.Equal("ü", metadata["note"]);
    }

    [Theory]
    [InlineData("""{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "v": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}""", 12, "\"v\" overlaps \"w\"")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}""", 8, "overlaps")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}""", 12, "\"w\" leaves a gap after the header")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}""", 12, "4 bytes after \"w\" belong to no tensor")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}""", 7, "\"w\" has data_offsets [0, 8], outside the file's 7 bytes")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}""", 8, "\"w\" has 8 bytes, but F32 [3] needs 12")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}""", 8, "\"w\" has data_offsets [8, 4]")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}""", 8, "\"w\" has data_offsets")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}""", 8, "\"w\" needs dtype, shape and two data_offsets")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}""", 8, "\"w\" has the dimension -2")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 8]}}""", 8, "\"w\" has the dimension 1.5")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [99999999999999999999], "data_offsets": [0, 8]}}""", 8, "\"w\" has the dimension 9999")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]}}""", 8, "\"w\" has the shape [4294967296, 4294967296], more bytes than can be counted")]
    [InlineData("""{"w": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}""", 8, "\"w\" has dtype F8_E4M3")]
    [InlineData("""{"w": {"dtype": "1", "shape": [2], "data_offsets": [0, 8]}}""", 8, "\"w\" has dtype 1")]
    [InlineData("""{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}""", 16, "\"w\" stands twice")]
    [InlineData("""{"w": 3}""", 0, "\"w\" needs dtype")]
    [InlineData("""{"__metadata__": {"a": 1}}""", 0, "__metadata__")]
    [InlineData("""[1, 2]""", 0, "not a JSON object")]
    [InlineData("""{"w": """, 0, "not valid JSON")]
    public void A_damaged_or_hostile_header_is_refused_by_file_and_tensor(string json, int dataBytes, string expected)
    {
        var refusal = Assert.Throws<InvalidDataException>(() => Read(File(json, dataBytes)));
        Assert.StartsWith("model.safetensors: ", refusal.Message);
        Assert.Contains(expected, refusal.Message);
    }

    [Fact]
    public void A_header_longer_than_the_file_or_the_limit_is_refused_before_memory_is_taken()
    {
        var tooLong = File("{}", 4);
        BinaryPrimitives.WriteInt64LittleEndian(tooLong, 50_000_000);
        Assert.Contains("claims 50000000 bytes, the file has 6", Assert.Throws<InvalidDataException>(() => Read(tooLong)).Message);

        BinaryPrimitives.WriteUInt64LittleEndian(tooLong, ulong.MaxValue);
        Assert.Contains("more than the limit", Assert.Throws<InvalidDataException>(() => Read(tooLong)).Message);
        Assert.Contains("3 bytes", Assert.Throws<InvalidDataException>(() => Read([1, 2, 3])).Message);
    }

    [Fact]
    public void A_header_whose_length_looks_like_a_pickle_is_read()
    {
        var json = "{\"w\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";
        Assert.Single(Read(File(json.PadRight(0x0280), 4)).Entries);
    }

    [Theory]
    [InlineData(new byte[] { (byte)'P', (byte)'K', 3, 4, 0, 0, 0, 0, 8, 8 })]
    [InlineData(new byte[] { 0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9 })]
    public void A_pickle_file_is_refused_with_the_reason(byte[] bytes)
    {
        Assert.Contains("pickle", Assert.Throws<InvalidDataException>(() => Read(bytes)).Message);
    }

    private static (IReadOnlyList<SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata) Read(byte[] bytes)
    {
        return SafetensorsHeader.Read(new MemoryStream(bytes), "model.safetensors");
    }

    private static byte[] File(string json, int dataBytes)
    {
        var head = Encoding.UTF8.GetBytes(json);
        var file = new byte[8 + head.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, head.Length);
        head.CopyTo(file, 8);
        return file;
    }
}
