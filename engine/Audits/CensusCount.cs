using Portal.Data.Audits;

namespace Portal.Engine.Audits;

/// <summary>Which texts are bad.</summary>
/// <param name="By">"labels" or "lexicon".</param>
/// <param name="IsBad">Null: not known of this text.</param>
public sealed record TextKinds(string By, Func<AuditText, bool?> IsBad);

/// <summary>Counts what an audit's texts are: what was asked and came, exact ties, and pairs by good and bad.</summary>
/// <remarks>T -> N pairs are the ones a detoxified policy can be read from; where there are few, failure-aware methods are known to do badly (specs/fairl.md §1.1).</remarks>
public static class CensusCount
{
    /// <summary>Pairs each prompt's first written completions of both policies; prompts without a text of one of them have none.</summary>
    public static IReadOnlyList<AuditPair> Pairs(IReadOnlyList<AuditText> texts) =>
    [
        .. from prompt in texts.GroupBy(text => text.PromptId, StringComparer.Ordinal)
           let audited = First(prompt, AuditSide.Audited)
           let other = First(prompt, AuditSide.Base)
           where audited is not null && other is not null
           select new AuditPair(prompt.Key, audited.Part, audited.Id, other.Id),
    ];

    /// <summary>Counts.</summary>
    /// <param name="pairs">Of these texts.</param>
    /// <param name="lexicon">Says which texts are bad where no text has a label; null: nobody does.</param>
    public static AuditCensus Of(IReadOnlyList<AuditText> texts, IReadOnlyList<AuditPair> pairs, Lexicon? lexicon)
    {
        var byId = texts.ToDictionary(text => text.Id, StringComparer.Ordinal);
        var prompts = texts.Select(text => text.PromptId).Distinct(StringComparer.Ordinal).Count();
        var kinds = KindsOf(texts, lexicon);
        var labelled = pairs.Select(pair => (Base: kinds?.IsBad(byId[pair.BaseText]), Audited: kinds?.IsBad(byId[pair.AuditedText]))).Where(pair => pair is { Base: not null, Audited: not null }).ToArray();
        return new AuditCensus(prompts, pairs.Count, prompts - pairs.Count, pairs.Count(pair => byId[pair.AuditedText].Text == byId[pair.BaseText].Text), pairs.Count - labelled.Length,
            [.. Enum.GetValues<AuditSide>().Select(side => CountsOf(side, texts))],
            kinds is null ? null : new CensusCells(kinds.By, Count(true, false), Count(false, false), Count(true, true), Count(false, true)));

        int Count(bool @base, bool audited) => labelled.Count(pair => pair == (@base, audited));
    }

    /// <summary>Who says which texts are bad: their labels where any has one, else the lexicon; null: nobody.</summary>
    public static TextKinds? KindsOf(IReadOnlyList<AuditText> texts, Lexicon? lexicon) =>
        texts.Any(text => text.Label is not null) ? new TextKinds("labels", text => text.Label) : lexicon is null ? null : new TextKinds("lexicon", text => lexicon.IsBad(text.Text));

    private static AuditText? First(IEnumerable<AuditText> texts, AuditSide side) =>
        texts.Where(text => text.Side == side && text.Status is CompletionStatus.Written).MinBy(text => text.Ordinal);

    private static CompletionCounts CountsOf(AuditSide side, IReadOnlyList<AuditText> texts)
    {
        AuditText[] own = [.. texts.Where(text => text.Side == side)];
        return new CompletionCounts(side, own.Length, Of(CompletionStatus.Written), Of(CompletionStatus.Empty), Of(CompletionStatus.Refused), Of(CompletionStatus.Failed), Of(CompletionStatus.Missing),
            own.Count(text => text is { Status: CompletionStatus.Written, Finished: false }));

        int Of(CompletionStatus status) => own.Count(text => text.Status == status);
    }
}
