using Portal.Data;

namespace Portal.Web.SaeFeatures;

/// <summary>The address of a pair's X-ray, which remembers the list it was opened from.</summary>
internal static class PairAddress
{
    /// <summary>Value of ?show= for the list of pairs on which model and people disagree.</summary>
    public const string Disagreements = "disagreements";

    public static string Of(TaskId pair, Guid? version, bool fromDisagreements)
    {
        string[] query = [.. version is { } id ? [$"version={id}"] : Array.Empty<string>(), .. fromDisagreements ? [$"show={Disagreements}"] : Array.Empty<string>()];
        return query.Length == 0 ? $"pair-xray/{pair}" : $"pair-xray/{pair}?{string.Join('&', query)}";
    }
}
