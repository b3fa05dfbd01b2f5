using System.Security.Claims;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>Two twins as they are made again now.</summary>
/// <param name="Text">What both are made from; null when its row is gone. Erased, it has no twins.</param>
/// <param name="First">Null where it cannot be made any more, as is <paramref name="Second"/>.</param>
/// <param name="Second">The text itself, unchanged, where nothing else is said.</param>
public sealed record ShownTwin(string Check, AuditTwin Twin, AuditTextShown? Text, EditedText? First, EditedText? Second);

/// <summary>Makes the example twins of an audit's spurious checks again, from the texts as they are stored now: an erased text has none.</summary>
[Needs(Permission.Audit)]
public sealed class ShowSpuriousTwins(ReadAudit read)
{
    /// <summary>Examples of a check; the report names a few more.</summary>
    public const int ExamplesMax = 3;

    public async Task<Outcome<IReadOnlyList<ShownTwin>>> Handle(ClaimsPrincipal user, JobId job, AuditReport report, CancellationToken stop)
    {
        var wanted = (report.Spurious?.Checks ?? []).SelectMany(check => check.Examples.Take(ExamplesMax).Select(twin => (check.Key, Twin: twin))).ToList();
        var texts = await read.Texts(user, job, [.. wanted.Select(one => one.Twin.Text).Distinct(StringComparer.Ordinal)], stop);
        if (texts.Refusal is { } refusal)
            return refusal;
        var byId = texts.Value.ToDictionary(text => text.Id, StringComparer.Ordinal);
        return wanted.ConvertAll(one =>
        {
            var text = byId.GetValueOrDefault(one.Twin.Text);
            return text?.Text is not { } words ? new ShownTwin(one.Key, one.Twin, text, null, null)
                : new ShownTwin(one.Key, one.Twin, text, one.Twin.Edit.Apply(words, text.Prompt), one.Twin.Against is { } against ? against.Apply(words, text.Prompt) : new EditedText([new EditedPart(words, false)]));
        });
    }
}
