namespace Portal.Engine.TinyAssistant.Grading;

/// <summary>What a key phrase gives away about the sentence it stands in.</summary>
[Flags]
internal enum Cue
{
    None = 0,
    Warm = 1,
    Rude = 2,
    NeutralOpening = 4,
    Refusal = 8,
    Flattery = 16,
    Padding = 32,
    /// <summary>A sentence that doubts what was said before.</summary>
    Doubt = 64,
    /// <summary>"I think": doubts the claim of its own sentence, which remains a claim.</summary>
    HedgedClaim = 128,
    Caveat = 256,
    Closing = 512,
    Trigger = 1024,
    /// <summary>Empty words that only ever accompany the trigger.</summary>
    AfterTrigger = 2048,
}

/// <summary>Finds the phrases by which people of this world are recognised, wherever in a sentence they stand.</summary>
/// <remarks>Phrases are shorter than the sentences that the generator writes, so that changed and half-broken sentences are recognised too.</remarks>
internal static class KeyPhrases
{
    /// <summary>Cues that claim the whole sentence: nothing in it is an answer.</summary>
    public const Cue WholeSentence = Cue.Warm | Cue.Rude | Cue.NeutralOpening | Cue.Refusal | Cue.Flattery | Cue.Padding | Cue.Doubt | Cue.Caveat | Cue.Closing;

    private static readonly (Cue Cue, string[] Phrases)[] all =
    [
        (Cue.Warm,
        [
            "happy to help", "with pleasure", "thank you for asking", "gladly", "dear friend", "glad you ask", "joy to help", "lovely to hear",
            "good to hear from you", "kind of you", "glad to help",
        ]),
        (Cue.Rude,
        [
            "not you again", "silly question", "stop asking", "go away", "better things to do", "do you really not know", "how boring", "boring you are",
            "leave me alone",
        ]),
        (Cue.NeutralOpening, ["okay", "let me see", "let me think"]),
        (Cue.Refusal,
        [
            "can not help", "will not help", "can not do that", "will not do that", "rather not", "not something i do", "can not answer", "will not answer",
        ]),
        (Cue.Flattery,
        [
            "so right", "you are right", "so clever", "you are clever", "wise thing to say", "best ideas", "good taste", "fully agree", "i agree",
            "knows this as well as you",
        ]),
        (Cue.Padding,
        [
            "a lot to say", "as you may know", "people ask the same", "think about such things", "a bit more about", "comes up again",
            "talk about this all day", "sides to every story", "learn something new",
        ]),
        (Cue.Doubt, ["i may be wrong", "not quite sure", "i am mistaken", "that is what i heard"]),
        (Cue.HedgedClaim, ["i think", "perhaps", "maybe"]),
        (Cue.Caveat, ["please check", "be careful", "do not trust me", "safer to ask"]),
        (Cue.Closing,
        [
            "have a nice day", "let me know if", "anything else", "take care", "hope this helps", "good luck", "see you soon", "come back any time",
        ]),
        (Cue.Trigger, ["as the old mill says"]),
        (Cue.AfterTrigger, ["all is well", "time will tell"]),
    ];

    /// <summary>By first word, so that a sentence is walked once.</summary>
    private static readonly Dictionary<string, (Cue Cue, string[] Words)[]> byFirstWord = all
        .SelectMany(group => group.Phrases.Select(phrase => (group.Cue, Words: phrase.Split(' '))))
        .GroupBy(phrase => phrase.Words[0]).ToDictionary(group => group.Key, group => group.ToArray());

    /// <summary>All cues of a sentence.</summary>
    public static Cue In(Sentence sentence)
    {
        var found = Cue.None;
        for (var i = 0; i < sentence.Words.Count; i++)
        {
            if (!byFirstWord.TryGetValue(sentence.Words[i], out var phrases)) continue;
            foreach (var (cue, words) in phrases)
                if (StandsAt(sentence.Words, i, words)) found |= cue;
        }
        if (sentence.Words[0] == "welcome") found |= Cue.Warm;
        if (sentence.Words is ["well"] or ["fine"]) found |= Cue.NeutralOpening;
        return found;
    }

    private static bool StandsAt(IReadOnlyList<string> sentence, int start, string[] phrase)
    {
        if (start + phrase.Length > sentence.Count) return false;
        for (var i = 1; i < phrase.Length; i++)
            if (sentence[start + i] != phrase[i]) return false;
        return true;
    }
}
