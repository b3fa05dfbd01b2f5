using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;

namespace Portal.Engine.Datasets;

/// <summary>
/// The single verdicts of a dataset version with their texts: good and bad become labels, unsure is dropped ("unsure"), and the other
/// reasons are those of <see cref="PreferenceDataset"/>.
/// </summary>
public static class BinaryDataset
{
    /// <summary>Reads a version of kind binary.</summary>
    /// <returns>As <see cref="PreferenceDataset.Load"/>.</returns>
    /// <exception cref="CannotTrain">There is no such version, or it holds pairs.</exception>
    public static Task<DatasetRows<LabelledResponse>> Load(IDbContextFactory<PortalDbContext> contexts, DatasetVersionId version, CancellationToken stop) =>
        DatasetReader.Read(contexts, version, TaskKind.Binary, (row, prompt, response, _) => row.Label is { } good
            ? new LabelledResponse(prompt.Key, prompt.Turns, response, good, row.Weight, prompt.Topic)
            : null, stop);
}
