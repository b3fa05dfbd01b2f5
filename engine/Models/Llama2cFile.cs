using System.Buffers.Binary;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>
/// Reads the checkpoints of llama2.c (version 0: seven numbers, then float32 weights one after another), such as stories260K.
/// </summary>
/// <remarks>
/// Order: embedding; of all layers: attention norms, wq, wk, wv, wo, feed-forward norms, w1 (gate), w2 (down), w3 (up); final
/// norm; two unused rotary tables; the output head where it is not tied, which a negative vocabulary size says.
/// Source: karpathy/llama2.c, run.c and export.py.
/// </remarks>
public static class Llama2cFile
{
    private const int HeaderBytes = 28;

    /// <summary>Reads a checkpoint; the model is on the CPU in float32.</summary>
    /// <exception cref="InvalidDataException">The header is impossible or the file's size does not fit it; the message names the file.</exception>
    public static Llama Load(string path)
    {
        var file = File.ReadAllBytes(path);
        var config = ReadConfig(file, path);
        var model = new Llama(config);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var weights = MemoryMarshal.Cast<byte, float>(file.AsSpan(HeaderBytes)).ToArray();
        var at = 0L;
        var blocks = model.Backbone.Blocks.ToList();
        long hidden = config.HiddenSize, queryRows = (long)config.HeadCount * config.HeadSize, keyRows = (long)config.KeyValueHeadCount * config.HeadSize;
        long inner = config.IntermediateSize;

        Fill(model.Backbone.EmbeddingWeight);
        blocks.ForEach(block => Fill(block.AttentionNorm.weight));
        blocks.ForEach(block => Fill(block.QueryKeyValue.weight.detach().narrow(0, 0, queryRows)));
        blocks.ForEach(block => Fill(block.QueryKeyValue.weight.detach().narrow(0, queryRows, keyRows)));
        blocks.ForEach(block => Fill(block.QueryKeyValue.weight.detach().narrow(0, queryRows + keyRows, keyRows)));
        blocks.ForEach(block => Fill(block.AttentionOutput.weight));
        blocks.ForEach(block => Fill(block.FeedForwardNorm.weight));
        blocks.ForEach(block => Fill(block.Gate.weight));
        blocks.ForEach(block => Fill(block.Down.weight));
        blocks.ForEach(block => Fill(block.Up.weight));
        Fill(model.Backbone.Norm.weight);
        at += (long)config.ContextLength * config.HeadSize; // rotary tables, which we compute
        if (!config.TieWordEmbeddings)
        {
            Fill(model.HeadWeight);
        }

        return model;

        void Fill(Tensor target)
        {
            var count = target.numel();
            target.copy_(tensor(weights[(int)at..(int)(at + count)]).view(target.shape));
            at += count;
        }
    }

    private static LlamaConfig ReadConfig(byte[] file, string path)
    {
        if (file.Length < HeaderBytes)
        {
            throw new InvalidDataException($"{path}: {file.Length} bytes; a llama2.c checkpoint starts with 28 bytes of header");
        }

        var numbers = new int[7];
        for (var i = 0; i < numbers.Length; i++)
        {
            numbers[i] = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(4 * i));
        }

        var config = new LlamaConfig
        {
            HiddenSize = numbers[0],
            IntermediateSize = numbers[1],
            LayerCount = numbers[2],
            HeadCount = numbers[3],
            KeyValueHeadCount = numbers[4],
            VocabularySize = numbers[5] == int.MinValue ? 0 : Math.Abs(numbers[5]),
            ContextLength = numbers[6],
            TieWordEmbeddings = numbers[5] > 0,
        };
        try
        {
            config.Validate();
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException($"{path}: not a llama2.c checkpoint ({e.Message})", e);
        }

        var expected = HeaderBytes + (4 * (config.ParameterCount + ((long)config.ContextLength * config.HeadSize)));
        if (file.Length != expected)
        {
            throw new InvalidDataException($"{path}: {file.Length} bytes, but its header asks for {expected}; cut off, or another version of the format");
        }

        return config;
    }
}
