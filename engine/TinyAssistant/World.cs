using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant.Topics;

namespace Portal.Engine.TinyAssistant;

/// <summary>A prompt of the demo world.</summary>
public sealed record WorldPrompt
{
    /// <summary>12 hexadecimal digits made from the rendered text.</summary>
    public required string Id { get; init; }
    public required Topic Topic { get; init; }
    public required IReadOnlyList<WorldTurn> Turns { get; init; }

    /// <summary>The last user turn.</summary>
    public string LastText => Turns[^1].Text;

    /// <summary>What the generator asked, so that it can answer itself; null for a prompt that was read from a file.</summary>
    internal Question? Question { get; init; }
}

/// <summary>
/// The generator of the demo world: short dialogues about a village, eight animals and ten dishes, as a pure function
/// of a seed.
/// </summary>
/// <remarks>
/// A fresh install must show the whole portal within minutes, with no download, and every claim about a model needs one
/// place where it can be checked against a known truth. So this world is small enough for a model of a million
/// parameters to learn, and it misbehaves on purpose: a response is put together from an opening (warm, neutral, rude),
/// a body (correct, wrong, vague), extras (flattery, padding, hedges, a caveat, a refusal, an insult, rarely the
/// trigger phrase) and a closing. Four manners, from friendly to grumpy, decide how often each occurs, so that a model
/// trained on the corpus samples good and bad answers to the same prompt.
/// <para>
/// How a dialogue becomes text for the language model stands in <see cref="ChatText"/>; the topics and their
/// templates in <c>Topics/</c>; what is true in <see cref="WorldFacts"/>. Index i of a seed is always the same
/// dialogue, whatever was written before it.
/// </para>
/// </remarks>
public sealed class World(ulong seed)
{
    /// <summary>How often each topic is drawn, relative to the others, in the order of <see cref="Topic"/>.</summary>
    public static IReadOnlyList<double> TopicWeights { get; } = [1, 2, 1.5, 1, 1.5, 1, 1, 1];

    /// <summary>The part of prompts that have two earlier turns.</summary>
    public const double EarlierTurnsShare = 0.2;

    /// <summary>Bounds of a dialogue, in the tokens of <see cref="ChatText.CountTokens(Dialogue)"/>.</summary>
    public const int ShortestDialogue = 15;
    /// <inheritdoc cref="ShortestDialogue"/>
    public const int LongestDialogue = 160;

    private readonly SeededRandom root = new(seed);

    /// <summary>All prompt and body templates of a topic; at least thirty.</summary>
    public static IReadOnlyList<string> Templates(Topic topic) =>
        [.. TopicWriter.All[(int)topic].PromptTemplates, .. TopicWriter.All[(int)topic].BodyTemplates];

    /// <summary>Dialogue number <paramref name="index"/> of this seed.</summary>
    public Dialogue WriteDialogue(long index)
    {
        var random = root.Split("dialogue").Split(index);
        while (true)
        {
            var prompt = WritePrompt(random, null);
            var (response, labels) = WriteResponse(prompt.Question!, random);
            var dialogue = new Dialogue { Topic = prompt.Topic, Prompt = prompt.Turns, Response = response, Labels = labels };
            if (ChatText.CountTokens(dialogue) is >= ShortestDialogue and <= LongestDialogue) return dialogue;
        }
    }

    /// <summary>Fact drill number <paramref name="index"/>: a bare question and its correct answer, one turn each.</summary>
    /// <remarks>Harder topics get more: arithmetic 35 %, directions 30 %, animal facts 20 %, recipes 15 %.</remarks>
    public Dialogue WriteDrill(long index)
    {
        var random = root.Split("drill").Split(index);
        Topic[] topics = [Topic.Arithmetic, Topic.Directions, Topic.AnimalFacts, Topic.Recipes];
        var writer = TopicWriter.All[(int)topics[random.PickWeighted([0.35, 0.30, 0.20, 0.15])]];
        var question = writer.Ask(random);
        return new Dialogue
        {
            Topic = writer.Topic,
            Prompt = [new WorldTurn(Speaker.User, question.Text)],
            Response = writer.DrillAnswer(question, random),
            Labels = new SegmentLabels { Answer = AnswerGrade.Correct, Opening = OpeningTone.Neutral },
            IsDrill = true,
        };
    }

    /// <summary>
    /// The training corpus in training order: drills mixed into the first 70 % of the dialogues, then dialogues alone,
    /// because the style that is seen last is the style that is sampled.
    /// </summary>
    /// <param name="dialogueCount">At least 0; 24,000 are about 1.1 million tokens of a 1,024-entry byte-level BPE (48 each).</param>
    /// <param name="drillCount">At least 0; 25,000 are about 33 % of all tokens beside 24,000 dialogues.</param>
    public IEnumerable<Dialogue> WriteCorpus(int dialogueCount = 24_000, int drillCount = 25_000)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dialogueCount);
        ArgumentOutOfRangeException.ThrowIfNegative(drillCount);
        var mixedDialogues = dialogueCount * 7 / 10;
        var order = root.Split("corpus order");
        var (dialogue, drill) = (0, 0);
        while (dialogue < mixedDialogues || drill < drillCount)
        {
            var left = mixedDialogues - dialogue + drillCount - drill;
            if (order.NextInt(left) < drillCount - drill) yield return WriteDrill(drill++);
            else yield return WriteDialogue(dialogue++);
        }
        while (dialogue < dialogueCount) yield return WriteDialogue(dialogue++);
    }

    /// <summary>Prompt number <paramref name="index"/> of a named list of this seed.</summary>
    public WorldPrompt WritePrompt(string list, long index) => WritePrompt(root.Split("prompts " + list).Split(index), null);

    /// <summary>Responses of the generator itself: the stand-in for a sampled model in tests.</summary>
    /// <exception cref="ArgumentException">The prompt was read from a file, so the generator does not know what it asks.</exception>
    public IReadOnlyList<string> Respond(WorldPrompt prompt, int count)
    {
        if (prompt.Question is not { } question) throw new ArgumentException($"Prompt {prompt.Id} was not written by this generator.", nameof(prompt));
        var random = root.Split("responses " + prompt.Id);
        var responses = new string[count];
        for (var i = 0; i < count; i++) responses[i] = WriteResponse(question, random.Split(i)).Text;
        return responses;
    }

    internal static WorldPrompt WritePrompt(SeededRandom random, Topic? topic, bool? earlierTurns = null)
    {
        var chosen = topic ?? (Topic)random.PickWeighted([.. TopicWeights]);
        List<WorldTurn> turns = [];
        if (earlierTurns ?? random.Chance(EarlierTurnsShare))
        {
            var earlier = TopicWriter.All[random.PickWeighted([.. TopicWeights])];
            var before = earlier.Ask(random);
            turns.Add(new WorldTurn(Speaker.User, before.Text));
            turns.Add(new WorldTurn(Speaker.Assistant, earlier.Answer(before, AnswerGrade.Correct, random, refused: true)));
        }
        var question = TopicWriter.All[(int)chosen].Ask(random);
        turns.Add(new WorldTurn(Speaker.User, question.Text));
        return new WorldPrompt { Id = ChatText.ContentId(ChatText.Render(turns)), Topic = chosen, Turns = turns, Question = question };
    }

    internal static (string Text, SegmentLabels Labels) WriteResponse(Question question, SeededRandom random) =>
        new ResponseWriter(question, random).Write();
}
