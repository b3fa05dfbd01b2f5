using System.Diagnostics;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Review;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Influence;

namespace Portal.Engine.Jobs;

/// <summary>
/// Explains responses by the pairs a reward model was trained on: which of them make it like the response, how much of its reward they make up, and how far that may be believed.
/// </summary>
/// <remarks>
/// What it may be believed by is measured first, once for a reward model and a way of asking: the answers that people preferred on held-out prompts, which nobody flagged, are explained in the same way, and a response
/// counts as explained well only where it shows more than 95 of 100 of those. All rows are stored with the job's success. Source: specs/xrlhf.md §1.4 to §1.8.
/// </remarks>
public sealed class ExplainResponsesRunner : IJobRunner<ExplainResponses>
{
    /// <summary>Methods whose first pairs are kept and shown side by side.</summary>
    public static readonly IReadOnlyList<AttributionMethod> Kept = [AttributionMethod.Projection, AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Cosine];

    /// <summary>Pairs of each of them.</summary>
    private const int PairsKept = 20;

    /// <summary>Satisfactory responses that are measured, at most.</summary>
    private const int CalibratingMax = 300;

    /// <summary>Satisfactory responses that are needed to say what they show; fewer for a test.</summary>
    internal int ResponsesMin { get; init; } = ExplanationCalibration.ResponsesMin;

    /// <summary>See <see cref="PolicySide.CombinationsMax"/>; fewer for a test.</summary>
    internal int CombinationsMax { get; init; } = PolicySide.CombinationsMax;

    private sealed record Asked(FlagId? Flag, ResponseId Response, StoredPrompt Prompt, string Text, string? Better);

    private sealed record Explained(Asked Asked, ExplanationQuery Query, PairExplanation Found, bool IsTruncated, double Milliseconds);

    /// <inheritdoc/>
    public async Task<JobResult> Run(ExplainResponses spec, JobRun run)
    {
        if (spec.FlagIds.Count + spec.ResponseIds.Count is < 1 or > ExplainResponses.ResponsesMax)
            throw new CannotTrain($"responseIds: name 1 to {ExplainResponses.ResponsesMax} responses or flags.");
        TrainingProcess.Prepare();
        var asked = await Find(spec, run);
        using var reward = await ExplainableReward.Open(ExplainableSource.Of(run), run.ProjectId, spec.RewardModelId, spec.Space, spec.Seed);
        var store = new ModelStore(run);
        var limits = await Limits(spec, run, reward);
        var fresh = limits.Count == 0 && spec.Mode is not QueryMode.Raw;
        var satisfactory = fresh ? await Satisfactory(run, reward) : [];
        if (fresh && satisfactory.Count < ResponsesMin)
        {
            run.Progress.Log(JobEventLevel.Warning, $"Nobody can say yet how far these explanations may be believed: {satisfactory.Count} answers that people preferred on held-out prompts are there, {ResponsesMin} are needed.");
            satisfactory = [];
        }
        var references = await References(spec, run, store, [.. asked, .. satisfactory]);
        if (satisfactory.Count > 0)
            limits = Calibrate(spec, run, reward, satisfactory, references, ResponsesMin);
        var explained = Explain(spec, run, reward, asked, references);
        var policies = await PolicySide.Ask(run, store, reward, [.. explained.Select(one => new ExplainedResponse(one.Asked.Response, one.Asked.Prompt, one.Asked.Text, [.. KeptOf(one.Found).Select(pair => pair.Row)],
            [.. one.Found.By[Explanation.Favoured].Take(PairExplainer.DefaultPairs).Select(pair => pair.Row)]))], CombinationsMax);
        return Result(spec, run, reward, explained, policies, limits, fresh);
    }

    /// <summary>The responses with their prompts and, of flags, the better answer; what was erased cannot be explained.</summary>
    private static async Task<IReadOnlyList<Asked>> Find(ExplainResponses spec, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var flags = await db.Flags.AsNoTracking().Where(f => f.ProjectId == run.ProjectId && spec.FlagIds.Contains(f.Id)).ToListAsync(run.Stop);
        if (spec.FlagIds.FirstOrDefault(id => flags.All(flag => flag.Id != id)) is { Value: var gone } && gone != Guid.Empty)
            throw new CannotTrain($"flagIds: there is no flag {gone} in this project.");
        var known = await db.Responses.AsNoTracking().Where(r => r.ProjectId == run.ProjectId && spec.ResponseIds.Contains(r.Id)).Select(r => r.Id).ToListAsync(run.Stop);
        if (spec.ResponseIds.FirstOrDefault(id => !known.Contains(id)) is { Value: var missing } && missing != Guid.Empty)
            throw new CannotTrain($"responseIds: there is no response {missing} in this project.");
        // In the order they were asked for: the draws of what they are compared with depend on it.
        var wanted = spec.FlagIds.Distinct().Select(id => flags.Find(flag => flag.Id == id)!).Select(flag => ((FlagId?)flag.Id, flag.ResponseId, flag.PreferredId)) // each is there, or that was said
            .Concat(spec.ResponseIds.Distinct().Select(id => ((FlagId?)null, id, (ContentId?)null))).ToList();
        var responses = await StoredTexts.Responses(db, wanted.Select(one => one.Item2), run.Stop);
        var prompts = await StoredTexts.Prompts(db, responses.Values.Select(response => response.Prompt), run.Stop);
        var better = await db.Contents.AsNoTracking().Where(c => wanted.Select(one => one.Item3).Contains(c.Id) && c.Text != null).ToDictionaryAsync(c => c.Id, c => c.Text!, run.Stop);
        var asked = new List<Asked>();
        foreach (var (flag, id, preferred) in wanted)
        {
            if (!responses.TryGetValue(id, out var response) || !prompts.TryGetValue(response.Prompt, out var prompt))
                throw new CannotTrain($"responseIds: the text of response {id}, or of its prompt, was erased; what is not there cannot be explained.");
            var text = preferred is { } content && better.TryGetValue(content, out var found) ? found : null;
            if (spec.Mode is QueryMode.Comparison && text is null)
                throw new CannotTrain(flag is null ? $"mode: nobody gave a better answer than response {id}, so there is nothing to compare it with." : $"mode: flag {flag} names no better answer to compare with; explain it by other answers (Centred).");
            asked.Add(new Asked(flag, id, prompt, response.Text, text));
        }
        return asked;
    }

    private static async Task<IReadOnlyDictionary<AttributionMethod, ExplanationLimits>> Limits(ExplainResponses spec, JobRun run, ExplainableReward reward)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        return await db.ExplanationLimits.AsNoTracking().Where(l => l.RewardModelId == reward.Version.Id && l.Mode == spec.Mode && l.Space == spec.Space).ToDictionaryAsync(l => l.Method, run.Stop);
    }

    /// <summary>Answers that people preferred on prompts held out from the training, and nobody flagged: one a prompt as far as they go, then more.</summary>
    private static async Task<IReadOnlyList<Asked>> Satisfactory(JobRun run, ExplainableReward reward)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        // Over the primary key (DatasetVersionId, Ordinal); the flags over IX_Flags_ResponseId.
        var rows = await db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == reward.Dataset && r.Part == DatasetPart.HeldOut
            && !db.Flags.Any(f => f.ResponseId == r.ChosenId && f.State != FlagState.Dismissed)).OrderBy(r => r.Ordinal).Select(r => new { r.PromptId, r.ChosenId }).ToListAsync(run.Stop);
        var chosen = rows.DistinctBy(row => row.ChosenId).GroupBy(row => row.PromptId).SelectMany(prompt => prompt.Select((row, i) => (row, i))).OrderBy(entry => entry.i).Select(entry => entry.row).Take(CalibratingMax).ToList();
        var responses = await StoredTexts.Responses(db, chosen.Select(row => row.ChosenId), run.Stop);
        var prompts = await StoredTexts.Prompts(db, chosen.Select(row => row.PromptId), run.Stop);
        return [.. chosen.Where(row => responses.ContainsKey(row.ChosenId) && prompts.ContainsKey(row.PromptId)).Select(row => new Asked(null, row.ChosenId, prompts[row.PromptId], responses[row.ChosenId].Text, null))];
    }

    /// <summary>Answers of the base policy to every prompt, by the prompt's key.</summary>
    private static async Task<IReadOnlyDictionary<string, IReadOnlyList<string>>> References(ExplainResponses spec, JobRun run, ModelStore store, IReadOnlyList<Asked> all) => spec.Mode is QueryMode.Raw
        ? new Dictionary<string, IReadOnlyList<string>>()
        : await ReferenceAnswers.Ask(run, store, [.. all.Select(one => one.Prompt)], spec.References, spec.Sampling with { Seed = spec.Seed });

    private static IReadOnlyDictionary<AttributionMethod, ExplanationLimits> Calibrate(ExplainResponses spec, JobRun run, ExplainableReward reward, IReadOnlyList<Asked> satisfactory, IReadOnlyDictionary<string, IReadOnlyList<string>> references, int least)
    {
        // A comparison of a satisfactory response is with one other answer, as nobody gave a better one.
        var explained = Explain(spec, run, reward, [.. satisfactory.Where(one => references.ContainsKey(one.Prompt.Key))
            .Select(one => spec.Mode is QueryMode.Comparison ? one with { Better = references[one.Prompt.Key][0] } : one)], references, "explaining satisfactory responses");
        var now = run.Time.GetUtcNow();
        var limits = new Dictionary<AttributionMethod, ExplanationLimits>();
        if (explained.Count < least)
            return limits;
        foreach (var method in Kept)
        {
            var calibration = ExplanationCalibration.Of([.. explained.Select(one => ExplanationEvidence.Of(one.Found, method, one.Query, reward.Influence))], least);
            limits[method] = new ExplanationLimits
            {
                RewardModelId = reward.Version.Id, Mode = spec.Mode, Space = spec.Space, Method = method, Responses = calibration.Responses, ExplainedAbove = calibration.ExplainedAbove, DropAbove = calibration.DropAbove,
                JobId = run.JobId, At = now,
            };
        }
        return limits;
    }

    private static IReadOnlyList<Explained> Explain(ExplainResponses spec, JobRun run, ExplainableReward reward, IReadOnlyList<Asked> asked, IReadOnlyDictionary<string, IReadOnlyList<string>> references, string phase = "explaining")
    {
        IReadOnlyList<string> ComparedWith(Asked one) => spec.Mode switch
        {
            QueryMode.Raw => [],
            QueryMode.Comparison => [one.Better!], // asked for where the responses were found
            QueryMode.Centred => references.TryGetValue(one.Prompt.Key, out var others) ? [.. others.Where(other => other != one.Text).DefaultIfEmpty(others[0])]
                : throw new CannotTrain($"The prompt of response {one.Response} leaves the base policy no room for an answer, so there is nothing to compare with."),
        };
        var texts = asked.SelectMany(one => (string[])[one.Text, .. ComparedWith(one)], (one, text) => (one.Prompt.Turns, text)).ToList();
        run.Progress.Report(0, asked.Count, phase, null);
        var read = EndReader.Read(reward.Features, reward.Tokenizer, texts, reward.Window.LengthMax, run.Stop);
        var (explained, at) = (new List<Explained>(), 0);
        foreach (var one in asked)
        {
            run.Stop.ThrowIfCancellationRequested();
            var count = ComparedWith(one).Count;
            var query = ExplanationQuery.Of(spec.Mode, read[at], [.. read.Skip(at + 1).Take(count)]);
            var isTruncated = read[at].IsTruncated;
            at += count + 1;
            var started = Stopwatch.GetTimestamp();
            var found = reward.Explainer.Explain(query, Kept, spec.Locality, run.Stop, PairsKept);
            explained.Add(new Explained(one, query, found, isTruncated, Stopwatch.GetElapsedTime(started).TotalMilliseconds));
            run.Progress.Report(explained.Count, asked.Count, phase, null);
        }
        return explained;
    }

    private static JobResult Result(ExplainResponses spec, JobRun run, ExplainableReward reward, IReadOnlyList<Explained> explained, IReadOnlyList<PolicyAnswer?> policies, IReadOnlyDictionary<AttributionMethod, ExplanationLimits> limits, bool fresh)
    {
        var now = run.Time.GetUtcNow();
        var (explanations, pairs) = (new List<Explanation>(), new List<ExplainingPair>());
        var limit = limits.GetValueOrDefault(Explanation.Favoured);
        foreach (var (one, policy) in explained.Zip(policies))
        {
            var evidence = ExplanationEvidence.Of(one.Found, Explanation.Favoured, one.Query, reward.Influence);
            var explanation = new Explanation
            {
                Id = run.Ids.New<ExplanationId>(), ProjectId = run.ProjectId, JobId = run.JobId, FlagId = one.Asked.Flag, ResponseId = one.Asked.Response, RewardModelId = reward.Version.Id, DatasetVersionId = reward.Dataset,
                PolicyId = policy?.Policy, Mode = spec.Mode, Space = spec.Space, Locality = spec.Locality, References = spec.Mode switch { QueryMode.Raw => 0, QueryMode.Comparison => 1, QueryMode.Centred => spec.References }, Reward = one.Found.Reward,
                Explained = one.Found.Explained, Residual = one.Found.Residual, RelativeResidual = one.Found.RelativeResidual, Gap = one.Found.Gap, Method = Explanation.Favoured,
                Confidence = limit is null ? ExplanationConfidence.NotCalibrated : new ExplanationCalibration(limit.Responses, limit.ExplainedAbove, limit.DropAbove).Read(evidence), Drop = evidence.Drop,
                ExplainedAbove = limit?.ExplainedAbove, DropAbove = limit?.DropAbove, Calibrating = limit?.Responses ?? 0, IsTruncated = one.IsTruncated, Pairs = reward.Pairs.Rows.Count, Milliseconds = one.Milliseconds, Seed = spec.Seed,
                IsSynthetic = reward.Version.IsSynthetic, CreatedBy = run.CreatedBy, At = now,
            };
            explanations.Add(explanation);
            pairs.AddRange(Rows(explanation.Id, one.Found, reward.Pairs, policy));
        }
        var path = explanations.Count == 1 ? $"/explain/{explanations[0].Id}" : $"/explain?job={run.JobId}";
        return new JobResult(path, db =>
        {
            if (fresh)
            {
                foreach (var row in limits.Values.Where(row => !db.ExplanationLimits.Any(l => l.RewardModelId == row.RewardModelId && l.Mode == row.Mode && l.Space == row.Space && l.Method == row.Method)))
                    db.ExplanationLimits.Add(row);
            }
            db.Explanations.AddRange(explanations);
            db.ExplainingPairs.AddRange(pairs);
            AuditChain.Append(db, now, run.CreatedBy, "explanation.make", "job", $"{run.JobId}", new
            {
                job = run.Number, rewardModel = $"{reward.Version.Id}", mode = spec.Mode.ToString(), space = spec.Space.ToString(),
                explanations = explanations.Select(explanation => new { id = $"{explanation.Id}", response = $"{explanation.ResponseId}", confidence = explanation.Confidence.ToString() }),
            });
        });
    }

    /// <summary>All pairs with a weight, and the first of the other methods.</summary>
    private static IEnumerable<ExplainingRow> KeptOf(PairExplanation found) => found.Projection.Concat(Kept.SelectMany(method => found.By[method])).DistinctBy(pair => pair.Row);

    private static IEnumerable<ExplainingPair> Rows(ExplanationId id, PairExplanation found, PairFeatures store, PolicyAnswer? policy)
    {
        var weights = found.Projection.ToDictionary(pair => pair.Row, pair => pair.Score);
        int? Rank(AttributionMethod method, int row) => (method is AttributionMethod.Projection ? found.Projection : found.By[method]).Index().Where(entry => entry.Item.Row == row).Select(entry => (int?)(entry.Index + 1)).FirstOrDefault();
        return KeptOf(found).Select(pair => new ExplainingPair
        {
            ExplanationId = id, JudgementId = JudgementId.From(store.Ids[pair.Row][0]), OthersJson = JsonSerializer.Serialize(store.Ids[pair.Row].Skip(1).Select(other => JudgementId.From(other))), Weight = weights.GetValueOrDefault(pair.Row),
            Margin = pair.Margin, Distance = pair.Distance, Influence = pair.Influence,
            PolicyEffect = policy is not null && policy.Effects.TryGetValue(pair.Row, out var effect) ? effect : null, ProjectionRank = Rank(AttributionMethod.Projection, pair.Row), InfluenceRank = Rank(AttributionMethod.Influence, pair.Row),
            NearestRank = Rank(AttributionMethod.NearestNeighbours, pair.Row), CosineRank = Rank(AttributionMethod.Cosine, pair.Row),
        });
    }
}
