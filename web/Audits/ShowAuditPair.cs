using System.Security.Claims;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>One prompt of an audit with everything that is known of its texts.</summary>
/// <param name="Pair">The two texts that were compared; null when one policy wrote nothing.</param>
/// <param name="Texts">All completions: the audited policy's, then the base's.</param>
/// <param name="Scores">By text id, of texts that were candidates.</param>
/// <param name="Failure">What the recovered reward makes of the pair; null where it is right, and where the pair is not of the training part.</param>
/// <param name="Test">How sure the runs are; null where the pair is not of the test part.</param>
/// <param name="Examples">Features that the pair is an example of, with their table.</param>
public sealed record AuditPairView(EndedAudit Audit, PromptId Prompt, AuditPair? Pair, IReadOnlyList<AuditTextShown> Texts, IReadOnlyDictionary<string, TextScores> Scores, AuditFailure? Failure, AuditTestPair? Test,
    IReadOnlyList<(AuditIncentives Table, AuditIncentive Row)> Examples);

/// <summary>Reads one prompt of an audit: its texts, their scores under every run, and what the report says of the pair.</summary>
[Needs(Permission.Audit)]
public sealed class ShowAuditPair(ReadAudit read)
{
    private static readonly Problem Gone = new("pair", "This audit has no such prompt.", ProblemKind.NotFound);

    public async Task<Outcome<AuditPairView>> Handle(ClaimsPrincipal user, JobId job, PromptId prompt, CancellationToken stop)
    {
        var opened = await read.Handle(user, job, stop);
        if (opened.Refusal is { } refusal)
            return refusal;
        var texts = await read.OfPrompts(user, job, [prompt], stop);
        if (texts.Refusal is { } why)
            return why;
        if (opened.Value.Ended is not { } audit || texts.Value.Count == 0)
            return Gone;
        var (id, own) = ($"{prompt}", texts.Value.Select(text => text.Id).ToHashSet(StringComparer.Ordinal));
        return new AuditPairView(audit, prompt, audit.Report.Pairs.FirstOrDefault(pair => pair.Id == id), texts.Value,
            audit.Folder.Scores().Where(scores => own.Contains(scores.Text)).ToDictionary(scores => scores.Text, StringComparer.Ordinal), audit.Report.Failures.FirstOrDefault(failure => failure.Pair == id),
            audit.Report.TestPairs.FirstOrDefault(pair => pair.Pair == id), [.. audit.Report.Incentives.SelectMany(table => table.Rows.Where(row => row.ExamplePairs.Contains(id)).Select(row => (table, row)))]);
    }
}
