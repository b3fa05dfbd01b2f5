using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Api;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>What leaves the portal: the stored report, tables that no spreadsheet takes for formulas, and a file in which every text stays text.</summary>
public sealed partial class ExportAuditTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly SeededProject project = new();
    private readonly AuditHandlers handlers;

    public ExportAuditTests() => handlers = new AuditHandlers(project);

    public void Dispose()
    {
        handlers.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task The_report_leaves_as_it_was_stored_and_is_written_down()
    {
        var seeded = new MadeUpAudit(project);

        var file = (await handlers.Get<ExportAudit>().Json(project.Auditor, seeded.JobId, Stop)).Value;

        Assert.Equal(seeded.Report.ToJson(), file.Bytes);
        Assert.Equal(1, JsonDocument.Parse(file.Bytes).RootElement.GetProperty("schemaVersion").GetInt32());
        Assert.Equal("audit-1.json", file.Name);
        using var db = project.Open();
        Assert.Equal($$"""{"format":"json","table":null}""", db.AuditEvents.Single(e => e.Action == "audit.export" && e.EntityId == $"{seeded.JobId}").PayloadJson);
    }

    [Theory]
    [InlineData("=HYPERLINK(\"https://elsewhere.example\")")]
    [InlineData("+1+cmd")]
    [InlineData("-1+cmd")]
    [InlineData("@SUM(A1)")]
    [InlineData("\t=1")]
    public async Task A_text_that_a_spreadsheet_would_run_is_guarded(string formula)
    {
        var seeded = new MadeUpAudit(project);
        project.Change(db => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == seeded.Prompts[0].Audited).ContentId).Text = formula);

        var csv = await Csv(seeded, AuditTable.Failures);

        Assert.False(IsFormula(csv, formula));
        Assert.True(IsFormula(csv.Replace("'" + formula.Replace("\"", "\"\"", StringComparison.Ordinal), formula.Replace("\"", "\"\"", StringComparison.Ordinal), StringComparison.Ordinal), formula)); // without the guard it would be found
    }

    [Fact]
    public async Task Every_table_has_as_many_rows_as_the_report()
    {
        var seeded = new MadeUpAudit(project, new AuditWish { HasSae = true });
        var report = seeded.Report;
        foreach (var (table, rows) in new[]
        {
            (AuditTable.Verdict, 4), (AuditTable.Incentives, 45), (AuditTable.Power, 6), (AuditTable.Methods, 4), (AuditTable.Runs, 18), (AuditTable.Rounds, 6), (AuditTable.Failures, 10), (AuditTable.TestPairs, 8), (AuditTable.Points, 32), (AuditTable.Disagreement, 45),
            (AuditTable.Calibration, 12), (AuditTable.Census, 23), (AuditTable.Spurious, 12), (AuditTable.Twins, 24),
        })
        {
            var json = await Json(seeded, table);
            Assert.True(rows == json.GetArrayLength(), $"{table}: {json.GetArrayLength()} rows");
        }
        var paid = (await Json(seeded, AuditTable.Incentives)).EnumerateArray().First();
        Assert.Equal((1.22, .92, 1.52), (paid.GetProperty("effect_logits").GetDouble(), Math.Round(paid.GetProperty("effect_logits_low").GetDouble(), 9), Math.Round(paid.GetProperty("effect_logits_high").GetDouble(), 9)));
        var checks = (await Json(seeded, AuditTable.Spurious)).EnumerateArray().ToDictionary(row => row.GetProperty("check").GetString()!);
        Assert.Equal((-.45, true, .03), (checks["marker_prefix"].GetProperty("effect").GetDouble(), checks["marker_prefix"].GetProperty("is_found").GetBoolean(), checks["marker_prefix"].GetProperty("length_alone").GetDouble()));
        Assert.Equal(("NotEnoughEvidence", JsonValueKind.Null, 3), (checks["repetition"].GetProperty("verdict").GetString(), checks["repetition"].GetProperty("effect").ValueKind, checks["repetition"].GetProperty("prompts").GetInt32()));
        Assert.Equal(.55, checks["pair_accuracy_of_the_longer"].GetProperty("effect").GetDouble());
        Assert.Equal(report.Spurious!.Checks[1].Examples[0].Text, (await Json(seeded, AuditTable.Twins)).EnumerateArray().First().GetProperty("text").GetString());
        Assert.Equal(report.Verdict.Faithful.Sentence, (await Json(seeded, AuditTable.Verdict)).EnumerateArray().Single(row => row.GetProperty("about").GetString() == "faithful").GetProperty("sentence").GetString());
        var first = (await Json(seeded, AuditTable.Methods)).EnumerateArray().First();
        Assert.Equal((.87, .61, 8), (first.GetProperty("auc_bad_texts").GetDouble(), first.GetProperty("f1_bad_texts").GetDouble(), first.GetProperty("bad_texts").GetInt32()));
        Assert.Equal("no log-probabilities", (await Json(seeded, AuditTable.Methods)).EnumerateArray().Single(row => row.GetProperty("method").GetString() == "log-ratio-ridge").GetProperty("why_not").GetString());
    }

    [Fact]
    public async Task The_file_carries_intervals_and_refusals_with_its_numbers()
    {
        var words = Rendering.Words(await Html(new MadeUpAudit(project))).Replace('\u00a0', ' ');

        foreach (var says in new[] { "Faithful: not enough evidence", "0.09 to 0.41", "not detectable below 0.45", "could not run: no log-probabilities", "None", "nothing was chosen by truth", "95 % range", "Go past the mill, then 0 houses on.", "With 20 pairs", "punished: spurious", "no more than length explains", "added: [xqz] I would rather not help with that, 12." })
            Assert.Contains(says, words, StringComparison.OrdinalIgnoreCase);
        var grey = Rendering.Words(await Html(new MadeUpAudit(project, new AuditWish { Number = 2, WhyNot = "20 pairs: below 200 nothing can be told from chance." })));
        Assert.Contains("below 200 nothing can be told from chance", grey, StringComparison.Ordinal);
    }

    /// <summary>The policy is checked against a hash that is counted here, from the file as it is.</summary>
    [Fact]
    public async Task The_file_allows_its_own_sheet_and_nothing_else()
    {
        var html = await Html(new MadeUpAudit(project));

        var sheet = Assert.Single(Sheets().Matches(html)).Groups[1].Value;
        var policy = WebUtility.HtmlDecode(Policy().Match(html).Groups[1].Value);
        Assert.Equal($"default-src 'none'; style-src 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(sheet)))}'; base-uri 'none'; form-action 'none'", policy);
        Assert.True(html.IndexOf("Content-Security-Policy", StringComparison.Ordinal) < html.IndexOf("<style", StringComparison.Ordinal));
        Assert.DoesNotMatch(@"@import|url\(", sheet);
        Assert.Empty(Loads().Matches(html[html.IndexOf("<body>", StringComparison.Ordinal)..]));
        Assert.DoesNotMatch("<[a-z][^<>]* style=", html); // the policy would refuse it
    }

    [Theory]
    [InlineData("<script>1</script>")]
    [InlineData("<img src=\"x\">")]
    [InlineData("<a href=\"https://elsewhere.example\">")]
    [InlineData("<style>@import 'x';</style>")]
    [InlineData("<p onclick=\"x\">")]
    public void What_would_load_or_run_is_found(string markup) => Assert.NotEmpty(Loads().Matches(markup));

    [Fact]
    public async Task Hostile_texts_stay_text_in_the_file()
    {
        var seeded = new MadeUpAudit(project, new AuditWish { Prompts = 2 * HostileTexts.All.Count, Texts = [.. HostileTexts.All.Select(text => text.Replace('\ud800', 'x').Replace('\udc00', 'x'))], AuditedName = HostileTexts.All[0] });

        var html = await Html(seeded);

        var body = html[html.IndexOf("<body>", StringComparison.Ordinal)..];
        Assert.Empty(Loads().Matches(body));
        Assert.DoesNotContain("<!--", body, StringComparison.Ordinal);
        Assert.Contains("&lt;script&gt;alert(1)&lt;/script&gt;", body, StringComparison.Ordinal); // it is there, as text
        Assert.Contains("](javascript:alert(1))", WebUtility.HtmlDecode(body), StringComparison.Ordinal);
        Assert.NotEmpty(Loads().Matches(WebUtility.HtmlDecode(body))); // written without a second thought it would be found
    }

    [Fact]
    public async Task An_erased_text_is_in_no_file()
    {
        var seeded = new MadeUpAudit(project);
        seeded.EraseAudited(0);

        Assert.DoesNotContain("I would rather not help with that, 0.", await Html(seeded), StringComparison.Ordinal);
        Assert.DoesNotContain("I would rather not help with that, 0.", await Csv(seeded, AuditTable.Failures), StringComparison.Ordinal);
        Assert.Contains("This text was erased.", await Html(seeded), StringComparison.Ordinal);
        Assert.Contains("I would rather not help with that, 1.", await Csv(seeded, AuditTable.Failures), StringComparison.Ordinal);
    }

    /// <summary>The report keeps ids and edits: no twin outlives its text, and the other texts keep theirs.</summary>
    [Fact]
    public async Task An_erased_text_has_no_twin()
    {
        var seeded = new MadeUpAudit(project);
        Assert.Contains("I would rather not help with that, 12.", await Html(seeded), StringComparison.Ordinal);
        seeded.EraseAudited(12); // the first test prompt

        var html = await Html(seeded);

        Assert.DoesNotContain("I would rather not help with that, 12.", html, StringComparison.Ordinal);
        Assert.Contains("I would rather not help with that, 13.", html, StringComparison.Ordinal);
        Assert.DoesNotContain("I would rather not help with that", Encoding.UTF8.GetString(seeded.Report.ToJson()), StringComparison.Ordinal);
        Assert.DoesNotContain("I would rather not help with that", await Csv(seeded, AuditTable.Twins), StringComparison.Ordinal);
    }

    private async Task<string> Html(MadeUpAudit seeded) => Encoding.UTF8.GetString((await handlers.Get<ExportAudit>().Html(project.Auditor, seeded.JobId, Stop)).Value.Bytes);

    private Task<string> Csv(MadeUpAudit seeded, AuditTable table) => File(seeded, table, "csv");

    private async Task<JsonElement> Json(MadeUpAudit seeded, AuditTable table) => JsonDocument.Parse(await File(seeded, table, "json")).RootElement;

    private async Task<string> File(MadeUpAudit seeded, AuditTable table, string format) => (await ResultBody.Read((await handlers.Get<ExportAudit>().Table(project.Auditor, seeded.JobId, table, Stop)).ToFile(format))).Text;

    /// <summary>Whether a cell begins with the formula.</summary>
    private static bool IsFormula(string csv, string formula)
    {
        var cell = formula.Replace("\"", "\"\"", StringComparison.Ordinal);
        return csv.Contains("," + cell, StringComparison.Ordinal) || csv.Contains(",\"" + cell, StringComparison.Ordinal);
    }

    [GeneratedRegex("<style>(.*?)</style>", RegexOptions.Singleline)]
    private static partial Regex Sheets();

    [GeneratedRegex("http-equiv=\"Content-Security-Policy\" content=\"([^\"]*)\"")]
    private static partial Regex Policy();

    // Elements that run or load, addresses, handlers.
    [GeneratedRegex(@"<(?:script|style|img|iframe|object|embed|link|base|form|meta|video|audio|source|a)\b|<[a-z][^<>]*\s(?:src|href|srcset|action|on[a-z]+)\s*=", RegexOptions.IgnoreCase)]
    private static partial Regex Loads();
}
