using System.Security.Cryptography;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Influence;
using Portal.Engine.Jobs;
using Portal.Engine.Unlearning;

namespace Portal.Engine.Erasure;

/// <summary>What takes the place of a reward model that serves and has learned from what is erased: the same body, and a head freed of it by two Newton steps. Its files are written, its row is not.</summary>
/// <param name="Id">Of the new version: the same each time the job runs.</param>
/// <param name="Pairs">Rows of features that lost votes.</param>
/// <param name="ResidualGradient">The certificate: ‖∇L‖ on the votes that are left.</param>
/// <param name="WhyNot">Why there is none, in words; the other values mean nothing then.</param>
internal sealed record FreedHead(ModelVersion Source, ModelVersionId Id, string Folder, string FilesJson, int Pairs, double ResidualGradient, string? WhyNot)
{
    public const string Method = "erasure, Newton (its body still has to be trained again)";

    /// <summary>Computes it, from the data as they still are.</summary>
    /// <param name="judgements">That go.</param>
    public static async Task<FreedHead> Of(JobRun run, EraseData spec, ModelVersion source, IReadOnlySet<Guid> judgements)
    {
        var id = IdOf(spec.RequestId, source.Id);
        var folder = JobRun.FolderName(JobId.From(id.Value));
        try
        {
            var store = new ModelStore(run);
            using var reward = await ExplainableReward.Open(ExplainableSource.Of(run), source.ProjectId, source.Id, FeatureSpace.RewardState, spec.Seed);
            run.Progress.Report(0, 0, "freeing the head", null);
            // A pair that others judged alike stays with their votes: only the erased ones are taken off.
            List<double> left = [.. reward.Pairs.Ids.Select((ids, row) => reward.Pairs.Counts[row] * ids.Count(own => !judgements.Contains(own)) / ids.Count)];
            if (left.All(count => count == 0))
                return None(source, id, folder, $"{source.Label} learned from nothing else, so no head is left of it.");
            var freed = NewtonRemoval.Run(new PairHead(reward.Pairs.Rows, left, ExplainableReward.L2), reward.Influence.Theta, run.Stop);
            reward.SaveWithHead(freed.Weights, store, folder, run.Stop);
            return new FreedHead(source, id, folder, store.FilesJson(folder), reward.Pairs.Ids.Count(ids => ids.Any(judgements.Contains)), freed.ResidualGradientNorm, null);
        }
        catch (CannotTrain e)
        {
            return None(source, id, folder, e.Message);
        }
    }

    /// <summary>A version's id from the request and what it replaces, so that a run after a crash makes no second one.</summary>
    public static ModelVersionId IdOf(ErasureRequestId request, ModelVersionId source) =>
        ModelVersionId.From(new Guid(SHA256.HashData([.. request.Value.ToByteArray(), .. source.Value.ToByteArray()]).AsSpan(0, 16)));

    private static FreedHead None(ModelVersion source, ModelVersionId id, string folder, string why) => new(source, id, folder, "[]", 0, 0, why);
}
