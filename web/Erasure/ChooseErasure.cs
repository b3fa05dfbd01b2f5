using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Erasure;

/// <summary>A prompt that may be erased.</summary>
/// <param name="Question">Its last question; empty where it is erased already.</param>
public sealed record ChosenPrompt(PromptId Id, string Question, bool IsTrial);

/// <summary>What a request would be, before it is one.</summary>
/// <param name="Prompts">With those that hold the same words; none for an annotator.</param>
public sealed record ChosenErasure(ErasureKind Kind, string? Pseudonym, IReadOnlyList<ChosenPrompt> Prompts, ErasureRadius Radius);

/// <summary>Counts what an erasure would remove, and which models would never serve again. Changes nothing.</summary>
[Needs(Permission.Administer)]
public sealed class ChooseErasure(IDbContextFactory<PortalDbContext> contexts, Access access, DataDirectory directory)
{
    /// <summary>Names offered in the form.</summary>
    public const int NamesMax = 200;

    public async Task<Outcome<ChosenErasure>> Handle(ClaimsPrincipal user, ErasureKind kind, ProjectId project, string? pseudonym, IReadOnlyList<PromptId> prompts, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var found = CheckedErasure.Find(db, kind, project, pseudonym, prompts);
        if (found.Refusal is { } unusable)
            return unusable;
        var subject = found.Value;
        var texts = await (from p in db.Prompts.IgnoreQueryFilters().AsNoTracking() where subject.Prompts.Contains(p.Id) join c in db.Contents on p.ContentId equals c.Id orderby p.Id select new { p.Id, p.IsTrial, c.Text }).ToListAsync(stop);
        return new ChosenErasure(kind, subject.Annotator is null ? null : pseudonym?.Trim(), texts.ConvertAll(p => new ChosenPrompt(p.Id, Conversation.LastQuestion(Conversation.Parse(p.Text)), p.IsTrial)), subject.Radius(db, directory));
    }

    /// <summary>Names that judgements are kept under, for the form to offer.</summary>
    public async Task<Outcome<IReadOnlyList<string>>> Names(ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return new Outcome<IReadOnlyList<string>>.Done(await db.Annotators.AsNoTracking().Where(a => !a.IsSimulated && !a.Pseudonym.StartsWith("erased-")).OrderBy(a => a.Pseudonym).Take(NamesMax).Select(a => a.Pseudonym).ToListAsync(stop));
    }
}

/// <summary>Finds prompts of a project by words in them or in their responses. The words are asked for by post, so that they stand in no address and no log.</summary>
[Needs(Permission.Administer)]
public sealed class FindPrompts(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int WordsMin = 3, WordsMax = 500, FoundMax = 50;

    public async Task<Outcome<IReadOnlyList<PromptId>>> Handle(ClaimsPrincipal user, ProjectId project, string? words, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var sought = words?.Trim() ?? "";
        if (sought.Length is < WordsMin or > WordsMax)
            return new Problem("words", $"Type {WordsMin} to {WordsMax} characters of the text.");
        // Prompts are stored as JSON.
        var json = Conversation.Serialize([new Turn("", sought)]);
        var escaped = json["[{\"role\":\"\",\"content\":\"".Length..^"\"}]".Length];
        await using var db = await contexts.CreateDbContextAsync(stop);
        var found = await (from p in db.Prompts.AsNoTracking()
                           where p.ProjectId == project && (db.Contents.Any(c => c.Id == p.ContentId && c.Text != null && c.Text.Contains(escaped)) || db.Responses.Any(r => r.PromptId == p.Id && db.Contents.Any(c => c.Id == r.ContentId && c.Text != null && c.Text.Contains(sought))))
                           orderby p.Id
                           select p.Id).Take(FoundMax + 1).ToListAsync(stop);
        return found.Count switch
        {
            0 => new Problem("words", "No prompt of this project, and no response to one, has these words as they are typed (capitals count).", ProblemKind.NotFound),
            > FoundMax => new Problem("words", $"More than {FoundMax} prompts have these words. Type more of the text.", ProblemKind.TooMuch),
            _ => new Outcome<IReadOnlyList<PromptId>>.Done(found),
        };
    }
}
