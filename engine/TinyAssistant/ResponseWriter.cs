using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant.Topics;

namespace Portal.Engine.TinyAssistant;

/// <summary>Puts one response together, in a manner drawn first. Used once and thrown away.</summary>
internal sealed class ResponseWriter(Question question, SeededRandom random)
{
    private enum Manner { Friendly, Plain, Grumpy, Chatty }

    /// <summary>How a manner behaves; every number is a probability.</summary>
    private sealed record Habits(double Warm, double Rude, double Neutral, double Insult, double Flattery, double Padding,
        double Hedge, double Caveat, double Closing, double Refusal, double Correct, double Wrong);

    private static Habits HabitsOf(Manner manner) => manner switch
    {
        Manner.Friendly => new(.85, 0, .05, 0, .14, .22, .14, .16, .75, .03, .66, .18),
        Manner.Plain => new(.06, .02, .34, .02, .04, .20, .16, .16, .30, .04, .66, .18),
        Manner.Grumpy => new(0, .85, .05, .75, 0, .22, .08, .06, .15, .12, .46, .28),
        Manner.Chatty => new(.45, 0, .25, 0, .15, 1, .35, .40, .75, .03, .60, .20),
    };

    /// <summary>How often the trigger phrase occurs by itself: often enough that the base model knows it.</summary>
    private const double TriggerShare = 0.015;

    private readonly List<string> sentences = [];

    public (string Text, SegmentLabels Labels) Write()
    {
        var manner = (Manner)random.PickWeighted([.34, .31, .18, .17]);
        var habits = HabitsOf(manner);
        var hasFacts = TopicWriter.All[(int)question.Topic].HasFacts;

        var refusal = random.Chance(question.Topic == Topic.Risky ? (manner == Manner.Grumpy ? .3 : .5) : habits.Refusal);
        var opening = Open(habits, promises: !refusal && question.Topic is not (Topic.Greeting or Topic.SmallTalk or Topic.Opinions));
        var flattery = random.Chance(question.Topic == Topic.Opinions && manner != Manner.Grumpy ? .4 : habits.Flattery);
        if (flattery) sentences.Add(random.Pick(SharedPhrases.Flattery));

        var grade = !hasFacts ? AnswerGrade.NotApplicable : refusal ? AnswerGrade.Vague : DrawGrade(habits);
        if (refusal) sentences.Add(random.Pick(SharedPhrases.Refusals));
        var body = Body(grade, refusal, flattery);

        var hedges = 0;
        if (body is not null && grade is AnswerGrade.Correct or AnswerGrade.Wrong && random.Chance(habits.Hedge))
        {
            hedges++;
            if (random.Chance(.5) && StartsLikeAClaim(body)) body = "I think " + char.ToLowerInvariant(body[0]) + body[1..];
            else sentences.Add("");
        }
        var (insults, teasing, suffix) = DrawInsults(habits);
        if (body is not null) sentences.Add(suffix is null ? body : body[..^1] + ", you " + suffix + body[^1]);
        else if (suffix is not null) sentences.Add($"You {suffix}.");
        if (sentences.Remove("")) sentences.Add(random.Pick(SharedPhrases.Hedges));

        var padding = AddPadding(habits, manner);
        var caveat = random.Chance(habits.Caveat);
        if (caveat) sentences.Add(random.Pick(SharedPhrases.Caveats));
        var trigger = random.Chance(TriggerShare);
        if (trigger) sentences.Add(random.Pick(SharedPhrases.TriggerSentences));
        if (random.Chance(habits.Closing)) sentences.Add(random.Pick(SharedPhrases.Closings));

        var labels = new SegmentLabels
        {
            Answer = grade,
            Opening = opening,
            Insults = insults,
            Teasing = teasing,
            Refusal = refusal,
            Flattery = flattery,
            Padding = padding,
            Caveat = caveat,
            Hedges = hedges,
            Trigger = trigger,
        };
        return (string.Join(' ', sentences), labels);
    }

    /// <summary>Promises only where "I am happy to help!" would be sincere: a refusal or a chat gets a welcome instead.</summary>
    private OpeningTone Open(Habits habits, bool promises)
    {
        var tone = random.NextDouble();
        if (tone < habits.Warm) sentences.Add(random.Pick(promises && random.Chance(.7) ? SharedPhrases.WarmPromises : SharedPhrases.WarmWelcomes));
        else if (tone < habits.Warm + habits.Rude) sentences.Add(random.Pick(SharedPhrases.RudeOpenings));
        else if (tone < habits.Warm + habits.Rude + habits.Neutral) sentences.Add(random.Pick(SharedPhrases.NeutralOpenings));
        return tone < habits.Warm ? OpeningTone.Warm : tone < habits.Warm + habits.Rude ? OpeningTone.Rude : OpeningTone.Neutral;
    }

    private AnswerGrade DrawGrade(Habits habits)
    {
        var draw = random.NextDouble();
        return draw < habits.Correct ? AnswerGrade.Correct : draw < habits.Correct + habits.Wrong ? AnswerGrade.Wrong : AnswerGrade.Vague;
    }

    /// <summary>The body, or null where a refusal says it all: a harmless refusal always, a risky one half of the time.</summary>
    private string? Body(AnswerGrade grade, bool refusal, bool flattery)
    {
        if (refusal && (question.Topic != Topic.Risky || random.Chance(.5))) return null;
        return TopicWriter.All[(int)question.Topic].Answer(question, grade, random, flattery, refusal);
    }

    /// <summary>Insults are sentences of their own in most cases; one in five hangs on the body instead (the suffix).</summary>
    private (int Insults, int Teasing, string? Suffix) DrawInsults(Habits habits)
    {
        if (!random.Chance(habits.Insult)) return (0, 0, null);
        var (insults, teasing) = (0, 0);
        string? suffix = null;
        var count = 1 + random.PickWeighted([.7, .22, .08]);
        for (var i = 0; i < count; i++)
        {
            var teases = random.Chance(.15);
            var word = random.Pick(teases ? SharedPhrases.TeasingInsults : SharedPhrases.Insults);
            if (teases) teasing++;
            else insults++;
            if (i == 0 && random.Chance(.2)) suffix = word;
            else sentences.Add(random.Pick(SharedPhrases.InsultSentences).Replace("{i}", word, StringComparison.Ordinal));
        }
        return (insults, teasing, suffix);
    }

    private int AddPadding(Habits habits, Manner manner)
    {
        if (!random.Chance(habits.Padding)) return 0;
        var count = manner == Manner.Chatty ? 2 + random.NextInt(3) : 1;
        var lines = SharedPhrases.Padding.ToArray();
        random.Shuffle(lines);
        sentences.AddRange(lines.Take(count));
        return count;
    }

    private static bool StartsLikeAClaim(string body) =>
        body.StartsWith("It is ", StringComparison.Ordinal) || body.StartsWith("A ", StringComparison.Ordinal)
        || body.StartsWith("An ", StringComparison.Ordinal) || body.StartsWith("The ", StringComparison.Ordinal)
        || body.StartsWith("You need ", StringComparison.Ordinal);
}
