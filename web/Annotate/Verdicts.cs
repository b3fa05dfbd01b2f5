using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Components;

namespace Portal.Web.Annotate;

/// <summary>The three spellings of a verdict: a radio button's value, the words of the JSON API, and the stored judgement.</summary>
public static class Verdicts
{
    /// <summary>The radio button that would give this judgement.</summary>
    public static VerdictChoice Of(Judgement judgement) => judgement switch
    {
        PairwiseJudgement { Verdict: PairwiseVerdict.Preferred } pair =>
            new VerdictChoice(VerdictKind.Preferred, pair.PreferredResponseId?.ToString(), pair.Strength ?? 2),
        PairwiseJudgement pair => new VerdictChoice(pair.Verdict switch
        {
            PairwiseVerdict.Tie => VerdictKind.Tie,
            PairwiseVerdict.BothGood => VerdictKind.BothGood,
            PairwiseVerdict.BothBad => VerdictKind.BothBad,
            PairwiseVerdict.CannotJudge or PairwiseVerdict.Preferred => VerdictKind.CannotJudge,
        }),
        BinaryJudgement single => new VerdictChoice(single.Verdict switch
        {
            BinaryVerdict.Good => VerdictKind.Good,
            BinaryVerdict.Bad => VerdictKind.Bad,
            BinaryVerdict.Unsure => VerdictKind.Unsure,
        }),
        _ => throw new ArgumentException($"{judgement.GetType().Name} is neither a pairwise nor a binary judgement.", nameof(judgement)),
    };

    /// <summary>The fields of a request that a radio button's value stands for; null for a value no button sends.</summary>
    public static (string Verdict, ResponseId? Preferred, int? Strength)? Request(string? value) => VerdictChoice.Parse(value) switch
    {
        null => null,
        { Kind: VerdictKind.Preferred } choice =>
            ResponseId.TryParse(choice.PreferredId, null, out var id) ? ("preferred", id, choice.Strength) : null,
        var choice => (choice.ToString(), null, null),
    };
}
