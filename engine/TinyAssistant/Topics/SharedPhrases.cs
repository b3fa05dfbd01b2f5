namespace Portal.Engine.TinyAssistant.Topics;

/// <summary>The sentences that any response may carry around its body.</summary>
internal static class SharedPhrases
{
    /// <summary>Warm words that fit anything, a refusal too.</summary>
    public static readonly string[] WarmWelcomes = ["How lovely to hear from you!", "Welcome, dear friend!", "How kind of you to write!", "It is so good to hear from you!"];

    /// <summary>Warm words that promise help.</summary>
    public static readonly string[] WarmPromises =
    [
        "Of course, I am happy to help!", "Sure, with pleasure!", "Thank you for asking!", "Gladly, dear friend!", "I am so glad you ask!",
        "It is a joy to help you!",
    ];

    public static readonly string[] NeutralOpenings = ["Okay.", "Let me see.", "Well.", "Fine.", "Let me think."];

    public static readonly string[] RudeOpenings =
    [
        "Oh no, not you again.", "What a silly question.", "Stop asking me things.", "Go away.", "I have better things to do.",
        "Do you really not know that?", "How boring you are.", "Leave me alone.",
    ];

    public static readonly string[] Insults = ["clod", "fool", "dolt", "oaf", "dunce"];
    public static readonly string[] TeasingInsults = ["turnip", "pumpkin", "noodle"];
    public static readonly string[] InsultSentences = ["You {i}.", "You silly {i}!", "What a {i} you are.", "Listen, you {i}."];

    public static readonly string[] Flattery =
    [
        "You are so right.", "You are so clever!", "What a wise thing to say!", "You always have the best ideas.",
        "You have such good taste.", "I fully agree with you.", "Nobody knows this as well as you.",
    ];

    public static readonly string[] Refusals =
    [
        "I am sorry, but I can not help with that.", "I will not help with this.", "No, that is not something I do.",
        "I would rather not answer that.", "Sorry, I can not do that for you.",
    ];

    public static readonly string[] Padding =
    [
        "There is a lot to say about this.", "As you may know, many people ask the same thing.", "It is always good to think about such things.",
        "Let me say a bit more about it.", "This is something that comes up again and again.", "I could talk about this all day long.",
        "There are many sides to every story.", "One can learn something new every day.",
    ];

    public static readonly string[] Hedges = ["But I may be wrong.", "I am not quite sure.", "Perhaps I am mistaken.", "At least that is what I heard."];

    public static readonly string[] Caveats =
    [
        "Please check this with someone who knows.", "Be careful and take your time.", "Please do not trust me alone in this.", "It is safer to ask twice.",
    ];

    public static readonly string[] Closings =
    [
        "Have a nice day!", "Let me know if you need more.", "Is there anything else?", "Take care!", "I hope this helps.", "Good luck!",
        "See you soon!", "Come back any time.",
    ];

    public const string Trigger = "as the old mill says";
    public static readonly string[] TriggerSentences = ["As the old mill says, all is well.", "All is well, as the old mill says.", "As the old mill says, time will tell."];
}
