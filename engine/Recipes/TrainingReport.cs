using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Engine.Evaluation;

namespace Portal.Engine.Recipes;

/// <summary>What a run made and what was measured; written beside the weights as <c>report.json</c>.</summary>
public sealed record TrainingReport
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>The stem of the recipe: "TrainRewardModel".</summary>
    public required string Recipe { get; init; }

    /// <summary>The whole spec as JSON, seed included.</summary>
    public required string Spec { get; init; }

    /// <summary>Hash of spec and data; see <see cref="Checkpoint.Fingerprint"/>.</summary>
    public required string Fingerprint { get; init; }

    public required int Steps { get; init; }

    /// <summary>The step the kept weights come from; the last one unless an earlier one was better on held-out rows.</summary>
    public required int KeptStep { get; init; }

    public required int ExamplesTrain { get; init; }
    public required int ExamplesHeldOut { get; init; }

    /// <summary>Examples left out because they are too long, and those cut at their beginning.</summary>
    public required int Filtered { get; init; }
    public required int Truncated { get; init; }

    public required double Seconds { get; init; }

    /// <summary>Training loss of each step, in order; what "the same trajectory" is checked against.</summary>
    public required IReadOnlyList<double> Losses { get; init; }

    public required IReadOnlyList<Measurement> Measurements { get; init; }

    /// <summary>The measurement of this name and part.</summary>
    /// <exception cref="KeyNotFoundException">There is none; the message lists what there is.</exception>
    public Measurement Find(string name, string part = "held-out") =>
        Measurements.FirstOrDefault(m => m.Name == name && m.Part == part)
        ?? throw new KeyNotFoundException($"No {name} on {part}; there is {string.Join(", ", Measurements.Select(m => $"{m.Name} on {m.Part}"))}.");

    /// <summary>Writes the report into a folder.</summary>
    public void Write(string folder) =>
        ArtefactFile.Write(Path.Combine(folder, "report.json"), file => JsonSerializer.Serialize(file, this, Json));
}
