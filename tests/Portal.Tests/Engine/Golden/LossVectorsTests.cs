using System.Text.Json.Nodes;
using TorchSharp;
using Xunit;

namespace Portal.Tests.Engine.Golden;

/// <summary>
/// Every loss against the golden file. An entry counts only when every expected value and every gradient of every case was
/// compared and agrees.
/// </summary>
public sealed class LossVectorsTests
{
    private static readonly string[] Required =
    [
        "sft_nll", "sft_dft", "selective_log_softmax", "reward_bt", "reward_gain_bias", "dpo_sigmoid", "dpo_cdpo_label_smoothing", "dpo_from_logits",
        "kto_kto", "adamw_steps", "kl_estimators", "adaptive_kl", "rloo_advantages", "rloo_loss",
    ];

    [Fact]
    public void The_engine_agrees_with_the_golden_vectors()
    {
        var (entries, cases, failures) = (0, 0, new List<string>());
        foreach (var (name, runner) in LossVectorRunners.All)
        {
            var wrong = Check(name, runner);
            failures.AddRange(wrong);
            entries += wrong.Count == 0 ? 1 : 0;
            cases += wrong.Count == 0 ? LossVectors.CasesOf(name).Count : 0;
        }

        var summary = $"golden: {entries} of {LossVectors.EntryCount} entries, {cases} of {LossVectors.CaseCount} cases";
        Notes.Write(summary);
        Assert.True(failures.Count == 0, string.Join('\n', failures));
        Assert.Equal((71, 528), (LossVectors.EntryCount, LossVectors.CaseCount));
        Assert.Empty(Required.Except(LossVectorRunners.All.Keys));
        Assert.Empty(LossVectorRunners.All.Keys.Except(LossVectors.Entries));
    }

    [Fact]
    public void A_perturbed_vector_fails()
    {
        foreach (var (name, runner) in LossVectorRunners.All)
        {
            var (inputs, expected) = LossVectors.CasesOf(name)[0];
            using var scope = torch.NewDisposeScope();
            var computed = runner(inputs);
            foreach (var key in expected.Select(item => item.Key).ToList())
            {
                var perturbed = expected.DeepClone().AsObject();
                perturbed[key] = Perturbed(perturbed[key]);
                Assert.True(LossVectors.Difference(perturbed, computed) is not null, $"{name}: a wrong {key} was not noticed");
            }
        }
    }

    [Fact]
    public void A_value_that_is_not_computed_or_of_another_length_fails()
    {
        var expected = JsonNode.Parse("""{"loss": 1.0, "extra": [1.0, 2.0]}""")!.AsObject();
        Assert.Equal("extra was not computed", LossVectors.Difference(expected, new Dictionary<string, double[]> { ["loss"] = [1] }));
        Assert.Contains("2 numbers expected", LossVectors.Difference(expected, new Dictionary<string, double[]> { ["loss"] = [1], ["extra"] = [1] }));
        Assert.NotNull(LossVectors.Difference(expected, new Dictionary<string, double[]> { ["loss"] = [double.NaN], ["extra"] = [1, 2] }));
        Assert.Null(LossVectors.Difference(expected, new Dictionary<string, double[]> { ["loss"] = [1], ["extra"] = [1, 2] }));
    }

    private static List<string> Check(string name, LossVectorRunners.Runner runner)
    {
        var wrong = new List<string>();
        var cases = LossVectors.CasesOf(name);
        for (var i = 0; i < cases.Count; i++)
        {
            using var scope = torch.NewDisposeScope();
            if (LossVectors.Difference(cases[i].Expected, runner(cases[i].Inputs)) is { } difference)
            {
                wrong.Add($"{name} case {i}: {difference}");
            }
        }

        return wrong;
    }

    /// <summary>
    /// The token mean has no entry of its own: it is OpenRLHF's PolicyLoss without dual clip, and TRL's "bnpo" and "dapo" without divergence in the loss. Those cases of the entries are compared.
    /// </summary>
    [Fact]
    public void The_token_mean_of_the_policy_gradient_agrees_with_OpenRLHF_and_TRL()
    {
        var compared = new Dictionary<string, int>();
        foreach (var (entry, names) in LossVectorRunners.TokenMeans)
            foreach (var (inputs, expected) in LossVectors.CasesOf(entry).Where(item => names.IsPlain(item.Inputs)))
            {
                using var scope = torch.NewDisposeScope();
                Assert.Null(LossVectors.Difference(expected, LossVectorRunners.TokenMean(inputs, names)));
                var wrong = expected.DeepClone().AsObject();
                wrong["loss"] = Perturbed(wrong["loss"]);
                Assert.NotNull(LossVectors.Difference(wrong, LossVectorRunners.TokenMean(inputs, names)));
                compared[entry] = compared.GetValueOrDefault(entry) + 1;
            }
        Assert.Equal(new Dictionary<string, int> { ["openrlhf_policy_loss"] = 6, ["grpo_bnpo"] = 1, ["grpo_dapo"] = 1 }, compared);
    }

    // Moves the last number of a value by a thousandth and a little: small enough that a sloppy comparison would miss it.
    private static JsonNode Perturbed(JsonNode? node)
    {
        if (node is JsonArray array)
        {
            var copy = array.DeepClone().AsArray();
            copy[^1] = Perturbed(copy[^1]);
            return copy;
        }

        if (node is JsonObject values)
        {
            var copy = values.DeepClone().AsObject();
            var last = copy.Last().Key;
            copy[last] = Perturbed(copy[last]);
            return copy;
        }

        var value = node?.GetValue<double>() ?? 0;
        return value + ((value < 0 ? -1 : 1) * ((Math.Abs(value) * 1e-3) + 1e-4));
    }
}
