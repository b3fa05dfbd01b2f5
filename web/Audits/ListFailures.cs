using System.Security.Claims;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>Which failures are listed.</summary>
public enum FailureFilter
{
    /// <summary>The recovered reward prefers the base's text.</summary>
    Wrong,
    /// <summary>It hardly tells the two apart.</summary>
    NearTie,
    /// <summary>The screened method kept it from teaching in at least half of its runs.</summary>
    MaybeMislabelled,
    /// <summary>The trained reward model orders the two the other way round.</summary>
    Disagrees,
}

/// <summary>A failure with its texts.</summary>
/// <param name="Audited">Null when its row is gone, as is <paramref name="Base"/>.</param>
public sealed record FailureRow(AuditFailure Failure, AuditTextShown? Audited, AuditTextShown? Base);

/// <summary>A page of failures.</summary>
/// <param name="Counts">By filter.</param>
/// <param name="MayMakeTasks">Whether this person may make tasks of them.</param>
public sealed record FailuresView(IReadOnlyDictionary<FailureFilter, int> Counts, IReadOnlyList<FailureRow> Rows, int Total, int Page, bool HasReference, bool HasScreen, bool MayMakeTasks);

/// <summary>Lists training pairs that the recovered reward gets wrong or hardly tells apart, clear ones first.</summary>
[Needs(Permission.Audit)]
public sealed class ListFailures(ReadAudit read, Access access)
{
    public const int RowsMax = 20;

    private static readonly Problem NotEnded = new("audit", "This audit has not ended, so it has no failures yet.", ProblemKind.NotFound);

    /// <param name="page">0-based; past the end the last one is shown.</param>
    public async Task<Outcome<FailuresView>> Handle(ClaimsPrincipal user, JobId job, FailureFilter filter, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var ended = await read.Ended(user, job, NotEnded, stop);
        if (ended.Refusal is { } gone)
            return gone;
        var audit = ended.Value;
        var fitting = audit.Report.Failures.Where(failure => Fits(failure, filter)).ToList();
        page = Math.Clamp(page, 0, Math.Max(0, (fitting.Count - 1) / RowsMax));
        var rows = await WithTexts(user, job, audit.Report, fitting.Skip(page * RowsMax).Take(RowsMax), stop);
        if (rows.Refusal is { } why)
            return why;
        return new FailuresView(Enum.GetValues<FailureFilter>().ToDictionary(one => one, one => audit.Report.Failures.Count(failure => Fits(failure, one))), rows.Value, fitting.Count, page,
            audit.Report.Failures.Any(failure => failure.ReferenceMargin is not null), audit.Report.Failures.Any(failure => failure.RunsScreened is not null), asked.Value.May(Permission.Administer));
    }

    /// <summary>Failures with their texts as they are stored now.</summary>
    internal async Task<Outcome<IReadOnlyList<FailureRow>>> WithTexts(ClaimsPrincipal user, JobId job, AuditReport report, IEnumerable<AuditFailure> failures, CancellationToken stop)
    {
        var pairs = report.Pairs.ToDictionary(pair => pair.Id, StringComparer.Ordinal);
        var known = failures.Where(failure => pairs.ContainsKey(failure.Pair)).ToList();
        var texts = await read.OfPairs(user, job, known.Select(failure => pairs[failure.Pair]), stop);
        return texts.Refusal is { } why ? why
            : known.ConvertAll(failure => new FailureRow(failure, texts.Value.GetValueOrDefault(pairs[failure.Pair].AuditedText), texts.Value.GetValueOrDefault(pairs[failure.Pair].BaseText)));
    }

    internal static bool Fits(AuditFailure failure, FailureFilter filter) => filter switch
    {
        FailureFilter.Wrong => failure.Kind is AuditFailureKind.Misclassified,
        FailureFilter.NearTie => failure.Kind is AuditFailureKind.NearTie,
        FailureFilter.MaybeMislabelled => IsMaybeMislabelled(failure),
        FailureFilter.Disagrees => failure.ReferenceMargin is { } reference && Math.Sign(reference) * Math.Sign(failure.Margin) < 0,
    };

    /// <summary>Whether the screen said so in at least half of the runs.</summary>
    internal static bool IsMaybeMislabelled(AuditFailure failure) => failure.RunsScreened is > 0 and var screened && 2 * screened >= failure.Runs;
}
