using System.Globalization;
using Microsoft.Extensions.Localization;
using Portal.Data.Audits;
using Portal.Web.Components;

namespace Portal.Web.Audits;

/// <summary>How the pages of audits write numbers and names.</summary>
internal static class AuditNumbers
{
    /// <summary>The interval as pages draw it; null where the report has none.</summary>
    /// <param name="unit">What it is divided by, above 0: for effects in deviations of the reward.</param>
    public static Measure? Of(AuditInterval? interval, double unit = 1) => interval is null ? null : new Measure(interval.Estimate / unit, interval.Low / unit, interval.High / unit, interval.Count);

    /// <summary>"0.24 (0.09 to 0.41)"; "–" where there is none.</summary>
    public static string Range(AuditInterval? interval, MeasureFormat format = MeasureFormat.Plain, int decimals = 2, double unit = 1) => interval is null ? "–"
        : $"{MeasureText.Number(interval.Estimate / unit, format, decimals)} ({MeasureText.Digits(interval.Low / unit, format, decimals)} to {MeasureText.Digits(interval.High / unit, format, decimals)})";

    public static string Plain(double? value, int decimals = 2) => value is { } number ? MeasureText.Number(number, MeasureFormat.Plain, decimals) : "–";

    public static string Signed(double? value, int decimals = 2) => value is { } number ? MeasureText.Number(number, MeasureFormat.Signed, decimals) : "–";

    public static string Percent(double? share, int decimals = 0) => share is { } number ? MeasureText.Number(number, MeasureFormat.Percent, decimals) : "–";

    public static string Count(long count) => count.ToString("N0", CultureInfo.CurrentCulture);

    /// <summary>A p value; "–" where nothing was tested.</summary>
    public static string P(double? p) => p is not { } value ? "–" : value < 0.001 ? "<\u00a00.001" : Plain(value, 3);

    /// <summary>The unit in which a table's effects are shown: deviations of the reward where it is known, else logits.</summary>
    public static double UnitOf(AuditIncentives table) => table.RewardDeviation is > 0 and var deviation ? deviation : 1;

    /// <summary>A method's name for people; its key where there is none.</summary>
    public static string Method(IStringLocalizer<Texts> T, string method) => T[$"Method.{method}"] is { ResourceNotFound: false } text ? text.Value : method;

    /// <summary>A spurious check's name for people; one that this version does not know keeps its key.</summary>
    public static string Check(IStringLocalizer<Texts> T, string check) => T[$"Check.{check}"] is { ResourceNotFound: false } text ? text.Value : check;

    public static BadgeKind Kind(AuditLightState state) => state switch
    {
        AuditLightState.Yes => BadgeKind.Good,
        AuditLightState.No => BadgeKind.Bad,
        AuditLightState.NotEnoughEvidence => BadgeKind.Waiting,
    };

    /// <summary>A coordinate or length in a drawing.</summary>
    public static string Drawn(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);
}

/// <summary>Addresses of an audit and of what its numbers lead to.</summary>
internal static class AuditAddress
{
    public static string Of(Guid job) => $"audits/{job}";

    /// <summary>All texts of a prompt, with their scores.</summary>
    public static string Pair(Guid job, string pair) => $"audits/{job}/pairs/{Uri.EscapeDataString(pair)}";

    public static string Pairs(Guid job, AuditPairsOf of) => $"audits/{job}/pairs?show={of}";

    public static string Incentive(Guid job, string table, string feature) => $"{Pairs(job, AuditPairsOf.Incentive)}&table={Uri.EscapeDataString(table)}&feature={Uri.EscapeDataString(feature)}";

    public static string Bin(Guid job, int bin) => string.Create(CultureInfo.InvariantCulture, $"{Pairs(job, AuditPairsOf.Bin)}&first={bin}");

    public static string Runs(Guid job, string method, int first, int second) => string.Create(CultureInfo.InvariantCulture, $"{Pairs(job, AuditPairsOf.Runs)}&method={Uri.EscapeDataString(method)}&first={first}&second={second}");
}

/// <summary>What several blocks of an audit need of its report.</summary>
public static class AuditBlocks
{
    /// <summary>Names of features, by key.</summary>
    public static IReadOnlyDictionary<string, string> NamesOf(AuditReport report) =>
        report.Incentives.SelectMany(table => table.Rows).DistinctBy(row => row.Key).ToDictionary(row => row.Key, row => row.Name, StringComparer.Ordinal);

    /// <summary>Methods that have runs, the audit's own first.</summary>
    public static string[] MethodsOf(AuditReport report) => [.. report.Methods.Where(method => method.Runs.Count > 0).OrderByDescending(method => method.Name == report.Method).Select(method => method.Name)];

    /// <summary>A method that has runs to show: the one asked for, else the audit's own; null where none ran.</summary>
    public static AuditedMethod? MethodOf(AuditReport report, string? asked) =>
        report.Methods.FirstOrDefault(method => method.Name == asked && method.Runs.Count > 0) ?? report.Methods.FirstOrDefault(method => method.Name == report.Method) ?? report.Methods.FirstOrDefault(method => method.Runs.Count > 0);
}
