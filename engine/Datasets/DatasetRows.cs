using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;

namespace Portal.Engine.Datasets;

/// <summary>Rows of a version as recipes take them.</summary>
/// <param name="Erased">Rows left out because a text was erased after the version was made.</param>
public sealed record DatasetRows<T>(TrainingSplit<T> Split, int Erased);

/// <summary>Joins the rows of a version with their texts.</summary>
internal static class DatasetReader
{
    public static async Task<DatasetRows<T>> Read<T>(IDbContextFactory<PortalDbContext> contexts, DatasetVersionId id, TaskKind kind,
        Func<DatasetRow, StoredPrompt, string, string?, T?> make, CancellationToken stop) where T : class
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var version = await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id, stop)
            ?? throw new CannotTrain($"There is no dataset version {id}.");
        if (version.Kind != kind)
            throw new CannotTrain($"Dataset version {version.Number} holds {(version.Kind is TaskKind.Pairwise ? "pairs" : "single verdicts")}, "
                + $"not {(kind is TaskKind.Pairwise ? "pairs" : "single verdicts")}.");
        var rows = await db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == id).OrderBy(r => r.Ordinal).ToListAsync(stop);
        if (rows.Count != version.RowsTrain + version.RowsHeldOut)
            throw new CannotTrain($"Dataset version {version.Number} is not whole: {rows.Count} of {version.RowsTrain + version.RowsHeldOut} rows are there.");

        var prompts = await StoredTexts.Prompts(db, rows.Select(r => r.PromptId), stop);
        var responses = await StoredTexts.Responses(db, rows.SelectMany(r => r.RejectedId is { } rejected ? new[] { r.ChosenId, rejected } : [r.ChosenId]), stop);
        var (train, heldOut, erased) = (new List<T>(), new List<T>(), 0);
        foreach (var row in rows)
        {
            if (prompts.TryGetValue(row.PromptId, out var prompt) && responses.TryGetValue(row.ChosenId, out var chosen)
                && (row.RejectedId is not { } rejectedId || responses.ContainsKey(rejectedId))
                && make(row, prompt, chosen.Text, row.RejectedId is { } rejected ? responses[rejected].Text : null) is { } item)
                (row.Part is DatasetPart.Train ? train : heldOut).Add(item);
            else
                erased++;
        }
        return new DatasetRows<T>(new TrainingSplit<T>(train, heldOut), erased);
    }
}
