using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;

namespace Portal.Engine.Jobs;

/// <summary>A response, and the pairs that its explanation keeps.</summary>
/// <param name="Rows">Of the reward model's pairs.</param>
/// <param name="First">Those of them that are asked about where all would take too long.</param>
internal sealed record ExplainedResponse(ResponseId Response, StoredPrompt Prompt, string Text, IReadOnlyList<int> Rows, IReadOnlyList<int> First);

/// <summary>What pairs would do to a response under the policy that wrote it.</summary>
/// <param name="Effects">By row, nats; without those the policy's own training would have left out for their length.</param>
internal sealed record PolicyAnswer(ModelVersionId Policy, IReadOnlyDictionary<int, double> Effects);

/// <summary>The policy side of explanations: responses that a policy wrote which was trained by DPO or KTO here are asked about under that policy (<see cref="PolicyEffects"/>). Of all others the job's log says why not.</summary>
internal static class PolicySide
{
    /// <summary>Pairs times responses that one policy is asked about; where there are more, the first pairs of each response alone. A pair of the demo's policy takes 25 ms on one core, a product of two gradients half of one: some minutes at most.</summary>
    public const int CombinationsMax = 20_000;

    private sealed record Asked(ModelVersion Policy, ModelVersion Reference, TrainPreferencePolicy Spec);

    /// <summary>Asks.</summary>
    /// <returns>As many as responses, in their order; null where no policy can be asked.</returns>
    public static async Task<IReadOnlyList<PolicyAnswer?>> Ask(JobRun run, ModelStore store, ExplainableReward reward, IReadOnlyList<ExplainedResponse> responses, int combinationsMax)
    {
        var answers = new PolicyAnswer?[responses.Count];
        foreach (var (writer, some) in await Writers(run, responses))
        {
            var (asked, problem) = await Find(run, store, writer);
            if (asked is null)
                run.Progress.Log(JobEventLevel.Info, $"No policy is asked about {some.Count} of {responses.Count} responses: {problem}");
            else
                Ask(run, store, reward, asked, some, answers, combinationsMax);
        }
        return answers;
    }

    /// <summary>Responses by the version that wrote them, with their places.</summary>
    private static async Task<IReadOnlyList<(ModelVersionId? Writer, IReadOnlyList<(int Index, ExplainedResponse Item)> Responses)>> Writers(JobRun run, IReadOnlyList<ExplainedResponse> responses)
    {
        var ids = responses.Select(one => one.Response).Distinct().ToList(); // a job explains ExplainResponses.ResponsesMax at most
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var writers = await db.Responses.AsNoTracking().Where(r => ids.Contains(r.Id)).ToDictionaryAsync(r => r.Id, r => r.ModelVersionId, run.Stop);
        return [.. responses.Index().GroupBy(entry => writers[entry.Item.Response]).Select(group => (group.Key, (IReadOnlyList<(int, ExplainedResponse)>)[.. group]))];
    }

    /// <summary>The policy with what it was trained from and how; or why it is not asked.</summary>
    private static async Task<(Asked? Asked, string? Problem)> Find(JobRun run, ModelStore store, ModelVersionId? writer)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        Task<ModelVersion?> Version(ModelVersionId? id) => db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id && v.ProjectId == run.ProjectId && v.Kind == ModelKind.Policy, run.Stop);
        if (await Version(writer) is not { } policy)
            return (null, "no policy of this project wrote them.");
        if (SpecOf(policy) is not { } spec)
            return (null, $"{policy.Label}, which wrote them, was not trained by DPO or KTO.");
        if (await Version(policy.ParentId) is not { } reference)
            return (null, $"what {policy.Label}, which wrote them, was trained from is not there.");
        if (new[] { policy, reference }.FirstOrDefault(version => version.Status is ModelStatus.Retired) is { } retired)
            return (null, retired == policy ? $"{policy.Label}, which wrote them, is retired." : $"{policy.Label}, which wrote them, was trained from {reference.Label}, which is retired.");
        return (store.Verify(policy) ?? store.Verify(reference)) is { } broken ? (null, broken) : (new Asked(policy, reference, spec), null);
    }

    private static TrainPreferencePolicy? SpecOf(ModelVersion policy)
    {
        try
        {
            return JobSpec.FromJson(policy.SpecJson) as TrainPreferencePolicy;
        }
        catch (FormatException)
        {
            return null; // a base model's provenance is no spec
        }
    }

    private static void Ask(JobRun run, ModelStore store, ExplainableReward reward, Asked asked, IReadOnlyList<(int Index, ExplainedResponse Item)> responses, PolicyAnswer?[] answers, int combinationsMax)
    {
        var combinations = responses.Sum(entry => entry.Item.Rows.Count);
        var onlyFirst = combinations > combinationsMax;
        if (onlyFirst)
            run.Progress.Log(JobEventLevel.Info, $"{asked.Policy.Label} is asked about the first pairs by direction of each response only: all {combinations:N0} would take too long.");
        var (policy, tokenizer) = store.OpenPolicy(asked.Policy);
        using var ofPolicy = policy;
        var (reference, _) = store.OpenPolicy(asked.Reference);
        using var ofReference = reference;
        policy.eval();
        reference.eval();

        // A response is read whole or not at all; a pair as the policy's own training read it.
        var whole = new DialogueEncoder(tokenizer, policy.Config.ContextLength, Overlong.Filter);
        var asTrained = new DialogueEncoder(tokenizer, Math.Min(asked.Spec.LengthMax, policy.Config.ContextLength), asked.Spec.Overlong);
        var read = responses.Select(entry => (entry.Index, Rows: onlyFirst ? entry.Item.First : entry.Item.Rows, Text: whole.Answer(entry.Item.Prompt.Turns, entry.Item.Text))).Where(entry => entry.Text is not null).ToList();
        if (read.Count < responses.Count)
            run.Progress.Log(JobEventLevel.Info, $"{asked.Policy.Label} is not asked about {responses.Count - read.Count} responses that are longer than its context.");
        var places = new Dictionary<int, int>();
        var pairs = new List<(EncodedText Chosen, EncodedText Rejected)>();
        foreach (var row in read.SelectMany(entry => entry.Rows).Distinct().Order())
        {
            if (asTrained.Pair(reward.PairOf(row)) is not { } pair)
                continue;
            places.Add(row, pairs.Count);
            pairs.Add(pair);
        }
        var known = read.Select(entry => entry.Rows.Where(places.ContainsKey).ToList()).ToList();
        var effects = new PolicyEffects(policy, reference, asked.Spec.Beta).Of([.. read.Zip(known, (entry, rows) => new PolicyQuery(entry.Text!, [.. rows.Select(row => places[row])]))], pairs, // texts that are not there were left out above
            (done, all) => run.Progress.Report(done, all, "asking the policy", null), run.Stop);
        for (var i = 0; i < read.Count; i++)
            answers[read[i].Index] = new PolicyAnswer(asked.Policy.Id, known[i].Zip(effects[i]).ToDictionary(entry => entry.First, entry => entry.Second));
    }
}
