using Portal.Data;
using Portal.Data.Review;

namespace Portal.Web.Annotate;

/// <summary>What a person says about a response they flag.</summary>
public sealed record FlagInput
{
    /// <summary>Every page that offers it. None of <see cref="FlagWriter.Elsewhere"/>: naming one of those would slip past the limits.</summary>
    public static IReadOnlyList<string> Places { get; } = ["annotate", "judge", "my-work", "results", "model", "review", "audit-pair", "xray", "best-of", "try"];

    public required FlagReason Reason { get; init; }
    public FlagSeverity Severity { get; init; } = FlagSeverity.Medium;

    /// <summary>Words beside the reason; null or blank for none.</summary>
    public string? Note { get; init; }

    /// <summary>The answer that would have been better; null or blank for none.</summary>
    public string? Preferred { get; init; }

    /// <summary>The page it is flagged on.</summary>
    public required string Place { get; init; }

    /// <summary>Everything that is wrong with it, field by field.</summary>
    public IReadOnlyList<Problem> Problems()
    {
        var problems = new List<Problem>();
        if (!Enum.IsDefined(Reason))
            problems.Add(new Problem("reason", "Choose a reason for the flag."));
        if (!Enum.IsDefined(Severity))
            problems.Add(new Problem("severity", "Say how bad it is: 1 for low, 2 for medium, 3 for high."));
        Text("note", "note", Note, Flag.NoteLengthMax);
        Text("preferred", "better answer", Preferred, Flag.PreferredLengthMax);
        if (!Places.Contains(Place))
            problems.Add(new Problem("place", "The flag does not say which page it comes from."));
        return problems;

        void Text(string field, string name, string? text, int lengthMax)
        {
            if (text is null)
                return;
            if (text.Length > lengthMax)
                problems.Add(new Problem(field, $"The {name} has {text.Length:N0} characters; at most {lengthMax:N0} are kept."));
            else if (text.Contains('\0', StringComparison.Ordinal))
                problems.Add(new Problem(field, $"The {name} holds a NUL character, which cannot be stored. Remove it."));
        }
    }
}
