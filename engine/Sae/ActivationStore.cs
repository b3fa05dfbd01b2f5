using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Text.Json;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>What the vectors of a store are: the same key gives the same numbers.</summary>
/// <param name="Layer">Blocks run before the states are read.</param>
/// <param name="DatasetHash">Hash of the texts' token ids in order.</param>
public sealed record ActivationKey(string ModelHash, string TokenizerHash, string DatasetHash, int Layer)
{
    /// <summary>The folder's name below a cache.</summary>
    public string Folder => $"{ModelHash[..12]}-{TokenizerHash[..8]}-{DatasetHash[..12]}-{Layer}";
}

/// <summary>One vector of a store: where it was read.</summary>
/// <param name="Text">Index of the text.</param>
/// <param name="Token">Index of the token in it.</param>
public readonly record struct ActivationPlace(int Text, int Token, SaePosition Position);

/// <summary>
/// Hidden states of a model at the positions an SAE reads, on disk: made once for a model and its texts, read through a memory map by as many
/// trainings as want them.
/// </summary>
/// <remarks>
/// Files: <c>states.f32</c> (rows of d little-endian floats), <c>places.bin</c> (three int32 a row: text, token, position), <c>key.json</c>. They are
/// written into a folder of another name, which is renamed when whole. Memory while writing is one batch of texts; while reading it is the
/// system's page cache.
/// </remarks>
public sealed unsafe class ActivationStore : IDisposable
{
    private const string StatesFile = "states.f32", PlacesFile = "places.bin", KeyFile = "key.json";

    private readonly MemoryMappedFile file;
    private readonly MemoryMappedViewAccessor view;
    private readonly float* states;

    private ActivationStore(string folder, int width)
    {
        Width = width;
        Places = ReadPlaces(Path.Combine(folder, PlacesFile));
        var length = new FileInfo(Path.Combine(folder, StatesFile)).Length;
        if (Places.Count == 0 || length != (long)Places.Count * width * sizeof(float))
            throw new InvalidDataException($"{folder}: {length} bytes of states do not fit {Places.Count} vectors of {width} numbers; remove the folder, it is made again.");
        file = MemoryMappedFile.CreateFromFile(Path.Combine(folder, StatesFile), FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        states = (float*)start;
    }

    private sealed record Stored(ActivationKey Key, int Width);

    /// <summary>d.</summary>
    public int Width { get; }

    /// <summary>Where each vector was read, in the order of the texts.</summary>
    public IReadOnlyList<ActivationPlace> Places { get; }

    /// <summary>A vector as the model left it. [d]. Valid until the store is disposed.</summary>
    public ReadOnlySpan<float> this[int row] => row >= 0 && row < Places.Count
        ? new ReadOnlySpan<float>(states + (long)row * Width, Width)
        : throw new ArgumentOutOfRangeException(nameof(row), row, $"The store has {Places.Count} vectors.");

    /// <summary>Opens the store of a key, making it first where the cache has none that is whole.</summary>
    /// <param name="texts">At least one.</param>
    /// <param name="told">Told how many texts of how many were read.</param>
    public static ActivationStore Open(string cache, ActivationKey key, LlamaBackbone model, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, Action<int, int> told, CancellationToken stop)
    {
        var folder = Path.Combine(cache, key.Folder);
        if (!IsWhole(folder, key))
            Make(folder, key, model, tokenizer, texts, told, stop);
        return new ActivationStore(folder, model.Config.HiddenSize);
    }

    /// <summary>States of some texts at their positions, row after row, without a store: for a few.</summary>
    /// <returns>[N, d] in the caller's scope, and each row's place.</returns>
    public static (Tensor States, IReadOnlyList<ActivationPlace> Places) Read(LlamaBackbone model, ITokenizer tokenizer, int layer, IReadOnlyList<EncodedText> texts, int[] which)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var batch = PaddedBatch.Of([.. which.Select(i => texts[i])], tokenizer.PadId, model.EmbeddingWeight.device);
        var hidden = model.Hidden(batch.Ids, new LlamaRun { Blocks = layer, FinalNorm = false });
        var width = batch.Ids.shape[1];
        var places = which.SelectMany(i => SaePositions.Of(texts[i], tokenizer).Select(at => new ActivationPlace(i, at.Index, at.Position))).ToList();
        var rowOf = which.Select((text, row) => (text, row)).ToDictionary(entry => entry.text, entry => entry.row);
        var picks = tensor(places.Select(place => rowOf[place.Text] * width + place.Token).ToArray(), device: hidden.device);
        return (scope.MoveToOuter(hidden.flatten(0, 1).index_select(0, picks).cpu()), places);
    }

    public void Dispose()
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        file.Dispose();
    }

    private static bool IsWhole(string folder, ActivationKey key)
    {
        var path = Path.Combine(folder, KeyFile);
        return File.Exists(path) && JsonSerializer.Deserialize<Stored>(File.ReadAllText(path))?.Key == key;
    }

    private static void Make(string folder, ActivationKey key, LlamaBackbone model, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, Action<int, int> told, CancellationToken stop)
    {
        ArtefactFile.WriteFolder(folder, fresh =>
        {
            using (var states = File.Create(Path.Combine(fresh, StatesFile)))
            using (var places = File.Create(Path.Combine(fresh, PlacesFile)))
            {
                var done = 0;
                // In the order of the texts, in batches of neighbours: a store is the same whatever the batch size.
                foreach (var batch in Enumerable.Range(0, texts.Count).Chunk(64))
                {
                    stop.ThrowIfCancellationRequested();
                    using var scope = NewDisposeScope();
                    var (hidden, at) = Read(model, tokenizer, key.Layer, texts, batch);
                    states.Write(hidden.contiguous().bytes);
                    foreach (var place in at)
                        places.Write(MemoryMarshal.AsBytes<int>(new[] { place.Text, place.Token, (int)place.Position }));
                    told(done += batch.Length, texts.Count);
                }
                states.Flush(flushToDisk: true);
                places.Flush(flushToDisk: true);
            }
            ArtefactFile.Write(Path.Combine(fresh, KeyFile), stream => JsonSerializer.Serialize(stream, new Stored(key, model.Config.HiddenSize)));
        });
    }

    private static List<ActivationPlace> ReadPlaces(string path)
    {
        var numbers = MemoryMarshal.Cast<byte, int>(File.ReadAllBytes(path));
        var places = new List<ActivationPlace>(numbers.Length / 3);
        for (var i = 0; i + 2 < numbers.Length; i += 3)
            places.Add(new ActivationPlace(numbers[i], numbers[i + 1], (SaePosition)numbers[i + 2]));
        return places;
    }
}
