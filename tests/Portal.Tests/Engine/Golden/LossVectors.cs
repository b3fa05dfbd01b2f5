using System.Text.Json.Nodes;

namespace Portal.Tests.Engine.Golden;

/// <summary>
/// Golden/loss_vectors.json: inputs, expected values and gradients of 71 losses and statistics (528 cases), from an independent
/// float64 implementation (loss_vectors.py beside it) that was checked against the original sources of TRL, OpenRLHF and
/// lm-human-preference-details.
/// </summary>
internal static class LossVectors
{
    /// <summary>
    /// Values: float32 against float64. Log-probabilities of the file reach 30, where float32 numbers are 2e-6 apart, and
    /// losses are differences of them: 1e-5 of the value, and of 1 for smaller values.
    /// </summary>
    private const double ValueTolerance = 1e-5;

    /// <summary>Gradients: the file's are central finite differences, good to about 1e-6; ours are float32: 1e-5 of the largest
    /// gradient of the tensor besides.</summary>
    private const double GradientFloor = 1e-6;

    private static readonly JsonObject Cases =
        JsonNode.Parse(File.ReadAllText(GoldenFiles.Path("loss_vectors.json")))!["cases"]!.AsObject();

    public static int EntryCount => Cases.Count;

    public static int CaseCount => Cases.Sum(entry => entry.Value!.AsArray().Count);

    public static IEnumerable<string> Entries => Cases.Select(entry => entry.Key);

    public static IReadOnlyList<(JsonObject Inputs, JsonObject Expected)> CasesOf(string entry)
    {
        return [.. Cases[entry]!.AsArray().Select(item => (item!["inputs"]!.AsObject(), item["expected"]!.AsObject()))];
    }

    /// <summary>
    /// What is wrong with computed values, or null. Every expected value must have been computed; nothing may be left out.
    /// </summary>
    public static string? Difference(JsonObject expected, IReadOnlyDictionary<string, double[]> computed)
    {
        foreach (var (name, node) in expected)
        {
            if (!computed.TryGetValue(name, out var found))
            {
                return $"{name} was not computed";
            }

            var wanted = Numbers(node);
            if (wanted.Length != found.Length)
            {
                return $"{name}: {wanted.Length} numbers expected, {found.Length} computed";
            }

            var isGradient = name.StartsWith("grad_", StringComparison.Ordinal);
            var largest = wanted.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();
            for (var i = 0; i < wanted.Length; i++)
            {
                var tolerance = isGradient ? (ValueTolerance * largest) + GradientFloor : ValueTolerance * Math.Max(1, Math.Abs(wanted[i]));
                var agrees = double.IsNaN(wanted[i]) ? double.IsNaN(found[i]) : Math.Abs(wanted[i] - found[i]) <= tolerance;
                if (!agrees)
                {
                    return $"{name}[{i}]: expected {wanted[i]:r}, computed {found[i]:r}, tolerance {tolerance:g2}";
                }
            }
        }

        return null;
    }

    /// <summary>All numbers of a nested list, or of an object's values, in order; null (not a number, or none) becomes NaN, booleans 0 and 1.</summary>
    public static double[] Numbers(JsonNode? node)
    {
        return node switch
        {
            JsonArray array => [.. array.SelectMany(Numbers)],
            JsonObject values => [.. values.SelectMany(value => Numbers(value.Value))],
            JsonValue value when value.TryGetValue<bool>(out var flag) => [flag ? 1 : 0],
            JsonValue value => [value.GetValue<double>()],
            _ => [double.NaN],
        };
    }
}
