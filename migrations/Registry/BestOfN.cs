using System.Text.Json;
using Portal.Data.Serving;

namespace Portal.Data.Registry;

/// <summary>A comparison of two reward models by what they pick from the same n answers of one policy. Made by a job, whose id it has.</summary>
public sealed class BestOfNRun
{
    /// <summary>The job that made it.</summary>
    public required JobId JobId { get; init; }

    public required ProjectId ProjectId { get; init; }
    public required ModelVersionId PolicyId { get; init; }

    /// <summary>The reward model before.</summary>
    public required ModelVersionId BeforeId { get; init; }

    /// <summary>The one compared with it.</summary>
    public required ModelVersionId AfterId { get; init; }

    public required int Prompts { get; init; }

    /// <summary>n.</summary>
    public required int AnswersPerPrompt { get; init; }

    /// <summary>Of what both picked (<see cref="BestOfNFigure"/> list as JSON).</summary>
    public required string FiguresJson { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>The figures.</summary>
    public IReadOnlyList<BestOfNFigure> Figures() => JsonSerializer.Deserialize<List<BestOfNFigure>>(FiguresJson) ?? [];
}

/// <summary>A figure of the picked answers, with intervals by prompt.</summary>
/// <param name="Name">"changed" (share of prompts with another pick; before is 0), "reward_before" and "reward_after" (reward of the pick under either model, in standard deviations of that model's rewards of all answers), "length_words".</param>
/// <param name="Before">Of what the first model picks.</param>
/// <param name="After">Of what the second one picks.</param>
/// <param name="Change">After minus before, paired.</param>
public sealed record BestOfNFigure(string Name, Estimated Before, Estimated After, Estimated Change);

/// <summary>One of the n answers to a prompt, with its reward under both models. The text is the response's, which can be erased.</summary>
public sealed class BestOfNAnswer
{
    public long Id { get; init; }

    /// <summary>The job that asked; shown once its <see cref="BestOfNRun"/> is there.</summary>
    public required JobId JobId { get; init; }

    public required PromptId PromptId { get; init; }
    public required ResponseId ResponseId { get; init; }

    /// <summary>0 to n − 1 within the prompt.</summary>
    public required int Ordinal { get; init; }

    public required double RewardBefore { get; init; }
    public required double RewardAfter { get; init; }

    /// <summary>The first model picks it.</summary>
    public required bool IsBestBefore { get; init; }

    /// <summary>The second model picks it.</summary>
    public required bool IsBestAfter { get; init; }
}
