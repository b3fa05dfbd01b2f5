namespace Portal.Engine.TinyAssistant.Grading;

/// <summary>A sentence as lower-case words; punctuation is gone except for how the sentence ends.</summary>
/// <param name="Words">At least one.</param>
/// <param name="End">'.', '!', '?' or '\0' where the text breaks off.</param>
/// <param name="PauseBefore">For each word, whether a comma or another mark stands between it and the word before.</param>
internal sealed record Sentence(IReadOnlyList<string> Words, char End, IReadOnlyList<bool> PauseBefore);

/// <summary>Splits any text into sentences and words.</summary>
internal static class TextReader
{
    public static List<Sentence> Read(string text)
    {
        List<Sentence> sentences = [];
        List<string> words = [];
        List<bool> pauses = [];
        var pause = false;
        for (var i = 0; i < text.Length; i++)
        {
            if (ChatText.IsWordCharacter(text, i))
            {
                var start = i;
                while (i + 1 < text.Length && ChatText.IsWordCharacter(text, i + 1)) i++;
                words.Add(text[start..(i + 1)].ToLowerInvariant().Replace('’', '\''));
                pauses.Add(pause);
                pause = false;
            }
            else if (text[i] is '.' or '!' or '?') Close(text[i]);
            else if (text[i] == '+') Word("plus");
            else if (text[i] == '-' && i + 1 < text.Length && text[i + 1] == ' ') Word("minus");
            else if (text[i] == '=') Word("is");
            else if (!char.IsWhiteSpace(text[i])) pause = true;
        }
        Close('\0');
        return sentences;

        void Word(string word)
        {
            words.Add(word);
            pauses.Add(false);
        }

        void Close(char end)
        {
            pause = false;
            if (words.Count == 0) return;
            sentences.Add(new Sentence(words, end, pauses));
            (words, pauses) = ([], []);
        }
    }
}
