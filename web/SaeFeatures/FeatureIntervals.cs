using Portal.Data;
using Portal.Data.Serving;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>Asks the engine how sure the means of features are. The means themselves are stored; their intervals need the codes of all responses, which lie with the engine.</summary>
internal static class FeatureIntervals
{
    /// <summary>The rows with their intervals; as they were, with the reason, where the engine gives none.</summary>
    /// <param name="model">The version whose weights the rows state: other weights have other means.</param>
    public static async Task<(IReadOnlyList<FeatureRow> Rows, Refusal? Why)> Add(EngineClient engine, ModelVersionId model, IReadOnlyList<FeatureRow> rows, CancellationToken stop)
    {
        var effects = new Dictionary<int, FeatureEffect>();
        // What never fires at an end adds exactly nothing: there is nothing to be unsure of.
        foreach (var some in rows.Where(row => row.FiringAtEnd > 0).Select(row => row.Latent).Chunk(FeatureEffectsRequest.LatentsMax))
        {
            var answer = await engine.Effects(new FeatureEffectsRequest($"{model}", some), stop);
            if (answer.Refusal is { } why)
                return (rows, why);
            foreach (var effect in answer.Value.Items)
                effects[effect.Latent] = effect;
        }
        return ([.. rows.Select(row => effects.TryGetValue(row.Latent, out var effect) ? row with { Effect = effect } : row)], null);
    }
}
