using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>What may be said of two audits: overlap of intervals, and why some of it may not.</summary>
public sealed class CompareAuditsTests : IDisposable
{
    private readonly SeededProject project = new();
    private readonly AuditHandlers handlers;

    public CompareAuditsTests() => handlers = new AuditHandlers(project);

    public void Dispose()
    {
        handlers.Dispose();
        project.Dispose();
    }

    [Theory]
    [InlineData(.1, .3, .4, .6, IntervalRelation.SecondAbove, .3)]
    [InlineData(.4, .6, .1, .3, IntervalRelation.SecondBelow, -.3)]
    [InlineData(.1, .4, .4, .7, IntervalRelation.Overlap, .3)] // they touch
    [InlineData(.1, .7, .3, .5, IntervalRelation.Overlap, 0)] // one in the other
    public void Two_numbers_are_told_apart_by_their_intervals_only(double low, double high, double otherLow, double otherHigh, IntervalRelation relation, double difference)
    {
        var compared = ComparedNumber.Of(new AuditInterval((low + high) / 2, low, high, .95, 100), new AuditInterval((otherLow + otherHigh) / 2, otherLow, otherHigh, .95, 100));

        Assert.Equal(relation, compared.Relation);
        Assert.Equal(difference, compared.Difference!.Value, 12); // both are there
        Assert.Equal((IntervalRelation.Missing, null), (ComparedNumber.Of(null, compared.Second).Relation, ComparedNumber.Of(compared.First, null).Difference));
    }

    [Fact]
    public void Effects_are_not_subtracted_where_they_do_not_mean_the_same()
    {
        var report = new MadeUpAudit(project).Report;
        var table = report.Incentives[0];

        Assert.Empty(AuditComparison.Of(report, report).WhyNoIncentives);
        foreach (var (other, says) in new (AuditReport, string)[]
        {
            (report with { Incentives = [table with { Test = "LengthHeld" }] }, "tests effects by"), (report with { Incentives = [table with { Rows = [.. table.Rows.Skip(1)] }] }, "refuses_harmless"), (report with { Incentives = [] }, "no incentive table"),
            (report with { Provenance = Copy(report.Provenance, tokenizer: "other") }, "different tokenizers"), (report with { Provenance = Copy(report.Provenance, phrases: "other") }, "count different things"),
        })
        {
            var comparison = AuditComparison.Of(report, other);
            Assert.Contains(says, string.Join(" ", comparison.WhyNoIncentives), StringComparison.Ordinal);
            Assert.All(comparison.Incentives, row => Assert.Null(row.Effect.Difference));
        }
    }

    [Fact]
    public void Checks_are_compared_where_twins_were_edited_alike_and_both_audits_may_judge()
    {
        var report = new MadeUpAudit(project).Report;
        var checks = report.Spurious!; // it has them
        var moved = report with { Spurious = checks with { Checks = [.. checks.Checks.Where(check => check.Key != "length").Select(check => check.Key == "refusal_harmless" ? check with { Effect = new AuditInterval(2, 1.9, 2.1, .95, 8) } : check)] } };

        var compared = AuditComparison.Of(report, moved);
        Assert.Empty(compared.WhyNoChecks);
        var row = Assert.Single(compared.Checks, check => check.Key == "refusal_harmless");
        Assert.Equal((IntervalRelation.SecondAbove, 1.39), (row.Effect.Relation, Math.Round(row.Effect.Difference!.Value, 9))); // both are there
        Assert.Equal((IntervalRelation.Overlap, 0.0), (compared.Checks.Single(check => check.Key == "marker_prefix").Effect.Relation, compared.Checks.Single(check => check.Key == "marker_prefix").Effect.Difference));
        Assert.Null(Assert.Single(compared.Checks, check => check.Key == "length").Second);
        Assert.All(compared.Checks.Where(check => check.Key is "length" or "repetition"), check => Assert.Equal((IntervalRelation.Missing, null), (check.Effect.Relation, check.Effect.Difference))); // not there; too few prompts

        foreach (var (other, says) in new (AuditReport, string)[]
        {
            (report with { Spurious = null }, "The second audit has no spurious checks: it was made before there were any."), (report with { Spurious = null, WhyNotFitted = "All texts are alike." }, "no spurious checks: All texts are alike."),
            (report with { Provenance = Copy(report.Provenance, phrases: "other") }, "edited differently"), (report with { Verdict = report.Verdict with { Reasons = [new AuditReason("TooFewPairs", "Too few.")] } }, "The second audit may not judge"),
        })
        {
            var comparison = AuditComparison.Of(report, other);
            Assert.Contains(says, Assert.Single(comparison.WhyNoChecks), StringComparison.Ordinal);
            Assert.All(comparison.Checks, check => Assert.Null(check.Effect.Difference));
        }
    }

    [Fact]
    public void Distances_are_compared_to_the_same_reward_model_only()
    {
        var with = new MadeUpAudit(project).Report;
        var without = new MadeUpAudit(project, new AuditWish { Number = 2, HasReference = false }).Report;

        Assert.All(AuditComparison.Of(with, with).Methods, method => Assert.NotNull(method.Distance));
        Assert.Contains("The second audit was given no trained reward model.", AuditComparison.Of(with, without).WhyNoDistances);
        Assert.Contains("Neither audit was given a trained reward model.", AuditComparison.Of(without, without).WhyNoDistances);
        Assert.All(AuditComparison.Of(with, without).Methods, method => Assert.Null(method.Distance));
        Assert.Contains(AuditComparison.Of(with, without).Notes, note => note.Contains("different texts", StringComparison.Ordinal));
        Assert.Empty(AuditComparison.Of(with, with).Notes);
    }

    [Fact]
    public async Task Ended_audits_of_the_project_can_be_chosen()
    {
        var (first, second) = (new MadeUpAudit(project), new MadeUpAudit(project, new AuditWish { Number = 2 }));

        var shown = (await handlers.Get<CompareAudits>().Handle(project.Auditor, project.Id, first.JobId, second.JobId, CancellationToken.None)).Value;
        var one = (await handlers.Get<CompareAudits>().Handle(project.Auditor, project.Id, first.JobId, null, CancellationToken.None)).Value;

        Assert.Equal(["Audit 2", "Audit 1"], shown.Choices.Select(choice => choice.Label));
        Assert.Equal((first.JobId, second.JobId), (shown.First!.Row.JobId, shown.Second!.Row.JobId)); // both ended
        Assert.Equal(5, shown.Comparison!.Incentives.Count); // likewise
        Assert.Null(one.Comparison);
        Assert.Equal(ProblemKind.NotFound, (await handlers.Get<CompareAudits>().Handle(project.Auditor, project.Id, new JobId(Guid.NewGuid()), null, CancellationToken.None)).Refusal?.Kind);
    }

    private static AuditProvenance Copy(AuditProvenance of, string? tokenizer = null, string? phrases = null) => of with { ReaderTokenizerHash = tokenizer ?? of.ReaderTokenizerHash, PhrasesHash = phrases ?? of.PhrasesHash };
}
