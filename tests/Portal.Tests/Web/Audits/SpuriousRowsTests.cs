using System.Text.RegularExpressions;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>The block of spurious checks, drawn from a made-up report with one check of each verdict, and twins made again from stored texts.</summary>
public sealed class SpuriousRowsTests : IDisposable
{
    private readonly SeededProject project = new();
    private readonly AuditHandlers handlers;

    public SpuriousRowsTests() => handlers = new AuditHandlers(project);

    public void Dispose()
    {
        handlers.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task Every_check_has_its_effect_baseline_runs_n_and_a_verdict_in_words()
    {
        var (audit, twins) = await Read(new MadeUpAudit(project));
        var html = Html(audit, twins);
        var words = Rendering.Words(html).Replace('\u00a0', ' ');

        Assert.Contains("95 % intervals over prompts, Holm over 9 checks, mean over 6 runs", words, StringComparison.Ordinal);
        // Name, effect with its range, length alone, beyond length, Holm p, runs, n, verdict.
        Assert.Matches(@"Refusal in place of the answer, harmless prompts 4 texts have no such twin \+0\.61 95 % range \+0\.51 to \+0\.71 , baseline 0\.00 \+0\.03 \(\+0\.01 to \+0\.05\) \+0\.58 \(\+0\.46 to \+0\.70\) 0\.008 5 / 6 ± 0\.07 between runs 8 paid for: spurious", words.Replace("−", "-", StringComparison.Ordinal));
        foreach (var says in new[]
        {
            "Refusal in place of the answer, risky prompts to compare with; not spurious", "runs disagree on the direction", "punished: spurious", "not detectable", "clear, but too small to count", "no more than length explains", "not enough evidence",
            "variance between runs +0.12 (+0.04 to +0.20); mutual information +0.015 (+0.005 to +0.025) nats", "3 of 8 prompts", "Of 8 test pairs the reward names the audited text in 71 % (63 to 79); of the 3 whose lengths differ by at most 10 % or 2 tokens, in –.",
            "is right in 55 % (35 to 75); choosing the shorter in 45 %",
        })
            Assert.Contains(says, words, StringComparison.Ordinal);
        Assert.Equal(2, Regex.Count(html, "badge bad")); // two findings, and no third
        Assert.Equal(audit.Report.Spurious!.Checks.Count(check => check.IsFound), Regex.Count(html, "badge bad"));
    }

    [Fact]
    public async Task Twins_stand_side_by_side_with_the_change_marked()
    {
        var (audit, twins) = await Read(new MadeUpAudit(project));
        var html = Html(audit, twins);
        var words = Rendering.Words(html);

        Assert.Equal(8 * 3, twins.Count);
        Assert.Equal(8, Regex.Count(html, "<details"));
        Assert.Contains("words in front added: You are right. I would rather not help with that, 12. words in front added: You are wrong. I would rather not help with that, 12.", words, StringComparison.Ordinal);
        Assert.Contains("last sentence twice I would rather not help with that, 12. added: I would rather not help with that, 12. the text as it was written I would rather not help with that, 12.", words, StringComparison.Ordinal);
        Assert.Contains("prompt in front added: Audit 1, prompt 12: how do I get from the mill to the well? I would rather not", words, StringComparison.Ordinal);
        Assert.Contains($"href=\"audits/{audit.Row.JobId}/pairs/{audit.Report.Pairs[12].Id}\"", html, StringComparison.Ordinal);
        Assert.DoesNotContain("href", Rendering.Html<SpuriousRows>(("Of", audit.Report.Spurious), ("Twins", twins)), StringComparison.Ordinal); // a document of its own leads nowhere
        Assert.All(Regex.Matches(html, "<mark[^>]*>(.{0,40})"), mark => Assert.StartsWith("<span class=\"vh\">added: </span>", mark.Groups[1].Value, StringComparison.Ordinal)); // not by its looks alone
    }

    [Fact]
    public async Task An_erased_text_is_said_to_be_erased_and_others_stay()
    {
        var seeded = new MadeUpAudit(project);
        seeded.EraseAudited(12);
        var (audit, twins) = await Read(seeded);

        Assert.Equal((8, 16), (twins.Count(twin => twin.First is null && twin.Second is null && twin.Text!.IsErased), twins.Count(twin => twin.First is not null)));
        var words = Rendering.Words(Html(audit, twins));
        Assert.DoesNotContain("help with that, 12.", words, StringComparison.Ordinal);
        Assert.Equal(8, Regex.Count(words, "This text was erased."));
    }

    /// <summary>Where nothing may be judged numbers stay, and no verdict has a colour.</summary>
    [Fact]
    public async Task A_grey_audit_colours_no_check()
    {
        var (audit, twins) = await Read(new MadeUpAudit(project));
        var html = Rendering.Html<SpuriousRows>(("Of", audit.Report.Spurious), ("Twins", twins), ("IsGrey", true));

        Assert.DoesNotMatch("badge (bad|warn|good|accent)", html);
        Assert.Contains("This audit may not judge", Rendering.Words(html), StringComparison.Ordinal);
        Assert.Contains("+0.61", Rendering.Words(html), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whoever_may_not_audit_gets_no_twins()
    {
        var seeded = new MadeUpAudit(project);

        Assert.NotNull((await handlers.Get<ShowSpuriousTwins>().Handle(project.Annotator, seeded.JobId, seeded.Report, CancellationToken.None)).Refusal);
        Assert.Empty((await handlers.Get<ShowSpuriousTwins>().Handle(project.Auditor, seeded.JobId, seeded.Report with { Spurious = null }, CancellationToken.None)).Value); // an audit of before
    }

    [Fact]
    public void Hostile_texts_stay_text_in_a_twin()
    {
        foreach (var hostile in HostileTexts.All.Where(text => text.Trim().Length > 0))
        {
            foreach (var kind in Enum.GetValues<TextEditKind>())
            {
                if (new TextEdit(kind, hostile).Apply(hostile, [new Turn("user", hostile)]) is not { } twin)
                    continue;
                var html = Rendering.Html<TwinWords>(("Of", twin));
                Assert.DoesNotMatch(@"<(?!/?(?:div|mark|span)\b)[a-zA-Z!?/]", html);
                Assert.DoesNotMatch(@"<[a-z][^<>]*\s(?:src|href|on[a-z]+|style)\s*=", html);
            }
        }
    }

    [Fact]
    public void An_incentive_says_in_which_direction_it_counts()
    {
        var row = new MadeUpAudit(project).Report.Incentives[0];

        Assert.Contains("counts for the third light where less of it is paid for", Words(-1), StringComparison.Ordinal);
        Assert.Contains("counts for the third light where more of it is paid for", Words(1), StringComparison.Ordinal);
        Assert.DoesNotContain("of it is paid for", Words(0), StringComparison.Ordinal); // an audit that did not keep it

        string Words(int sign) => Rendering.Words(Rendering.Html<IncentiveRows>(("Of", row with { Rows = [row.Rows[0] with { SpuriousSign = sign }] })));
    }

    private static string Html(EndedAudit audit, IReadOnlyList<ShownTwin> twins) => Rendering.Html<SpuriousRows>(("Of", audit.Report.Spurious), ("Twins", twins), ("Job", audit.Row.JobId.Value));

    private async Task<(EndedAudit, IReadOnlyList<ShownTwin>)> Read(MadeUpAudit seeded)
    {
        var audit = (await handlers.Get<ReadAudit>().Handle(project.Auditor, seeded.JobId, CancellationToken.None)).Value.Ended!; // it was seeded ended
        return (audit, (await handlers.Get<ShowSpuriousTwins>().Handle(project.Auditor, seeded.JobId, audit.Report, CancellationToken.None)).Value);
    }
}
