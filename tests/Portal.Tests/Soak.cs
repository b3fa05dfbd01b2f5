using System.Globalization;
using Xunit.Abstractions;

namespace Portal.Tests;

/// <summary>How long the tests that draw by lot go on, and what they draw from.</summary>
internal static class Soak
{
    /// <summary><c>./test --soak</c> (PORTAL_SOAK=1): the long rounds and remakes.</summary>
    public static bool IsLong { get; } = Environment.GetEnvironmentVariable("PORTAL_SOAK") == "1";

    /// <summary>Rounds of random kills of a whole installation: 2, in which each victim has its turn, or 20.</summary>
    public static int Rounds { get; } = IsLong ? 20 : 2;

    /// <summary>Rounds of random kills of a part alone, which the rounds of the whole kill, too: 1, or 20.</summary>
    public static int RoundsOfPart { get; } = IsLong ? 20 : 1;

    /// <summary>A source of random instants whose seed is printed; PORTAL_SEED repeats it.</summary>
    public static (Random Random, int Seed) Seeded(ITestOutputHelper output)
    {
        var seed = Environment.GetEnvironmentVariable("PORTAL_SEED") is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : Environment.TickCount;
        output.WriteLine($"PORTAL_SEED={seed}");
        return (new Random(seed), seed);
    }
}
