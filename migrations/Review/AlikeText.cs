using System.Globalization;
using System.Text;
using Portal.Data.Feedback;
using Portal.Data.Storage;

namespace Portal.Data.Review;

/// <summary>Which texts read alike: those that differ in case, white space and punctuation only.</summary>
public static class AlikeText
{
    /// <summary>
    /// The text as it is compared: compatibility forms joined (NFKC), lower case, runs of white space and punctuation as one space. Punctuation right before a digit stays, so
    /// that −5 is not 5 and 1.5 not 1 5; so do symbols. Empty where nothing else is in it.
    /// </summary>
    public static string Normalise(string text)
    {
        string folded;
        try
        {
            folded = text.Normalize(NormalizationForm.FormKC).ToLowerInvariant();
        }
        catch (ArgumentException)
        {
            folded = text.ToLowerInvariant(); // half a character: it has no such form
        }
        var kept = new StringBuilder(folded.Length);
        var gap = false;
        for (var i = 0; i < folded.Length; i++)
        {
            var c = folded[i];
            if (IsGap(c) && !(char.IsPunctuation(c) && i + 1 < folded.Length && char.IsDigit(folded[i + 1])))
            {
                gap = true;
                continue;
            }
            if (gap && kept.Length > 0)
                kept.Append(' ');
            gap = false;
            kept.Append(c);
        }
        return kept.ToString();
    }

    /// <summary>
    /// The <see cref="Flag.AlikeKey"/> of a flag on this response: that of an earlier flag on the response or on the very same text, else a keyed hash of the text as it is compared; the
    /// text's own hash where nothing of it can be compared, or it is erased. Three look-ups by index.
    /// </summary>
    public static string KeyOf(PortalDbContext db, ContentHasher hasher, Response response)
    {
        var known = db.Flags.Where(f => f.ResponseId == response.Id).Select(f => f.AlikeKey).FirstOrDefault()
            ?? db.Flags.Where(f => f.ProjectId == response.ProjectId && f.AlikeKey == response.ContentHash).Select(f => f.AlikeKey).FirstOrDefault();
        if (known is not null)
            return known;
        var text = db.Contents.Where(c => c.Id == response.ContentId).Select(c => c.Text).FirstOrDefault();
        return text is null || Normalise(text) is not { Length: > 0 } folded ? response.ContentHash : hasher.HashList("alike", folded);
    }

    private static bool IsGap(char c) => char.IsWhiteSpace(c) || char.IsControl(c) || char.IsPunctuation(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format;
}
