using System.Diagnostics;
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
/// Trains a policy directly on judgements, held close to the policy it starts from: DPO on pairs, KTO on single verdicts.
/// </summary>
/// <remarks>
/// Losses: specs/rlhf.md §1.3 (sigmoid, with conservative label smoothing) and §1.4 (KTO; the mismatched completions of its KL term are
/// rotated by one inside each batch, as TRL does inside its blocks). The reference's log-probabilities do not change, so they are computed
/// once before the first step and the reference model itself is never needed again. Accumulation is a mean of micro-batch means.
/// How good the trained policy is, is not judged here but on samples: see <c>Evaluation/PolicyComparison</c>.
/// </remarks>
public static class TrainPreferencePolicyRecipe
{
    /// <summary>DPO on pairs.</summary>
    /// <param name="model">Trained in place; as given it is also the reference.</param>
    /// <returns>What was measured; weights, tokenizer and report are in the context's artefact folder.</returns>
    /// <exception cref="CannotTrain">No usable pair, wrong settings, or the loss diverged.</exception>
    public static TrainingReport RunDpo(TrainPreferencePolicy spec, Llama model, ITokenizer tokenizer, TrainingSplit<PreferencePair> rows,
        RecipeContext context)
    {
        Check(spec);
        var started = Stopwatch.StartNew();
        var encoder = EncoderFor(spec, model, tokenizer);
        var train = rows.Train.Select(row => encoder.Pair(row)).OfType<(EncodedText Chosen, EncodedText Rejected)>().ToList();
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOutRows = rows.HeldOut.Select(row => (Row: row, Pair: encoder.Pair(row))).Where(entry => entry.Pair is not null).ToList();
        var heldOut = heldOutRows.Select(entry => entry.Pair!.Value).ToList(); // nulls were left out above
        if (train.Count == 0)
            throw new CannotTrain($"No pair can be trained on: {rows.Train.Count} were given, {filtered} have a side longer than {spec.LengthMax} tokens.");
        context.Report(0, 0, "reference");
        var reference = Reference(model, tokenizer, [.. train.Select(pair => pair.Chosen), .. train.Select(pair => pair.Rejected)], context);
        var heldOutReference = Reference(model, tokenizer, [.. heldOut.Select(pair => pair.Chosen), .. heldOut.Select(pair => pair.Rejected)], context);
        var options = new DpoOptions { Beta = spec.Beta, LabelSmoothing = spec.LabelSmoothing };

        (Tensor Loss, double Accuracy, int Tokens) Loss(IReadOnlyList<int> batch)
        {
            var (pairs, tokens) = LogProbs(model, tokenizer, train, reference, batch);
            return (DpoLoss.Compute(pairs, options), DpoLoss.Metrics(pairs, spec.Beta).Accuracy, tokens);
        }

        (double Loss, double[] Margins) Evaluate()
        {
            using var noGrad = no_grad();
            var margins = new double[heldOut.Count];
            var loss = 0.0;
            foreach (var batch in BatchOrder.ByLength([.. heldOut.Select(LengthOf)], 32))
            {
                context.ThrowIfStopped();
                using var scope = NewDisposeScope();
                var (pairs, _) = LogProbs(model, tokenizer, heldOut, heldOutReference, batch);
                loss += DpoLoss.PerPair(pairs, options).sum().item<float>();
                var values = pairs.Chosen.sub(pairs.ReferenceChosen).sub(pairs.Rejected.sub(pairs.ReferenceRejected)).mul(spec.Beta).ToFloats();
                for (var row = 0; row < batch.Length; row++)
                    margins[batch[row]] = values[row];
            }
            return (loss / heldOut.Count, margins);
        }

        using var steps = StepsFor(spec, model, context, [.. train.Select(LengthOf)],
            Checkpoint.Fingerprint([spec.ToJson(), .. train.Select(pair => $"{string.Join(' ', pair.Chosen.Ids)}|{string.Join(' ', pair.Rejected.Ids)}")]));
        var kept = Train(steps, context, Loss, heldOut.Count == 0 ? null : () =>
        {
            var (loss, margins) = Evaluate();
            return (loss, margins.Count(margin => margin > 0) / (double)margins.Length);
        });
        var measurements = new List<Measurement>();
        if (heldOut.Count > 0)
        {
            var (loss, margins) = Evaluate();
            var right = margins.Count(margin => margin > 0);
            measurements.Add(Measurement.Of(MetricNames.RewardAccuracies, MetricNames.HeldOut, WilsonInterval.Compute(right, margins.Length)));
            var byPrompt = Bootstrap.Mean(margins, [.. heldOutRows.Select(entry => entry.Row.PromptKey)], new SeededRandom((ulong)spec.Seed));
            measurements.Add(Measurement.OfPrompts(MetricNames.RewardMargins, MetricNames.HeldOut, byPrompt, prompts: byPrompt.Count));
            measurements.Add(new Measurement(MetricNames.Loss, MetricNames.HeldOut, loss, null, null, margins.Length));
        }
        HuggingFaceFolder.Save(model, context.ArtefactFolder, tokenizer);
        return steps.Write(nameof(TrainPreferencePolicy), kept, new ExampleCounts(train.Count, heldOut.Count, filtered, truncated), started.Elapsed, measurements);
    }

    /// <summary>KTO on single verdicts.</summary>
    /// <inheritdoc cref="RunDpo"/>
    public static TrainingReport RunKto(TrainPreferencePolicy spec, Llama model, ITokenizer tokenizer, TrainingSplit<LabelledResponse> rows,
        RecipeContext context)
    {
        Check(spec);
        if (spec.Optimization.BatchSize < 2)
            throw new CannotTrain("optimization.batchSize is 1; KTO compares each answer with another one of its batch and needs at least 2.");
        var started = Stopwatch.StartNew();
        var encoder = EncoderFor(spec, model, tokenizer);
        var train = Encode(encoder, rows.Train);
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOut = Encode(encoder, rows.HeldOut);
        if (train.Count == 0)
            throw new CannotTrain($"No verdict can be trained on: {rows.Train.Count} were given, {filtered} are longer than {spec.LengthMax} tokens.");
        var (good, bad) = (train.Count(entry => entry.Row.IsGood), train.Count(entry => !entry.Row.IsGood));
        if (good == 0 || bad == 0)
            throw new CannotTrain($"KTO needs both good and bad verdicts; there are {good} good and {bad} bad ones.");
        var ratio = spec.DesirableWeight * good / (spec.UndesirableWeight * bad);
        if (ratio is < 1 or > 4.0 / 3)
            context.Warn($"Weighted good to bad is {ratio:F2}; the KTO paper advises 1 to 1.33 (eq. 8). Change desirableWeight or undesirableWeight.");
        context.Report(0, 0, "reference");
        var texts = train.Select(entry => entry.Text).ToList();
        var reference = Reference(model, tokenizer, texts, context);
        var heldOutReference = Reference(model, tokenizer, [.. heldOut.Select(entry => entry.Text)], context);
        var options = new KtoOptions { Beta = spec.Beta, DesirableWeight = spec.DesirableWeight, UndesirableWeight = spec.UndesirableWeight };

        // A mismatched text depends on its batch, so its reference log-probability is computed with its batch: by the frozen start weights.
        using var frozen = LlamaWeights.FrozenCopy(model);

        (Tensor Loss, double Accuracy, int Tokens) Loss(IReadOnlyList<int> batch)
        {
            var own = batch.Select(i => texts[i]).ToList();
            var mismatched = batch.Select((i, row) => Mismatch(encoder, train[i].Row.Prompt, train[batch[(row + batch.Count - 1) % batch.Count]].Row.Response, own[row])).ToList();
            Tensor klLogProbs, klReference;
            using (no_grad())
            {
                klLogProbs = SequenceLogProbs(model, tokenizer.PadId, mismatched).LogProbs;
                klReference = SequenceLogProbs(frozen, tokenizer.PadId, mismatched).LogProbs;
            }
            var (logProbs, tokens) = SequenceLogProbs(model, tokenizer.PadId, own);
            var referenceLogProbs = tensor(batch.Select(i => reference[i]).ToArray(), device: model.Device);
            var labels = batch.Select(i => train[i].Row.IsGood).ToList();
            var result = KtoLoss.Compute(logProbs, referenceLogProbs, labels, klLogProbs, klReference, options);
            return (result.Loss, Agreement(logProbs, referenceLogProbs, labels), tokens);
        }

        double[] Evaluate()
        {
            var now = Reference(model, tokenizer, [.. heldOut.Select(entry => entry.Text)], context);
            return [.. now.Zip(heldOutReference, (policy, before) => spec.Beta * (policy - (double)before))];
        }

        using var steps = StepsFor(spec, model, context, [.. texts.Select(text => text.Ids.Length)],
            Checkpoint.Fingerprint([spec.ToJson(), .. train.Select(entry => $"{string.Join(' ', entry.Text.Ids)}|{entry.Row.IsGood}")]));
        var kept = Train(steps, context, Loss, heldOut.Count == 0 ? null : () =>
        {
            var separation = Separation(Evaluate(), heldOut);
            return (-separation, separation);
        });
        var measurements = new List<Measurement>();
        if (heldOut.Count > 0)
        {
            var rewards = Evaluate();
            foreach (var isGood in new[] { true, false })
            {
                var chosen = heldOut.Select((entry, i) => (entry, Reward: rewards[i])).Where(item => item.entry.Row.IsGood == isGood).ToList();
                if (chosen.Count < 2)
                    continue;
                var byPrompt = Bootstrap.Mean([.. chosen.Select(item => item.Reward)], [.. chosen.Select(item => item.entry.Row.PromptKey)], new SeededRandom((ulong)spec.Seed));
                measurements.Add(Measurement.OfPrompts(isGood ? MetricNames.RewardDesirable : MetricNames.RewardUndesirable, MetricNames.HeldOut, byPrompt, prompts: byPrompt.Count));
            }
        }
        HuggingFaceFolder.Save(model, context.ArtefactFolder, tokenizer);
        return steps.Write(nameof(TrainPreferencePolicy), kept, new ExampleCounts(train.Count, heldOut.Count, filtered, truncated), started.Elapsed, measurements);
    }

    private sealed record EncodedVerdict(LabelledResponse Row, EncodedText Text);

    private static List<EncodedVerdict> Encode(DialogueEncoder encoder, IReadOnlyList<LabelledResponse> rows) =>
        [.. rows.Select(row => encoder.Answer(row.Prompt, row.Response) is { } text ? new EncodedVerdict(row, text) : null).OfType<EncodedVerdict>()];

    /// <summary>Mean reward of good minus mean reward of bad held-out answers; 0 where one sort is missing.</summary>
    private static double Separation(double[] rewards, List<EncodedVerdict> rows)
    {
        var good = rows.Select((row, i) => (row, i)).Where(entry => entry.row.Row.IsGood).Select(entry => rewards[entry.i]).ToList();
        var bad = rows.Select((row, i) => (row, i)).Where(entry => !entry.row.Row.IsGood).Select(entry => rewards[entry.i]).ToList();
        return good.Count > 0 && bad.Count > 0 ? good.Average() - bad.Average() : 0;
    }

    private static double Agreement(Tensor logProbs, Tensor reference, IReadOnlyList<bool> labels)
    {
        var ratios = logProbs.detach().sub(reference).ToFloats();
        return ratios.Where((ratio, i) => ratio > 0 == labels[i]).Count() / (double)labels.Count;
    }

    /// <summary>The prompt of one example with the answer of another; where that is too long, the example itself (KL 0 from it).</summary>
    private static EncodedText Mismatch(DialogueEncoder encoder, IReadOnlyList<Data.Feedback.Turn> prompt, string answer, EncodedText own) =>
        encoder.Answer(prompt, answer) ?? own;

    private static int LengthOf((EncodedText Chosen, EncodedText Rejected) pair) => Math.Max(pair.Chosen.Ids.Length, pair.Rejected.Ids.Length);

    private static DialogueEncoder EncoderFor(TrainPreferencePolicy spec, Llama model, ITokenizer tokenizer) =>
        new(tokenizer, Math.Min(spec.LengthMax, model.Config.ContextLength), spec.Overlong);

    private static void Check(TrainPreferencePolicy spec)
    {
        if (!(spec.Beta > 0))
            throw new CannotTrain($"beta is {spec.Beta}; it must be above 0.");
        if (spec.LabelSmoothing is < 0 or >= 0.5)
            throw new CannotTrain($"labelSmoothing is {spec.LabelSmoothing}; it must be in [0, 0.5).");
    }

    /// <summary>Sums of completion log-probabilities of some texts, [B], with gradients where they are on.</summary>
    internal static (Tensor LogProbs, int Tokens) SequenceLogProbs(Llama model, int padId, IReadOnlyList<EncodedText> texts)
    {
        using var scope = NewDisposeScope();
        var batch = PaddedBatch.Of(texts, padId, model.Device);
        var pick = CompletionTokens.Of(batch.Ids, batch.Mask);
        var tokens = SequenceLogProb.OfTokens(model.Logits(pick.Pick(model.Hidden(batch.Ids))), pick.Targets);
        return (scope.MoveToOuter(SequenceLogProb.OfSequences(tokens, pick)), batch.Tokens);
    }

    /// <summary>The log-probabilities of all texts under the model as it is now, without gradients.</summary>
    private static float[] Reference(Llama model, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, RecipeContext context)
    {
        using var noGrad = no_grad();
        model.eval();
        var values = new float[texts.Count];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], 64))
        {
            context.ThrowIfStopped();
            using var scope = NewDisposeScope();
            var logProbs = SequenceLogProbs(model, tokenizer.PadId, [.. batch.Select(i => texts[i])]).LogProbs.ToFloats();
            for (var row = 0; row < batch.Length; row++)
                values[batch[row]] = logProbs[row];
        }
        model.train();
        return values;
    }

    private static (DpoLogProbs Pairs, int Tokens) LogProbs(Llama model, ITokenizer tokenizer, IReadOnlyList<(EncodedText Chosen, EncodedText Rejected)> pairs,
        float[] reference, IReadOnlyList<int> batch)
    {
        var (both, tokens) = SequenceLogProbs(model, tokenizer.PadId, [.. batch.Select(i => pairs[i].Chosen), .. batch.Select(i => pairs[i].Rejected)]);
        var referenceChosen = tensor(batch.Select(i => reference[i]).ToArray(), device: model.Device);
        var referenceRejected = tensor(batch.Select(i => reference[pairs.Count + i]).ToArray(), device: model.Device);
        return (new DpoLogProbs(both.narrow(0, 0, batch.Count), both.narrow(0, batch.Count, batch.Count), referenceChosen, referenceRejected), tokens);
    }

    private static TrainingSteps StepsFor(TrainPreferencePolicy spec, Llama model, RecipeContext context, IReadOnlyList<int> lengths, string fingerprint) =>
        new(context, spec, spec.Optimization, model, model.parameters(), [], lengths, fingerprint);

    /// <summary>The loop that DPO and KTO have in common.</summary>
    /// <param name="lossOf">Loss of a micro-batch, how many of its rewards have the right sign, and the real tokens read.</param>
    /// <param name="evaluate">Held-out loss (lower is better) and accuracy; null when nothing is held out.</param>
    /// <returns>The step the kept weights come from.</returns>
    private static int Train(TrainingSteps steps, RecipeContext context, Func<IReadOnlyList<int>, (Tensor Loss, double Accuracy, int Tokens)> lossOf,
        Func<(double Loss, double Accuracy)>? evaluate)
    {
        Func<HeldOutFigures>? look = evaluate is null ? null : () =>
        {
            var (heldOutLoss, heldOutAccuracy) = evaluate();
            return new HeldOutFigures(-heldOutLoss, "held-out loss", ("heldout/loss", heldOutLoss), ("heldout/accuracy", heldOutAccuracy));
        };
        foreach (var (step, batches) in steps.Rest())
        {
            var (loss, accuracy, tokens) = (0.0, 0.0, 0L);
            foreach (var batch in batches)
            {
                using var scope = NewDisposeScope();
                var share = 1.0 / batches.Count;
                var result = lossOf(batch);
                loss += share * steps.Accumulate(result.Loss, share, step);
                accuracy += share * result.Accuracy;
                tokens += result.Tokens;
            }
            if (!steps.Finish(step, loss, tokens, look, (MetricNames.RewardAccuracies, accuracy)))
                break;
        }
        if (evaluate is null)
            return steps.Done;
        context.Report(steps.Done, steps.Done, "evaluating");
        return steps.KeepBest(-evaluate().Loss);
    }
}
