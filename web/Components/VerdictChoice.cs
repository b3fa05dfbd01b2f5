using System.Globalization;

namespace Portal.Web.Components;

/// <summary>What a person said about a pair or about one response.</summary>
public enum VerdictKind
{
    Preferred,
    Tie,
    BothGood,
    BothBad,
    CannotJudge,
    Good,
    Bad,
    Unsure,
}

/// <summary>
/// The value of a verdict's radio button. It names the preferred response by id, never by side, so that no reload,
/// mirrored layout or old page can turn a vote round.
/// </summary>
/// <param name="Kind">The first five are about a pair, the last three about one response.</param>
/// <param name="PreferredId">Set for <see cref="VerdictKind.Preferred"/> only.</param>
/// <param name="Strength">1 slightly, 2 better, 3 much better for <see cref="VerdictKind.Preferred"/>; else 0.</param>
public sealed record VerdictChoice(VerdictKind Kind, string? PreferredId = null, int Strength = 0)
{
    private static readonly Dictionary<string, VerdictKind> Words = new(StringComparer.Ordinal)
    {
        ["tie"] = VerdictKind.Tie,
        ["both-good"] = VerdictKind.BothGood,
        ["both-bad"] = VerdictKind.BothBad,
        ["cannot-judge"] = VerdictKind.CannotJudge,
        ["good"] = VerdictKind.Good,
        ["bad"] = VerdictKind.Bad,
        ["unsure"] = VerdictKind.Unsure,
    };

    /// <summary>The form value: "prefer:{strength}:{id}", or one of the words.</summary>
    public override string ToString() => Kind == VerdictKind.Preferred
        ? $"prefer:{Strength.ToString(CultureInfo.InvariantCulture)}:{PreferredId}"
        : Words.Single(word => word.Value == Kind).Key;

    /// <summary>Null for anything that no radio button sends. Whether the id belongs to the task is the caller's question.</summary>
    public static VerdictChoice? Parse(string? value)
    {
        if (value is null)
        {
            return null;
        }

        if (Words.TryGetValue(value, out var kind))
        {
            return new VerdictChoice(kind);
        }

        return value.Split(':', 3) is ["prefer", var strength, { Length: > 0 } id]
            && strength is ("1" or "2" or "3")
            ? new VerdictChoice(VerdictKind.Preferred, id, strength[0] - '0')
            : null;
    }
}
