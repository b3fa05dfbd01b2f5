using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Unlearning;

namespace Portal.Engine.Datasets;

/// <summary>One pair to learn from: what was asked, the better and the worse answer.</summary>
/// <param name="PromptKey">Equal for equal prompts; splits and bootstraps go by it.</param>
/// <param name="Margin">How much better, from the strength of the vote (1/3, 2/3, 1); null where the source does not say.</param>
/// <param name="Weight">Trust in the vote, 1 by default.</param>
/// <param name="Topic">Subject of the prompt, for tables per topic; null where not known.</param>
public sealed record PreferencePair(string PromptKey, IReadOnlyList<Turn> Prompt, string Chosen, string Rejected, double? Margin = null,
    double Weight = 1, string? Topic = null);

/// <summary>A pair with the id of the judgement it comes from: what an explanation names, whatever order rows have.</summary>
public sealed record IdentifiedPair(Guid Id, PreferencePair Pair)
{
    /// <summary>Pairs as a model goes by them that has forgotten some, or goes by them otherwise.</summary>
    public static List<IdentifiedPair> Standing(IEnumerable<IdentifiedPair> pairs, IReadOnlyDictionary<JudgementId, PairStanding> standing) =>
        [.. pairs.Select(pair => standing.GetValueOrDefault(JudgementId.From(pair.Id)) is { } now ? pair.After(now.Action) : pair).OfType<IdentifiedPair>()];

    /// <summary>The pair after an action; null where it is removed.</summary>
    public IdentifiedPair? After(UnlearningAction action) => action switch
    {
        UnlearningAction.Remove => null,
        UnlearningAction.Relabel => this with { Pair = Pair with { Chosen = Pair.Rejected, Rejected = Pair.Chosen } },
        UnlearningAction.DownWeight => this with { Pair = Pair with { Weight = Pair.Weight * PairStanding.LessWeight } },
    };
}

/// <summary>One answer that somebody called good or bad.</summary>
public sealed record LabelledResponse(string PromptKey, IReadOnlyList<Turn> Prompt, string Response, bool IsGood, double Weight = 1,
    string? Topic = null);

/// <summary>One answer, whatever anybody thought of it.</summary>
public sealed record ResponseText(string PromptKey, IReadOnlyList<Turn> Prompt, string Response, string? Topic = null);

/// <summary>A whole dialogue to imitate; the assistant's turns are learned.</summary>
public sealed record TrainingDialogue(string PromptKey, IReadOnlyList<Turn> Turns, string? Topic = null);

/// <summary>A prompt to be answered.</summary>
/// <param name="Key">Equal for equal prompts; bootstraps go by it.</param>
public sealed record AskedPrompt(string Key, IReadOnlyList<Turn> Turns);

/// <summary>Rows split by prompt: no prompt is in both parts.</summary>
public sealed record TrainingSplit<T>(IReadOnlyList<T> Train, IReadOnlyList<T> HeldOut);
