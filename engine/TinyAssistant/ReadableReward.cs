using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// What studies of features stand on: a reward model of some votes, an SAE of its states after the last block, and a head fitted on the codes (SAE after the
/// reward model, the portal's default), with the settings of the sarm study.
/// </summary>
internal sealed class ReadableReward : IDisposable
{
    private readonly ITokenizer tokenizer;

    private ReadableReward(LlamaReward full, SarmReward sarm, TrainingReport sae, ITokenizer tokenizer)
    {
        (Full, Sarm, SaeReport, this.tokenizer) = (full, sarm, sae, tokenizer);
        Weights = sarm.HeadWeight.ToFloats();
    }

    /// <summary>The conventional reward model.</summary>
    public LlamaReward Full { get; }

    /// <summary>The same body, read through features.</summary>
    public SarmReward Sarm { get; }

    public TrainingReport SaeReport { get; }

    /// <summary>w. [M].</summary>
    public IReadOnlyList<float> Weights { get; }

    /// <summary>M.</summary>
    public int Latents => Weights.Count;

    /// <summary>How an SAE after a reward model is trained where a study says nothing else (DECISIONS.md, 9): after the last block.</summary>
    public static TrainSae SaeSpec(int steps) => new() { Steps = steps, Expansion = 4, CentresPositions = true };

    /// <summary>Trains all three.</summary>
    /// <param name="name">Of the trainings' folders; the same name and seed continue an interrupted study.</param>
    /// <param name="texts">What the SAE reads.</param>
    /// <param name="saeSpec">How it is trained, after the last block and with this seed.</param>
    public static ReadableReward Train(string name, long seed, IReadOnlyList<PreferencePair> votes, TrainingSplit<ResponseText> texts, Llama model, ITokenizer tokenizer, TrainRewardModel preset,
        TrainSae saeSpec, StudyRun run)
    {
        var full = LlamaReward.From(model);
        TrainRewardModelRecipe.Run(preset with { Seed = seed }, full, tokenizer, new TrainingSplit<PreferencePair>(votes, []), run.Training($"{name}-{seed}", seed));
        var (sae, report) = TrainSaeRecipe.Run(saeSpec with { Seed = seed, Layer = model.Config.LayerCount }, full.Backbone, tokenizer, texts, Path.Combine(run.Work, "states"), run.Training($"{name}-sae-{seed}", seed));
        var head = new TrainSarm { Seed = seed, Mode = SarmMode.Head, LengthMax = preset.LengthMax };
        var (sarm, _) = TrainSarmRecipe.Run(head, full.Backbone, sae, tokenizer, new TrainingSplit<PreferencePair>(votes, []), run.Training($"{name}-head-{seed}", seed));
        return new ReadableReward(full, sarm, report, tokenizer);
    }

    /// <summary>Codes at the ends of some responses, in their order. Texts that are too long lose their beginning.</summary>
    public IReadOnlyList<SparseVector> Codes(IReadOnlyList<ResponseText> texts, CancellationToken stop)
    {
        var encoder = new DialogueEncoder(tokenizer, Sarm.ContextLength, Overlong.TruncateLeft);
        return TrainSarmRecipe.Codes(Sarm, tokenizer, [.. texts.Select(text => encoder.Answer(text.Prompt, text.Response)!)], stop); // cut, never filtered
    }

    /// <summary>Σ m_i w_i z_i.</summary>
    /// <param name="multipliers">m by latent; 1 where there is none.</param>
    public double Reward(SparseVector code, IReadOnlyDictionary<int, double>? multipliers = null) => Reward(code, Weights, multipliers);

    /// <inheritdoc cref="Reward(SparseVector, IReadOnlyDictionary{int, double}?)"/>
    public static double Reward(SparseVector code, IReadOnlyList<float> weights, IReadOnlyDictionary<int, double>? multipliers = null)
    {
        var reward = 0.0;
        for (var i = 0; i < code.Indices.Length; i++)
            reward += weights[code.Indices[i]] * code.Values[i] * (multipliers is not null && multipliers.TryGetValue(code.Indices[i], out var multiplier) ? multiplier : 1);
        return reward;
    }

    public void Dispose()
    {
        Full.Dispose();
        Sarm.Dispose();
    }
}
