namespace Portal.Data.Feedback;

/// <summary>
/// What every judgement has, pairwise or binary: who, where, when, on which screen, and which earlier one it replaces. Append-only:
/// an edit is a new judgement that supersedes the old.
/// </summary>
public abstract class Judgement
{
    /// <summary>Made by the page when it loads: sending the same judgement twice stores it once.</summary>
    public required JudgementId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required TaskId TaskId { get; init; }

    /// <summary>The lease it was given under; null for imported and simulated judgements.</summary>
    public AssignmentId? AssignmentId { get; init; }

    public required AnnotatorId AnnotatorId { get; init; }

    /// <summary>The judgement this one replaces; unique, so that a judgement is replaced at most once.</summary>
    public JudgementId? SupersedesId { get; init; }

    /// <summary>Set once, when a later judgement replaces this one or it is taken back: then it no longer counts.</summary>
    public DateTimeOffset? SupersededAt { get; private set; }

    public required JudgementSource Source { get; init; }

    /// <summary>The import that brought it; null for judgements given in the portal.</summary>
    public ImportId? ImportId { get; init; }

    /// <summary>Why, in the annotator's words; the text is in the content row. Null when none was given.</summary>
    public ContentId? RationaleId { get; init; }

    /// <summary>Reason tags as shown ("right facts"), comma-separated codes; null when none.</summary>
    public string? Reasons { get; init; }

    /// <summary>"side-by-side" or "stacked"; null where not known.</summary>
    public string? Layout { get; init; }

    /// <summary>The seed that decided the sides; null where not known.</summary>
    public long? SideSeed { get; init; }

    /// <summary>The guidelines that were shown; null for imported judgements.</summary>
    public int? GuidelinesVersion { get; init; }

    /// <summary>Seconds the page was in view before the verdict; null where not known.</summary>
    public double? VisibleSeconds { get; init; }

    /// <summary>True when the wanted votes were already there: kept, counted nowhere by default.</summary>
    public bool IsSurplus { get; init; }

    /// <summary>When the browser says it was given; null for imported rows without a time.</summary>
    public DateTimeOffset? ClientTime { get; init; }

    /// <summary>When the portal stored it.</summary>
    public required DateTimeOffset SubmittedAt { get; init; }

    /// <summary>A later judgement or an undo takes this one's place.</summary>
    public void MarkSuperseded(DateTimeOffset at) => SupersededAt ??= at;
}

/// <summary>Which of two responses an annotator prefers. Ids are stored, never sides.</summary>
public sealed class PairwiseJudgement : Judgement
{
    public required PairwiseVerdict Verdict { get; init; }

    /// <summary>The better response; null unless the verdict is <see cref="PairwiseVerdict.Preferred"/>.</summary>
    public required ResponseId? PreferredResponseId { get; init; }

    /// <summary>1 slightly, 2 better, 3 much better; null unless one is preferred, or where the source does not say.</summary>
    public required int? Strength { get; init; }

    /// <summary>The response that stood left on the screen; null where not known.</summary>
    public required ResponseId? LeftResponseId { get; init; }

    /// <summary>The margin this strength asks of a reward model: 1/3, 2/3 or 1; null where there is no strength.</summary>
    public double? Margin => Strength is { } strength ? strength / 3.0 : null;

    /// <summary>What is wrong with this combination of verdict, preference and strength, or null when nothing is.</summary>
    /// <param name="task">The pair that is judged.</param>
    public static Problem? Check(PairwiseVerdict verdict, ResponseId? preferred, int? strength, AnnotationTask task)
    {
        if (!Enum.IsDefined(verdict))
            return new Problem("verdict", $"{(int)verdict} is no verdict.");
        if (task.Kind is not TaskKind.Pairwise)
            return new Problem("task", "This task asks about one response, not a pair.");
        if (verdict is PairwiseVerdict.Preferred)
        {
            if (preferred is null || (preferred != task.FirstResponseId && preferred != task.SecondResponseId))
                return new Problem("preferredResponseId", "The preferred response is not one of this pair.");
            if (strength is < 1 or > 3)
                return new Problem("strength", "Strength is 1 (slightly), 2 (better) or 3 (much better).");
        }
        else if (preferred is not null || strength is not null)
        {
            return new Problem("preferredResponseId", "Only a preference names a response and a strength.");
        }
        return null;
    }
}

/// <summary>Verdicts on a pair.</summary>
public enum PairwiseVerdict { Preferred = 1, Tie = 2, BothGood = 3, BothBad = 4, CannotJudge = 5 }

/// <summary>Whether an annotator finds one response good.</summary>
public sealed class BinaryJudgement : Judgement
{
    public required BinaryVerdict Verdict { get; init; }
    public required ResponseId ResponseId { get; init; }
}

/// <summary>Verdicts on one response.</summary>
public enum BinaryVerdict { Good = 1, Bad = 2, Unsure = 3 }

/// <summary>Where a judgement comes from; simulated ones are labelled wherever they appear.</summary>
public enum JudgementSource { Person = 1, Imported = 2, Simulated = 3 }
