using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Engine.Statistics;

namespace Portal.Engine.Datasets;

/// <summary>Which responses of a project are read.</summary>
/// <param name="All">How many there are; more than chosen where a limit was reached.</param>
public sealed record ChosenResponses(IReadOnlyList<ResponseId> Ids, int All);

/// <summary>The responses of a project whatever anybody thought of them, for what learns from texts alone.</summary>
/// <remarks>
/// Chosen once by id (a run that goes on after a crash reads the same ones, although people and samplers have gone on), then read with their texts.
/// Left out are responses of imports that are not visible, of versions that do not exist (an evaluation under way stores its samples before its
/// candidate), and erased texts. At most a limit of texts is in memory, drawn at random where there are more.
/// </remarks>
public static class ResponseDataset
{
    /// <summary>Responses that are read at most: about 100 MB as texts and tokens.</summary>
    public const int RowsMax = 100_000;

    /// <summary>The ids of the responses that a spec means, in order of their ids.</summary>
    /// <param name="rules">Topics and the moment before which a response was made count; judgements play no part.</param>
    /// <param name="seed">Of the draw where there are more than <paramref name="rowsMax"/>.</param>
    /// <exception cref="CannotTrain">There is none; or the share held out makes no sense.</exception>
    public static async Task<ChosenResponses> Choose(IDbContextFactory<PortalDbContext> contexts, ProjectId project, DatasetRules rules, long seed, int rowsMax, CancellationToken stop)
    {
        if (rules.HeldOutShare is not (>= 0.02 and <= 0.5))
            throw new CannotTrain($"The held-out share is {rules.HeldOutShare}; it must be between 0.02 and 0.5.");
        var topics = rules.Topics;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var visible = from r in db.Responses.AsNoTracking()
                      where r.ProjectId == project && (rules.Before == null || r.CreatedAt < rules.Before)
                          && (r.ModelVersionId == null || db.ModelVersions.Any(v => v.Id == r.ModelVersionId))
                      join p in db.Prompts on r.PromptId equals p.Id
                      where !p.IsTrial && (topics == null || (p.Topic != null && topics.Contains(p.Topic)))
                      join said in db.Contents on r.ContentId equals said.Id
                      join asked in db.Contents on p.ContentId equals asked.Id
                      where said.Text != null && asked.Text != null
                      orderby r.Id
                      select r.Id;
        // A reservoir: each subset is as likely, and never more than the limit is held (Vitter 1985, algorithm R).
        var random = new SeededRandom((ulong)seed).Split("responses");
        var (kept, seen) = (new List<(int Place, ResponseId Id)>(), 0);
        await foreach (var id in visible.AsAsyncEnumerable().WithCancellation(stop))
        {
            if (kept.Count < rowsMax)
                kept.Add((seen, id));
            else if (random.NextInt(seen + 1) is var at && at < rowsMax)
                kept[at] = (seen, id);
            seen++;
        }
        return seen == 0
            ? throw new CannotTrain(topics is null ? "The project has no response to read. Import some, or sample some from its policy." : "The project has no response on the topics that the rules name.")
            : new ChosenResponses([.. kept.OrderBy(entry => entry.Place).Select(entry => entry.Id)], seen);
    }

    /// <summary>Reads responses with their prompts, split by prompt.</summary>
    /// <returns>Rows in the order of the ids, in their parts; those erased since they were chosen are left out and counted.</returns>
    public static async Task<DatasetRows<ResponseText>> Load(IDbContextFactory<PortalDbContext> contexts, IReadOnlyList<ResponseId> ids, DatasetRules rules, CancellationToken stop)
    {
        var split = new PromptSplit(rules.HeldOutShare, 0, rules.SplitSeed.ToString(CultureInfo.InvariantCulture));
        await using var db = await contexts.CreateDbContextAsync(stop);
        var responses = await StoredTexts.Responses(db, ids, stop);
        var prompts = await StoredTexts.Prompts(db, responses.Values.Select(response => response.Prompt), stop);
        var heldOutPrompts = prompts.Where(prompt => split.PartOf(prompt.Value.Messages) is not SplitPart.Train).Select(prompt => prompt.Key).ToHashSet();
        var (train, heldOut, erased) = (new List<ResponseText>(), new List<ResponseText>(), 0);
        foreach (var id in ids)
        {
            if (responses.TryGetValue(id, out var response) && prompts.TryGetValue(response.Prompt, out var prompt))
                (heldOutPrompts.Contains(response.Prompt) ? heldOut : train).Add(new ResponseText(prompt.Key, prompt.Turns, response.Text, prompt.Topic));
            else
                erased++;
        }
        return new DatasetRows<ResponseText>(new TrainingSplit<ResponseText>(train, heldOut), erased);
    }
}
