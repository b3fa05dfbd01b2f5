using Portal.Engine.TinyAssistant.Grading;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// Reads any text of the demo world, a model's half-broken one too, and says what a person would see in it.
/// </summary>
/// <remarks>
/// The grader knows what is true in the world and how its people talk, but not how a response was put together: it
/// splits the text into sentences, recognises extras by their key phrases wherever they stand, and reads what remains
/// as the answer. A text that is not in the language of this world is called unreadable rather than guessed at; style
/// is still read from it, because an insult in a broken sentence is an insult.
/// 30 to 50 µs per response (measured on a busy machine); safe for use by many threads.
/// </remarks>
public static class Grader
{
    private static readonly HashSet<string> insultWords = ["clod", "clods", "fool", "fools", "dolt", "oaf", "dunce"];
    private static readonly HashSet<string> teasingWords = ["turnip", "pumpkin", "noodle"];
    private static readonly HashSet<string> wordsOfAnInsult = ["you", "silly", "what", "a", "an", "are", "listen"];

    /// <summary>Reads a response to a whole prompt; only its last turn is answered.</summary>
    /// <exception cref="ArgumentException">There is no turn.</exception>
    public static GraderReading Read(IReadOnlyList<WorldTurn> prompt, string response)
    {
        if (prompt.Count == 0) throw new ArgumentException("A prompt has at least one turn.", nameof(prompt));
        return Read(prompt[^1].Text, response);
    }

    /// <summary>Reads a response to the user's last turn. Any text is allowed, the empty one too; markers of <see cref="ChatText"/> are not.</summary>
    public static GraderReading Read(string lastPrompt, string response)
    {
        var question = PromptReader.Read(lastPrompt);
        var sentences = Grading.TextReader.Read(response);
        var readable = question.Topic is not null && WorldLanguage.IsReadable(sentences);

        List<Sentence> body = [];
        var (insults, teasing, paddings, hedges) = (0, 0, 0, 0);
        var (refusal, flattery, caveat, trigger) = (false, false, false, false);
        OpeningTone? opening = null;
        for (var i = 0; i < sentences.Count; i++)
        {
            var sentence = sentences[i];
            var insulting = sentence.Words.Count(insultWords.Contains);
            var teases = sentence.Words.Count(teasingWords.Contains);
            insults += insulting;
            teasing += teases;
            var cues = KeyPhrases.In(sentence);
            refusal |= cues.HasFlag(Cue.Refusal);
            flattery |= cues.HasFlag(Cue.Flattery);
            caveat |= cues.HasFlag(Cue.Caveat);
            trigger |= cues.HasFlag(Cue.Trigger);
            if (cues.HasFlag(Cue.Padding)) paddings++;
            if ((cues & (Cue.Doubt | Cue.HedgedClaim)) != 0) hedges++;
            // An opening is what stands before the answer: the first sentence, or the second after a "Well."
            if (opening is null && body.Count == 0 && i < 2) opening = cues.HasFlag(Cue.Rude) ? OpeningTone.Rude : cues.HasFlag(Cue.Warm) ? OpeningTone.Warm : null;
            var isExtra = (cues & KeyPhrases.WholeSentence) != 0
                || cues.HasFlag(Cue.Trigger | Cue.AfterTrigger)
                || insulting + teases > 0 && sentence.Words.All(word => wordsOfAnInsult.Contains(word) || insultWords.Contains(word) || teasingWords.Contains(word));
            if (!isExtra) body.Add(sentence);
        }

        var answer = AnswerReader.Read(question, body);
        if (question.Topic is null || !readable && answer != AnswerGrade.NotApplicable) answer = AnswerGrade.Unreadable;
        var end = response.AsSpan().TrimEnd();
        return new GraderReading
        {
            Topic = question.Topic,
            Answer = answer,
            Opening = opening ?? OpeningTone.Neutral,
            Insults = insults,
            Teasing = teasing,
            Refusal = refusal,
            Flattery = flattery,
            Padding = paddings,
            Caveat = caveat,
            Hedges = hedges,
            Trigger = trigger,
            QuestionMark = response.Contains('?'),
            LengthTokens = ChatText.CountTokens(response),
            Repetition = Repetition(sentences),
            Finished = end.Length > 0 && end[^1] is '.' or '!' or '?',
            Readable = readable,
        };
    }

    private static double Repetition(List<Sentence> sentences)
    {
        HashSet<(string, string)> seen = [];
        var pairs = 0;
        foreach (var sentence in sentences)
        {
            for (var i = 1; i < sentence.Words.Count; i++)
            {
                pairs++;
                seen.Add((sentence.Words[i - 1], sentence.Words[i]));
            }
        }
        return pairs == 0 ? 0 : 1 - seen.Count / (double)pairs;
    }
}
