using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>An audit to choose.</summary>
public sealed record AuditToCompare(JobId JobId, string Label, string Audited, string Base, DateTimeOffset At);

/// <summary>Two audits side by side.</summary>
/// <param name="Choices">Ended audits of the project, newest first.</param>
/// <param name="Comparison">Null until two are chosen.</param>
public sealed record ComparedAudits(IReadOnlyList<AuditToCompare> Choices, EndedAudit? First, EndedAudit? Second, AuditComparison? Comparison);

/// <summary>What the intervals of two numbers say of their difference.</summary>
public enum IntervalRelation
{
    /// <summary>One of the two is missing.</summary>
    Missing,
    /// <summary>The intervals have a value in common: the numbers cannot be told apart by them.</summary>
    Overlap,
    /// <summary>Every value of the second interval is above every value of the first.</summary>
    SecondAbove,
    /// <summary>Below.</summary>
    SecondBelow,
}

/// <summary>One number in both audits.</summary>
/// <param name="Difference">Second less first; null where one is missing.</param>
public sealed record ComparedNumber(AuditInterval? First, AuditInterval? Second, double? Difference, IntervalRelation Relation)
{
    /// <summary>Compares by intervals only. Two that overlap may still differ: that needs a test of their own, which two separate audits cannot give.</summary>
    public static ComparedNumber Of(AuditInterval? first, AuditInterval? second) => first is null || second is null
        ? new ComparedNumber(first, second, null, IntervalRelation.Missing)
        : new ComparedNumber(first, second, second.Estimate - first.Estimate, second.Low > first.High ? IntervalRelation.SecondAbove : second.High < first.Low ? IntervalRelation.SecondBelow : IntervalRelation.Overlap);
}

/// <summary>A feature in both audits; a row is null where that audit does not have it.</summary>
public sealed record ComparedIncentive(string Key, string Name, AuditIncentive? First, AuditIncentive? Second, ComparedNumber Effect);

/// <summary>A method in both audits; null where it was not run there.</summary>
public sealed record ComparedMethod(string Name, bool IsControl, AuditedMethod? First, AuditedMethod? Second, ComparedNumber Accuracy, ComparedNumber Ambiguity, ComparedNumber? Distance);

/// <summary>A spurious check in both audits; null where that audit does not have it.</summary>
public sealed record ComparedCheck(string Key, AuditSpuriousCheck? First, AuditSpuriousCheck? Second, ComparedNumber Effect);

/// <summary>What may be said of two reports side by side, and why some of it may not.</summary>
/// <param name="WhyNoIncentives">Why effects are not subtracted; empty: they are.</param>
/// <param name="WhyNoChecks">Why effects of spurious checks are not subtracted; empty: they are.</param>
/// <param name="WhyNoDistances">Why d_STARC is not subtracted; empty: it is.</param>
/// <param name="Notes">What differs between the two and does not forbid a comparison.</param>
public sealed record AuditComparison(IReadOnlyList<string> WhyNoIncentives, IReadOnlyList<string> WhyNoChecks, IReadOnlyList<string> WhyNoDistances, IReadOnlyList<string> Notes, IReadOnlyList<ComparedIncentive> Incentives,
    IReadOnlyList<ComparedCheck> Checks, IReadOnlyList<ComparedMethod> Methods)
{
    /// <summary>Compares.</summary>
    public static AuditComparison Of(AuditReport first, AuditReport second)
    {
        var (one, other) = (Readable(first), Readable(second));
        var noIncentives = WhyNoIncentivesOf(first, second, one, other).ToList();
        var noChecks = WhyNoChecksOf(first, second).ToList();
        var noDistances = WhyNoDistancesOf(first, second).ToList();
        var rows = (one?.Rows ?? []).Concat(other?.Rows ?? []).DistinctBy(row => row.Key).Select(row =>
        {
            var (a, b) = (one?.Rows.FirstOrDefault(own => own.Key == row.Key), other?.Rows.FirstOrDefault(own => own.Key == row.Key));
            return new ComparedIncentive(row.Key, row.Name, a, b, Compared(noIncentives, a?.Effect, b?.Effect));
        });
        var checks = (first.Spurious?.Checks ?? []).Concat(second.Spurious?.Checks ?? []).DistinctBy(check => check.Key).Select(check =>
        {
            var (a, b) = (first.Spurious?.Checks.FirstOrDefault(own => own.Key == check.Key), second.Spurious?.Checks.FirstOrDefault(own => own.Key == check.Key));
            return new ComparedCheck(check.Key, a, b, Compared(noChecks, a?.Effect, b?.Effect));
        });
        var methods = first.Methods.Concat(second.Methods).DistinctBy(method => method.Name).Select(method =>
        {
            var (a, b) = (first.Methods.FirstOrDefault(own => own.Name == method.Name), second.Methods.FirstOrDefault(own => own.Name == method.Name));
            return new ComparedMethod(method.Name, method.IsControl, a, b, ComparedNumber.Of(a?.Accuracy, b?.Accuracy), ComparedNumber.Of(a?.Ambiguity, b?.Ambiguity),
                noDistances.Count > 0 ? null : ComparedNumber.Of(a?.Reference?.Distance, b?.Reference?.Distance));
        });
        return new AuditComparison(noIncentives, noChecks, noDistances, [.. NotesOf(first, second)], [.. rows], [.. checks], [.. methods]);

        static ComparedNumber Compared(List<string> whyNot, AuditInterval? a, AuditInterval? b) => whyNot.Count > 0 ? new ComparedNumber(a, b, null, IntervalRelation.Missing) : ComparedNumber.Of(a, b);
    }

    private static AuditIncentives? Readable(AuditReport report) => report.Incentives.FirstOrDefault(table => table.Name == "readable");

    private static IEnumerable<string> WhyNoIncentivesOf(AuditReport first, AuditReport second, AuditIncentives? one, AuditIncentives? other)
    {
        if (one is null || other is null)
        {
            yield return $"The {(one is null ? "first" : "second")} audit has no incentive table: {(one is null ? first : second).WhyNotFitted ?? "nothing was fitted."}";
            yield break;
        }
        if (one.Test != other.Test)
            yield return $"The first audit tests effects by {one.Test}, the second by {other.Test}.";
        string[] missing = [.. one.Rows.Select(row => row.Key).Except(other.Rows.Select(row => row.Key)).Concat(other.Rows.Select(row => row.Key).Except(one.Rows.Select(row => row.Key)))];
        if (missing.Length > 0)
            yield return $"The two tables do not hold the same features ({string.Join(", ", missing)}), and an effect is what is left when the others are held.";
        if (first.Provenance.ReaderTokenizerHash != second.Provenance.ReaderTokenizerHash)
            yield return "Lengths are counted in tokens of different tokenizers.";
        if (first.Provenance.PhrasesHash != second.Provenance.PhrasesHash || first.Provenance.LexiconHash != second.Provenance.LexiconHash)
            yield return "The phrases or the lexicon are not the same, so that features of one name count different things.";
    }

    // A check's effect is in deviations of the rewards themselves, so other texts or another reader forbid nothing; another edit does, and so does a reward that may mean nothing.
    private static IEnumerable<string> WhyNoChecksOf(AuditReport first, AuditReport second)
    {
        foreach (var (report, which) in new[] { (first, "first"), (second, "second") })
        {
            if (report.Spurious is null)
                yield return $"The {which} audit has no spurious checks: {report.WhyNotFitted ?? "it was made before there were any."}";
            else if (report.Verdict.Reasons.Count > 0)
                yield return $"The {which} audit may not judge, so its rewards may mean nothing.";
        }
        if (first.Spurious is not null && second.Spurious is not null && first.Provenance.PhrasesHash != second.Provenance.PhrasesHash)
            yield return "The phrases are not the same, so that twins of one name were edited differently.";
    }

    private static IEnumerable<string> WhyNoDistancesOf(AuditReport first, AuditReport second)
    {
        if (first.Provenance.ReferenceHash is null || second.Provenance.ReferenceHash is null)
            yield return $"{(first.Provenance.ReferenceHash is null && second.Provenance.ReferenceHash is null ? "Neither audit" : first.Provenance.ReferenceHash is null ? "The first audit" : "The second audit")} was given {(first.Provenance.ReferenceHash is null && second.Provenance.ReferenceHash is null ? "a" : "no")} trained reward model.";
        else if (first.Provenance.ReferenceHash != second.Provenance.ReferenceHash)
            yield return $"The distances are to different reward models ({first.Provenance.ReferenceName} and {second.Provenance.ReferenceName}).";
    }

    private static IEnumerable<string> NotesOf(AuditReport first, AuditReport second)
    {
        if (first.Provenance.TextsFingerprint != second.Provenance.TextsFingerprint)
            yield return "The two rest on different texts: prompts, policies or sampling are not the same. A feature's deviation, the unit of its effect, is that of each audit's own texts.";
        if (first.Provenance.Base.Hash != second.Provenance.Base.Hash)
            yield return "The policies are compared with different bases.";
        if (first.Provenance.Features != second.Provenance.Features || first.Provenance.ReaderHash != second.Provenance.ReaderHash)
            yield return "The rewards read different features, or states of different models.";
    }
}

/// <summary>Puts two ended audits of one project side by side.</summary>
[Needs(Permission.Audit)]
public sealed class CompareAudits(IDbContextFactory<PortalDbContext> contexts, Access access, ReadAudit read)
{
    public const int ChoicesMax = 200;

    /// <param name="first">Null: nothing is compared yet.</param>
    public async Task<Outcome<ComparedAudits>> Handle(ClaimsPrincipal user, ProjectId project, JobId? first, JobId? second, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over the unique index (ProjectId, Number).
        var choices = await db.PolicyAudits.AsNoTracking().Where(a => a.ProjectId == project).OrderByDescending(a => a.Number).Take(ChoicesMax).ToListAsync(stop);
        List<EndedAudit?> ended = [];
        foreach (var id in new[] { first, second })
        {
            if (id is not { } job)
            {
                ended.Add(null);
                continue;
            }
            var opened = await read.Handle(user, job, stop);
            if (opened.Refusal is { } why)
                return why;
            if (opened.Value.Ended is not { } audit)
                return new Problem("audit", $"The audit of job {opened.Value.JobNumber} has not ended, so there is nothing to compare.", ProblemKind.Conflict);
            ended.Add(audit);
        }
        return new ComparedAudits([.. choices.Select(row => new AuditToCompare(row.JobId, row.Label, row.AuditedName, row.BaseName, row.At))], ended[0], ended[1],
            ended is [{ } one, { } other] ? AuditComparison.Of(one.Report, other.Report) : null);
    }
}
