using System.Security.Cryptography;

namespace Portal.Engine.Tokenizers;

/// <summary>Finds the tokenizer of a model folder, and writes one beside a model.</summary>
public static class TokenizerFolder
{
    private const string Llama2cFile = "tokenizer.bin";

    /// <summary>Reads <c>tokenizer.json</c>, else <c>tokenizer.bin</c> (llama2.c), else the only <c>tok*.bin</c> of a folder.</summary>
    /// <exception cref="FileNotFoundException">The folder holds none of them, or several <c>tok*.bin</c>.</exception>
    /// <exception cref="InvalidDataException">The file is damaged; the message names file and field.</exception>
    public static ITokenizer Load(string folder)
    {
        var json = Path.Combine(folder, "tokenizer.json");
        if (File.Exists(json))
        {
            return BytePairTokenizerFile.Load(json);
        }

        var binary = Path.Combine(folder, Llama2cFile);
        if (!File.Exists(binary))
        {
            var candidates = Directory.Exists(folder) ? Directory.GetFiles(folder, "tok*.bin") : [];
            binary = candidates.Length == 1
                ? candidates[0]
                : throw new FileNotFoundException($"{folder}: no tokenizer.json, and {candidates.Length} files tok*.bin; a model folder needs one tokenizer");
        }

        return Llama2cTokenizer.Load(binary);
    }

    /// <summary>SHA-256 of a vocabulary, in hexadecimal: each id's bytes in order. Two tokenizers of the same vocabulary read the same ids the same way.</summary>
    public static string Hash(ITokenizer tokenizer)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var id = 0; id < tokenizer.VocabularySize; id++)
        {
            var bytes = tokenizer.BytesOf(id);
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Writes a tokenizer into a folder so that <see cref="Load"/> reads it back.</summary>
    /// <exception cref="ArgumentException">The tokenizer is of a kind that has no file form.</exception>
    public static void Save(ITokenizer tokenizer, string folder)
    {
        Directory.CreateDirectory(folder);
        if (tokenizer is BytePairTokenizer bytePairs)
        {
            BytePairTokenizerFile.Save(bytePairs, folder);
        }
        else if (tokenizer is Llama2cTokenizer llama2c)
        {
            llama2c.Save(Path.Combine(folder, Llama2cFile));
        }
        else
        {
            throw new ArgumentException($"{tokenizer.GetType().Name} has no file form");
        }
    }
}
