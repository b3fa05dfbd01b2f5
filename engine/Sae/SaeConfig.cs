using Portal.Data.JobSpecs;

namespace Portal.Engine.Sae;

/// <summary>What happens to a hidden state before the encoder sees it.</summary>
public enum SaeNormalisation
{
    /// <summary>Nothing (sparsify's files).</summary>
    None,

    /// <summary>Each vector to mean 0 and deviation 1, the deviation with n − 1 (SARM; "layer_norm" in SAELens).</summary>
    ZScore,
}

/// <summary>Where in a text a vector was read.</summary>
public enum SaePosition
{
    /// <summary>The token that ends the response, where a reward is read.</summary>
    ResponseEnd,

    /// <summary>The punctuation that ends a sentence inside a response.</summary>
    SentenceEnd,
}

/// <summary>The shape of a sparse autoencoder and everything one has to know to use it; stored beside its weights.</summary>
/// <remarks>
/// All preprocessing is part of it: an SAE whose normaliser is written down elsewhere gives numbers that nobody can repeat.
/// </remarks>
public sealed record SaeConfig
{
    /// <summary>d, the width of the residual stream it reads.</summary>
    public required int Width { get; init; }

    /// <summary>M, the number of latents.</summary>
    public required int Latents { get; init; }

    /// <summary>k, latents that stay for a vector; for BatchTopK their mean number.</summary>
    public required int K { get; init; }

    /// <summary>Blocks run before the stream is read: 2 reads what the second block leaves (<c>hidden_states[2]</c> at Hugging Face), before any final norm.</summary>
    public required int Layer { get; init; }

    public SaeSelection Selection { get; init; } = SaeSelection.TopK;

    /// <summary>BatchTopK after training: what a latent must exceed to stay.</summary>
    public double? Threshold { get; init; }

    public SaeNormalisation Normalisation { get; init; } = SaeNormalisation.ZScore;

    /// <summary>Added to the deviation before dividing by it.</summary>
    public double NormaliserEpsilon { get; init; } = 1e-6;

    /// <summary>Negative values among the k largest become 0. False as in the authors' code, where M is so large that it never matters.</summary>
    public bool UseRelu { get; init; } = true;

    /// <summary>Each kind of position has a pre-bias of its own; see <see cref="TopKSae.PreBias"/>.</summary>
    public bool CentresPositions { get; init; }

    /// <summary>Hash of the weights of the model it was trained on; null where a file does not say.</summary>
    public string? ModelHash { get; init; }

    /// <summary>Hash of that model's tokenizer.</summary>
    public string? TokenizerHash { get; init; }

    /// <summary>Rows of the pre-bias: one, or one for each <see cref="SaePosition"/>.</summary>
    public int Centres => CentresPositions ? Enum.GetValues<SaePosition>().Length : 1;

    /// <summary>Which row of the pre-bias a position uses.</summary>
    public int CentreOf(SaePosition position) => CentresPositions ? (int)position : 0;

    /// <exception cref="ArgumentException">The shape cannot be; the message names the field.</exception>
    public void Validate()
    {
        Require(Width >= 2, $"width is {Width}; the deviation of a vector needs at least 2 numbers");
        Require(Latents >= 1, $"latents is {Latents}; at least 1 is needed");
        Require(K >= 1 && K <= Latents, $"k is {K}; it must lie between 1 and the {Latents} latents");
        Require(Layer >= 0, $"layer is {Layer}; 0 is the embedding");
        Require(NormaliserEpsilon >= 0 && double.IsFinite(NormaliserEpsilon), $"normaliserEpsilon is {NormaliserEpsilon}; a finite number of at least 0 is needed");
        Require(Threshold is null || double.IsFinite(Threshold.Value), $"threshold is {Threshold}; a finite number is needed");

        static void Require(bool holds, string message)
        {
            if (!holds)
                throw new ArgumentException($"SAE: {message}.");
        }
    }

    /// <summary>Why this SAE cannot read a model's states, in one sentence; null when it can.</summary>
    /// <param name="width">The model's hidden size.</param>
    /// <param name="blocks">Its number of blocks.</param>
    /// <param name="modelHash">Hash of its weights.</param>
    /// <param name="tokenizerHash">Hash of its tokenizer.</param>
    public string? ProblemWith(int width, int blocks, string modelHash, string tokenizerHash) =>
        width != Width ? $"The SAE reads states of {Width} numbers; the model's have {width}."
        : Layer > blocks ? $"The SAE reads after block {Layer}; the model has {blocks}."
        : TokenizerHash is { } tokens && tokens != tokenizerHash ? $"The SAE was trained with another tokenizer ({Short(tokens)}, the model's is {Short(tokenizerHash)})."
        : ModelHash is { } model && model != modelHash ? $"The SAE was trained on another model ({Short(model)}, this one is {Short(modelHash)})."
        : null;

    private static string Short(string hash) => hash.Length > 12 ? hash[..12] : hash;
}
