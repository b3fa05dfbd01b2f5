using System.Buffers.Binary;
using System.Text.Json;

namespace Portal.Engine.Models;

/// <summary>The number formats of safetensors that the engine reads and writes.</summary>
public enum SafetensorsType
{
    F32,
    F16,
    BF16,
    I64,
}

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">The weight's name, as in Hugging Face's checkpoints.</param>
/// <param name="Type">The format of its numbers.</param>
/// <param name="Shape">Its dimensions; empty for a single number.</param>
/// <param name="Offset">Where its bytes start, counted from the start of the file.</param>
/// <param name="Length">How many bytes it has.</param>
public sealed record SafetensorsEntry(string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long Offset, long Length);

/// <summary>
/// The head of a safetensors file: 8 bytes of length, then JSON that says where each tensor lies. Model files come from
/// strangers, so everything is checked before a byte of data is touched.
/// </summary>
/// <remarks>Format: the safetensors specification; tensors fill the data part without overlap and without gaps.</remarks>
public static class SafetensorsHeader
{
    /// <summary>The specification's limit, so that a hostile length cannot make us allocate the machine's memory.</summary>
    public const long MaximumLength = 100_000_000;

    private const string MetadataName = "__metadata__";

    /// <summary>Reads and checks the head of a file.</summary>
    /// <returns>The tensors in the order of their data, and the file's own notes (text by text).</returns>
    /// <exception cref="InvalidDataException">The file is not safe or not whole; the message names the file, and the tensor.</exception>
    public static (IReadOnlyList<SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata) Read(Stream file, string path)
    {
        Span<byte> start = stackalloc byte[8];
        var read = file.ReadAtLeast(start, 8, throwOnEndOfStream: false);
        if (read < 8)
        {
            throw new InvalidDataException($"{path}: {read} bytes; a safetensors file starts with 8 bytes of header length");
        }

        var length = BinaryPrimitives.ReadUInt64LittleEndian(start);
        // Only where the length is impossible: 0x80 0x02 also begins an honest header of 640 bytes.
        var isImpossible = length > (ulong)(file.Length - 8);
        if (isImpossible && start is ([(byte)'P', (byte)'K', 3, 4, ..] or [0x80, >= 2 and <= 5, ..]))
        {
            throw new InvalidDataException($"{path}: a pickle file (PyTorch .bin or .pt), which can run code when opened, so it is not read; convert it to safetensors");
        }

        if (length > MaximumLength)
        {
            throw new InvalidDataException($"{path}: the header claims {length} bytes, more than the limit of {MaximumLength}; not a safetensors file, or a hostile one");
        }

        if (isImpossible)
        {
            throw new InvalidDataException($"{path}: the header claims {length} bytes, the file has {file.Length - 8} after the length; cut off, or not a safetensors file");
        }

        var json = new byte[length];
        file.ReadExactly(json);
        var dataStart = 8 + (long)length;
        return Parse(json, path, dataStart, file.Length - dataStart);
    }

    private static (IReadOnlyList<SafetensorsEntry>, IReadOnlyDictionary<string, string>) Parse(byte[] json, string path, long dataStart, long dataLength)
    {
        var entries = new List<SafetensorsEntry>();
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var names = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"{path}: the header is not a JSON object");
            }

            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (!names.Add(property.Name))
                {
                    throw new InvalidDataException($"{path}: the tensor \"{property.Name}\" stands twice in the header");
                }

                if (property.Name == MetadataName)
                {
                    ReadMetadata(property.Value, metadata, path);
                }
                else
                {
                    entries.Add(ReadEntry(property, path, dataStart, dataLength));
                }
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: the header is not valid JSON ({e.Message})", e);
        }

        entries.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.Length.CompareTo(b.Length));
        CheckCoverage(entries, path, dataStart, dataLength);
        return (entries, metadata);
    }

    private static void ReadMetadata(JsonElement element, Dictionary<string, string> metadata, string path)
    {
        if (element.ValueKind != JsonValueKind.Object || element.EnumerateObject().Any(note => note.Value.ValueKind != JsonValueKind.String))
        {
            throw new InvalidDataException($"{path}: {MetadataName} is not an object of texts");
        }

        foreach (var note in element.EnumerateObject())
        {
            metadata[note.Name] = note.Value.GetString()!; // a string by the check above
        }
    }

    private static SafetensorsEntry ReadEntry(JsonProperty property, string path, long dataStart, long dataLength)
    {
        var fields = property.Value;
        if (fields.ValueKind != JsonValueKind.Object
            || !fields.TryGetProperty("dtype", out var dtype) || dtype.ValueKind != JsonValueKind.String
            || !fields.TryGetProperty("shape", out var shape) || shape.ValueKind != JsonValueKind.Array
            || !fields.TryGetProperty("data_offsets", out var offsets) || offsets.ValueKind != JsonValueKind.Array || offsets.GetArrayLength() != 2)
        {
            throw Bad("needs dtype, shape and two data_offsets");
        }

        if (!Enum.TryParse<SafetensorsType>(dtype.GetString(), out var type) || type.ToString() != dtype.GetString())
        {
            throw Bad($"has dtype {dtype.GetString()}; F32, F16, BF16 and I64 are read");
        }

        var dimensions = new List<long>();
        var expected = SizeOf(type);
        foreach (var item in shape.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out var dimension) || dimension < 0)
            {
                throw Bad($"has the dimension {item.GetRawText()}; dimensions are whole numbers from 0");
            }

            dimensions.Add(dimension);
        }

        // Zeros first: [0, 2^62, 2^62] is an empty tensor, not an overflow.
        foreach (var dimension in dimensions.Contains(0) ? [0] : dimensions)
        {
            if (dimension != 0 && expected > long.MaxValue / dimension)
            {
                throw Bad($"has the shape [{string.Join(", ", dimensions)}], more bytes than can be counted");
            }

            expected *= dimension;
        }

        if (!Offset(offsets[0], out var begin) || !Offset(offsets[1], out var end) || begin > end || end > dataLength)
        {
            throw Bad($"has data_offsets {offsets.GetRawText()}, outside the file's {dataLength} bytes of data; damaged or cut off");
        }

        if (end - begin != expected)
        {
            throw Bad($"has {end - begin} bytes, but {type} [{string.Join(", ", dimensions)}] needs {expected}");
        }

        return new SafetensorsEntry(property.Name, type, dimensions, dataStart + begin, expected);

        static bool Offset(JsonElement element, out long value)
        {
            value = 0;
            return element.ValueKind == JsonValueKind.Number && element.TryGetInt64(out value) && value >= 0;
        }

        InvalidDataException Bad(string problem)
        {
            return new InvalidDataException($"{path}: the tensor \"{property.Name}\" {problem}");
        }
    }

    private static void CheckCoverage(List<SafetensorsEntry> entries, string path, long dataStart, long dataLength)
    {
        var (end, before) = (dataStart, "the header");
        foreach (var entry in entries)
        {
            if (entry.Offset != end)
            {
                var relation = entry.Offset < end ? "overlaps" : "leaves a gap after";
                throw new InvalidDataException($"{path}: the tensor \"{entry.Name}\" {relation} {before}");
            }

            (end, before) = (end + entry.Length, $"\"{entry.Name}\"");
        }

        if (end != dataStart + dataLength)
        {
            throw new InvalidDataException($"{path}: {dataStart + dataLength - end} bytes after {before} belong to no tensor");
        }
    }

    /// <summary>Bytes of one number.</summary>
    public static long SizeOf(SafetensorsType type)
    {
        return type switch
        {
            SafetensorsType.F32 => 4,
            SafetensorsType.F16 => 2,
            SafetensorsType.BF16 => 2,
            SafetensorsType.I64 => 8,
        };
    }

    /// <summary>The head for some tensors in this order, padded with spaces so that the data starts at a multiple of 8.</summary>
    public static byte[] Write(IEnumerable<(string Name, SafetensorsType Type, IReadOnlyList<long> Shape)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        buffer.Write(stackalloc byte[8]);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(MetadataName);
                foreach (var (key, value) in metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            var offset = 0L;
            foreach (var (name, type, shape) in tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", type.ToString());
                json.WriteStartArray("shape");
                foreach (var dimension in shape)
                {
                    json.WriteNumberValue(dimension);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                offset += shape.Aggregate(SizeOf(type), (product, dimension) => product * dimension);
                json.WriteNumberValue(offset);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (buffer.Length % 8 != 0)
        {
            buffer.WriteByte((byte)' ');
        }

        var bytes = buffer.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - 8);
        return bytes;
    }
}
