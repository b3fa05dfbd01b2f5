using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>A prompt as it is stored now.</summary>
/// <param name="Key">What it shares with prompts that count as the same (<see cref="PromptSplit.Key"/>).</param>
/// <param name="Messages">As files know it, for <see cref="PromptSplit.PartOf"/>.</param>
/// <param name="Turns">As chat templates take it.</param>
internal sealed record StoredPrompt(string Key, IReadOnlyList<Message> Messages, IReadOnlyList<Turn> Turns, string? Topic)
{
    /// <param name="text">Of the prompt's content, not erased.</param>
    public static StoredPrompt Of(string text, string? topic)
    {
        var turns = Portal.Data.Feedback.Conversation.Parse(text);
        var messages = StoredTurns.ToMessages(turns);
        return new StoredPrompt(PromptSplit.Key(messages), messages, StoredTurns.ForTraining(turns), topic);
    }
}

/// <summary>Texts by id, as they are stored now. Who is erased, or was never there, is left out.</summary>
internal static class StoredTexts
{
    private const int AtOnce = 500;

    /// <summary>Prompts, by primary key.</summary>
    public static async Task<IReadOnlyDictionary<PromptId, StoredPrompt>> Prompts(PortalDbContext db, IEnumerable<PromptId> ids, CancellationToken stop)
    {
        var prompts = new Dictionary<PromptId, StoredPrompt>();
        foreach (var some in ids.Distinct().Chunk(AtOnce))
        {
            var found = from p in db.Prompts.AsNoTracking()
                        where some.Contains(p.Id)
                        join c in db.Contents on p.ContentId equals c.Id
                        where c.Text != null
                        select new { p.Id, p.Topic, c.Text };
            foreach (var prompt in await found.ToListAsync(stop))
                prompts[prompt.Id] = StoredPrompt.Of(prompt.Text!, prompt.Topic); // asked for above
        }
        return prompts;
    }

    /// <summary>All prompts of a project but trials, judged or not, in order of their ids, without their topics.</summary>
    /// <param name="rules">The split by which a prompt is held out or trained on.</param>
    public static async IAsyncEnumerable<(PromptId Id, StoredPrompt Prompt, bool IsHeldOut)> OfProject(PortalDbContext db, ProjectId project, DatasetRules rules, [EnumeratorCancellation] CancellationToken stop)
    {
        var split = new PromptSplit(rules.HeldOutShare, 0, rules.SplitSeed.ToString(CultureInfo.InvariantCulture));
        var all = from p in db.Prompts.AsNoTracking()
                  where p.ProjectId == project && !p.IsTrial
                  join c in db.Contents on p.ContentId equals c.Id
                  where c.Text != null
                  orderby p.Id
                  select new { p.Id, c.Text };
        await foreach (var prompt in all.AsAsyncEnumerable().WithCancellation(stop))
        {
            var stored = StoredPrompt.Of(prompt.Text!, topic: null); // asked for above
            yield return (prompt.Id, stored, split.PartOf(stored.Messages) is not SplitPart.Train);
        }
    }

    /// <summary>Responses with the prompts they answer (which may be erased), by primary key.</summary>
    public static async Task<IReadOnlyDictionary<ResponseId, (PromptId Prompt, string Text)>> Responses(PortalDbContext db, IEnumerable<ResponseId> ids, CancellationToken stop)
    {
        var responses = new Dictionary<ResponseId, (PromptId, string)>();
        foreach (var some in ids.Distinct().Chunk(AtOnce))
        {
            var found = from r in db.Responses.AsNoTracking()
                        where some.Contains(r.Id)
                        join c in db.Contents on r.ContentId equals c.Id
                        where c.Text != null
                        select new { r.Id, r.PromptId, c.Text };
            foreach (var response in await found.ToListAsync(stop))
                responses[response.Id] = (response.PromptId, response.Text!); // asked for above
        }
        return responses;
    }
}
