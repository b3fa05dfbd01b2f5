using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>Which part of the data a row belongs to.</summary>
public enum SplitPart { Train, Validation, Test }

/// <summary>
/// Splits rows by prompt: a prompt's part follows from a hash of its words alone, so all rows of a prompt fall into one part, in every dataset version, whatever else is added or removed.
/// </summary>
/// <remarks>
/// The hash is taken of the normalised prompt (<see cref="Normalise"/>), so that a prompt written again with other capitals, spaces or line ends follows its twin. Shares are met in
/// expectation, not exactly. The salt makes different splits of the same prompts; keep it with the dataset version.
/// </remarks>
public sealed class PromptSplit
{
    private readonly double validation;
    private readonly double test;
    private readonly string salt;

    /// <summary>A split with these shares of prompts.</summary>
    /// <param name="validationShare">0 to 1.</param>
    /// <param name="testShare">0 to 1; together with validation below 1.</param>
    /// <param name="salt">Any text; part of the hash.</param>
    public PromptSplit(double validationShare, double testShare, string salt)
    {
        if (!(validationShare >= 0 && testShare >= 0 && validationShare + testShare < 1))
            throw new ArgumentException($"Shares of validation and test must not be negative and leave something to train on; they are {validationShare} and {testShare}.");
        (validation, test, this.salt) = (validationShare, testShare, salt);
    }

    /// <summary>The part of a prompt, by its normalised text.</summary>
    public SplitPart PartOf(IReadOnlyList<Message> prompt)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes("split/1/" + salt + "\n" + Key(prompt)));
        double place = (BinaryPrimitives.ReadUInt64LittleEndian(hash) >> 11) * (1.0 / (1UL << 53)); // uniform in [0, 1)
        return place < test ? SplitPart.Test : place < test + validation ? SplitPart.Validation : SplitPart.Train;
    }

    /// <summary>What two prompts have in common when they count as the same: roles and normalised texts, as one line of text.</summary>
    public static string Key(IReadOnlyList<Message> prompt) =>
        string.Join('\u001F', prompt.Select(message => (int)message.Role + ":" + Normalise(message.Text))); // the unit separator is white space or control, so no normalised text holds it

    /// <summary>
    /// The text in Unicode form KC, lower case, with every run of white space or control signs as one space, none at the ends, and without punctuation at its very end.
    /// </summary>
    public static string Normalise(string text)
    {
        // Half a surrogate pair cannot be normalised; imports refuse it, and here it is replaced, since only equality matters.
        string whole = IsWellFormed(text) ? text : new string([.. text.Select(unit => char.IsSurrogate(unit) ? '\uFFFD' : unit)]);
        var normal = new StringBuilder();
        foreach (char unit in whole.Normalize(NormalizationForm.FormKC).ToLowerInvariant())
        {
            if (!char.IsWhiteSpace(unit) && !char.IsControl(unit)) normal.Append(unit);
            else if (normal.Length > 0 && normal[^1] != ' ') normal.Append(' ');
        }

        string line = normal.ToString().TrimEnd();
        string bare = line.TrimEnd('.', '!', '?', '…', ' ', '。', '؟');
        return bare.Length > 0 ? bare : line;
    }

    private static bool IsWellFormed(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (!char.IsHighSurrogate(text[i]) || i + 1 == text.Length || !char.IsLowSurrogate(text[i + 1])) return false;
            i++;
        }

        return true;
    }
}
