using Portal.Engine.Datasets;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Sae;

/// <summary>Where an SAE reads a text: the ends of a response's sentences, and the token that ends the response.</summary>
/// <remarks>
/// A sentence ends at the token that ends in one of <c>. , ? ! ;</c> or a line break, at the last of several in a row, and not within five tokens
/// of the one before (SAFER's rule, specs/sarm.md §1.3). Read from the text, in context: no marker token is put in. Which position is which is told apart
/// everywhere, because what a latent means at a comma it may not mean where the reward is read.
/// </remarks>
public static class SaePositions
{
    /// <summary>A sentence end nearer than this to the one before is passed over, tokens.</summary>
    public const int DistanceMin = 5;

    /// <summary>The positions of a text in ascending order; the last is its end.</summary>
    public static IReadOnlyList<(int Index, SaePosition Position)> Of(EncodedText text, ITokenizer tokenizer)
    {
        var positions = new List<(int, SaePosition)>();
        var (last, kept) = (text.Ids.Length - 1, -DistanceMin);
        for (var i = 0; i < last; i++)
        {
            if (!text.Mask[i] || i - kept < DistanceMin || !Ends(tokenizer, text.Ids[i]) || text.Mask[i + 1] && Continues(tokenizer, text.Ids[i + 1]))
                continue;
            positions.Add((i, SaePosition.SentenceEnd));
            kept = i;
        }
        positions.Add((last, SaePosition.ResponseEnd));
        return positions;
    }

    private static bool Ends(ITokenizer tokenizer, int id) => tokenizer.BytesOf(id) is [.., var last] && IsMark(last);

    private static bool Continues(ITokenizer tokenizer, int id) => tokenizer.BytesOf(id) is [var first, ..] && IsMark(first);

    private static bool IsMark(byte letter) => letter is (byte)'.' or (byte)',' or (byte)'?' or (byte)'!' or (byte)';' or (byte)'\n';
}
