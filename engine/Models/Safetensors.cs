using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>
/// Tensors in a safetensors file: read one by one, so that a model never stands in memory twice, and written whole.
/// </summary>
/// <remarks>What a file may and may not be is decided by <see cref="SafetensorsHeader"/> before any tensor is made.</remarks>
public sealed class Safetensors : IDisposable
{
    private readonly FileStream file;

    private Safetensors(string path, FileStream file)
    {
        Path = path;
        this.file = file;
        (var entries, Metadata) = SafetensorsHeader.Read(file, path);
        Entries = entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What the file holds, by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    /// <summary>The file's own notes.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="InvalidDataException">The file is hostile, damaged or of another kind; the message names file and tensor.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static Safetensors Open(string path)
    {
        var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
        try
        {
            return new Safetensors(path, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads one tensor in the file's own number format, on the CPU, into the caller's scope.</summary>
    /// <exception cref="InvalidDataException">The file has no such tensor, or one of more than 2 GiB.</exception>
    public Tensor Read(string name)
    {
        if (!Entries.TryGetValue(name, out var entry))
        {
            throw new InvalidDataException($"{Path}: the tensor \"{name}\" is missing");
        }

        if (entry.Length > int.MaxValue)
        {
            throw new InvalidDataException($"{Path}: the tensor \"{name}\" has {entry.Length} bytes; at most 2 GiB a tensor are read");
        }

        var result = empty(entry.Shape.ToArray(), dtype: TypeOf(entry.Type));
        if (entry.Length > 0)
        {
            file.Position = entry.Offset;
            file.ReadExactly(result.bytes);
        }

        return result;
    }

    /// <summary>Writes tensors in the order given; a file of that name is replaced only when all is on disk.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">Names and tensors, on any device; float32, float16, bfloat16 or int64.</param>
    /// <param name="floatType">The format for floating-point tensors; null keeps each one's own.</param>
    /// <param name="metadata">Notes for the header, text by text.</param>
    public static void Write(
        string path,
        IEnumerable<KeyValuePair<string, Tensor>> tensors,
        SafetensorsType? floatType = null,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        var items = tensors.Select(item => (Name: item.Key, Type: FileType(item.Key, item.Value, floatType), Tensor: item.Value)).ToList();
        var header = SafetensorsHeader.Write(items.Select(item => (item.Name, item.Type, (IReadOnlyList<long>)item.Tensor.shape)), metadata);
        ArtefactFile.Write(path, stream =>
        {
            stream.Write(header);
            foreach (var (_, type, source) in items)
            {
                using var scope = NewDisposeScope();
                using var noGrad = no_grad();
                var plain = source.detach().to_type(TypeOf(type)).cpu().contiguous();
                if (plain.numel() > 0)
                {
                    stream.Write(plain.bytes);
                }
            }
        });
    }

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        file.Dispose();
    }

    private static SafetensorsType FileType(string name, Tensor tensor, SafetensorsType? floatType)
    {
        return tensor.dtype switch
        {
            ScalarType.Int64 => SafetensorsType.I64,
            ScalarType.Float32 => floatType ?? SafetensorsType.F32,
            ScalarType.Float16 => floatType ?? SafetensorsType.F16,
            ScalarType.BFloat16 => floatType ?? SafetensorsType.BF16,
            var other => throw new ArgumentException($"the tensor \"{name}\" is {other}; float32, float16, bfloat16 and int64 can be written"),
        };
    }

    private static ScalarType TypeOf(SafetensorsType type)
    {
        return type switch
        {
            SafetensorsType.F32 => ScalarType.Float32,
            SafetensorsType.F16 => ScalarType.Float16,
            SafetensorsType.BF16 => ScalarType.BFloat16,
            SafetensorsType.I64 => ScalarType.Int64,
        };
    }
}
