using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Tokenizers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Portal.Engine.Influence;

/// <summary>What the rows of a store are: the same key gives the same numbers.</summary>
/// <param name="ModelHash">Of the weights.</param>
/// <param name="TokenizerHash">Of the tokenizer.</param>
/// <param name="DatasetHash">Of the pairs: ids, texts and weights, as they were trained on.</param>
/// <param name="Window">Longest text, tokens.</param>
/// <param name="Space">Which features (<see cref="IEndFeatures.Space"/>).</param>
public sealed record PairFeaturesKey(string ModelHash, string TokenizerHash, string DatasetHash, int Window, string Space)
{
    /// <summary>The folder's name below a cache.</summary>
    public string Folder => $"{Space}-{ModelHash[..12]}-{TokenizerHash[..8]}-{DatasetHash[..12]}-{Window}";
}

/// <summary>
/// Δφ = φ(prompt, chosen) − φ(prompt, rejected) of every pair a reward model was trained on, beside the ids of the judgements: made once for a model and its data, then mapped.
/// </summary>
/// <remarks>
/// Pairs with the same prompt and answers, judged alike by several people, are one row with all their ids: as rows of their own, how a weight is divided among them would be arbitrary. Pairs whose answers are the same tokens
/// (Δφ = 0) and pairs the training left out for their length have no row. Files: <c>rows.f32</c> (rows of d little-endian floats), <c>ids.bin</c> (for each row the number of its ids, their trust together, and the ids),
/// <c>key.json</c>; written into a folder of another name that is renamed when whole. They hold numbers and ids, no text; erasing a judgement removes the folder. Source: specs/xrlhf.md §1.5.
/// </remarks>
public sealed class PairFeatures : IDisposable
{
    private const string RowsFile = "rows.f32", IdsFile = "ids.bin", KeyFile = "key.json";
    private const int PairsAtOnce = 32;

    private readonly Dictionary<Guid, int> rowOf;

    private PairFeatures(FeatureRows rows, Stored stored, IReadOnlyList<IReadOnlyList<Guid>> ids, double[] counts)
    {
        (Rows, Ids, Counts, Filtered, Identical) = (rows, ids, counts, stored.Filtered, stored.Identical);
        rowOf = ids.SelectMany((some, row) => some.Select(id => (id, row))).ToDictionary(entry => entry.id, entry => entry.row);
    }

    private sealed record Stored(PairFeaturesKey Key, int Width, int Filtered, int Identical);

    /// <summary>Δφ. [rows, d].</summary>
    public FeatureRows Rows { get; }

    /// <summary>The judgements of each row, the earliest in the data first. At least one each.</summary>
    public IReadOnlyList<IReadOnlyList<Guid>> Ids { get; }

    /// <summary>Σ of the trust in the judgements of each row: how many votes it stands for. [rows].</summary>
    public double[] Counts { get; }

    /// <summary>Pairs without a row because a side is longer than the window: they were not trained on.</summary>
    public int Filtered { get; }

    /// <summary>Pairs without a row because both sides are the same tokens.</summary>
    public int Identical { get; }

    /// <summary>The row of a judgement; null where it was not trained on, or both sides are the same.</summary>
    public int? RowOf(Guid id) => rowOf.TryGetValue(id, out var row) ? row : null;

    /// <summary>Opens the store of a model and its training pairs, making it first where the cache has none that is whole.</summary>
    /// <param name="modelHash">Of the weights that <paramref name="features"/> reads.</param>
    /// <param name="pairs">The pairs it was trained on, in the order of the data; no other may explain it.</param>
    /// <param name="lengthMax">The training's window, and <paramref name="overlong"/> what it did with longer ones.</param>
    /// <param name="told">Told how many pairs of how many were read.</param>
    /// <exception cref="CannotTrain">No pair is left; the message says why.</exception>
    public static PairFeatures Open(string cache, string modelHash, IEndFeatures features, ITokenizer tokenizer, IReadOnlyList<IdentifiedPair> pairs, int lengthMax, Overlong overlong, Action<int, int> told, CancellationToken stop)
    {
        var window = Math.Min(lengthMax, features.ContextLength);
        var key = new PairFeaturesKey(modelHash, TokenizerFolder.Hash(tokenizer), HashOf(pairs, overlong), window, features.Space);
        var folder = Path.Combine(cache, key.Folder);
        if (Whole(folder, key) is not { } stored)
        {
            Make(folder, key, features, tokenizer, pairs, overlong, told, stop);
            stored = Whole(folder, key)!; // made just now
        }
        var (ids, counts) = ReadIds(Path.Combine(folder, IdsFile));
        var rows = FeatureRows.Map(Path.Combine(folder, RowsFile), stored.Width);
        if (rows.Count == ids.Count && stored.Width == features.Width)
            return new PairFeatures(rows, stored, ids, counts);
        rows.Dispose();
        throw new InvalidDataException($"{folder}: {rows.Count} rows of {stored.Width} do not fit {ids.Count} pairs of {features.Width}; remove the folder, it is made again.");
    }

    public void Dispose() => Rows.Dispose();

    /// <summary>The folders of a cache that hold a row of some judgements, or that cannot be read; half-made ones as well. What erases removes them, and they are made again without.</summary>
    public static IReadOnlyList<string> FoldersWith(string cache, IReadOnlySet<Guid> judgements) =>
        [.. Directory.Exists(cache) ? Directory.EnumerateDirectories(cache).Where(folder => HoldsSome(Path.Combine(folder, IdsFile), judgements)) : []];

    private static bool HoldsSome(string path, IReadOnlySet<Guid> judgements)
    {
        try
        {
            return !File.Exists(path) || ReadIds(path).Ids.Any(ids => ids.Any(judgements.Contains));
        }
        catch (InvalidDataException)
        {
            return true; // nobody can say that it does not
        }
    }

    private static string HashOf(IReadOnlyList<IdentifiedPair> pairs, Overlong overlong)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(string text)
        {
            var bytes = System.Text.Encoding.UTF8.GetBytes(text);
            hash.AppendData(BitConverter.GetBytes(bytes.Length)); // so that no two lists run together to the same bytes
            hash.AppendData(bytes);
        }
        Add(overlong.ToString());
        foreach (var (id, pair) in pairs)
        {
            hash.AppendData(id.ToByteArray());
            hash.AppendData(BitConverter.GetBytes(pair.Weight));
            foreach (var turn in pair.Prompt)
            {
                Add(turn.Role);
                Add(turn.Content);
            }
            Add(pair.Chosen);
            Add(pair.Rejected);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static Stored? Whole(string folder, PairFeaturesKey key)
    {
        var path = Path.Combine(folder, KeyFile);
        return File.Exists(path) && JsonSerializer.Deserialize<Stored>(File.ReadAllText(path)) is { } stored && stored.Key == key ? stored : null;
    }

    private sealed record Row(EncodedText Chosen, EncodedText Rejected, List<Guid> Ids)
    {
        public double Count { get; set; }
    }

    private static void Make(string folder, PairFeaturesKey key, IEndFeatures features, ITokenizer tokenizer, IReadOnlyList<IdentifiedPair> pairs, Overlong overlong, Action<int, int> told, CancellationToken stop)
    {
        var encoder = new DialogueEncoder(tokenizer, key.Window, overlong);
        var rows = new List<Row>();
        var known = new Dictionary<string, Row>(StringComparer.Ordinal);
        var identical = 0;
        foreach (var (id, pair) in pairs)
        {
            if (encoder.Pair(pair) is not var (chosen, rejected))
                continue;
            if (chosen.Ids.AsSpan().SequenceEqual(rejected.Ids))
            {
                identical++;
                continue;
            }
            var tokens = $"{string.Join(' ', chosen.Ids)}|{string.Join(' ', rejected.Ids)}";
            if (!known.TryGetValue(tokens, out var row))
            {
                known.Add(tokens, row = new Row(chosen, rejected, []));
                rows.Add(row);
            }
            row.Ids.Add(id);
            row.Count += pair.Weight;
        }
        if (rows.Count == 0)
            throw new CannotTrain($"None of the {pairs.Count} pairs can explain anything: {encoder.Filtered} have a side longer than {key.Window} tokens, {identical} have two answers that are the same.");

        ArtefactFile.WriteFolder(folder, fresh =>
        {
            using (var values = File.Create(Path.Combine(fresh, RowsFile)))
            {
                var done = 0;
                foreach (var batch in rows.Chunk(PairsAtOnce))
                {
                    stop.ThrowIfCancellationRequested();
                    // The first batch also asks the model for its rewards: a head that reads something else is found before anything is stored.
                    var (read, _) = EndReader.ReadBatch(features, tokenizer, [.. batch.Select(row => row.Chosen), .. batch.Select(row => row.Rejected)], withRewards: done == 0);
                    var half = batch.Length * features.Width;
                    for (var i = 0; i < half; i++)
                        read[i] -= read[half + i];
                    values.Write(MemoryMarshal.AsBytes(read.AsSpan(0, half)));
                    told(done += batch.Length, rows.Count);
                }
                values.Flush(flushToDisk: true);
            }
            ArtefactFile.Write(Path.Combine(fresh, IdsFile), stream =>
            {
                using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
                writer.Write(rows.Count);
                foreach (var row in rows)
                {
                    writer.Write(row.Ids.Count);
                    writer.Write(row.Count);
                    foreach (var id in row.Ids)
                        writer.Write(id.ToByteArray());
                }
            });
            ArtefactFile.Write(Path.Combine(fresh, KeyFile), stream => JsonSerializer.Serialize(stream, new Stored(key, features.Width, encoder.Filtered, identical)));
        });
    }

    private static (IReadOnlyList<IReadOnlyList<Guid>> Ids, double[] Counts) ReadIds(string path)
    {
        try
        {
            using var reader = new BinaryReader(File.OpenRead(path));
            var ids = new IReadOnlyList<Guid>[reader.ReadInt32()];
            var counts = new double[ids.Length];
            for (var row = 0; row < ids.Length; row++)
            {
                var count = reader.ReadInt32();
                counts[row] = reader.ReadDouble();
                ids[row] = [.. Enumerable.Range(0, count).Select(_ => new Guid(reader.ReadBytes(16)))];
            }
            return (ids, counts);
        }
        catch (Exception e) when (e is EndOfStreamException or ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"{path} is damaged; remove its folder, it is made again.", e);
        }
    }
}
