using System.Security.Cryptography;
using System.Text;
using Portal.Data;
using Portal.Data.SaeFeatures;

namespace Portal.Engine.Sae;

/// <summary>
/// The held-out contexts of every feature of a description, on disk: what a label is tested on, whoever writes it and whenever. Ids and offsets, no texts.
/// </summary>
/// <remarks>File: magic, latents, responses (id, prompt number), then for each latent its position and two lists of (response, start, length, fires); the last 32 bytes are the SHA-256 of all before.</remarks>
public sealed record HeldOutContexts(IReadOnlyList<ResponseId> Responses, IReadOnlyList<int> Prompts, IReadOnlyList<LabelContexts> ByLatent)
{
    private const int Magic = 0x314C4350; // "PCL1"
    private const int HashBytes = 32;

    /// <summary>Where the file of a description is.</summary>
    public static string PathOf(string features, FeatureDescriptionId description) => Path.Combine(features, $"labels-{description}");

    /// <summary>Writes it whole or not at all.</summary>
    public void Write(string path)
    {
        using var memory = new MemoryStream();
        using (var writer = new BinaryWriter(memory, Encoding.UTF8, leaveOpen: true))
        {
            foreach (var number in new[] { Magic, ByLatent.Count, Responses.Count })
                writer.Write(number);
            for (var i = 0; i < Responses.Count; i++)
            {
                writer.Write(Responses[i].Value.ToByteArray());
                writer.Write(Prompts[i]);
            }
            foreach (var contexts in ByLatent)
            {
                writer.Write((int)contexts.Position);
                Write(writer, contexts.Contexts);
                Write(writer, contexts.Stretches);
            }
        }
        var bytes = memory.GetBuffer().AsMemory(0, (int)memory.Length);
        ArtefactFile.Write(path, stream =>
        {
            stream.Write(bytes.Span);
            stream.Write(SHA256.HashData(bytes.Span));
        });
    }

    /// <summary>Reads it.</summary>
    /// <exception cref="FormatException">It is no such file, or damaged; the message names the file.</exception>
    public static HeldOutContexts Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        if (bytes.Length < HashBytes + 12 || !SHA256.HashData(bytes.AsSpan(..^HashBytes)).AsSpan().SequenceEqual(bytes.AsSpan(^HashBytes..)))
            throw new FormatException($"{path} is damaged: its hash is not that of its contents.");
        using var reader = new BinaryReader(new MemoryStream(bytes, 0, bytes.Length - HashBytes));
        if (reader.ReadInt32() != Magic)
            throw new FormatException($"{path} holds no contexts of labels.");
        var (latents, responses) = (reader.ReadInt32(), reader.ReadInt32());
        var (ids, prompts) = (new ResponseId[responses], new int[responses]);
        for (var i = 0; i < responses; i++)
            (ids[i], prompts[i]) = (ResponseId.From(new Guid(reader.ReadBytes(16))), reader.ReadInt32());
        var all = new LabelContexts[latents];
        for (var latent = 0; latent < latents; latent++)
            all[latent] = new LabelContexts((ContextPosition)reader.ReadInt32(), Contexts(reader), Contexts(reader));
        return new HeldOutContexts(ids, prompts, all);
    }

    /// <summary>The same with only those responses that some context needs.</summary>
    public HeldOutContexts Packed()
    {
        var numbers = new Dictionary<int, int>();
        int NumberOf(int response) => numbers.TryGetValue(response, out var number) ? number : numbers[response] = numbers.Count;
        LabelContext[] Packed(IReadOnlyList<LabelContext> contexts) => [.. contexts.Select(context => context with { Response = NumberOf(context.Response) })];
        LabelContexts[] all = [.. ByLatent.Select(contexts => contexts with { Contexts = Packed(contexts.Contexts), Stretches = Packed(contexts.Stretches) })];
        int[] kept = [.. numbers.OrderBy(entry => entry.Value).Select(entry => entry.Key)];
        return new HeldOutContexts([.. kept.Select(response => Responses[response])], [.. kept.Select(response => Prompts[response])], all);
    }

    private static void Write(BinaryWriter writer, IReadOnlyList<LabelContext> contexts)
    {
        writer.Write(contexts.Count);
        foreach (var context in contexts)
        {
            writer.Write(context.Response);
            writer.Write(context.Start);
            writer.Write(context.Length);
            writer.Write(context.Fires);
        }
    }

    private static LabelContext[] Contexts(BinaryReader reader)
    {
        var contexts = new LabelContext[reader.ReadInt32()];
        for (var i = 0; i < contexts.Length; i++)
            contexts[i] = new LabelContext(reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadBoolean());
        return contexts;
    }
}
