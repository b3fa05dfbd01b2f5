using System.Text.Json.Nodes;
using Portal.Engine.Losses;
using Portal.Engine.Recipes;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Golden;

/// <summary>
/// How each entry of the golden file is computed by the engine. A later loss adds its line here; LossVectorsTests does the rest.
/// </summary>
internal static class LossVectorRunners
{
    /// <summary>From an entry's inputs to its values by the names of the file, gradients as grad_ and the input's name.</summary>
    public delegate Dictionary<string, double[]> Runner(JsonObject inputs);

    // Stands before All, whose making reads it.
    private static IReadOnlyDictionary<string, DpoVariant> DpoVariants { get; } = new Dictionary<string, DpoVariant>
    {
        ["sigmoid"] = DpoVariant.Sigmoid,
        ["sigmoid_norm"] = DpoVariant.SigmoidNorm,
        ["hinge"] = DpoVariant.Hinge,
        ["ipo"] = DpoVariant.Ipo,
        ["exo_pair"] = DpoVariant.ExoPair,
        ["nca_pair"] = DpoVariant.NcaPair,
        ["robust"] = DpoVariant.Robust,
        ["bco_pair"] = DpoVariant.BcoPair,
        ["sppo_hard"] = DpoVariant.SppoHard,
        ["aot"] = DpoVariant.Aot,
        ["aot_unpaired"] = DpoVariant.AotUnpaired,
        ["apo_zero"] = DpoVariant.ApoZero,
        ["apo_down"] = DpoVariant.ApoDown,
        ["discopop"] = DpoVariant.Discopop,
    };

    public static IReadOnlyDictionary<string, Runner> All { get; } = MakeAll();

    private static Dictionary<string, Runner> MakeAll()
    {
        var runners = new Dictionary<string, Runner>
        {
            ["selective_log_softmax"] = SelectiveLogSoftmax,
            ["sft_nll"] = inputs => Sft(inputs, CrossEntropyKind.Nll),
            ["sft_dft"] = inputs => Sft(inputs, CrossEntropyKind.Dft),
            ["reward_bt"] = RewardBradleyTerry,
            ["reward_gain_bias"] = RewardGainBias,
            ["dpo_cdpo_label_smoothing"] = inputs => Dpo(inputs, DpoVariant.Sigmoid),
            ["dpo_sigmoid_alpha_divergence"] = inputs => Dpo(inputs, DpoVariant.Sigmoid),
            ["dpo_from_logits"] = DpoFromLogits,
            ["kto_kto"] = inputs => Kto(inputs, withoutKl: false),
            ["kto_apo_zero_unpaired"] = inputs => Kto(inputs, withoutKl: true),
            ["adamw_steps"] = AdamWSteps,
            ["kl_estimators"] = KlEstimators,
            ["adaptive_kl"] = AdaptiveCoefficient,
            ["rloo_advantages"] = RlooAdvantageValues,
            ["rloo_loss"] = RlooSequences,
        };
        foreach (var (name, variant) in DpoVariants)
        {
            runners["dpo_" + name] = inputs => Dpo(inputs, variant);
        }

        return runners;
    }

    private static Dictionary<string, double[]> SelectiveLogSoftmax(JsonObject inputs)
    {
        var logits = Floats(inputs["logits"]).flatten(0, 1);
        return new()
        {
            ["logps"] = Numbers(SequenceLogProb.OfTokens(logits, Longs(inputs["ids"]).flatten())),
            ["entropy"] = Numbers(SequenceLogProb.Entropy(logits)),
        };
    }

    private static Dictionary<string, double[]> Sft(JsonObject inputs, CrossEntropyKind kind)
    {
        var logits = Learned(inputs["logits"]);
        var tokens = CompletionTokens.OfLabels(Longs(inputs["labels"]));
        var picked = tokens.Pick(logits);
        var loss = CrossEntropyLoss.Compute(SequenceLogProb.OfTokens(picked, tokens.Targets), kind, inputs["num_items_in_batch"]?.GetValue<long>());
        loss.backward();
        var (accuracy, entropy) = CrossEntropyLoss.Metrics(picked, tokens.Targets);
        return new()
        {
            ["loss"] = Numbers(loss),
            ["num_valid_tokens"] = [tokens.Count],
            ["mean_token_accuracy"] = [accuracy],
            ["entropy"] = [entropy],
            ["grad_logits"] = Numbers(logits.grad!),
        };
    }

    private static Dictionary<string, double[]> RewardBradleyTerry(JsonObject inputs)
    {
        var (chosen, rejected) = (Learned(inputs["chosen"]), Learned(inputs["rejected"]));
        var margin = inputs["margin"] is { } given ? Floats(given) : null;
        var loss = BradleyTerryLoss.Compute(chosen, rejected, margin, centring: inputs["center_rewards_coefficient"]?.GetValue<double>() ?? 0);
        loss.backward();
        var metrics = BradleyTerryLoss.Metrics(chosen, rejected);
        return new()
        {
            ["loss"] = Numbers(loss),
            ["accuracy"] = [metrics.Accuracy],
            ["margin"] = [metrics.Margin],
            ["min_reward"] = [metrics.MinimumReward],
            ["mean_reward"] = [metrics.MeanReward],
            ["max_reward"] = [metrics.MaximumReward],
            ["grad_chosen"] = Numbers(chosen.grad!),
            ["grad_rejected"] = Numbers(rejected.grad!),
        };
    }

    private static Dictionary<string, double[]> RewardGainBias(JsonObject inputs)
    {
        var line = RewardNormalisation.Fit(LossVectors.Numbers(inputs["rewards"]));
        return new() { ["gain"] = [line.Gain], ["bias"] = [line.Bias] };
    }

    private static Dictionary<string, double[]> Dpo(JsonObject inputs, DpoVariant variant)
    {
        var (chosen, rejected) = (Learned(inputs["chosen_logps"]), Learned(inputs["rejected_logps"]));
        var pairs = new DpoLogProbs(chosen, rejected, Floats(inputs["ref_chosen_logps"]), Floats(inputs["ref_rejected_logps"]))
        {
            ChosenLengths = inputs["chosen_len"] is { } chosenLengths ? Floats(chosenLengths) : null,
            RejectedLengths = inputs["rejected_len"] is { } rejectedLengths ? Floats(rejectedLengths) : null,
        };
        var alpha = inputs["f_alpha_divergence_coef"]?.GetValue<double>();
        var options = new DpoOptions
        {
            Variant = variant,
            Beta = inputs["beta"]!.GetValue<double>(),
            LabelSmoothing = inputs["label_smoothing"]?.GetValue<double>() ?? 0,
            DiscopopTau = inputs["discopop_tau"]?.GetValue<double>() ?? 0.05,
            AlphaCoefficient = alpha ?? 0.5,
            Divergence = inputs["f_divergence_type"]?.GetValue<string>() switch
            {
                "forward_kl" => DpoDivergence.ForwardKl,
                "js_divergence" => DpoDivergence.JensenShannon,
                "reverse_kl" => DpoDivergence.ReverseKl,
                null => alpha is null ? DpoDivergence.ReverseKl : DpoDivergence.Alpha,
                var other => throw new InvalidOperationException($"unknown divergence {other}"),
            },
        };
        var perPair = DpoLoss.PerPair(pairs, options);
        var loss = DpoLoss.Compute(pairs, options);
        loss.backward();
        var metrics = DpoLoss.Metrics(pairs, options.Beta);
        return new()
        {
            ["per_sequence"] = Numbers(perPair),
            ["loss"] = Numbers(loss),
            ["rewards/chosen"] = [metrics.ChosenReward],
            ["rewards/rejected"] = [metrics.RejectedReward],
            ["rewards/margins"] = [metrics.Margin],
            ["rewards/accuracies"] = [metrics.Accuracy],
            ["grad_chosen_logps"] = Numbers(chosen.grad!),
            ["grad_rejected_logps"] = Numbers(rejected.grad!),
        };
    }

    private static Dictionary<string, double[]> DpoFromLogits(JsonObject inputs)
    {
        var logits = Learned(inputs["logits"]);
        var weights = LossVectors.Numbers(inputs["loss_weights"]);
        var terms = inputs["loss_type"]!.AsArray().Select((type, i) => new DpoTerm(
            type!.GetValue<string>() == "sft" ? null : new DpoOptions { Variant = DpoVariants[type.GetValue<string>()], Beta = inputs["beta"]!.GetValue<double>() },
            weights[i]));
        var options = new DpoMixtureOptions
        {
            Terms = [.. terms],
            LengthDesensitisation = inputs["ld_alpha"]?.GetValue<double>(),
            WeighByPolicy = inputs["use_weighting"]!.GetValue<bool>(),
        };
        var mask = Longs(inputs["completion_mask"]).to_type(ScalarType.Bool);
        var result = DpoMixture.FromLogits(logits, Floats(inputs["ref_logits"]), Longs(inputs["input_ids"]), mask, options);
        result.Loss.backward();
        return new()
        {
            ["loss"] = Numbers(result.Loss),
            ["logps/chosen"] = Numbers(result.LogProbs.Chosen.mean()),
            ["logps/rejected"] = Numbers(result.LogProbs.Rejected.mean()),
            ["chosen_logps"] = Numbers(result.LogProbs.Chosen),
            ["rejected_logps"] = Numbers(result.LogProbs.Rejected),
            ["ref_chosen_logps"] = Numbers(result.LogProbs.ReferenceChosen),
            ["ref_rejected_logps"] = Numbers(result.LogProbs.ReferenceRejected),
            ["grad_logits"] = Numbers(logits.grad!),
        };
    }

    private static Dictionary<string, double[]> Kto(JsonObject inputs, bool withoutKl)
    {
        var logProbs = Learned(inputs["logps"]);
        var options = new KtoOptions
        {
            Beta = inputs["beta"]!.GetValue<double>(),
            DesirableWeight = inputs["desirable_weight"]!.GetValue<double>(),
            UndesirableWeight = inputs["undesirable_weight"]!.GetValue<double>(),
            WithoutKl = withoutKl,
        };
        var labels = inputs["label"]!.AsArray().Select(label => label!.GetValue<bool>()).ToList();
        var kl = withoutKl ? null : Floats(inputs["KL_logps"]);
        var result = KtoLoss.Compute(logProbs, Floats(inputs["ref_logps"]), labels, kl, withoutKl ? null : Floats(inputs["ref_KL_logps"]), options);
        result.Loss.backward();
        return new()
        {
            ["loss"] = Numbers(result.Loss),
            ["kl"] = [result.Kl],
            ["losses"] = Numbers(result.Losses),
            ["rewards/chosen"] = [result.DesirableReward ?? double.NaN],
            ["rewards/rejected"] = [result.UndesirableReward ?? double.NaN],
            ["grad_logps"] = Numbers(logProbs.grad!),
        };
    }

    private static Dictionary<string, double[]> KlEstimators(JsonObject inputs)
    {
        var (logProbs, reference) = (LossVectors.Numbers(inputs["logp"]), LossVectors.Numbers(inputs["ref_logp"]));
        double[] Of(KlEstimator estimator, double? limit) => [.. logProbs.Zip(reference, (policy, before) => KlEstimate.Of(estimator, policy, before, limit))];
        return new()
        {
            ["k1"] = Of(KlEstimator.K1, null),
            ["k2"] = Of(KlEstimator.K2, null),
            ["k3"] = Of(KlEstimator.K3, null),
            ["openrlhf_clamped"] = [.. Of(KlEstimator.K1, 10), .. Of(KlEstimator.K2, 10), .. Of(KlEstimator.K3, 10)],
        };
    }

    private static Dictionary<string, double[]> AdaptiveCoefficient(JsonObject inputs)
    {
        double Value(string name) => inputs[name]!.GetValue<double>();
        return new() { ["value"] = [AdaptiveKl.Next(Value("value"), Value("current"), Value("target"), Value("horizon"), (int)Value("n_steps"))] };
    }

    private static Dictionary<string, double[]> RlooAdvantageValues(JsonObject inputs)
    {
        var rewards = inputs["rewards_per_func"]!.AsArray().Select(row => LossVectors.Numbers(row)).ToList();
        var bySource = Enumerable.Range(0, rewards[0].Length).Select(source => rewards.Select(row => double.IsNaN(row[source]) ? (double?)null : row[source]).ToList()).ToList();
        var combined = RlooAdvantages.Combine(bySource, LossVectors.Numbers(inputs["reward_weights"]));
        if (inputs["reward_clip_range"] is JsonArray range)
            combined = RlooAdvantages.Limit(combined, range[0]!.GetValue<double>(), range[1]!.GetValue<double>());
        var beta = inputs["beta"]!.GetValue<double>();
        var mask = inputs["completion_mask"]!.AsArray().Select(row => LossVectors.Numbers(row)).ToList();
        float[] Kept(string name, int row) => [.. LossVectors.Numbers(inputs[name]!.AsArray()[row]).Where((_, t) => mask[row][t] != 0).Select(value => (float)value)];
        // The file's own script does not look at the divergence where it costs nothing.
        var kl = beta == 0 ? null : mask.Select((_, row) => KlEstimate.Sum(KlEstimator.K1, Kept("old_per_token_logps", row), Kept("ref_per_token_logps", row))).ToList();
        var rewarded = kl is null ? combined : RlooAdvantages.LessKl(combined, kl, beta);
        return new()
        {
            ["rewards_after_kl"] = [.. rewarded.Select(value => value ?? double.NaN)],
            ["advantages"] = RlooAdvantages.Compute(rewarded, inputs["num_generations"]!.GetValue<int>(), inputs["normalize_advantages"]!.GetValue<bool>()),
            ["kl_sum"] = kl is null ? [double.NaN] : [.. kl],
        };
    }

    private static Dictionary<string, double[]> RlooSequences(JsonObject inputs)
    {
        var logProbs = Learned(inputs["per_token_logps"]);
        var perSequence = RlooLoss.PerSequence(logProbs.mul(Floats(inputs["completion_mask"])).sum(1L), Floats(inputs["old_logps"]), Floats(inputs["advantages"]), inputs["epsilon"]!.GetValue<double>(),
            inputs["epsilon_high"]!.GetValue<double>());
        var loss = perSequence.mean();
        loss.backward();
        return new() { ["loss"] = Numbers(loss), ["per_sequence"] = Numbers(perSequence), ["grad_per_token_logps"] = Numbers(logProbs.grad!) };
    }

    /// <summary>What two other libraries call the inputs of a token-mean policy gradient, and which of their cases are nothing more than that.</summary>
    public sealed record TokenMeanNames(string LogProbs, string OldLogProbs, string Mask, string ClipLow, string ClipHigh, bool DividesByItems, Func<JsonObject, bool> IsPlain);

    public static IReadOnlyDictionary<string, TokenMeanNames> TokenMeans { get; } = new Dictionary<string, TokenMeanNames>
    {
        ["openrlhf_policy_loss"] = new("log_probs", "old_log_probs", "action_mask", "clip_eps_low", "clip_eps_high", false,
            inputs => inputs["dual_clip"] is null && inputs["token_level_loss"]!.GetValue<bool>() && inputs["policy_loss_type"]!.GetValue<string>() == "ppo"),
        ["grpo_bnpo"] = new("per_token_logps", "old_per_token_logps", "completion_mask", "epsilon", "epsilon_high", false, IsPlainGrpo),
        ["grpo_dapo"] = new("per_token_logps", "old_per_token_logps", "completion_mask", "epsilon", "epsilon_high", true, IsPlainGrpo),
    };

    /// <summary>The token mean on the kept tokens of a case; advantages are one an answer (TRL) or one a token (OpenRLHF).</summary>
    public static Dictionary<string, double[]> TokenMean(JsonObject inputs, TokenMeanNames names)
    {
        var logProbs = Learned(inputs[names.LogProbs]);
        var kept = Floats(inputs[names.Mask]).ne(0);
        var advantages = Floats(inputs["advantages"]);
        if (advantages.shape.Length == 1)
            advantages = advantages.unsqueeze(1).expand(logProbs.shape);
        var loss = RlooLoss.OfTokens(logProbs.masked_select(kept), Floats(inputs[names.OldLogProbs]).masked_select(kept), advantages.masked_select(kept), inputs[names.ClipLow]!.GetValue<double>(),
            inputs[names.ClipHigh]!.GetValue<double>(), names.DividesByItems ? inputs["num_items_in_batch"]!.GetValue<long>() : null);
        loss.backward();
        return new() { ["loss"] = Numbers(loss), [$"grad_{names.LogProbs}"] = Numbers(logProbs.grad!) };
    }

    private static bool IsPlainGrpo(JsonObject inputs) => inputs["beta"]!.GetValue<double>() == 0 && inputs["delta"] is null && inputs["importance_sampling_level"]!.GetValue<string>() == "token";

    private static Dictionary<string, double[]> AdamWSteps(JsonObject inputs)
    {
        double Value(string name) => inputs[name]!.GetValue<double>();
        var weight = new Parameter(tensor(new[] { (float)Value("theta") }));
        var trajectory = new List<double>();
        using var torchStyle = optim.AdamW([weight], Value("lr"), Value("b1"), Value("b2"), Value("eps"), Value("wd"));
        using var tensorFlowStyle = new TensorFlowAdamW([weight], Value("lr"), Value("b1"), Value("b2"), Value("eps"), Value("wd"));
        foreach (var gradient in LossVectors.Numbers(inputs["grads"]))
        {
            weight.grad = tensor(new[] { (float)gradient });
            switch (inputs["style"]!.GetValue<string>())
            {
                case "torch": torchStyle.step(); break;
                case "tensorflow": tensorFlowStyle.Step(); break;
                case var other: throw new InvalidOperationException($"unknown style {other}");
            }

            trajectory.AddRange(Numbers(weight));
        }

        return new() { ["theta"] = [.. trajectory] };
    }

    private static Tensor Learned(JsonNode? node)
    {
        return Floats(node).requires_grad_();
    }

    private static Tensor Floats(JsonNode? node)
    {
        return tensor(LossVectors.Numbers(node).Select(value => (float)value).ToArray()).view(Shape(node));
    }

    private static Tensor Longs(JsonNode? node)
    {
        return tensor(LossVectors.Numbers(node).Select(value => (long)value).ToArray()).view(Shape(node));
    }

    private static long[] Shape(JsonNode? node)
    {
        return node is JsonArray array ? [array.Count, .. array.Count > 0 ? Shape(array[0]) : []] : [];
    }

    private static double[] Numbers(Tensor values)
    {
        return [.. values.detach().to_type(ScalarType.Float64).flatten().data<double>().ToArray()];
    }
}
