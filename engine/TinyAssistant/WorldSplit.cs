using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>The part of a data set to which a prompt belongs.</summary>
public enum WorldPart { Train, HoldOut, Test }

/// <summary>Divides prompts by the text of their last turn, so that the same question never stands on both sides.</summary>
public static class WorldSplit
{
    /// <summary>Five sevenths train, one seventh hold-out, one seventh test.</summary>
    public static WorldPart Of(string lastPrompt) => (int)(Position("split", lastPrompt) * 7) switch
    {
        < 5 => WorldPart.Train,
        5 => WorldPart.HoldOut,
        _ => WorldPart.Test,
    };

    /// <summary>A fixed position in [0, 1) for a text; every purpose has its own.</summary>
    internal static double Position(string purpose, string text) => new SeededRandom(0).Split(purpose).Split(text).NextDouble();
}
