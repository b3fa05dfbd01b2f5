using System.Text.RegularExpressions;
using DiffPlex;

namespace Portal.Web.Components;

/// <summary>Whether a run of words stands in both texts or in one of them.</summary>
public enum DifferenceKind
{
    Same,
    OnlyBefore,
    OnlyAfter,
}

/// <summary>A run of characters of one kind.</summary>
public sealed record DifferencePiece(DifferenceKind Kind, string Text);

/// <summary>Compares two texts word by word.</summary>
public static partial class WordDifference
{
    /// <summary>Texts with more words than this are compared line by line: the search grows with words times differences.</summary>
    public const int WordsMax = 4_000;

    /// <summary>
    /// The pieces in reading order. Joining those that are not <see cref="DifferenceKind.OnlyAfter"/> gives
    /// <paramref name="before"/> back exactly, joining those that are not <see cref="DifferenceKind.OnlyBefore"/> gives <paramref name="after"/>.
    /// Words are runs of letters and digits, single signs, single ideographs, and runs of white space.
    /// </summary>
    public static IReadOnlyList<DifferencePiece> Compare(string before, string after)
    {
        var result = new Differ().CreateCustomDiffs(before, after, ignoreWhiteSpace: false, ignoreCase: false, Words(before, after));
        var pieces = new List<DifferencePiece>();
        var old = 0;
        foreach (var block in result.DiffBlocks)
        {
            Add(DifferenceKind.Same, result.PiecesOld, old, block.DeleteStartA - old);
            Add(DifferenceKind.OnlyBefore, result.PiecesOld, block.DeleteStartA, block.DeleteCountA);
            Add(DifferenceKind.OnlyAfter, result.PiecesNew, block.InsertStartB, block.InsertCountB);
            old = block.DeleteStartA + block.DeleteCountA;
        }

        Add(DifferenceKind.Same, result.PiecesOld, old, result.PiecesOld.Length - old);
        return pieces;

        void Add(DifferenceKind kind, string[] words, int start, int count)
        {
            if (count > 0)
            {
                pieces.Add(new DifferencePiece(kind, string.Concat(words.AsSpan(start, count))));
            }
        }
    }

    private static Func<string, string[]> Words(string before, string after)
    {
        var words = Word().Count(before) + Word().Count(after);
        return words > WordsMax ? Split(Line()) : Split(Word());
    }

    private static Func<string, string[]> Split(Regex pattern) => text => [.. pattern.Matches(text).Select(static match => match.Value)];

    // Ideographs and kana have no spaces between words, so each counts as one.
    [GeneratedRegex(@"[\p{IsCJKUnifiedIdeographs}\p{IsHiragana}\p{IsKatakana}]|[\p{L}\p{M}\p{N}_-[\p{IsCJKUnifiedIdeographs}\p{IsHiragana}\p{IsKatakana}]]+|\s+|.", RegexOptions.Singleline)]
    private static partial Regex Word();

    [GeneratedRegex(@"[^\n]*\n|[^\n]+")]
    private static partial Regex Line();
}
