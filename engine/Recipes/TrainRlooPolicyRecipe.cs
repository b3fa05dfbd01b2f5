using System.Diagnostics;
using System.Globalization;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// Trains a policy by reinforcement: it writes answers to each prompt, a reward scores them, and those become likelier that did better than their siblings (RLOO) or than the greedy answer (ReMax), less what their
/// distance from the policy at the start costs (KL in the reward). On prompts that are not to change a retain term holds it to its start.
/// <code>maximise  E_x∈U [ r(x, y) − β KL(π ‖ π_ref) ]  −  β_R E_x∈R [ KL(π ‖ π_ref) ]</code>
/// </summary>
/// <remarks>
/// Rewards and advantages: specs/rlhf.md §1.7 (TRL 1.10); greedy baseline and U: specs/xrlhf.md §2.2 C; R: §2.4. All advantages are of whole answers: the discount by token of ReMax's reference implementation is left out.
/// Advantages brought to deviation 1 (the default) change what a reward is worth beside β_R from step to step; with a retain term it is better to normalise rewards, which is done once. One step is one batch of fresh answers; it is passed over once, or as often as the spec says. Two things must hold before any weight
/// moves, and nobody but the program can break them, so they are checked and end the run: on the first pass over fresh answers every likelihood ratio is 1 (the log-probabilities of sampling are those of
/// training), and in the first step of all the divergence from the reference is 0. What usually breaks them elsewhere, cut distributions and other temperatures, cannot be asked for here.
/// The divergence that counts against the budget where a run stops is k3's mean over the answers of a step, or of some: as unbiased as k1 and steadier, but the mean of some hundred answers mostly lies below the truth,
/// since what lifts it are rare answers that the reference likes far better. Such a run keeps the weights that reached the budget. Where a budget is to be matched, k1's mean on held-out prompts counts.
/// Held-out prompts are answered with the same random numbers each time; early stop goes by their reward less β times the divergence.
/// How good the trained policy is beside the one before, is not judged here but on samples: see <c>Evaluation/PolicyComparison</c>.
/// </remarks>
public static class TrainRlooPolicyRecipe
{
    /// <summary>How far from 1 the likelihood ratio of any token may be on the first pass: cache and padding of generation leave some 1e-6 in float32.</summary>
    private const double RatioTolerance = 1e-4;

    /// <summary>How far from 0 the divergences of answers may be in the first step, mean of their sizes, nats.</summary>
    private const double FirstKlTolerance = 1e-4;

    private const int HeldOutSamples = 2;

    /// <param name="model">Trained in place; as given it is also the reference.</param>
    /// <param name="prompts">Split by prompt; only the training part is learned from.</param>
    /// <param name="rewards">Their weighted sum is the reward.</param>
    /// <param name="retained">R: prompts on which the policy shall stay as it is; read with a retain weight only. Null for none.</param>
    /// <returns>What was measured; weights, tokenizer and report are in the context's artefact folder.</returns>
    /// <exception cref="CannotTrain">No usable prompt, wrong settings, a reward that is no number, a broken assumption, or the loss diverged.</exception>
    public static TrainingReport Run(TrainRlooPolicy spec, Llama model, ITokenizer tokenizer, TrainingSplit<AskedPrompt> prompts, IReadOnlyList<RewardTerm> rewards, RecipeContext context,
        IReadOnlyList<AskedPrompt>? retained = null)
    {
        Check(spec, rewards);
        var started = Stopwatch.StartNew();
        using var reference = LlamaWeights.FrozenCopy(model);
        var rollouts = new PolicyRollouts(spec, model, reference, tokenizer, rewards, context);
        var train = rollouts.Encode(prompts.Train);
        var tooLong = rollouts.TooLong;
        var heldOut = rollouts.Encode(Drawn(prompts.HeldOut, spec));
        var others = spec.RetainWeight > 0 ? rollouts.Encode(retained ?? []) : [];
        if (train.Count == 0)
            throw new CannotTrain($"There is no prompt to learn on: {prompts.Train.Count} were given, {tooLong} fill the model's context of {model.Config.ContextLength} tokens.");
        if (spec.RetainWeight > 0 && others.Count == 0)
            throw new CannotTrain(string.Create(CultureInfo.InvariantCulture, $"retainWeight is {spec.RetainWeight:G4}, and there is no prompt to hold on to: {retained?.Count ?? 0} were given. Name such prompts, or leave it at 0."));
        var retain = others.Count > 0 ? new RetainTerm(spec, model, reference, rollouts, others) : null;
        var fingerprint = Checkpoint.Fingerprint([spec.ToJson(), .. rewards.Select(term => string.Create(CultureInfo.InvariantCulture, $"{term.Weight:R} {term.Source.Name}")),
            .. train.Select(prompt => string.Join(' ', prompt.Ids)), .. others.Select(prompt => $"retained {string.Join(' ', prompt.Ids)}")]);
        // One length for all prompts: a step's prompts are drawn at random, not by length; the sampler sorts its batch itself.
        using var steps = new TrainingSteps(context, spec, spec.Optimization, model, model.parameters(), [], [.. train.Select(_ => 1)], fingerprint);
        if (spec.NormalizeReward)
            rollouts.NormalizeRewards(train);
        (int Step, Rollout Answers)? newest = null;
        var evaluate = heldOut.Count == 0 ? (Func<HeldOutFigures>?)null : () => HeldOutOf(Answers(), spec);
        if (spec.KlControl is KlControl.Match && heldOut.Count == 0)
            throw new CannotTrain("klControl is Match, and there is no held-out prompt to measure the divergence on.");
        if (steps.Done == 0 && evaluate is not null)
            foreach (var (name, value) in evaluate().Points)
                context.Metric(name, 0, value);

        if (spec.KlControl is KlControl.Match && steps.Done > 0 && steps.Done % spec.Optimization.EvaluateEverySteps == 0)
            Answers(); // it may have been killed between the evaluation that ends it and its end

        Rollout? written = null;
        foreach (var (step, batches) in IsMatched() ? [] : steps.Rest())
        {
            List<EncodedPrompt> asked = [.. batches.SelectMany(batch => batch).Select(i => train[i])];
            var rollout = written = rollouts.Write(asked, spec.SamplesPerPrompt, $"step {step + 1}");
            var (k1, k3) = (rollout.KlNats(KlEstimator.K1), rollout.KlNats(KlEstimator.K3).Average());
            if (step == 0)
                CheckFirstKl(k1);
            if (spec is { KlBudgetNats: { } budget, KlControl: KlControl.Stop })
            {
                steps.NewestKl = [.. steps.NewestKl.TakeLast(spec.KlBudgetSteps - 1), k3];
                if (steps.NewestKl.Average() is var spent && spent > budget)
                {
                    context.Log(string.Create(CultureInfo.InvariantCulture, $"Stopped after step {steps.Done}: the divergence from the reference is {spent:F3} nats per response, above the budget of {budget:G4}. These weights are kept."));
                    break;
                }
            }
            var beta = steps.KlCoefficient ?? spec.Beta;
            var greedy = spec.Baseline is AdvantageBaseline.Greedy ? rollouts.GreedyRewards(asked, $"step {step + 1}") : null;
            var advantages = greedy is null ? RlooAdvantages.Compute(RlooAdvantages.LessKl(rollout.Rewards, k1, beta), spec.SamplesPerPrompt, spec.NormalizeAdvantages)
                : ReMaxAdvantages.Compute(rollout.Rewards, greedy, k1, beta, spec.AdvantageLimit, spec.NormalizeAdvantages);
            var kept = retain?.Write(step) ?? [];
            var first = Pass(step, isFirst: true, rollout, advantages, kept);
            var last = first;
            for (var pass = 1; pass < spec.UpdatesPerStep; pass++)
            {
                steps.Update(step);
                last = Pass(step, isFirst: false, rollout, advantages, kept);
            }
            if (spec is { KlBudgetNats: { } target, KlControl: KlControl.Adapt })
                steps.KlCoefficient = AdaptiveKl.Next(beta, k3, target, spec.KlHorizon, rollout.Count);
            if (!steps.Finish(step, last.Loss, first.TokensRead * spec.UpdatesPerStep, evaluate,
                    [.. Monitors(rollout, greedy, spec, k1.Average(), k3, beta, last.ClipShare), (MetricNames.Entropy, first.Entropy), ("first_ratio_deviation", first.RatioDeviation),
                        .. retain is null ? Array.Empty<(string, double)>() : [("retained_kl_nats", first.RetainedKl)]]) || IsMatched())
                break;
        }

        var (keptStep, measurements) = (steps.Done, new List<Measurement>());
        if (written is not null)
            measurements.AddRange(OfTraining(written));
        if (heldOut.Count > 0)
        {
            context.Report(steps.Done, steps.Done, "evaluating");
            var answers = newest is { } before && before.Step == steps.Done ? before.Answers : Answers(); // none where the last step was not evaluated, or the run was resumed after it
            keptStep = steps.KeepBest(HeldOutOf(answers, spec).Value);
            if (keptStep != steps.Done)
                answers = Answers();
            measurements.AddRange(OfHeldOut(answers, spec));
        }
        HuggingFaceFolder.Save(model, context.ArtefactFolder, tokenizer);
        return steps.Write(nameof(TrainRlooPolicy), keptStep, new ExampleCounts(train.Count, heldOut.Count, tooLong, 0), started.Elapsed, measurements);

        Rollout Answers()
        {
            var answers = rollouts.Write(heldOut, HeldOutSamples, "held-out prompts");
            newest = (steps.Done, answers);
            return answers;
        }

        bool IsMatched()
        {
            if (spec is not { KlControl: KlControl.Match, KlBudgetNats: { } budget } || newest is not { } seen || seen.Step != steps.Done || !(HeldOutKl(seen.Answers) is var kl && kl > budget))
                return false;
            context.Log(string.Create(CultureInfo.InvariantCulture, $"Stopped after step {steps.Done}: on held-out prompts the divergence from the reference is {kl:F3} nats per response, above the budget of {budget:G4}. The weights nearest to it are kept."));
            return true;
        }

        // One pass over the answers of a step: gradients of all micro-batches, sorted by length, so that padding is small; the sums are divided by the whole step's count.
        (double Loss, double ClipShare, double Entropy, double RatioDeviation, double RetainedKl, long TokensRead) Pass(int step, bool isFirst, Rollout rollout, double[] advantages, IReadOnlyList<EncodedText> kept)
        {
            var (loss, entropy, outside, deviation, retainedKl, read) = (0.0, 0.0, 0.0, 0.0, 0.0, 0L);
            foreach (var rows in BatchOrder.ByLength([.. rollout.Texts.Select(text => text.Ids.Length)], spec.Optimization.BatchSize * spec.SamplesPerPrompt))
            {
                context.ThrowIfStopped();
                using var scope = NewDisposeScope();
                var (logProbs, pick, entropies, tokens) = rollouts.Read(model, [.. rows.Select(i => rollout.Texts[i])], withEntropy: isFirst);
                var old = tensor(rows.SelectMany(i => rollout.LogProbs[i]).ToArray(), device: model.Device);
                var advantage = tensor(rows.Select(i => (float)advantages[i]).ToArray(), device: model.Device);
                if (isFirst)
                    deviation = Math.Max(deviation, CheckedDeviation(logProbs.detach().sub(old).exp().ToFloats(), rows, rollout, step));
                var (share, count) = Loss(logProbs, old, advantage, pick, rollout);
                loss += steps.Accumulate(share, share: 1, step);
                outside += isFirst ? 0 : count;
                entropy += entropies;
                read += tokens;
            }
            foreach (var rows in BatchOrder.ByLength([.. kept.Select(text => text.Ids.Length)], spec.Optimization.BatchSize * spec.SamplesPerPrompt))
            {
                context.ThrowIfStopped();
                using var scope = NewDisposeScope();
                var (share, nats, tokens) = retain!.Part([.. rows.Select(i => kept[i])], kept); // it wrote them
                loss += steps.Accumulate(share, share: 1, step);
                retainedKl += nats / kept.Count;
                read += tokens;
            }
            return (loss, outside / (spec.LossLevel is PolicyLossLevel.Token ? rollout.Tokens : rollout.Count), entropy / rollout.Tokens, deviation, retainedKl, read);
        }

        (Tensor Loss, double Outside) Loss(Tensor logProbs, Tensor old, Tensor advantages, CompletionTokens pick, Rollout rollout)
        {
            var (now, before) = spec.LossLevel is PolicyLossLevel.Token ? (logProbs, old) : (pick.SumByRow(logProbs), pick.SumByRow(old));
            var loss = spec.LossLevel switch
            {
                PolicyLossLevel.Token => RlooLoss.OfTokens(now, before, advantages.index_select(0, pick.Rows), spec.ClipLow, spec.ClipHigh, rollout.Tokens),
                PolicyLossLevel.Sequence => RlooLoss.PerSequence(now, before, advantages, spec.ClipLow, spec.ClipHigh).sum().div((double)rollout.Count),
            };
            var ratios = now.detach().sub(before).exp();
            return (loss, ratios.lt(1 - spec.ClipLow).logical_or(ratios.gt(1 + spec.ClipHigh)).sum().item<long>());
        }
    }

    /// <summary>What a step's curves show besides the loss.</summary>
    private static IEnumerable<(string Name, double Value)> Monitors(Rollout rollout, IReadOnlyList<double?>? greedy, TrainRlooPolicy spec, double k1, double k3, double beta, double clipped)
    {
        yield return (MetricNames.MeanReward, rollout.MeanReward);
        yield return ("reward_deviation", rollout.RewardDeviation);
        if (greedy is null)
            yield return ("prompts_without_spread", RlooAdvantages.ShareWithoutSpread(rollout.Rewards, spec.SamplesPerPrompt));
        if (greedy?.Average() is { } mean)
            yield return ("greedy_reward", mean);
        yield return (MetricNames.KlNats, k1);
        yield return ("kl_nats_k3", k3);
        yield return (MetricNames.LengthTokens, rollout.Answers.Average(answer => answer.LengthTokens));
        yield return (MetricNames.UnfinishedShare, rollout.Answers.Average(answer => answer.Finished ? 0.0 : 1.0));
        yield return (MetricNames.RepetitionShare, rollout.Answers.Average(answer => PolicyComparison.RepetitionShare(answer.Text)));
        yield return (MetricNames.Distinct2, rollout.Distinct2);
        if (rollout.RewardLengthCorrelation is { } correlation)
            yield return (MetricNames.RewardLengthCorrelation, correlation);
        if (spec is { KlBudgetNats: not null, KlControl: KlControl.Adapt })
            yield return ("kl_coefficient", beta);
        if (spec.UpdatesPerStep > 1)
            yield return ("clip_share", clipped);
    }

    private static HeldOutFigures HeldOutOf(Rollout answers, TrainRlooPolicy spec)
    {
        var kl = HeldOutKl(answers);
        (string, double)[] points = [("heldout/mean_reward", answers.MeanReward), ("heldout/kl_nats", kl)];
        return spec is { KlControl: KlControl.Match, KlBudgetNats: { } budget } ? new HeldOutFigures(-Math.Abs(kl - budget), "nearness to the budget", points) { KeepsBest = true }
            : new HeldOutFigures(answers.MeanReward - spec.Beta * kl, "held-out reward less the cost of divergence", points);
    }

    private static double HeldOutKl(Rollout answers) => answers.KlNats(KlEstimator.K1).Average();

    private static IEnumerable<Measurement> OfHeldOut(Rollout answers, TrainRlooPolicy spec)
    {
        var random = new SeededRandom((ulong)spec.Seed).Split("held out");
        var scored = Enumerable.Range(0, answers.Count).Where(i => answers.Rewards[i] is not null).ToList();
        yield return Row(MetricNames.PolicyReward, scored, i => answers.Rewards[i]!.Value); // scored ones only
        var kl = answers.KlNats(KlEstimator.K1);
        yield return Row(MetricNames.PolicyKlNats, [.. Enumerable.Range(0, answers.Count)], i => kl[i]);

        Measurement Row(string name, IReadOnlyList<int> rows, Func<int, double> value)
        {
            var interval = Bootstrap.Mean([.. rows.Select(value)], [.. rows.Select(i => answers.Prompts[i].Asked.Key)], random);
            return Measurement.OfPrompts(name, MetricNames.HeldOut, interval, prompts: interval.Count);
        }
    }

    /// <summary>The last answers that were written for training, of the policy before its last update.</summary>
    private static IEnumerable<Measurement> OfTraining(Rollout last)
    {
        yield return new Measurement(MetricNames.PolicyKlNats, "train", last.KlNats(KlEstimator.K3).Average(), null, null, last.Count);
        yield return new Measurement(MetricNames.Distinct2, "train", last.Distinct2, null, null, last.Count);
        if (last.RewardLengthCorrelation is { } correlation)
            yield return new Measurement(MetricNames.RewardLengthCorrelation, "train", correlation, null, null, last.Count);
    }

    /// <param name="ratios">Of the tokens of some answers, row by row.</param>
    /// <returns>How far they are from 1 at most.</returns>
    private static double CheckedDeviation(float[] ratios, int[] rows, Rollout rollout, int step)
    {
        var at = 0;
        foreach (var row in rows)
            for (var token = 0; token < rollout.Answers[row].Ids.Count; token++, at++)
                if (!(Math.Abs(ratios[at] - 1) <= RatioTolerance))
                    throw new CannotTrain(string.Create(CultureInfo.InvariantCulture,
                        $"Step {step + 1} cannot be learned from: before any weight has moved, token {token + 1} of {rollout.Answers[row].Ids.Count} of an answer to prompt {rollout.Prompts[row].Number} is "
                        + $"{ratios[at]:G6} times as likely as when it was written; it must be 1 within {RatioTolerance}. Log-probabilities in training are not those of sampling: weights, temperature, "
                        + $"padding or precision differ between the two. The run ends here, because its gradients would be wrong."));
        return ratios.Max(ratio => Math.Abs(ratio - 1.0));
    }

    private static void CheckFirstKl(double[] k1)
    {
        var mean = k1.Average(Math.Abs);
        if (!(mean <= FirstKlTolerance))
            throw new CannotTrain(string.Create(CultureInfo.InvariantCulture,
                $"The policy is not its own reference: before any weight has moved, log-probabilities of answers differ from the reference's by {mean:G6} nats on average; "
                + $"it must be 0 within {FirstKlTolerance}. The two were read with other weights, temperatures or token ids. The run ends here, because it would be held close to something else than its start."));
    }

    private static IReadOnlyList<AskedPrompt> Drawn(IReadOnlyList<AskedPrompt> heldOut, TrainRlooPolicy spec)
    {
        var order = heldOut.ToArray();
        new SeededRandom((ulong)spec.Seed).Split("held-out prompts").Shuffle(order);
        return [.. order.Take(spec.HeldOutPrompts)];
    }

    private static void Check(TrainRlooPolicy spec, IReadOnlyList<RewardTerm> rewards)
    {
        if (rewards.Count == 0)
            throw new CannotTrain("There is no reward to learn from; name at least one.");
        if (rewards.FirstOrDefault(term => !double.IsFinite(term.Weight)) is { } weightless)
            throw new CannotTrain($"The weight of the reward {weightless.Source.Name} is {weightless.Weight}; it must be a number.");
        Must(spec.Baseline is AdvantageBaseline.Greedy || spec.SamplesPerPrompt >= 2, "samplesPerPrompt", spec.SamplesPerPrompt, "at least 2, because each answer is compared with its siblings");
        Must(spec.SamplesPerPrompt >= 1, "samplesPerPrompt", spec.SamplesPerPrompt, "at least 1");
        Must(spec.AdvantageLimit is null or > 0, "advantageLimit", spec.AdvantageLimit ?? 0, "above 0, or left out");
        Must(spec.RetainWeight >= 0 && double.IsFinite(spec.RetainWeight), "retainWeight", spec.RetainWeight, "at least 0");
        Must(spec.RetainPrompts >= 1, "retainPrompts", spec.RetainPrompts, "at least 1");
        Must(spec.Temperature is > 0 and <= 10, "temperature", spec.Temperature, "above 0 (at 0 all answers to a prompt are the same) and at most 10");
        Must(spec.TokensMax >= 1, "tokensMax", spec.TokensMax, "at least 1");
        Must(spec.Beta >= 0 && double.IsFinite(spec.Beta), "beta", spec.Beta, "at least 0");
        Must(spec.UnfinishedPenalty >= 0 && double.IsFinite(spec.UnfinishedPenalty), "unfinishedPenalty", spec.UnfinishedPenalty, "at least 0");
        Must(spec.RewardLimit is null or > 0, "rewardLimit", spec.RewardLimit ?? 0, "above 0, or left out");
        Must(spec.ClipLow is > 0 and < 1, "clipLow", spec.ClipLow, "above 0 and below 1");
        Must(spec.ClipHigh > 0, "clipHigh", spec.ClipHigh, "above 0");
        Must(spec.UpdatesPerStep is >= 1 and <= 64, "updatesPerStep", spec.UpdatesPerStep, "between 1 and 64");
        Must(spec.KlBudgetNats is null or > 0, "klBudgetNats", spec.KlBudgetNats ?? 0, "above 0, or left out");
        Must(spec.KlBudgetSteps >= 1, "klBudgetSteps", spec.KlBudgetSteps, "at least 1");
        var answers = spec.Optimization.BatchSize * spec.Optimization.AccumulationSteps * spec.SamplesPerPrompt;
        Must(spec.KlControl is not KlControl.Adapt || spec.KlHorizon >= answers, "klHorizon", spec.KlHorizon, $"at least {answers}, the answers of a step, so that beta moves by no more than a fifth at once");
        Must(spec.HeldOutPrompts >= 0, "heldOutPrompts", spec.HeldOutPrompts, "at least 0");
        if (spec is { KlControl: KlControl.Match, KlBudgetNats: null })
            throw new CannotTrain("klControl is Match, and klBudgetNats is left out: there is nothing to match.");
        if (spec is { KlControl: KlControl.Match, Optimization: { EvaluateEverySteps: 0 } or { Patience: not null } })
            throw new CannotTrain("klControl is Match: optimization.evaluateEverySteps must be above 0 and optimization.patience left out, since evaluations look at the divergence and nothing else.");
        if (spec is { KlControl: KlControl.Adapt, KlBudgetNats: not null, Beta: 0 })
            throw new CannotTrain("beta is 0, and klControl is Adapt: a coefficient of 0 cannot follow a budget. Begin with a small one, 0.01 say.");

        static void Must(bool holds, string field, double value, string wanted)
        {
            if (!holds)
                throw new CannotTrain(string.Create(CultureInfo.InvariantCulture, $"{field} is {value}; it must be {wanted}."));
        }
    }
}
