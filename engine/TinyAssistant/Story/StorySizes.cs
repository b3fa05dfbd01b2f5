using Portal.Data.JobSpecs;

namespace Portal.Engine.TinyAssistant.Story;

/// <summary>How much of everything the story does.</summary>
public sealed record StorySizes
{
    /// <summary>Samples of the base that the graders read.</summary>
    public int BaseSamples { get; init; } = 400;

    /// <summary>Prompts, answers and votes of the crowd.</summary>
    public DemoSizes Crowd { get; init; } = new() { Prompts = 400, ResponsesPerPrompt = 6, PairwiseJudgements = 3_000, BinaryJudgements = 600, OverlapPairs = 50 };

    /// <summary>The corpus, where tokenizer and base are trained too.</summary>
    public MakeDemoOptions Corpus { get; init; } = new();

    /// <summary>Held-out prompts and samples each on which old and new policy are compared.</summary>
    public EvaluationSpec Evaluation { get; init; } = new() { Prompts = 80, SamplesPerPrompt = 4 };

    /// <summary>Limit of a training job's steps; null for the preset's own end.</summary>
    public int? StepsMax { get; init; }

    /// <summary>Prompts that the released policy answers for new tasks.</summary>
    public int NewPrompts { get; init; } = 40;

    /// <summary>Smallest share of the base's answers that the graders must be able to read.</summary>
    public double ReadableMin { get; init; } = 0.9;

    /// <summary>
    /// Demand that something was learned: the reward model orders more held-out pairs than chance, the policy's reward and r* rise, each with its whole
    /// interval. A miniature is too small for that and demands only that every station does its work.
    /// </summary>
    public bool DemandsLearning { get; init; } = true;

    /// <summary>Miniature sizes, for a test of the stations and not of learning.</summary>
    public static StorySizes Tiny { get; } = new()
    {
        BaseSamples = 60,
        Crowd = new DemoSizes { Prompts = 60, ResponsesPerPrompt = 5, PairwiseJudgements = 240, BinaryJudgements = 60, OverlapPairs = 10, VotesPerOverlapPair = 3, PlantedTriggerShare = 0 },
        Corpus = new MakeDemoOptions { Dialogues = 2_000, Drills = 1_000, TokenizerDialogues = 1_500, HeldOutDialogues = 50, StepsMax = 80 },
        Evaluation = new EvaluationSpec { Prompts = 10, SamplesPerPrompt = 2, Sampling = new SamplingSpec { TokensMax = 60 } },
        StepsMax = 6, NewPrompts = 6, ReadableMin = 0, DemandsLearning = false,
    };
}
