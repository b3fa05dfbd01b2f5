using System.Security.Claims;
using System.Text.Json;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Annotate;

namespace Portal.Web.Review;

/// <summary>
/// Flags an answer of the try page: only now prompt and answer are stored, with the policy, how it was drawn and the mark of a trial, together with the flag in one durable write. A trial is drawn
/// for nothing (<see cref="Prompt.IsTrial"/>).
/// </summary>
[Needs(Permission.Review)]
public sealed class FlagTried(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web); // as jobs write how they sampled

    /// <param name="id">Made by the caller: sent twice, stored once.</param>
    /// <param name="tried">As <see cref="TryPrompt"/> gave it; a page keeps it on the server.</param>
    /// <param name="answer">Its place among the answers.</param>
    public async Task<Outcome<FlagId>> Handle(ClaimsPrincipal user, FlagId id, Tried tried, int answer, FlagInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        input = input with { Place = "try" };
        if (input.Problems() is { Count: > 0 } problems)
            return new Refusal(problems);
        if (answer < 0 || answer >= tried.Answers.Count)
            return new Problem("answer", $"There is no answer {answer + 1}; {tried.Answers.Count} were written.", ProblemKind.NotFound);
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await FlagWriter.Write(writes, db =>
        {
            if (!db.Projects.Any(p => p.Id == tried.ProjectId && p.ArchivedAt == null) || !db.ModelVersions.Any(v => v.Id == tried.PolicyId && v.ProjectId == tried.ProjectId))
                return new Problem("project", "This project is gone or archived, so nothing can be stored in it.", ProblemKind.NotFound);
            var now = time.GetUtcNow();
            var prompt = PromptOf(db, tried, now);
            if (prompt.Refusal is { } erased)
                return erased;
            var isNew = !db.Flags.Any(f => f.Id == id);
            var flag = FlagWriter.Add(db, ids, hasher, id, ResponseOf(db, prompt.Value, tried, tried.Answers[answer], now), annotator, input, now);
            if (isNew && flag.Refusal is null)
                AuditChain.Append(db, now, asked.Value.AccountId, "flag.try", "flag", $"{flag.Value}", new { policy = tried.PolicyId, prompt = prompt.Value.ContentHash });
            return flag;
        }, stop);
    }

    private Outcome<Prompt> PromptOf(PortalDbContext db, Tried tried, DateTimeOffset now)
    {
        var json = Conversation.Serialize([new Turn("user", tried.Prompt)]);
        var hash = hasher.HashList("trial", hasher.Hash(json));
        if (db.Prompts.FirstOrDefault(p => p.ProjectId == tried.ProjectId && p.ContentHash == hash) is { } known)
            return db.Contents.Any(c => c.Id == known.ContentId && c.Text != null) ? known : new Problem("prompt", "This prompt was erased from the project; it is not stored again.", ProblemKind.Conflict);
        var prompt = new Prompt { Id = ids.New<PromptId>(), ProjectId = tried.ProjectId, ContentId = Text(db, tried, ContentKind.Prompt, json, now), ContentHash = hash, IsTrial = true, CreatedAt = now };
        db.Prompts.Add(prompt);
        return prompt;
    }

    private Response ResponseOf(PortalDbContext db, Prompt prompt, Tried tried, TriedAnswer answer, DateTimeOffset now)
    {
        var hash = hasher.Hash(answer.Text);
        if (db.Responses.FirstOrDefault(r => r.PromptId == prompt.Id && r.ModelVersionId == tried.PolicyId && r.ContentHash == hash) is { } known)
            return known;
        var response = new Response
        {
            Id = ids.New<ResponseId>(), ProjectId = tried.ProjectId, PromptId = prompt.Id, ContentId = Text(db, tried, ContentKind.Response, answer.Text, now), ContentHash = hash,
            ModelVersionId = tried.PolicyId, SamplingJson = JsonSerializer.Serialize(tried.Sampling with { Seed = answer.Seed }, Json), CreatedAt = now,
        };
        db.Responses.Add(response);
        db.SaveChanges(); // the flag's key is asked of what is stored
        return response;
    }

    private ContentId Text(PortalDbContext db, Tried tried, ContentKind kind, string text, DateTimeOffset now)
    {
        var content = new Content { Id = ids.New<ContentId>(), ProjectId = tried.ProjectId, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = now };
        db.Contents.Add(content);
        return content.Id;
    }
}
