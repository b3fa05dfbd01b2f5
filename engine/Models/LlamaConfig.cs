namespace Portal.Engine.Models;

/// <summary>The shape of a Llama decoder.</summary>
public sealed record LlamaConfig
{
    /// <summary>d, the width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>The width inside each feed-forward block.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>How many blocks.</summary>
    public required int LayerCount { get; init; }

    /// <summary>How many query heads.</summary>
    public required int HeadCount { get; init; }

    /// <summary>How many key and value heads; divides <see cref="HeadCount"/>. Equal to it without grouping.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Rows of the embedding; at least the tokenizer's vocabulary.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The longest sequence in tokens: positions run from 0 to this minus one.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Width of one head; normally HiddenSize / HeadCount.</summary>
    public int HeadSize
    {
        get => field == 0 && HeadCount > 0 ? HiddenSize / HeadCount : field;
        init;
    }

    /// <summary>ε of RMSNorm.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>θ of the rotary position embedding.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>Whether the output projection is the embedding itself.</summary>
    public bool TieWordEmbeddings { get; init; } = true;

    /// <summary>How many numbers the model learns, an output head of its own included where it is not tied.</summary>
    public long ParameterCount
    {
        get
        {
            long hidden = HiddenSize;
            var attention = hidden * HeadSize * ((2L * HeadCount) + (2L * KeyValueHeadCount));
            var block = attention + (3 * hidden * IntermediateSize) + (2 * hidden);
            return (LayerCount * block) + hidden + (hidden * VocabularySize * (TieWordEmbeddings ? 1 : 2));
        }
    }

    /// <summary>Refuses shapes that cannot be built, and those far beyond any model, which only a hostile file would ask for.</summary>
    /// <exception cref="ArgumentException">A number is out of range; the message names it.</exception>
    public void Validate()
    {
        Check(HiddenSize is > 0 and <= 65_536, nameof(HiddenSize), HiddenSize);
        Check(IntermediateSize is > 0 and <= 1_048_576, nameof(IntermediateSize), IntermediateSize);
        Check(LayerCount is > 0 and <= 1_024, nameof(LayerCount), LayerCount);
        Check(HeadCount is > 0 and <= 1_024, nameof(HeadCount), HeadCount);
        Check(KeyValueHeadCount > 0 && HeadCount % Math.Max(1, KeyValueHeadCount) == 0, nameof(KeyValueHeadCount), KeyValueHeadCount);
        Check(VocabularySize is > 0 and <= 4_194_304, nameof(VocabularySize), VocabularySize);
        Check(ContextLength is > 0 and <= 4_194_304, nameof(ContextLength), ContextLength);
        Check(HeadSize is > 0 and <= 1_024 && HeadSize % 2 == 0, nameof(HeadSize), HeadSize);
        Check(NormEpsilon is > 0 and < 1, nameof(NormEpsilon), NormEpsilon);
        Check(RopeTheta is > 0 and < 1e12, nameof(RopeTheta), RopeTheta);

        static void Check(bool holds, string name, double value)
        {
            if (!holds)
            {
                throw new ArgumentException($"{name} is {value}, which no Llama model can have");
            }
        }
    }
}
