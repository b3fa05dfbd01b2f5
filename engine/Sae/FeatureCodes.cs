using System.Runtime.InteropServices;
using System.Text;
using Portal.Data;

namespace Portal.Engine.Sae;

/// <summary>
/// The codes at the ends of many responses of one SARM reward model, and the judged pairs among them: all that toggles need to be previewed without
/// running a model. In memory as in the file: plain arrays.
/// </summary>
/// <remarks>
/// 16 bytes and 8·w a response, 16 bytes and 4 numbers a pair: 100,000 pairs of 40,000 responses with w = 16 are 9 MB. Only differences of rewards mean
/// something, and those of a pair are Σ w_i (z_chosen,i − z_rejected,i).
/// </remarks>
public sealed class FeatureCodes
{
    private const int Magic = 0x31464350; // "PCF1"

    /// <summary>M.</summary>
    public required int Latents { get; init; }

    /// <summary>w: codes kept of each response; fewer active ones are filled with value 0.</summary>
    public required int Width { get; init; }

    /// <summary>The responses, in the order of the codes.</summary>
    public required IReadOnlyList<ResponseId> Responses { get; init; }

    /// <summary>Which latents. [responses · w], best first.</summary>
    public required int[] Indices { get; init; }

    /// <summary>z of them; below 0 under an SAE without ReLU only. [responses · w].</summary>
    public required float[] Values { get; init; }

    /// <summary>The judged pairs.</summary>
    public required IReadOnlyList<CodedPair> Pairs { get; init; }

    /// <summary>The codes of one response: latents and values.</summary>
    public (ReadOnlyMemory<int> Latents, ReadOnlyMemory<float> Values) Of(int response) =>
        (Indices.AsMemory(response * Width, Width), Values.AsMemory(response * Width, Width));

    /// <summary>The same responses with other pairs, of which each is one of theirs.</summary>
    public FeatureCodes On(IReadOnlyList<CodedPair> pairs) => new() { Latents = Latents, Width = Width, Responses = Responses, Indices = Indices, Values = Values, Pairs = pairs };

    /// <summary>Σ w_i z_i of every response.</summary>
    /// <param name="weights">w, of all latents. [M].</param>
    public double[] Rewards(ReadOnlySpan<float> weights)
    {
        if (weights.Length != Latents)
            throw new ArgumentException($"{weights.Length} weights were given for {Latents} latents", nameof(weights));
        var rewards = new double[Responses.Count];
        for (var response = 0; response < rewards.Length; response++)
        {
            var sum = 0.0;
            for (var i = response * Width; i < (response + 1) * Width; i++)
                sum += (double)weights[Indices[i]] * Values[i];
            rewards[response] = sum;
        }
        return rewards;
    }

    /// <summary>Writes it whole or not at all.</summary>
    public void Write(string path) => ArtefactFile.Write(path, stream =>
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        foreach (var number in new[] { Magic, Latents, Width, Responses.Count, Pairs.Count })
            writer.Write(number);
        foreach (var id in Responses)
            writer.Write(id.Value.ToByteArray());
        writer.Write(MemoryMarshal.AsBytes(Indices.AsSpan()));
        writer.Write(MemoryMarshal.AsBytes(Values.AsSpan()));
        foreach (var pair in Pairs)
        {
            writer.Write(pair.PromptId.Value.ToByteArray());
            writer.Write(pair.Chosen);
            writer.Write(pair.Rejected);
            writer.Write(pair.Votes);
            writer.Write(pair.IsTest);
        }
    });

    /// <summary>Reads it.</summary>
    /// <exception cref="FormatException">It is no such file, or damaged; the message names the file.</exception>
    public static FeatureCodes Read(string path)
    {
        try
        {
            using var reader = new BinaryReader(File.OpenRead(path));
            if (reader.ReadInt32() != Magic)
                throw new FormatException($"{path} holds no codes of features.");
            var (latents, width, responses, pairs) = (reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32());
            if (latents < 1 || width < 1 || responses < 0 || pairs < 0 || (long)responses * (16 + 8L * width) + 29L * pairs + 20 != reader.BaseStream.Length)
                throw new FormatException($"{path} is damaged: its length does not fit its head.");
            var ids = new ResponseId[responses];
            for (var i = 0; i < responses; i++)
                ids[i] = ResponseId.From(new Guid(reader.ReadBytes(16)));
            var (indices, values) = (new int[responses * width], new float[responses * width]);
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(indices.AsSpan()));
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
            if (indices.Any(latent => latent < 0 || latent >= latents))
                throw new FormatException($"{path} is damaged: it names a latent beyond {latents}.");
            var judged = new CodedPair[pairs];
            for (var i = 0; i < pairs; i++)
            {
                judged[i] = new CodedPair(PromptId.From(new Guid(reader.ReadBytes(16))), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadBoolean());
                if (judged[i].Chosen < 0 || judged[i].Chosen >= responses || judged[i].Rejected < 0 || judged[i].Rejected >= responses)
                    throw new FormatException($"{path} is damaged: pair {i} names a response beyond {responses}.");
            }
            return new FeatureCodes { Latents = latents, Width = width, Responses = ids, Indices = indices, Values = values, Pairs = judged };
        }
        catch (EndOfStreamException e)
        {
            throw new FormatException($"{path} is damaged: it ends early.", e);
        }
    }
}

/// <summary>Two responses to one prompt, of which people preferred one.</summary>
/// <param name="Chosen">Number of the preferred response within <see cref="FeatureCodes.Responses"/>; of several judgements the majority's.</param>
/// <param name="Rejected">Number of the other one.</param>
/// <param name="Votes">By how many more people it was preferred, 1 and up; pairs without a majority are left out.</param>
/// <param name="IsTest">Its prompt is among those that test what the others suggested.</param>
public readonly record struct CodedPair(PromptId PromptId, int Chosen, int Rejected, int Votes, bool IsTest);
