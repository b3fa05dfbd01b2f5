using Microsoft.Extensions.Localization;
using Portal.Data.Audits;

namespace Portal.Web.Audits;

/// <summary>What pages say of a failure.</summary>
internal static class FailureWords
{
    /// <summary>"wrong in 12 of 15 runs; maybe mislabelled: …".</summary>
    public static string Kind(IStringLocalizer<Texts> T, AuditFailure failure)
    {
        var kind = T[$"Failure.{failure.Kind}", failure.RunsWrong, failure.Runs].Value;
        return failure.Screen is { } screen && ListFailures.IsMaybeMislabelled(failure) ? $"{kind}; {T[$"Screen.{screen}"].Value}" : kind;
    }
}
