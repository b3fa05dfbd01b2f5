using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Unlearning;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;
using Portal.Engine.Unlearning;

namespace Portal.Engine.Jobs;

/// <summary>An approved request becomes a reward model that has not learned from its judgements, or learned from them as they were changed, measured beside the one before and beside the head that never saw them as they were.</summary>
/// <remarks>
/// Always compared with gold (the head trained again without the pairs, or on them as they are now, on the same features), since unlearning that merely lowers a reward may have taught the opposite. A job that fails or is cancelled stores nothing.
/// State and model are looked at once more in the write that stores the version. Source: specs/xrlhf.md §2.4, §5.3.
/// </remarks>
public sealed class UnlearnPairsRunner : IJobRunner<UnlearnPairs>
{
    /// <summary>Steps of descent at most, where a request asks for one; it stops where the margins are as they would be without the pairs.</summary>
    private static readonly HeadDescentOptions Descent = new() { Steps = 2_000, LearningRate = 0.05, Stops = new() };

    /// <inheritdoc/>
    public async Task<JobResult> Run(UnlearnPairs spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var (request, asked) = await Find(spec, run);
        using var reward = await ExplainableReward.Open(ExplainableSource.Of(run), run.ProjectId, request.RewardModelId, FeatureSpace.RewardState, spec.Seed);
        if (reward.Dataset != request.DatasetVersionId)
            throw new CannotTrain($"The pairs of request {request.Number} are of another version of the data than {reward.Version.Label} was trained on.");
        var change = VoteChange.Of(reward.Pairs, asked.Select(id => id.Value), request.Action);
        var gone = change.Rows;
        if (gone.Count == 0)
            throw new CannotTrain($"{reward.Version.Label} goes by none of the judgements of request {request.Number}: they were erased or forgotten before.");
        using var heldOut = reward.HeldOut(run.Progress, run.Stop);
        var bad = await BadQuery.Find(request, run, store, reward.Features, reward.Tokenizer, reward.Window.LengthMax);

        run.Progress.Report(0, 0, "training the head again, to compare with", null);
        var clock = Stopwatch.StartNew();
        var gold = HeadUnlearning.Run(RewardUnlearningMethod.Retrain, reward.Head, reward.Influence, change, Descent, run.Stop);
        var (secondsOfGold, seconds) = (clock.Elapsed.TotalSeconds, 0.0);
        var measure = new ForgettingMeasure(reward.Head, [.. gone], heldOut.Rows, bad is null ? [] : [bad.Query], reward.Influence.Theta, gold.Weights);
        var (before, golden) = (measure.Of(reward.Influence.Theta), measure.Of(gold.Weights));
        UnlearningOutcome outcome;
        IReadOnlyList<Measurement> measured;
        run.Progress.Report(0, 0, "unlearning", null);
        if (request.Method is UnlearningMethod.TrainAgain)
        {
            clock.Restart();
            var trained = await TrainAgain(spec, run, store, reward, asked, gone, bad, request);
            seconds = clock.Elapsed.TotalSeconds;
            measured = trained.Report.Measurements;
            outcome = new UnlearningOutcome(gone.Count, bad is null ? null : new(before.BadReward!.Value, trained.BadReward!.Value, golden.BadReward!.Value), new(before.HeldOutAccuracy, trained.HeldOutAccuracy, golden.HeldOutAccuracy),
                new(before.NeighbourAccuracy, trained.NeighbourAccuracy, golden.NeighbourAccuracy), null, null, null, null, seconds, secondsOfGold);
        }
        else
        {
            clock.Restart();
            var (weights, residual) = ByHead(request.Method, reward, change, heldOut.Rows, run);
            seconds = clock.Elapsed.TotalSeconds;
            reward.SaveWithHead(weights, store, run.ModelFolder, run.Stop);
            var after = measure.Of(weights);
            outcome = new UnlearningOutcome(gone.Count, bad is null ? null : new(before.BadReward!.Value, after.BadReward!.Value, golden.BadReward!.Value), new(before.HeldOutAccuracy, after.HeldOutAccuracy, golden.HeldOutAccuracy),
                new(before.NeighbourAccuracy, after.NeighbourAccuracy, golden.NeighbourAccuracy), after.Distance, residual, after.MarginDistance.Statistic, after.MarginDistance.P, seconds, secondsOfGold);
            measured = [new Measurement(MetricNames.PairwiseAccuracy, MetricNames.HeldOut, after.HeldOutAccuracy, null, null, heldOut.Rows.Count)];
            run.Progress.Log(Data.Jobs.JobEventLevel.Info, $"{gone.Count} pairs {Done(request.Action)}; the gradient that is left is {residual:E1}.");
        }
        return Result(spec, run, store, request, reward.Version, outcome, measured);
    }

    /// <summary>The head's weights and what is left of the gradient: the certificate.</summary>
    private static (double[] Weights, double ResidualGradientNorm) ByHead(UnlearningMethod method, ExplainableReward reward, VoteChange change, FeatureRows heldOut, JobRun run)
    {
        if (method is UnlearningMethod.Newton)
        {
            var removed = NewtonRemoval.Run(reward.Head, reward.Influence, change, run.Stop, NewtonRemoval.StepsOf(change.Action));
            return (removed.Weights, removed.ResidualGradientNorm);
        }
        var made = HeadUnlearning.Run(RewardUnlearningMethod.SwapAndRetain, reward.Head, reward.Influence, change, Descent, run.Stop, heldOut);
        if (made.End is DescentEnd.HeldOutAccuracy or DescentEnd.RetainDivergence or DescentEnd.Steps)
        {
            run.Progress.Log(Data.Jobs.JobEventLevel.Warning, $"The descent did not get as far as the margins would be without the pairs: after {made.Steps} steps " + made.End switch
            {
                DescentEnd.HeldOutAccuracy => "the model would have ordered fewer held-out pairs rightly.",
                DescentEnd.RetainDivergence => "its preferences on the pairs that are kept would have moved too far.",
                _ => "it had made all it may make.",
            } + " Newton steps or training again go all the way.");
        }
        return (made.Weights, made.ResidualGradientNorm);
    }

    /// <summary>The files of a version that never came to be.</summary>
    public Task Discard(UnlearnPairs spec, JobRun run) => TrainedVersion.Discard(run);

    private static async Task<(UnlearningRequest Request, IReadOnlyList<JudgementId> Asked)> Find(UnlearnPairs spec, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var request = await db.UnlearningRequests.AsNoTracking().FirstOrDefaultAsync(r => r.Id == spec.RequestId && r.ProjectId == run.ProjectId, run.Stop)
            ?? throw new CannotTrain($"requestId: there is no request {spec.RequestId} in this project.");
        CheckApproved(request, run);
        return (request, await db.UnlearningPairs.AsNoTracking().Where(p => p.RequestId == request.Id).Select(p => p.JudgementId).ToListAsync(run.Stop));
    }

    private static void CheckApproved(UnlearningRequest request, JobRun run)
    {
        if (request.State is not UnlearningState.Approved || request.JobId != run.JobId)
            throw new CannotTrain($"Request {request.Number} does not wait for this job: it was taken back, or its version is made already.");
    }

    private sealed record Again(TrainingReport Report, double HeldOutAccuracy, double NeighbourAccuracy, double? BadReward);

    /// <summary>The whole model from where it began, with the same spec and seed, on what is left, or on the pairs as they are now.</summary>
    private static async Task<Again> TrainAgain(UnlearnPairs spec, JobRun run, ModelStore store, ExplainableReward reward, IReadOnlyList<JudgementId> asked, IReadOnlyList<int> gone, BadQuery? bad, UnlearningRequest request)
    {
        if (await TrainedVersion.TrainingOf(run.Contexts, reward.Version, run.Stop) is not { Spec: TrainRewardModel training, Root: var root })
            throw new CannotTrain($"{reward.Version.Label} was not made by training a whole reward model here, so it cannot be trained again; change its head (Newton).");
        var parent = root.ParentId is { } id ? await store.FindExhibit(run.ProjectId, id, ModelKind.Policy, run.Stop) : await store.BasePolicy(run.ProjectId, run.Stop);
        // What the model had forgotten before stays forgotten.
        var changed = asked.Select(judgement => judgement.Value).ToHashSet();
        List<IdentifiedPair> left = [.. reward.Rows.Train.Select(pair => changed.Contains(pair.Id) ? pair.After(request.Action) : pair).OfType<IdentifiedPair>()];
        List<PreferencePair> heldOut = [.. reward.Rows.HeldOut.Select(pair => pair.Pair)];
        var (model, tokenizer) = store.OpenWithFreshHead(parent);
        using (model)
        {
            var report = TrainRewardModelRecipe.Run(training, model, tokenizer, new TrainingSplit<PreferencePair>([.. left.Select(pair => pair.Pair)], heldOut), run.RecipeContext(training.Seed));
            model.eval();
            var features = new RewardStates(model);
            var near = ForgettingMeasure.Nearest(reward.Head, [.. gone]).Select(row => reward.Pairs.Ids[row][0]).ToHashSet();
            var badAgain = bad is null ? null : await BadQuery.Find(request, run, store, features, tokenizer, training.LengthMax);
            return new Again(report, Accuracy(features, tokenizer, heldOut, training, run.Stop), Accuracy(features, tokenizer, [.. left.Where(pair => near.Contains(pair.Id)).Select(pair => pair.Pair)], training, run.Stop),
                badAgain is null ? null : badAgain.Query.Zip(features.Head, (value, weight) => value * weight).Sum());
        }
    }

    /// <summary>Share of pairs whose chosen answer has the higher reward.</summary>
    private static double Accuracy(RewardStates features, ITokenizer tokenizer, IReadOnlyList<PreferencePair> pairs, TrainRewardModel training, CancellationToken stop)
    {
        var read = EndReader.Read(features, tokenizer, [.. pairs.SelectMany(pair => new[] { (pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected) })], training.LengthMax, stop);
        return ForgettingReport.Accuracy([.. pairs.Select((_, i) => read[2 * i].Reward!.Value - read[(2 * i) + 1].Reward!.Value)]);
    }

    private static JobResult Result(UnlearnPairs spec, JobRun run, ModelStore store, UnlearningRequest request, ModelVersion source, UnlearningOutcome outcome, IReadOnlyList<Measurement> measured)
    {
        var id = TrainedVersion.IdOf(run);
        var files = store.FilesJson(run.ModelFolder);
        return new JobResult($"/unlearning/{request.Id}", db =>
        {
            var now = run.Time.GetUtcNow();
            var waiting = db.UnlearningRequests.First(r => r.Id == request.Id);
            CheckApproved(waiting, run);
            if (db.ModelVersions.First(v => v.Id == source.Id).Status is ModelStatus.Retired)
                throw new CannotTrain($"{source.Label} was retired while the version was being made.");
            var version = HeadVersion.Of(db, id, source, MethodOf(request.Method, request.Action), run, spec, run.ModelFolder, files, now);
            db.ModelVersions.Add(version);
            db.EvaluationResults.AddRange(measured.Select(row => ModelStore.Row(id, row, source.Id, now)));
            waiting.Made(id, outcome);
            AuditChain.Append(db, now, run.CreatedBy, "unlearning.make", "unlearning", $"{request.Id}", new
            {
                request.Number, version = $"{id}", from = $"{source.Id}", method = request.Method.ToString(), action = request.Action.ToString(), pairs = outcome.Pairs, residualGradient = outcome.ResidualGradient, filesBefore = source.Files(), filesAfter = version.Files(), job = run.Number,
            });
        });
    }

    private static string MethodOf(UnlearningMethod method, UnlearningAction action) => (method, action) switch
    {
        (UnlearningMethod.TrainAgain, UnlearningAction.Remove) => "trained again without",
        (UnlearningMethod.TrainAgain, _) => $"trained again, pairs {Done(action)}",
        (UnlearningMethod.SwapAndRetain, _) => "unlearning, swap and retain",
        (UnlearningMethod.Newton, UnlearningAction.Remove) => "unlearning, Newton",
        (UnlearningMethod.Newton, _) => $"unlearning, Newton, pairs {Done(action)}",
    };

    private static string Done(UnlearningAction action) => action switch { UnlearningAction.Remove => "removed", UnlearningAction.Relabel => "turned round", UnlearningAction.DownWeight => "weighed down" };
}

/// <summary>A flagged response above what it is compared with, in a reward model's features.</summary>
/// <param name="Query">q. [d].</param>
internal sealed record BadQuery(double[] Query)
{
    /// <summary>Reads it as its explanation did; null where its text was erased since, or its prompt leaves no room for other answers.</summary>
    public static async Task<BadQuery?> Find(UnlearningRequest request, JobRun run, ModelStore store, IEndFeatures features, ITokenizer tokenizer, int lengthMax)
    {
        Explanation explanation;
        StoredPrompt? prompt = null;
        string? text = null, better = null;
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
        {
            explanation = await db.Explanations.AsNoTracking().FirstAsync(e => e.Id == request.ExplanationId, run.Stop);
            var responses = await StoredTexts.Responses(db, [explanation.ResponseId], run.Stop);
            if (responses.TryGetValue(explanation.ResponseId, out var response))
            {
                text = response.Text;
                prompt = (await StoredTexts.Prompts(db, [response.Prompt], run.Stop)).GetValueOrDefault(response.Prompt);
            }
            if (explanation is { Mode: QueryMode.Comparison, FlagId: { } flag })
                better = await (from f in db.Flags where f.Id == flag join c in db.Contents on f.PreferredId equals c.Id select c.Text).FirstOrDefaultAsync(run.Stop);
        }
        if (text is null || prompt is null)
        {
            run.Progress.Log(Data.Jobs.JobEventLevel.Warning, "The text of the flagged response, or of its prompt, was erased: what becomes of its reward cannot be measured.");
            return null;
        }
        IReadOnlyList<string> others = better is not null ? [better]
            : (await ReferenceAnswers.Ask(run, store, [prompt], Math.Max(1, explanation.References), new SamplingSpec { Seed = explanation.Seed })).GetValueOrDefault(prompt.Key) ?? [];
        if (others.Count == 0)
            return null;
        var read = EndReader.Read(features, tokenizer, [.. others.Prepend(text).Select(answer => (prompt.Turns, answer))], lengthMax, run.Stop);
        return new BadQuery(ExplanationQuery.Of(QueryMode.Centred, read[0], [.. read.Skip(1)]).Vector);
    }
}
