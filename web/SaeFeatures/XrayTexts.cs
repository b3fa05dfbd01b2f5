using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;

namespace Portal.Web.SaeFeatures;

/// <summary>A response as it is stored now, with what it answers.</summary>
/// <param name="Text">Null once erased.</param>
/// <param name="Prompt">Empty once erased.</param>
/// <param name="From">The version that wrote it, "policy v2"; null for imported texts.</param>
public sealed record XrayText(ResponseId Id, ProjectId ProjectId, PromptId PromptId, string? Text, IReadOnlyList<Turn> Prompt, string? Topic, string? From)
{
    /// <summary>Nothing is left to look into.</summary>
    public bool IsErased => Text is null || Prompt.Count == 0;
}

/// <summary>Reads responses with their prompts, by primary key.</summary>
internal static class XrayTexts
{
    public static readonly Problem Gone = new("response", "This response is gone, or was never here.", ProblemKind.NotFound);

    public static async Task<IReadOnlyList<XrayText>> Load(PortalDbContext db, IReadOnlyCollection<ResponseId> ids, CancellationToken stop)
    {
        var rows = await (from response in db.Responses.AsNoTracking()
                          join content in db.Contents on response.ContentId equals content.Id
                          join prompt in db.Prompts on response.PromptId equals prompt.Id
                          join asked in db.Contents on prompt.ContentId equals asked.Id
                          where ids.Contains(response.Id)
                          select new
                          {
                              response.Id, response.ProjectId, response.PromptId, content.Text, Prompt = asked.Text, prompt.Topic,
                              From = db.ModelVersions.Where(v => v.Id == response.ModelVersionId).Select(v => new { v.Kind, v.Number }).FirstOrDefault(),
                          }).ToListAsync(stop);
        return [.. rows.Select(row => new XrayText(row.Id, row.ProjectId, row.PromptId, row.Text, Conversation.Parse(row.Prompt), row.Topic,
            row.From is { } from ? $"{from.Kind.Noun()} v{from.Number}" : null))];
    }
}
