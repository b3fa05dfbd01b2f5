using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Web;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Audits;

/// <summary>A file to hand over.</summary>
/// <param name="Name">With its extension.</param>
public sealed record AuditFile(string Name, byte[] Bytes);

/// <summary>
/// Hands an audit over: the report as JSON as it was stored, each table as CSV or JSON, and one HTML file that needs nothing else. Each is written down in the audit log, since texts leave with it.
/// </summary>
[Needs(Permission.Audit)]
public sealed class ExportAudit(ReadAudit read, ReadAuditDocument document, Access access, WriteQueue writes, AuditHtml html, TimeProvider time)
{
    internal static readonly Problem NotEnded = new("audit", "This audit has not ended, so there is nothing to hand over.", ProblemKind.Conflict);

    /// <summary><c>report.json</c> byte for byte: its hash is the one in the audit's manifest.</summary>
    public async Task<Outcome<AuditFile>> Json(ClaimsPrincipal user, JobId job, CancellationToken stop)
    {
        var opened = await read.Ended(user, job, NotEnded, stop);
        if (opened.Refusal is { } refusal)
            return refusal;
        await Note(user, opened.Value, "json", null, stop);
        return new AuditFile($"{Name(opened.Value)}.json", opened.Value.Folder.Bytes(AuditReport.FileName));
    }

    /// <summary>One table.</summary>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, JobId job, AuditTable table, CancellationToken stop)
    {
        var opened = await read.Ended(user, job, NotEnded, stop);
        if (opened.Refusal is { } refusal)
            return refusal;
        var failed = table is AuditTable.Failures ? opened.Value.Report.Failures.Select(failure => failure.Pair).ToHashSet(StringComparer.Ordinal) : []; // no other table has texts
        var texts = await read.OfPairs(user, job, opened.Value.Report.Pairs.Where(pair => failed.Contains(pair.Id)), stop);
        if (texts.Refusal is { } why)
            return why;
        await Note(user, opened.Value, "table", table, stop);
        return AuditTables.Of(opened.Value, table, texts.Value);
    }

    /// <summary>One file that any browser opens without a network.</summary>
    public async Task<Outcome<AuditFile>> Html(ClaimsPrincipal user, JobId job, CancellationToken stop)
    {
        var shown = await document.Handle(user, job, stop);
        if (shown.Refusal is { } refusal)
            return refusal;
        await Note(user, shown.Value.Audit, "html", null, stop);
        return new AuditFile($"{Name(shown.Value.Audit)}.html", await html.Write(shown.Value));
    }

    private async Task Note(ClaimsPrincipal user, EndedAudit audit, string format, AuditTable? table, CancellationToken stop)
    {
        var by = await access.Find(user, stop);
        await writes.WriteAsync(db => { AuditChain.Append(db, time.GetUtcNow(), by?.AccountId, "audit.export", "audit", $"{audit.Row.JobId}", new { format, table = table?.ToString() }); }, stop);
    }

    private static string Name(EndedAudit audit) => $"audit-{audit.Row.Number.ToString(System.Globalization.CultureInfo.InvariantCulture)}";
}

/// <summary>What stands in a document about an audit: all of the report that people read, and the texts of its failures, examples and twins.</summary>
/// <param name="Failures">The first ones, clear ones first.</param>
/// <param name="Examples">Pairs in which a feature that is paid for or punished speaks most for the audited text.</param>
/// <param name="Twins">Of spurious checks.</param>
/// <param name="At">When it was made.</param>
public sealed record AuditDocumentView(EndedAudit Audit, IReadOnlyList<FailureRow> Failures, IReadOnlyList<AuditExample> Examples, IReadOnlyList<ShownTwin> Twins, DateTimeOffset At);

/// <summary>A pair that stands for a feature.</summary>
public sealed record AuditExample(AuditIncentive Feature, AuditTextShown? Audited, AuditTextShown? Base);

/// <summary>Reads what a document about an audit shows.</summary>
[Needs(Permission.Audit)]
public sealed class ReadAuditDocument(ReadAudit read, ListFailures failures, ShowSpuriousTwins twins, TimeProvider time)
{
    /// <summary>Failures in a document; the table as CSV has all.</summary>
    public const int FailuresMax = 200;

    /// <summary>Example pairs of a feature in a document.</summary>
    public const int ExamplesMax = 3;

    public async Task<Outcome<AuditDocumentView>> Handle(ClaimsPrincipal user, JobId job, CancellationToken stop)
    {
        var ended = await read.Ended(user, job, ExportAudit.NotEnded, stop);
        if (ended.Refusal is { } refusal)
            return refusal;
        var audit = ended.Value;
        var failed = await failures.WithTexts(user, job, audit.Report, audit.Report.Failures.Take(FailuresMax), stop);
        if (failed.Refusal is { } why)
            return why;
        var pairs = audit.Report.Pairs.ToDictionary(pair => pair.Id, StringComparer.Ordinal);
        var wanted = audit.Report.Incentives.SelectMany(table => table.Rows).Where(row => row.Verdict is AuditIncentiveVerdict.PaidFor or AuditIncentiveVerdict.Punished)
            .SelectMany(row => row.ExamplePairs.Where(pairs.ContainsKey).Take(ExamplesMax).Select(pair => (Row: row, Pair: pairs[pair]))).ToList();
        var texts = await read.OfPairs(user, job, wanted.Select(one => one.Pair), stop);
        if (texts.Refusal is { } gone)
            return gone;
        var examples = wanted.ConvertAll(one => new AuditExample(one.Row, texts.Value.GetValueOrDefault(one.Pair.AuditedText), texts.Value.GetValueOrDefault(one.Pair.BaseText)));
        var made = await twins.Handle(user, job, audit.Report, stop);
        return made.Refusal is { } lost ? lost : new AuditDocumentView(audit, failed.Value, examples, made.Value, time.GetUtcNow());
    }
}

/// <summary>Writes the document as one HTML file: no script, no address that is asked for, one style sheet, the portal's own, whose hash the file's policy names.</summary>
/// <remarks>
/// The body is drawn by the framework's renderer, which writes every text as text; there is no other way in for what a model or a person wrote. The policy in the file's head refuses everything but that one
/// style sheet, so that even a text that got through could run and load nothing.
/// </remarks>
public sealed class AuditHtml(IServiceScopeFactory scopes, ILoggerFactory logs)
{
    private static readonly string[] Sheets = ["tokens.css", "site.css", "parts.css"];

    private static readonly Lazy<string> Style = new(() => string.Concat(Sheets.Select(Sheet)));

    /// <summary>The policy of the file.</summary>
    public static string Policy => $"default-src 'none'; style-src 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Style.Value)))}'; base-uri 'none'; form-action 'none'";

    public async Task<byte[]> Write(AuditDocumentView view)
    {
        await using var scope = scopes.CreateAsyncScope();
        await using var renderer = new HtmlRenderer(scope.ServiceProvider, logs);
        var body = await renderer.Dispatcher.InvokeAsync(async () =>
            (await renderer.RenderComponentAsync<AuditDocument>(ParameterView.FromDictionary(new Dictionary<string, object?> { [nameof(AuditDocument.Of)] = view }))).ToHtmlString());
        // Nothing in the head but our own words and numbers.
        var title = System.Net.WebUtility.HtmlEncode(view.Audit.Row.Label);
        return Encoding.UTF8.GetBytes($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="{Policy}">
            <meta name="referrer" content="no-referrer">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{title}</title>
            <style>{Style.Value}</style>
            </head>
            <body>
            <main class="page report">
            {body}
            </main>
            </body>
            </html>

            """);
    }

    /// <summary>A sheet as it lies in this program; line ends as a browser reads them, since the hash is of that.</summary>
    private static string Sheet(string name)
    {
        using var file = typeof(AuditHtml).Assembly.GetManifestResourceStream($"report/{name}") ?? throw new InvalidOperationException($"The sheet {name} is not in the program; web/Portal.Web.csproj embeds it.");
        using var reader = new StreamReader(file, Encoding.UTF8);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }
}
