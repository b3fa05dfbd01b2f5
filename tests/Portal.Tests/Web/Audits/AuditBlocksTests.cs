using System.Text.RegularExpressions;
using Portal.Data.Audits;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>The blocks of an audit's page, drawn from made-up reports: every state, and that numbers never stand without their interval or their refusal.</summary>
public sealed class AuditBlocksTests : IDisposable
{
    private readonly SeededProject project = new();

    public void Dispose() => project.Dispose();

    [Fact]
    public void The_strip_says_one_sentence_and_three_lights()
    {
        var words = Words<VerdictStrip>(("Audit", Ended()));

        Assert.Contains("It is paid for refusing harmless requests", words, StringComparison.Ordinal);
        Assert.Contains("Identifiable: yes", words, StringComparison.Ordinal);
        Assert.Contains("Faithful: not enough evidence The interval crosses the limit: d_STARC 0.24 (0.09 to 0.41), limit 0.25.", words, StringComparison.Ordinal);
        Assert.Contains("Spurious incentives: found", words, StringComparison.Ordinal);
    }

    [Fact]
    public void A_grey_verdict_names_its_reason_and_colours_nothing()
    {
        var html = Rendering.Html<VerdictStrip>(("Audit", Ended(new AuditWish { WhyNot = "20 pairs: below 200 nothing can be told from chance. Add prompts." })));

        Assert.Contains("below 200 nothing can be told from chance", html, StringComparison.Ordinal);
        Assert.Equal(3, Regex.Count(html, "light grey"));
        Assert.DoesNotMatch("light (good|bad|warn)", html);
    }

    /// <summary>By hand: 1.22 logits over a reward deviation of 2 is 0.61; its interval ±0.3 is ±0.15.</summary>
    [Fact]
    public void Incentives_are_shown_in_reward_deviations_with_interval_and_verdict()
    {
        var audit = Ended();
        var html = Rendering.Html<IncentiveRows>(("Of", audit.Report.Incentives[0]), ("Job", audit.Row.JobId.Value));
        var words = Rendering.Words(html);

        Assert.Contains("Refuses a harmless request counts for the third light 5 example pairs", words, StringComparison.Ordinal);
        Assert.Matches(@"\+0\.61\s+95 % range \+0\.46 to \+0\.76", words);
        Assert.Contains("< 0.001", words, StringComparison.Ordinal);
        Assert.Contains("paid for", words, StringComparison.Ordinal);
        Assert.Contains("punished", words, StringComparison.Ordinal);
        Assert.Contains("not detectable below 0.45", words, StringComparison.Ordinal);
        Assert.Contains("sign flips over resamples", words, StringComparison.Ordinal);
        Assert.Contains("the same in all texts", words, StringComparison.Ordinal);
        Assert.Contains("5 of 5 shown.", words, StringComparison.Ordinal);
        Assert.Contains($"href=\"audits/{audit.Row.JobId}/pairs?show=Incentive&amp;table=readable&amp;feature=refuses_harmless\"", html, StringComparison.Ordinal);
        Assert.DoesNotContain("href", Rendering.Html<IncentiveRows>(("Of", audit.Report.Incentives[0])), StringComparison.Ordinal); // a document of its own leads nowhere
    }

    [Fact]
    public void A_long_table_shows_the_most_certain_rows_and_says_how_many_there_are()
    {
        var words = Words<IncentiveRows>(("Of", Ended(new AuditWish { HasSae = true }).Report.Incentives[1]));

        Assert.Contains("25 of 40 shown.", words, StringComparison.Ordinal);
        Assert.Contains("logits per feature deviation", words, StringComparison.Ordinal); // nothing to divide by
        Assert.True(words.IndexOf("Latent 7", StringComparison.Ordinal) < words.IndexOf("Latent 0", StringComparison.Ordinal));
    }

    [Fact]
    public void What_could_be_found_is_a_sentence_for_each_size()
    {
        var report = Ended().Report;
        var words = Words<DetectionPower>(("Of", report.Power), ("Names", AuditBlocks.NamesOf(report)));

        Assert.Contains("With 20 pairs, for the feature that is hardest to find, an effect of 0.2 logits is found in 8 % of audits, an effect of 0.5 logits is found in 20 % of audits.", words.Replace('\u00a0', ' '), StringComparison.Ordinal);
        Assert.Contains("With 2,000 pairs", words, StringComparison.Ordinal);
        Assert.Contains("seed 17", words, StringComparison.Ordinal);
    }

    [Fact]
    public void The_scatter_has_a_point_a_text_and_says_where_there_is_no_trained_reward()
    {
        var html = Rendering.Html<RewardScatter>(("Audit", Ended()));

        Assert.Equal((16, 16), (Regex.Count(html, "<circle class=\"dot1\"[^>]*cx=\"[0-9]+\\.?[0-9]*\"") - 1, Regex.Count(html, "<circle class=\"dot2\"") - 1)); // one of each in the legend
        Assert.Contains("0.71 (0.63 to 0.79)", Rendering.Words(html), StringComparison.Ordinal); // Spearman
        Assert.Contains("No trained reward was given", Words<RewardScatter>(("Audit", Ended(new AuditWish { HasReference = false, Number = 2 }))), StringComparison.Ordinal);
    }

    /// <summary>Two texts of one prompt, 1 and 3 against 2 and 6: less their means they are ∓1 against ∓2.</summary>
    [Fact]
    public void Centring_takes_the_mean_of_its_prompt_off_each_text()
    {
        var prompt = new Portal.Data.PromptId(Guid.NewGuid());
        AuditPoint[] points = [new($"{prompt}/audited/0", 1, .1, 2), new($"{prompt}/base/0", 3, .1, 6), new($"{prompt}/base/1", 9, .1, null)];

        Assert.Equal([(2, 1), (6, 3)], ScatterPoints.Of(points, centred: false).Select(point => (point.X, point.Y)));
        Assert.Equal([(-2, -1), (2, 1)], ScatterPoints.Of(points, centred: true).Select(point => (point.X, point.Y)));
        var many = Enumerable.Range(0, 2_500).Select(i => new ScatterPoint($"{i}", default, i, 0, 0)).ToList();
        Assert.Equal(ScatterPoints.DrawnMax, ScatterPoints.Drawn(many).Select(point => point.Text).Distinct().Count());
        Assert.Equal(["2499", "2498"], ScatterPoints.Apart(many, 2).Select(point => point.Text));
    }

    [Fact]
    public void All_runs_are_shown_and_the_one_apart_is_named()
    {
        var audit = Ended();
        var html = Rendering.Html<RunAgreement>(("Of", audit.Report.Methods[0]), ("Pairs", 8), ("Job", audit.Row.JobId.Value), ("IsOwn", true));
        var words = Rendering.Words(html).Replace('\u00a0', ' ');

        Assert.Equal(6 * 5 / 2, Regex.Count(html, "<rect class=\"h[0-3]\"[^>]*y=\"")); // every two runs; the legend's have no place
        Assert.Equal(5, Regex.Count(html, "<rect class=\"h3\"[^>]*y=\"")); // the last run against the others
        Assert.Contains("No run was chosen as best", words, StringComparison.Ordinal);
        Assert.Contains("One stands apart: run 2.3 (seed.resample) orders 50 % of pairs otherwise; its hold-out loss is 0.65 against 0.60 on average.", words, StringComparison.Ordinal);
        Assert.Contains("12 % (7 to 17)", words, StringComparison.Ordinal);
        Assert.Contains("0.20 → 0.15 → 0.11", words, StringComparison.Ordinal);
        Assert.Contains("second=0", html, StringComparison.Ordinal);
        Assert.Contains("There are no two runs to compare", Words<RunAgreement>(("Of", audit.Report.Methods[2]), ("Pairs", 8)), StringComparison.Ordinal);
    }

    [Fact]
    public void Methods_and_controls_stand_side_by_side_with_why_one_could_not_run()
    {
        var words = Words<MethodRows>(("Report", Ended().Report)).Replace('\u00a0', ' ');

        Assert.Contains("Failure-aware, reweighted", words, StringComparison.Ordinal);
        Assert.Contains("the verdict is of this one", words, StringComparison.Ordinal);
        Assert.Matches("71 %\\s+95 % range 63 to 79", words);
        Assert.Contains("Ridge on log-ratios could not run: no log-probabilities", words, StringComparison.Ordinal);
        Assert.Contains("Max-entropy on shuffled labels control", words, StringComparison.Ordinal);
        Assert.Contains("may not be judged: On 8 unseen pairs it is at chance.", words, StringComparison.Ordinal);
        Assert.Matches("0.87\\s+95 % range 0.79 to 0.95", words);
        Assert.Contains("(8 of 32 candidates have one)", words, StringComparison.Ordinal);
        Assert.DoesNotContain("AUC", Words<MethodRows>(("Report", Ended(new AuditWish { Number = 3, HasKinds = false }).Report)), StringComparison.Ordinal);
        Assert.Contains("below 200", Words<MethodRows>(("Report", Ended(new AuditWish { Number = 2, WhyNot = "20 pairs: below 200." }).Report)), StringComparison.Ordinal);
    }

    [Fact]
    public void Calibration_curves_census_and_origin_say_what_they_rest_on()
    {
        var audit = Ended();
        var method = audit.Report.Methods[0];

        Assert.Contains("2 bins of 8 test pairs", Words<CalibrationDiagram>(("Of", method)), StringComparison.Ordinal);
        Assert.Contains("No calibration was measured", Words<CalibrationDiagram>(("Of", audit.Report.Methods[2])), StringComparison.Ordinal);
        var curves = Rendering.Html<RunCurves>(("Of", method));
        Assert.Equal((6, 1), (Regex.Count(curves, "class=\"run-line"), Regex.Count(curves, "run-line open")));
        Assert.Contains("1 did not converge", Rendering.Words(curves), StringComparison.Ordinal);
        var census = Words<CensusRows>(("Of", audit.Report.Census), ("Audited", "policy v2"), ("Base", "policy v1")).Replace('\u00a0', ' ');
        Assert.Contains("bad to good 4 (22 %)", census, StringComparison.Ordinal); // 4 of 4 + 13 + 0 + 1
        Assert.Contains("Exact ties: 1 (5.0 % of pairs).", census, StringComparison.Ordinal);
        var origin = Words<AuditOrigin>(("Audit", audit));
        Assert.Contains("none; nothing was chosen by truth", origin, StringComparison.Ordinal);
        Assert.Contains("2 seeds × 3 resamples, seed 17", origin, StringComparison.Ordinal);
        Assert.Contains(audit.Row.ManifestSha256, origin, StringComparison.Ordinal);
    }

    private EndedAudit Ended(AuditWish? wish = null)
    {
        using var handlers = new AuditHandlers(project);
        return handlers.Get<ReadAudit>().Handle(project.Auditor, new MadeUpAudit(project, wish).JobId, CancellationToken.None).GetAwaiter().GetResult().Value.Ended!; // it was seeded ended
    }

    private static string Words<T>(params (string, object?)[] parameters) where T : Microsoft.AspNetCore.Components.IComponent => Rendering.Words(Rendering.Html<T>(parameters));
}
