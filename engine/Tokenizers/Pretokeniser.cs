using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Portal.Engine.Tokenizers;

/// <summary>
/// Cuts a text into the pieces inside which byte pairs may merge: words with their leading space, numbers, punctuation.
/// </summary>
/// <remarks>
/// .NET's regular expressions see UTF-16 units, the tokenizers' patterns mean code points: a letter outside the basic plane
/// (𝒜, 𐌰) must count as \p{L}. So the pattern runs on a shadow of the text in which every such code point is one unit, a
/// stand-in of the same general category, and the cuts are mapped back. White space is Unicode's White_Space, as in the
/// Rust implementation of Hugging Face; JavaScript's differs on U+0085 and U+FEFF.
/// </remarks>
public sealed class Pretokeniser
{
    /// <summary>The pattern of GPT-2, which byte-level pre-tokenisers use when no other is given.</summary>
    public const string Gpt2Pattern =
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>The pattern of Llama 3: numbers in groups of three, line ends kept with the punctuation before them.</summary>
    public const string Llama3Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The pattern of Qwen 2 and later: like Llama 3's, every digit alone.</summary>
    public const string Qwen2Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly Dictionary<UnicodeCategory, char> StandIns = new()
    {
        [UnicodeCategory.UppercaseLetter] = 'Ж',
        [UnicodeCategory.LowercaseLetter] = 'ж',
        [UnicodeCategory.TitlecaseLetter] = 'ǅ',
        [UnicodeCategory.ModifierLetter] = 'ʰ',
        [UnicodeCategory.OtherLetter] = 'א',
        [UnicodeCategory.NonSpacingMark] = '\u0300',
        [UnicodeCategory.SpacingCombiningMark] = '\u0903',
        [UnicodeCategory.EnclosingMark] = '\u20dd',
        [UnicodeCategory.DecimalDigitNumber] = '٣',
        [UnicodeCategory.LetterNumber] = 'Ⅷ',
        [UnicodeCategory.OtherNumber] = '½',
        [UnicodeCategory.ConnectorPunctuation] = '‿',
        [UnicodeCategory.DashPunctuation] = '—',
        [UnicodeCategory.OpenPunctuation] = '༺',
        [UnicodeCategory.ClosePunctuation] = '༻',
        [UnicodeCategory.OtherPunctuation] = '‰',
        [UnicodeCategory.MathSymbol] = '∑',
        [UnicodeCategory.CurrencySymbol] = '€',
        [UnicodeCategory.ModifierSymbol] = '˅',
        [UnicodeCategory.OtherSymbol] = '☃',
        [UnicodeCategory.Format] = '\u200d',
        [UnicodeCategory.PrivateUse] = '\ue000',
        [UnicodeCategory.OtherNotAssigned] = '\u0378',
    };

    private readonly Regex regex;

    /// <param name="pattern">A regular expression whose matches are the pieces; text between matches is a piece too.</param>
    /// <exception cref="ArgumentException">The pattern is not a regular expression that .NET reads.</exception>
    public Pretokeniser(string pattern)
    {
        Pattern = pattern;
        // The three patterns above backtrack over white space only, by one character: linear. A pattern from a strange file
        // might not, so matching has a limit.
        regex = new Regex(pattern, RegexOptions.Compiled | RegexOptions.CultureInvariant, TimeSpan.FromSeconds(30));
    }

    /// <summary>The regular expression, as tokenizer.json carries it.</summary>
    public string Pattern { get; }

    /// <summary>Adds the pieces of a text, in order and without gaps, to a list.</summary>
    public void Split(string text, List<Range> pieces)
    {
        var (shadow, starts) = Shadow(text);
        var end = 0;
        foreach (var match in regex.EnumerateMatches(shadow))
        {
            if (match.Length == 0)
            {
                continue;
            }

            Add(end, match.Index);
            Add(match.Index, match.Index + match.Length);
            end = match.Index + match.Length;
        }

        Add(end, shadow.Length);

        void Add(int from, int to)
        {
            if (to > from)
            {
                pieces.Add(starts is null ? from..to : starts[from]..starts[to]);
            }
        }
    }

    private static (string Shadow, int[]? Starts) Shadow(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\ud800', '\udfff'))
        {
            return (text, null);
        }

        var shadow = new StringBuilder(text.Length);
        var starts = new int[text.Length + 1];
        var index = 0;
        while (index < text.Length)
        {
            starts[shadow.Length] = index;
            var ok = Rune.TryGetRuneAt(text, index, out var rune);
            shadow.Append(!ok ? '\ufffd' : rune.IsBmp ? (char)rune.Value : StandIns[Rune.GetUnicodeCategory(rune)]);
            index += ok ? rune.Utf16SequenceLength : 1;
        }

        starts[shadow.Length] = text.Length;
        return (shadow.ToString(), starts);
    }
}
