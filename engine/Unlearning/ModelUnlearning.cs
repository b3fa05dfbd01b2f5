using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Unlearning;

/// <summary>How a whole model descends.</summary>
public sealed record ModelDescentOptions
{
    /// <summary>Rates, weight decay and schedule. A batch is of pairs that go, an epoch once over them.</summary>
    public required OptimizationSpec Optimization { get; init; }

    /// <summary>Longest text and what becomes of longer ones, as the model was trained.</summary>
    public required TrainRewardModel Training { get; init; }

    /// <summary>Kept pairs that are read beside each batch, where the loss has a term of them.</summary>
    public int RetainPerStep { get; init; } = 48;

    /// <summary>β of negative preference optimisation.</summary>
    public double Beta { get; init; } = 1;

    /// <summary>α: how much kept pairs count beside those that go.</summary>
    public double Retain { get; init; } = 1;

    /// <summary>When it ends before its epochs; null: never.</summary>
    public DescentStops? Stops { get; init; }

    /// <summary>By how much the mean margin of the pairs that go should fall, as the head's curvature predicts (<see cref="HeadUnlearning.PredictedMargin"/>); 0 or more.</summary>
    public double MarginFall { get; init; }

    /// <summary>Stops are looked at every so many steps, on as many kept pairs.</summary>
    public int LookEverySteps { get; init; } = 2;
    public int LookPairs { get; init; } = 300;
}

/// <summary>What a descent of a whole model did.</summary>
/// <param name="Steps">Whose weights are kept.</param>
/// <param name="GoneMargin">Mean margin of the pairs that go, before and after.</param>
/// <param name="RetainKl">Of preferences on the kept pairs that were looked at, nats.</param>
/// <param name="Looked">Pairs whose margins were read for the stops, after the first look: each costs a third of a pair that is learnt from.</param>
public sealed record ModelDescent(int Steps, DescentEnd End, (double Before, double After) GoneMargin, double RetainKl, long Looked);

/// <summary>
/// Takes pairs out of a whole reward model, body and head, by descents on <see cref="UnlearningLoss"/>: minutes where training again takes hours, but nothing certifies what is left.
/// </summary>
/// <remarks>
/// One step reads a batch of S and, where the loss has a retain term, a batch of R drawn by the seed. Stops are those of a head; what S should fall to is predicted on features that do not move, which is first order twice
/// over. Harm takes the weights of the look before. The paper's own (U0) is <see cref="RewardUnlearningMethod.Swap"/> for one epoch without stops, at the training's rate. Source: specs/xrlhf.md §2.2, §2.4, §3.
/// </remarks>
public static class ModelUnlearning
{
    private sealed record Encoded(IReadOnlyList<TrainRewardModelRecipe.EncodedPair> Pairs)
    {
        public IReadOnlyList<int> Lengths { get; } = [.. Pairs.Select(TrainRewardModelRecipe.LengthOf)];
        public double[] Votes { get; } = [.. Pairs.Select(pair => pair.Row.Weight)];
    }

    /// <summary>Descends.</summary>
    /// <param name="model">Changed in place.</param>
    /// <param name="gone">S, as they were judged; <see cref="PreferencePair.Weight"/> says how much of each goes.</param>
    /// <param name="kept">R, all of it.</param>
    /// <param name="heldOut">For the stops; may be empty.</param>
    /// <exception cref="CannotTrain">No pair of S fits the window, no pair is kept, or the loss diverged.</exception>
    /// <exception cref="ArgumentException">The method is no descent.</exception>
    public static ModelDescent Run(RewardUnlearningMethod method, LlamaReward model, ITokenizer tokenizer, IReadOnlyList<PreferencePair> gone, IReadOnlyList<PreferencePair> kept, IReadOnlyList<PreferencePair> heldOut, ModelDescentOptions options,
        RecipeContext context)
    {
        var encoder = new DialogueEncoder(tokenizer, Math.Min(options.Training.LengthMax, model.ContextLength), options.Training.Overlong);
        Encoded Of(IReadOnlyList<PreferencePair> pairs) => new(TrainRewardModelRecipe.Encode(encoder, pairs));
        var (away, stay, held) = (Of(gone), Of(kept), Of(heldOut));
        if (away.Pairs.Count == 0 || stay.Pairs.Count == 0)
            throw new CannotTrain(away.Pairs.Count == 0 ? "There is no pair to unlearn: none fits the training's window." : "No pair would be left to keep the rest as it is.");
        var random = new SeededRandom((ulong)context.Seed).Split("model unlearning");
        var goneShare = away.Votes.Sum() / (away.Votes.Sum() + stay.Votes.Sum());
        var looked = new Encoded([.. Drawn(stay, options.LookPairs, random.Split("looked at")).Select(i => stay.Pairs[i])]);
        double[] Margins(Encoded pairs) => TrainRewardModelRecipe.Margins(model, tokenizer, pairs.Pairs, context);
        double Mean(double[] margins) => margins.Zip(away.Votes, (margin, votes) => margin * votes).Sum() / away.Votes.Sum();
        var (start, before) = (Margins(away), Margins(looked));
        var accuracy = held.Pairs.Count > 0 ? ForgettingReport.Accuracy(Margins(held)) : (double?)null;
        var (wanted, read) = (Mean(start) - options.MarginFall, 0L);

        var batches = (away.Pairs.Count + options.Optimization.BatchSize - 1) / options.Optimization.BatchSize;
        var stepsTotal = Optimization.StepsTotal(options.Optimization with { AccumulationSteps = 1 }, batches);
        using var optimization = new Optimization(model.Backbone.parameters(), [model.ScoreWeight], options.Optimization, stepsTotal);
        IReadOnlyList<Tensor> saved = Copy(model);
        var (savedAt, done, end) = (0, 0, DescentEnd.Steps);
        var (lastGone, lastKl) = (Mean(start), 0.0);
        try
        {
            model.train();
            foreach (var (step, batch) in StepsOf.Run(away.Lengths, options.Optimization with { AccumulationSteps = 1 }, context.Seed, 0, stepsTotal))
            {
                context.ThrowIfStopped();
                using (NewDisposeScope())
                    optimization.Accumulate(Loss(batch[0], random.Split("kept").Split(step)), share: 1, step);
                optimization.Step(step);
                done = step + 1;
                context.Report(done, stepsTotal, "unlearning");
                if (options.Stops is { } stops && (done % options.LookEverySteps == 0 || done == stepsTotal) && Look(stops) is { } ended)
                {
                    end = ended;
                    break;
                }
            }
            if (options.Stops is null)
                (lastGone, lastKl) = (Mean(Margins(away)), DescentStops.PreferenceKl(before, Margins(looked), looked.Votes));
            if (end is DescentEnd.HeldOutAccuracy or DescentEnd.RetainDivergence)
            {
                Restore(model, saved);
                done = savedAt;
                (lastGone, lastKl) = (Mean(Margins(away)), DescentStops.PreferenceKl(before, Margins(looked), looked.Votes));
            }
            model.eval();
            return new ModelDescent(done, end, (Mean(start), lastGone), lastKl, read);
        }
        finally
        {
            Free(saved);
        }

        DescentEnd? Look(DescentStops stops)
        {
            var (now, others) = (Margins(away), Margins(looked));
            (lastGone, lastKl) = (Mean(now), DescentStops.PreferenceKl(before, others, looked.Votes));
            read += now.Length + others.Length + held.Pairs.Count;
            var end = stops.Look((lastGone, wanted), accuracy is { } was ? (was, ForgettingReport.Accuracy(Margins(held))) : null, lastKl);
            if (end is null)
            {
                Free(saved);
                (saved, savedAt) = (Copy(model), done);
            }
            return end;
        }

        Tensor Loss(int[] batch, SeededRandom draw)
        {
            var others = UnlearningLoss.Retains(method) ? Drawn(stay, options.RetainPerStep, draw) : [];
            var own = method is RewardUnlearningMethod.RetainOnly ? [] : batch;
            var (chosen, rejected, _) = TrainRewardModelRecipe.Rewards(model, tokenizer.PadId, [.. own.Select(i => away.Pairs[i]), .. others.Select(i => stay.Pairs[i])]);
            var margins = chosen.sub(rejected);
            return UnlearningLoss.Compute(method, margins.narrow(0, 0, own.Length), Numbers(own.Select(i => start[i])), Numbers(own.Select(i => away.Votes[i])), margins.narrow(0, own.Length, others.Length), Numbers(others.Select(i => stay.Votes[i])),
                goneShare, options.Beta, options.Retain);
        }

        Tensor Numbers(IEnumerable<double> values) => tensor(values.Select(value => (float)value).ToArray(), device: model.Device);
    }

    private static int[] Drawn(Encoded pairs, int count, SeededRandom random)
    {
        int[] order = [.. Enumerable.Range(0, pairs.Pairs.Count)];
        random.Shuffle(order);
        return order[..Math.Min(count, order.Length)];
    }

    private static IReadOnlyList<Tensor> Copy(LlamaReward model) => [.. model.parameters().Select(parameter => parameter.detach().clone())];

    private static void Restore(LlamaReward model, IReadOnlyList<Tensor> saved)
    {
        using var noGrad = no_grad();
        foreach (var (parameter, value) in model.parameters().Zip(saved))
            parameter.copy_(value);
    }

    private static void Free(IReadOnlyList<Tensor> tensors)
    {
        foreach (var tensor in tensors)
            tensor.Dispose();
    }
}
